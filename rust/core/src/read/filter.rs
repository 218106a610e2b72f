//! Which records are wanted, and which of the actions that they tell of.

use std::sync::Arc;

use crate::record::{Event, Name, Record};
use crate::timestamp::parse_epoch_s;

use super::level::LevelChoice;
use super::search::MessageSearch;
use super::text::{Caseless, is_value};

/// What a person asked for that cannot be. Renders as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongValue {
    /// No point in time.
    #[error(
        "'{}' is not a time: give a date or a time (2026-11-23, 2026-11-23T10:22:25+01:00, 14:30), \
         a time ago (-3h, -1h30m, -2d), now, or seconds since the epoch (@1795425745)",
        .0.escape_debug()
    )]
    Time(String),
    /// No duration.
    #[error(
        "'{}' is not a duration: give seconds (90, 0.5) or units (90s, 5m, 1h30m)",
        .0.escape_debug()
    )]
    Duration(String),
    /// No size.
    #[error("'{}' is not a size: give bytes (500000) or units (500MB, 1.5TB, 64GiB)", .0.escape_debug())]
    Size(String),
    /// No level.
    #[error(
        "'{}' is not a level: give a name or a number (WARNING, 30) for it and those above, or \
         =NAME for it alone",
        .0.escape_debug()
    )]
    Level(String),
    /// Not what an action record tells.
    #[error("'{}' is not an event: give enter, exit, cancel, error or timeout", .0.escape_debug())]
    Event(String),
}

/// The event that a person names, in upper or lower case.
///
/// # Errors
/// There is no such event.
pub fn parse_event(text: &str) -> Result<Event, WrongValue> {
    Event::of(text.trim().to_ascii_lowercase().as_bytes())
        .ok_or_else(|| WrongValue::Event(text.to_owned()))
}

/// What is asked for: each condition that is given has to hold, in a list one of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilterOptions {
    /// The message contains this text, upper and lower case being equal (compared in lower case,
    /// as Python's `str.lower()` gives it). An empty text is no condition.
    pub message: Option<String>,
    /// This level and those above, or with a `=` before it this level alone. One whose number is
    /// not known stands for itself alone. Upper and lower case are equal.
    pub level: Option<String>,
    /// The kind of action is one of these, upper and lower case being equal.
    pub actions: Vec<String>,
    /// What an action record tells is one of these.
    pub events: Vec<Event>,
    /// Made at that time or later, seconds since the epoch. A record whose timestamp cannot be
    /// read was made at no time.
    pub since_s: Option<f64>,
    /// Made before that time, seconds since the epoch.
    pub until_s: Option<f64>,
    /// The action took so long, or longer, in seconds.
    pub min_duration_s: Option<f64>,
    /// The record's field `sample_id` is one of these: a string by its text, a number or a boolean
    /// by its JSON text.
    pub samples: Vec<String>,
    /// The record's field `task` is one of these, compared like `sample_id`.
    pub tasks: Vec<String>,
    /// The record is one of the action with this trace id, or of an action right within that.
    pub of_action: Option<String>,
}

/// A choice of records, or of actions. The default wants them all. Cloning it is cheap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Option<Arc<Conditions>>);

#[derive(Debug, PartialEq)]
struct Conditions {
    of_records: RecordConditions,
    of_actions: ActionConditions,
}

/// The conditions that all records of an action share, or may share.
#[derive(Debug, Default, PartialEq)]
struct RecordConditions {
    level: Option<LevelChoice>,
    actions: Vec<Caseless>,
    samples: Vec<String>,
    tasks: Vec<String>,
    of_action: Option<String>,
    message: Option<MessageSearch>,
}

/// The conditions that can be judged only where all is known of an action.
#[derive(Debug, Default, PartialEq)]
struct ActionConditions {
    events: Vec<Event>,
    min_duration_s: Option<f64>,
    since_s: Option<f64>,
    until_s: Option<f64>,
}

/// What the records of an action tell of it, taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActionSpan {
    /// The last that is known of it: [`Event::Enter`] for an open one.
    pub event: Event,
    /// When it began, seconds since the epoch.
    pub start_s: Option<f64>,
    /// When it ended, or until when an open one is looked at, seconds since the epoch.
    pub end_s: Option<f64>,
    /// How long it took so far, seconds.
    pub duration_s: f64,
}

impl Filter {
    /// Records whose message contains `text`, see [`FilterOptions::message`].
    pub fn new(text: Option<&str>) -> Self {
        let message = text.and_then(MessageSearch::new);
        Self::with(RecordConditions { message, ..Default::default() }, ActionConditions::default())
    }

