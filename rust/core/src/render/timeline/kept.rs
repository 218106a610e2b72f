//! The actions that get onto the page, out of any number.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::analyze::nesting::Nested;
use crate::analyze::spans::Span;
use crate::record::Event;

use super::super::export::microseconds;

/// Texts are cut beyond these: a page is for looking at, the log has all of it.
const MAX_DETAIL_BYTES: usize = 2_000;
const MAX_ERROR_BYTES: usize = 4_000;
const MAX_STACK_BYTES: usize = 16_000;

/// An action as it is on the page.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) number: usize,
    pub(super) parent: Option<usize>,
    pub(super) by_time: bool,
    /// Whether it is only there for what it leads to.
    pub(super) around: bool,
    leads_to_bad: bool,
    pub(super) log: usize,
    pub(super) pid: Option<u32>,
    pub(super) start_us: Option<i64>,
    pub(super) duration_us: i64,
    pub(super) frames: Option<Box<[u8]>>,
    pub(super) span: Span,
}

/// A log that actions are from.
#[derive(Debug)]
pub(super) struct LogTold {
    pub(super) path: Box<[u8]>,
    pub(super) pid: Option<u32>,
    /// Whether its process lives, as far as it can be told.
    pub(super) is_alive: Option<bool>,
    /// Whether its actions are nested by sample and time.
    pub(super) by_time: bool,
}

/// What is not on the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// For want of room.
    pub(super) count: u64,
    /// The longest of those of them that ended well.
    pub(super) longest_us: i64,
    /// Those of them that did not end well, or not at all.
    pub(super) bad: u64,
    /// As nothing tells when they were.
    pub(super) undated: u64,
}

impl LeftOut {
    /// In words, for standard error.
    pub(super) fn note(self) -> Option<String> {
        let are = |count| {
            if count == 1 { "1 action is".to_owned() } else { format!("{count} actions are") }
        };
        let mut parts = Vec::new();
        if self.count > 0 {
            let which = match (self.count, self.bad) {
                (1, 0) => "a shorter one that ended well".to_owned(),
                (_, 0) => "shorter ones that ended well".to_owned(),
                (_, bad) => format!("{bad} of them did not end well"),
            };
            parts.push(format!("{} not on the page ({which}): see --limit", are(self.count)));
        }
        if self.undated > 0 {
            parts.push(format!("{} not on the page, as nothing dates them", are(self.undated)));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The actions that tell most: so many, in so much memory, at most.
#[derive(Default)]
pub(super) struct Kept {
    /// The one that goes first is on top.
    heap: BinaryHeap<Ranked>,
    bytes: usize,
    limit: usize,
    max_bytes: usize,
    left_out: LeftOut,
}

impl Action {
    pub(super) fn of(nested: Nested, log: usize, log_pid: Option<u32>) -> Self {
        let mut span = nested.span;
        cut_end(&mut span.detail, MAX_DETAIL_BYTES);
        span.error.iter_mut().for_each(|error| cut_end(error, MAX_ERROR_BYTES));
        span.stacktrace.iter_mut().for_each(|stack| cut_start(stack, MAX_STACK_BYTES));
        let start_us = span.start_s.or(span.end_s).map(microseconds);
        let until_us = span.end_s.or(span.start_s).map(microseconds);
        let duration_us = until_us.unwrap_or(0).saturating_sub(start_us.unwrap_or(0)).max(0);
        Self {
            number: nested.number,
            parent: nested.parent,
            by_time: nested.by_time,
            around: !nested.wanted,
            leads_to_bad: nested.leads.to_bad,
            log,
            pid: span.pid.or(log_pid),
            start_us,
            duration_us,
            frames: nested.frames,
            span,
        }
    }

    fn is_bad(&self) -> bool {
        self.span.event != Event::Exit
    }

    /// What is left out last has the greatest.
    fn rank(&self) -> (u8, i64, std::cmp::Reverse<usize>) {
        let class = match () {
            () if self.span.is_open() => 2,
            () if self.is_bad() || self.leads_to_bad => 1,
            () => 0,
        };
        (class, self.duration_us, std::cmp::Reverse(self.number))
    }

    fn cost_bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Span>()
            + self.span.cost_bytes()
            + self.frames.as_ref().map_or(0, |frames| frames.len())
    }
}

impl Kept {
    pub(super) fn new(limit: u64, max_bytes: usize) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, max_bytes, ..Self::default() }
    }

    pub(super) fn add(&mut self, action: Box<Action>) {
        if action.start_us.is_none() {
            self.left_out.undated += 1;
            return;
        }
        self.bytes += action.cost_bytes();
        self.heap.push(Ranked(action));
        while self.heap.len() > self.limit || self.bytes > self.max_bytes {
            let Some(Ranked(action)) = self.heap.pop() else { break };
            self.bytes -= action.cost_bytes();
            self.left_out.count += 1;
            if action.is_bad() {
                self.left_out.bad += 1;
            } else {
                self.left_out.longest_us = self.left_out.longest_us.max(action.duration_us);
            }
        }
    }

    pub(super) fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// All that are kept, by their beginnings; what an action is in comes before it, and begins no later.
    pub(super) fn into_actions(self) -> Vec<Action> {
        let mut actions: Vec<_> = self.heap.into_iter().map(|ranked| *ranked.0).collect();
        actions.sort_unstable_by_key(|action| action.number);
        for at in 0..actions.len() {
            // Clocks that are set must not make an action begin before what it is in.
            let parent = actions[at].parent.and_then(|parent| {
                let found = actions[..at].binary_search_by_key(&parent, |action| action.number);
                actions[found.ok()?].start_us
            });
            actions[at].start_us = actions[at].start_us.max(parent);
        }
        actions.sort_by_key(|action| action.start_us);
        actions
    }
}

/// By rank, the least being the greatest.
struct Ranked(Box<Action>);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.rank().cmp(&self.0.rank())
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// The beginning of a text that is too long, with a note of how much is missing.
fn cut_end(text: &mut Box<[u8]>, max_bytes: usize) {
    if text.len() > max_bytes {
        let at = (0..=max_bytes).rev().find(|&at| is_boundary(text, at)).unwrap_or(0);
        let mut cut = text[..at].to_vec();
        cut.extend_from_slice(format!(" … ({} more bytes)", text.len() - at).as_bytes());
        *text = cut.into();
    }
}

/// The end of it: of a stack trace that is where it went wrong.
fn cut_start(text: &mut Box<[u8]>, max_bytes: usize) {
    if text.len() > max_bytes {
        let from = text.len() - max_bytes;
        let at = (from..text.len()).find(|&at| is_boundary(text, at)).unwrap_or(text.len());
        let mut cut = format!("({at} bytes before) …\n").into_bytes();
        cut.extend_from_slice(&text[at..]);
        *text = cut.into();
    }
}

/// Whether a character begins there.
fn is_boundary(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|byte| byte & 0xc0 != 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long texts are cut between characters, at the end or at the start.
    #[test]
    fn long_texts_are_cut() {
        let mut text: Box<[u8]> = "aéé".as_bytes().into();
        cut_end(&mut text, 5);
        assert_eq!(&*text, "aéé".as_bytes());
        cut_end(&mut text, 4);
        assert_eq!(&*text, "aé … (2 more bytes)".as_bytes());
        let mut text: Box<[u8]> = "ééa".as_bytes().into();
        cut_start(&mut text, 4);
        assert_eq!(&*text, "(2 bytes before) …\néa".as_bytes());
    }
}
