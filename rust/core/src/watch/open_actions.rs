//! The actions that are open, and when they are looked at.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::id::TraceId;

/// More open actions than this are not watched: what opens and never ends must not fill the memory.
pub const MAX_OPEN_ACTIONS: usize = 100_000;

/// The open actions of a log, each with something of the caller's.
///
/// They are looked at when they have been open for the threshold, then for twice as long, four times as
/// long, and so on.
#[derive(Debug)]
pub struct OpenActions<T> {
    threshold_s: f64,
    actions: HashMap<TraceId, OpenAction<T>, BuildHasherDefault<IdHasher>>,
}

#[derive(Debug)]
struct OpenAction<T> {
    started_s: f64,
    due_s: f64,
    thread: u64,
    of_caller: T,
}

/// An action that has been open for long.
#[derive(Debug, Clone, PartialEq)]
pub struct Stalled<T> {
    /// Its id.
    pub trace_id: TraceId,
    /// The thread that began it, as the caller names threads.
    pub thread: u64,
    /// For how long it has been open.
    pub duration_s: f64,
    /// What the caller has given with it.
    pub of_caller: T,
}

impl<T> OpenActions<T> {
    /// None are open; they are looked at when they have been open for so long (more than 0).
    pub fn new(threshold_s: f64) -> Self {
        Self { threshold_s, actions: HashMap::default() }
    }

    /// How long an action has to be open before it is looked at.
    pub fn threshold_s(&self) -> f64 {
        self.threshold_s
    }

    /// An action has begun, at a moment of the monotonic clock. What has to be dropped is given back: what
    /// was given with an action of the same id, or, where too many are open, with this one.
    #[inline]
    pub fn open(
        &mut self,
        trace_id: &TraceId,
        started_s: f64,
        thread: u64,
        of_caller: T,
    ) -> Option<T> {
        if self.actions.len() >= MAX_OPEN_ACTIONS && !self.actions.contains_key(trace_id) {
            return Some(of_caller);
        }
        let due_s = started_s + self.threshold_s;
        let action = OpenAction { started_s, due_s, thread, of_caller };
        self.actions.insert(*trace_id, action).map(|before| before.of_caller)
    }

    /// An action has ended. Gives back what was given with it.
    #[inline]
    pub fn close(&mut self, trace_id: &TraceId) -> Option<T> {
        self.actions.remove(trace_id).map(|action| action.of_caller)
    }

    /// Forgets all. Gives back what has to be dropped.
    #[must_use = "it may be more than memory that has to be given up"]
    pub fn clear(&mut self) -> Vec<T> {
        self.actions.drain().map(|(_, action)| action.of_caller).collect()
    }

    /// Whether an action is open.
    pub fn contains(&self, trace_id: &TraceId) -> bool {
        self.actions.contains_key(trace_id)
    }

    /// When the next action has to be looked at; None: none is open.
    pub fn next_due_s(&self) -> Option<f64> {
        self.actions.values().map(|action| action.due_s).min_by(f64::total_cmp)
    }

    /// The actions that have to be looked at now, `most` at most: those that have waited longest for it.
    /// Each will be due again when it has been open for twice as long (or, having waited for this, for
    /// four times as long, and so on: never for what has passed).
    pub fn take_due(
        &mut self,
        now_s: f64,
        most: usize,
        clone: impl Fn(&T) -> T,
    ) -> Vec<Stalled<T>> {
        let mut due: Vec<_> =
            self.actions.iter_mut().filter(|(_, action)| action.due_s <= now_s).collect();
        due.sort_by(|(_, a), (_, b)| a.due_s.total_cmp(&b.due_s));
        due.truncate(most);
        due.into_iter()
            .map(|(trace_id, action)| {
                let duration_s = now_s - action.started_s;
                let mut age_s = action.due_s - action.started_s;
                while age_s <= duration_s {
                    age_s *= 2.0;
                }
                action.due_s = action.started_s + age_s;
                Stalled {
                    trace_id: *trace_id,
                    thread: action.thread,
                    duration_s,
                    of_caller: clone(&action.of_caller),
                }
            })
            .collect()
    }
}

