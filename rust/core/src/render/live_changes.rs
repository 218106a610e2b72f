//! A live view as lines, each telling of a change: for where a screen cannot be drawn anew.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::analyze::{Action, EndedAction, LiveAction, LiveSnapshot};
use crate::record::Event;

use super::json::{Escape, Layout, write_number, write_text, write_value};
use super::place::{called, enclosing_json, sample_line};
use super::stack::stack_lines;
use super::terminal::cell;
use super::time::local_clock;
use super::tree_rows::human_duration;

/// More actions than these that are cut off at once are only counted, in lines for people.
const MAX_INTERRUPTED: usize = 50;

/// How changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveFormat {
    /// In lines for people.
    Text,
    /// As a JSON object a line.
    JsonLines,
}

/// Tells what has changed from one snapshot to the next.
#[derive(Debug)]
pub struct LiveChanges {
    format: LiveFormat,
    /// An action is told that is open for so long.
    min_open_s: f64,
    /// Actions that were told to run, and to be interrupted.
    running: HashSet<u64>,
    interrupted: HashSet<u64>,
    /// Logs whose process was alive, or may have been, at the snapshot before.
    alive: HashSet<PathBuf>,
    has_begun: bool,
}

/// The state of an action that is told.
enum State<'a> {
    Running,
    Interrupted,
    Ended(&'a EndedAction),
}

impl LiveChanges {
    /// Tells of actions that are open for so many seconds, or longer. (Of actions that ended it knows if
    /// the view was made to tell of those: [`crate::analyze::LiveOptions::min_ended_s`].)
    pub fn new(format: LiveFormat, min_open_s: f64) -> Self {
        Self {
            format,
            min_open_s,
            running: HashSet::new(),
            interrupted: HashSet::new(),
            alive: HashSet::new(),
            has_begun: false,
        }
    }

    /// What has changed since the snapshot that was given before, as lines, each ended by a newline.
    /// Snapshots have to be of all open actions.
    pub fn lines(&mut self, snapshot: &LiveSnapshot) -> Vec<u8> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            self.write_begin(&mut out, snapshot);
        }
        for ended in &snapshot.ended {
            self.running.remove(&ended.number);
            self.write_action(
                &mut out,
                snapshot,
                ended.log,
                (&ended.action, &[]),
                (State::Ended(ended), ended.duration_s, None),
            );
        }
        let mut is_there = HashSet::new();
        let mut cut_off = 0;
        for open in &snapshot.open {
            is_there.insert(open.number);
            let told = if open.interrupted { &mut self.interrupted } else { &mut self.running };
            let is_due = open.interrupted || open.duration_s >= self.min_open_s;
            if !is_due || !told.insert(open.number) {
                continue;
            }
            let state = if open.interrupted { State::Interrupted } else { State::Running };
            cut_off += usize::from(open.interrupted);
            if cut_off <= MAX_INTERRUPTED || self.format == LiveFormat::JsonLines {
                let LiveAction { action, enclosing, duration_s, pid, .. } = open;
                let of = (&**action, &enclosing[..]);
                self.write_action(
                    &mut out,
                    snapshot,
                    open.log,
                    of,
                    (state, Some(*duration_s), *pid),
                );
            }
        }
        if cut_off > MAX_INTERRUPTED && self.format == LiveFormat::Text {
            let more = cut_off - MAX_INTERRUPTED;
            write_line(&mut out, snapshot, &format!("interrupted  and {more} more"));
        }
        // Of a log that is gone, or was read anew, nothing more is told.
        self.running.retain(|number| is_there.contains(number));
        self.interrupted.retain(|number| is_there.contains(number));
        self.write_ended_processes(&mut out, snapshot);
        out
    }

    fn write_begin(&self, out: &mut Vec<u8>, snapshot: &LiveSnapshot) {
        let paths = snapshot.logs.iter().map(|log| log.path.as_os_str().as_encoded_bytes());
        if self.format == LiveFormat::JsonLines {
            begin_object(out, snapshot, "watching");
            out.extend_from_slice(b", \"trace_files\": [");
            for (index, path) in paths.enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b", " });
                write_text(out, path);
            }
            let counts = format!(
                "], \"running\": {}, \"interrupted\": {}, \"records\": {}}}\n",
                snapshot.running, snapshot.interrupted, snapshot.records
            );
            return out.extend_from_slice(counts.as_bytes());
        }
        let what = match &snapshot.logs[..] {
            [log] => cell(log.path.as_os_str().as_encoded_bytes()),
            logs => format!("{} logs", logs.len()),
        };
        let mut text = format!("watching     {what}: {} running", snapshot.running);
        if snapshot.interrupted > 0 {
            let _ = write!(text, ", {} interrupted", snapshot.interrupted);
        }
        let least = human_duration(self.min_open_s);
        let _ = write!(text, "; told are those that are open for {least} or longer");
        write_line(out, snapshot, &text);
    }

    fn write_action(
        &self,
        out: &mut Vec<u8>,
        snapshot: &LiveSnapshot,
        log: usize,
        (action, enclosing): (&Action, &[Arc<Action>]),
        (state, duration_s, pid): (State<'_>, Option<f64>, Option<u32>),
    ) {
        let path = snapshot.logs.get(log).map_or("".as_ref(), |log| log.path.as_path());
        if self.format == LiveFormat::JsonLines {
            let change = match state {
                State::Running => "running",
                State::Interrupted => "interrupted",
                State::Ended(_) => "ended",
            };
            begin_object(out, snapshot, change);
            out.extend_from_slice(b", \"trace_file\": ");
            write_text(out, path.as_os_str().as_encoded_bytes());
            let pid = pid.or(action.pid);
            write_fields(out, action, enclosing, duration_s, pid, snapshot.no_detail);
            if let State::Ended(ended) = state {
                out.extend_from_slice(b", \"outcome\": \"");
                out.extend_from_slice(ended.event.as_str().as_bytes());
                out.push(b'"');
                for (name, text) in [("error", &ended.error), ("error_type", &ended.error_type)] {
                    if let Some(text) = text {
                        write_key(out, name);
                        write_text(out, text);
                    }
                }
            }
            out.extend_from_slice(b"}\n");
            return;
        }
        let word = match &state {
            State::Running => "running",
            State::Interrupted => "interrupted",
            State::Ended(ended) => match ended.event {
                Event::Error => "failed",
                Event::Timeout => "timed out",
                Event::Cancel => "cancelled",
                Event::Exit | Event::Enter => "ended",
            },
        };
        let took = duration_s.map_or_else(|| "?".to_owned(), human_duration);
        let mut text = format!("{word:<11}  {took:>7}  {}", called(action));
        if let State::Ended(ended) = &state
            && let Some(error) = ended.error.as_ref().or(ended.error_type.as_ref())
        {
            let _ = write!(text, " - {}", cell(error));
        }
        let mut places: Vec<_> = sample_line(action).into_iter().collect();
        places.extend(enclosing.first().map(|outer| format!("in {}", called(outer))));
        if !matches!(state, State::Ended(_)) {
            let stack = action.stack.as_deref().map(stack_lines).unwrap_or_default();
            places.extend(stack.into_iter().next());
        }
        if snapshot.logs.len() > 1 {
            let name = path.file_name().unwrap_or_default();
            places.push(cell(name.as_encoded_bytes()));
        }
        if !places.is_empty() {
            let _ = write!(text, " ({})", places.join("; "));
        }
        write_line(out, snapshot, &text);
    }

    fn write_ended_processes(&mut self, out: &mut Vec<u8>, snapshot: &LiveSnapshot) {
        for log in &snapshot.logs {
            if log.process.alive != Some(false) {
                self.alive.insert(log.path.clone());
                continue;
            }
            if !self.alive.remove(&log.path) {
                continue;
            }
            let pid = log.process.pid;
            if self.format == LiveFormat::JsonLines {
                begin_object(out, snapshot, "process_ended");
                out.extend_from_slice(b", \"trace_file\": ");
                write_text(out, log.path.as_os_str().as_encoded_bytes());
                let pid = pid.map_or_else(|| "null".to_owned(), |pid| pid.to_string());
                out.extend_from_slice(format!(", \"pid\": {pid}, \"ended_at\": ").as_bytes());
                write_number(out, log.ended_at_s.unwrap_or(f64::NAN));
                out.extend_from_slice(b"}\n");
            } else {
                let pid = pid.map(|pid| format!("process {pid} of ")).unwrap_or_default();
                let name = log.path.file_name().unwrap_or(log.path.as_os_str());
                let name = cell(name.as_encoded_bytes());
                write_line(out, snapshot, &format!("process end  {pid}{name}"));
            }
        }
        self.alive.retain(|path| snapshot.logs.iter().any(|log| log.path == *path));
    }
}

