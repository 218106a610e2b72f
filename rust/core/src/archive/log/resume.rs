//! What the store has of a log already: where the archiver goes on.

use std::io::Read as _;

use crate::Result;
use crate::archive::key::Identity;
use crate::archive::manifest::{Manifest, ShippedObject};
use crate::archive::piece::{Counter, sha256};

use super::names::{log_of_piece, piece_number, plain_name, stem_of};
use super::{ArchivedLog, Shipped};

/// What the store has of a log, according to its manifest and the listing of its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// Go on. The objects of these names are there and in no manifest: fetch each, in this order, and give
    /// it to [`ArchivedLog::adopt`].
    Adopt(Vec<String>),
    /// It is another log's directory: [`ArchivedLog::directory`] names the next one to look at.
    Taken,
}

impl ArchivedLog {
    /// Takes in what the store has of the log: the text of its manifest, if there is one, and the names
    /// and sizes of the objects in its directory.
    ///
    /// # Errors
    /// What is there is not as the manifest says, or not of this log; or the log cannot be read.
    pub fn resume(&mut self, manifest: Option<&[u8]>, listed: &[(String, u64)]) -> Result<Resumed> {
        let mut shipped = Shipped {
            objects: Vec::new(),
            amount: None,
            finished: false,
            stem: stem_of(&self.name),
            log: self.name.clone(),
        };
        if let Some(text) = manifest {
            let manifest =
                Manifest::parse(text).map_err(|why| self.refused("manifest.json", &why))?;
            if !self.is_of(&manifest) {
                self.attempt += 1;
                return Ok(Resumed::Taken);
            }
            for object in &manifest.objects {
                let size =
                    listed.iter().find(|(name, _)| *name == object.name).map(|(_, size)| *size);
                if size != Some(object.size_bytes) {
                    return Err(
                        self.refused(&object.name, "it is missing, or not as long as noted")
                    );
                }
            }
            shipped.finished = manifest.finished;
            shipped.stem = stem_of(&manifest.log);
            shipped.log = manifest.log;
            shipped.objects = manifest.objects;
        }
        let known = |name: &str| shipped.objects.iter().any(|object| object.name == name);
        let mut others: Vec<(u32, &String)> = listed
            .iter()
            .filter(|(name, _)| !known(name))
            .filter_map(|(name, _)| Some((piece_number(name)?, name)))
            .collect();
        others.sort_unstable();
        if let Some((_, name)) = others.first()
            && manifest.is_none()
        {
            shipped.log = plain_name(&log_of_piece(name));
            shipped.stem = stem_of(&shipped.log);
        }
        let adopt: Vec<String> = others.into_iter().map(|(_, name)| name.clone()).collect();
        let is_done = shipped.finished && adopt.is_empty() && self.standing.is_finished;
        let end = shipped.end();
        self.shipped = Some(shipped);
        if let Err(error) = self.catch_up(end, is_done) {
            self.forget();
            return Err(error);
        }
        Ok(Resumed::Adopt(adopt))
    }

    /// Looks at the log, and counts what has been shipped, unless nothing is left to do.
    fn catch_up(&mut self, end: u64, is_done: bool) -> Result<()> {
        self.look()?;
        if is_done && end == self.length {
            return Ok(());
        }
        if let Some(shipped) = &mut self.shipped {
            shipped.finished = false;
        }
        self.count()
    }

    /// Counts what has been shipped, if that is not known.
    pub(super) fn count(&mut self) -> Result<()> {
        let end = match &self.shipped {
            Some(shipped) if shipped.amount.is_none() => shipped.end(),
            _ => return Ok(()),
        };
        let mut counter = Counter::default();
        let mut reader = self.text()?.reader(0).take(end);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = reader.read(&mut buffer).map_err(|error| self.unreadable(error))?;
            if read == 0 {
                break;
            }
            counter.add(&buffer[..read]);
        }
        if let Some(shipped) = &mut self.shipped {
            shipped.amount = Some(counter.end());
        }
        Ok(())
    }

    /// Takes in an object that is in the store and in no manifest, if it is the next piece of this log.
    ///
    /// # Errors
    /// It is not, or the log cannot be read.
    pub fn adopt(&mut self, name: &str, bytes: &[u8]) -> Result<Resumed> {
        self.count()?;
        let text = self.text()?;
        let start = self.shipped_bytes();
        let mut ours = text.reader(start);
        let mut theirs = flate2::bufread::MultiGzDecoder::new(bytes);
        let mut counter = Counter::default();
        let mut end = start;
        let (mut one, mut other) = (vec![0; 1 << 18], vec![0; 1 << 18]);
        loop {
            let read = theirs.read(&mut one).map_err(|_| self.refused(name, "it is damaged"))?;
            if read == 0 {
                break;
            }
            // One that goes beyond the end was shipped from a log that has been shortened since.
            let is_same =
                ours.read_exact(&mut other[..read]).is_ok() && one[..read] == other[..read];
            if !is_same {
                let is_first =
                    self.shipped.as_ref().is_none_or(|shipped| shipped.objects.is_empty());
                if is_first {
                    self.forget();
                    self.attempt += 1;
                    return Ok(Resumed::Taken);
                }
                return Err(self.refused(name, "it is not what follows in the log"));
            }
            counter.add(&one[..read]);
            end += read as u64;
        }
        let object = ShippedObject {
            name: name.to_owned(),
            size_bytes: bytes.len() as u64,
            start,
            end,
            sha256: sha256(bytes),
        };
        if let Some(shipped) = &mut self.shipped {
            shipped.amount.get_or_insert_default().merge(counter.end());
            shipped.objects.push(object);
            shipped.finished = false;
        }
        self.maker = None;
        Ok(Resumed::Adopt(Vec::new()))
    }

    fn is_of(&self, manifest: &Manifest) -> bool {
        let Identity { pid, run, started_s, .. } = &self.identity;
        // A log with a process in its name may have got another number since.
        let is_same_name = pid.is_some() || manifest.log == self.name;
        manifest.pid == *pid
            && manifest.run == *run
            && (manifest.started_at - started_s).abs() < 1e-6
            && is_same_name
    }
}