/// Ids are random: two words of one are as good a hash as any.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // The table looks at the upper bits and at the lower ones; multiplying mixes only upwards.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn durations(stalled: &[Stalled<u32>]) -> Vec<f64> {
        stalled.iter().map(|stalled| stalled.duration_s).collect()
    }

    /// An action is due at the threshold, then whenever it has been open twice as long.
    #[test]
    fn growing_intervals() {
        let mut open = OpenActions::new(60.0);
        let id = TraceId::new();
        assert_eq!(open.next_due_s(), None);
        assert_eq!(open.open(&id, 1000.0, 7, 1), None);
        assert!(open.take_due(1059.9, 9, u32::clone).is_empty());
        let mut due = Vec::new();
        while let Some(now_s) = open.next_due_s().filter(|due_s| *due_s < 2000.0) {
            let stalled = open.take_due(now_s, 9, u32::clone);
            assert_eq!((stalled[0].trace_id, stalled[0].thread, stalled[0].of_caller), (id, 7, 1));
            due.extend(durations(&stalled));
        }
        assert_eq!(due, [60.0, 120.0, 240.0, 480.0, 960.0]);
    }

    /// Who comes late is told once of what was due in the meantime.
    #[test]
    fn nothing_is_made_up_for() {
        let mut open = OpenActions::new(1.0);
        open.open(&TraceId::new(), 0.0, 0, 1);
        assert_eq!(durations(&open.take_due(9.5, 9, u32::clone)), [9.5]);
        assert_eq!(open.next_due_s(), Some(16.0));
    }

    /// What has ended is not due, and what was given with it comes back.
    #[test]
    fn closed_actions_are_forgotten() {
        let mut open = OpenActions::new(1.0);
        let ids = [TraceId::new(), TraceId::new()];
        assert!(ids.iter().all(|id| open.open(id, 0.0, 0, 5).is_none()));
        assert_eq!(open.close(&ids[0]), Some(5));
        assert_eq!(open.close(&ids[0]), None);
        assert!(!open.contains(&ids[0]) && open.contains(&ids[1]));
        assert_eq!(open.take_due(2.0, 9, u32::clone)[0].trace_id, ids[1]);
        assert_eq!(open.clear(), [5]);
        assert_eq!(open.next_due_s(), None);
    }

    /// An id that comes again begins anew.
    #[test]
    fn the_same_id_again() {
        let mut open = OpenActions::new(1.0);
        let id = TraceId::new();
        open.open(&id, 0.0, 0, 1);
        assert_eq!(open.open(&id, 5.0, 0, 2), Some(1));
        assert_eq!(open.next_due_s(), Some(6.0));
    }

    /// Of many that are due, those come first that have waited longest.
    #[test]
    fn no_more_than_asked_for() {
        let mut open = OpenActions::new(1.0);
        for start in [3, 1, 4, 2, 0] {
            open.open(&TraceId::new(), start.into(), 0, 0);
        }
        assert_eq!(durations(&open.take_due(10.0, 2, u32::clone)), [10.0, 9.0]);
        assert_eq!(durations(&open.take_due(10.0, 9, u32::clone)), [8.0, 7.0, 6.0]);
    }

    /// Beyond the limit actions are not taken in, until others end.
    #[test]
    fn there_is_a_limit() {
        let mut open = OpenActions::new(1.0);
        let ids: Vec<_> = (0..=MAX_OPEN_ACTIONS).map(|_| TraceId::new()).collect();
        let (last, others) = ids.split_last().unwrap();
        assert!(others.iter().all(|id| open.open(id, 0.0, 0, 0).is_none()));
        assert_eq!(open.open(last, 0.0, 0, 1), Some(1));
        assert_eq!(open.open(&others[0], 0.0, 0, 2), Some(0));
        open.close(&others[1]);
        assert_eq!(open.open(last, 0.0, 0, 1), None);
    }
}
