//! Where a log in an archive comes from, and what its manifest tells of it: enough to pass over it
//! without opening it, and to tell whether its process still ships.

use serde::{Deserialize, Serialize};

use crate::analyze::Outcomes;
use crate::read::Filter;

use super::{Counts, Manifest};

/// A log whose archiver has promised to be heard of, and has not been for so many of its intervals, is
/// taken for one whose process is gone,
const MISSED_INTERVALS: f64 = 2.0;
/// and so many seconds more: a store is not always fast, nor are clocks always right.
const GRACE_S: f64 = 30.0;

/// How a log in an archive stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is shipped at intervals, and was heard of as promised.
    Running,
    /// It has not been heard of for longer than promised.
    Silent,
    /// Nobody writes it any more, and all of it is there.
    Finished,
    /// It is not finished, and nobody has promised to be heard of again.
    Unfinished,
}

impl Status {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Silent => "silent",
            Self::Finished => "finished",
            Self::Unfinished => "unfinished",
        }
    }
}

/// Where a log comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The machine that it was written on.
    pub host: String,
    /// The run that it belongs to.
    pub run: Option<String>,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// Whether nobody writes it any more, and all of it is there.
    pub finished: bool,
    /// When it was heard of last, in seconds since the epoch.
    pub seen_s: f64,
    /// After how many seconds it is heard of again, if that was promised.
    pub interval_s: Option<f64>,
    /// When its last record was made.
    pub last_record_s: Option<f64>,
    /// What is in it.
    pub counts: Counts,
}

impl Origin {
    /// What a manifest tells.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            host: manifest.host.clone(),
            run: manifest.run.clone(),
            pid: manifest.pid,
            finished: manifest.finished,
            seen_s: manifest.shipped_at,
            interval_s: manifest.interval,
            last_record_s: manifest.last_record_at,
            counts: manifest.counts,
        }
    }

    /// Whether its process lives at that moment, as far as can be told from afar.
    pub fn is_alive(&self, now_s: f64) -> Option<bool> {
        if self.finished {
            return Some(false);
        }
        // Of a single sweep nothing follows.
        let interval_s = self.interval_s?;
        Some(now_s <= self.seen_s + MISSED_INTERVALS * interval_s + GRACE_S)
    }

    /// How it stands at that moment.
    pub fn status(&self, now_s: f64) -> Status {
        match self.is_alive(now_s) {
            _ if self.finished => Status::Finished,
            Some(true) => Status::Running,
            Some(false) => Status::Silent,
            None => Status::Unfinished,
        }
    }

    /// Whether there is nothing in the log that a search for anomalies could find.
    pub(crate) fn has_no_anomalies(&self, outcomes: Outcomes) -> bool {
        let Counts { open, errors, timeouts, cancels, .. } = self.counts;
        open == 0
            && match outcomes {
                Outcomes::Open => true,
                Outcomes::OpenAndCancelled => cancels == 0,
                Outcomes::All => cancels + errors + timeouts == 0,
            }
    }

    /// Whether all that is in the log was over before the time that is asked for.
    pub(crate) fn is_before(&self, filter: &Filter, now_s: f64) -> bool {
        filter.since_s().is_some_and(|since_s| self.is_over_before(since_s, now_s))
    }

    /// The same of a moment.
    pub(super) fn is_over_before(&self, moment_s: f64, now_s: f64) -> bool {
        let is_over = self.counts.open == 0 || self.is_alive(now_s) == Some(false);
        is_over && self.last_record_s.is_some_and(|last_s| last_s < moment_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(finished: bool, interval_s: Option<f64>) -> Origin {
        Origin {
            host: "h".to_owned(),
            run: None,
            pid: Some(1),
            finished,
            seen_s: 1000.0,
            interval_s,
            last_record_s: Some(990.0),
            counts: Counts { open: 1, ..Counts::default() },
        }
    }

    /// One that was promised to be heard of and is not, is gone; of one sweep nothing follows.
    #[test]
    fn silence_tells() {
        assert_eq!(origin(true, Some(60.0)).is_alive(1000.0), Some(false));
        assert_eq!(origin(false, None).is_alive(9e9), None);
        let ships = origin(false, Some(60.0));
        assert_eq!(ships.is_alive(1150.0), Some(true));
        assert_eq!(ships.is_alive(1150.1), Some(false));
        assert_eq!(ships.is_alive(0.0), Some(true));
        let statuses = [
            (origin(true, None), 9e9, Status::Finished),
            (origin(false, None), 9e9, Status::Unfinished),
            (origin(false, Some(60.0)), 1150.0, Status::Running),
            (origin(false, Some(60.0)), 1150.1, Status::Silent),
        ];
        for (origin, now_s, status) in statuses {
            assert_eq!(origin.status(now_s), status);
        }
    }

    /// What is open may be in any time as long as its process may live.
    #[test]
    fn logs_are_passed_over_for_their_time() {
        use crate::read::FilterOptions;

        let since = |since_s| {
            let options = FilterOptions { since_s: Some(since_s), ..FilterOptions::default() };
            Filter::of(options).expect("a filter")
        };
        let ships = origin(false, Some(60.0));
        assert!(!ships.is_before(&since(995.0), 1100.0));
        assert!(ships.is_before(&since(995.0), 2000.0));
        assert!(!ships.is_before(&since(990.0), 2000.0));
        assert!(!ships.is_before(&Filter::default(), 2000.0));
    }
}
