//! Where an open action is: its task, sample and epoch, and the actions that enclose it.

use std::collections::HashMap;

use super::json::{Escape, Layout, write_text, write_value};
use super::stack::stack_lines;
use super::terminal::cell;
use crate::analyze::{Action, DatedAction, Diagnosis};
use crate::read::wtf8;

/// More of the actions around one are not told: a log can have a chain of any length.
const MAX_ENCLOSING: usize = 16;

/// The open actions of a log, which may enclose each other.
pub(super) struct Places<'d>(HashMap<&'d [u8], &'d DatedAction>);

impl<'d> Places<'d> {
    pub(super) fn of(found: &'d Diagnosis) -> Self {
        Self(found.open.iter().map(|open| (&*open.action.trace_id, open)).collect())
    }

    /// The open actions around one, the innermost first, as far as the log names them.
    pub(super) fn enclosing(&self, inner: &DatedAction) -> Vec<&'d DatedAction> {
        let mut around: Vec<&DatedAction> = Vec::new();
        let mut parent_id = inner.action.parent_id.as_deref();
        while let Some(outer) = parent_id.and_then(|id| self.0.get(id))
            && around.len() < MAX_ENCLOSING
        {
            around.push(outer);
            parent_id = outer.action.parent_id.as_deref();
        }
        around
    }

    /// The same as lines for people, after one with the task, the sample and the epoch, and before
    /// those that tell where it waits.
    pub(super) fn lines(&self, inner: &DatedAction) -> Vec<String> {
        place_lines(&inner.action, self.enclosing(inner).iter().map(|outer| &outer.action))
    }
}

/// Where an action is, given those around it, in lines for people.
pub(super) fn place_lines<'a>(
    action: &Action,
    enclosing: impl Iterator<Item = &'a Action>,
) -> Vec<String> {
    let mut lines: Vec<_> =
        sample_line(action).map(|told| format!("of {told}")).into_iter().collect();
    lines.extend(enclosing.map(|outer| format!("in {}", called(outer))));
    lines.extend(action.stack.as_deref().map(stack_lines).into_iter().flatten());
    lines
}

/// Its task, sample and epoch, in words.
pub(super) fn sample_line(action: &Action) -> Option<String> {
    let told = [("task", &action.task), ("sample", &action.sample_id), ("epoch", &action.epoch)];
    let told: Vec<_> = told
        .into_iter()
        .filter_map(|(name, json)| Some(format!("{name} {}", cell(&text_of(json.as_ref()?)))))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Its kind and what it is at.
pub(super) fn called(action: &Action) -> String {
    let detail = action.detail_or_message();
    let colon = if detail.is_empty() { "" } else { ": " };
    format!("{}{colon}{}", cell(&action.action), cell(detail))
}

/// The actions around one as a JSON array.
pub(super) fn write_enclosing(
    out: &mut Vec<u8>,
    around: &[&DatedAction],
    depth: usize,
    no_detail: bool,
) {
    let json = enclosing_json(around.iter().map(|outer| &outer.action), no_detail);
    write_value(out, &json, Layout::Indented(depth), Escape::NonAscii);
}

/// The same, in one line.
pub(super) fn enclosing_json<'a>(
    around: impl Iterator<Item = &'a Action>,
    no_detail: bool,
) -> Vec<u8> {
    let mut json = b"[".to_vec();
    for (index, outer) in around.enumerate() {
        json.extend_from_slice(if index == 0 { b"{\"action\": " } else { b", {\"action\": " });
        write_text(&mut json, &outer.action);
        if !no_detail {
            json.extend_from_slice(b", \"detail\": ");
            write_text(&mut json, outer.detail_or_message());
        }
        json.extend_from_slice(b", \"trace_id\": ");
        write_text(&mut json, &outer.trace_id);
        json.push(b'}');
    }
    json.push(b']');
    json
}

/// What a person reads of a JSON value: a string without its quotes.
pub(super) fn text_of(json: &[u8]) -> Vec<u8> {
    match json.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        Some(content) => wtf8::unescape(content),
        None => json.to_vec(),
    }
}
