//! HTTP requests as a table or as JSON.

use crate::Result;
use crate::analyze::{HttpRequest, http_request};
use crate::read::{Block, BlockMap, Filter, LineCursor, Log, ScanOptions, Skipped, Wanted};

use crate::metadata::short_name;
use crate::redact::redact_in;

use super::Report;
use super::json::{new_line, write_number, write_text};
use super::logs::{LogScan, Next};
use super::report::told_by_scan;
use super::table::{Column, TableStyle, fit, write_row};
use super::terminal::cell;

/// What is shown of the HTTP requests, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // each is an option of the command
pub struct HttpOptions {
    /// Only failed requests.
    pub failed: bool,
    /// So many requests at most.
    pub limit: Option<u64>,
    /// Without the secrets in them.
    pub redact: bool,
    /// Without the texts in them: what happened when, and how it ended.
    pub no_detail: bool,
    /// JSON instead of a table.
    pub json: bool,
    /// Now, seconds since the epoch: for the JSON envelope.
    pub as_of_s: f64,
    /// How the table is shown.
    pub style: TableStyle,
}

/// The HTTP requests of some logs that `filter` wants: the JSON object `{trace_file, as_of,
/// requests}`, or one row each with time and message.
///
/// Where there are several logs, the object has `trace_files`, and each request says which one it is
/// from.
///
/// # Errors
/// The one log cannot be opened.
pub fn http_report(
    logs: &[Log],
    filter: &Filter,
    options: &HttpOptions,
) -> Result<Box<dyn Report>> {
    http_report_with(logs, filter, options, ScanOptions::default())
}

/// The same, with the logs read in a given way: which changes nothing in what is printed.
///
/// # Errors
/// As [`http_report`].
#[doc(hidden)]
pub fn http_report_with(
    logs: &[Log],
    filter: &Filter,
    options: &HttpOptions,
    scan: ScanOptions,
) -> Result<Box<dyn Report>> {
    let logs: Vec<_> = logs.iter().map(|log| log.as_far_as_wanted(filter)).collect();
    let logs = &logs[..];
    let map = HttpMap::new(logs, filter, options);
    Ok(Box::new(HttpReport {
        scan: LogScan::new(logs, map, scan)?,
        requests: HttpRequests::of(logs, options),
        state: State::Start,
    }))
}

/// Picks the requests out of a block.
pub(crate) struct HttpMap {
    wanted: Wanted,
    failed: bool,
    redact: bool,
    no_detail: bool,
}

impl HttpMap {
    /// The requests that `filter` wants, with as much in them as is shown.
    pub(crate) fn new(logs: &[Log], filter: &Filter, options: &HttpOptions) -> Self {
        let &HttpOptions { failed, redact, no_detail, .. } = options;
        Self { wanted: Wanted::of(logs, filter), failed, redact, no_detail }
    }
}

impl BlockMap for HttpMap {
    type Scratch = LineCursor;
    type Output = Vec<HttpRequest>;

    fn map(
        &self,
        file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        requests: &mut Vec<HttpRequest>,
    ) {
        self.wanted.for_each(file, cursor, block, skipped, |record| {
            let wanted = http_request(record).filter(|r| r.failed || !self.failed);
            requests.extend(wanted.map(|mut request| {
                if self.no_detail {
                    request.message.clear();
                    request.timestamp = short_name(&request.timestamp).into_owned();
                } else if self.redact {
                    redact_in(&mut request.message);
                }
                request
            }));
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Rows,
    End,
}

struct HttpReport {
    scan: LogScan<HttpMap>,
    requests: HttpRequests,
    state: State,
}

impl Report for HttpReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        match self.state {
            State::Start => {
                self.requests.begin(&mut out);
                self.state = State::Rows;
            }
            State::Rows => {}
            State::End => return Ok(None),
        }
        if self.requests.is_full() {
            return Ok(Some(self.end(out)));
        }
        match self.scan.next()? {
            Next::Output { log, output } => {
                for request in &output {
                    self.requests.write(&mut out, log, request);
                    if self.requests.is_full() {
                        self.scan.stop();
                        break;
                    }
                }
                Ok(Some(out))
            }
            Next::Pending => Ok(Some(out)),
            Next::End => Ok(Some(self.end(out))),
        }
    }

    told_by_scan!();
}

impl HttpReport {
    fn end(&mut self, mut out: Vec<u8>) -> Vec<u8> {
        self.state = State::End;
        self.requests.end(&mut out);
        out
    }
}

/// Requests of some logs as they are printed one after the other.
pub(crate) struct HttpRequests {
    logs: Vec<Log>,
    options: HttpOptions,
    count: u64,
    /// The time of the last row of the table.
    last_time: Option<String>,
}

impl HttpRequests {
    pub(crate) fn of(logs: &[Log], options: &HttpOptions) -> Self {
        Self { logs: logs.to_vec(), options: *options, count: 0, last_time: None }
    }

