//! Tracks for actions: on each, every action is within another or beside it, whatever ran at the same
//! time. Viewers refuse, or draw wrongly, what overlaps otherwise.

use std::collections::HashMap;

/// How many free lanes are looked at before there is a new one.
const MAX_LOOKED_AT: usize = 16;

/// An action on a lane.
#[derive(Debug, Clone, Copy)]
struct Slice {
    lane: usize,
    start_us: i64,
}

#[derive(Debug)]
struct Lane {
    group: usize,
    /// The open actions, the innermost last.
    stack: Vec<u64>,
    /// When the last that ended on it did.
    last_end_us: i64,
    /// Whether that had begun just then.
    is_last_instant: bool,
}

/// All lanes; those of a group are told apart by a number.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    /// Of each group, the lanes on which nothing is open, and how many it has.
    groups: Vec<(Vec<usize>, usize)>,
    open: HashMap<u64, Slice>,
    next: u64,
}

/// What is drawn of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) lane: usize,
    pub(super) start_us: i64,
    pub(super) end_us: i64,
}

/// A lane that there was not before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewLane {
    pub(super) lane: usize,
    pub(super) group: usize,
    /// Which of the group it is, from 1.
    pub(super) number: usize,
}

impl Lanes {
    pub(super) fn add_group(&mut self) -> usize {
        self.groups.push((Vec::new(), 0));
        self.groups.len() - 1
    }

    /// An action begins: on the lane of the one that it is in, if that is the innermost there, or on one
    /// on which nothing is open.
    pub(super) fn enter(
        &mut self,
        group: usize,
        parent: Option<u64>,
        start_us: i64,
    ) -> (u64, Option<NewLane>) {
        let around = parent.and_then(|parent| {
            let lane = self.open.get(&parent)?.lane;
            let is_innermost = self.all[lane].stack.last() == Some(&parent);
            (is_innermost && self.all[lane].group == group).then_some(lane)
        });
        let (lane, new) = match around {
            Some(lane) => (lane, None),
            None => self.free_lane(group, start_us),
        };
        let id = self.next;
        self.next += 1;
        // Clocks that are set, and roundings, must not make it begin before what is around it, or before
        // the end of what was before it. Of two that begin at the same moment viewers take the one for the
        // outer that they come across first, which is the one that ends first.
        let lane_stack = &self.all[lane].stack;
        let around_us = lane_stack.last().and_then(|around| self.open.get(around));
        let earliest_us = around_us.map_or(i64::MIN, |slice| slice.start_us.saturating_add(1));
        let start_us = start_us.max(earliest_us).max(self.all[lane].last_end_us);
        self.open.insert(id, Slice { lane, start_us });
        self.all[lane].stack.push(id);
        (id, new)
    }

    /// An action ends. What began in it on its lane and goes on moves to another one.
    pub(super) fn leave(&mut self, id: u64, end_us: i64) -> (Drawn, Option<NewLane>) {
        let slice = self.open.remove(&id).expect("it ends once, and had begun");
        let stack = &mut self.all[slice.lane].stack;
        let at = stack.iter().rposition(|&other| other == id).expect("it is on its lane");
        let outliving = stack.split_off(at + 1);
        stack.pop();
        let group = self.all[slice.lane].group;
        let mut new = None;
        if let Some(first) = outliving.first() {
            let start_us = self.open.get(first).map_or(i64::MIN, |slice| slice.start_us);
            let (lane, new_lane) = self.free_lane(group, start_us);
            new = new_lane;
            for other in &outliving {
                if let Some(slice) = self.open.get_mut(other) {
                    slice.lane = lane;
                }
            }
            self.all[lane].stack = outliving;
        }
        let lane = &mut self.all[slice.lane];
        // What takes no time is in what goes on behind it, not in what ends with it.
        let inner_end_us = lane.last_end_us.saturating_add(i64::from(lane.is_last_instant));
        let end_us = end_us.max(slice.start_us).max(inner_end_us);
        lane.last_end_us = end_us;
        lane.is_last_instant = end_us == slice.start_us;
        if lane.stack.is_empty() {
            self.groups[group].0.push(slice.lane);
        }
        (Drawn { lane: slice.lane, start_us: slice.start_us, end_us }, new)
    }

    /// The group of a lane.
    pub(super) fn group(&self, lane: usize) -> usize {
        self.all[lane].group
    }

    /// A lane of the group on which nothing has been open since a moment.
    fn free_lane(&mut self, group: usize, start_us: i64) -> (usize, Option<NewLane>) {
        let (free, count) = &mut self.groups[group];
        let is_free = |&lane: &usize| self.all[lane].last_end_us <= start_us;
        let looked_at = free.len().saturating_sub(MAX_LOOKED_AT);
        if let Some(at) = free[looked_at..].iter().position(is_free) {
            return (free.remove(looked_at + at), None);
        }
        *count += 1;
        let lane = self.all.len();
        self.all.push(Lane {
            group,
            stack: Vec::new(),
            last_end_us: i64::MIN,
            is_last_instant: false,
        });
        (lane, Some(NewLane { lane, group, number: *count }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever begins and ends when, and in what: on a lane, slices are in each other or apart.
        #[test]
        fn slices_never_cross(
            steps in prop::collection::vec((any::<bool>(), 0..50_usize, 0..4_i64), 0..200),
        ) {
            let mut lanes = Lanes::default();
            let group = lanes.add_group();
            let (mut open, mut drawn, mut now_us) = (Vec::new(), Vec::new(), 0);
            for (begins, which, later_us) in steps {
                // Time goes back a little, now and then.
                now_us += later_us - 1;
                let parent = open.get(which).copied();
                if begins || open.is_empty() {
                    open.push(lanes.enter(group, parent, now_us).0);
                } else {
                    let id = open.remove(which % open.len());
                    drawn.push(lanes.leave(id, now_us).0);
                }
            }
            while let Some(id) = open.pop() {
                drawn.push(lanes.leave(id, now_us).0);
            }
            for (index, a) in drawn.iter().enumerate() {
                prop_assert!(a.start_us <= a.end_us);
                for b in drawn[index + 1..].iter().filter(|b| b.lane == a.lane) {
                    let apart = a.end_us <= b.start_us || b.end_us <= a.start_us;
                    let within = (a.start_us < b.start_us && b.end_us <= a.end_us)
                        || (b.start_us < a.start_us && a.end_us <= b.end_us);
                    prop_assert!(apart || within, "{a:?} {b:?}");
                }
            }
        }
    }
}
