//! What the actions of logs amount to: how many, how they ended, how long they took; and the HTTP
//! requests beside them.
//!
//! The state is a [`Partial`]: merging is associative, and a log may be split anywhere. An action is
//! counted where it ended, in the group that its closing record names; what began and has not ended by
//! the end of its log is open, as in [`super::Anomalies`].

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::read::{ActionSpan, Block, BlockMap, Filter, LineCursor, Log, Skipped};
use crate::record::{Event, Record};
use crate::timestamp;

use super::anomalies_partial::Times;
use super::by::{By, Named, Whence};
use super::groups::{Group, GroupAt, Groups, Tally};
use super::http::http_outcome;
use super::ids::{IdList, IdMap, hash_id};
use super::slowest::{SlowAction, Slowest, Told};
use super::spans::LogEnd;
use super::{Partial, is_few};

/// So many groups are told apart; those that come later are counted together.
pub const MAX_GROUPS: usize = 10_000;

/// What is counted, and how.
#[derive(Debug, Clone)]
pub struct StatsOptions {
    /// What actions are grouped by.
    pub by: By,
    /// The actions and requests that count.
    pub filter: Filter,
    /// So many of the slowest actions are kept.
    pub slowest: usize,
    /// So many groups are told apart.
    pub max_groups: usize,
    /// Whether what is kept is without keys, tokens and passwords.
    pub redact: bool,
    /// Whether it is without what was said, and with short names.
    pub no_detail: bool,
}

impl Default for StatsOptions {
    fn default() -> Self {
        let (by, filter) = (By::default(), Filter::default());
        Self { by, filter, slowest: 0, max_groups: MAX_GROUPS, redact: false, no_detail: false }
    }
}

/// Requests with the same outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpTally {
    /// How many.
    pub count: u64,
    /// How many of them failed.
    pub failed: u64,
}

/// The outcomes of HTTP requests: the status, if there is one, and whether the record tells of a retry
/// (and not of a response).
pub type HttpTallies = BTreeMap<(Option<u16>, bool), HttpTally>;

/// The state after some consecutive records.
///
/// Memory: the groups, and the open actions. A part that does not begin at the start of a log also
/// remembers the ids of the actions that ended in it, until it is merged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatsPartial {
    /// What records are observed by: one that was read back only merges.
    #[serde(skip)]
    options: StatsOptions,
    /// Where the log is from whose records are observed.
    #[serde(skip)]
    whence: Arc<Whence>,
    /// Which of the files of all logs it is in.
    file: usize,
    groups: Groups,
    open: IdMap<Open>,
    /// The ids with a closing record; `None` at the start of a log, where nothing can be open.
    closed: Option<IdList>,
    http: HttpTallies,
    slowest: Slowest,
    /// Only where a filter may ask.
    times: Times,
}

/// An action that has begun.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Open {
    group: GroupAt,
    start_s: Option<f64>,
    pid: Option<u32>,
}

/// What logs amount to.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The groups that have an action, those that took the longest in all first.
    pub groups: Vec<Group>,
    /// Actions of groups beyond the number of those that are told apart.
    pub others: Tally,
    /// HTTP requests.
    pub http: HttpTallies,
    /// The slowest actions, the slowest first.
    pub slowest: Vec<SlowAction>,
}

impl StatsPartial {
    /// The state before the first record of a log, and from one log to the next.
    pub fn at_start(options: &StatsOptions) -> Self {
        Self {
            options: options.clone(),
            whence: Arc::default(),
            file: 0,
            groups: Groups::new(options.max_groups),
            open: IdMap::default(),
            closed: None,
            http: HttpTallies::new(),
            slowest: Slowest::new(options.slowest),
            times: Times::default(),
        }
    }

    /// The state before a record in the middle of a log, in that file of all.
    pub fn in_the_middle(options: &StatsOptions, file: usize) -> Self {
        Self {
            file,
            groups: Groups::new(usize::MAX),
            closed: Some(IdList::default()),
            ..Self::at_start(options)
        }
    }

    /// Whether it is one that can be; its groups have been looked at.
    pub(crate) fn is_sound(&self) -> bool {
        let are_few = |tally: &HttpTally| is_few(tally.count) && is_few(tally.failed);
        self.http.values().all(are_few) && self.slowest.is_sound() && is_few(self.times.records)
    }

