//! What anomalies mean now: whether open actions run, or were cut off when their process ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::clock;
use crate::read::{ActionSpan, Filter, Log, Progress, Skipped, SkippedFiles};
use crate::store::{self, LogFile, LogName, ProcessStatus};

use super::{Action, Anomalies, AnomaliesPartial, AnomaliesScan, AnomaliesScanOptions};

/// An action with its duration.
#[derive(Debug, Clone, PartialEq)]
pub struct DatedAction {
    /// The action.
    pub action: Action,
    /// As recorded; of an action that runs, until `as_of`; of one that was cut off, until the last
    /// record of its process; 0 where nothing is known.
    pub duration_s: f64,
    /// When it ended, as far as the log tells; of one that runs, `as_of`; of one that was cut off,
    /// the last record of its process.
    pub end_s: Option<f64>,
    /// Whether its process ended while it ran.
    pub interrupted: bool,
}

impl DatedAction {
    /// What a filter selects it by.
    pub fn span(&self) -> ActionSpan {
        ActionSpan {
            event: self.action.event,
            start_s: self.action.start_time_s.filter(|start_s| !start_s.is_nan()),
            end_s: self.end_s,
            duration_s: self.duration_s,
        }
    }
}

/// The anomalies of a log, dated. The lists are sorted as those of [`Anomalies`].
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// Actions without an end, running and interrupted ones.
    pub open: Vec<DatedAction>,
    /// Cancelled actions.
    pub cancelled: Vec<DatedAction>,
    /// Actions that ended by an exception.
    pub errors: Vec<DatedAction>,
    /// Actions that timed out.
    pub timeouts: Vec<DatedAction>,
    /// The process that wrote the log.
    pub process: ProcessStatus,
    /// When it wrote last, where it has ended.
    pub ended_at_s: Option<f64>,
    /// What was skipped while reading.
    pub skipped: Skipped,
    /// The same in words: a line for each file of which there is something to tell.
    pub notes: Vec<String>,
}

impl Diagnosis {
    /// Open actions whose process lives, or may live.
    pub fn running(&self) -> impl Iterator<Item = &DatedAction> {
        self.open.iter().filter(|action| !action.interrupted)
    }

    /// Open actions whose process has ended.
    pub fn interrupted(&self) -> impl Iterator<Item = &DatedAction> {
        self.open.iter().filter(|action| action.interrupted)
    }

    /// Keeps of each list what `filter` selects.
    pub fn select(&mut self, filter: &Filter) {
        for list in [&mut self.open, &mut self.cancelled, &mut self.errors, &mut self.timeouts] {
            list.retain(|action| filter.selects(&action.span()));
        }
    }

    /// Judges open actions by the state of their processes.
    ///
    /// `process` is the process of the log, `is_alive` tells of the forked children that records
    /// name, `mtime_s` (when the file was last written) stands in where no record has a timestamp.
    pub fn of(
        anomalies: Anomalies,
        process: ProcessStatus,
        is_alive: &dyn Fn(u32) -> Option<bool>,
        mtime_s: Option<f64>,
        as_of_s: f64,
    ) -> Self {
        let last_s = anomalies.last_timestamp_s.or(mtime_s);
        let main_ended_at_s = anomalies.last_main_timestamp_s.or(last_s);
        // When the process of an open action ended; `None` while it lives, or may live.
        let ended_at_s = |action: &Action| match action.pid {
            Some(pid) if Some(pid) != process.pid => (is_alive(pid) == Some(false))
                .then(|| anomalies.last_timestamps_by_pid.get(&pid).copied().or(last_s)),
            _ => (process.alive == Some(false)).then_some(main_ended_at_s),
        };
        let open = anomalies.running.into_iter().map(|action| {
            let ended = ended_at_s(&action);
            let until_s = ended.map_or(Some(as_of_s), |ended_at_s| ended_at_s);
            let duration_s = action.duration_s.or_else(|| {
                let elapsed_s = until_s? - action.start_time_s?;
                // A clock that was set back does not make an ended action last less than nothing.
                Some(if ended.is_some() { elapsed_s.max(0.0) } else { elapsed_s })
            });
            DatedAction {
                action,
                duration_s: duration_s.unwrap_or(0.0),
                end_s: until_s,
                interrupted: ended.is_some(),
            }
        });
        Self {
            open: open.collect(),
            cancelled: dated(anomalies.cancelled, as_of_s),
            errors: dated(anomalies.errors, as_of_s),
            timeouts: dated(anomalies.timeouts, as_of_s),
            process,
            ended_at_s: if process.alive == Some(false) { main_ended_at_s } else { None },
            skipped: anomalies.skipped,
            notes: Vec::new(),
        }
    }
}

