//! Actions within actions, as a log is read: what has ended with all that is in it can be shown and
//! forgotten at once.
//!
//! Memory: the open actions; those that have ended within them, up to a bound. Beyond it, what ends
//! is only counted in the action around it.

use crate::read::Filter;
use crate::record::Event;

use super::ids::IdMap;
use super::spans::{ActionRecord, LogEnd, Span};
use super::tree_guess::Guess;

/// How much memory actions that have ended may take while those around them are open.
pub const MAX_HELD_BYTES: usize = 64 << 20;

/// Actions that ended, and are not held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) count: u64,
    /// Those of them that did not end well.
    pub(crate) bad: u64,
}

/// How it is known what an action is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NestedBy {
    /// It is outermost, as far as is known.
    Nothing,
    /// Its records say so.
    ParentId,
    /// It is of the same sample, and was within it in time.
    Time,
}

/// An action in the tree.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    parent: Option<usize>,
    by_time: bool,
    /// Whether one of its records is wanted.
    matches: bool,
    /// Whether it is shown for its own sake.
    pub(crate) wanted: bool,
    /// Those in it that are over, with all that is in them; and at the end of the log all others.
    children: Vec<usize>,
    unfinished: Vec<usize>,
    pub(crate) folded: Folded,
    pending_children: usize,
    order: u64,
}

/// The tree of the actions of one log.
pub(crate) struct Tree {
    filter: Filter,
    running_only: bool,
    max_held_bytes: usize,
    held_bytes: usize,
    nodes: Vec<Option<Node>>,
    free: Vec<usize>,
    open: IdMap<usize>,
    guess: Option<Guess>,
    next_order: u64,
}

/// A node that is shown, and where.
pub(crate) struct Row<'t> {
    pub(crate) node: &'t Node,
    pub(crate) depth: usize,
    pub(crate) nested_by: NestedBy,
}

/// What a walk through a tree meets.
pub(crate) enum Visit<'t> {
    Action(Row<'t>),
    /// Behind the finished actions in an action: those that were only counted.
    Folded(Folded, usize),
}

impl Tree {
    pub(crate) fn new(
        filter: &Filter,
        running_only: bool,
        by_time: bool,
        max_held_bytes: usize,
    ) -> Self {
        Self {
            filter: filter.clone(),
            running_only,
            max_held_bytes,
            held_bytes: 0,
            nodes: Vec::new(),
            free: Vec::new(),
            open: IdMap::default(),
            guess: by_time.then(Guess::default),
            next_order: 0,
        }
    }

    /// Takes in the next record; gives an outermost action that is over, with all that is in it, and
    /// has something to show. It has to be walked through and dropped.
    pub(crate) fn observe(&mut self, record: ActionRecord) -> Option<usize> {
        let opened = self.open.get(record.hash, &record.span.trace_id).copied();
        if record.span.event == Event::Enter {
            match opened {
                // As the anomalies have it: the new one takes the place of the old one.
                Some(index) => {
                    self.leave_guess(index);
                    let node = self.node_mut(index);
                    node.matches |= record.matches;
                    // It stays where it is.
                    let parent_id = node.span.parent_id.take();
                    node.span = Span { parent_id, ..record.span };
                    self.enter_guess(index);
                }
                None => self.enter(record),
            }
            return None;
        }
        if let Some(index) = opened {
            self.open.remove(record.hash, &record.span.trace_id);
            let node = self.node_mut(index);
            node.matches |= record.matches;
            node.span.close(record);
            self.leave_guess(index);
            return self.complete(index);
        }
        let parent = self.named_parent(&record.span);
        let index = self.add(record, parent);
        self.complete(index)
    }

    fn enter(&mut self, record: ActionRecord) {
        let mut parent = self.named_parent(&record.span);
        let mut by_time = false;
        if record.span.parent_id.is_none()
            && let Some(guess) = &self.guess
        {
            let kind = |index: usize| {
                let node: &Node = self.node(index);
                (&*node.span.action, node.parent)
            };
            parent = guess.parent(&record.span, kind);
            by_time = parent.is_some();
        }
        let (hash, id) = (record.hash, record.span.trace_id.clone());
        let index = self.add(record, parent);
        self.node_mut(index).by_time = by_time;
        self.open.put(hash, id, index, |old, new| *old = new);
        self.enter_guess(index);
    }

    fn enter_guess(&mut self, index: usize) {
        if let (Some(guess), Some(node)) = (&mut self.guess, &self.nodes[index]) {
            guess.enter(&node.span, index);
        }
    }

    fn named_parent(&self, span: &Span) -> Option<usize> {
        let parent_id = span.parent_id.as_ref()?;
        self.open.get(super::ids::hash_id(parent_id), parent_id).copied()
    }

    fn add(&mut self, record: ActionRecord, parent: Option<usize>) -> usize {
        if let Some(parent) = parent {
            self.node_mut(parent).pending_children += 1;
        }
        let node = Node {
            span: record.span,
            parent,
            by_time: false,
            matches: record.matches,
            wanted: false,
            children: Vec::new(),
            unfinished: Vec::new(),
            folded: Folded::default(),
            pending_children: 0,
            order: self.next_order,
        };
        self.next_order += 1;
        if let Some(index) = self.free.pop() {
            self.nodes[index] = Some(node);
            return index;
        }
        self.nodes.push(Some(node));
        self.nodes.len() - 1
    }

    /// What was put into an action by time and outlives it was not in it.
    fn leave_guess(&mut self, index: usize) {
        let Some(guess) = &mut self.guess else { return };
        let span = &self.nodes[index].as_ref().expect("an action that ends is there").span;
        let others = guess.leave(span, index);
        let outer = self.node(index).parent;
        for other in others {
            if self.node(other).parent != Some(index) || !self.node(other).by_time {
                continue;
            }
            self.node_mut(index).pending_children -= 1;
            let node = self.node_mut(other);
            node.parent = outer;
            node.by_time = outer.is_some();
            if let Some(outer) = outer {
                self.node_mut(outer).pending_children += 1;
            }
        }
    }

