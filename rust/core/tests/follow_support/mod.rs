//! A follower that is driven poll by poll, and logs to follow.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use inspect_trace_core::read::{FollowEnd, FollowEvent, Follower, LineCursor, Log, Skipped, Step};
use inspect_trace_core::store::liveness;
use inspect_trace_core::write::writer::LogWriter;

use crate::store_support::{Dir, eventually};

/// A follower and what it has given so far.
pub struct Watch {
    pub follower: Follower,
    pub cursor: LineCursor,
    pub skipped: Skipped,
    pub seen: Vec<String>,
    pub events: Vec<FollowEvent>,
}

impl Watch {
    pub fn of(path: &Path) -> Self {
        Self::from(path, 0)
    }

    pub fn from(path: &Path, start_offset: u64) -> Self {
        Self::with(Follower::open(path, start_offset).unwrap())
    }

    /// All files of a log, from its start on.
    pub fn of_log(log: &Log) -> Self {
        Self::with(Follower::open_log(log).unwrap())
    }

    fn with(follower: Follower) -> Self {
        Self {
            follower,
            cursor: LineCursor::new(),
            skipped: Skipped::default(),
            seen: Vec::new(),
            events: Vec::new(),
        }
    }

    pub fn poll(&mut self) -> Step {
        let step = self.follower.poll().unwrap();
        match &step {
            Step::Lines(lines) => {
                self.skipped.merge(&lines.skipped);
                while let Some(record) = self.cursor.next(&lines.block, &mut self.skipped) {
                    self.seen.push(String::from_utf8(record.message().into_owned()).unwrap());
                }
            }
            Step::Event(event) => self.events.push(*event),
            Step::Idle | Step::End(_) => {}
        }
        step
    }

    /// Polls until there is nothing new; the end, if it has come.
    pub fn drain(&mut self) -> Option<FollowEnd> {
        loop {
            match self.poll() {
                Step::Idle => return None,
                Step::End(end) => return Some(end),
                Step::Lines(_) | Step::Event(_) => {}
            }
        }
    }

    /// Drains, and gives what was seen since this was last asked.
    pub fn news(&mut self) -> Vec<String> {
        assert_eq!(self.drain(), None);
        std::mem::take(&mut self.seen)
    }

    /// Drains to the end. That takes some looks at a path without a file, and perhaps some at a log
    /// that is locked (see [`close`]).
    pub fn end(&mut self) -> FollowEnd {
        let mut end = None;
        eventually("the end", || {
            end = self.drain();
            end.is_some()
        });
        let end = end.unwrap();
        assert_eq!(self.poll(), Step::End(end), "the end stays the end");
        end
    }
}

pub fn append(path: &Path, text: impl AsRef<[u8]>) {
    File::options().append(true).open(path).unwrap().write_all(text.as_ref()).unwrap();
}

/// Closes a log for good: a process that another test starts just now has our locks for a moment.
pub fn close(writer: &LogWriter) {
    writer.close();
    eventually("the log closed", || liveness(writer.path()).alive == Some(false));
}

/// A log that nobody locks and whose name tells no process.
pub fn app_log(dir: &Dir, lines: &[&str]) -> PathBuf {
    dir.plain("app.log", 0, lines)
}