    /// Whether there are as many as are wanted.
    pub(crate) fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.count >= limit)
    }

    /// Begins the output.
    pub(crate) fn begin(&self, out: &mut Vec<u8>) {
        if !self.options.json {
            return;
        }
        out.extend_from_slice(b"{\n  ");
        write_trace_files(out, self.logs.len() != 1, &self.logs);
        out.extend_from_slice(b",\n  \"as_of\": ");
        write_number(out, self.options.as_of_s);
        out.extend_from_slice(b",\n  \"requests\": [");
    }

    /// Appends a request of the log of that number.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, log: usize, request: &HttpRequest) {
        let log = (self.logs.len() > 1).then(|| &self.logs[log]);
        if self.options.json {
            write_json_row(out, log, request, self.count == 0, self.options.no_detail);
        } else {
            write_table_row(out, log, request, self.options, &mut self.last_time);
        }
        self.count += 1;
    }

    /// Ends the output.
    pub(crate) fn end(&self, out: &mut Vec<u8>) {
        if self.options.json {
            if self.count > 0 {
                new_line(out, 1);
            }
            out.extend_from_slice(b"]\n}\n");
        } else if self.count == 0 {
            let which = if self.options.failed { "failed HTTP requests" } else { "HTTP requests" };
            let logs = if self.logs.len() == 1 { "log" } else { "logs" };
            out.extend_from_slice(format!("No {which} found in trace {logs}.\n").as_bytes());
        }
    }
}

/// Appends `"trace_file": PATH`, or `"trace_files": [PATHS]` of `several`, as a member at depth 1.
pub(super) fn write_trace_files(out: &mut Vec<u8>, several: bool, logs: &[Log]) {
    let path = |out: &mut Vec<u8>, log: &Log| {
        write_text(out, log.path.as_os_str().as_encoded_bytes());
    };
    if let ([log], false) = (logs, several) {
        out.extend_from_slice(b"\"trace_file\": ");
        return path(out, log);
    }
    out.extend_from_slice(b"\"trace_files\": [");
    for (index, log) in logs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        new_line(out, 2);
        path(out, log);
    }
    if !logs.is_empty() {
        new_line(out, 1);
    }
    out.push(b']');
}

fn write_json_row(
    out: &mut Vec<u8>,
    log: Option<&Log>,
    request: &HttpRequest,
    first: bool,
    no_detail: bool,
) {
    if !first {
        out.push(b',');
    }
    new_line(out, 2);
    out.push(b'{');
    new_line(out, 3);
    if let Some(log) = log {
        write_trace_files(out, false, std::slice::from_ref(log));
        out.push(b',');
        new_line(out, 3);
    }
    out.extend_from_slice(b"\"timestamp\": ");
    write_text(out, &request.timestamp);
    out.push(b',');
    new_line(out, 3);
    if !no_detail {
        out.extend_from_slice(b"\"message\": ");
        write_text(out, &request.message);
        out.push(b',');
        new_line(out, 3);
    }
    out.extend_from_slice(b"\"status\": ");
    match request.status {
        Some(status) => out.extend_from_slice(status.to_string().as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b',');
    new_line(out, 3);
    out.extend_from_slice(b"\"failed\": ");
    out.extend_from_slice(if request.failed { b"true" } else { b"false" });
    new_line(out, 2);
    out.push(b'}');
}

fn write_table_row(
    out: &mut Vec<u8>,
    log: Option<&Log>,
    request: &HttpRequest,
    options: HttpOptions,
    last_time: &mut Option<String>,
) {
    const COLUMNS: [Column; 3] = [Column::Left, Column::Right, Column::Wrapped];
    let style = options.style;
    let time = format!("[{}]", cell(whole_seconds(&request.timestamp)));
    // A terminal is for the eye: what repeats is left out. A pipe may end in grep.
    let repeats = style.width.is_some() && last_time.as_deref() == Some(&time);
    let shown = if repeats { " ".repeat(time.len()) } else { time.clone() };
    let message = if options.no_detail { outcome(request) } else { cell(&request.message) };
    let mut row = vec![shown, message];
    let mut columns = &COLUMNS[1..];
    if let Some(log) = log {
        let name = log.path.file_name().unwrap_or(log.path.as_os_str());
        row.insert(0, cell(name.as_encoded_bytes()));
        columns = &COLUMNS;
    }
    let mut widths: Vec<_> = row.iter().map(String::len).collect();
    widths[row.len() - 1] = usize::MAX;
    fit(columns, &mut widths, style.width);
    let mut text = String::new();
    write_row(&mut text, columns, &widths, &row, style.width.is_some());
    out.extend_from_slice(text.as_bytes());
    *last_time = Some(time);
}

/// What is known of a request but for its message.
fn outcome(request: &HttpRequest) -> String {
    let failed = if request.failed { "failed" } else { "" };
    let status = request.status.map(|status| format!("status {status}"));
    let told: Vec<_> = status.as_deref().into_iter().chain([failed]).collect();
    let told = told.join(" ").trim().to_owned();
    if told.is_empty() { "-".to_owned() } else { told }
}

/// A timestamp without fraction and offset.
fn whole_seconds(timestamp: &[u8]) -> &[u8] {
    const LENGTH: usize = "2026-11-23T10:22:25".len();
    let is_iso = timestamp.len() > LENGTH
        && matches!(timestamp[LENGTH], b'.' | b'+' | b'-' | b'Z')
        && timestamp[..LENGTH].is_ascii();
    if is_iso { &timestamp[..LENGTH] } else { timestamp }
}
