//! What is on the page, as JSON within it: a list for each field, texts told once.
//!
//! No text of a log is part of the HTML: all are strings of the JSON, in ASCII, without `<`, `>` and `&`,
//! and what is invisible or reorders text in them is made visible.

use std::fmt::Write as _;

use hashbrown::HashTable;

use super::super::export::microseconds;
use super::super::json::{write_number, write_text};
use super::super::stack::all_lines;
use super::super::terminal::{cell, safe_lines};
use super::kept::{Action, Kept, LeftOut, LogTold};
use super::page;
use crate::analyze::ids::hash_id;
use crate::analyze::spans::Span;

/// About how large a chunk is.
const CHUNK_BYTES: usize = 1 << 20;

/// The page, to be written.
pub(super) struct Data {
    actions: Vec<Action>,
    texts: Texts,
    columns: Columns,
    logs: Vec<LogTold>,
    left_out: LeftOut,
    is_filtered: bool,
    as_of_s: f64,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    /// From this text on.
    Texts(usize),
    Columns,
    TraceIds(usize),
    End,
}

/// Of each action, what is told of it but for its `trace_id`: lists of JSON numbers, with a comma behind
/// each.
#[derive(Default)]
struct Columns {
    start: String,
    duration: String,
    /// How many actions before it the one is that it is in; 0 if it is in none.
    parent: String,
    /// A digit each.
    outcome: String,
    log: String,
    pid: String,
    action: String,
    detail: String,
    task: String,
    sample: String,
    epoch: String,
    /// Of the few that have one: the action, and the text.
    error: String,
    error_type: String,
    stack: String,
    frames: String,
    /// Those that are nested by time, and those that are there only for what they lead to.
    by_time: String,
    around: String,
}

/// Texts, each once; the first one is empty.
struct Texts {
    all: Vec<Box<[u8]>>,
    places: HashTable<(u64, usize)>,
}

impl Texts {
    fn new() -> Self {
        let mut texts = Self { all: Vec::new(), places: HashTable::new() };
        texts.place(Box::default());
        texts
    }

    fn place(&mut self, text: Box<[u8]>) -> usize {
        let hash = hash_id(&text);
        let all = &self.all;
        if let Some((_, place)) = self.places.find(hash, |&(_, place)| all[place] == text) {
            return *place;
        }
        let place = self.all.len();
        self.places.insert_unique(hash, (hash, place), |&(hash, _)| hash);
        self.all.push(text);
        place
    }

    fn json(&mut self, json: Option<&[u8]>) -> usize {
        json.map_or(0, |json| self.place(Span::json_as_text(json).into_bytes().into()))
    }
}

impl Data {
    pub(super) fn new(kept: Kept, logs: Vec<LogTold>, is_filtered: bool, as_of_s: f64) -> Self {
        let left_out = kept.left_out();
        let mut actions = kept.into_actions();
        let (mut texts, mut columns) = (Texts::new(), Columns::default());
        // By their numbers.
        let mut rows: Vec<_> = actions.iter().enumerate().map(|(row, a)| (a.number, row)).collect();
        rows.sort_unstable();
        let row_of = |number: usize| {
            rows.binary_search_by_key(&number, |&(number, _)| number).ok().map(|at| rows[at].1)
        };
        let mut before_us = actions.first().and_then(|action| action.start_us).unwrap_or(0);
        let origin_us = before_us;
        for (row, action) in actions.iter_mut().enumerate() {
            let start_us = action.start_us.unwrap_or(before_us);
            let parent = action.parent.and_then(row_of).map_or(0, |parent| row - parent);
            columns.add(action, row, &mut texts, start_us - before_us, parent);
            before_us = start_us;
        }
        columns.start.insert_str(0, &format!("{origin_us},"));
        Self { actions, texts, columns, logs, left_out, is_filtered, as_of_s, part: Part::Head }
    }

