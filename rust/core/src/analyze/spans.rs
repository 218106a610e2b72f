//! Actions as spans of time: what their records tell, in the order of the log, for those who show
//! all actions and not only the anomalies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::metadata::{short_json, short_name};
use crate::read::{
    ActionSpan, Block, BlockMap, Filter, Kind, LineCursor, Log, Skipped, to_str_lossy,
};
use crate::record::{Event, Name, Record};
use crate::redact::{redact, redact_json};
use crate::store::ProcessStatus;
use crate::timestamp;

use super::anomalies_partial::Times;
use super::diagnosis::{Writers, main_process, writer_alive};
use super::ids::hash_id;

/// What one record tells of its action.
#[derive(Debug, Clone)]
pub(crate) struct ActionRecord {
    pub(crate) hash: u64,
    /// Whether the record is one that counts, see [`Filter::matches_action_record`].
    pub(crate) matches: bool,
    pub(crate) timestamp_s: Option<f64>,
    pub(crate) span: Span,
}

/// An action as its records tell so far.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) action: Box<[u8]>,
    pub(crate) detail: Box<[u8]>,
    pub(crate) trace_id: Box<[u8]>,
    pub(crate) parent_id: Option<Box<[u8]>>,
    /// The last that is known of it: [`Event::Enter`] for an open one.
    pub(crate) event: Event,
    pub(crate) start_s: Option<f64>,
    pub(crate) end_s: Option<f64>,
    /// As recorded; of an open one, once it is judged, how long it took so far.
    pub(crate) duration_s: Option<f64>,
    pub(crate) error: Option<Box<[u8]>>,
    pub(crate) error_type: Option<Box<[u8]>>,
    pub(crate) stacktrace: Option<Box<[u8]>>,
    /// The evaluation task, as JSON text (not null).
    pub(crate) task: Option<Box<[u8]>>,
    /// The sample, as JSON text (not null).
    pub(crate) sample_id: Option<Box<[u8]>>,
    /// The epoch, as JSON text (not null).
    pub(crate) epoch: Option<Box<[u8]>>,
    pub(crate) pid: Option<u32>,
    /// Whether its process ended while it was open.
    pub(crate) interrupted: bool,
}

impl ActionRecord {
    fn of(record: &Record<'_>, event: Event, matches: bool, shown: Shown) -> Option<Self> {
        let id = |name| record.text(name).map(|text| Box::from(&*shown.id(&text)));
        let text = |name| record.text(name).map(|text| Box::from(&*shown.text(&text)));
        let finite = |number: Option<f64>| number.filter(|number| number.is_finite());
        let json = |name| {
            let value = record.value(name)?;
            if value.kind() == Kind::Null {
                return None;
            }
            shown.json(value.raw()).map(|json| Box::from(&*json))
        };
        let trace_id: Box<[u8]> = id(Name::TraceId)?;
        let timestamp_s = timestamp::parse_epoch_s(&record.timestamp());
        let duration_s = finite(record.duration_s());
        let start_s = finite(record.start_time_s());
        let (start_s, end_s) = if event == Event::Enter {
            (start_s.or(timestamp_s), None)
        } else {
            // What remains if the record that it began with is not in the log.
            let start_s = start_s.or_else(|| Some(timestamp_s? - duration_s?));
            (start_s, timestamp_s)
        };
        Some(Self {
            hash: hash_id(&trace_id),
            matches,
            timestamp_s,
            span: Span {
                action: text(Name::Action)?,
                detail: if shown.no_detail {
                    Box::default()
                } else {
                    text(Name::Detail).or_else(|| text(Name::Message)).unwrap_or_default()
                },
                trace_id,
                parent_id: id(Name::ParentId),
                event,
                start_s,
                end_s,
                duration_s,
                error: if shown.no_detail { None } else { text(Name::Error) },
                error_type: text(Name::ErrorType),
                stacktrace: if shown.stacks && !shown.no_detail {
                    text(Name::Stacktrace)
                } else {
                    None
                },
                task: json(Name::Task),
                sample_id: json(Name::SampleId),
                epoch: json(Name::Epoch),
                pid: record.pid(),
                interrupted: false,
            },
        })
    }
}

impl Span {
    pub(crate) fn is_open(&self) -> bool {
        self.event == Event::Enter
    }

