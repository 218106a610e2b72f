//! What a live view shows at one moment.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::metadata::short_name;
use crate::read::to_str_lossy;
use crate::record::{Event, Text};
use crate::store::ProcessStatus;

use super::ids::{IdMap, hash_id};
use super::live::LiveView;
use super::live_blocks::{Ended, merge_ended};
use super::live_log::{Closed, Dated, LiveLog, Open, Ways, shorten_ids};
use super::slowest::Told;
use super::spans::Span;
use super::{Action, Durations};

/// More of the actions around one are not told: a log can have a chain of any length.
const MAX_ENCLOSING: usize = 16;

/// What is shown of a live view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveChoice {
    /// Only actions with this text in their name, detail, task, sample or log, in upper or lower case.
    pub text: Option<String>,
    /// No more than so many open actions.
    pub limit: Option<usize>,
    /// In which order.
    pub order: LiveOrder,
    /// Only actions in which no other one is open.
    pub innermost: bool,
}

/// In which order open actions are shown. Those that run come before those that were interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LiveOrder {
    /// The longest first.
    #[default]
    Longest,
    /// The most recently begun first.
    Newest,
    /// By kind, and the longest first in each.
    Action,
    /// By task, sample and epoch, and the longest first in each.
    Sample,
}

impl LiveOrder {
    /// The order of that name.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "longest" => Self::Longest,
            "newest" => Self::Newest,
            "action" => Self::Action,
            "sample" => Self::Sample,
            _ => return None,
        })
    }
}

/// An open action.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveAction {
    /// Tells it from all others of the view.
    pub number: u64,
    /// Which of the logs it is in.
    pub log: usize,
    /// What its records tell.
    pub action: Arc<Action>,
    /// For how long it has been open; of one that was interrupted, until the last record of its process.
    pub duration_s: f64,
    /// Whether its process has ended.
    pub interrupted: bool,
    /// The process it runs, or ran, in.
    pub pid: Option<u32>,
    /// The open actions around it, the innermost first.
    pub enclosing: Vec<Arc<Action>>,
}

/// An action that was open and has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedAction {
    /// Tells it from all others of the view.
    pub number: u64,
    /// Which of the logs it is in.
    pub log: usize,
    /// What its first record tells.
    pub action: Arc<Action>,
    /// How it ended.
    pub event: Event,
    /// How long it took, as recorded.
    pub duration_s: Option<f64>,
    /// What the exception said.
    pub error: Option<Text>,
    /// The class of the exception.
    pub error_type: Option<Text>,
}

/// What there is to count of one kind of action.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveCounter {
    /// The kind.
    pub action: Text,
    /// How many are open, whether they run or were interrupted.
    pub open: u64,
    /// How many ended well.
    pub done: u64,
    /// How many failed or timed out.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// How many a second have ended since the snapshot before this one; `None` in the first.
    pub rate: Option<f64>,
    /// How long those took that ended, as far as that is told.
    pub durations: Durations,
}

/// A log of a live view.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveLogStatus {
    /// Where it is.
    pub path: PathBuf,
    /// The process that it is named after, or that writes it.
    pub process: ProcessStatus,
    /// When that wrote last, if it has ended.
    pub ended_at_s: Option<f64>,
    /// Whether anybody writes it.
    pub is_written: Option<bool>,
}

/// What a live view shows at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSnapshot {
    /// The moment, seconds since the epoch.
    pub as_of_s: f64,
    /// Open actions, as chosen.
    pub open: Vec<LiveAction>,
    /// How many there are of those that run, chosen or not.
    pub running: usize,
    /// How many there are that were interrupted.
    pub interrupted: usize,
    /// How many are chosen, however many are shown of these.
    pub chosen: usize,
    /// Actions that were open and have ended since the snapshot before, in the order of their ends.
    pub ended: Vec<EndedAction>,
    /// Counters, by the names of the actions.
    pub counters: Vec<LiveCounter>,
    /// The logs.
    pub logs: Vec<LiveLogStatus>,
    /// How many records were read.
    pub records: u64,
    /// Whether it is without what was said.
    pub no_detail: bool,
}

