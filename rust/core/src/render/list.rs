//! The logs of a trace directory as a table or as JSON.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::analyze::totals::{Totals, TotalsMap};
use crate::metadata::short_json;
use crate::read::{Log, LogEnds, Progress, ScanOptions, log_ends};
use crate::redact::redact_json;
use crate::store::{self, TraceFile};

use super::Report;
use super::json::{Escape, Layout, new_line, write_number, write_text, write_value};
use super::list_columns::write_table;
use super::logs::{LogScan, Next};
use super::table::TableStyle;

/// What is shown of the logs, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ListOptions {
    /// What has to be counted, too, for which all of the logs is read.
    pub long: bool,
    /// Without command lines, and with short names only.
    pub no_detail: bool,
    /// JSON instead of a table.
    pub json: bool,
    /// Now, seconds since the epoch: what the durations of live logs are dated to.
    pub as_of_s: f64,
    /// How the table is shown.
    pub style: TableStyle,
}

/// The logs of a directory, the most recently written first: a table, or a JSON array. But for their
/// first and last records, they are read only for what [`ListOptions::long`] asks for.
///
/// # Errors
/// The directory cannot be read.
pub fn list_report(directory: &Path, options: ListOptions) -> Result<Box<dyn Report>> {
    let files = store::list(directory)?;
    let paths: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    let logs = Log::all_with_parts(&paths);
    let rows = files.into_iter().zip(&logs).map(|(file, log)| ListRow {
        ends: log_ends(log),
        file,
        totals: options.long.then(Totals::default),
    });
    let rows = rows.map(|mut row| {
        if options.no_detail {
            row.file.command = None;
            row.ends.task =
                row.ends.task.as_deref().and_then(|task| Some(short_json(task)?.into_owned()));
        }
        row
    });
    let mut report = ListReport {
        directory: directory.to_owned(),
        rows: rows.collect(),
        options,
        scan: None,
        notes: Vec::new(),
        has_failed: false,
        is_done: false,
    };
    if options.long && !logs.is_empty() {
        match LogScan::new(&logs, TotalsMap, ScanOptions::default()) {
            Ok(scan) => report.scan = Some(scan),
            Err(error) => report.note_failure(&error),
        }
    }
    Ok(Box::new(report))
}

/// A log, and what is known of it.
pub(super) struct ListRow {
    pub(super) file: TraceFile,
    pub(super) ends: LogEnds,
    /// What is in it; None if that is not asked for, or it cannot be read.
    pub(super) totals: Option<Totals>,
}

impl ListRow {
    /// When it ended; None while it is being written.
    pub(super) fn ended_at_s(&self) -> Option<f64> {
        if self.file.alive == Some(true) {
            return None;
        }
        // The end of a compressed log is not read.
        Some(self.ends.last_s.unwrap_or(self.file.mtime_s))
    }

    pub(super) fn duration_s(&self, as_of_s: f64) -> Option<f64> {
        let end_s = self.ended_at_s().unwrap_or(as_of_s);
        self.ends.first_s.map(|first_s| (end_s - first_s).max(0.0))
    }
}

struct ListReport {
    directory: PathBuf,
    rows: Vec<ListRow>,
    options: ListOptions,
    /// The counting, while it is under way.
    scan: Option<LogScan<TotalsMap>>,
    notes: Vec<String>,
    has_failed: bool,
    is_done: bool,
}

impl Report for ListReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        if self.count_further() {
            return Ok(Some(Vec::new()));
        }
        if std::mem::replace(&mut self.is_done, true) {
            return Ok(None);
        }
        Ok(Some(if self.options.json {
            self.json()
        } else {
            let options = &self.options;
            write_table(&self.directory, &self.rows, options.as_of_s, options.style).into_bytes()
        }))
    }

    fn streams(&self) -> bool {
        false
    }

    fn progress(&self) -> Option<Progress> {
        self.scan.as_ref().map(LogScan::progress)
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn skipped(&self) -> Option<String> {
        None
    }
}

impl ListReport {
    /// Counts what is in the logs, for a while; false once that is done.
    fn count_further(&mut self) -> bool {
        let Some(mut scan) = self.scan.take() else { return false };
        match scan.next() {
            Ok(Next::Output { log, output }) => {
                if let Some(totals) = &mut self.rows[log].totals {
                    totals.merge_from_start(output);
                }
            }
            Ok(Next::Pending) => {}
            Ok(Next::End) => {
                self.notes.extend(scan.take_notes());
                self.notes.extend(scan.skipped());
                self.has_failed = scan.has_failed();
                if self.options.no_detail {
                    let totals = self.rows.iter_mut().filter_map(|row| row.totals.as_mut());
                    totals.for_each(Totals::shorten_tasks);
                }
                for (log, row) in self.rows.iter_mut().enumerate() {
                    row.totals.take_if(|_| !scan.is_whole(log));
                }
                return false;
            }
            // There is but one log.
            Err(error) => {
                self.note_failure(&error);
                return false;
            }
        }
        self.scan = Some(scan);
        true
    }

