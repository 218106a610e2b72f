//! The state of a scan for anomalies: what some consecutive records amount to.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::read::{Filter, Kind, Skipped};
use crate::record::{Event, Record, parse_record};
use crate::timestamp;

use super::ids::{IdList, IdMap, hash_id};
use super::{Action, Anomalies, Partial, is_few};

/// A line that is kept until the end, when it is decoded: most are dropped before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(with = "serde_bytes")]
    pub(super) line: Box<[u8]>,
    pub(super) offset: u64,
    pub(super) start_time_s: Option<f64>,
    /// Its place among the entries of its map.
    pub(super) place: u64,
    /// Closing records: whether the start time may still come from an earlier part of the log.
    pub(super) awaits_start: bool,
}

/// The state of [`super::scan_anomalies`] after some consecutive records.
///
/// Memory: the open and the reported actions. A part that does not begin at the start of the log
/// also remembers the ids of the actions that ended in it, until it is merged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnomaliesPartial {
    /// What records are observed by: one that was read back only merges.
    #[serde(skip)]
    filter: Filter,
    running: IdMap<Kept>,
    cancelled: IdMap<Kept>,
    errors: IdMap<Kept>,
    timeouts: IdMap<Kept>,
    /// The last record of each open action that tells where it waits. (In the middle of a log: of each
    /// that may be open.)
    stalls: IdMap<Line>,
    /// The ids with a closing record; `None` at the start of a log, where nothing can be open.
    closed: Option<IdList>,
    pub(super) next_place: u64,
    pub(super) times: Times,
}

/// Something by hash and id.
type ById<T> = Vec<(u64, Box<[u8]>, T)>;

/// What some consecutive records change.
pub(super) struct Changes {
    pub(super) closed: IdList,
    pub(super) opened: ById<Kept>,
    /// The lines that tell where actions wait that are open, or may be.
    pub(super) stalls: ById<Box<[u8]>>,
    pub(super) times: Times,
}

/// The line of a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line(#[serde(with = "serde_bytes")] Box<[u8]>);

/// When records were made, and how many there are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(super) records: u64,
    /// The timestamp of the last record.
    pub(super) last_s: Option<f64>,
    /// The timestamp of the last record that names no process.
    pub(super) last_main_s: Option<f64>,
    /// The timestamps of the last records of others, by the process that they name.
    pub(super) last_by_pid: BTreeMap<u32, f64>,
}

impl Times {
    /// Takes in the timestamp of a record; false if it has none that can be read.
    pub(super) fn observe(&mut self, record: &Record<'_>) -> bool {
        let Some(epoch_s) = timestamp::parse_epoch_s(&record.timestamp()) else { return false };
        self.last_s = Some(epoch_s);
        match record.pid() {
            None => self.last_main_s = Some(epoch_s),
            Some(pid) => {
                self.last_by_pid.insert(pid, epoch_s);
            }
        }
        true
    }

    pub(super) fn merge(&mut self, later: Self) {
        self.records += later.records;
        self.last_s = later.last_s.or(self.last_s);
        self.last_main_s = later.last_main_s.or(self.last_main_s);
        self.last_by_pid.extend(later.last_by_pid);
    }
}

impl AnomaliesPartial {
    /// The state before the first record of a log.
    pub fn at_start(filter: &Filter) -> Self {
        Self {
            filter: filter.clone(),
            running: IdMap::default(),
            cancelled: IdMap::default(),
            errors: IdMap::default(),
            timeouts: IdMap::default(),
            stalls: IdMap::default(),
            closed: None,
            next_place: 0,
            times: Times::default(),
        }
    }

    /// The state before a record in the middle of a log.
    pub fn in_the_middle(filter: &Filter) -> Self {
        Self { closed: Some(IdList::default()), ..Self::at_start(filter) }
    }

    /// Whether it is one that can be.
    pub(crate) fn is_sound(&self) -> bool {
        let maps = [&self.running, &self.cancelled, &self.errors, &self.timeouts];
        let mut kept = maps.into_iter().flat_map(IdMap::values);
        is_few(self.next_place)
            && is_few(self.times.records)
            && kept.all(|kept| is_few(kept.place) && is_few(kept.offset))
    }

    /// What was found; `skipped` is what was skipped on the way.
    pub fn finish(self, skipped: Skipped) -> Anomalies {
        let mut running = sorted(self.running);
        for action in &mut running {
            let stall = self.stalls.get(hash_id(&action.trace_id), &action.trace_id);
            action.stack = stall.and_then(|line| stack_of(&line.0));
        }
        Anomalies {
            running,
            cancelled: sorted(self.cancelled),
            errors: sorted(self.errors),
            timeouts: sorted(self.timeouts),
            last_timestamp_s: self.times.last_s,
            last_main_timestamp_s: self.times.last_main_s,
            last_timestamps_by_pid: self.times.last_by_pid,
            records: self.times.records,
            skipped,
        }
    }

    /// What it changes in the state of the records before it: which ids have ended, which actions are
    /// open since then, in the order in which they began, and where open ones wait.
    pub(super) fn into_changes(self) -> Changes {
        let mut opened: Vec<_> = self.running.into_rows().collect();
        opened.sort_unstable_by_key(|(_, _, kept)| kept.place);
        Changes {
            closed: self.closed.unwrap_or_default(),
            opened,
            stalls: self.stalls.into_rows().map(|(hash, id, line)| (hash, id, line.0)).collect(),
            times: self.times,
        }
    }

    /// The forked children whose actions are open.
    pub(super) fn open_pids(&self) -> HashSet<u32> {
        self.running.values().filter_map(|kept| parse_record(&kept.line).ok()?.pid()).collect()
    }

