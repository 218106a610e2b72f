//! HTTP requests as a table or as JSON.

use std::path::Path;

use crate::Result;
use crate::analyze::{HttpRequest, http_request};
use crate::read::{Filter, Records};

use super::Report;
use super::json::{new_line, write_number, write_text};
use super::table::{Column, TableStyle, fit, write_row};
use super::terminal::cell;

/// About so much is given at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What is shown of the HTTP requests, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HttpOptions {
    /// Only failed requests.
    pub failed: bool,
    /// JSON instead of a table.
    pub json: bool,
    /// Now, seconds since the epoch: for the JSON envelope.
    pub as_of_s: f64,
    /// How the table is shown.
    pub style: TableStyle,
}

/// The HTTP requests of a log that `filter` wants: the JSON object `{trace_file, as_of, requests}`,
/// or one row each with time and message.
///
/// # Errors
/// The log cannot be opened.
pub fn http_report(path: &Path, filter: &Filter, options: &HttpOptions) -> Result<Box<dyn Report>> {
    let records = Records::open(path, filter)?;
    Ok(Box::new(HttpReport {
        records,
        options: *options,
        count: 0,
        last_time: None,
        state: State::Start,
    }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Rows,
    End,
}

struct HttpReport {
    records: Records,
    options: HttpOptions,
    count: u64,
    /// The time of the last row of the table.
    last_time: Option<String>,
    state: State,
}

impl Report for HttpReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        match self.state {
            State::Start => {
                if self.options.json {
                    self.write_head(&mut out);
                }
                self.state = State::Rows;
            }
            State::Rows => {}
            State::End => return Ok(None),
        }
        let (options, count, last_time) = (&self.options, &mut self.count, &mut self.last_time);
        let more = self.records.visit(|record| {
            if let Some(request) = http_request(record).filter(|r| r.failed || !options.failed) {
                if options.json {
                    write_json_row(&mut out, &request, *count == 0);
                } else {
                    write_table_row(&mut out, &request, options.style, last_time);
                }
                *count += 1;
            }
            out.len() < CHUNK_BYTES
        })?;
        if !more {
            self.write_end(&mut out);
            self.state = State::End;
        }
        Ok(Some(out))
    }

    fn skipped(&self) -> Option<String> {
        self.records.skipped().summary(self.records.path())
    }
}

impl HttpReport {
    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\n  \"trace_file\": ");
        write_text(out, self.records.path().as_os_str().as_encoded_bytes());
        out.extend_from_slice(b",\n  \"as_of\": ");
        write_number(out, self.options.as_of_s);
        out.extend_from_slice(b",\n  \"requests\": [");
    }

    fn write_end(&self, out: &mut Vec<u8>) {
        if self.options.json {
            if self.count > 0 {
                new_line(out, 1);
            }
            out.extend_from_slice(b"]\n}\n");
        } else if self.count == 0 {
            let which = if self.options.failed { "failed HTTP requests" } else { "HTTP requests" };
            out.extend_from_slice(format!("No {which} found in trace log.\n").as_bytes());
        }
    }
}

fn write_json_row(out: &mut Vec<u8>, request: &HttpRequest, first: bool) {
    if !first {
        out.push(b',');
    }
    new_line(out, 2);
    out.push(b'{');
    new_line(out, 3);
    out.extend_from_slice(b"\"timestamp\": ");
    write_text(out, &request.timestamp);
    out.push(b',');
    new_line(out, 3);
    out.extend_from_slice(b"\"message\": ");
    write_text(out, &request.message);
    out.push(b',');
    new_line(out, 3);
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
    request: &HttpRequest,
    style: TableStyle,
    last_time: &mut Option<String>,
) {
    const COLUMNS: [Column; 2] = [Column::Right, Column::Wrapped];
    let time = format!("[{}]", cell(whole_seconds(&request.timestamp)));
    // A terminal is for the eye: what repeats is left out. A pipe may end in grep.
    let repeats = style.width.is_some() && last_time.as_deref() == Some(&time);
    let shown = if repeats { " ".repeat(time.len()) } else { time.clone() };
    let row = [shown, cell(&request.message)];
    let mut widths = [row[0].len(), usize::MAX];
    fit(&COLUMNS, &mut widths, style.width);
    let mut text = String::new();
    write_row(&mut text, &COLUMNS, &widths, &row, style.width.is_some());
    out.extend_from_slice(text.as_bytes());
    *last_time = Some(time);
}

/// A timestamp without fraction and offset.
fn whole_seconds(timestamp: &[u8]) -> &[u8] {
    const LENGTH: usize = "2026-11-23T10:22:25".len();
    let is_iso = timestamp.len() > LENGTH
        && matches!(timestamp[LENGTH], b'.' | b'+' | b'-' | b'Z')
        && timestamp[..LENGTH].is_ascii();
    if is_iso { &timestamp[..LENGTH] } else { timestamp }
}
