//! What an action is in where its records do not say: in logs of the reference.
//!
//! Only within one sample (of one task, epoch and process) can time tell anything: an action is taken to
//! be in the one that was begun last in its sample and is still open. It is not where that one is of
//! the same kind (these run side by side: calls of a model, say), nor, as turns out later, where it
//! outlives it.

use hashbrown::HashMap;

use super::spans::Span;

/// With more open actions in one sample, nothing is certain.
const MAX_OPEN: usize = 32;

type Sample = (Option<Box<[u8]>>, Box<[u8]>, Option<Box<[u8]>>, Option<u32>);

fn sample(span: &Span) -> Option<Sample> {
    let sample_id = span.sample_id.clone()?;
    Some((span.task.clone(), sample_id, span.epoch.clone(), span.pid))
}

/// The open actions of each sample, in the order in which they began; no more than can be judged.
#[derive(Default)]
pub(super) struct Guess {
    open: HashMap<Sample, Vec<usize>, ahash::RandomState>,
}

impl Guess {
    /// What a new action is in; `kind` tells of an open one what it is called and what it is in.
    pub(super) fn parent<'t>(
        &self,
        span: &Span,
        kind: impl Fn(usize) -> (&'t [u8], Option<usize>),
    ) -> Option<usize> {
        let open = self.open.get(&sample(span)?)?;
        if open.len() > MAX_OPEN {
            return None;
        }
        let last = *open.last()?;
        let (action, around) = kind(last);
        if *action == *span.action { around } else { Some(last) }
    }

    pub(super) fn enter(&mut self, span: &Span, index: usize) {
        if let Some(sample) = sample(span) {
            let open = self.open.entry(sample).or_default();
            if open.len() <= MAX_OPEN {
                open.push(index);
            }
        }
    }

    /// Forgets an action that ends; tells which of its sample are still open, and may have been taken to
    /// be in it.
    pub(super) fn leave(&mut self, span: &Span, index: usize) -> Vec<usize> {
        let Some(sample) = sample(span) else { return Vec::new() };
        let Some(open) = self.open.get_mut(&sample) else { return Vec::new() };
        let Some(at) = open.iter().rposition(|&other| other == index) else { return Vec::new() };
        open.remove(at);
        let later = open[at..].to_vec();
        if open.is_empty() {
            self.open.remove(&sample);
        }
        later
    }
}
