//! Anomalies as tables or as JSON.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::analyze::{
    AnomaliesScanOptions, DatedAction, DiagnosesScan, Diagnosis, DiagnosisScan, Outcomes,
    leave_out_detail, redact_action, shorten_ids,
};
use crate::archive::Origin;
use crate::read::{Filter, Log, Progress};
use crate::record::Event;

use super::Report;
use super::http::write_trace_files;
use super::json::{Escape, Layout, new_line, write_number, write_text, write_value};
use super::place::{Places, write_enclosing};
use super::report::Told;
use super::table::{Column, TableStyle, layout_with_notes};
use super::terminal::{cell, shell_quote};
use super::time::local_clock;

/// What is shown of the anomalies, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // each is an option of the command
pub struct AnomaliesOptions {
    /// Errors and timeouts, too (JSON always has them).
    pub show_all: bool,
    /// So many rows of each sort at most.
    pub limit: Option<u64>,
    /// Without the secrets in them.
    pub redact: bool,
    /// Without the texts in them: what happened when, and how it ended.
    pub no_detail: bool,
    /// JSON instead of tables.
    pub json: bool,
    /// Now, seconds since the epoch: what the durations of running actions are dated to.
    pub as_of_s: f64,
    /// How the tables are shown.
    pub style: TableStyle,
}

/// The anomalies of some logs that `filter` selects. Where there are several, each row says which
/// log it is from, and one that cannot be read does not keep the others from being shown.
///
/// # Errors
/// The one log cannot be opened.
pub fn anomalies_report(
    logs: &[Log],
    filter: &Filter,
    options: &AnomaliesOptions,
) -> Result<Box<dyn Report>> {
    let outcomes =
        if options.show_all || options.json { Outcomes::All } else { Outcomes::OpenAndCancelled };
    let how = AnomaliesScanOptions { outcomes, ..AnomaliesScanOptions::default() };
    let needed = |log: &Log| log.as_far_as_anomalous(filter, outcomes);
    let logs = &logs.iter().map(needed).collect::<Vec<_>>()[..];
    let scan = match logs {
        [log] => Scanning::One(Box::new(DiagnosisScan::open(log, filter, how)?)),
        _ => Scanning::Many(DiagnosesScan::new(logs, filter, options.as_of_s, how)),
    };
    Ok(Box::new(AnomaliesReport {
        logs: logs.to_vec(),
        options: *options,
        scan: Some(scan),
        progress: None,
        told: Told::default(),
    }))
}

enum Scanning {
    One(Box<DiagnosisScan>),
    Many(DiagnosesScan),
}

struct AnomaliesReport {
    logs: Vec<Log>,
    options: AnomaliesOptions,
    /// `None` once all is read.
    scan: Option<Scanning>,
    progress: Option<Progress>,
    /// What is to be told then.
    told: Told,
}

/// How long a report waits before it gives an empty chunk.
const WAIT: Duration = Duration::from_millis(50);

impl Report for AnomaliesReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(mut scan) = self.scan.take() else { return self.told.next_chunk() };
        let more = match &mut scan {
            Scanning::One(scan) => {
                let more = scan.step(WAIT)?;
                self.progress = Some(scan.progress());
                more
            }
            Scanning::Many(scan) => {
                let more = scan.step(WAIT);
                self.progress = Some(scan.progress());
                more
            }
        };
        if more {
            // Nothing to show before the end, but the caller may look for Ctrl-C.
            self.scan = Some(scan);
            return Ok(Some(Vec::new()));
        }
        let found = match scan {
            Scanning::One(scan) => vec![Ok(scan.finish(self.options.as_of_s))],
            Scanning::Many(scan) => scan.finish(),
        };
        let found = found.into_iter().map(|found| found.map_err(|error| error.to_string()));
        self.told = tell_anomalies(self.logs.iter().cloned().zip(found), &self.options);
        self.told.next_chunk()
    }

    fn streams(&self) -> bool {
        false
    }

    fn progress(&self) -> Option<Progress> {
        self.progress
    }

    fn take_notes(&mut self) -> Vec<String> {
        self.told.take_notes()
    }

    fn has_failed(&self) -> bool {
        self.told.has_failed()
    }

    fn skipped(&self) -> Option<String> {
        self.told.skipped()
    }
}

