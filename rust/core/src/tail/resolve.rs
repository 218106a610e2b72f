//! Which lines of a ring are in the log already.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use super::file::{TailFile, belongs_to};
use super::layout::State;
use crate::file_io::read_full_at;
use crate::store::log_files;

/// What of a ring is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    /// It begins at this position.
    pub(super) from: u64,
    /// The log ends within the line at that position, with what stands before it.
    pub(super) continues: bool,
}

/// What of a tail is not in the log at `path`, whose newest file is `log`, of that size; and the
/// bytes of the tail from `flushed` on.
pub(super) fn rest_of(
    tail: &TailFile,
    state: &State,
    log: &File,
    metadata: &Metadata,
    path: &Path,
) -> io::Result<(Rest, Vec<u8>)> {
    let bytes = tail.read(state, state.flushed, state.committed)?;
    let batch_bytes = usize::try_from(state.flushing_to.saturating_sub(state.flushed))
        .map_err(io::Error::other)?;
    let batch = &bytes[..batch_bytes];
    if belongs_to(state, metadata) || !state.is_in_progress() {
        return Ok((rest(log, metadata.len(), state, batch)?, bytes));
    }
    let other = match part_with(state, path) {
        Some((part, part_bytes)) => rest(&part, part_bytes, state, batch)?,
        // Log and tail were copied elsewhere; or the log was removed, and a new one has its name.
        None if metadata.len() >= state.base => {
            return Ok((rest(log, metadata.len(), state, batch)?, bytes));
        }
        None => Rest { from: state.flushed, continues: false },
    };
    if !other.continues {
        return Ok((other, bytes));
    }
    // A line cannot go on in another file: as a whole, then.
    let at = usize::try_from(other.from - state.flushed).map_err(io::Error::other)?;
    let line = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1);
    Ok((Rest { from: state.flushed + line as u64, continues: false }, bytes))
}

/// The part of the log at `path` that a tail was being appended to, and its size.
fn part_with(state: &State, path: &Path) -> Option<(File, u64)> {
    log_files(path).iter().rev().filter(|file| file.is_finished_part()).find_map(|file| {
        let file = File::open(file.path()).ok()?;
        let metadata = file.metadata().ok()?;
        belongs_to(state, &metadata).then_some((file, metadata.len()))
    })
}

const CHUNK_BYTES: usize = 256 << 10;

/// Where what is not in the log begins, given the first `size` bytes of the log and `batch`, the
/// bytes of the ring from `flushed` to `flushing_to`.
///
/// Whoever appends notes before how far they mean to get, and where in the log that will begin at
/// the earliest: other processes may append at the same moment, but the bytes of one write stand
/// together. So what is in the log is a beginning of the batch, at that place or behind it.
fn rest(log: &File, size: u64, state: &State, batch: &[u8]) -> io::Result<Rest> {
    if !state.is_in_progress() {
        return Ok(Rest { from: state.flushed, continues: false });
    }
    let mut best = 0;
    let mut at = state.base;
    // The place that was noted, whatever stands before it; and then every line.
    loop {
        let same = common_length(log, at, size, batch)?;
        if same == batch.len() {
            return Ok(Rest { from: state.flushing_to, continues: false });
        }
        if same > 0 && at + same as u64 == size {
            let continues = batch[same - 1] != b'\n';
            return Ok(Rest { from: state.flushed + same as u64, continues });
        }
        best = best.max(same);
        match next_line(log, at, size, batch[0])? {
            Some(next) => at = next,
            None => break,
        }
    }
    // Others went on behind what was written: its last line is there in part at most.
    let whole = memchr::memrchr(b'\n', &batch[..best]).map_or(0, |newline| newline + 1);
    Ok(Rest { from: state.flushed + whole as u64, continues: false })
}

/// How many bytes of the log from `at` on are those of `batch`.
fn common_length(log: &File, at: u64, size: u64, batch: &[u8]) -> io::Result<usize> {
    let there = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
    let wanted = there.min(batch.len());
    let mut same = 0;
    let mut step = 64;
    let mut bytes = Vec::new();
    while same < wanted {
        bytes.resize(step.min(wanted - same), 0);
        let read = read_full_at(log, &mut bytes, at + same as u64)?;
        let equal = bytes[..read].iter().zip(&batch[same..]).take_while(|(a, b)| a == b).count();
        same += equal;
        if equal < bytes.len() {
            break;
        }
        step = CHUNK_BYTES;
    }
    Ok(same)
}

/// Where the next line behind `at` begins whose first byte is that.
fn next_line(log: &File, mut at: u64, size: u64, first: u8) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    while at + 1 < size {
        let wanted = usize::try_from(size - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        bytes.resize(wanted, 0);
        let read = read_full_at(log, &mut bytes, at)?;
        if read < 2 {
            return Ok(None);
        }
        let found = memchr::memchr_iter(b'\n', &bytes[..read - 1])
            .map(|newline| newline + 1)
            .find(|&line| bytes[line] == first);
        if let Some(line) = found {
            return Ok(Some(at + line as u64));
        }
        // The last byte once more, as the line behind it begins in the next chunk.
        at += read as u64 - 1;
    }
    Ok(None)
}
