//! Actions that did not simply end well: open, cancelled, failed, timed out.
//!
//! The semantics are those of the reference, which keeps one dictionary of running actions and
//! one for each way to end badly, all by `trace_id`: an `enter` record replaces what was there
//! (in its place), any other record removes the running one, gives it its place in the dictionary
//! of its ending, and takes over the start time of the `enter` record it closes.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::read::{
    Block, BlockMap, Filter, Kind, Log, Progress, Scan, ScanOptions, ScanStep, Skipped,
    SkippedFiles,
};
use crate::record::{Event, Name, Text, parse_record};
use crate::timestamp;

use super::Partial as _;
use super::anomalies_block::BlockScan;
use super::anomalies_partial::{AnomaliesPartial, Kept};

/// An action as the last record about it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The kind of action.
    pub action: Text,
    /// What it is at, in words; empty where the record does not say.
    pub detail: Text,
    /// The message of the record.
    pub message: Text,
    /// What the record tells: [`Event::Enter`] for an open action.
    pub event: Event,
    /// What joins its records.
    pub trace_id: Text,
    /// The trace id of the enclosing action.
    pub parent_id: Option<Text>,
    /// When it began, seconds since the epoch.
    pub start_time_s: Option<f64>,
    /// When the record was made, seconds since the epoch.
    pub timestamp_s: Option<f64>,
    /// How long it took, as recorded, seconds.
    pub duration_s: Option<f64>,
    /// What the exception said.
    pub error: Option<Text>,
    /// The class of the exception.
    pub error_type: Option<Text>,
    /// The formatted traceback of the exception.
    pub stacktrace: Option<Text>,
    /// The evaluation task, as JSON text (not null).
    pub task: Option<Text>,
    /// The sample, as JSON text (not null).
    pub sample_id: Option<Text>,
    /// The epoch, as JSON text (not null).
    pub epoch: Option<Text>,
    /// The forked child it ran in, where the record says so.
    pub pid: Option<u32>,
    /// Where an open action was last seen to wait: the JSON text of a list of frames.
    pub stack: Option<Text>,
    /// Where the record's line begins in the (decompressed) file, in bytes.
    pub offset: u64,
}

impl Action {
    /// What a person wants to read: the detail, or the message where there is none.
    pub fn detail_or_message(&self) -> &[u8] {
        if self.detail.is_empty() { &self.message } else { &self.detail }
    }

    /// When it ended, as far as its records tell: what actions are sorted by.
    pub(crate) fn end_s(&self) -> f64 {
        let end = self.start_time_s.unwrap_or(0.0) + self.duration_s.unwrap_or(0.0);
        // The place of what is no number is the end of the list.
        if end.is_nan() { f64::NEG_INFINITY } else { end }
    }

    pub(super) fn of(kept: &Kept) -> Option<Self> {
        let record = parse_record(&kept.line).ok()?;
        let owned = |name| record.text(name).map(std::borrow::Cow::into_owned);
        let json = |name| {
            let value = record.value(name)?;
            (value.kind() != Kind::Null).then(|| value.raw().to_vec())
        };
        Some(Self {
            action: owned(Name::Action)?,
            detail: owned(Name::Detail).unwrap_or_default(),
            message: owned(Name::Message)?,
            event: record.event()?,
            trace_id: owned(Name::TraceId)?,
            parent_id: owned(Name::ParentId),
            start_time_s: kept.start_time_s,
            timestamp_s: timestamp::parse_epoch_s(&record.timestamp()),
            duration_s: record.duration_s(),
            error: owned(Name::Error),
            error_type: owned(Name::ErrorType),
            stacktrace: owned(Name::Stacktrace),
            task: json(Name::Task),
            sample_id: json(Name::SampleId),
            epoch: json(Name::Epoch),
            pid: record.pid(),
            stack: None,
            offset: kept.offset,
        })
    }
}

/// What [`scan_anomalies`] found. Each list has the most recently ended first (of open actions:
/// the most recently begun).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Anomalies {
    /// Begun, and not ended in the log.
    pub running: Vec<Action>,
    /// Cancelled.
    pub cancelled: Vec<Action>,
    /// Ended by an exception.
    pub errors: Vec<Action>,
    /// Timed out.
    pub timeouts: Vec<Action>,
    /// The timestamp of the last record of the log, wanted or not.
    pub last_timestamp_s: Option<f64>,
    /// The timestamp of the last record that names no process: the process that the log is named
    /// after wrote it.
    pub last_main_timestamp_s: Option<f64>,
    /// The timestamps of the last records that name a process (a forked child), by that.
    pub last_timestamps_by_pid: BTreeMap<u32, f64>,
    /// How many records the log has, wanted or not.
    pub records: u64,
    /// What was skipped.
    pub skipped: Skipped,
}