/// What is told of some logs, each with what was found in it or why nothing was. Of one log, something was.
pub(crate) fn tell_anomalies(
    logs: impl Iterator<Item = (Log, std::result::Result<Diagnosis, String>)>,
    options: &AnomaliesOptions,
) -> Told {
    let mut told = Told::default();
    let mut found = Vec::new();
    let (mut count, mut files) = (0, 0);
    for (log, outcome) in logs {
        count += 1;
        files += log.files.len();
        match outcome {
            Ok(diagnosis) => {
                told.notes.extend(diagnosis.notes.iter().cloned());
                found.push(Diagnosed { path: log.path, origin: log.origin, diagnosis });
            }
            Err(error) => {
                told.has_failed = true;
                told.notes.push(error);
            }
        }
    }
    if count == 1 && files == 1 {
        told.summary = told.notes.pop();
    }
    if options.redact {
        found.iter_mut().for_each(redact_diagnosed);
    }
    if options.no_detail {
        found.iter_mut().for_each(leave_out_details);
    }
    let text = if options.json {
        anomalies_json(&found, count != 1, options)
    } else {
        anomalies_table(&found, count != 1, options)
    };
    told.chunk = Some(text.into_bytes());
    told
}

/// Takes the secrets out of what is shown of actions.
fn redact_diagnosed(found: &mut Diagnosed) {
    let Diagnosis { open, cancelled, errors, timeouts, .. } = &mut found.diagnosis;
    let actions = [open, cancelled, errors, timeouts].into_iter().flatten();
    actions.for_each(|dated| redact_action(&mut dated.action));
}

/// Leaves nothing of actions but what happened when, and short names.
fn leave_out_details(found: &mut Diagnosed) {
    let Diagnosis { open, cancelled, errors, timeouts, .. } = &mut found.diagnosis;
    for DatedAction { action, .. } in [open, cancelled, errors, timeouts].into_iter().flatten() {
        leave_out_detail(action);
        shorten_ids(action);
    }
}

/// What was found in a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosed {
    /// The log.
    pub path: PathBuf,
    /// What its archive tells of it, if it is from one.
    pub origin: Option<Arc<Origin>>,
    /// What was found.
    pub diagnosis: Diagnosis,
}

/// Rows of one bucket of all logs, each with the log it is from: the latest end first, and no more
/// than are wanted.
fn rows<'d>(
    found: &'d [Diagnosed],
    limit: Option<u64>,
    bucket: impl Fn(&'d Diagnosis) -> Vec<&'d DatedAction>,
) -> Vec<(&'d Diagnosed, &'d DatedAction)> {
    let mut rows: Vec<_> = found
        .iter()
        .flat_map(|log| bucket(&log.diagnosis).into_iter().map(move |row| (log, row)))
        .collect();
    if found.len() > 1 {
        let end_s = |row: &DatedAction| row.action.end_s();
        rows.sort_by(|a, b| end_s(b.1).partial_cmp(&end_s(a.1)).unwrap_or(Ordering::Equal));
    }
    rows.truncate(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
    rows
}

/// The open actions of each log, which may enclose each other.
struct Enclosed<'d>(HashMap<&'d Path, Places<'d>>);

impl<'d> Enclosed<'d> {
    fn of(found: &'d [Diagnosed]) -> Self {
        Self(found.iter().map(|log| (&*log.path, Places::of(&log.diagnosis))).collect())
    }

    /// What encloses an open action of a log; nothing encloses those that have ended.
    fn enclosing(&self, path: &Path, dated: &DatedAction) -> Vec<&'d DatedAction> {
        let places = self.0.get(path).filter(|_| dated.action.event == Event::Enter);
        places.map_or_else(Vec::new, |places| places.enclosing(dated))
    }

    /// Where an open action of a log is, in lines.
    fn lines(&self, path: &Path, dated: &DatedAction) -> Vec<String> {
        let places = self.0.get(path).filter(|_| dated.action.event == Event::Enter);
        places.map_or_else(Vec::new, |places| places.lines(dated))
    }
}

