//! Appending the tails of dead processes to their log.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use super::append::{append, ends_within_line_at};
use super::file::TailFile;
use super::layout::{State, word};
use super::resolve::{Rest, rest_of};
use crate::file_io::set_times;
use crate::store::{self, TURN_PATIENCE, Turn};
use crate::sys::{self, ByteRange, LockKind};

/// Whoever joins a tail holds this byte of it.
pub(super) const JOINING: ByteRange = ByteRange { start: 0, length: 1 };

/// Appends to the open log at `path` what processes that are gone have left beside it, and removes
/// it there. Returns how many tails are left that could not be joined: because of the disk, or
/// because somebody else is at it.
///
/// `log` is open for appending and reading. May be done by several processes at a time, while
/// others write, and be killed at any moment.
pub(crate) fn join_finished(log: &File, path: &Path) -> usize {
    join_all(log, path, false)
}

/// [`join_finished`] for the log at `path`, which is opened if there is anything to join.
pub(crate) fn join_finished_at(path: &Path) -> usize {
    open_and_join_all(path, false)
}

/// [`join_finished_at`] for one who has the turn.
pub(crate) fn join_finished_in_turn(path: &Path) -> usize {
    open_and_join_all(path, true)
}

fn open_and_join_all(path: &Path, has_turn: bool) -> usize {
    let tails = TailFile::all_of(path, false).len();
    if tails == 0 {
        return 0;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(path) {
        Ok(log) => join_all(&log, path, has_turn),
        Err(_) => tails,
    }
}

fn join_all(log: &File, path: &Path, has_turn: bool) -> usize {
    let may_be_joined = |tail: &TailFile| !matches!(is_finished(log, tail), Ok(false));
    let mut turn = None;
    if !has_turn {
        if !TailFile::all_of(path, true).iter().any(may_be_joined) {
            return 0;
        }
        turn = Some(Turn::wait(log, TURN_PATIENCE));
    }
    // In this order: who has the turn meets no tail that somebody without it is joining, and misses none
    // that was made while it was waited for.
    let tails = TailFile::all_of(path, true);
    complete_last_line(log, path, &tails);
    let to_join = tails.iter().filter(|tail| may_be_joined(tail));
    let failed = to_join.filter(|tail| join(log, path, tail, Which::All).is_err()).count();
    drop(tails);
    drop(turn);
    failed
}

/// How long one that was killed while it appended is waited for: the system gives back all that it had
/// open in a moment, but not at once, and on a busy machine only when it is its turn to run.
const DYING_POLLS: u32 = 250;
const DYING_POLL: Duration = Duration::from_millis(1);

/// Where the log ends within a line of one that was killed: joins that one first. To be called by the
/// one who has the turn: whoever is in the middle of a line is dying then, or their disk is full.
fn complete_last_line(log: &File, path: &Path, tails: &[TailFile]) {
    let own = u64::from(std::process::id());
    for _ in 0..DYING_POLLS {
        if !log.metadata().is_ok_and(|metadata| ends_within_line_at(log, metadata.len())) {
            return;
        }
        let mut is_one_dying = false;
        for tail in tails {
            let Ok(state) = tail.state() else { continue };
            if !state.is_in_progress() {
                continue;
            }
            is_one_dying |= match is_finished(log, tail) {
                Ok(false) => state.pid != own,
                // Or somebody is joining it who did not get the turn in time.
                _ => join(log, path, tail, Which::Continuing)
                    .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock),
            };
        }
        if !is_one_dying {
            return;
        }
        std::thread::sleep(DYING_POLL);
    }
}

/// Which tails are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those in whose line the log ends.
    Continuing,
}

/// Removes what processes that are gone have left beside the log at `path`, which is about to be
/// removed itself.
pub(crate) fn remove_all(path: &Path) {
    for tail in TailFile::all_of(path, false) {
        let _ = fs::remove_file(&tail.path);
    }
}

/// Whether the writer of a tail is gone. One that cannot be asked about may live.
fn is_finished(log: &File, tail: &TailFile) -> io::Result<bool> {
    let Ok(state) = tail.state() else { return Ok(true) };
    let pid = u32::try_from(state.pid).unwrap_or(0);
    // It has both open as long as it lives, but for those that close all they have open, and open the
    // log again.
    Ok(!tail.is_owned()? && !store::holds(log, pid)?)
}

fn join(log: &File, path: &Path, tail: &TailFile, which: Which) -> io::Result<()> {
    if !sys::try_lock_range(tail.file(), LockKind::Exclusive, JOINING).unwrap_or(true) {
        // Somebody else is at it.
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let Ok(state) = tail.state() else {
        return remove_if_abandoned(tail);
    };
    // One that was being made a moment ago.
    if !is_finished(log, tail)? {
        return Ok(());
    }
    let metadata = log.metadata()?;
    if !append_rest(log, path, tail, &state, &metadata, which)? {
        return Ok(());
    }
    // A log is as old as what its writer wrote.
    let _ = set_times(log, &metadata);
    match fs::remove_file(&tail.path) {
        // Joined between the listing and the lock.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Appends what is not in the log. Returns whether all of the tail is there now.
fn append_rest(
    log: &File,
    path: &Path,
    tail: &TailFile,
    state: &State,
    metadata: &fs::Metadata,
    which: Which,
) -> io::Result<bool> {
    let (Rest { from, continues }, bytes) = rest_of(tail, state, log, metadata, path)?;
    if which == Which::Continuing && !continues {
        return Ok(false);
    }
    let size = metadata.len();
    let from = usize::try_from(from - state.flushed).map_err(io::Error::other)?;
    if from == bytes.len() {
        return Ok(true);
    }
    let line = memchr::memrchr(b'\n', &bytes[..from]).map_or(0, |newline| newline + 1);
    let newline_first = !continues && ends_within_line_at(log, size);
    // It is this file from now on that the header speaks of.
    tail.set(word::DEVICE, metadata.dev())?;
    tail.set(word::INODE, metadata.ino())?;
    // Should this process be killed, too, the next one sees how far it got. In this order, the
    // header tells the truth between any two steps.
    tail.set(word::FLUSHING_TO, state.committed)?;
    tail.set(word::FLUSHED, state.flushed + line as u64)?;
    let base =
        if continues { size - (from - line) as u64 } else { size + u64::from(newline_first) };
    tail.set(word::BASE, base)?;
    let rest = &bytes[from..];
    let appended = append(log.as_fd(), newline_first, [rest, b""])?;
    if let Some(error) = appended.error {
        return Err(error);
    }
    // Somebody else came in between: the first line does not stand by itself.
    let is_merged = continues || (!newline_first && ends_within_line_at(log, appended.start));
    if appended.start != size && is_merged {
        let end = memchr::memchr(b'\n', rest).map_or(bytes.len(), |newline| from + newline + 1);
        append(log.as_fd(), false, [&bytes[line..end], b""])?;
    }
    tail.set(word::FLUSHED, state.committed)?;
    Ok(true)
}

/// Removes a file whose making was cut short. One that was made in this moment may not be locked yet.
fn remove_if_abandoned(tail: &TailFile) -> io::Result<()> {
    const UNLOCKED: Duration = Duration::from_secs(10);
    let age = tail.file().metadata()?.modified()?.elapsed().unwrap_or_default();
    if tail.is_owned()? || age < UNLOCKED { Ok(()) } else { fs::remove_file(&tail.path) }
}
