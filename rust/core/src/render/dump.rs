//! The records of a log as JSON: an array, or JSON Lines. No field is lost.

use crate::Result;
use crate::fields::Field;
use crate::metadata::short_value;
use crate::read::{Block, BlockMap, Filter, Kind, LineCursor, Log, ScanOptions, Skipped, Wanted};
use crate::record::{Name, RawValue, Record};
use crate::redact::redact_from;

use super::Report;
use super::json::{
    Escape, Layout, new_line, write_number, write_string_text, write_text, write_value,
};
use super::logs::{LogScan, Next};
use super::report::told_by_scan;

/// How records are dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpFormat {
    /// One JSON array, indented by two spaces.
    JsonArray,
    /// One record a line.
    JsonLines,
}

/// What is dumped, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpOptions {
    /// How.
    pub format: DumpFormat,
    /// So many records at most.
    pub limit: Option<u64>,
    /// Without the secrets in them.
    pub redact: bool,
    /// Without the texts in them: what happened when, and how it ended.
    pub no_detail: bool,
}

/// The records of some logs that `filter` wants, as strict JSON.
///
/// All fields of a record are kept, in their order, with their values as they stand in the log;
/// except: fields that are null are left out; of a repeated key the last value counts, in the
/// place of the first; `NaN` and the infinities become null; lone surrogates become U+FFFD; the
/// `start_time` and `duration` of an action record are numbers, even where the log has a text.
///
/// Where there are several logs, each record begins with its log's path as `trace_file`.
///
/// # Errors
/// The one log cannot be opened.
pub fn dump_report(logs: &[Log], filter: &Filter, options: DumpOptions) -> Result<Box<dyn Report>> {
    dump_report_with(logs, filter, options, ScanOptions::default())
}

/// The same, with the logs read in a given way: which changes nothing in what is printed.
///
/// # Errors
/// As [`dump_report`].
#[doc(hidden)]
pub fn dump_report_with(
    logs: &[Log],
    filter: &Filter,
    options: DumpOptions,
    scan: ScanOptions,
) -> Result<Box<dyn Report>> {
    let labels = match logs {
        [_] => Vec::new(),
        _ => logs.iter().flat_map(|log| vec![label(log); log.files.len()]).collect(),
    };
    let map = DumpMap {
        wanted: Wanted::of(logs, filter),
        format: options.format,
        labels,
        wants_ends: options.limit.is_some(),
        redact: options.redact,
        no_detail: options.no_detail,
    };
    Ok(Box::new(Dump {
        scan: LogScan::new(logs, map, scan)?,
        format: options.format,
        left: options.limit,
        any: false,
        ended: false,
    }))
}

/// The path of a log as JSON text.
fn label(log: &Log) -> Vec<u8> {
    let mut label = Vec::new();
    write_text(&mut label, log.path.as_os_str().as_encoded_bytes());
    label
}

/// Renders the records of a block.
struct DumpMap {
    wanted: Wanted,
    format: DumpFormat,
    /// Of the log of each file, unless there is but one log.
    labels: Vec<Vec<u8>>,
    wants_ends: bool,
    redact: bool,
    no_detail: bool,
}

/// Rendered records, each with what stands before or behind it.
#[derive(Default)]
struct Rendered {
    bytes: Vec<u8>,
    /// Where each record ends, if that is wanted.
    ends: Vec<usize>,
}

impl BlockMap for DumpMap {
    type Scratch = LineCursor;
    type Output = Rendered;

    fn map(
        &self,
        file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        rendered: &mut Rendered,
    ) {
        let out = &mut rendered.bytes;
        let label = self.labels.get(file).map(Vec::as_slice);
        self.wanted.for_each(file, cursor, block, skipped, |record| {
            let start = out.len();
            match self.format {
                // The first comma of all is replaced by the bracket.
                DumpFormat::JsonArray => {
                    out.extend_from_slice(b",\n  ");
                    self.write_record(out, record, label);
                }
                DumpFormat::JsonLines => {
                    self.write_record(out, record, label);
                    out.push(b'\n');
                }
            }
            if self.redact {
                redact_from(out, start);
            }
            if self.wants_ends {
                rendered.ends.push(out.len());
            }
        });
    }
}

