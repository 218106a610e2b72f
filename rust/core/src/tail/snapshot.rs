//! A log and its tails as they were at one moment.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::append::ends_within_line_at;
use super::file::{TailFile, belongs_to};
use super::layout::State;
use super::resolve::{Rest, rest_of};
use crate::file_io::is_at;

/// How often the moment is sought between two flushes of busy writers.
const MAX_TRIES: u32 = 2_000;

/// What a log consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// So much of the file counts.
    pub(crate) file_bytes: u64,
    /// What follows it: lines that were acknowledged, but are not among those bytes.
    pub(crate) tail: Vec<u8>,
}

/// The open log at `path` with the lines beside it that are not in it. None: nothing is beside it,
/// the file is all there is.
pub(crate) fn snapshot(log: &File, path: &Path) -> io::Result<Option<Snapshot>> {
    let tails = TailFile::all_of(path, false);
    if tails.is_empty() {
        return Ok(None);
    }
    for attempt in 0..MAX_TRIES {
        if let Some(snapshot) = try_snapshot(log, path, &tails)? {
            return Ok(Some(snapshot));
        }
        if attempt > 10 {
            std::thread::yield_now();
        }
    }
    Err(io::Error::other("its writers are too busy to tell what is in it: try again"))
}

/// None: something changed meanwhile.
fn try_snapshot(log: &File, path: &Path, tails: &[TailFile]) -> io::Result<Option<Snapshot>> {
    let states = states(tails);
    let metadata = log.metadata()?;
    if !is_same_moment(&states, &self::states(tails)) {
        return Ok(None);
    }
    let size = metadata.len();
    let is_newest = is_at(path, metadata.dev(), metadata.ino());
    let mut rests = Vec::new();
    for (tail, state) in tails.iter().zip(states) {
        let Some(state) = state else { continue };
        // Once the log has gone on in another file, what is in no file yet is that one's.
        if !is_newest && !belongs_to(&state, &metadata) {
            continue;
        }
        let (Rest { from, continues }, bytes) = match rest_of(tail, &state, log, &metadata, path) {
            // Somebody has shortened it; what its writer lost by that, the writer tells.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            outcome => outcome?,
        };
        // What was read must not have been overwritten meanwhile.
        let Ok(now) = tail.state() else { return Ok(None) };
        if now.committed - state.flushed > state.capacity {
            return Ok(None);
        }
        let skip = usize::try_from(from - state.flushed).map_err(io::Error::other)?;
        rests.push((!continues, bytes, skip));
    }
    // What goes on with the last line of the file comes first.
    rests.sort_by_key(|(is_later, ..)| *is_later);
    // Several do where their lines begin alike: one completes that line, the others have theirs to
    // come as a whole.
    for (starts_line, bytes, skip) in rests.iter_mut().skip(1).filter(|(later, ..)| !later) {
        *starts_line = true;
        *skip = memchr::memrchr(b'\n', &bytes[..*skip]).map_or(0, |newline| newline + 1);
    }
    let mut snapshot = Snapshot { file_bytes: size, tail: Vec::new() };
    for (starts_line, bytes, skip) in rests {
        if skip == bytes.len() {
            continue;
        }
        let is_within_line = match snapshot.tail.last() {
            Some(&last) => last != b'\n',
            None => ends_within_line_at(log, size),
        };
        if starts_line && is_within_line {
            snapshot.tail.push(b'\n');
        }
        snapshot.tail.extend_from_slice(&bytes[skip..]);
    }
    Ok(Some(snapshot))
}

/// The headers; None for a file that is being made, or is no tail.
fn states(tails: &[TailFile]) -> Vec<Option<State>> {
    tails.iter().map(|tail| tail.state().ok()).collect()
}

/// Whether no line went from a ring into the log between two looks.
fn is_same_moment(before: &[Option<State>], after: &[Option<State>]) -> bool {
    before.iter().zip(after).all(|(before, after)| match (before, after) {
        (Some(before), Some(after)) => before.version == after.version,
        // One that was made meanwhile has its lines from after we began.
        (None, _) => true,
        (Some(_), None) => false,
    })
}
