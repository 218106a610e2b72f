//! The records of a log as JSON: an array, or JSON Lines. No field is lost.

use std::path::Path;

use crate::Result;
use crate::read::{Filter, Kind, Records};
use crate::record::{Name, Record};

use super::Report;
use super::json::{Escape, Layout, new_line, write_number, write_string_text, write_value};

/// About so much is given at once.
const CHUNK_BYTES: usize = 256 << 10;

/// How records are dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpFormat {
    /// One JSON array, indented by two spaces.
    JsonArray,
    /// One record a line.
    JsonLines,
}

/// The records of a log that `filter` wants, as strict JSON.
///
/// All fields of a record are kept, in their order, with their values as they stand in the log;
/// except: fields that are null are left out; of a repeated key the last value counts, in the
/// place of the first; `NaN` and the infinities become null; lone surrogates become U+FFFD; the
/// `start_time` and `duration` of an action record are numbers, even where the log has a text.
///
/// # Errors
/// The log cannot be opened.
pub fn dump_report(path: &Path, filter: &Filter, format: DumpFormat) -> Result<Box<dyn Report>> {
    let records = Records::open(path, filter)?;
    Ok(Box::new(Dump { records, format, any: false, ended: false }))
}

struct Dump {
    records: Records,
    format: DumpFormat,
    /// Whether a record was written.
    any: bool,
    ended: bool,
}

impl Report for Dump {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2));
        let (format, any) = (self.format, &mut self.any);
        // One block at most: the caller gets to look for Ctrl-C, and to wait, even where nothing
        // is wanted of a large log.
        let more = self.records.visit(|record| {
            match (format, *any) {
                (DumpFormat::JsonArray, false) => out.extend_from_slice(b"[\n  "),
                (DumpFormat::JsonArray, true) => out.extend_from_slice(b",\n  "),
                (DumpFormat::JsonLines, _) => {}
            }
            *any = true;
            write_record(&mut out, record, format);
            if format == DumpFormat::JsonLines {
                out.push(b'\n');
            }
            out.len() < CHUNK_BYTES
        })?;
        if !more {
            self.ended = true;
            match (format, *any) {
                (DumpFormat::JsonArray, false) => out.extend_from_slice(b"[]\n"),
                (DumpFormat::JsonArray, true) => out.extend_from_slice(b"\n]\n"),
                (DumpFormat::JsonLines, _) => {}
            }
        }
        Ok(Some(out))
    }

    fn skipped(&self) -> Option<String> {
        self.records.skipped().summary(self.records.path())
    }
}

/// Appends one record: as an element of an array, or as a line without its end.
pub fn write_record(out: &mut Vec<u8>, record: &Record<'_>, format: DumpFormat) {
    let depth = match format {
        DumpFormat::JsonArray => Some(2),
        DumpFormat::JsonLines => None,
    };
    out.push(b'{');
    let mut first = true;
    let is_action = record.event().is_some();
    record.for_each_distinct(|key, name, value| {
        if value.kind() == Kind::Null {
            return;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        if let Some(depth) = depth {
            new_line(out, depth);
        }
        write_string_text(out, key, Escape::Needed);
        out.extend_from_slice(if depth.is_some() { b": " } else { b":" });
        let is_time = is_action && matches!(name, Name::StartTime | Name::Duration);
        let is_other = matches!(value.kind(), Kind::String { .. } | Kind::True | Kind::False);
        let number = if is_time && is_other { value.number() } else { None };
        if let Some(number) = number {
            write_number(out, number);
        } else {
            let layout = depth.map_or(Layout::Compact, Layout::Indented);
            write_value(out, value.raw(), layout, Escape::Needed);
        }
    });
    if depth.is_some() && !first {
        new_line(out, 1);
    }
    out.push(b'}');
}
