//! The way out, second half: what the records of a log amount to.
//!
//! An analysis is a [`Partial`] state: it observes the records of a part of a log, and states of
//! consecutive parts merge into the state of the whole.

pub mod anomalies;
mod anomalies_block;
mod anomalies_partial;
pub mod by;
pub mod changes;
pub mod diagnoses;
pub mod diagnosis;
pub mod durations;
pub mod groups;
pub mod http;
pub(crate) mod ids;
pub mod live;
mod live_blocks;
mod live_log;
mod live_snapshot;
pub(crate) mod nesting;
pub mod over_time;
pub mod slowest;
pub(crate) mod spans;
pub mod stats;
pub(crate) mod totals;
pub(crate) mod tree;
mod tree_guess;

pub use anomalies::{
    Action, Anomalies, AnomaliesScan, AnomaliesScanOptions, Outcomes, scan_anomalies,
    scan_anomalies_with,
};
pub use anomalies_partial::AnomaliesPartial;
pub use by::By;
pub use changes::{Change, changes};
pub use diagnoses::DiagnosesScan;
pub use diagnosis::{DatedAction, Diagnosis, DiagnosisScan, diagnose};
pub use durations::Durations;
pub use groups::{Group, Tally};
pub use http::{HttpRequest, http_request};
pub use live::{LiveOptions, LivePlace, LiveView};
pub(crate) use live_log::{leave_out_detail, redact_action, shorten_ids};
pub use live_snapshot::{
    EndedAction, LiveAction, LiveChoice, LiveCounter, LiveLogStatus, LiveOrder, LiveSnapshot,
};
pub use over_time::OverTime;
pub use slowest::SlowAction;
pub use stats::{HttpTallies, HttpTally, Stats, StatsOptions, StatsPartial};
pub use tree::MAX_HELD_BYTES;

pub use crate::timestamp;

use crate::record::Record;

/// The state of an analysis after some consecutive records.
///
/// `merge` is associative, and a split of a log between any two records changes nothing: the
/// state of the records before the split merged with that of those after it is the state of all.
pub trait Partial: Sized {
    /// Takes in the next record, whose line begins at `offset` of the log.
    fn observe(&mut self, record: &Record<'_>, offset: u64);

    /// Takes in the state of the records that follow.
    fn merge(&mut self, later: Self);
}

/// Whether there can be so many: of what comes from elsewhere, not all is as it can be. However many of
/// these are added up, there is no overflow.
pub(crate) fn is_few(count: u64) -> bool {
    count < 1 << 48
}