/// The actions of one sort.
type Bucket = fn(&Diagnosis) -> Vec<&DatedAction>;

/// The JSON object `{trace_file, as_of, running, cancelled, errors, timeouts, process}`, ended by a
/// newline. Interrupted actions stand among the running ones, for readers that know only those,
/// and say so. Of `several` logs, however many could be read, `trace_files` and `processes` are
/// lists, and each row has its `trace_file`.
pub fn anomalies_json(found: &[Diagnosed], several: bool, options: &AnomaliesOptions) -> String {
    let logs: Vec<_> = found.iter().map(|log| Log::whole(&log.path)).collect();
    let only = if several { None } else { found.first() };
    let mut out = b"{\n  ".to_vec();
    write_trace_files(&mut out, several, &logs);
    out.extend_from_slice(b",\n  \"as_of\": ");
    write_number(&mut out, options.as_of_s);
    let buckets: [(&str, Bucket); 4] = [
        ("running", |found| found.open.iter().collect()),
        ("cancelled", |found| found.cancelled.iter().collect()),
        ("errors", |found| found.errors.iter().collect()),
        ("timeouts", |found| found.timeouts.iter().collect()),
    ];
    let places = Enclosed::of(found);
    for (name, bucket) in buckets {
        let actions = rows(found, options.limit, bucket);
        key(&mut out, 1, true, name);
        out.push(b'[');
        for (index, (log, action)) in actions.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            new_line(&mut out, 2);
            let log_told = several.then_some(*log);
            write_row(&mut out, log_told, action, &places.enclosing(&log.path, action), options);
        }
        if !actions.is_empty() {
            new_line(&mut out, 1);
        }
        out.push(b']');
    }
    key(&mut out, 1, true, if only.is_some() { "process" } else { "processes" });
    if let Some(log) = only {
        write_process(&mut out, None, log, 1);
    } else {
        out.push(b'[');
        for (index, log) in found.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            new_line(&mut out, 2);
            write_process(&mut out, Some(&log.path), log, 2);
        }
        if !found.is_empty() {
            new_line(&mut out, 1);
        }
        out.push(b']');
    }
    out.extend_from_slice(b"\n}\n");
    String::from_utf8_lossy(&out).into_owned()
}

/// The process that wrote a log, as an object at a depth.
fn write_process(out: &mut Vec<u8>, path: Option<&Path>, log: &Diagnosed, depth: usize) {
    let diagnosis = &log.diagnosis;
    let null = || "null".to_owned();
    let process = diagnosis.process;
    out.push(b'{');
    if let Some(path) = path {
        write_path(out, path, depth + 1);
        out.push(b',');
    }
    key(out, depth + 1, false, "pid");
    out.extend_from_slice(process.pid.map_or_else(null, |pid| pid.to_string()).as_bytes());
    key(out, depth + 1, true, "alive");
    out.extend_from_slice(process.alive.map_or_else(null, |alive| alive.to_string()).as_bytes());
    key(out, depth + 1, true, "ended_at");
    write_number_or_null(out, diagnosis.ended_at_s);
    if let Some(origin) = &log.origin {
        write_origin(out, origin, depth + 1);
        key(out, depth + 1, true, "last_seen");
        write_number_or_null(out, Some(origin.seen_s));
    }
    new_line(out, depth);
    out.push(b'}');
}

/// The machine and the run that a log is of, as members that follow others.
fn write_origin(out: &mut Vec<u8>, origin: &Origin, depth: usize) {
    key(out, depth, true, "host");
    write_text(out, origin.host.as_bytes());
    if let Some(run) = &origin.run {
        key(out, depth, true, "run");
        write_text(out, run.as_bytes());
    }
}

fn write_path(out: &mut Vec<u8>, path: &Path, depth: usize) {
    key(out, depth, false, "trace_file");
    write_text(out, path.as_os_str().as_encoded_bytes());
}