impl DumpMap {
    fn write_record(&self, out: &mut Vec<u8>, record: &Record<'_>, label: Option<&[u8]>) {
        if self.no_detail {
            write_metadata(out, record, self.format, label);
        } else {
            write_labelled(out, record, self.format, label);
        }
    }
}

struct Dump {
    scan: LogScan<DumpMap>,
    format: DumpFormat,
    /// How many records may still follow.
    left: Option<u64>,
    /// Whether a record was written.
    any: bool,
    ended: bool,
}

impl Report for Dump {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        if self.left == Some(0) {
            return Ok(Some(self.end()));
        }
        match self.scan.next()? {
            Next::Output { output: Rendered { mut bytes, ends }, .. } => {
                if let Some(left) = &mut self.left {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    if ends.len() >= most {
                        bytes.truncate(ends[most - 1]);
                        self.scan.stop();
                    }
                    *left -= ends.len().min(most) as u64;
                }
                if !self.any
                    && self.format == DumpFormat::JsonArray
                    && let Some(first) = bytes.first_mut()
                {
                    *first = b'[';
                }
                self.any |= !bytes.is_empty();
                Ok(Some(bytes))
            }
            Next::Pending => Ok(Some(Vec::new())),
            Next::End => Ok(Some(self.end())),
        }
    }

    fn recycle(&mut self, mut chunk: Vec<u8>) {
        chunk.clear();
        self.scan.recycle(Rendered { bytes: chunk, ends: Vec::new() });
    }

    told_by_scan!();
}

impl Dump {
    fn end(&mut self) -> Vec<u8> {
        self.ended = true;
        match (self.format, self.any) {
            (DumpFormat::JsonArray, false) => b"[]\n".to_vec(),
            (DumpFormat::JsonArray, true) => b"\n]\n".to_vec(),
            (DumpFormat::JsonLines, _) => Vec::new(),
        }
    }
}

/// Appends one record: as an element of an array, or as a line without its end.
pub fn write_record(out: &mut Vec<u8>, record: &Record<'_>, format: DumpFormat) {
    write_labelled(out, record, format, None);
}

