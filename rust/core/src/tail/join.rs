//! Appending the tails of dead processes to their log.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::append::{append, ends_within_line_at};
use super::file::TailFile;
use super::layout::{State, word};
use super::resolve::{Rest, rest_of};
use crate::file_io::set_times;
use crate::store;
use crate::sys::{self, ByteRange, LockKind};

/// Whoever joins a tail holds this byte of it.
const JOINING: ByteRange = ByteRange { start: 0, length: 1 };

/// Appends to the open log at `path` what processes that are gone have left beside it, and removes
/// it there. Returns how many tails are left that could not be joined: because of the disk, or
/// because somebody else is at it.
///
/// `log` is open for appending and reading. May be done by several processes at a time, while
/// others write, and be killed at any moment.
pub(crate) fn join_finished(log: &File, path: &Path) -> usize {
    let mut failed = 0;
    for tail in TailFile::all_of(path, true) {
        if join(log, path, &tail).is_err() {
            failed += 1;
        }
    }
    failed
}

/// [`join_finished`] for the log at `path`, which is opened if there is anything to join.
pub(crate) fn join_finished_at(path: &Path) -> usize {
    let tails = TailFile::all_of(path, false).len();
    if tails == 0 {
        return 0;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(path) {
        Ok(log) => join_finished(&log, path),
        Err(_) => tails,
    }
}

/// Removes what processes that are gone have left beside the log at `path`, which is about to be
/// removed itself.
pub(crate) fn remove_all(path: &Path) {
    for tail in TailFile::all_of(path, false) {
        let _ = fs::remove_file(&tail.path);
    }
}

fn join(log: &File, path: &Path, tail: &TailFile) -> io::Result<()> {
    if !sys::try_lock_range(tail.file(), LockKind::Exclusive, JOINING).unwrap_or(true) {
        // Somebody else is at it.
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let Ok(state) = tail.state() else {
        return remove_if_abandoned(tail);
    };
    let pid = u32::try_from(state.pid).unwrap_or(0);
    // The writer has both open as long as it lives, but for those that close all they have open, and
    // open the log again. One that cannot be asked about stays.
    if tail.is_owned()? || store::holds(log, pid)? {
        return Ok(());
    }
    let metadata = log.metadata()?;
    append_rest(log, path, tail, &state, &metadata)?;
    // A log is as old as what its writer wrote.
    let _ = set_times(log, &metadata);
    match fs::remove_file(&tail.path) {
        // Joined between the listing and the lock.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn append_rest(
    log: &File,
    path: &Path,
    tail: &TailFile,
    state: &State,
    metadata: &fs::Metadata,
) -> io::Result<()> {
    let (Rest { from, continues }, bytes) = rest_of(tail, state, log, metadata, path)?;
    let size = metadata.len();
    let from = usize::try_from(from - state.flushed).map_err(io::Error::other)?;
    if from == bytes.len() {
        return Ok(());
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
    if appended.start != size && (continues || ends_within_line_at(log, appended.start)) {
        let end = memchr::memchr(b'\n', rest).map_or(bytes.len(), |newline| from + newline + 1);
        append(log.as_fd(), false, [&bytes[line..end], b""])?;
    }
    tail.set(word::FLUSHED, state.committed)
}

/// Removes a file whose making was cut short. It is left alone while it may still be in the making.
fn remove_if_abandoned(tail: &TailFile) -> io::Result<()> {
    const MAKING: std::time::Duration = std::time::Duration::from_secs(60);
    let age = tail.file().metadata()?.modified()?.elapsed().unwrap_or_default();
    if age > MAKING { fs::remove_file(&tail.path) } else { Ok(()) }
}