/// One row of a bucket, as an object at depth 2.
fn write_row(
    out: &mut Vec<u8>,
    log: Option<&Diagnosed>,
    dated: &DatedAction,
    around: &[&DatedAction],
    options: &AnomaliesOptions,
) {
    const DEPTH: usize = 3;
    let action = &dated.action;
    out.push(b'{');
    if let Some(log) = log {
        write_path(out, &log.path, DEPTH);
        if let Some(origin) = &log.origin {
            write_origin(out, origin, DEPTH);
        }
        out.push(b',');
    }
    key(out, DEPTH, false, "action");
    write_text(out, &action.action);
    if !options.no_detail {
        key(out, DEPTH, true, "detail");
        write_text(out, action.detail_or_message());
    }
    key(out, DEPTH, true, "start_time");
    write_number_or_null(out, action.start_time_s);
    key(out, DEPTH, true, "duration");
    write_number(out, dated.duration_s);
    if let Some(error) = &action.error {
        key(out, DEPTH, true, "error");
        write_text(out, error);
    }
    if let Some(error_type) = &action.error_type {
        key(out, DEPTH, true, "error_type");
        write_text(out, error_type);
    }
    key(out, DEPTH, true, "trace_id");
    write_text(out, &action.trace_id);
    if let Some(parent_id) = &action.parent_id {
        key(out, DEPTH, true, "parent_id");
        write_text(out, parent_id);
    }
    for (name, json) in
        [("task", &action.task), ("sample_id", &action.sample_id), ("epoch", &action.epoch)]
    {
        if let Some(json) = json {
            key(out, DEPTH, true, name);
            write_value(out, json, Layout::Indented(DEPTH), Escape::NonAscii);
        }
    }
    if let Some(pid) = action.pid {
        key(out, DEPTH, true, "pid");
        out.extend_from_slice(pid.to_string().as_bytes());
    }
    if let Some(stack) = &action.stack {
        key(out, DEPTH, true, "stack");
        write_value(out, stack, Layout::Indented(DEPTH), Escape::NonAscii);
    }
    if action.event == Event::Enter {
        key(out, DEPTH, true, "interrupted");
        out.extend_from_slice(if dated.interrupted { b"true" } else { b"false" });
    }
    if !around.is_empty() {
        key(out, DEPTH, true, "enclosing");
        write_enclosing(out, around, DEPTH, options.no_detail);
    }
    new_line(out, DEPTH - 1);
    out.push(b'}');
}

fn key(out: &mut Vec<u8>, depth: usize, follows: bool, name: &str) {
    if follows {
        out.push(b',');
    }
    new_line(out, depth);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\": ");
}

fn write_number_or_null(out: &mut Vec<u8>, value: Option<f64>) {
    write_number(out, value.unwrap_or(f64::NAN));
}

