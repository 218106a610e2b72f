//! What was found in some logs that follow each other, or in a part of one.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::analyze::diagnosis::Writers;
use crate::analyze::spans::LogEnd;
use crate::analyze::{AnomaliesPartial, HttpRequest, Partial as _, StatsPartial, is_few};
use crate::archive::Origin;
use crate::read::{Log, Skipped};
use crate::store::LogFile;

use super::Question;

/// What was found in them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Piece {
    /// The number of the first log.
    pub(super) first_log: u64,
    /// What is to be told of each.
    pub(super) logs: Vec<LogTold>,
    /// Where it is a part of one log: which, and who writes that.
    pub(super) range: Option<RangeTold>,
    pub(super) found: Found,
}

/// Some parts of one log that follow each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RangeTold {
    /// The number of the first one.
    pub(super) first: u32,
    /// The number behind the last one.
    pub(super) end: u32,
    /// How many the log has.
    pub(super) of: u32,
    pub(super) writers: Writers,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Found {
    /// Of each log.
    Anomalies(Vec<LogAnomalies>),
    /// Of all.
    Stats(Box<StatsPartial>),
    /// Of each log.
    Http(Vec<Vec<HttpRequest>>),
}

/// What was found in a log, and who writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LogAnomalies {
    pub(super) partial: AnomaliesPartial,
    pub(super) writers: Writers,
}

/// A name that need not be text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Name(#[serde(with = "serde_bytes")] Vec<u8>);

impl Name {
    pub(super) fn of(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }

    pub(super) fn path(&self) -> PathBuf {
        OsString::from_vec(self.0.clone()).into()
    }
}

/// What is to be told of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LogTold {
    pub(super) name: Name,
    /// What its archive tells of it, if it is from one.
    pub(super) origin: Option<Box<Origin>>,
    pub(super) files: Vec<FileTold>,
    /// Why nothing was found in it.
    pub(super) error: Option<String>,
}

/// What is to be told of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileTold {
    pub(super) name: Name,
    pub(super) skipped: Skipped,
    /// Why it was not read, or not to its end.
    pub(super) error: Option<String>,
}

impl LogTold {
    /// Nothing so far.
    pub(super) fn of(log: &Log) -> Self {
        let files = log.files.iter().map(|file| FileTold {
            name: Name::of(file.path()),
            skipped: Skipped::default(),
            error: None,
        });
        let origin = log.origin.as_deref().cloned().map(Box::new);
        Self { name: Name::of(&log.path), origin, files: files.collect(), error: None }
    }

    /// The log, to tell of it.
    pub(super) fn log(&self) -> Log {
        let files = self.files.iter().map(|file| LogFile::at(&file.name.path()));
        let log = Log::of_files(&self.name.path(), files.collect());
        match self.origin.as_deref() {
            Some(origin) => log.from(origin.clone()),
            None => log,
        }
    }

    fn merge(&mut self, later: Self) {
        self.error = self.error.take().or(later.error);
        for (file, later) in self.files.iter_mut().zip(later.files) {
            file.skipped.merge(&later.skipped);
            file.error = file.error.take().or(later.error);
        }
    }
}

/// Where a piece begins, or ends: the number of a log, and of a part of it.
pub(super) type Border = (u64, u32);

impl Piece {
    /// Whether it is one that can be: what comes from elsewhere need not.
    pub(super) fn is_sound(&self) -> bool {
        let is_of_range = match &self.range {
            Some(range) => self.logs.len() == 1 && range.first < range.end && range.end <= range.of,
            None => !self.logs.is_empty(),
        };
        let has_all = match &self.found {
            Found::Anomalies(logs) => {
                logs.len() == self.logs.len() && logs.iter().all(|log| log.partial.is_sound())
            }
            Found::Stats(partial) => partial.is_sound(),
            Found::Http(logs) => logs.len() == self.logs.len(),
        };
        let mut files = self.logs.iter().flat_map(|log| &log.files);
        let is_few = is_few(self.first_log);
        is_few && is_of_range && has_all && files.all(|file| file.skipped.is_sound())
    }

    pub(super) fn start(&self) -> Border {
        (self.first_log, self.range.as_ref().map_or(0, |range| range.first))
    }

    pub(super) fn end(&self) -> Border {
        match &self.range {
            Some(range) => (self.first_log, range.end),
            None => (self.first_log + self.logs.len() as u64, 0),
        }
    }

    /// Whether the other one begins where this one ends, and is of its sort: whole logs, or parts of one.
    pub(super) fn meets(&self, later: &Self) -> bool {
        self.range.is_some() == later.range.is_some() && self.end() == later.start()
    }

    /// Adds what was found right behind it, which it [meets](Self::meets).
    pub(super) fn join(&mut self, later: Self) {
        let files: usize = self.logs.iter().map(|log| log.files.len()).sum();
        if let (Some(range), Some(theirs)) = (&mut self.range, later.range) {
            range.end = theirs.end;
            range.writers.merge(theirs.writers);
            for (log, theirs) in self.logs.iter_mut().zip(later.logs) {
                log.merge(theirs);
            }
            self.found.continue_with(later.found);
        } else {
            self.logs.extend(later.logs);
            self.found.append(later.found, files);
        }
    }

    /// Where it is all parts of a log, makes it the whole.
    pub(super) fn complete(&mut self, question: &Question) {
        let is_whole = |range: &mut RangeTold| range.first == 0 && range.end == range.of;
        let Some(range) = self.range.take_if(is_whole) else { return };
        match &mut self.found {
            Found::Anomalies(logs) => {
                for log in logs {
                    let mut whole = AnomaliesPartial::at_start(&question.filter);
                    std::mem::swap(&mut whole, &mut log.partial);
                    log.partial.merge(whole);
                    log.writers = range.writers.clone();
                }
            }
            Found::Stats(partial) => {
                let mut whole = StatsPartial::at_start(&question.stats_options(usize::MAX));
                std::mem::swap(&mut whole, &mut **partial);
                partial.merge(whole);
                partial.end_log(&mut LogEnd::known(range.writers, question.as_of_s));
            }
            Found::Http(_) => {}
        }
    }
}

impl Found {
    /// Adds what was found in the parts of the same log that follow.
    fn continue_with(&mut self, later: Self) {
        match (self, later) {
            (Self::Anomalies(ours), Self::Anomalies(theirs)) => {
                for (log, theirs) in ours.iter_mut().zip(theirs) {
                    log.partial.merge(theirs.partial);
                }
            }
            (Self::Stats(ours), Self::Stats(theirs)) => ours.merge(*theirs),
            (Self::Http(ours), Self::Http(theirs)) => {
                for (log, theirs) in ours.iter_mut().zip(theirs) {
                    log.extend(theirs);
                }
            }
            _ => {}
        }
    }

    /// Adds what was found in the logs that follow; ours have so many files.
    fn append(&mut self, later: Self, files: usize) {
        match (self, later) {
            (Self::Anomalies(ours), Self::Anomalies(theirs)) => ours.extend(theirs),
            (Self::Stats(ours), Self::Stats(mut theirs)) => {
                theirs.shift_files(files);
                ours.merge(*theirs);
            }
            (Self::Http(ours), Self::Http(theirs)) => ours.extend(theirs),
            _ => {}
        }
    }
}