    /// The next place among the entries of a map.
    pub(super) fn place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place - 1
    }

    /// Somebody saw where an action waits.
    pub(super) fn put_stall(&mut self, hash: u64, id: &[u8], line: &[u8]) {
        // At the start of a log it is known what is open.
        if self.closed.is_some() || self.running.get(hash, id).is_some() {
            self.stalls.put(hash, id, Line(line.into()), |old, new| *old = new);
        }
    }

    /// An action is open, and nobody has seen yet where it waits.
    pub(super) fn put_running(&mut self, hash: u64, id: &[u8], kept: Kept) {
        self.stalls.remove(hash, id);
        self.running.put(hash, id, kept, replace);
    }

    /// An action has ended in this part, be it well or badly.
    pub(super) fn put_closed(&mut self, hash: u64, id: &[u8]) {
        self.stalls.remove(hash, id);
        if let Some(closed) = &mut self.closed {
            closed.push(hash, id);
        }
    }

    /// An action has ended badly.
    pub(super) fn put_ended(&mut self, hash: u64, id: &[u8], event: Event, kept: Kept) {
        if let Some(bucket) = self.bucket(event) {
            bucket.put(hash, id, kept, replace);
        }
    }

    fn bucket(&mut self, event: Event) -> Option<&mut IdMap<Kept>> {
        match event {
            Event::Cancel => Some(&mut self.cancelled),
            Event::Error => Some(&mut self.errors),
            Event::Timeout => Some(&mut self.timeouts),
            Event::Exit | Event::Enter => None,
        }
    }

    fn observe_action(&mut self, record: &Record<'_>, event: Event, id: &[u8], offset: u64) {
        let hash = hash_id(id);
        let mut kept = Kept {
            line: record.json().into(),
            offset,
            start_time_s: record.start_time_s(),
            place: 0,
            awaits_start: false,
        };
        if event == Event::Enter {
            kept.place = self.place();
            return self.put_running(hash, id, kept);
        }
        let opened = self.running.remove(hash, id);
        // Once an id was closed here, nothing before this part can be open under it.
        let closed_here = match &self.closed {
            Some(closed) => {
                closed.iter().any(|(other_hash, other)| other_hash == hash && other == id)
            }
            None => true,
        };
        self.put_closed(hash, id);
        if event == Event::Exit {
            return;
        }
        kept.place = self.place();
        kept.awaits_start = opened.is_none() && !closed_here;
        if let Some(opened) = opened {
            kept.start_time_s = opened.start_time_s;
        }
        self.put_ended(hash, id, event, kept);
    }
}

/// Puts a value in the place of another one.
fn replace(old: &mut Kept, mut new: Kept) {
    new.place = old.place;
    *old = new;
}

impl Partial for AnomaliesPartial {
    fn observe(&mut self, record: &Record<'_>, offset: u64) {
        self.times.records += 1;
        self.times.observe(record);
        let Some(event) = record.event() else {
            if record.is_stall()
                && let Some(id) = record.trace_id()
            {
                self.put_stall(hash_id(&id), &id, record.json());
            }
            return;
        };
        if !self.filter.matches_action_record(record) {
            return;
        }
        if let Some(id) = record.trace_id() {
            self.observe_action(record, event, &id, offset);
        }
    }

    fn merge(&mut self, later: Self) {
        let shift = self.next_place;
        let mut closed_earlier = None;
        for (theirs, event) in [
            (later.cancelled, Event::Cancel),
            (later.errors, Event::Error),
            (later.timeouts, Event::Timeout),
        ] {
            for (hash, id, mut kept) in theirs.into_rows() {
                if kept.awaits_start {
                    if let Some(opened) = self.running.get(hash, &id) {
                        kept.start_time_s = opened.start_time_s;
                        kept.awaits_start = false;
                    } else {
                        kept.awaits_start = self.closed.as_ref().is_some_and(|closed| {
                            let closed = closed_earlier.get_or_insert_with(|| closed.to_set());
                            closed.get(hash, &id).is_none()
                        });
                    }
                }
                kept.place += shift;
                self.put_ended(hash, &id, event, kept);
            }
        }
        if let Some(closed) = later.closed {
            for (hash, id) in closed.iter() {
                self.running.remove(hash, id);
                self.stalls.remove(hash, id);
            }
            if let Some(ours) = &mut self.closed {
                ours.extend(&closed);
            }
        }
        for (hash, id, mut kept) in later.running.into_rows() {
            kept.place += shift;
            self.stalls.remove(hash, &id);
            self.running.put(hash, id, kept, replace);
        }
        for (hash, id, line) in later.stalls.into_rows() {
            self.put_stall(hash, &id, &line.0);
        }
        self.next_place += later.next_place;
        self.times.merge(later.times);
    }
}

/// The frames in a record that tells where an action waits, as JSON text.
pub(super) fn stack_of(line: &[u8]) -> Option<Vec<u8>> {
    let record = parse_record(line).ok()?;
    let stack = record.get(b"stack").filter(|stack| stack.kind() == Kind::Array)?;
    Some(stack.raw().to_vec())
}

/// The actions of a map, the latest end first; of equal ones, the one that came first.
fn sorted(map: IdMap<Kept>) -> Vec<Action> {
    let mut kept: Vec<_> = map.into_values().collect();
    kept.sort_unstable_by_key(|kept| kept.place);
    let mut actions: Vec<_> = kept.iter().filter_map(Action::of).collect();
    actions.sort_by(|a, b| b.end_s().partial_cmp(&a.end_s()).unwrap_or(Ordering::Equal));
    actions
}
