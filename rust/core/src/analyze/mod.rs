//! The way out, second half: what the records of a log amount to.
//!
//! An analysis is a [`Partial`] state: it observes the records of a part of a log, and states of
//! consecutive parts merge into the state of the whole.

pub mod anomalies;
mod anomalies_block;
mod anomalies_partial;
pub mod diagnoses;
pub mod diagnosis;
pub mod http;
pub(crate) mod ids;
pub(crate) mod spans;
pub(crate) mod totals;
pub(crate) mod tree;
mod tree_guess;

pub use anomalies::{
    Action, Anomalies, AnomaliesScan, AnomaliesScanOptions, Outcomes, scan_anomalies,
    scan_anomalies_with,
};
pub use anomalies_partial::AnomaliesPartial;
pub use diagnoses::DiagnosesScan;
pub use diagnosis::{DatedAction, Diagnosis, DiagnosisScan, diagnose};
pub use http::{HttpRequest, http_request};
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