    /// Takes in the record that the action ended with.
    pub(crate) fn close(&mut self, record: ActionRecord) {
        let ended = record.span;
        self.event = ended.event;
        self.duration_s =
            ended.duration_s.or_else(|| Some((record.timestamp_s? - self.start_s?).max(0.0)));
        // The clock of durations is the one that is never set.
        self.end_s = match (self.start_s, self.duration_s) {
            (Some(start_s), Some(duration_s)) => Some(start_s + duration_s),
            _ => ended.end_s,
        };
        (self.error, self.error_type, self.stacktrace) =
            (ended.error, ended.error_type, ended.stacktrace);
    }

    /// What a filter selects it by.
    pub(crate) fn span(&self) -> ActionSpan {
        ActionSpan {
            event: self.event,
            start_s: self.start_s,
            end_s: self.end_s,
            duration_s: self.duration_s.unwrap_or(0.0),
        }
    }

    /// How it ended, or why it did not.
    pub(crate) fn outcome(&self) -> &'static str {
        match self.event {
            Event::Enter if self.interrupted => "interrupted",
            Event::Enter => "running",
            event => event.as_str(),
        }
    }

    /// About how much memory it takes.
    pub(crate) fn cost_bytes(&self) -> usize {
        let options = [
            &self.parent_id,
            &self.error,
            &self.error_type,
            &self.stacktrace,
            &self.task,
            &self.sample_id,
            &self.epoch,
        ];
        let texts: usize = options.into_iter().flatten().map(|text| text.len()).sum();
        size_of::<Self>() + texts + self.action.len() + self.detail.len() + self.trace_id.len()
    }

    /// The task or sample as text: a string by what it says, anything else by its JSON text.
    pub(crate) fn json_as_text(json: &[u8]) -> String {
        let text = if json.first() == Some(&b'"') && json.len() >= 2 {
            crate::read::wtf8::unescape(&json[1..json.len() - 1])
        } else {
            json.to_vec()
        };
        to_str_lossy(&text).into_owned()
    }
}

/// What some consecutive blocks of a log tell of actions.
#[derive(Debug, Default)]
pub(crate) struct ActionRecords {
    pub(crate) records: Vec<ActionRecord>,
    /// Only if they are to be shown.
    pub(crate) stalls: Vec<Stall>,
    pub(crate) times: Times,
}

/// What a record tells of where an action waits.
#[derive(Debug)]
pub(crate) struct Stall {
    /// How many of the action records come before it.
    pub(crate) at: usize,
    pub(crate) hash: u64,
    pub(crate) trace_id: Box<[u8]>,
    /// The JSON text of a list of frames.
    pub(crate) frames: Box<[u8]>,
}

impl Stall {
    fn of(record: &Record<'_>, at: usize, shown: Shown) -> Option<Self> {
        let trace_id: Box<[u8]> = Box::from(&*record.trace_id()?);
        let frames = record.get(b"stack").filter(|frames| frames.kind() == Kind::Array)?;
        let frames = Box::from(&*shown.json(frames.raw())?);
        Some(Self { at, hash: hash_id(&trace_id), trace_id, frames })
    }
}

/// Picks the action records out of a block.
pub(crate) struct SpanMap {
    filter: Filter,
    /// Of each file, where to begin.
    starts: Vec<u64>,
    shown: Shown,
}

/// What is shown of an action.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // each is an option of its own
pub(crate) struct Shown {
    /// Stack traces too.
    pub(crate) stacks: bool,
    /// Where actions wait, too.
    pub(crate) stalls: bool,
    /// No keys, tokens and passwords.
    pub(crate) redact: bool,
    /// No texts but short names: see [`crate::metadata`].
    pub(crate) no_detail: bool,
}

impl Shown {
    fn text(self, text: &[u8]) -> Cow<'_, [u8]> {
        let text = if self.redact { redact(text) } else { Cow::Borrowed(text) };
        if self.no_detail { Cow::Owned(short_name(&text).into_owned()) } else { text }
    }

    fn id(self, id: &[u8]) -> Cow<'_, [u8]> {
        if self.no_detail { short_name(id) } else { Cow::Borrowed(id) }
    }

    fn json(self, json: &[u8]) -> Option<Cow<'_, [u8]>> {
        let json = if self.redact { redact_json(json) } else { Cow::Borrowed(json) };
        if self.no_detail { Some(Cow::Owned(short_json(&json)?.into_owned())) } else { Some(json) }
    }
}