/// Ended actions; the reference dates those without a duration like running ones.
fn dated(actions: Vec<Action>, as_of_s: f64) -> Vec<DatedAction> {
    let dated = |action: Action| {
        let duration_s =
            action.duration_s.or_else(|| Some(as_of_s - action.start_time_s?)).unwrap_or(0.0);
        let end_s = action.timestamp_s.or_else(|| Some(action.start_time_s? + action.duration_s?));
        DatedAction { action, duration_s, end_s, interrupted: false }
    };
    actions.into_iter().map(dated).collect()
}

/// A scan for a diagnosis, a step at a time: so that the caller can look for Ctrl-C in between.
pub struct DiagnosisScan {
    log: Log,
    options: AnomaliesScanOptions,
    filter: Filter,
    process: ProcessStatus,
    scan: AnomaliesScan,
    /// Which of the forked children that have open actions live; once the first reading has told
    /// which these are.
    children: Option<BTreeMap<u32, Option<bool>>>,
}

impl DiagnosisScan {
    /// Opens a log to find the anomalies that `filter` selects, among the actions of the records
    /// that it lets count (see [`Filter::matches_action_record`]).
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn open(log: &Log, filter: &Filter, options: AnomaliesScanOptions) -> Result<Self> {
        // Asked before the records are read: of a process that ended before, they are all there;
        // one that ends in the meantime is taken for alive.
        let process = main_process(log);
        // If the log was rotated since its files were looked for, there are newer ones.
        let log = if is_part(log) { log.clone() } else { log.looked_for_again() };
        let log = log.as_far_as_anomalous(filter, options.outcomes);
        let scan = AnomaliesScan::open(&log, filter, options)?;
        let filter = filter.clone();
        Ok(Self { log, options, filter, process, scan, children: None })
    }

    /// Reads on a bit, waiting no longer than `wait`; false at the end of the log.
    ///
    /// # Errors
    /// The log cannot be read on.
    pub fn step(&mut self, wait: Duration) -> Result<bool> {
        if self.scan.step(wait)? {
            return Ok(true);
        }
        if self.children.is_some() {
            return Ok(false);
        }
        let alive: BTreeMap<_, _> = self
            .scan
            .open_pids()
            .into_iter()
            .map(|pid| (pid, writer_alive(&self.log, pid)))
            .collect();
        let was_asked_too_late =
            alive.values().any(|&alive| alive == Some(false)) && self.process.alive != Some(false);
        self.children = Some(alive);
        if was_asked_too_late {
            // A child that is dead by now may have ended its actions after we read its records:
            // only what is read after its death is all there is.
            if !is_part(&self.log) {
                self.log = self.log.looked_for_again();
            }
            self.scan = AnomaliesScan::open(&self.log, &self.filter, self.options)?;
        }
        Ok(was_asked_too_late)
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.scan.progress()
    }

    /// What was found, as of a moment (seconds since the epoch).
    pub fn finish(self, as_of_s: f64) -> Diagnosis {
        let filter = self.filter.clone();
        let (partial, skipped, writers) = self.into_parts();
        writers.judge(partial, &skipped, &filter, as_of_s)
    }

