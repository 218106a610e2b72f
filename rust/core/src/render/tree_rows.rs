//! One action of a tree, as a line of text or as a JSON object.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::analyze::tree::{Folded, NestedBy, Row};
use crate::read::{Filter, Log};

use super::json::{Escape, Layout, new_line, write_number, write_text, write_value};
use super::table::TableStyle;
use super::terminal::cell;

/// Levels that are set in; deeper ones tell their depth instead.
const MAX_INDENTED: usize = 24;
/// Details and errors longer than this are cut.
const MAX_TEXT_CHARS: usize = 1000;

pub(super) fn write_text_row(out: &mut Vec<u8>, row: &Row<'_>, style: TableStyle) {
    let span = &row.node.span;
    let duration = span.duration_s.map_or_else(|| "?".to_owned(), human_duration);
    let outcome = match span.outcome() {
        "exit" => "",
        "error" => "failed",
        "timeout" => "timed out",
        "cancel" => "cancelled",
        open => open,
    };
    let mut line = format!("{duration:>8}  {outcome:<11}  ");
    push_indent(&mut line, row.depth);
    if row.nested_by == NestedBy::Time {
        line.push_str("~ ");
    }
    line.push_str(&short(&span.action));
    if !span.detail.is_empty() {
        let _ = write!(line, ": {}", short(&span.detail));
    }
    if let Some(error) = span.error.as_ref().or(span.error_type.as_ref()) {
        line.push_str(" - ");
        if let (Some(error_type), true) = (&span.error_type, span.error.is_some()) {
            let _ = write!(line, "{}: ", short(error_type));
        }
        line.push_str(&short(error));
    }
    if let Some(width) = style.width {
        cut(&mut line, width.max(60));
    }
    let line = line.trim_end();
    let line = if span.is_open() { style.bold(line) } else { line.to_owned() };
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

fn push_indent(line: &mut String, depth: usize) {
    line.extend(std::iter::repeat_n(' ', 2 * depth.min(MAX_INDENTED)));
    if depth > MAX_INDENTED {
        let _ = write!(line, "[{depth}] ");
    }
}

pub(super) fn write_folded(out: &mut Vec<u8>, folded: Folded, depth: usize) {
    let mut line = " ".repeat(23);
    push_indent(&mut line, depth);
    let Folded { count, bad } = folded;
    let _ = write!(line, "... and {count} more that ended");
    if bad > 0 {
        let _ = write!(line, ", {bad} of them not well");
    }
    line.push('\n');
    out.extend_from_slice(line.as_bytes());
}

/// A text on one line, safe, and not too long.
fn short(text: &[u8]) -> String {
    // Four bytes a character at most, and what is cut in the middle of one is replaced.
    let mut cell = cell(&text[..text.len().min(4 * MAX_TEXT_CHARS)]);
    if let Some((at, _)) = cell.char_indices().nth(MAX_TEXT_CHARS) {
        cell.truncate(at);
    }
    if cell.len() < text.len() && cell.chars().count() >= MAX_TEXT_CHARS {
        cell.push('…');
    }
    cell
}

/// Cuts a line to the columns of a terminal.
pub(super) fn cut(line: &mut String, columns: usize) {
    if line.width() <= columns {
        return;
    }
    let mut used = 0;
    let end = line.char_indices().find_map(|(at, character)| {
        used += character.width().unwrap_or(0);
        (used > columns - 1).then_some(at)
    });
    line.truncate(end.unwrap_or(line.len()));
    line.push('…');
}

/// A duration in the units that people use: `12ms`, `3.4s`, `2m 14s`, `3h 05m`, `2d 03h`.
pub(super) fn human_duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds.abs() >= 1e11 {
        return "?".to_owned();
    }
    if seconds < 0.0 {
        return format!("-{}", human_duration(-seconds));
    }
    let milliseconds = seconds * 1000.0;
    if milliseconds < 0.05 {
        return "0ms".to_owned();
    }
    if milliseconds < 9.95 {
        return format!("{milliseconds:.1}ms");
    }
    if milliseconds < 999.5 {
        return format!("{milliseconds:.0}ms");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range, see above
    let whole = seconds.round() as u64;
    match whole {
        0..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
        86_400..86_400_000 => format!("{}d {:02}h", whole / 86_400, whole % 86_400 / 3600),
        _ => format!("{}d", whole / 86_400),
    }
}

pub(super) fn write_json_row(
    out: &mut Vec<u8>,
    log: Option<&Log>,
    row: &Row<'_>,
    filter: &Filter,
    first: bool,
    no_detail: bool,
) {
    let span = &row.node.span;
    if !first {
        out.push(b',');
    }
    new_line(out, 2);
    out.push(b'{');
    let mut follows = false;
    let mut key = |out: &mut Vec<u8>, name: &str| {
        if follows {
            out.push(b',');
        }
        follows = true;
        new_line(out, 3);
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\": ");
    };
    let number = |out: &mut Vec<u8>, value: Option<f64>| {
        write_number(out, value.unwrap_or(f64::NAN));
    };
    if let Some(log) = log {
        key(out, "trace_file");
        write_text(out, log.path.as_os_str().as_encoded_bytes());
    }
    key(out, "depth");
    out.extend_from_slice(row.depth.to_string().as_bytes());
    key(out, "nested_by");
    out.extend_from_slice(match row.nested_by {
        NestedBy::Nothing => b"null",
        NestedBy::ParentId => b"\"parent_id\"",
        NestedBy::Time => b"\"time\"",
    });
    key(out, "action");
    write_text(out, &span.action);
    if !no_detail {
        key(out, "detail");
        write_text(out, &span.detail);
    }
    key(out, "outcome");
    write_text(out, span.outcome().as_bytes());
    key(out, "start_time");
    number(out, span.start_s);
    key(out, "duration");
    number(out, span.duration_s);
    let texts = [("error", &span.error), ("error_type", &span.error_type)];
    for (name, text) in texts {
        if let Some(text) = text {
            key(out, name);
            write_text(out, text);
        }
    }
    key(out, "trace_id");
    write_text(out, &span.trace_id);
    if let Some(parent_id) = &span.parent_id {
        key(out, "parent_id");
        write_text(out, parent_id);
    }
    let fields = [("task", &span.task), ("sample_id", &span.sample_id), ("epoch", &span.epoch)];
    for (name, json) in fields {
        if let Some(json) = json {
            key(out, name);
            write_value(out, json, Layout::Indented(3), Escape::NonAscii);
        }
    }
    if let Some(pid) = span.pid {
        key(out, "pid");
        out.extend_from_slice(pid.to_string().as_bytes());
    }
    if !filter.is_empty() {
        key(out, "chosen");
        out.extend_from_slice(if row.node.wanted { b"true" } else { b"false" });
    }
    let folded = row.node.folded;
    if folded.count > 0 {
        key(out, "folded");
        let text = format!("{{\"ended\": {}, \"not_well\": {}}}", folded.count, folded.bad);
        out.extend_from_slice(text.as_bytes());
    }
    new_line(out, 2);
    out.push(b'}');
}