    /// Nothing could be counted; what else is known is shown.
    fn note_failure(&mut self, error: &crate::Error) {
        self.notes.push(error.to_string());
        self.has_failed = true;
        self.rows.iter_mut().for_each(|row| row.totals = None);
    }

    /// A JSON array, ended by a newline: `file` and `mtime` as the reference has them, then what is
    /// added. What is not known is null.
    fn json(&self) -> Vec<u8> {
        let mut out = vec![b'['];
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            new_line(&mut out, 1);
            self.write_json_row(&mut out, row);
        }
        if !self.rows.is_empty() {
            new_line(&mut out, 0);
        }
        out.extend_from_slice(b"]\n");
        out
    }

    fn write_json_row(&self, out: &mut Vec<u8>, row: &ListRow) {
        let ListRow { file, ends, totals } = row;
        let mut follows = false;
        let mut key = |out: &mut Vec<u8>, name: &str| {
            out.push(if std::mem::replace(&mut follows, true) { b',' } else { b'{' });
            new_line(out, 2);
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\": ");
        };
        let plain = |out: &mut Vec<u8>, value: Option<String>| {
            out.extend_from_slice(value.as_deref().unwrap_or("null").as_bytes());
        };
        let number = |out: &mut Vec<u8>, value: Option<f64>| {
            write_number(out, value.unwrap_or(f64::NAN));
        };
        key(out, "file");
        write_text(out, file.path.as_os_str().as_encoded_bytes());
        key(out, "mtime");
        write_number(out, file.mtime_s);
        key(out, "size");
        plain(out, Some(file.size_bytes.to_string()));
        key(out, "pid");
        plain(out, file.pid.map(|pid| pid.to_string()));
        key(out, "alive");
        plain(out, file.alive.map(|alive| alive.to_string()));
        key(out, "run_id");
        match &file.run_id {
            Some(run_id) => write_text(out, run_id.as_bytes()),
            None => plain(out, None),
        }
        key(out, "is_child");
        plain(out, Some(file.is_child.to_string()));
        key(out, "parts");
        plain(out, Some(file.parts.to_string()));
        if !self.options.no_detail {
            key(out, "command");
            match &file.command {
                Some(words) => write_texts(out, words.iter().map(String::as_bytes)),
                None => plain(out, None),
            }
        }
        key(out, "task");
        write_task(out, ends.task.as_deref().unwrap_or(b"null"), 2);
        key(out, "started_at");
        number(out, ends.first_s);
        key(out, "ended_at");
        number(out, row.ended_at_s());
        key(out, "duration_s");
        number(out, row.duration_s(self.options.as_of_s));
        if self.options.long {
            let counts = totals.as_ref().map(|totals| {
                let Totals { records, errors, timeouts, .. } = *totals;
                [records, totals.open() as u64, errors + timeouts, errors, timeouts]
            });
            let names = ["records", "open", "failed", "errors", "timeouts"];
            for (index, name) in names.into_iter().enumerate() {
                key(out, name);
                plain(out, counts.map(|counts| counts[index].to_string()));
            }
            key(out, "tasks");
            match totals {
                Some(totals) => write_tasks(out, totals),
                None => plain(out, None),
            }
        }
        new_line(out, 1);
        out.push(b'}');
    }
}

/// A list of texts, on lines of their own.
fn write_texts<'t>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'t [u8]>) {
    let mut is_empty = true;
    for text in texts {
        out.push(if std::mem::replace(&mut is_empty, false) { b'[' } else { b',' });
        new_line(out, 3);
        write_text(out, text);
    }
    if is_empty {
        out.push(b'[');
    } else {
        new_line(out, 2);
    }
    out.push(b']');
}

fn write_tasks(out: &mut Vec<u8>, totals: &Totals) {
    for (index, task) in totals.tasks.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        new_line(out, 3);
        write_task(out, task, 3);
    }
    if totals.tasks.is_empty() {
        out.push(b'[');
    } else {
        new_line(out, 2);
    }
    out.push(b']');
}

/// A task, which is a string as a rule, as it stands in the log.
fn write_task(out: &mut Vec<u8>, task: &[u8], depth: usize) {
    write_value(out, &redact_json(task), Layout::Indented(depth), Escape::NonAscii);
}