    /// Counts so many files before those that it tells of.
    pub(crate) fn shift_files(&mut self, files: usize) {
        self.file += files;
        self.slowest.shift_files(files);
    }

    /// The forked children whose actions are open, if a filter may ask for them.
    pub(crate) fn open_pids(&self) -> HashSet<u32> {
        if self.options.filter.is_empty() {
            return HashSet::new();
        }
        self.open.values().filter_map(|open| open.pid).collect()
    }

    /// The end of a log: what is open stays so.
    pub(crate) fn end_log(&mut self, end: &mut LogEnd) {
        let filter = &self.options.filter;
        end.take_in(std::mem::take(&mut self.times));
        for open in std::mem::take(&mut self.open).into_values() {
            if filter.is_empty() || filter.selects(&end.open_span(open.start_s, open.pid)) {
                self.groups.tally(open.group).open += 1;
            }
        }
    }

    /// What was counted; of actions, those whose logs have ended.
    pub fn finish(self) -> Stats {
        let (mut groups, others) = self.groups.into_parts();
        groups.retain(|group| group.tally.count() > 0);
        groups.sort_by(|a, b| {
            let total_s = |group: &Group| group.tally.durations.total_s();
            total_s(b)
                .total_cmp(&total_s(a))
                .then_with(|| b.tally.count().cmp(&a.tally.count()))
                .then_with(|| a.key.cmp(&b.key))
        });
        Stats { groups, others, http: self.http, slowest: self.slowest.into_actions() }
    }

    fn observe_other(&mut self, record: &Record<'_>) {
        let Some(outcome) = http_outcome(record) else { return };
        if self.options.filter.matches(record) && outcome.is_request() {
            let tally = self.http.entry((outcome.status, outcome.retry)).or_default();
            tally.count += 1;
            tally.failed += u64::from(outcome.failed);
        }
    }
}

impl Partial for StatsPartial {
    fn observe(&mut self, record: &Record<'_>, offset: u64) {
        let filter = &self.options.filter;
        let is_filtered = !filter.is_empty();
        if is_filtered {
            self.times.observe(record);
        }
        let Some(event) = record.event() else { return self.observe_other(record) };
        if is_filtered && !filter.matches_action_record(record) {
            return;
        }
        let key = match self.options.by.named(record, &self.whence, self.options.no_detail) {
            Named::Key(key) => Some(key),
            Named::Nothing => None,
            Named::CountsNot => return,
        };
        let Some(id) = record.trace_id() else { return };
        let hash = hash_id(&id);
        let shown = Told { redact: self.options.redact, no_detail: self.options.no_detail };
        let name = |key: &[u8]| shown.name(key);
        let group = self.groups.at(key.as_deref(), name);
        if event == Event::Enter {
            let start_s = record.start_time_s().filter(|_| is_filtered);
            let open = Open { group, start_s, pid: record.pid() };
            self.open.put(hash, id, open, |old, new| *old = new);
            return;
        }
        self.open.remove(hash, &id);
        if let Some(closed) = &mut self.closed {
            closed.push(hash, &id);
        }
        let ended_s = timestamp::parse_epoch_s(&record.timestamp());
        let duration_s = record.duration_s();
        if is_filtered {
            // Known from this record alone, so that it does not matter where the action began.
            let start_s = ended_s.zip(duration_s).map(|(ended_s, duration_s)| ended_s - duration_s);
            let duration_s = duration_s.unwrap_or(0.0);
            if !filter.selects(&ActionSpan { event, start_s, end_s: ended_s, duration_s }) {
                return;
            }
        }
        self.groups.tally(group).end(event, duration_s, ended_s);
        if let Some(duration_s) = duration_s {
            let place = (self.file, offset);
            self.slowest.observe(record, event, duration_s, place, shown);
        }
    }

    fn merge(&mut self, later: Self) {
        let place = self.groups.merge(later.groups);
        if let Some(closed) = later.closed {
            for (hash, id) in closed.iter() {
                self.open.remove(hash, id);
            }
            if let Some(ours) = &mut self.closed {
                ours.extend(&closed);
            }
        }
        for (hash, id, open) in later.open.into_rows() {
            let open = Open { group: place(open.group), ..open };
            self.open.put(hash, id, open, |old, new| *old = new);
        }
        for (outcome, theirs) in later.http {
            let ours = self.http.entry(outcome).or_default();
            ours.count += theirs.count;
            ours.failed += theirs.failed;
        }
        self.slowest.merge(later.slowest);
        self.times.merge(later.times);
    }
}

