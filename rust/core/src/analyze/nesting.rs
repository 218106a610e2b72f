//! Actions as each of them ends, with the one that it is in: for those who cannot hold all of a tree.
//!
//! Memory: the open actions.

use hashbrown::HashMap;

use crate::read::Filter;
use crate::record::Event;

use super::ids::{IdMap, hash_id};
use super::spans::{ActionRecord, LogEnd, Span, Stall};
use super::tree_guess::Guess;

/// An action that has ended, or is open at the end of its log.
#[derive(Debug)]
pub(crate) struct Nested {
    pub(crate) span: Span,
    /// Its number: actions are counted as they begin, so it is greater than that of what it is in.
    pub(crate) number: usize,
    /// The number of the action that it is in.
    pub(crate) parent: Option<usize>,
    /// Whether that is told by sample and time only.
    pub(crate) by_time: bool,
    /// Whether the filter selects it.
    pub(crate) wanted: bool,
    pub(crate) leads: Leads,
    /// Where it was last seen to wait, as JSON text.
    pub(crate) frames: Option<Box<[u8]>>,
}

/// Of what kinds there are actions in an action.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leads {
    /// One that the filter selects.
    pub(crate) to_wanted: bool,
    /// One of these that did not end well, or not at all.
    pub(crate) to_bad: bool,
}

/// The open actions of one log.
pub(crate) struct Nesting {
    filter: Filter,
    ids: IdMap<usize>,
    /// By their numbers.
    open: HashMap<usize, Open, ahash::RandomState>,
    guess: Option<Guess>,
    next: usize,
}

struct Open {
    span: Span,
    parent: Option<usize>,
    by_time: bool,
    /// Whether one of its records is wanted.
    matches: bool,
    leads: Leads,
    frames: Option<Box<[u8]>>,
}

impl Nesting {
    /// For a log whose actions are to be counted from `first` on.
    pub(crate) fn new(filter: &Filter, by_time: bool, first: usize) -> Self {
        Self {
            filter: filter.clone(),
            ids: IdMap::default(),
            open: HashMap::default(),
            guess: by_time.then(Guess::default),
            next: first,
        }
    }

    /// The number of the next action.
    pub(crate) fn next_number(&self) -> usize {
        self.next
    }

    /// Takes in the next record; gives the action if it has ended.
    pub(crate) fn observe(&mut self, record: ActionRecord) -> Option<Nested> {
        let opened = self.ids.get(record.hash, &record.span.trace_id).copied();
        if record.span.event == Event::Enter {
            match opened {
                Some(number) => self.enter_again(number, record),
                None => self.enter(record),
            }
            return None;
        }
        if let Some(number) = opened {
            self.ids.remove(record.hash, &record.span.trace_id);
            let mut open = self.open.remove(&number)?;
            self.leave_guess(number, &open);
            open.matches |= record.matches;
            open.span.close(record);
            return Some(self.end(number, open));
        }
        let open = Open::new(record.matches, self.named_parent(&record.span), record.span);
        let number = self.number();
        Some(self.end(number, open))
    }

    /// Somebody saw where an action waits.
    pub(crate) fn observe_stall(&mut self, stall: Stall) {
        let number = self.ids.get(stall.hash, &stall.trace_id);
        if let Some(open) = number.and_then(|number| self.open.get_mut(number)) {
            open.frames = Some(stall.frames);
        }
    }

    /// The end of the log: what is still open, judged, the innermost first.
    pub(crate) fn finish(&mut self, end: &mut LogEnd) -> Vec<Nested> {
        let mut numbers: Vec<_> = self.open.keys().copied().collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        self.ids = IdMap::default();
        let ended = numbers.into_iter().filter_map(|number| {
            let mut open = self.open.remove(&number)?;
            end.judge(&mut open.span);
            Some(self.end(number, open))
        });
        ended.collect()
    }

    fn number(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn named_parent(&self, span: &Span) -> Option<usize> {
        let parent_id = span.parent_id.as_ref()?;
        self.ids.get(hash_id(parent_id), parent_id).copied()
    }

    fn enter(&mut self, record: ActionRecord) {
        let mut parent = self.named_parent(&record.span);
        let mut by_time = false;
        if let (None, Some(guess)) = (&record.span.parent_id, &self.guess) {
            let kind = |number: usize| match self.open.get(&number) {
                Some(open) => (&*open.span.action, open.parent),
                None => (&b""[..], None),
            };
            parent = guess.parent(&record.span, kind);
            by_time = parent.is_some();
        }
        let number = self.number();
        let (hash, id) = (record.hash, record.span.trace_id.clone());
        self.ids.put(hash, id, number, |old, new| *old = new);
        if let Some(guess) = &mut self.guess {
            guess.enter(&record.span, number);
        }
        let open = Open { by_time, ..Open::new(record.matches, parent, record.span) };
        self.open.insert(number, open);
    }

    /// As the anomalies have it: the new action takes the place of the old one, and stays where it is.
    fn enter_again(&mut self, number: usize, record: ActionRecord) {
        let Some(mut open) = self.open.remove(&number) else { return };
        self.leave_guess(number, &open);
        open.matches |= record.matches;
        open.frames = None;
        let parent_id = open.span.parent_id.take();
        open.span = Span { parent_id, ..record.span };
        if let Some(guess) = &mut self.guess {
            guess.enter(&open.span, number);
        }
        self.open.insert(number, open);
    }

    /// What was put into an action by time and outlives it was not in it.
    fn leave_guess(&mut self, number: usize, left: &Open) {
        let Some(guess) = &mut self.guess else { return };
        for other in guess.leave(&left.span, number) {
            let Some(other) = self.open.get_mut(&other) else { continue };
            if other.parent == Some(number) && other.by_time {
                other.parent = left.parent;
                other.by_time = left.parent.is_some();
            }
        }
    }

    /// Tells what an action is in what it leads to: that ends later, as a rule, and tells it on.
    fn end(&mut self, number: usize, open: Open) -> Nested {
        let wanted = open.matches && self.filter.selects(&open.span.span());
        let is_bad = open.span.event != Event::Exit;
        if let Some(around) = open.parent.and_then(|parent| self.open.get_mut(&parent)) {
            around.leads.to_wanted |= wanted || open.leads.to_wanted;
            around.leads.to_bad |= (wanted && is_bad) || open.leads.to_bad;
        }
        Nested {
            span: open.span,
            number,
            parent: open.parent,
            by_time: open.by_time,
            wanted,
            leads: open.leads,
            frames: open.frames,
        }
    }
}

impl Open {
    fn new(matches: bool, parent: Option<usize>, span: Span) -> Self {
        Self { span, parent, by_time: false, matches, leads: Leads::default(), frames: None }
    }
}
