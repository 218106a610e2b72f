//! What actions are grouped by, and how their records tell.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::read::{Kind, Log};
use crate::record::{Name, RawValue, Record};
use crate::store::{LogFile, RunInfo};

/// What actions are grouped by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// Their kind.
    #[default]
    Action,
    /// The evaluation task.
    Task,
    /// The sample.
    Sample,
    /// What they are at, in words.
    Detail,
    /// The model: only actions of the kind `Model` count.
    Model,
    /// The machine, where a field `host` of the records tells, or the archive that the log is from.
    Host,
    /// The run, as it is noted on the log or in the archive that it is from.
    Run,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Action, Self::Task, Self::Sample, Self::Detail, Self::Model, Self::Host, Self::Run];

    /// The one of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == name)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Task => "task",
            Self::Sample => "sample",
            Self::Detail => "detail",
            Self::Model => "model",
            Self::Host => "host",
            Self::Run => "run",
        }
    }

    /// Whether the groups have names that are shown without what was said.
    pub fn is_metadata(self) -> bool {
        match self {
            Self::Action | Self::Task | Self::Sample | Self::Run => true,
            Self::Detail | Self::Model | Self::Host => false,
        }
    }

    /// What the record says, of a log from there; with `no_detail`, as far as that is metadata.
    pub(super) fn named<'r>(
        self,
        record: &'r Record<'_>,
        whence: &'r Whence,
        no_detail: bool,
    ) -> Named<'r> {
        let is_shown = |value: &RawValue<'_>| {
            !no_detail || !matches!(value.kind(), Kind::Array | Kind::Object)
        };
        let key = match self {
            Self::Action => record.action(),
            Self::Detail => record.detail(),
            Self::Task => record.value(Name::Task).filter(is_shown).and_then(as_text),
            Self::Sample => record.value(Name::SampleId).filter(is_shown).and_then(as_text),
            Self::Host => record
                .get(b"host")
                .and_then(as_text)
                .or_else(|| whence.host.as_deref().map(Cow::Borrowed)),
            Self::Run => whence.run.as_deref().map(Cow::Borrowed),
            Self::Model => {
                if record.action().is_none_or(|action| *action != *b"Model") {
                    return Named::CountsNot;
                }
                record.detail().map(model_in)
            }
        };
        let key = key.filter(|_| !no_detail || self.is_metadata());
        key.map_or(Named::Nothing, Named::Key)
    }
}

/// Where a log is from, as far as actions are grouped by that.
#[derive(Debug, Clone, Default)]
pub(super) struct Whence {
    host: Option<Box<[u8]>>,
    run: Option<Box<[u8]>>,
}

impl Whence {
    /// What is known of a log.
    pub(super) fn of(log: &Log, by: By) -> Self {
        let name = |text: &String| Box::from(text.as_bytes());
        if let Some(origin) = &log.origin {
            let run = origin.run.as_ref().map(name);
            return Self { host: Some(name(&origin.host)), run };
        }
        let noted = |file: &LogFile| RunInfo::read(file.path());
        let run = (by == By::Run).then(|| log.files.iter().rev().find_map(noted)).flatten();
        Self { host: None, run: run.map(|run| name(&run.run_id)) }
    }
}

/// The group that a record names.
pub(super) enum Named<'r> {
    Key(Cow<'r, [u8]>),
    /// It does not say.
    Nothing,
    /// Its action does not count.
    CountsNot,
}

/// A string by what it says, anything else but null by its JSON text.
fn as_text(value: RawValue<'_>) -> Option<Cow<'_, [u8]>> {
    match value.kind() {
        Kind::Null => None,
        Kind::String { .. } => value.text(),
        _ => Some(Cow::Borrowed(value.raw())),
    }
}

/// The model in `generate (openai/gpt-5)`; else the whole detail.
fn model_in(detail: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let inside = |text: &[u8]| {
        let start = text.iter().position(|&byte| byte == b'(')? + 1;
        (text.last() == Some(&b')') && start < text.len() - 1).then(|| start..text.len() - 1)
    };
    match (inside(&detail), detail) {
        (Some(range), Cow::Borrowed(text)) => Cow::Borrowed(&text[range]),
        (Some(range), Cow::Owned(text)) => Cow::Owned(text[range].to_vec()),
        (None, detail) => detail,
    }
}