    /// The records that are asked for.
    ///
    /// # Errors
    /// The level is empty, or a number of seconds is none.
    pub fn of(options: FilterOptions) -> Result<Self, WrongValue> {
        for time_s in [options.since_s, options.until_s].into_iter().flatten() {
            if time_s.is_nan() {
                return Err(WrongValue::Time(time_s.to_string()));
            }
        }
        if let Some(duration_s) = options.min_duration_s
            && (duration_s.is_nan() || duration_s < 0.0)
        {
            return Err(WrongValue::Duration(duration_s.to_string()));
        }
        let of_records = RecordConditions {
            level: options.level.as_deref().map(LevelChoice::parse).transpose()?,
            actions: options.actions.iter().map(|name| Caseless::new(name)).collect(),
            samples: options.samples,
            tasks: options.tasks,
            of_action: options.of_action,
            message: options.message.as_deref().and_then(MessageSearch::new),
        };
        let of_actions = ActionConditions {
            events: options.events,
            min_duration_s: options.min_duration_s,
            since_s: options.since_s,
            until_s: options.until_s,
        };
        Ok(Self::with(of_records, of_actions))
    }

    fn with(of_records: RecordConditions, of_actions: ActionConditions) -> Self {
        let is_empty =
            of_records == RecordConditions::default() && of_actions == ActionConditions::default();
        Self((!is_empty).then(|| Arc::new(Conditions { of_records, of_actions })))
    }

    /// Whether all records are wanted.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The first moment that is asked for, seconds since the epoch.
    pub(crate) fn since_s(&self) -> Option<f64> {
        self.0.as_deref()?.of_actions.since_s
    }

    /// Whether the record is wanted.
    pub fn matches(&self, record: &Record<'_>) -> bool {
        // What takes longest comes last: the time is parsed, and then the message searched.
        self.0.as_deref().is_none_or(|Conditions { of_records, of_actions }| {
            of_actions.match_fields(record)
                && of_records.match_fields(record)
                && of_actions.match_timestamp(record)
                && of_records.match_message(record)
        })
    }

    /// Whether the record counts for what is known of its action. Of the conditions, those on the
    /// message, the level, the action, the sample and the task are judged here; the others, which
    /// are about the action as a whole, by [`Self::selects`].
    pub fn matches_action_record(&self, record: &Record<'_>) -> bool {
        self.0.as_deref().is_none_or(|Conditions { of_records, .. }| {
            of_records.match_fields(record) && of_records.match_message(record)
        })
    }

    /// Whether an action is wanted whose records count: by what it ended with, by how long it
    /// took, and by whether some of it lies in the time that is asked for. Where its start is not
    /// known its end has to lie there.
    pub fn selects(&self, action: &ActionSpan) -> bool {
        self.0.as_deref().is_none_or(|conditions| conditions.of_actions.match_action(action))
    }
}

impl RecordConditions {
    fn match_fields(&self, record: &Record<'_>) -> bool {
        let has = |name, matches: &dyn Fn(_) -> bool| record.value(name).is_some_and(matches);
        self.level.as_ref().is_none_or(|level| has(Name::Level, &|value| level.matches(value)))
            && (self.actions.is_empty()
                || has(Name::Action, &|value| self.actions.iter().any(|a| a.matches(value))))
            && (self.samples.is_empty()
                || has(Name::SampleId, &|value| self.samples.iter().any(|s| is_value(value, s))))
            && (self.tasks.is_empty()
                || has(Name::Task, &|value| self.tasks.iter().any(|t| is_value(value, t))))
            && self.of_action.as_ref().is_none_or(|id| {
                [Name::TraceId, Name::ParentId]
                    .into_iter()
                    .any(|name| has(name, &|value| is_value(value, id)))
            })
    }

    fn match_message(&self, record: &Record<'_>) -> bool {
        let Some(search) = &self.message else { return true };
        record.value(Name::Message).is_some_and(|message| search.matches(message))
    }
}

impl ActionConditions {
    fn match_fields(&self, record: &Record<'_>) -> bool {
        if self.events.is_empty() && self.min_duration_s.is_none() {
            return true;
        }
        let Some(event) = record.event() else { return false };
        let is_long = |least_s| record.duration_s().is_some_and(|duration_s| duration_s >= least_s);
        (self.events.is_empty() || self.events.contains(&event))
            && self.min_duration_s.is_none_or(is_long)
    }

    fn match_timestamp(&self, record: &Record<'_>) -> bool {
        !self.has_time()
            || parse_epoch_s(&record.timestamp())
                .is_some_and(|made_s| self.is_in_time(made_s, made_s))
    }

    fn match_action(&self, action: &ActionSpan) -> bool {
        let lies_in_time = || {
            let end_s = action.end_s.or(action.start_s)?;
            Some(self.is_in_time(action.start_s.unwrap_or(end_s), end_s))
        };
        (self.events.is_empty() || self.events.contains(&action.event))
            && self.min_duration_s.is_none_or(|least_s| action.duration_s >= least_s)
            && (!self.has_time() || lies_in_time() == Some(true))
    }

    fn has_time(&self) -> bool {
        self.since_s.is_some() || self.until_s.is_some()
    }

    /// Whether some of what lasted from `start_s` to `end_s` was in the time asked for. What is no
    /// number was at no time.
    fn is_in_time(&self, start_s: f64, end_s: f64) -> bool {
        self.since_s.is_none_or(|since_s| end_s >= since_s)
            && self.until_s.is_none_or(|until_s| start_s < until_s)
    }
}