/// An open action that is not shown yet.
struct Row<'v> {
    log: usize,
    open: &'v Open,
    dated: Dated,
}

impl LiveView {
    /// What there is to show, as of a moment (seconds since the epoch).
    pub fn snapshot(&mut self, as_of_s: f64, choice: &LiveChoice) -> LiveSnapshot {
        let since_s = self.last_snapshot.replace(Instant::now()).map(|last| last.elapsed());
        let ended = self.take_ended();
        let mut counters = Counters::default();
        let text = choice.text.as_deref().filter(|text| !text.is_empty()).map(str::to_lowercase);
        let mut rows = Vec::new();
        let (mut running, mut interrupted) = (0, 0);
        for (index, log) in self.logs.iter().enumerate() {
            let outer = if choice.innermost { outer_ids(log) } else { HashSet::new() };
            for open in log.open.values() {
                let dated = log.dated(&open.action, as_of_s);
                if !self.ways.filter.selects(&dated.span(&open.action)) {
                    continue;
                }
                *if dated.interrupted { &mut interrupted } else { &mut running } += 1;
                counters.count_open(&open.action.action);
                let is_outer = outer.contains(&*open.action.trace_id);
                if !is_outer
                    && text.as_ref().is_none_or(|text| has_text(&log.path, &open.action, text))
                {
                    rows.push(Row { log: index, open, dated });
                }
            }
            counters.take_in(log, &self.ways);
        }
        let chosen = rows.len();
        rows.sort_unstable_by(|one, other| in_order(choice.order, one, other));
        rows.truncate(choice.limit.unwrap_or(usize::MAX));
        let open =
            rows.into_iter().map(|row| shown(&self.logs[row.log], &row, &self.ways)).collect();
        for log in &mut self.logs {
            log.lately = IdMap::default();
        }
        let status = |log: &LiveLog| LiveLogStatus {
            path: log.path.clone(),
            process: log.process,
            ended_at_s: log.ended_at_s(),
            is_written: log.is_written,
        };
        LiveSnapshot {
            as_of_s,
            open,
            running,
            interrupted,
            chosen,
            ended,
            counters: counters.finish(since_s.map(|since| since.as_secs_f64())),
            logs: self.logs.iter().map(status).collect(),
            records: self.logs.iter().map(LiveLog::records).sum(),
            no_detail: self.ways.no_detail,
        }
    }

    fn take_ended(&mut self) -> Vec<EndedAction> {
        let mut ended = Vec::new();
        for (log, live) in self.logs.iter_mut().enumerate() {
            for Closed { number, action, ending } in live.closed.drain(..) {
                ended.push(EndedAction {
                    number,
                    log,
                    duration_s: ending.duration_s,
                    action: shown_action(&action, &self.ways),
                    event: ending.event,
                    error: ending.error,
                    error_type: ending.error_type,
                });
            }
        }
        ended
    }
}

fn in_order(order: LiveOrder, one: &Row<'_>, other: &Row<'_>) -> Ordering {
    let longest = |one: &Row<'_>, other: &Row<'_>| {
        other
            .dated
            .duration_s
            .total_cmp(&one.dated.duration_s)
            .then(one.open.number.cmp(&other.open.number))
    };
    let sample = |row: &Row<'_>| {
        let action = &row.open.action;
        let text = |json: &Option<Text>| json.as_deref().map(Span::json_as_text);
        // Those of no sample come last.
        let task = text(&action.task);
        (action.sample_id.is_none(), task, text(&action.sample_id), text(&action.epoch))
    };
    let by_order = match order {
        LiveOrder::Longest => Ordering::Equal,
        LiveOrder::Newest => {
            return one.dated.interrupted.cmp(&other.dated.interrupted).then(longest(other, one));
        }
        LiveOrder::Action => one.open.action.action.cmp(&other.open.action.action),
        LiveOrder::Sample => sample(one).cmp(&sample(other)),
    };
    let interrupted = one.dated.interrupted.cmp(&other.dated.interrupted);
    interrupted.then(by_order).then_with(|| longest(one, other))
}

