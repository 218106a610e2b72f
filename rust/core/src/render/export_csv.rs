//! Records as CSV: one row each, a column for each field that the format knows, and one for all others.

use crate::Result;
use crate::metadata::{is_metadata, short_name};
use crate::read::{Block, BlockMap, Filter, Kind, LineCursor, Log, Skipped, Wanted, to_str_lossy};
use crate::record::{Name, RawValue, Record};
use crate::redact::redact_from;
use crate::timestamp::parse_epoch_s;
use crate::write::float::write_float;

use super::Report;
use super::export::{ExportOptions, microseconds};
use super::json::{Escape, Layout, write_string_text, write_value};
use super::logs::{LogScan, Next};
use super::report::told_by_scan;

/// What a column takes; anything else goes to the last column, which has JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    /// A text, or anything else as JSON text.
    Any,
    Integer,
    Number,
    Timestamp,
}

const COLUMNS: [(&str, Name, Takes); 20] = [
    ("timestamp", Name::Timestamp, Takes::Timestamp),
    ("level", Name::Level, Takes::Text),
    ("message", Name::Message, Takes::Text),
    ("module", Name::Module, Takes::Text),
    ("function", Name::Function, Takes::Text),
    ("line", Name::Line, Takes::Integer),
    ("action", Name::Action, Takes::Text),
    ("event", Name::Event, Takes::Text),
    ("detail", Name::Detail, Takes::Text),
    ("trace_id", Name::TraceId, Takes::Text),
    ("parent_id", Name::ParentId, Takes::Text),
    ("start_time", Name::StartTime, Takes::Number),
    ("duration", Name::Duration, Takes::Number),
    ("error", Name::Error, Takes::Text),
    ("error_type", Name::ErrorType, Takes::Text),
    ("stacktrace", Name::Stacktrace, Takes::Text),
    ("task", Name::Task, Takes::Any),
    ("sample_id", Name::SampleId, Takes::Any),
    ("epoch", Name::Epoch, Takes::Integer),
    ("pid", Name::Pid, Takes::Integer),
];

pub(super) fn csv_report(
    logs: &[Log],
    filter: &Filter,
    options: &ExportOptions,
    typed: bool,
) -> Result<Box<dyn Report>> {
    let labels = logs.iter().flat_map(|log| {
        let mut label = Vec::new();
        write_quoted(&mut label, log.path.as_os_str().as_encoded_bytes());
        vec![label; log.files.len()]
    });
    let map = CsvMap {
        wanted: Wanted::of(logs, filter),
        labels: labels.collect(),
        redact: options.redact,
        no_detail: options.no_detail,
        typed,
    };
    Ok(Box::new(CsvReport {
        scan: LogScan::new(logs, map, options.scan)?,
        has_head: false,
        ended: false,
    }))
}

struct CsvMap {
    wanted: Wanted,
    /// Of the log of each file.
    labels: Vec<Vec<u8>>,
    redact: bool,
    no_detail: bool,
    typed: bool,
}

impl BlockMap for CsvMap {
    type Scratch = LineCursor;
    type Output = Vec<u8>;

    fn map(
        &self,
        file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        out: &mut Vec<u8>,
    ) {
        let label = &self.labels[file];
        self.wanted.for_each(file, cursor, block, skipped, |record| {
            out.extend_from_slice(label);
            self.write_row(out, record);
        });
    }
}

struct CsvReport {
    scan: LogScan<CsvMap>,
    has_head: bool,
    ended: bool,
}

impl Report for CsvReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        if !self.has_head {
            self.has_head = true;
            let names: Vec<_> = COLUMNS.iter().map(|(name, ..)| *name).collect();
            return Ok(Some(format!("trace_file,{},extra\n", names.join(",")).into_bytes()));
        }
        Ok(match self.scan.next()? {
            Next::Output { output, .. } => Some(output),
            Next::Pending => Some(Vec::new()),
            Next::End => {
                self.ended = true;
                None
            }
        })
    }

    fn recycle(&mut self, mut chunk: Vec<u8>) {
        chunk.clear();
        self.scan.recycle(chunk);
    }

    told_by_scan!();
}