    /// The state after what was read, what was skipped, and what is known of the writers.
    pub(crate) fn into_parts(self) -> (AnomaliesPartial, SkippedFiles, Writers) {
        let mut newest = self.log.files.iter().rev();
        let modified_s = newest.find_map(LogFile::modified_s);
        let children = self.children.unwrap_or_default();
        let (partial, skipped) = self.scan.into_parts();
        (partial, skipped, Writers { process: self.process, children, modified_s })
    }
}

/// Who writes a log, and whether they live.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Writers {
    /// The process that the log is named after, as it was before the log was read.
    pub(crate) process: ProcessStatus,
    /// The forked children that had open actions, as they were after it was read.
    pub(crate) children: BTreeMap<u32, Option<bool>>,
    /// When the log was last written, seconds since the epoch.
    pub(crate) modified_s: Option<f64>,
}

impl Writers {
    /// What is known after more of the log was read.
    pub(crate) fn merge(&mut self, later: Self) {
        self.process = later.process;
        self.children.extend(later.children);
        self.modified_s = later.modified_s.or(self.modified_s);
    }

    /// What a state means, as of a moment (seconds since the epoch).
    pub(crate) fn judge(
        &self,
        partial: AnomaliesPartial,
        skipped: &SkippedFiles,
        filter: &Filter,
        as_of_s: f64,
    ) -> Diagnosis {
        let is_alive = |pid| self.children.get(&pid).copied().flatten();
        let found = partial.finish(skipped.total());
        let mut diagnosis = Diagnosis::of(found, self.process, &is_alive, self.modified_s, as_of_s);
        diagnosis.notes = skipped.notes();
        diagnosis.select(filter);
        diagnosis
    }
}

/// Whether others read the rest of a log: of the files as they were found once.
fn is_part(log: &Log) -> bool {
    log.continues || log.end.is_some()
}

/// The process that a log is named after. Its forked children may outlive it: that one of them has
/// the log open does not make it alive.
pub(crate) fn main_process(log: &Log) -> ProcessStatus {
    let path = &log.path;
    if let Some(origin) = &log.origin {
        return ProcessStatus { pid: origin.pid, alive: origin.is_alive(clock::now_s()) };
    }
    if log.is_remote() {
        return store::far_process(path);
    }
    let process = store::liveness_of_log(path, &parts(log));
    match path.file_name().and_then(LogName::parse) {
        Some(name) if process.alive == Some(true) && process.pid != Some(name.pid) => {
            ProcessStatus { pid: Some(name.pid), alive: writer_alive(log, name.pid) }
        }
        _ => process,
    }
}

/// Whether a process writes to a log: one that has not noticed yet that it was rotated writes to a
/// part.
pub(crate) fn writer_alive(log: &Log, pid: u32) -> Option<bool> {
    if let Some(origin) = &log.origin {
        return origin.is_alive(clock::now_s());
    }
    if log.is_remote() {
        return store::far_process(&log.path).alive;
    }
    let parts = parts(log);
    let has_part = |part: &PathBuf| store::writer_alive(part, pid) == Some(true);
    if parts.iter().rev().any(has_part) {
        return Some(true);
    }
    match store::writer_alive(&log.path, pid) {
        // The file that is written may be missing for a moment, or for good.
        None if !parts.is_empty() => parts.last().and_then(|part| store::writer_alive(part, pid)),
        alive => alive,
    }
}

/// The parts of a log that are over.
pub(super) fn parts(log: &Log) -> Vec<PathBuf> {
    let over = log.files.iter().filter(|file| file.is_finished_part());
    over.map(|file| file.path().to_owned()).collect()
}

/// Finds the anomalies of a log and judges them as of a moment (seconds since the epoch).
///
/// # Errors
/// The log cannot be opened or read.
pub fn diagnose(path: &Path, filter: &Filter, as_of_s: f64) -> Result<Diagnosis> {
    let mut scan =
        DiagnosisScan::open(&Log::with_parts(path), filter, AnomaliesScanOptions::default())?;
    while scan.step(Duration::from_secs(1))? {}
    Ok(scan.finish(as_of_s))
}
