//! One log on its way into the archive: what of it is there already, and what is to be shipped next.
//! Who talks to the store is the caller's business; what it says comes in as arguments.

mod describe;
mod names;
mod resume;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::file_io;
use crate::read::{Log, log_ends};
use crate::store::TraceFile;
use crate::{Error, Result};

pub(super) use self::names::piece_number;
pub use self::resume::Resumed;

use self::names::{name_of, plain_name};
use super::key::Identity;
use super::manifest::{Manifest, ShippedObject};
use super::piece::{Amount, MAX_PIECE_BYTES, Piece, PieceMaker, sha256};
use super::source::{KnownLengths, PlainReader, PlainText};

/// What is in the archive.
struct Shipped {
    objects: Vec<ShippedObject>,
    /// `None` as long as nobody has to know.
    amount: Option<Amount>,
    /// As the manifest in the store has it.
    finished: bool,
    /// What the names of the objects begin with.
    stem: String,
    /// How the log is called there.
    log: String,
}

impl Shipped {
    fn end(&self) -> u64 {
        self.objects.last().map_or(0, |last| last.end)
    }
}

/// How a log stands on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Standing {
    /// Nobody will append to it, not even a process that begins now.
    is_over: bool,
    /// Its writer has closed it, or is gone.
    is_finished: bool,
    /// Somebody has it open.
    is_live: bool,
    mtime_s: f64,
    size_bytes: u64,
}

/// A log of a trace directory on its way into the archive.
pub struct ArchivedLog {
    path: PathBuf,
    /// Its name here, before it is compressed.
    name: String,
    identity: Identity,
    is_child: bool,
    command: Option<Vec<String>>,
    standing: Standing,
    attempt: u32,
    known: KnownLengths,
    /// Until the caller has told what the store has.
    shipped: Option<Shipped>,
    /// How long the plain text was when it was looked at.
    length: u64,
    maker: Option<PieceMaker<PlainReader>>,
    sole_gzip: Option<Arc<Vec<u8>>>,
}

impl ArchivedLog {
    /// A log as it was listed; `None` where it is not known yet when it began, because nothing is in it.
    pub(super) fn of(file: &TraceFile, host: &str) -> Option<Self> {
        let ends = log_ends(&Log::with_parts(&file.path));
        let standing = Standing::of(file);
        // In one that is damaged from the beginning the file's time has to do, once that stands still.
        let started_s = match ends.first_s {
            Some(first_s) => first_s,
            None if standing.is_finished && file.size_bytes > 0 => file.mtime_s,
            None => return None,
        };
        Some(Self {
            path: file.path.clone(),
            name: plain_name(&file.path),
            identity: Identity {
                host: host.to_owned(),
                pid: name_of(&file.path).map(|name| name.pid),
                run: file.run_id.clone(),
                started_s,
            },
            is_child: file.is_child,
            command: file.command.clone(),
            standing,
            attempt: 0,
            known: KnownLengths::new(),
            shipped: None,
            length: 0,
            maker: None,
            sole_gzip: None,
        })
    }

    /// Notes how the log stands by now.
    pub(super) fn look_again(&mut self, file: &TraceFile) {
        self.path.clone_from(&file.path);
        self.name = plain_name(&file.path);
        self.standing = Standing::of(file);
        if self.command.is_none() {
            self.command.clone_from(&file.command);
        }
        self.maker = None;
        self.sole_gzip = None;
    }

    /// What tells it from others.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name in the trace directory, before it is compressed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was last written.
    pub(super) fn mtime_s(&self) -> f64 {
        self.standing.mtime_s
    }

    /// How large it is as it lies on the disk, in all its files.
    pub fn size_bytes(&self) -> u64 {
        self.standing.size_bytes
    }

    /// Where it goes in the store, below the prefix.
    pub fn directory(&self) -> String {
        self.identity.directory(self.attempt)
    }

    /// Whether a process has it open.
    pub fn is_live(&self) -> bool {
        self.standing.is_live
    }

    /// Whether it is known what the store has of it.
    pub fn is_resumed(&self) -> bool {
        self.shipped.is_some()
    }

    /// Whether there is nothing left to do about it: nobody writes it, and the manifest in the store says
    /// that it is finished.
    pub fn is_settled(&self) -> bool {
        let shipped = self.shipped.as_ref();
        self.standing.is_finished && shipped.is_some_and(|shipped| shipped.finished)
    }

    /// How much of the plain text is in the store.
    pub fn shipped_bytes(&self) -> u64 {
        self.shipped.as_ref().map_or(0, Shipped::end)
    }

