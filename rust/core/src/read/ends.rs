//! What the first and the last records of a log tell, without reading what is between them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::Result;
use crate::record::{Name, Record};
use crate::store::LogFile;
use crate::timestamp;

use super::blocks::{self, Blocks, Opened};
use super::plain::PlainLog;
use super::ranges::{Lines, read_range};
use super::{Block, Kind, LineCursor, Log, Skipped};

/// So much is looked at, at either end. It has a record nearly always; in a log of damage, or of one huge
/// line, what can't be told is not looked for any further.
const END_BYTES: u64 = 64 << 10;

/// What the ends of a log tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogEnds {
    /// When the first record was made, in seconds since the epoch.
    pub first_s: Option<f64>,
    /// When the last one was made. Not told of compressed logs, whose end is not read: their file is
    /// dated to it.
    pub last_s: Option<f64>,
    /// The first task that is named, near the start or else the end, as JSON text.
    pub task: Option<Vec<u8>>,
}

/// Looks at the ends of a log, with its parts. What cannot be read tells nothing.
pub fn log_ends(log: &Log) -> LogEnds {
    let mut ends = LogEnds::default();
    if let Some(first) = log.files.first() {
        let _ = look_at_start(first, &mut ends);
    }
    // After a rotation the last file may be empty still.
    for last in log.files.iter().rev() {
        let is_known = look_at_end(last, &mut ends);
        if ends.last_s.is_some() || !matches!(is_known, Ok(true)) {
            break;
        }
    }
    ends
}

fn look_at_start(file: &LogFile, ends: &mut LogEnds) -> Result<()> {
    let mut note = |record: &Record<'_>| {
        if ends.first_s.is_none() {
            ends.first_s = timestamp::parse_epoch_s(&record.timestamp());
        }
        note_task(ends, record);
    };
    match blocks::open_file(file)? {
        Opened::Plain(log) => {
            let end = log.length().unwrap_or(0);
            for_each_record(&log, 0..end.min(END_BYTES), end <= END_BYTES, &mut note);
        }
        opened @ Opened::Gzip(_) => {
            let bytes = usize::try_from(END_BYTES).unwrap_or(usize::MAX);
            let blocks = Blocks::of(file.path(), opened, &Arc::default());
            if let Some(block) = blocks.with_gzip_chunk_bytes(bytes).next_block()? {
                for_each_record_of(&block, &mut note);
            }
        }
        // Looking would use it up.
        Opened::Pipe(_) => {}
    }
    Ok(())
}

/// Whether the file is plain and has nothing in it: then the end is that of the file before.
fn look_at_end(file: &LogFile, ends: &mut LogEnds) -> Result<bool> {
    let Opened::Plain(log) = blocks::open_file(file)? else { return Ok(false) };
    let end = log.length().unwrap_or(0);
    for_each_record(&log, end.saturating_sub(END_BYTES)..end, true, &mut |record| {
        ends.last_s = timestamp::parse_epoch_s(&record.timestamp()).or(ends.last_s);
        note_task(ends, record);
    });
    Ok(end == 0)
}

fn note_task(ends: &mut LogEnds, record: &Record<'_>) {
    if ends.task.is_none()
        && let Some(task) = record.value(Name::Task)
        && task.kind() != Kind::Null
    {
        ends.task = Some(task.raw().to_vec());
    }
}

/// Nobody stops a look: it is short.
static NEVER: AtomicBool = AtomicBool::new(false);

fn for_each_record(
    log: &PlainLog,
    range: std::ops::Range<u64>,
    to_end: bool,
    visit: &mut impl FnMut(&Record<'_>),
) {
    if range.is_empty() {
        return;
    }
    let from_start = range.start == 0;
    let mut block = Block::default();
    if read_range(log, &Lines { range, from_start, to_end }, &mut block, &NEVER).is_ok() {
        for_each_record_of(&block, visit);
    }
}

fn for_each_record_of(block: &Block, visit: &mut impl FnMut(&Record<'_>)) {
    let mut cursor = LineCursor::new();
    let mut skipped = Skipped::default();
    while let Some(record) = cursor.next(block, &mut skipped) {
        visit(&record);
    }
}