/// The same, with the JSON text of a string as its first field, `trace_file`.
fn write_labelled(
    out: &mut Vec<u8>,
    record: &Record<'_>,
    format: DumpFormat,
    label: Option<&[u8]>,
) {
    // Each field begins with the comma behind the one before. The first one's is then made a brace.
    let start = out.len();
    if let Some(label) = label {
        match format {
            DumpFormat::JsonArray => out.extend_from_slice(b",\n    \"trace_file\": "),
            DumpFormat::JsonLines => out.extend_from_slice(b",\"trace_file\":"),
        }
        out.extend_from_slice(label);
    }
    if let Some((line, fields)) = record.plain_fields() {
        let is_action = record.event().is_some();
        match format {
            DumpFormat::JsonArray => {
                out.reserve(line.len() + b"\n    ".len() * fields.len());
                for field in fields {
                    write_plain_indented(out, line, field, is_action);
                }
            }
            DumpFormat::JsonLines => {
                out.reserve(line.len());
                for field in fields {
                    write_plain_compact(out, line, field, is_action);
                }
            }
        }
    } else {
        write_any(out, record, format);
    }
    match out.get_mut(start) {
        Some(first) => {
            *first = b'{';
            if format == DumpFormat::JsonArray {
                out.extend_from_slice(b"\n  ");
            }
        }
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// Appends what is known of a record but for the texts in it.
pub(super) fn write_metadata(
    out: &mut Vec<u8>,
    record: &Record<'_>,
    format: DumpFormat,
    label: Option<&[u8]>,
) {
    let is_action = record.event().is_some();
    let is_array = format == DumpFormat::JsonArray;
    let mut follows = false;
    let mut key = |out: &mut Vec<u8>, key: &[u8]| {
        out.push(if std::mem::replace(&mut follows, true) { b',' } else { b'{' });
        if is_array {
            new_line(out, 2);
        }
        write_string_text(out, key, Escape::Needed);
        out.extend_from_slice(if is_array { b": " } else { b":" });
    };
    if let Some(label) = label {
        key(out, b"\"trace_file\"");
        out.extend_from_slice(label);
    }
    record.for_each_distinct(|name_text, name, value| {
        if let Some(short) = short_value(name, value) {
            key(out, name_text);
            let value = RawValue::new(&short, value.kind());
            write_field_value(out, name, value, format, is_action);
        }
    });
    // A record has a timestamp, so there is something between the braces.
    if is_array {
        new_line(out, 1);
    }
    out.push(b'}');
}

/// Appends a field of a record in printable ASCII that is laid out as `"key": value`.
#[inline]
fn write_plain_indented(out: &mut Vec<u8>, line: &[u8], field: &Field, is_action: bool) {
    if field.kind == Kind::Null {
        return;
    }
    out.extend_from_slice(b",\n    ");
    let (key, value) = (field.key.start as usize - 1, field.value.start as usize);
    if stays_as_it_is(line, field, is_action) {
        out.extend_from_slice(&line[key..field.value.end as usize]);
    } else {
        out.extend_from_slice(&line[key..value]);
        let value = RawValue::new(field.value.of(line), field.kind);
        write_field_value(out, field.name, value, DumpFormat::JsonArray, is_action);
    }
}

/// The same, without space.
#[inline]
fn write_plain_compact(out: &mut Vec<u8>, line: &[u8], field: &Field, is_action: bool) {
    if field.kind == Kind::Null {
        return;
    }
    out.push(b',');
    out.extend_from_slice(&line[field.key.start as usize - 1..=field.key.end as usize]);
    out.push(b':');
    let value = field.value.of(line);
    if stays_as_it_is(line, field, is_action) {
        out.extend_from_slice(value);
    } else {
        let value = RawValue::new(value, field.kind);
        write_field_value(out, field.name, value, DumpFormat::JsonLines, is_action);
    }
}

/// Whether the JSON text of a value is what is dumped. There are no halves of surrogate pairs in
/// such lines.
fn stays_as_it_is(line: &[u8], field: &Field, is_action: bool) -> bool {
    let is_time = || is_action && matches!(field.name, Name::StartTime | Name::Duration);
    match field.kind {
        Kind::String { .. } | Kind::True | Kind::False => !is_time(),
        // One with an exponent may be out of the range of a float.
        Kind::Number => !field.value.of(line).iter().any(|byte| matches!(byte, b'e' | b'E')),
        Kind::Null | Kind::NonFinite | Kind::Array | Kind::Object => false,
    }
}

fn write_any(out: &mut Vec<u8>, record: &Record<'_>, format: DumpFormat) {
    let is_action = record.event().is_some();
    record.for_each_distinct(|key, name, value| {
        if value.kind() == Kind::Null {
            return;
        }
        out.push(b',');
        if format == DumpFormat::JsonArray {
            new_line(out, 2);
        }
        write_string_text(out, key, Escape::Needed);
        out.extend_from_slice(if format == DumpFormat::JsonArray { b": " } else { b":" });
        write_field_value(out, name, value, format, is_action);
    });
}

fn write_field_value(
    out: &mut Vec<u8>,
    name: Name,
    value: RawValue<'_>,
    format: DumpFormat,
    is_action: bool,
) {
    let is_time = is_action && matches!(name, Name::StartTime | Name::Duration);
    let is_other = matches!(value.kind(), Kind::String { .. } | Kind::True | Kind::False);
    let number = if is_time && is_other { value.number() } else { None };
    match (number, format) {
        (Some(number), _) => write_number(out, number),
        (None, DumpFormat::JsonArray) => {
            write_value(out, value.raw(), Layout::Indented(2), Escape::Needed);
        }
        (None, DumpFormat::JsonLines) => {
            write_value(out, value.raw(), Layout::Compact, Escape::Needed);
        }
    }
}