impl CsvMap {
    fn write_column(&self, out: &mut Vec<u8>, takes: Takes, value: RawValue<'_>, redact: bool) {
        match takes {
            Takes::Timestamp if self.typed => {
                if let Some(timestamp_us) = timestamp_us(value) {
                    out.extend_from_slice(timestamp_us.to_string().as_bytes());
                }
            }
            Takes::Integer => {
                if let Some(integer) = integer(value) {
                    out.extend_from_slice(integer.to_string().as_bytes());
                }
            }
            Takes::Number => {
                if let Some(number) = value.number() {
                    write_float(out, number);
                }
            }
            Takes::Text | Takes::Any | Takes::Timestamp => {
                if let Some(text) = value.text() {
                    let text = if redact { crate::redact::redact(&text) } else { text };
                    write_quoted(out, &if self.no_detail { short_name(&text) } else { text });
                } else {
                    let mut json = Vec::new();
                    write_value(&mut json, value.raw(), Layout::Compact, Escape::Needed);
                    if redact {
                        redact_from(&mut json, 0);
                    }
                    write_quoted(out, &json);
                }
            }
        }
    }

    fn write_row(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        let Self { redact, no_detail, typed, .. } = *self;
        let mut values: [Option<RawValue<'_>>; COLUMNS.len()] = [None; COLUMNS.len()];
        let mut others = Vec::new();
        record.for_each_distinct(|key, name, value| {
            if value.kind() == Kind::Null || (no_detail && !is_metadata(name, value.kind())) {
                return;
            }
            let column = COLUMNS.iter().position(|(_, column, _)| *column == name);
            let fits = column.is_some_and(|column| takes(COLUMNS[column].2, value, typed));
            if let (Some(column), true) = (column, fits) {
                // The value outlives this call: it is looked up again.
                values[column] = record.value(name);
            } else if !no_detail {
                others.push(if others.is_empty() { b'{' } else { b',' });
                write_string_text(&mut others, key, Escape::Needed);
                others.push(b':');
                write_value(&mut others, value.raw(), Layout::Compact, Escape::Needed);
            }
        });
        for ((_, name, takes), value) in COLUMNS.iter().zip(values) {
            out.push(b',');
            if let Some(value) = value {
                self.write_column(out, *takes, value, redact && !is_id(*name));
            }
        }
        out.push(b',');
        if !others.is_empty() {
            others.push(b'}');
            if redact {
                redact_from(&mut others, 0);
            }
            write_quoted(out, &others);
        }
        out.push(b'\n');
    }
}

fn takes(takes: Takes, value: RawValue<'_>, typed: bool) -> bool {
    let is_text = matches!(value.kind(), Kind::String { .. });
    match takes {
        Takes::Any => true,
        Takes::Text => is_text,
        Takes::Timestamp => is_text && (!typed || timestamp_us(value).is_some()),
        Takes::Integer => value.kind() == Kind::Number && integer(value).is_some(),
        Takes::Number => value.number().is_some_and(f64::is_finite),
    }
}

fn integer(value: RawValue<'_>) -> Option<i64> {
    std::str::from_utf8(value.raw()).ok()?.parse().ok()
}

fn timestamp_us(value: RawValue<'_>) -> Option<i64> {
    parse_epoch_s(&value.text()?).map(microseconds)
}

/// Whether what stands there is random, and may look like a key.
fn is_id(name: Name) -> bool {
    matches!(name, Name::TraceId | Name::ParentId)
}

/// Appends a text in quotes, so that an empty one is told from none.
fn write_quoted(out: &mut Vec<u8>, wtf8: &[u8]) {
    out.push(b'"');
    let text = to_str_lossy(wtf8);
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'"', rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(b'"');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
