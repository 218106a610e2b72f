//! The record on disk: THE description of the format.
//!
//! A trace log is JSON Lines. A **record** is one line holding a JSON object with at least the
//! strings `timestamp` (ISO 8601 with offset), `level` and `message`. Levels other than TRACE add
//! `module`, `function` and `line`. An **action record** also has `action` (string), `event` (one
//! of [`Event`]), `trace_id` (string) and, where they apply, `detail` (string), `start_time` and
//! `duration` (numbers, seconds), `error`, `error_type` and `stacktrace` (strings), `parent_id`.
//! Whatever a program attached (`extra=`) follows: `task`, `sample_id`, `epoch`, `pid`, anything.
//!
//! The JSON is what Python's `json.loads` takes, so `NaN`, `Infinity`, lone surrogate escapes and
//! repeated keys (the last one counts) are legal, and nesting has no limit.
//!
//! [`Record`] is a view of one line: finding the fields costs one pass, their values are decoded
//! when asked for. Text is WTF-8 ([`Text`]): UTF-8 that may also hold lone surrogates.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::fields::{Field, Fields};
use crate::read::json::{self, Kind};
use crate::read::wtf8;

/// From this number of fields on, repeated keys are found by hashing.
const MANY_FIELDS: usize = 40;

/// Decoded text: UTF-8 that may also hold lone surrogates, as Python strings do.
pub type Text = Vec<u8>;

/// A field that the format knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // The names are the documentation: each is the key in the log.
pub enum Name {
    Timestamp,
    Level,
    Message,
    Module,
    Function,
    Line,
    Action,
    Detail,
    Event,
    TraceId,
    ParentId,
    StartTime,
    Duration,
    Error,
    ErrorType,
    Stacktrace,
    Task,
    SampleId,
    Epoch,
    Pid,
    /// Any other key.
    Extra,
}

impl Name {
    /// How many names there are, [`Self::Extra`] included.
    pub(crate) const COUNT: usize = Self::Extra as usize + 1;

    /// The name of a decoded key.
    pub fn of(key: &[u8]) -> Self {
        match key {
            b"timestamp" => Self::Timestamp,
            b"level" => Self::Level,
            b"message" => Self::Message,
            b"module" => Self::Module,
            b"function" => Self::Function,
            b"line" => Self::Line,
            b"action" => Self::Action,
            b"detail" => Self::Detail,
            b"event" => Self::Event,
            b"trace_id" => Self::TraceId,
            b"parent_id" => Self::ParentId,
            b"start_time" => Self::StartTime,
            b"duration" => Self::Duration,
            b"error" => Self::Error,
            b"error_type" => Self::ErrorType,
            b"stacktrace" => Self::Stacktrace,
            b"task" => Self::Task,
            b"sample_id" => Self::SampleId,
            b"epoch" => Self::Epoch,
            b"pid" => Self::Pid,
            _ => Self::Extra,
        }
    }
}

/// What an action record tells of its action.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Event {
    /// It began.
    Enter,
    /// It ended well.
    Exit,
    /// It was cancelled.
    Cancel,
    /// It raised an exception.
    Error,
    /// It timed out.
    Timeout,
}

impl Event {
    /// The event of that name.
    pub fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"enter" => Self::Enter,
            b"exit" => Self::Exit,
            b"cancel" => Self::Cancel,
            b"error" => Self::Error,
            b"timeout" => Self::Timeout,
            _ => return None,
        })
    }

    /// Its name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Exit => "exit",
            Self::Cancel => "cancel",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

/// Why a line is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reject {
    /// Not JSON.
    NotJson,
    /// JSON, but not an object.
    NotObject,
    /// An object without one of the strings `timestamp`, `level`, `message`.
    MissingFields,
}

impl Reject {
    /// In words, for the note on what was skipped.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotJson => "not JSON",
            Self::NotObject => "not a JSON object",
            Self::MissingFields => "no timestamp, level or message",
        }
    }
}

/// Whether a record tells of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// It has no `action`.
    None,
    /// It is an action record.
    Event(Event),
    /// It has an `action`, but its fields are not those of an action record; why, in words.
    Invalid(&'static str),
}

/// A value as it stands in the log: JSON text that is known to be well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawValue<'r> {
    raw: &'r [u8],
    kind: Kind,
}

impl<'r> RawValue<'r> {
    pub(crate) fn new(raw: &'r [u8], kind: Kind) -> Self {
        Self { raw, kind }
    }

