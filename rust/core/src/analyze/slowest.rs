//! The slowest actions that ended, of whatever log.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::is_few;
use crate::metadata::{short_json, short_name};
use crate::read::Kind;
use crate::record::{Event, Name, Record, Text};
use crate::redact::{redact, redact_json};

/// Texts are cut behind so many bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 1000;

/// How texts are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// Without secrets.
    pub(crate) redact: bool,
    /// Names only, and those short.
    pub(crate) no_detail: bool,
}

impl Told {
    /// A name. Secrets are taken out before it is cut: half a secret does not look like one.
    pub(crate) fn name(self, name: &[u8]) -> Text {
        let text = if self.redact { redact(name) } else { name.into() };
        if self.no_detail { short_name(&text).into_owned() } else { text.into_owned() }
    }

    /// The JSON text of a name or number; `None` of what is neither, where only those are kept.
    fn json(self, json: &[u8]) -> Option<Text> {
        let json = if self.redact { redact_json(json) } else { json.into() };
        if self.no_detail { Some(short_json(&json)?.into_owned()) } else { Some(json.into_owned()) }
    }
}

/// One of the slowest actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowAction {
    /// The kind of action.
    pub action: Text,
    /// What it was at, in words; empty where the record does not say.
    pub detail: Text,
    /// How it ended.
    pub event: Event,
    /// How long it took, seconds.
    pub duration_s: f64,
    /// What joins its records.
    pub trace_id: Text,
    /// The evaluation task, as JSON text (not null).
    pub task: Option<Text>,
    /// The sample, as JSON text (not null).
    pub sample_id: Option<Text>,
    /// The epoch, as JSON text (not null).
    pub epoch: Option<Text>,
    /// What the exception said.
    pub error: Option<Text>,
    /// The class of the exception.
    pub error_type: Option<Text>,
    /// Which of the files of all logs its closing record is in.
    pub file: usize,
    /// Where that record's line begins in the (decompressed) file, in bytes.
    pub offset: u64,
}

/// The slowest of those that were seen, the slowest first; of equal ones the first in the logs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slowest {
    most: usize,
    actions: Vec<SlowAction>,
}

impl Slowest {
    /// No more than so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, actions: Vec::new() }
    }

    /// Takes in an action that ended with `record`.
    pub(crate) fn observe(
        &mut self,
        record: &Record<'_>,
        event: Event,
        duration_s: f64,
        place: (usize, u64),
        shown: Told,
    ) {
        if self.admits(duration_s, place) {
            self.put(SlowAction::of(record, event, duration_s, place, shown));
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for action in other.actions {
            if self.admits(action.duration_s, (action.file, action.offset)) {
                self.put(action);
            }
        }
    }

    /// Whether it is one that can be.
    pub(crate) fn is_sound(&self) -> bool {
        let mut actions = self.actions.iter();
        actions.all(|action| is_few(action.file as u64) && is_few(action.offset))
    }

    /// Counts so many files before those that its actions are in.
    pub(crate) fn shift_files(&mut self, files: usize) {
        for action in &mut self.actions {
            action.file += files;
        }
    }

    pub(crate) fn into_actions(self) -> Vec<SlowAction> {
        self.actions
    }

    fn admits(&self, duration_s: f64, place: (usize, u64)) -> bool {
        // What is no number took no time.
        duration_s.is_finite()
            && (self.actions.len() < self.most
                || self
                    .actions
                    .last()
                    .is_some_and(|last| order(last, (duration_s, place)) == Ordering::Greater))
    }

    fn put(&mut self, action: SlowAction) {
        let key = (action.duration_s, (action.file, action.offset));
        let at = self.actions.partition_point(|other| order(other, key) != Ordering::Greater);
        self.actions.insert(at, action);
        self.actions.truncate(self.most);
    }
}

/// Whether an action comes before (less) or after what took so long there.
fn order(action: &SlowAction, (duration_s, place): (f64, (usize, u64))) -> Ordering {
    duration_s.total_cmp(&action.duration_s).then_with(|| (action.file, action.offset).cmp(&place))
}

impl SlowAction {
    fn of(
        record: &Record<'_>,
        event: Event,
        duration_s: f64,
        (file, offset): (usize, u64),
        shown: Told,
    ) -> Self {
        let text = |name| record.text(name).map(|text| cut(&shown.name(&text)).to_vec());
        let said = |name| if shown.no_detail { None } else { text(name) };
        let json = |name| {
            let value = record.value(name).filter(|value| value.kind() != Kind::Null)?;
            let raw = value.raw();
            // Half of a JSON value is none.
            if raw.len() <= MAX_TEXT_BYTES { shown.json(raw) } else { None }
        };
        Self {
            action: text(Name::Action).unwrap_or_default(),
            detail: said(Name::Detail).unwrap_or_default(),
            event,
            duration_s,
            trace_id: text(Name::TraceId).unwrap_or_default(),
            task: json(Name::Task),
            sample_id: json(Name::SampleId),
            epoch: json(Name::Epoch),
            error: said(Name::Error),
            error_type: text(Name::ErrorType),
            file,
            offset,
        }
    }
}

/// The text, or its first bytes, to the end of a character.
pub(crate) fn cut(text: &[u8]) -> &[u8] {
    if text.len() <= MAX_TEXT_BYTES {
        return text;
    }
    let is_inside = |at: usize| text[at] & 0xc0 == 0x80;
    let end = (0..=MAX_TEXT_BYTES).rev().find(|&at| !is_inside(at)).unwrap_or(0);
    &text[..end]
}