/// A heading with the name of the log, and one table for each sort of anomaly that there is; errors
/// and timeouts only on demand. Of `several` logs, the rows say which one they are from.
pub fn anomalies_table(found: &[Diagnosed], several: bool, options: &AnomaliesOptions) -> String {
    const COLUMNS: [Column; 5] =
        [Column::Left, Column::Left, Column::Right, Column::Wrapped, Column::Right];
    let (show_all, style) = (options.show_all, options.style);
    let only = if several { None } else { found.first() };
    let heading = match only {
        Some(log) => cell(shell_quote(&log.path.to_string_lossy()).as_bytes()),
        None if found.len() == 1 => "1 log".to_owned(),
        None => format!("{} logs", found.len()),
    };
    let mut out = format!("{}\n", style.bold(&format!("TRACE: {heading}")));
    let mut sections: Vec<(&str, Vec<(&Diagnosed, &DatedAction)>)> = vec![
        ("Running Actions", rows(found, options.limit, |found| found.running().collect())),
        ("Interrupted Actions", rows(found, options.limit, |found| found.interrupted().collect())),
        ("Cancelled Actions", rows(found, options.limit, |found| found.cancelled.iter().collect())),
    ];
    if show_all {
        let errors = rows(found, options.limit, |found| found.errors.iter().collect());
        let timeouts = rows(found, options.limit, |found| found.timeouts.iter().collect());
        sections.push(("Error Actions", errors));
        sections.push(("Timeout Actions", timeouts));
    }
    if sections.iter().all(|(_, actions)| actions.is_empty()) {
        let which = if only.is_some() { "this log" } else { "these logs" };
        if show_all {
            let _ = writeln!(out, "\nNothing to report: every action in {which} ended well.");
        } else {
            out.push_str(
                "\nNo running, interrupted or cancelled actions (--all shows errors and timeouts, \
                 too).\n",
            );
        }
        return out;
    }
    if let Some(log) = only
        && let Some(clock) = log.diagnosis.ended_at_s.and_then(local_clock)
    {
        let pid = log.diagnosis.process.pid.map_or_else(String::new, |pid| format!(" {pid}"));
        let host = of_host(log);
        let _ = match silent_since(log) {
            Some(seen) => writeln!(out, "Process{pid}{host} was last heard of at {seen}."),
            None => writeln!(out, "Process{pid}{host} ended at {clock}."),
        };
    }
    let places = Enclosed::of(found);
    for (title, actions) in sections {
        if actions.is_empty() {
            continue;
        }
        out.push('\n');
        out.push_str(&style.bold(title));
        out.push('\n');
        let notes: Vec<_> =
            actions.iter().map(|(log, action)| notes_on(log, action, several, &places)).collect();
        if only.is_some() {
            let rows: Vec<_> = actions.into_iter().map(|(_, action)| row(action)).collect();
            out.push_str(&layout_with_notes(&COLUMNS[1..], &rows, &notes, style));
        } else {
            let rows: Vec<_> = actions
                .into_iter()
                .map(|(log, action)| {
                    let mut row = row(action);
                    row.insert(0, name_of(log));
                    row
                })
                .collect();
            out.push_str(&layout_with_notes(&COLUMNS, &rows, &notes, style));
        }
    }
    out
}

/// What is told below an action, in lines.
fn notes_on(
    log: &Diagnosed,
    action: &DatedAction,
    several: bool,
    places: &Enclosed<'_>,
) -> Vec<String> {
    let mut lines = places.lines(&log.path, action);
    if several
        && action.interrupted
        && let Some(seen) = silent_since(log)
    {
        lines.insert(0, format!("process last heard of at {seen}"));
    }
    lines
}

/// When a process was heard of last that is taken for gone for that reason.
fn silent_since(log: &Diagnosed) -> Option<String> {
    let origin = log.origin.as_ref().filter(|origin| !origin.finished)?;
    (log.diagnosis.process.alive == Some(false)).then(|| local_clock(origin.seen_s))?
}

/// The name of a log among others.
fn name_of(log: &Diagnosed) -> String {
    let name = cell(log.path.file_name().unwrap_or(log.path.as_os_str()).as_encoded_bytes());
    match &log.origin {
        Some(origin) => format!("{}/{name}", cell(origin.host.as_bytes())),
        None => name,
    }
}

/// Where a process was, if that is another machine.
fn of_host(log: &Diagnosed) -> String {
    let host = log.origin.as_ref().map(|origin| cell(origin.host.as_bytes()));
    host.map_or_else(String::new, |host| format!(" of {host}"))
}

/// Action, duration, detail and start of one action.
fn row(dated: &DatedAction) -> Vec<String> {
    let action = &dated.action;
    let mut detail = cell(action.detail_or_message());
    if let (Event::Error, Some(error)) = (action.event, &action.error) {
        detail.push(' ');
        detail.push_str(&cell(error));
    } else if let (Event::Error, Some(error_type)) = (action.event, &action.error_type) {
        detail.push(' ');
        detail.push_str(&cell(error_type));
    }
    let detail = detail.trim_start().to_owned();
    let start = action.start_time_s.and_then(local_clock).unwrap_or_else(|| "-".to_owned());
    vec![cell(&action.action), format!("{:.2}s", dated.duration_s), detail, start]
}