/// Counts what the blocks of logs tell.
pub(crate) struct StatsMap {
    options: StatsOptions,
    /// Of each file, where to begin.
    starts: Vec<u64>,
    /// Of each file, where its log is from.
    whence: Vec<Arc<Whence>>,
}

impl StatsMap {
    pub(crate) fn new(logs: &[Log], options: &StatsOptions) -> Self {
        let whence = |log: &Log| {
            let whence = Arc::new(Whence::of(log, options.by));
            std::iter::repeat_n(whence, log.files.len())
        };
        Self {
            options: options.clone(),
            starts: logs.iter().flat_map(Log::starts).collect(),
            whence: logs.iter().flat_map(whence).collect(),
        }
    }
}

impl BlockMap for StatsMap {
    type Scratch = LineCursor;
    type Output = Option<StatsPartial>;

    fn map(
        &self,
        file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        partial: &mut Option<StatsPartial>,
    ) {
        let partial = partial.get_or_insert_with(|| StatsPartial {
            whence: Arc::clone(&self.whence[file]),
            ..StatsPartial::in_the_middle(&self.options, file)
        });
        while let Some(record) = cursor.next(block, skipped) {
            if record.offset() >= self.starts[file] {
                partial.observe(&record, record.offset());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::record::parse_record;

    fn line() -> impl Strategy<Value = String> {
        let event = prop::sample::select(vec!["enter", "enter", "exit", "error", "cancel"]);
        (event, 0..4_u8, 0..3_u8, 0..9_u8).prop_map(|(event, id, action, duration)| {
            format!(
                r#"{{"timestamp": "2026-11-23T10:22:0{duration}+00:00", "level": "TRACE", "message": "m", "action": "a{action}", "event": "{event}", "trace_id": "{id}", "duration": 0.{duration}}}"#
            )
        })
    }

    /// All that a state knows, in an order of its own.
    fn known(partial: StatsPartial) -> impl PartialEq + std::fmt::Debug {
        let (groups, _) = partial.groups.clone().into_parts();
        let group = |open: Open| groups.get(open.group.place()).and_then(|group| group.key.clone());
        let mut open: Vec<_> =
            partial.open.clone().into_rows().map(|(_, id, open)| (id, group(open))).collect();
        open.sort();
        let closed =
            partial.closed.as_ref().map_or(0, |closed| closed.to_set().into_rows().count());
        (partial.finish(), open, closed)
    }

    proptest! {
        /// It does not matter in which order neighbours are merged, nor whether there were parts at all.
        #[test]
        fn merging_is_associative(lines in vec(line(), 0..30), cuts in (0..30_usize, 0..30_usize)) {
            let options = StatsOptions { slowest: 3, ..StatsOptions::default() };
            let of = |from: usize, to: usize, mut partial: StatsPartial| {
                for (at, line) in lines.iter().enumerate().take(to).skip(from) {
                    let record = parse_record(line.as_bytes()).expect("a record");
                    partial.observe(&record, at as u64);
                }
                partial
            };
            let middle = || StatsPartial::in_the_middle(&options, 0);
            let (first, second) = (cuts.0.min(cuts.1).min(lines.len()), cuts.0.max(cuts.1).min(lines.len()));
            let parts = || {
                [(0, first), (first, second), (second, lines.len())].map(|(from, to)| of(from, to, middle()))
            };
            let [mut left, b, c] = parts();
            left.merge(b);
            left.merge(c);
            let [mut right, mut b, c] = parts();
            b.merge(c);
            right.merge(b);
            prop_assert_eq!(known(left.clone()), known(right));
            prop_assert_eq!(known(left.clone()), known(of(0, lines.len(), middle())));
            let mut whole = StatsPartial::at_start(&options);
            whole.merge(left);
            prop_assert_eq!(known(whole), known(of(0, lines.len(), StatsPartial::at_start(&options))));
        }
    }
}
