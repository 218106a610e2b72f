//! How much is in a log: records, actions that never ended or failed, names of tasks.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::metadata::short_json;
use crate::read::{Block, BlockMap, Kind, LineCursor, Skipped};
use crate::record::{Event, Name, Record};

use super::Partial;
use super::ids::hash_id;

/// More names of tasks are not kept: a log may have any number.
const MAX_TASKS: usize = 100;
/// Nor are longer ones.
const MAX_TASK_BYTES: usize = 1000;

/// What some consecutive records of a log amount to.
///
/// Actions are known by the hash of their id, which nobody can foresee. A part of a log also remembers
/// those that ended in it, until it is merged with what came before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) records: u64,
    /// Actions that were cut short by an error.
    pub(crate) errors: u64,
    /// Actions that timed out.
    pub(crate) timeouts: u64,
    /// Actions that ended well.
    pub(crate) exits: u64,
    /// Actions that were cancelled.
    pub(crate) cancels: u64,
    /// The tasks that are named, as JSON texts.
    pub(crate) tasks: BTreeSet<Arc<[u8]>>,
    open: HashSet<u64>,
    closed: HashSet<u64>,
}

impl Totals {
    /// How many actions were entered and never left.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes in the state of the records that follow, when this is the state from the start of the log on:
    /// nothing is remembered then but what is open.
    pub(crate) fn merge_from_start(&mut self, mut later: Self) {
        let closed = std::mem::take(&mut later.closed);
        self.go_on_with(later, &closed);
    }

    /// Leaves names of tasks as they are shown without detail.
    pub(crate) fn shorten_tasks(&mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        self.tasks = tasks.iter().filter_map(|task| Some(Arc::from(&*short_json(task)?))).collect();
    }

    fn go_on_with(&mut self, later: Self, closed: &HashSet<u64>) {
        self.records += later.records;
        self.errors += later.errors;
        self.timeouts += later.timeouts;
        self.exits += later.exits;
        self.cancels += later.cancels;
        for task in &later.tasks {
            self.add_task(task);
        }
        for hash in closed {
            self.open.remove(hash);
        }
        self.open.extend(later.open);
    }

    fn add_task(&mut self, task: &[u8]) {
        if self.tasks.len() < MAX_TASKS
            && task.len() <= MAX_TASK_BYTES
            && !self.tasks.contains(task)
        {
            self.tasks.insert(Arc::from(task));
        }
    }
}

impl Partial for Totals {
    fn observe(&mut self, record: &Record<'_>, _offset: u64) {
        self.records += 1;
        if let Some(task) = record.value(Name::Task)
            && task.kind() != Kind::Null
        {
            self.add_task(task.raw());
        }
        let Some(event) = record.event() else { return };
        let Some(id) = record.trace_id() else { return };
        let hash = hash_id(&id);
        if event == Event::Enter {
            self.open.insert(hash);
            return;
        }
        self.open.remove(&hash);
        self.closed.insert(hash);
        match event {
            Event::Error => self.errors += 1,
            Event::Timeout => self.timeouts += 1,
            Event::Exit => self.exits += 1,
            Event::Cancel => self.cancels += 1,
            Event::Enter => {}
        }
    }

    fn merge(&mut self, mut later: Self) {
        let closed = std::mem::take(&mut later.closed);
        self.go_on_with(later, &closed);
        self.closed.extend(closed);
    }
}

/// Counts what is in a block.
pub(crate) struct TotalsMap;

impl BlockMap for TotalsMap {
    type Scratch = LineCursor;
    type Output = Totals;

    fn map(
        &self,
        _file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        totals: &mut Totals,
    ) {
        while let Some(record) = cursor.next(block, skipped) {
            totals.observe(&record, record.offset());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::record::parse_record;

    fn lines() -> impl Strategy<Value = Vec<String>> {
        let event = prop::sample::select(vec!["enter", "exit", "error", "timeout", "cancel", "x"]);
        let line = (0..6_u32, event, 0..4_u32).prop_map(|(id, event, task)| {
            format!(
                r#"{{"timestamp": "2026-11-23T10:22:25+00:00", "level": "TRACE", "message": "m",
                "action": "A", "event": "{event}", "trace_id": "{id}", "task": "t{task}"}}"#
            )
            .replace('\n', " ")
        });
        prop::collection::vec(line, 0..40)
    }

    fn totals(lines: &[String]) -> Totals {
        let mut totals = Totals::default();
        for line in lines {
            totals.observe(&parse_record(line.as_bytes()).unwrap(), 0);
        }
        totals
    }

    proptest! {
        /// Wherever a log is split, the parts amount to the whole.
        #[test]
        fn parts_amount_to_the_whole(lines in lines(), cuts in prop::array::uniform2(0..41_usize)) {
            let [one, two] = cuts.map(|cut| cut.min(lines.len()));
            let (one, two) = (one.min(two), one.max(two));
            let [first, second, third] =
                [&lines[..one], &lines[one..two], &lines[two..]].map(totals);
            let whole = totals(&lines);
            let mut left = first.clone();
            left.merge(second.clone());
            left.merge(third.clone());
            prop_assert_eq!(&left, &whole);
            let mut right = second;
            right.merge(third);
            let mut all = Totals::default();
            all.merge_from_start(first);
            all.merge_from_start(right);
            prop_assert!(all.closed.is_empty());
            prop_assert_eq!(all, Totals { closed: HashSet::new(), ..whole });
        }

        /// An action is open if its last record is the one that it began with.
        #[test]
        fn open_actions_are_those_not_ended(lines in lines()) {
            let records: Vec<serde_json::Value> =
                lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            let last = |id: u32| {
                let id = serde_json::Value::from(id.to_string());
                records.iter().rev().find(|r| r["trace_id"] == id && r["event"] != "x")
            };
            let open = (0..6).filter(|&id| last(id).is_some_and(|r| r["event"] == "enter")).count();
            let count = |event: &str| records.iter().filter(|r| r["event"] == event).count() as u64;
            let found = totals(&lines);
            prop_assert_eq!(found.open(), open);
            prop_assert_eq!((found.errors, found.timeouts), (count("error"), count("timeout")));
            prop_assert_eq!((found.exits, found.cancels), (count("exit"), count("cancel")));
            prop_assert_eq!(found.records, lines.len() as u64);
        }
    }
}
