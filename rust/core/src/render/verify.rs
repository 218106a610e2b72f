//! What is wrong with logs, as lines for people, editors and grep, or as JSON.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use crate::Result;
use crate::error::Error;
use crate::read::skipped::{count, thousands};
use crate::read::{
    Log, LogTotals, Problem, ProblemCounts, ProblemKind, Progress, VerifyScan, VerifyStep,
};

use super::Report;
use super::http::write_trace_files;
use super::json::{new_line, write_number, write_text};
use super::terminal::terminal_safe;

/// How long the report waits for its next chunk before it gives an empty one.
const WAIT: Duration = Duration::from_millis(50);
/// So many problems are one chunk at most.
const CHUNK_PROBLEMS: usize = 4096;

/// What is shown of what is wrong with logs, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VerifyOptions {
    /// So many problems of each log at most; all are counted.
    pub limit: Option<u64>,
    /// JSON instead of lines.
    pub json: bool,
    /// Now, seconds since the epoch: for the JSON envelope.
    pub as_of_s: f64,
}

/// All that is wrong with some logs: a line for each problem and one that sums each log up, or the
/// JSON object `{trace_file, as_of, logs}`, with `trace_files` where there are several.
///
/// # Errors
/// The one log cannot be opened.
pub fn verify_report(logs: &[Log], options: VerifyOptions) -> Result<Box<dyn Report>> {
    let scan = VerifyScan::of_logs(logs, VerifyScan::options())?;
    Ok(Box::new(VerifyReport {
        logs: scan.logs().to_vec(),
        scan,
        options,
        listed: 0,
        pending: Pending::default(),
        begun: 0,
        notes: Vec::new(),
        has_failed: false,
        found_problems: false,
        state: State::Start,
    }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Logs,
    End,
}

/// What was found and not yet rendered.
#[derive(Default)]
struct Pending {
    log: usize,
    problems: VecDeque<Problem>,
    end: Option<(LogTotals, Option<Error>)>,
}

struct VerifyReport {
    scan: VerifyScan,
    logs: Vec<Log>,
    options: VerifyOptions,
    /// How many problems of the current log are listed.
    listed: u64,
    pending: Pending,
    /// How many logs have been begun.
    begun: usize,
    notes: Vec<String>,
    has_failed: bool,
    found_problems: bool,
    state: State,
}

impl Report for VerifyReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        match self.state {
            State::Start => {
                if self.options.json {
                    self.write_head(&mut out);
                }
                self.state = State::Logs;
            }
            State::Logs => {}
            State::End => return Ok(None),
        }
        if self.pending.problems.is_empty() && self.pending.end.is_none() {
            match self.scan.next(WAIT)? {
                VerifyStep::Verified(verified) => {
                    self.pending = Pending {
                        log: verified.log,
                        problems: verified.problems.into(),
                        end: verified.end.map(|totals| (totals, verified.error)),
                    };
                }
                VerifyStep::Pending => return Ok(Some(out)),
                VerifyStep::End => {
                    self.state = State::End;
                    if self.options.json {
                        if self.begun > 0 {
                            new_line(&mut out, 1);
                        }
                        out.extend_from_slice(b"]\n}\n");
                    }
                    return Ok(Some(out));
                }
            }
        }
        self.render(&mut out)?;
        Ok(Some(out))
    }

    fn progress(&self) -> Option<Progress> {
        Some(self.scan.progress())
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn found_problems(&self) -> bool {
        self.found_problems
    }

    /// What is wrong is the answer itself here.
    fn skipped(&self) -> Option<String> {
        None
    }
}

impl VerifyReport {
    /// Renders some of what is pending.
    fn render(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let index = self.pending.log;
        if self.options.json && self.begun == index {
            self.write_log_head(out, index);
        }
        self.begun = index + 1;
        let problems = &mut self.pending.problems;
        for problem in problems.drain(..problems.len().min(CHUNK_PROBLEMS)) {
            if self.options.limit.is_some_and(|limit| self.listed >= limit) {
                continue;
            }
            if self.options.json {
                write_json_problem(out, &problem, self.listed == 0);
            } else {
                write_line(out, &self.logs[index], &problem);
            }
            self.listed += 1;
        }
        if !self.pending.problems.is_empty() {
            return Ok(());
        }
        let Some((totals, error)) = self.pending.end.take() else { return Ok(()) };
        let reason = error.as_ref().map(ToString::to_string);
        if let Some(error) = error {
            if self.logs.len() == 1 {
                return Err(error);
            }
            self.has_failed = true;
            self.notes.extend(reason.clone());
        }
        self.found_problems |= totals.counts.failures() > 0;
        if self.options.json {
            write_log_end(out, self.listed, &totals, reason.as_deref());
        } else if reason.is_none() {
            let log = &self.logs[index];
            let summary = summary(&totals, self.listed);
            out.extend_from_slice(format!("{}: {summary}\n", shown_path(log)).as_bytes());
        }
        self.listed = 0;
        Ok(())
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\n  ");
        write_trace_files(out, self.logs.len() != 1, &self.logs);
        out.extend_from_slice(b",\n  \"as_of\": ");
        write_number(out, self.options.as_of_s);
        out.extend_from_slice(b",\n  \"logs\": [");
    }

    fn write_log_head(&self, out: &mut Vec<u8>, index: usize) {
        if index > 0 {
            out.push(b',');
        }
        new_line(out, 2);
        out.push(b'{');
        new_line(out, 3);
        write_trace_files(out, false, std::slice::from_ref(&self.logs[index]));
        out.push(b',');
        new_line(out, 3);
        out.extend_from_slice(b"\"problems\": [");
    }
}

fn shown_path(log: &Log) -> String {
    terminal_safe(log.path.as_os_str().as_encoded_bytes())
}

/// `PATH:LINE: byte N: what is wrong`.
fn write_line(out: &mut Vec<u8>, log: &Log, problem: &Problem) {
    let (path, reason) = (shown_path(log), problem.reason());
    let text = match (problem.kind, problem.line) {
        (ProblemKind::GzipDamage { compressed_byte, .. }, _) => {
            format!("{path}: compressed byte {compressed_byte}: {reason}\n")
        }
        (_, Some(line)) => format!("{path}:{line}: byte {}: {reason}\n", problem.byte),
        (_, None) => format!("{path}: byte {}: {reason}\n", problem.byte),
    };
    out.extend_from_slice(text.as_bytes());
}

/// What a log has, and how much is wrong with it.
fn summary(totals: &LogTotals, listed: u64) -> String {
    let records = count(totals.records, "record", "records");
    let mut text = format!("{records} in {}; ", count(totals.lines, "line", "lines"));
    text += &match totals.counts.failures() {
        0 => "no problems".to_owned(),
        failures => count(failures, "problem", "problems"),
    };
    let kinds: Vec<_> = totals
        .counts
        .each()
        .filter(|&(_, _, number)| number > 0)
        .map(|(_, words, number)| format!("{} {words}", thousands(number)))
        .collect();
    if !kinds.is_empty() {
        let _ = write!(text, " ({})", kinds.join(", "));
    }
    let unlisted = totals.counts.all() - listed;
    if unlisted > 0 {
        let _ = write!(text, ", {} not listed", thousands(unlisted));
    }
    text
}

/// Appends an element of the array `problems`.
fn write_json_problem(out: &mut Vec<u8>, problem: &Problem, first: bool) {
    if !first {
        out.push(b',');
    }
    new_line(out, 4);
    out.push(b'{');
    let key = |out: &mut Vec<u8>, key: &str| {
        if key != "line" {
            out.push(b',');
        }
        new_line(out, 5);
        out.extend_from_slice(format!("\"{key}\": ").as_bytes());
    };
    let integer =
        |out: &mut Vec<u8>, value: u64| out.extend_from_slice(value.to_string().as_bytes());
    key(out, "line");
    match problem.line {
        Some(line) => integer(out, line),
        None => out.extend_from_slice(b"null"),
    }
    key(out, "byte");
    integer(out, problem.byte);
    if let ProblemKind::GzipDamage { compressed_byte, .. } = problem.kind {
        key(out, "compressed_byte");
        integer(out, compressed_byte);
    } else {
        key(out, "length");
        integer(out, problem.length);
    }
    key(out, "kind");
    write_text(out, problem.kind.name().as_bytes());
    key(out, "reason");
    write_text(out, problem.reason().as_bytes());
    if let ProblemKind::MissingFields(missing) = problem.kind {
        key(out, "fields");
        let names: Vec<_> = missing.names().map(|name| format!("\"{name}\"")).collect();
        out.extend_from_slice(format!("[{}]", names.join(", ")).as_bytes());
    }
    new_line(out, 4);
    out.push(b'}');
}

/// Appends what follows the problems of a log, of which so many are listed.
fn write_log_end(out: &mut Vec<u8>, listed: u64, totals: &LogTotals, error: Option<&str>) {
    if listed > 0 {
        new_line(out, 3);
    }
    out.push(b']');
    for (key, value) in [("records", totals.records), ("lines", totals.lines)] {
        out.push(b',');
        new_line(out, 3);
        out.extend_from_slice(format!("\"{key}\": {value}").as_bytes());
    }
    out.push(b',');
    new_line(out, 3);
    write_counts(out, &totals.counts);
    if let Some(error) = error {
        out.push(b',');
        new_line(out, 3);
        out.extend_from_slice(b"\"error\": ");
        write_text(out, error.as_bytes());
    }
    new_line(out, 2);
    out.push(b'}');
}

fn write_counts(out: &mut Vec<u8>, counts: &ProblemCounts) {
    out.extend_from_slice(b"\"counts\": {");
    for (index, (name, _, number)) in counts.each().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        new_line(out, 4);
        out.extend_from_slice(format!("\"{name}\": {number}").as_bytes());
    }
    new_line(out, 3);
    out.push(b'}');
}