    /// What is not known any more: the store has to be asked anew.
    pub fn forget(&mut self) {
        self.shipped = None;
        self.maker = None;
    }

    /// Looks at how long the log is, and begins to make pieces of what is not shipped.
    ///
    /// # Errors
    /// It cannot be read, or is shorter than what was shipped.
    pub fn look(&mut self) -> Result<()> {
        if self.standing.is_finished {
            // What waits beside it belongs to it; who comes next finds it joined.
            let _ = crate::tail::join_finished_at(&self.path);
        }
        let text = self.text()?;
        self.length = text.length();
        let end = self.shipped_bytes();
        if end > self.length {
            return Err(self.shrunk());
        }
        let is_small = |length: u64| length <= MAX_PIECE_BYTES as u64;
        self.sole_gzip = match &text.sole_gzip {
            Some((file, length)) if end == 0 && self.standing.is_over && is_small(*length) => {
                let mut bytes = vec![0; usize::try_from(*length).unwrap_or(0)];
                let read = file_io::read_full_at(file, &mut bytes, 0);
                let read = read.map_err(|error| self.unreadable(error))?;
                (read == bytes.len()).then(|| Arc::new(bytes))
            }
            _ => None,
        };
        self.maker = Some(PieceMaker::new(text.reader(end), end, text.modified_s, MAX_PIECE_BYTES));
        Ok(())
    }

    /// The next piece to be shipped, of the log as it was when it was looked at; `None` where there is none.
    ///
    /// # Errors
    /// The log cannot be read, or has grown after it was shipped as a whole.
    pub fn next_piece(&mut self) -> Result<Option<Piece>> {
        if self.maker.is_none() {
            self.look()?;
        }
        self.count()?;
        let Some(shipped) = &self.shipped else { return Ok(None) };
        let Some(maker) = &mut self.maker else { return Ok(None) };
        let made = maker.next(!self.standing.is_finished);
        let Some(made) = made.map_err(|error| Error::io("read", &self.path, error))? else {
            return Ok(None);
        };
        let is_first = shipped.objects.is_empty();
        let is_whole = is_first && self.standing.is_over && made.end == self.length;
        let number = shipped.objects.len() + 1;
        let stem = &shipped.stem;
        let name = if is_whole {
            format!("{stem}.log.gz")
        } else {
            format!("{stem}.part{number:04}.log.gz")
        };
        if shipped.objects.last().is_some_and(|last| piece_number(&last.name) == Some(u32::MAX)) {
            return Err(self.refused(&name, "the log has grown since all of it was shipped"));
        }
        let bytes = match &self.sole_gzip {
            Some(bytes) if is_whole => bytes.to_vec(),
            _ => made.bytes,
        };
        let sha256 = sha256(&bytes);
        Ok(Some(Piece {
            name,
            bytes,
            start: made.start,
            end: made.end,
            sha256,
            amount: made.amount,
        }))
    }

    /// Notes that a piece is in the store.
    pub fn acknowledge(&mut self, piece: &Piece) {
        if let Some(shipped) = &mut self.shipped {
            shipped.amount.get_or_insert_default().merge(piece.amount.clone());
            shipped.finished = false;
            shipped.objects.push(ShippedObject {
                name: piece.name.clone(),
                size_bytes: piece.bytes.len() as u64,
                start: piece.start,
                end: piece.end,
                sha256: piece.sha256.clone(),
            });
        }
    }

    /// Notes that this manifest is in the store.
    pub fn manifest_written(&mut self, manifest: &Manifest) {
        if let Some(shipped) = &mut self.shipped {
            shipped.finished = manifest.finished;
        }
    }

    fn text(&mut self) -> Result<PlainText> {
        PlainText::open(&self.path, &mut self.known)
    }

    fn refused(&self, object: &str, why: &str) -> Error {
        let what = format!("{}/{object} in the archive: {why}", self.directory());
        Error::Archive { log: self.path.clone(), what }
    }

    fn shrunk(&self) -> Error {
        let why = io::Error::other("it is shorter than what has been archived of it");
        Error::io("archive", &self.path, why)
    }

    fn unreadable(&self, error: io::Error) -> Error {
        Error::io("read", &self.path, error)
    }
}

impl Standing {
    fn of(file: &TraceFile) -> Self {
        let is_over = file.alive == Some(false);
        Self {
            is_over,
            is_finished: is_over || crate::store::is_closed(&file.path),
            is_live: file.alive == Some(true),
            mtime_s: file.mtime_s,
            size_bytes: file.size_bytes,
        }
    }
}
