//! Whether the actions of logs name those that they are in, or have to be nested by sample and time.

use std::time::Duration;

use crate::analyze::spans::NamesParents;
use crate::read::{Log, Scan, ScanOptions, ScanStep};
use crate::store::RunInfo;

/// How long a report waits before it gives an empty chunk.
const WAIT: Duration = Duration::from_millis(50);

/// A look at some logs, one after the other.
#[derive(Default)]
pub(super) struct ParentsLook {
    /// Of each log that was looked at: whether its actions are nested by time.
    by_time: Vec<bool>,
    /// A look at the next log, under way.
    looking: Option<Scan<NamesParents>>,
}

impl ParentsLook {
    /// Looks whether the actions of the logs name those that they are in; false once that is known of
    /// all. Such a name is found soon, as a rule; where there is none, the log is read twice.
    pub(super) fn looks_further(&mut self, logs: &[Log], options: ScanOptions) -> bool {
        let Some(log) = logs.get(self.by_time.len()) else { return false };
        let Some(mut look) = self.looking.take() else {
            let is_file = |log: &Log| log.files.iter().all(|file| file.path().is_file());
            let is_ours = log.files.iter().any(|file| RunInfo::read(file.path()).is_some());
            // A pipe can be read once. What cannot be read is told of when it is shown.
            let look = (is_file(log) && !is_ours)
                .then(|| Scan::new(std::slice::from_ref(log), NamesParents, options).ok())
                .flatten();
            match look {
                Some(look) => self.looking = Some(look),
                None => self.by_time.push(false),
            }
            return true;
        };
        match look.next(WAIT) {
            Ok(ScanStep::Part(part)) if part.output => self.by_time.push(false),
            Ok(ScanStep::Part(_) | ScanStep::Pending) => self.looking = Some(look),
            Ok(ScanStep::End) => self.by_time.push(true),
            Err(_) => self.by_time.push(false),
        }
        true
    }

    /// Whether the actions of a log are nested by time.
    pub(super) fn by_time(&self, log: usize) -> bool {
        self.by_time.get(log).copied().unwrap_or(false)
    }
}