    /// The JSON text.
    pub fn raw(self) -> &'r [u8] {
        self.raw
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// What stands between the quotes of a string.
    pub(crate) fn string_content(self) -> &'r [u8] {
        &self.raw[1..self.raw.len() - 1]
    }

    /// The decoded text of a string.
    pub fn text(self) -> Option<Cow<'r, [u8]>> {
        let Kind::String { escaped } = self.kind else { return None };
        let content = self.string_content();
        Some(if escaped { Cow::Owned(wtf8::unescape(content)) } else { Cow::Borrowed(content) })
    }

    /// Whether [`Self::number`] has one to give.
    fn is_number(self) -> bool {
        // So short a one is in the range of a float.
        (self.kind == Kind::Number && self.raw.len() < 300) || self.number().is_some()
    }

    /// The number, read as laxly as the reference reads it: numeric strings and booleans count,
    /// an integer beyond the range of a float does not.
    pub fn number(self) -> Option<f64> {
        match self.kind {
            Kind::Number => {
                let text = std::str::from_utf8(self.raw).ok()?;
                let value: f64 = text.parse().ok()?;
                let is_float = text.contains(['.', 'e', 'E']);
                (is_float || value.is_finite()).then_some(value)
            }
            Kind::NonFinite => Some(match self.raw {
                b"NaN" => f64::NAN,
                b"Infinity" => f64::INFINITY,
                _ => f64::NEG_INFINITY,
            }),
            Kind::True => Some(1.0),
            Kind::False => Some(0.0),
            Kind::String { .. } => number_in_text(std::str::from_utf8(&self.text()?).ok()?),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }
}

/// The number a text stands for: spaces around it and single underscores between digits are
/// fine, `nan` and `inf` are numbers.
fn number_in_text(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let underscores_between = text.contains('_')
        && !text.starts_with('_')
        && !text.ends_with('_')
        && !text.contains("__");
    if underscores_between { text.replace('_', "").parse().ok() } else { None }
}

/// One record, borrowed from its line ([`Self::into_owned`] for one that stands by itself).
#[derive(Debug, Clone)]
pub struct Record<'a> {
    line: Cow<'a, [u8]>,
    fields: Cow<'a, Fields>,
    action: ActionKind,
    repaired: bool,
    plain: bool,
    offset: u64,
}

/// A record that owns its line.
pub type OwnedRecord = Record<'static>;

/// The record in a line, given without its line break.
///
/// Invalid UTF-8 does not make a line unreadable: it is replaced by U+FFFD, see
/// [`Record::is_repaired`].
///
/// # Errors
/// The reason why the line is not a record.
pub fn parse_record(line: &[u8]) -> Result<Record<'_>, Reject> {
    let mut fields = Fields::default();
    let parsed = Parsed::of(line, &mut fields)?;
    Ok(parsed.into_record(line, Cow::Owned(fields), 0))
}

/// What parsing a line gave, apart from the fields: so that the buffer of the fields can be
/// used again, and a [`Record`] made only once it is wanted.
pub(crate) struct Parsed {
    repaired_line: Option<Vec<u8>>,
    action: ActionKind,
    plain: bool,
}

impl Parsed {
    /// Parses any line.
    pub(crate) fn of(line: &[u8], fields: &mut Fields) -> Result<Self, Reject> {
        let repaired_line = match std::str::from_utf8(line) {
            Ok(_) => None,
            Err(_) => Some(String::from_utf8_lossy(line).into_owned().into_bytes()),
        };
        let text = repaired_line.as_deref().unwrap_or(line);
        json::object_fields(text, fields)?;
        let action = Self::check(text, fields)?;
        Ok(Self { repaired_line, action, plain: false })
    }

    /// Takes the fields that were found in a line of printable ASCII.
    #[inline]
    pub(crate) fn of_plain(line: &[u8], fields: &Fields) -> Result<Self, Reject> {
        let action = Self::check(line, fields)?;
        Ok(Self { repaired_line: None, action, plain: true })
    }

    #[inline]
    fn check(line: &[u8], fields: &Fields) -> Result<ActionKind, Reject> {
        let is_string =
            |name| fields.find(name).is_some_and(|f| matches!(f.kind, Kind::String { .. }));
        if !(is_string(Name::Timestamp) && is_string(Name::Level) && is_string(Name::Message)) {
            return Err(Reject::MissingFields);
        }
        Ok(action_kind(line, fields))
    }