impl SpanMap {
    pub(crate) fn new(logs: &[Log], filter: &Filter, shown: Shown) -> Self {
        Self { filter: filter.clone(), starts: logs.iter().flat_map(Log::starts).collect(), shown }
    }
}

impl BlockMap for SpanMap {
    type Scratch = LineCursor;
    type Output = ActionRecords;

    fn map(
        &self,
        file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        found: &mut ActionRecords,
    ) {
        while let Some(record) = cursor.next(block, skipped) {
            if record.offset() < self.starts[file] {
                continue;
            }
            found.times.observe(&record);
            let Some(event) = record.event() else {
                if self.shown.stalls && record.is_stall() {
                    found.stalls.extend(Stall::of(&record, found.records.len(), self.shown));
                }
                continue;
            };
            let matches = self.filter.matches_action_record(&record);
            found.records.extend(ActionRecord::of(&record, event, matches, self.shown));
        }
    }
}

/// Whether the actions of a log name those that they are in.
pub(crate) struct NamesParents;

impl BlockMap for NamesParents {
    type Scratch = LineCursor;
    type Output = bool;

    fn map(
        &self,
        _file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        found: &mut bool,
    ) {
        while let Some(record) = cursor.next(block, skipped) {
            *found |= record.event().is_some() && record.parent_id().is_some();
        }
    }
}

/// What is known of a log and its processes, once all of it is read.
pub(crate) struct LogEnd {
    /// Where its forked children are asked for.
    log: Option<Log>,
    process: ProcessStatus,
    times: Times,
    as_of_s: f64,
    children: BTreeMap<u32, Option<bool>>,
}

impl LogEnd {
    /// Looks at the process of a log, before the log is read: of one that has ended by then, all
    /// records are there.
    pub(crate) fn before(log: &Log, as_of_s: f64) -> Self {
        Self {
            log: Some(log.clone()),
            process: main_process(log),
            times: Times::default(),
            as_of_s,
            children: BTreeMap::new(),
        }
    }

    /// What was found out about the writers of a log that has been read.
    pub(crate) fn known(writers: Writers, as_of_s: f64) -> Self {
        let Writers { process, children, .. } = writers;
        Self { log: None, process, times: Times::default(), as_of_s, children }
    }

    pub(crate) fn take_in(&mut self, later: Times) {
        self.times.merge(later);
    }

    /// The process that the log is named after, or that has it open.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.pid
    }

    /// Whether that lives, as far as it can be told.
    pub(crate) fn is_alive(&self) -> Option<bool> {
        self.process.alive
    }

    /// Until when an open action of a process lasts, and whether it was interrupted: now while the
    /// process lives, or may live, and else its last record. (A forked child is asked for after the log
    /// was read: what it ended in the moment before its death may be shown as interrupted.)
    fn until(&mut self, pid: Option<u32>) -> (Option<f64>, bool) {
        let Times { last_s, last_main_s, last_by_pid, .. } = &self.times;
        let (alive, last_s) = match pid {
            Some(pid) if Some(pid) != self.process.pid => {
                let alive = self.children.entry(pid);
                let ask = || writer_alive(self.log.as_ref()?, pid);
                let alive = alive.or_insert_with(ask);
                (*alive, last_by_pid.get(&pid).copied().or(*last_s))
            }
            _ => (self.process.alive, last_main_s.or(*last_s)),
        };
        if alive == Some(false) { (last_s, true) } else { (Some(self.as_of_s), false) }
    }

    /// What a filter selects an open action by that began then.
    pub(crate) fn open_span(&mut self, start_s: Option<f64>, pid: Option<u32>) -> ActionSpan {
        let (end_s, _) = self.until(pid);
        let elapsed_s = end_s.zip(start_s).map_or(0.0, |(end_s, start_s)| end_s - start_s);
        ActionSpan { event: Event::Enter, start_s, end_s, duration_s: elapsed_s.max(0.0) }
    }

    /// Dates an open action.
    pub(crate) fn judge(&mut self, span: &mut Span) {
        let (until_s, interrupted) = self.until(span.pid);
        span.interrupted = interrupted;
        span.end_s = if interrupted { until_s.or(span.start_s) } else { until_s };
        let elapsed_s = || Some((span.end_s? - span.start_s?).max(0.0));
        span.duration_s = span.duration_s.or_else(elapsed_s);
    }
}