/// An action as it is shown: what is long in its ids is needed only here.
fn shown_action(action: &Arc<Action>, ways: &Ways) -> Arc<Action> {
    let ids = [Some(&action.trace_id), action.parent_id.as_ref()];
    if !ways.no_detail || ids.into_iter().flatten().all(|id| *short_name(id) == **id) {
        return Arc::clone(action);
    }
    let mut short = Action::clone(action);
    shorten_ids(&mut short);
    Arc::new(short)
}

fn shown(log: &LiveLog, row: &Row<'_>, ways: &Ways) -> LiveAction {
    let Open { number, action } = row.open;
    let mut enclosing: Vec<Arc<Action>> = Vec::new();
    let mut parent_id = action.parent_id.as_deref();
    while let Some(outer) = parent_id.and_then(|id| log.open.get(hash_id(id), id))
        && enclosing.len() < MAX_ENCLOSING
    {
        enclosing.push(shown_action(&outer.action, ways));
        parent_id = outer.action.parent_id.as_deref();
    }
    LiveAction {
        number: *number,
        log: row.log,
        duration_s: row.dated.duration_s,
        interrupted: row.dated.interrupted,
        pid: action.pid.or(log.process.pid),
        action: shown_action(action, ways),
        enclosing,
    }
}

/// The ids of what open actions are in.
fn outer_ids(log: &LiveLog) -> HashSet<&[u8]> {
    log.open.values().filter_map(|open| open.action.parent_id.as_deref()).collect()
}

/// Whether a text, in lower case, is in what is shown of an action.
fn has_text(path: &Path, action: &Action, text: &str) -> bool {
    let has = |bytes: &[u8]| to_str_lossy(bytes).to_lowercase().contains(text);
    let has_json = |json: &Option<Text>| {
        json.as_deref().is_some_and(|json| Span::json_as_text(json).to_lowercase().contains(text))
    };
    has(&action.action)
        || has(action.detail_or_message())
        || has_json(&action.task)
        || has_json(&action.sample_id)
        || path.file_name().is_some_and(|name| has(name.as_encoded_bytes()))
}

/// The counters of all logs.
#[derive(Default)]
struct Counters {
    ended: IdMap<Ended>,
    lately: IdMap<u64>,
    open: HashMap<Text, u64>,
}

impl Counters {
    fn count_open(&mut self, action: &[u8]) {
        if let Some(count) = self.open.get_mut(action) {
            *count += 1;
        } else {
            self.open.insert(action.to_owned(), 1);
        }
    }

    /// Takes in how actions of a log ended. The names of open ones are as they are shown already.
    fn take_in(&mut self, log: &LiveLog, ways: &Ways) {
        let shown = Told { redact: ways.redact, no_detail: ways.no_detail };
        let as_it_is = !ways.redact && !ways.no_detail;
        if as_it_is {
            merge_ended(&mut self.ended, &log.ended);
        }
        for (_, action, ended) in log.ended.rows().filter(|_| !as_it_is) {
            let action = shown.name(action);
            self.ended.entry(hash_id(&action), &action).merge(ended);
        }
        for (_, action, count) in log.lately.rows() {
            let action = shown.name(action);
            *self.lately.entry(hash_id(&action), &action) += count;
        }
    }

    fn finish(mut self, since_s: Option<f64>) -> Vec<LiveCounter> {
        for action in self.open.keys() {
            self.ended.entry(hash_id(action), action);
        }
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        let rate = |hash, action: &[u8]| {
            let count = self.lately.get(hash, action).copied().unwrap_or(0);
            since_s.filter(|since_s| *since_s > 0.0).map(|since_s| count as f64 / since_s)
        };
        let mut counters: Vec<_> = self
            .ended
            .rows()
            .map(|(hash, action, ended)| LiveCounter {
                action: action.to_owned(),
                open: self.open.get(action).copied().unwrap_or(0),
                done: ended.exits,
                failed: ended.errors + ended.timeouts,
                cancelled: ended.cancels,
                rate: rate(hash, action),
                durations: ended.durations.clone(),
            })
            .collect();
        counters.sort_unstable_by(|one, other| one.action.cmp(&other.action));
        counters
    }
}