    #[inline]
    pub(crate) fn into_record<'a>(
        self,
        line: &'a [u8],
        fields: Cow<'a, Fields>,
        offset: u64,
    ) -> Record<'a> {
        let repaired = self.repaired_line.is_some();
        let line = self.repaired_line.map_or(Cow::Borrowed(line), Cow::Owned);
        Record { line, fields, action: self.action, repaired, plain: self.plain, offset }
    }

    pub(crate) fn is_repaired(&self) -> bool {
        self.repaired_line.is_some()
    }

    pub(crate) fn action_kind(&self) -> ActionKind {
        self.action
    }
}

/// Checks a record against the reference's model of an action record.
fn action_kind(line: &[u8], fields: &Fields) -> ActionKind {
    let value = |name| {
        fields.find(name).map(|field| RawValue { raw: field.value.of(line), kind: field.kind })
    };
    let is_text = |value: RawValue<'_>| matches!(value.kind, Kind::String { .. });
    let Some(action) = value(Name::Action) else { return ActionKind::None };
    if !is_text(action) {
        return ActionKind::Invalid("action is not a text");
    }
    let Some(event) = value(Name::Event).and_then(|event| Event::of(&event.text()?)) else {
        return ActionKind::Invalid("unknown event");
    };
    if !value(Name::TraceId).is_some_and(is_text) {
        return ActionKind::Invalid("trace_id is not a text");
    }
    if !value(Name::Detail).is_none_or(is_text) {
        return ActionKind::Invalid("detail is not a text");
    }
    for (name, reason) in [
        (Name::StartTime, "start_time is not a number"),
        (Name::Duration, "duration is not a number"),
    ] {
        if !value(name).is_none_or(|v| v.kind == Kind::Null || v.is_number()) {
            return ActionKind::Invalid(reason);
        }
    }
    for (name, reason) in [
        (Name::Error, "error is not a text"),
        (Name::ErrorType, "error_type is not a text"),
        (Name::Stacktrace, "stacktrace is not a text"),
    ] {
        if !value(name).is_none_or(|v| v.kind == Kind::Null || is_text(v)) {
            return ActionKind::Invalid(reason);
        }
    }
    ActionKind::Event(event)
}

