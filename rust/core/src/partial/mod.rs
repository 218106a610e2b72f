//! A question about many logs, answered by many machines: what each finds out is a **state** of some
//! bytes, and all states together are the answer.
//!
//! A [`Question`] is asked of logs that have numbers. A [`Task`] is some of them, one behind the other, or
//! a part of a large plain one. Whoever does a task ([`Work`]) gives a [`State`]; states are merged in
//! whatever order they come, and told of once there are all ([`tell`]). The answer is the one that a
//! single scan of all logs gives, to the byte.

mod encoding;
mod piece;
mod plan;
mod state;
mod tell;
mod work;

use serde::{Deserialize, Serialize};

use crate::analyze::{By, Outcomes, StatsOptions};
use crate::read::{Filter, Log, ScanOptions};

pub use encoding::STATE_VERSION;
pub use plan::{PlanOptions, plan};
pub use state::State;
pub use tell::{tell_anomalies, tell_diff, tell_http, tell_stats};
pub use work::Work;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The analysis.
    pub analysis: Analysis,
    /// The records and actions that count.
    pub filter: Filter,
    /// Now, seconds since the epoch.
    pub as_of_s: f64,
}

/// An analysis with what changes its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Analysis {
    /// What did not simply end.
    Anomalies(Outcomes),
    /// What actions amount to.
    Stats {
        /// What they are grouped by.
        by: By,
        /// So many of the slowest are kept.
        slowest: usize,
        /// So many groups are told apart at last.
        max_groups: usize,
        /// Whether names are kept without secrets.
        redact: bool,
        /// Whether they are short names, without what was said.
        no_detail: bool,
    },
    /// The HTTP requests.
    Http {
        /// Only those that failed.
        failed: bool,
        /// No more than so many of each task.
        limit: Option<u64>,
        /// Whether secrets are taken out.
        redact: bool,
        /// Whether what was said is left out.
        no_detail: bool,
    },
}

impl Question {
    /// How actions are counted, with so many groups told apart.
    fn stats_options(&self, most_groups: usize) -> StatsOptions {
        let filter = self.filter.clone();
        match self.analysis {
            Analysis::Stats { by, slowest, redact, no_detail, .. } => {
                StatsOptions { by, filter, slowest, max_groups: most_groups, redact, no_detail }
            }
            _ => StatsOptions { filter, max_groups: most_groups, ..StatsOptions::default() },
        }
    }
}

impl Question {
    /// As much of a log as may have to do with the answer.
    fn needed(&self, log: &Log) -> Log {
        match self.analysis {
            Analysis::Anomalies(outcomes) => log.as_far_as_anomalous(&self.filter, outcomes),
            _ => log.as_far_as_wanted(&self.filter),
        }
    }
}

/// Which logs are read for a question, by whom it is read, and how.
#[derive(Debug, Clone)]
pub struct Task {
    /// The number of the first one.
    pub first_log: u64,
    /// They follow each other.
    pub logs: Vec<Log>,
    /// The one log is but a part of itself: the number of the part, and how many there are.
    pub range: Option<(u32, u32)>,
    /// How they are read: which changes nothing in what is found.
    pub scan: ScanOptions,
}
