//! A plain log in pieces that can be read in any order, by several threads at a time.
//!
//! A piece is told by a range of bytes, and consists of the lines that begin in it. Where it really
//! begins and ends its reader finds out: both neighbours of a border look for the same line break.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::blocks::{MAX_LINE_BYTES, ended_at, first_break, too_long};
use super::plain::PlainLog;
use super::zeros::resize_zeroed;
use super::{Block, Skipped};

/// What is read beyond a range at first: most lines are shorter.
const SLACK_BYTES: usize = 4 << 10;
/// What is read beyond a range once its last line has proved longer.
const STEP_BYTES: usize = 256 << 10;

/// Lines of a file.
pub(super) struct Lines {
    /// They begin in this range of bytes.
    pub(super) range: Range<u64>,
    /// The first one begins with the range, whatever stands before: a record may stand behind
    /// something else in its line.
    pub(super) from_start: bool,
    /// The range is the last one: it goes on to the end of the file, as far as the line does that
    /// begins before its end.
    pub(super) to_end: bool,
}

/// Reads lines of `file` into `block`. Returns what is to be told of an overlong line behind them.
/// Once `stop` is set, what is read is of no interest.
pub(super) fn read_range(
    file: &PlainLog,
    lines: &Lines,
    block: &mut Block,
    stop: &AtomicBool,
) -> io::Result<Skipped> {
    let Lines { range, from_start, to_end } = lines;
    let bytes = &mut block.bytes;
    let start = if *from_start || range.start == 0 {
        (range.start < range.end).then_some(range.start)
    } else {
        line_start(file, range)?
    };
    let Some(start) = start else {
        block.offset = range.end;
        bytes.clear();
        return Ok(Skipped::default());
    };
    block.offset = start;
    let length = usize::try_from(range.end - start).map_err(io::Error::other)?;
    let is_whole = read_up_to(file, start, length + SLACK_BYTES, bytes, 0)?;
    if bytes.len() < length {
        // The file has become shorter.
        return Ok(Skipped::default());
    }
    // The last line ends at the first break from the last byte of the range on.
    if let Some(end) = first_break(&bytes[length - 1..]) {
        bytes.truncate(length - 1 + end);
        return Ok(drop_overlong(block, length));
    }
    if is_whole && *to_end {
        return Ok(drop_overlong(block, length));
    }
    extend(file, block, length, stop)
}

/// Where the first line begins that begins in `range`, if one does. The file begins before.
fn line_start(file: &PlainLog, range: &Range<u64>) -> io::Result<Option<u64>> {
    // The byte before the range may be a break.
    let mut at = range.start - 1;
    let mut bytes = Vec::new();
    let mut step = SLACK_BYTES;
    while at < range.end - 1 {
        let wanted = usize::try_from(range.end - 1 - at).unwrap_or(usize::MAX).min(step);
        let ended = read_up_to(file, at, wanted, &mut bytes, 0)?;
        if let Some(end) = first_break(&bytes) {
            return Ok(Some(at + end as u64));
        }
        if ended {
            return Ok(None);
        }
        at += bytes.len() as u64;
        step = STEP_BYTES;
    }
    Ok(None)
}

/// Reads on to the end of the last line of `block`, of which `length - 1` bytes are in its range.
fn extend(
    file: &PlainLog,
    block: &mut Block,
    length: usize,
    stop: &AtomicBool,
) -> io::Result<Skipped> {
    let bytes = &mut block.bytes;
    let line = memchr::memrchr2(b'\n', 0, &bytes[..length - 1]).map_or(0, |at| at + 1);
    let mut overlong = None;
    let mut position = block.offset + bytes.len() as u64;
    loop {
        let known = bytes.len();
        // The rest of the file may be one line.
        let ended =
            read_up_to(file, position, STEP_BYTES, bytes, known)? || stop.load(Ordering::Relaxed);
        position += (bytes.len() - known) as u64;
        let end = first_break(&bytes[known..]).map(|end| known + end);
        if let Some(mut skipped) = overlong {
            // Only where it ends is of interest.
            let newline = end.is_some_and(|end| bytes[end - 1] == b'\n');
            // Without the break.
            let line_end = match end {
                Some(end) => position - (bytes.len() - end) as u64 - 1,
                None => position,
            };
            bytes.truncate(line);
            if end.is_some() || ended {
                ended_at(&mut skipped, line_end, newline);
                merge_newline(&mut skipped, newline);
                return Ok(skipped);
            }
            overlong = Some(skipped);
            continue;
        }
        bytes.truncate(end.unwrap_or(bytes.len()));
        if end.is_some() || ended {
            return Ok(drop_overlong(block, length));
        }
        if bytes.len() - line > MAX_LINE_BYTES {
            overlong = Some(too_long(block.offset + line as u64));
            bytes.truncate(line);
            bytes.shrink_to(STEP_BYTES);
        }
    }
}

/// Drops the last line of a block if it is overlong. It begins in the first `length - 1` bytes.
fn drop_overlong(block: &mut Block, length: usize) -> Skipped {
    let bytes = &mut block.bytes;
    if bytes.len() <= MAX_LINE_BYTES {
        return Skipped::default();
    }
    let line = memchr::memrchr2(b'\n', 0, &bytes[..length - 1]).map_or(0, |at| at + 1);
    let ends = first_break(&bytes[line..]).is_some();
    if bytes.len() - line - usize::from(ends) <= MAX_LINE_BYTES {
        return Skipped::default();
    }
    let mut skipped = too_long(block.offset + line as u64);
    let newline = bytes.ends_with(b"\n");
    let line_end = block.offset + (bytes.len() - usize::from(ends)) as u64;
    ended_at(&mut skipped, line_end, newline);
    merge_newline(&mut skipped, newline);
    bytes.truncate(line);
    skipped
}

fn merge_newline(skipped: &mut Skipped, newline: bool) {
    skipped.merge(&Skipped { lines: u64::from(newline), ..Skipped::default() });
}

/// Reads up to `wanted` bytes from `position` on, behind the first `known` bytes of `bytes`, in the
/// place of what is there; true if the file ends there.
fn read_up_to(
    file: &PlainLog,
    position: u64,
    wanted: usize,
    bytes: &mut Vec<u8>,
    known: usize,
) -> io::Result<bool> {
    // What is there already need not be filled with zeros first.
    resize_zeroed(bytes, known + wanted);
    let mut read = 0;
    while read < wanted {
        match file.read_at(&mut bytes[known + read..], position + read as u64) {
            Ok(0) => {
                bytes.truncate(known + read);
                return Ok(true);
            }
            Ok(more) => read += more,
            Err(error) => {
                bytes.truncate(known + read);
                return Err(error);
            }
        }
    }
    Ok(false)
}
