//! Anomalies as tables or as JSON.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::analyze::{DatedAction, Diagnosis, DiagnosisScan};
use crate::read::{Filter, Skipped};
use crate::record::Event;

use super::Report;
use super::json::{Escape, Layout, new_line, write_number, write_text, write_value};
use super::table::{Column, TableStyle, layout};
use super::terminal::{cell, shell_quote};
use super::time::local_clock;

/// What is shown of the anomalies, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnomaliesOptions {
    /// Errors and timeouts, too (JSON always has them).
    pub show_all: bool,
    /// JSON instead of tables.
    pub json: bool,
    /// Now, seconds since the epoch: what the durations of running actions are dated to.
    pub as_of_s: f64,
    /// How the tables are shown.
    pub style: TableStyle,
}

/// The anomalies of a log, among the records that `filter` wants.
///
/// # Errors
/// The log cannot be opened.
pub fn anomalies_report(
    path: &Path,
    filter: &Filter,
    options: &AnomaliesOptions,
) -> Result<Box<dyn Report>> {
    let scan = DiagnosisScan::open(path, filter)?;
    Ok(Box::new(AnomaliesReport {
        path: path.to_owned(),
        options: *options,
        scan: Some(scan),
        skipped: Skipped::default(),
    }))
}

struct AnomaliesReport {
    path: PathBuf,
    options: AnomaliesOptions,
    /// `None` once the report is out.
    scan: Option<DiagnosisScan>,
    skipped: Skipped,
}

impl Report for AnomaliesReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(mut scan) = self.scan.take() else { return Ok(None) };
        if scan.step()? {
            // Nothing to show before the end, but the caller may look for Ctrl-C.
            self.scan = Some(scan);
            return Ok(Some(Vec::new()));
        }
        let diagnosis = scan.finish(self.options.as_of_s);
        let text = if self.options.json {
            anomalies_json(&self.path, &diagnosis, self.options.as_of_s)
        } else {
            anomalies_table(&self.path, &diagnosis, self.options.show_all, self.options.style)
        };
        self.skipped = diagnosis.skipped;
        Ok(Some(text.into_bytes()))
    }

    fn skipped(&self) -> Option<String> {
        self.skipped.summary(&self.path)
    }
}

/// The JSON object `{trace_file, as_of, running, cancelled, errors, timeouts, process}`, ended by a
/// newline. Interrupted actions stand among the running ones, for readers that know only those,
/// and say so.
pub fn anomalies_json(path: &Path, diagnosis: &Diagnosis, as_of_s: f64) -> String {
    let mut out = b"{\n  \"trace_file\": ".to_vec();
    write_text(&mut out, path.as_os_str().as_encoded_bytes());
    out.extend_from_slice(b",\n  \"as_of\": ");
    write_number(&mut out, as_of_s);
    for (name, actions) in [
        ("running", &diagnosis.open),
        ("cancelled", &diagnosis.cancelled),
        ("errors", &diagnosis.errors),
        ("timeouts", &diagnosis.timeouts),
    ] {
        key(&mut out, 1, true, name);
        out.push(b'[');
        for (index, action) in actions.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            new_line(&mut out, 2);
            write_row(&mut out, action);
        }
        if !actions.is_empty() {
            new_line(&mut out, 1);
        }
        out.push(b']');
    }
    key(&mut out, 1, true, "process");
    let null = || "null".to_owned();
    let process = diagnosis.process;
    out.push(b'{');
    key(&mut out, 2, false, "pid");
    out.extend_from_slice(process.pid.map_or_else(null, |pid| pid.to_string()).as_bytes());
    key(&mut out, 2, true, "alive");
    out.extend_from_slice(process.alive.map_or_else(null, |alive| alive.to_string()).as_bytes());
    key(&mut out, 2, true, "ended_at");
    write_number_or_null(&mut out, diagnosis.ended_at_s);
    out.extend_from_slice(b"\n  }\n}\n");
    String::from_utf8_lossy(&out).into_owned()
}

/// One row of a bucket, as an object at depth 2.
fn write_row(out: &mut Vec<u8>, dated: &DatedAction) {
    const DEPTH: usize = 3;
    let action = &dated.action;
    out.push(b'{');
    key(out, DEPTH, false, "action");
    write_text(out, &action.action);
    key(out, DEPTH, true, "detail");
    write_text(out, action.detail_or_message());
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
    if action.event == Event::Enter {
        key(out, DEPTH, true, "interrupted");
        out.extend_from_slice(if dated.interrupted { b"true" } else { b"false" });
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
/// and timeouts only with `show_all`.
pub fn anomalies_table(
    path: &Path,
    diagnosis: &Diagnosis,
    show_all: bool,
    style: TableStyle,
) -> String {
    const COLUMNS: [Column; 4] = [Column::Left, Column::Right, Column::Wrapped, Column::Right];
    let path = cell(shell_quote(&path.to_string_lossy()).as_bytes());
    let mut out = format!("{}\n", style.bold(&format!("TRACE: {path}")));
    let mut sections: Vec<(&str, Vec<&DatedAction>)> = vec![
        ("Running Actions", diagnosis.running().collect()),
        ("Interrupted Actions", diagnosis.interrupted().collect()),
        ("Cancelled Actions", diagnosis.cancelled.iter().collect()),
    ];
    if show_all {
        sections.push(("Error Actions", diagnosis.errors.iter().collect()));
        sections.push(("Timeout Actions", diagnosis.timeouts.iter().collect()));
    }
    if sections.iter().all(|(_, actions)| actions.is_empty()) {
        out.push_str(if show_all {
            "\nNothing to report: every action in this log ended well.\n"
        } else {
            "\nNo running, interrupted or cancelled actions (--all shows errors and timeouts, too).\n"
        });
        return out;
    }
    if let Some(clock) = diagnosis.ended_at_s.and_then(local_clock) {
        let pid = diagnosis.process.pid.map_or_else(String::new, |pid| format!(" {pid}"));
        let _ = writeln!(out, "Process{pid} ended at {clock}.");
    }
    for (title, actions) in sections {
        if actions.is_empty() {
            continue;
        }
        out.push('\n');
        out.push_str(&style.bold(title));
        out.push('\n');
        let rows: Vec<_> = actions.into_iter().map(row).collect();
        out.push_str(&layout(&COLUMNS, &rows, style));
    }
    out
}

/// Action, duration, detail and start of one action.
fn row(dated: &DatedAction) -> Vec<String> {
    let action = &dated.action;
    let mut detail = cell(action.detail_or_message());
    if let (Event::Error, Some(error)) = (action.event, &action.error) {
        detail.push(' ');
        detail.push_str(&cell(error));
    }
    let start = action.start_time_s.and_then(local_clock).unwrap_or_else(|| "-".to_owned());
    vec![cell(&action.action), format!("{:.2}s", dated.duration_s), detail, start]
}