fn write_line(out: &mut Vec<u8>, snapshot: &LiveSnapshot, text: &str) {
    let clock = local_clock(snapshot.as_of_s).unwrap_or_default();
    out.extend_from_slice(format!("{clock}  {text}\n").as_bytes());
}

fn begin_object(out: &mut Vec<u8>, snapshot: &LiveSnapshot, change: &str) {
    out.extend_from_slice(b"{\"time\": ");
    write_number(out, snapshot.as_of_s);
    out.extend_from_slice(format!(", \"change\": \"{change}\"").as_bytes());
}

fn write_key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(format!(", \"{name}\": ").as_bytes());
}

fn write_fields(
    out: &mut Vec<u8>,
    action: &Action,
    enclosing: &[Arc<Action>],
    duration_s: Option<f64>,
    pid: Option<u32>,
    no_detail: bool,
) {
    let texts = [
        ("action", &action.action[..]),
        ("detail", action.detail_or_message()),
        ("trace_id", &action.trace_id),
    ];
    for (name, text) in texts.into_iter().filter(|(name, _)| !no_detail || *name != "detail") {
        write_key(out, name);
        write_text(out, text);
    }
    for (name, number) in [("start_time", action.start_time_s), ("duration", duration_s)] {
        write_key(out, name);
        write_number(out, number.unwrap_or(f64::NAN));
    }
    if let Some(parent_id) = &action.parent_id {
        write_key(out, "parent_id");
        write_text(out, parent_id);
    }
    let values = [
        ("task", &action.task),
        ("sample_id", &action.sample_id),
        ("epoch", &action.epoch),
        ("stack", &action.stack),
    ];
    for (name, json) in values {
        if let Some(json) = json {
            write_key(out, name);
            write_value(out, json, Layout::Compact, Escape::NonAscii);
        }
    }
    if let Some(pid) = pid {
        write_key(out, "pid");
        out.extend_from_slice(pid.to_string().as_bytes());
    }
    if !enclosing.is_empty() {
        write_key(out, "enclosing");
        out.extend_from_slice(&enclosing_json(enclosing.iter().map(AsRef::as_ref), no_detail));
    }
}