/// Which anomalies are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcomes {
    /// All.
    All,
    /// Open and cancelled actions: those that failed or timed out take no time and no memory then.
    OpenAndCancelled,
    /// Open actions alone.
    Open,
}

/// How a log is scanned for anomalies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnomaliesScanOptions {
    /// Which are wanted.
    pub outcomes: Outcomes,
    /// How the log is read.
    pub scan: ScanOptions,
}

impl Default for AnomaliesScanOptions {
    fn default() -> Self {
        // The larger a part, the more actions begin and end in it, and cost nothing later; but each
        // thread has its own in memory.
        let scan = ScanOptions::default();
        let block_bytes = ((32 << 20) / scan.threads as u64).clamp(1 << 20, 4 << 20);
        Self { outcomes: Outcomes::All, scan: ScanOptions { block_bytes, ..scan } }
    }
}

/// What a scan does with each block.
struct AnomaliesMap {
    filter: Filter,
    outcomes: Outcomes,
    /// Of each file, where to begin.
    starts: Vec<u64>,
}

impl BlockMap for AnomaliesMap {
    type Scratch = BlockScan;
    type Output = Option<AnomaliesPartial>;

    fn map(
        &self,
        file: usize,
        scratch: &mut BlockScan,
        block: &Block,
        skipped: &mut Skipped,
        _output: &mut Option<AnomaliesPartial>,
    ) {
        let start = self.starts[file];
        scratch.take_in(&self.filter, self.outcomes, start, block, skipped, |_, _| {});
    }

    fn end_part(&self, scratch: &mut BlockScan, output: &mut Option<AnomaliesPartial>) {
        *output = scratch.finish();
    }
}

/// A scan for anomalies, a step at a time: so that the caller can look for Ctrl-C in between.
pub struct AnomaliesScan {
    scan: Scan<AnomaliesMap>,
    partial: AnomaliesPartial,
    skipped: SkippedFiles,
}

impl AnomaliesScan {
    /// Opens a log to find the anomalies among the records that `filter` wants.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn open(log: &Log, filter: &Filter, options: AnomaliesScanOptions) -> Result<Self> {
        let outcomes = options.outcomes;
        let map = AnomaliesMap { filter: filter.clone(), outcomes, starts: log.starts().collect() };
        Ok(Self {
            scan: Scan::new(std::slice::from_ref(log), map, options.scan)?,
            partial: if log.continues {
                AnomaliesPartial::in_the_middle(filter)
            } else {
                AnomaliesPartial::at_start(filter)
            },
            skipped: SkippedFiles::of(log),
        })
    }

    /// Reads on a bit, waiting no longer than `wait`; false at the end of the log.
    ///
    /// # Errors
    /// The log cannot be read on.
    pub fn step(&mut self, wait: Duration) -> Result<bool> {
        match self.scan.next(wait)? {
            ScanStep::Part(part) => {
                self.skipped.merge(part.file, &part.skipped);
                if let Some(error) = part.error {
                    return Err(error);
                }
                if let Some(later) = part.output {
                    self.partial.merge(later);
                }
                Ok(true)
            }
            ScanStep::Pending => Ok(true),
            ScanStep::End => Ok(false),
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.scan.progress()
    }

    /// The forked children whose actions are open so far.
    pub(crate) fn open_pids(&self) -> HashSet<u32> {
        self.partial.open_pids()
    }

    /// What was skipped so far, in words: a line for each file of which there is something to tell.
    pub fn notes(&self) -> Vec<String> {
        self.skipped.notes()
    }

    /// The state so far, and what was skipped.
    pub(crate) fn into_parts(self) -> (AnomaliesPartial, SkippedFiles) {
        (self.partial, self.skipped)
    }

    /// What was found so far.
    pub fn finish(self) -> Anomalies {
        self.partial.finish(self.skipped.total())
    }
}

/// Finds the anomalies of a log, among the records that `filter` wants.
///
/// # Errors
/// The log cannot be opened or read.
pub fn scan_anomalies(path: &Path, filter: &Filter) -> Result<Anomalies> {
    scan_anomalies_with(&Log::with_parts(path), filter, AnomaliesScanOptions::default())
}

/// The same, for a log that is not necessarily read from its beginning, and in a given way: which
/// changes nothing in what is found.
///
/// # Errors
/// The log cannot be opened or read.
pub fn scan_anomalies_with(
    log: &Log,
    filter: &Filter,
    options: AnomaliesScanOptions,
) -> Result<Anomalies> {
    let mut scan = AnomaliesScan::open(log, filter, options)?;
    while scan.step(Duration::from_secs(1))? {}
    Ok(scan.finish())
}
