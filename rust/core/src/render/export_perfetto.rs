//! Actions in the Trace Event Format (JSON), for Perfetto and `chrome://tracing`.

use std::collections::{HashMap, HashSet};

use crate::analyze::spans::Span;
use crate::read::Log;

use super::export::{SpanFormat, microseconds};
use super::export_lanes::{Lanes, NewLane};
use super::json::{Escape, Layout, write_number, write_utf8_text, write_value};

/// What names of slices are cut to.
const MAX_NAME_BYTES: usize = 120;

/// What tells the tracks of one sample from those of others, in one process.
type Group = (u32, Option<Box<[u8]>>, Option<Box<[u8]>>, Option<Box<[u8]>>);

#[derive(Default)]
pub(super) struct Perfetto {
    any: bool,
    lanes: Lanes,
    /// The groups of lanes of the current log.
    groups: HashMap<Group, usize>,
    /// Of each group, its process and what it is called.
    names: Vec<(u32, Vec<u8>)>,
    /// The processes of the current log, by their ids (`None`: not known), as they are called in the
    /// trace: two logs may tell of one process id.
    pids: HashMap<Option<u32>, u32>,
    used_pids: HashSet<u32>,
    log_name: Vec<u8>,
    log_pid: Option<u32>,
}

impl SpanFormat for Perfetto {
    type Place = u64;

    fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
    }

    fn begin_log(&mut self, _out: &mut Vec<u8>, log: &Log, pid: Option<u32>) {
        self.pids.clear();
        self.groups.clear();
        self.log_name =
            log.path.file_name().unwrap_or(log.path.as_os_str()).as_encoded_bytes().to_vec();
        self.log_pid = pid;
    }

    fn enter(&mut self, out: &mut Vec<u8>, span: &Span, parent: Option<&u64>) -> u64 {
        let pid = self.pid(out, span.pid.or(self.log_pid));
        let key = (pid, span.task.clone(), span.sample_id.clone(), span.epoch.clone());
        let group = if let Some(&group) = self.groups.get(&key) {
            group
        } else {
            let group = self.lanes.add_group();
            self.groups.insert(key, group);
            self.names.push((pid, group_name(span)));
            group
        };
        let start_us = span.start_s.map_or(0, microseconds);
        let (id, new) = self.lanes.enter(group, parent.copied(), start_us);
        self.name_lane(out, new);
        id
    }

    fn leave(&mut self, out: &mut Vec<u8>, span: &Span, place: u64, is_wanted: bool) {
        let end_us = span.end_s.or(span.start_s).map_or(0, microseconds);
        let (drawn, new) = self.lanes.leave(place, end_us);
        self.name_lane(out, new);
        if !is_wanted {
            return;
        }
        self.next(out);
        out.extend_from_slice(b"{\"ph\":\"X\",\"name\":");
        let mut name = span.action.to_vec();
        if !span.detail.is_empty() {
            name.extend_from_slice(b": ");
            name.extend_from_slice(&span.detail[..span.detail.len().min(MAX_NAME_BYTES)]);
        }
        write_utf8_text(out, &name);
        out.extend_from_slice(b",\"cat\":");
        write_utf8_text(out, &span.action);
        let (ts, dur) = (drawn.start_us, drawn.end_us.saturating_sub(drawn.start_us));
        let group = self.lanes.group(drawn.lane);
        let (pid, tid) = (self.names[group].0, drawn.lane + 1);
        let numbers = format!(",\"ts\":{ts},\"dur\":{dur},\"pid\":{pid},\"tid\":{tid},\"args\":");
        out.extend_from_slice(numbers.as_bytes());
        write_args(out, span);
        out.push(b'}');
    }

    fn end_log(&mut self, _out: &mut Vec<u8>) {}

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n]}\n");
    }
}

impl Perfetto {
    fn next(&mut self, out: &mut Vec<u8>) {
        if self.any {
            out.push(b',');
        }
        self.any = true;
        out.push(b'\n');
    }

    fn pid(&mut self, out: &mut Vec<u8>, real: Option<u32>) -> u32 {
        if let Some(&pid) = self.pids.get(&real) {
            return pid;
        }
        let mut pid = real.unwrap_or(1);
        while !self.used_pids.insert(pid) {
            pid = pid.wrapping_add(10_000_000).max(1);
        }
        self.pids.insert(real, pid);
        let mut name = self.log_name.clone();
        if let Some(real) = real {
            name.extend_from_slice(format!(" (process {real})").as_bytes());
        }
        self.write_name(out, "process_name", pid, None, &name);
        pid
    }

    fn name_lane(&mut self, out: &mut Vec<u8>, new: Option<NewLane>) {
        let Some(new) = new else { return };
        let (pid, mut name) = self.names[new.group].clone();
        if new.number > 1 {
            name.extend_from_slice(format!(" #{}", new.number).as_bytes());
        }
        self.write_name(out, "thread_name", pid, Some(new.lane + 1), &name);
    }

    fn write_name(
        &mut self,
        out: &mut Vec<u8>,
        what: &str,
        pid: u32,
        tid: Option<usize>,
        name: &[u8],
    ) {
        self.next(out);
        out.extend_from_slice(
            format!("{{\"ph\":\"M\",\"name\":\"{what}\",\"pid\":{pid}").as_bytes(),
        );
        if let Some(tid) = tid {
            out.extend_from_slice(format!(",\"tid\":{tid}").as_bytes());
        }
        out.extend_from_slice(b",\"args\":{\"name\":");
        write_utf8_text(out, name);
        out.extend_from_slice(b"}}");
    }
}

fn group_name(span: &Span) -> Vec<u8> {
    let mut parts = Vec::new();
    for (label, json) in [("", &span.task), ("sample ", &span.sample_id), ("epoch ", &span.epoch)] {
        if let Some(json) = json {
            parts.push(format!("{label}{}", Span::json_as_text(json)));
        }
    }
    if parts.is_empty() { b"actions".to_vec() } else { parts.join(" · ").into_bytes() }
}

fn write_args(out: &mut Vec<u8>, span: &Span) {
    out.extend_from_slice(b"{\"outcome\":");
    write_utf8_text(out, span.outcome().as_bytes());
    out.extend_from_slice(b",\"unfinished\":");
    out.extend_from_slice(if span.is_open() { b"true" } else { b"false" });
    if !span.detail.is_empty() {
        out.extend_from_slice(b",\"detail\":");
        write_utf8_text(out, &span.detail);
    }
    if let Some(duration_s) = span.duration_s {
        out.extend_from_slice(b",\"duration_s\":");
        // Perfetto reads numbers with more digits behind the point than fit into 64 bits wrongly.
        write_number(out, (duration_s * 1e9).round() / 1e9);
    }
    out.extend_from_slice(b",\"trace_id\":");
    write_utf8_text(out, &span.trace_id);
    let texts =
        [("parent_id", &span.parent_id), ("error", &span.error), ("error_type", &span.error_type)];
    for (name, text) in texts {
        if let Some(text) = text {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            write_utf8_text(out, text);
        }
    }
    let fields = [("task", &span.task), ("sample_id", &span.sample_id), ("epoch", &span.epoch)];
    for (name, json) in fields {
        if let Some(json) = json {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            write_value(out, json, Layout::Compact, Escape::Utf8);
        }
    }
    out.push(b'}');
}
