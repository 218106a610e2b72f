//! Actions that did not simply end well: open, cancelled, failed, timed out.
//!
//! The semantics are those of the reference, which keeps one dictionary of running actions and
//! one for each way to end badly, all by `trace_id`: an `enter` record replaces what was there
//! (in its place), any other record removes the running one, gives it its place in the dictionary
//! of its ending, and takes over the start time of the `enter` record it closes.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::Result;
use crate::read::{Blocks, Filter, Kind, LineCursor, Skipped};
use crate::record::{Event, Name, Record, Text, parse_record};

use super::{Partial, timestamp};

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
    /// Where the record's line begins in the (decompressed) log, in bytes.
    pub offset: u64,
}

impl Action {
    /// What a person wants to read: the detail, or the message where there is none.
    pub fn detail_or_message(&self) -> &[u8] {
        if self.detail.is_empty() { &self.message } else { &self.detail }
    }

    /// When it ended, as far as its records tell: what actions are sorted by.
    fn end_s(&self) -> f64 {
        let end = self.start_time_s.unwrap_or(0.0) + self.duration_s.unwrap_or(0.0);
        // The place of what is no number is the end of the list.
        if end.is_nan() { f64::NEG_INFINITY } else { end }
    }

    fn of(kept: &Kept) -> Option<Self> {
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
    pub last_timestamps_by_pid: HashMap<u32, f64>,
    /// How many records the log has, wanted or not.
    pub records: u64,
    /// What was skipped.
    pub skipped: Skipped,
}

/// A line that is kept until the end, when it is decoded: most are dropped before.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    line: Box<[u8]>,
    offset: u64,
    start_time_s: Option<f64>,
    /// Its place among the entries of its map.
    place: u64,
    /// Closing records: whether the start time may still come from an earlier part of the log.
    awaits_start: bool,
}

type Map = HashMap<Text, Kept>;

/// The state of [`scan_anomalies`] after some consecutive records.
///
/// Memory: the open and the reported actions. A part that does not begin at the start of the log
/// also remembers the ids of the actions that ended in it, until it is merged.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomaliesPartial {
    filter: Filter,
    running: Map,
    cancelled: Map,
    errors: Map,
    timeouts: Map,
    /// The ids with a closing record; `None` at the start of a log, where nothing can be open.
    closed: Option<HashSet<Text>>,
    next_place: u64,
    last_timestamp_s: Option<f64>,
    last_main_timestamp_s: Option<f64>,
    last_timestamps_by_pid: HashMap<u32, f64>,
    records: u64,
}

impl AnomaliesPartial {
    /// The state before the first record of a log.
    pub fn at_start(filter: &Filter) -> Self {
        Self {
            filter: filter.clone(),
            running: Map::new(),
            cancelled: Map::new(),
            errors: Map::new(),
            timeouts: Map::new(),
            closed: None,
            next_place: 0,
            last_timestamp_s: None,
            last_main_timestamp_s: None,
            last_timestamps_by_pid: HashMap::new(),
            records: 0,
        }
    }

    /// The state before a record in the middle of a log.
    pub fn in_the_middle(filter: &Filter) -> Self {
        Self { closed: Some(HashSet::new()), ..Self::at_start(filter) }
    }

    /// What was found; `skipped` is what was skipped on the way.
    pub fn finish(self, skipped: Skipped) -> Anomalies {
        Anomalies {
            running: sorted(self.running),
            cancelled: sorted(self.cancelled),
            errors: sorted(self.errors),
            timeouts: sorted(self.timeouts),
            last_timestamp_s: self.last_timestamp_s,
            last_main_timestamp_s: self.last_main_timestamp_s,
            last_timestamps_by_pid: self.last_timestamps_by_pid,
            records: self.records,
            skipped,
        }
    }

    fn enter(&mut self, record: &Record<'_>, trace_id: Text, offset: u64) {
        let place = self.next_place;
        self.next_place += 1;
        let kept = Kept {
            line: record.json().into(),
            offset,
            start_time_s: record.start_time_s(),
            place,
            awaits_start: false,
        };
        put(&mut self.running, trace_id, kept);
    }

    fn close(&mut self, record: &Record<'_>, event: Event, trace_id: &[u8], offset: u64) {
        let opened = self.running.remove(trace_id);
        // Once an id was closed here, nothing before this part can be open under it.
        let closed_here = match &mut self.closed {
            Some(closed) => !closed.insert(trace_id.to_vec()),
            None => true,
        };
        let bucket = match event {
            Event::Cancel => &mut self.cancelled,
            Event::Error => &mut self.errors,
            Event::Timeout => &mut self.timeouts,
            Event::Exit | Event::Enter => return,
        };
        let place = self.next_place;
        self.next_place += 1;
        let awaits_start = opened.is_none() && !closed_here;
        let start_time_s =
            opened.map_or_else(|| record.start_time_s(), |opened| opened.start_time_s);
        let line = record.json().into();
        let kept = Kept { line, offset, start_time_s, place, awaits_start };
        put(bucket, trace_id.to_vec(), kept);
    }
}