impl Record<'_> {
    /// The JSON text of the record.
    pub fn json(&self) -> &[u8] {
        &self.line
    }

    /// Where the line begins in the (decompressed) log, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether invalid UTF-8 in the line was replaced by U+FFFD.
    pub fn is_repaired(&self) -> bool {
        self.repaired
    }

    /// The line and its fields, where these are known to be laid out as Python's `json.dumps` does
    /// by default, in printable ASCII, and without repeated keys.
    pub(crate) fn plain_fields(&self) -> Option<(&[u8], &[Field])> {
        (self.plain && !self.fields.may_repeat()).then(|| (&*self.line, self.fields.list()))
    }

    /// Whether the record tells of an action.
    pub fn action_kind(&self) -> ActionKind {
        self.action
    }

    /// What the record tells of its action, if it is an action record.
    pub fn event(&self) -> Option<Event> {
        match self.action {
            ActionKind::Event(event) => Some(event),
            ActionKind::None | ActionKind::Invalid(_) => None,
        }
    }

    /// Whether the record tells where an open action waits. It has no `action`, so that readers which
    /// do not know it take it for a message.
    pub fn is_stall(&self) -> bool {
        self.action == ActionKind::None
            && self.text(Name::Event).is_some_and(|event| *event == *b"stall")
    }

    /// The value of a field that the format knows.
    pub fn value(&self, name: Name) -> Option<RawValue<'_>> {
        self.fields.find(name).map(|field| self.raw_value(field))
    }

    /// The value of a field by its decoded key.
    pub fn get(&self, key: &[u8]) -> Option<RawValue<'_>> {
        match Name::of(key) {
            Name::Extra => self
                .fields
                .list()
                .iter()
                .rev()
                .find(|field| *self.key(field) == *key)
                .map(|field| self.raw_value(field)),
            name => self.value(name),
        }
    }

    /// All members of the object in the order of the line, repeated keys included.
    pub fn fields(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, RawValue<'_>)> {
        self.fields.list().iter().map(|field| (self.key(field), self.raw_value(field)))
    }

    /// Calls `visit` with each distinct key (as it stands in the line, with its quotes), its name
    /// and its value: the last one of a repeated key, in the place of the first.
    pub(crate) fn for_each_distinct(&self, mut visit: impl FnMut(&[u8], Name, RawValue<'_>)) {
        let fields = self.fields.list();
        let mut visit = |field: &Field, last: &Field| {
            let key = &self.line[field.key.start as usize - 1..=field.key.end as usize];
            visit(key, field.name, self.raw_value(last));
        };
        if !self.fields.may_repeat() {
            for field in fields {
                visit(field, field);
            }
            return;
        }
        if fields.len() > MANY_FIELDS {
            let mut last_by_key = HashMap::with_capacity(fields.len());
            for field in fields {
                last_by_key.insert(self.key(field), field);
            }
            for field in fields {
                // Removed when first met, so that the repetitions find nothing.
                if let Some(last) = last_by_key.remove(&self.key(field)) {
                    visit(field, last);
                }
            }
            return;
        }
        for (index, field) in fields.iter().enumerate() {
            let is_same = |other: &&Field| {
                other.name == field.name
                    && (field.name != Name::Extra || self.key(other) == self.key(field))
            };
            if fields[..index].iter().any(|other| is_same(&other)) {
                continue;
            }
            visit(field, fields[index..].iter().rev().find(is_same).unwrap_or(field));
        }
    }

    /// The decoded text of a field; `None` where it is absent or no string.
    pub fn text(&self, name: Name) -> Option<Cow<'_, [u8]>> {
        self.value(name)?.text()
    }

    /// The number in a field, laxly as [`RawValue::number`].
    pub fn number(&self, name: Name) -> Option<f64> {
        self.value(name)?.number()
    }

    /// When it was made: ISO 8601 with offset.
    pub fn timestamp(&self) -> Cow<'_, [u8]> {
        self.text(Name::Timestamp).unwrap_or_default()
    }

    /// The name of its level.
    pub fn level(&self) -> Cow<'_, [u8]> {
        self.text(Name::Level).unwrap_or_default()
    }

    /// The message, merged with its arguments.
    pub fn message(&self) -> Cow<'_, [u8]> {
        self.text(Name::Message).unwrap_or_default()
    }

    /// The module that logged it.
    pub fn module(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::Module)
    }

    /// The function that logged it.
    pub fn function(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::Function)
    }

    /// The line of code that logged it.
    pub fn line(&self) -> Option<i64> {
        self.integer(Name::Line)
    }

    /// The kind of action.
    pub fn action(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::Action)
    }

    /// What the action is at, in words.
    pub fn detail(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::Detail)
    }

    /// What joins the records of an action.
    pub fn trace_id(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::TraceId)
    }

    /// The trace id of the enclosing action.
    pub fn parent_id(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::ParentId)
    }

    /// When the action began, seconds since the epoch.
    pub fn start_time_s(&self) -> Option<f64> {
        self.number(Name::StartTime)
    }

    /// How long the action took, seconds.
    pub fn duration_s(&self) -> Option<f64> {
        self.number(Name::Duration)
    }

    /// What the exception said.
    pub fn error(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::Error)
    }

    /// The class of the exception.
    pub fn error_type(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::ErrorType)
    }

    /// The formatted traceback of the exception.
    pub fn stacktrace(&self) -> Option<Cow<'_, [u8]>> {
        self.text(Name::Stacktrace)
    }

    /// The forked child that made the record, where it says so.
    pub fn pid(&self) -> Option<u32> {
        self.integer(Name::Pid).and_then(|pid| u32::try_from(pid).ok())
    }

    /// A record that owns its line.
    pub fn into_owned(self) -> OwnedRecord {
        Record {
            line: Cow::Owned(self.line.into_owned()),
            fields: Cow::Owned(self.fields.into_owned().into_compact()),
            action: self.action,
            repaired: self.repaired,
            plain: self.plain,
            offset: self.offset,
        }
    }

    fn integer(&self, name: Name) -> Option<i64> {
        let value = self.value(name)?;
        if value.kind != Kind::Number {
            return None;
        }
        std::str::from_utf8(value.raw).ok()?.parse().ok()
    }

    fn key(&self, field: &Field) -> Cow<'_, [u8]> {
        let key = field.key.of(&self.line);
        if field.key_escaped { Cow::Owned(wtf8::unescape(key)) } else { Cow::Borrowed(key) }
    }

    fn raw_value(&self, field: &Field) -> RawValue<'_> {
        RawValue { raw: field.value.of(&self.line), kind: field.kind }
    }
}