    /// Writes the next part of the page; false if that was the last one.
    pub(super) fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        match self.part {
            Part::Head => {
                page::write_head(out);
                self.write_facts(out);
                out.extend_from_slice(b",\"texts\":[");
                self.part = Part::Texts(0);
            }
            Part::Texts(from) => {
                self.part = match write_list(out, &mut self.texts.all, from, |text, out| {
                    write_page_text(out, safe_lines(text).as_bytes());
                    *text = Box::default();
                }) {
                    Some(next) => Part::Texts(next),
                    None => Part::Columns,
                };
            }
            Part::Columns => {
                std::mem::take(&mut self.columns).write(out, self.logs.len() > 1);
                out.extend_from_slice(b",\"trace_id\":[");
                self.part = Part::TraceIds(0);
            }
            Part::TraceIds(from) => {
                self.part = match write_list(out, &mut self.actions, from, |action, out| {
                    write_page_text(out, cell(&action.span.trace_id).as_bytes());
                }) {
                    Some(next) => Part::TraceIds(next),
                    None => Part::End,
                };
            }
            Part::End => {
                out.push(b'}');
                page::write_end(out);
                return false;
            }
        }
        true
    }

    fn write_facts(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"as_of_us\":");
        out.extend_from_slice(microseconds(self.as_of_s).to_string().as_bytes());
        out.extend_from_slice(b",\"filtered\":");
        out.extend_from_slice(self.is_filtered.to_string().as_bytes());
        let LeftOut { count, bad, longest_us, undated } = self.left_out;
        out.extend_from_slice(
            format!(
                ",\"left_out\":{{\"count\":{count},\"bad\":{bad},\"longest_us\":{longest_us},\
                 \"undated\":{undated}}}"
            )
            .as_bytes(),
        );
        out.extend_from_slice(b",\"logs\":[");
        for (index, log) in self.logs.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"{\"path\":" } else { b",{\"path\":" });
            write_page_text(out, cell(&log.path).as_bytes());
            out.extend_from_slice(b",\"pid\":");
            match log.pid {
                Some(pid) => write_number(out, f64::from(pid)),
                None => out.extend_from_slice(b"null"),
            }
            let alive = log.is_alive.map_or("null", |alive| if alive { "true" } else { "false" });
            let facts = format!(",\"alive\":{alive},\"by_time\":{}}}", log.by_time);
            out.extend_from_slice(facts.as_bytes());
        }
        out.push(b']');
    }
}

/// Writes a list from one of its items on, and its end; or tells where to go on.
fn write_list<T>(
    out: &mut Vec<u8>,
    items: &mut [T],
    from: usize,
    mut write: impl FnMut(&mut T, &mut Vec<u8>),
) -> Option<usize> {
    for (index, item) in items.iter_mut().enumerate().skip(from) {
        if out.len() > CHUNK_BYTES {
            return Some(index);
        }
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
    None
}

impl Columns {
    fn add(
        &mut self,
        action: &mut Action,
        row: usize,
        texts: &mut Texts,
        start_us: i64,
        parent: usize,
    ) {
        let outcome = match action.span.outcome() {
            "exit" => '0',
            "running" => '1',
            "interrupted" => '2',
            "error" => '3',
            "timeout" => '4',
            _ => '5',
        };
        self.outcome.push(outcome);
        let span = &mut action.span;
        let kind = texts.place(std::mem::take(&mut span.action));
        let detail = texts.place(std::mem::take(&mut span.detail));
        let task = texts.json(span.task.as_deref());
        let sample = texts.json(span.sample_id.as_deref());
        let epoch = texts.json(span.epoch.as_deref());
        put(&mut self.start, start_us);
        put(&mut self.duration, action.duration_us);
        put(&mut self.parent, parent);
        put(&mut self.log, action.log);
        put(&mut self.pid, action.pid.unwrap_or(0));
        put(&mut self.action, kind);
        put(&mut self.detail, detail);
        put(&mut self.task, task);
        put(&mut self.sample, sample);
        put(&mut self.epoch, epoch);
        let frames = action.frames.take().map(|frames| all_lines(&frames).join("\n"));
        for (column, text) in [
            (&mut self.error, span.error.take()),
            (&mut self.error_type, span.error_type.take()),
            (&mut self.stack, span.stacktrace.take()),
            (&mut self.frames, frames.map(|frames| Box::<[u8]>::from(frames.into_bytes()))),
        ] {
            if let Some(text) = text
                && !text.is_empty()
            {
                put(column, row);
                put(column, texts.place(text));
            }
        }
        if action.by_time && parent > 0 {
            put(&mut self.by_time, row);
        }
        if action.around {
            put(&mut self.around, row);
        }
    }

    fn write(self, out: &mut Vec<u8>, has_several_logs: bool) {
        out.extend_from_slice(b",\"outcome\":\"");
        out.extend_from_slice(self.outcome.as_bytes());
        out.push(b'"');
        for (name, mut list) in [
            ("start", self.start),
            ("duration", self.duration),
            ("parent", self.parent),
            ("log", if has_several_logs { self.log } else { String::new() }),
            ("pid", self.pid),
            ("action", self.action),
            ("detail", self.detail),
            ("task", self.task),
            ("sample", self.sample),
            ("epoch", self.epoch),
            ("error", self.error),
            ("error_type", self.error_type),
            ("stack", self.stack),
            ("waits", self.frames),
            ("by_time", self.by_time),
            ("around", self.around),
        ] {
            list.pop();
            out.extend_from_slice(format!(",\"{name}\":[{list}]").as_bytes());
        }
    }
}

fn put(column: &mut String, value: impl std::fmt::Display) {
    // Writing into a String cannot fail.
    let _ = write!(column, "{value},");
}

/// Appends a text as JSON that stands in a page: nothing in it can end the element that it is in.
fn write_page_text(out: &mut Vec<u8>, text: &[u8]) {
    let mut json = Vec::with_capacity(text.len() + 2);
    write_text(&mut json, text);
    for byte in json {
        match byte {
            b'<' | b'>' | b'&' => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            other => out.push(other),
        }
    }
}