    /// Looks whether a node, and then those around it, are over now.
    fn complete(&mut self, mut index: usize) -> Option<usize> {
        loop {
            let node = self.node(index);
            if node.span.is_open() || node.pending_children > 0 {
                return None;
            }
            let parent = node.parent;
            let wanted = node.matches && self.filter.selects(&node.span.span());
            let node = self.node_mut(index);
            node.wanted = wanted;
            let is_shown = wanted || !node.children.is_empty() || node.folded.count > 0;
            let is_shown = is_shown && !self.running_only;
            let Some(parent) = parent else {
                if is_shown {
                    self.held_bytes += self.cost_bytes(index);
                    return Some(index);
                }
                self.drop_tree(index, false);
                return None;
            };
            self.node_mut(parent).pending_children -= 1;
            if is_shown {
                let cost_bytes = self.cost_bytes(index);
                self.held_bytes += cost_bytes;
                if self.held_bytes > self.max_held_bytes {
                    let folded = self.drop_tree(index, true);
                    let around = &mut self.node_mut(parent).folded;
                    around.count += folded.count;
                    around.bad += folded.bad;
                } else {
                    self.node_mut(parent).children.push(index);
                }
            } else {
                self.drop_tree(index, false);
            }
            index = parent;
        }
    }

    /// Forgets a node that is over, and what is in it; tells how many of them were wanted.
    fn drop_tree(&mut self, root: usize, held: bool) -> Folded {
        let mut folded = Folded::default();
        let mut left = vec![root];
        while let Some(index) = left.pop() {
            if held || index != root {
                self.held_bytes = self.held_bytes.saturating_sub(self.cost_bytes(index));
            }
            let Some(node) = self.nodes[index].take() else { continue };
            self.free.push(index);
            folded.count += node.folded.count + u64::from(node.wanted);
            folded.bad += node.folded.bad;
            folded.bad += u64::from(node.wanted && node.span.event != Event::Exit);
            left.extend(node.children);
            left.extend(node.unfinished);
        }
        folded
    }

    /// Forgets an outermost action that [`Self::observe`] or [`Self::finish`] gave.
    pub(crate) fn drop_root(&mut self, root: usize) {
        self.drop_tree(root, true);
    }

    /// The end of the log: what is left is judged, and the outermost of it given, in the order in which
    /// they began.
    pub(crate) fn finish(&mut self, end: &mut LogEnd) -> Vec<usize> {
        let filter = self.filter.clone();
        // In the order of their beginnings: no action began before the one that it is in.
        let finished: std::collections::HashSet<usize> =
            self.nodes.iter().flatten().flat_map(|node| node.children.iter().copied()).collect();
        let mut left: Vec<usize> = (0..self.nodes.len())
            .filter(|index| self.nodes[*index].is_some() && !finished.contains(index))
            .collect();
        left.sort_unstable_by_key(|&index| self.node(index).order);
        let mut roots = Vec::new();
        for &index in left.iter().rev() {
            let running_only = self.running_only;
            let node = self.node_mut(index);
            let parent = node.parent;
            if node.span.is_open() {
                end.judge(&mut node.span);
            }
            node.wanted = node.matches && filter.selects(&node.span.span());
            let is_its_own = node.wanted && (!running_only || node.span.is_open());
            let is_shown = is_its_own
                || !node.unfinished.is_empty()
                || (!running_only && (!node.children.is_empty() || node.folded.count > 0));
            match (is_shown, parent) {
                (false, _) => {
                    self.drop_tree(index, false);
                }
                (true, Some(parent)) => self.node_mut(parent).unfinished.push(index),
                (true, None) => roots.push(index),
            }
        }
        roots.reverse();
        roots
    }

    /// Walks through an outermost action and all that is in it: in an action, those that are over in
    /// the order of their beginnings, then those that are not.
    pub(crate) fn walk(&self, root: usize, mut visit: impl FnMut(Visit<'_>)) {
        enum Step {
            Node(usize, usize),
            Folded(Folded, usize),
        }
        let mut left = vec![Step::Node(root, 0)];
        while let Some(step) = left.pop() {
            let (index, depth) = match step {
                Step::Node(index, depth) => (index, depth),
                Step::Folded(folded, depth) => {
                    visit(Visit::Folded(folded, depth));
                    continue;
                }
            };
            let node = self.node(index);
            let nested_by = match (node.parent, node.by_time) {
                (None, _) => NestedBy::Nothing,
                (Some(_), true) => NestedBy::Time,
                (Some(_), false) => NestedBy::ParentId,
            };
            visit(Visit::Action(Row { node, depth, nested_by }));
            // The last first: it comes off the stack last.
            let inner = |&index: &usize| Step::Node(index, depth + 1);
            left.extend(node.unfinished.iter().map(inner));
            if node.folded.count > 0 {
                left.push(Step::Folded(node.folded, depth + 1));
            }
            let mut children = node.children.clone();
            children.sort_unstable_by_key(|&index| std::cmp::Reverse(self.node(index).order));
            left.extend(children.iter().map(inner));
        }
    }

    fn cost_bytes(&self, index: usize) -> usize {
        size_of::<Node>() + self.node(index).span.cost_bytes()
    }

    fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().expect("indices of nodes that were dropped are not kept")
    }

    fn node_mut(&mut self, index: usize) -> &mut Node {
        self.nodes[index].as_mut().expect("indices of nodes that were dropped are not kept")
    }
}
