//! The locks that tell live logs from finished ones.
//!
//! Whoever has a log open for writing holds a shared lock on one byte of it, the one at
//! `LOCK_BASE + pid`, far beyond any data. The lock belongs to the open file description, so the
//! kernel gives it back when the process dies, however it dies, and a new process of the same id
//! does not have it. The byte tells which process it is. Shared, because one process can have a log
//! open twice, and containers that share a volume all have process 1.
//!
//! Who is about to rename or remove a log holds all those bytes exclusively while doing so (a
//! takeover): it does not get them while someone has the log open, and who opens the log meanwhile
//! sees it and looks again.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::{self, ByteRange, LockKind};

/// Where the lock bytes begin: at 1 TiB.
const LOCK_BASE: i64 = 1 << 40;
/// One lock byte per process id.
const ALL: ByteRange = ByteRange { start: LOCK_BASE, length: 1 << 32 };

fn byte_of(pid: u32) -> ByteRange {
    ByteRange { start: LOCK_BASE + i64::from(pid), length: 1 }
}

/// How long someone who opens a log waits for a takeover of it to end. A takeover covers two system
/// calls, so this is plenty.
const TAKEOVER_POLLS: u32 = 200;
const TAKEOVER_POLL: Duration = Duration::from_millis(1);

/// Says that process `pid` has the log open for writing, until the file description is closed.
///
/// False where the file system has no such locks, or the file is open for writing only and another
/// process of that id has it too: the log works without.
pub(crate) fn hold(file: impl AsFd, is_readable: bool, pid: u32) -> bool {
    let kind = if is_readable { LockKind::Shared } else { LockKind::Exclusive };
    for _ in 0..TAKEOVER_POLLS {
        match sys::try_lock_range(&file, kind, byte_of(pid)) {
            Ok(true) => return true,
            Ok(false) => match sys::foreign_lock(&file, byte_of(pid)) {
                Ok(Some(range)) if range != ALL => return false,
                Ok(_) => std::thread::sleep(TAKEOVER_POLL),
                Err(_) => return false,
            },
            Err(_) => return false,
        }
    }
    false
}

/// Who has a log open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody who locks.
    Nobody,
    /// This process, and perhaps others.
    Process(u32),
    /// Someone; which process can't be told.
    Someone,
}

/// Who holds the log open, as seen through another file description of it. `preferred`, when it is
/// among several, is the one that is told.
pub(crate) fn holder(file: impl AsFd, preferred: Option<u32>) -> io::Result<Holder> {
    if let Some(pid) = preferred
        && holds(&file, pid)?
    {
        return Ok(Holder::Process(pid));
    }
    Ok(match sys::foreign_lock(&file, ALL)? {
        None => Holder::Nobody,
        Some(range) if range == ALL => Holder::Nobody,
        Some(range) => u32::try_from(range.start - LOCK_BASE)
            .ok()
            .filter(|&pid| pid != 0)
            .map_or(Holder::Someone, Holder::Process),
    })
}

/// Whether process `pid` holds the log open.
pub(crate) fn holds(file: impl AsFd, pid: u32) -> io::Result<bool> {
    Ok(sys::foreign_lock(file, byte_of(pid))?.is_some_and(|range| range != ALL))
}

/// Whether another file description of the log is held open.
pub(crate) fn is_held_by_others(file: impl AsFd) -> bool {
    !matches!(holder(file, None), Ok(Holder::Nobody))
}

/// The right to rename or remove a log that nobody has open. Lasts until it is dropped.
#[derive(Debug)]
pub(crate) struct Takeover<F: AsFd> {
    file: F,
}

impl<F: AsFd> Takeover<F> {
    /// None: someone has the log open, or takes it over already.
    pub(crate) fn try_of(file: F) -> Option<Self> {
        match sys::try_lock_range(&file, LockKind::Exclusive, ALL) {
            Ok(false) => None,
            // Without locks on this file system nobody is kept from anything; what remains are the
            // checks right before each step.
            Ok(true) | Err(_) => Some(Self { file }),
        }
    }
}

impl<F: AsFd> Drop for Takeover<F> {
    fn drop(&mut self) {
        // Not left to the closing of the file: a child forked meanwhile has the description too.
        let _ = sys::unlock_range(&self.file, ALL);
    }
}

/// The right to do housekeeping in a directory, by a lock file of its own.
#[derive(Debug)]
pub(crate) struct HousekeepingLock<F: AsFd> {
    file: F,
}

impl<F: AsFd> HousekeepingLock<F> {
    const BYTE: ByteRange = ByteRange { start: 0, length: 1 };

    /// None: another housekeeper is at it.
    pub(crate) fn try_of(file: F) -> Option<Self> {
        match sys::try_lock_range(&file, LockKind::Exclusive, Self::BYTE) {
            Ok(false) => None,
            Ok(true) | Err(_) => Some(Self { file }),
        }
    }
}

impl<F: AsFd> Drop for HousekeepingLock<F> {
    fn drop(&mut self) {
        let _ = sys::unlock_range(&self.file, Self::BYTE);
    }
}