/// Replaces the value of a key in its place, or adds it.
fn put(map: &mut Map, key: Text, mut kept: Kept) {
    match map.entry(key) {
        std::collections::hash_map::Entry::Occupied(mut entry) => {
            kept.place = entry.get().place;
            entry.insert(kept);
        }
        std::collections::hash_map::Entry::Vacant(entry) => {
            entry.insert(kept);
        }
    }
}

impl Partial for AnomaliesPartial {
    fn observe(&mut self, record: &Record<'_>, offset: u64) {
        self.records += 1;
        if let Some(epoch_s) = timestamp::parse_epoch_s(&record.timestamp()) {
            self.last_timestamp_s = Some(epoch_s);
            match record.pid() {
                None => self.last_main_timestamp_s = Some(epoch_s),
                Some(pid) => {
                    self.last_timestamps_by_pid.insert(pid, epoch_s);
                }
            }
        }
        let Some(event) = record.event() else { return };
        if !self.filter.matches_action_record(record) {
            return;
        }
        let Some(trace_id) = record.trace_id() else { return };
        match event {
            Event::Enter => self.enter(record, trace_id.into_owned(), offset),
            _ => self.close(record, event, &trace_id, offset),
        }
    }

    fn merge(&mut self, later: Self) {
        let resolve = |mut kept: Kept, trace_id: &Text, earlier: &Self| {
            if kept.awaits_start {
                if let Some(opened) = earlier.running.get(trace_id) {
                    kept.start_time_s = opened.start_time_s;
                    kept.awaits_start = false;
                } else {
                    kept.awaits_start =
                        earlier.closed.as_ref().is_some_and(|closed| !closed.contains(trace_id));
                }
            }
            kept.place += earlier.next_place;
            kept
        };
        for (theirs, which) in [
            (later.cancelled, Event::Cancel),
            (later.errors, Event::Error),
            (later.timeouts, Event::Timeout),
        ] {
            for (trace_id, kept) in theirs {
                let kept = resolve(kept, &trace_id, self);
                let ours = match which {
                    Event::Cancel => &mut self.cancelled,
                    Event::Error => &mut self.errors,
                    _ => &mut self.timeouts,
                };
                put(ours, trace_id, kept);
            }
        }
        if let Some(closed) = later.closed {
            for trace_id in &closed {
                self.running.remove(trace_id);
            }
            if let Some(ours) = &mut self.closed {
                ours.extend(closed);
            }
        }
        for (trace_id, mut kept) in later.running {
            kept.place += self.next_place;
            put(&mut self.running, trace_id, kept);
        }
        self.next_place += later.next_place;
        self.last_timestamp_s = later.last_timestamp_s.or(self.last_timestamp_s);
        self.last_main_timestamp_s = later.last_main_timestamp_s.or(self.last_main_timestamp_s);
        self.last_timestamps_by_pid.extend(later.last_timestamps_by_pid);
        self.records += later.records;
    }
}

/// The actions of a map, the latest end first; of equal ones, the one that came first.
fn sorted(map: Map) -> Vec<Action> {
    let mut kept: Vec<_> = map.into_values().collect();
    kept.sort_unstable_by_key(|kept| kept.place);
    let mut actions: Vec<_> = kept.iter().filter_map(Action::of).collect();
    actions.sort_by(|a, b| b.end_s().partial_cmp(&a.end_s()).unwrap_or(Ordering::Equal));
    actions
}

/// A scan for anomalies, a step at a time: so that the caller can look for Ctrl-C in between.
pub struct AnomaliesScan {
    blocks: Blocks,
    cursor: LineCursor,
    partial: AnomaliesPartial,
    skipped: Skipped,
}

impl AnomaliesScan {
    /// Opens a log to find the anomalies among the records that `filter` wants.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn open(path: &Path, filter: &Filter) -> Result<Self> {
        Ok(Self {
            blocks: Blocks::open(path)?,
            cursor: LineCursor::new(),
            partial: AnomaliesPartial::at_start(filter),
            skipped: Skipped::default(),
        })
    }

    /// Reads on a bit; false at the end of the log.
    ///
    /// # Errors
    /// The log cannot be read on.
    pub fn step(&mut self) -> Result<bool> {
        let next = self.blocks.next_block()?;
        self.skipped.merge(&self.blocks.take_skipped());
        let Some(block) = next else { return Ok(false) };
        while let Some(record) = self.cursor.next(&block, &mut self.skipped) {
            self.partial.observe(&record, record.offset());
        }
        self.blocks.recycle(block);
        Ok(true)
    }

    /// The forked children whose actions are open so far.
    pub(crate) fn open_pids(&self) -> HashSet<u32> {
        let kept = self.partial.running.values();
        kept.filter_map(|kept| parse_record(&kept.line).ok()?.pid()).collect()
    }

    /// What was found so far.
    pub fn finish(self) -> Anomalies {
        self.partial.finish(self.skipped)
    }
}

/// Finds the anomalies of a log, among the records that `filter` wants.
///
/// # Errors
/// The log cannot be opened or read.
pub fn scan_anomalies(path: &Path, filter: &Filter) -> Result<Anomalies> {
    let mut scan = AnomaliesScan::open(path, filter)?;
    while scan.step()? {}
    Ok(scan.finish())
}
