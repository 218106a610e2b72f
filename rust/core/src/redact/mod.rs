//! Secrets in texts: found, and replaced by [`REDACTED`]. Key names, and everything around, stay.
//!
//! What is recognised is told in `docs/integration.md`; the rules themselves stand in `rules`. A text in
//! which nothing could be a secret, by far the commonest, is only looked through for some words
//! (`triggers`). Time is linear in the text, and what has been redacted stays as it is.

mod json;
mod rules;
mod triggers;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use json::redact_from;
pub use json::redact_json;

/// What stands in the place of a secret.
pub const REDACTED: &str = "REDACTED";

/// The text, which may be any bytes, without the secrets in it. Redacting again changes nothing.
pub fn redact(text: &[u8]) -> Cow<'_, [u8]> {
    let spans = secrets(text);
    if spans.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(replaced(text, &spans)) }
}

/// [`redact`] for text.
pub fn redact_text(text: &str) -> Cow<'_, str> {
    match redact(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // A secret begins and ends beside ASCII characters: see `rules`.
        Cow::Owned(redacted) => Cow::Owned(String::from_utf8_lossy(&redacted).into_owned()),
    }
}

/// Takes the secrets out of a text.
pub(crate) fn redact_in(text: &mut Vec<u8>) {
    if let Cow::Owned(redacted) = redact(text) {
        *text = redacted;
    }
}

/// So often a text is looked through again after something was replaced: one more time than it nearly
/// always takes, and so little that the time stays linear.
const MAX_ROUNDS: usize = 6;

/// Where secrets stand in a text: in order, apart from each other.
///
/// What stands beside a secret may look like one once that is replaced (an end of a word is where none
/// was before). So the outcome is looked through as well, until nothing more is found.
fn secrets(text: &[u8]) -> Vec<Range<usize>> {
    let mut spans = secrets_at_first_sight(text);
    for _ in 1..MAX_ROUNDS {
        if spans.is_empty() {
            break;
        }
        let more = secrets_at_first_sight(&replaced(text, &spans));
        if more.is_empty() {
            break;
        }
        let more: Vec<_> =
            more.iter().map(|span| before(&spans, span.start)..before(&spans, span.end)).collect();
        spans.extend(more);
        join(&mut spans);
    }
    spans
}

fn secrets_at_first_sight(text: &[u8]) -> Vec<Range<usize>> {
    let groups = triggers::groups(text);
    let mut spans = Vec::new();
    if groups != 0 {
        rules::find(text, groups, &mut spans);
        settle(text, &mut spans);
    }
    spans
}

/// Where something that stands at `at` stood before `spans` were replaced.
fn before(spans: &[Range<usize>], at: usize) -> usize {
    let mut moved = 0;
    for span in spans {
        // Wraps below zero in between, where secrets are shorter than the mark.
        let end = span.start.wrapping_sub(moved).wrapping_add(REDACTED.len());
        if end > at {
            break;
        }
        moved = moved.wrapping_add(span.len()).wrapping_sub(REDACTED.len());
    }
    at.wrapping_add(moved)
}

/// Puts spans in order, and joins those that overlap. No mark is cut, and none replaced by itself.
fn settle(text: &[u8], spans: &mut Vec<Range<usize>>) {
    if spans.is_empty() {
        return;
    }
    let marks: Vec<usize> = memchr::memmem::find_iter(text, REDACTED).collect();
    for span in &mut *spans {
        for at in [span.start, span.end] {
            let after = marks.partition_point(|&mark| mark < at);
            if let Some(mark) = after.checked_sub(1).map(|last| marks[last])
                && at < mark + REDACTED.len()
            {
                *span = span.start.min(mark)..span.end.max(mark + REDACTED.len());
            }
        }
    }
    join(spans);
    spans.retain(|span| text[span.clone()] != *REDACTED.as_bytes());
}

fn join(spans: &mut Vec<Range<usize>>) {
    spans.sort_unstable_by_key(|span| span.start);
    spans.dedup_by(|next, before| {
        let overlaps = next.start < before.end;
        if overlaps {
            before.end = before.end.max(next.end);
        }
        overlaps
    });
}

fn replaced(text: &[u8], spans: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut kept = 0;
    for span in spans {
        out.extend_from_slice(&text[kept..span.start]);
        out.extend_from_slice(REDACTED.as_bytes());
        kept = span.end;
    }
    out.extend_from_slice(&text[kept..]);
    out
}
