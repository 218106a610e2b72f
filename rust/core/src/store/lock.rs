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
use std::time::{Duration, Instant};

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

/// Held by whoever appends to a log, or makes it a part. Right before the bytes that tell who has it
/// open.
const TURN: ByteRange = ByteRange { start: LOCK_BASE - 1, length: 1 };

/// How long others' turns are waited for. Each takes a few system calls; one that does not come to an
/// end is that of a process that was stopped in the middle.
pub(crate) const TURN_PATIENCE: Duration = Duration::from_millis(500);

/// From one look whether the turn is free to the next; then twice as long, up to [`MAX_TURN_POLL`].
const MIN_TURN_POLL: Duration = Duration::from_micros(20);
const MAX_TURN_POLL: Duration = Duration::from_micros(500);

/// The turn of one of those that write the same log, until it is dropped. Whoever has it finds the log
/// as those before have left it: a line that one did not complete is that of a dead process, or of one
/// whose disk is full; what is a part does not grow.
#[derive(Debug)]
pub(crate) struct Turn<F: AsFd> {
    file: F,
    is_had: bool,
}

impl<F: AsFd> Turn<F> {
    /// Waits for the turn, for no longer than that.
    pub(crate) fn wait(file: F, patience: Duration) -> Self {
        let start = Instant::now();
        let mut poll = MIN_TURN_POLL;
        loop {
            // Without such locks a log is not written by way of a ring either.
            let is_had = sys::try_lock_range(&file, LockKind::Exclusive, TURN).unwrap_or(true);
            if is_had || start.elapsed() >= patience {
                return Self { file, is_had };
            }
            std::thread::sleep(poll);
            poll = (poll * 2).min(MAX_TURN_POLL);
        }
    }

    /// False: another process has it, and does not come to an end.
    pub(crate) fn is_had(&self) -> bool {
        self.is_had
    }
}

impl<F: AsFd> Drop for Turn<F> {
    fn drop(&mut self) {
        if self.is_had {
            let _ = sys::unlock_range(&self.file, TURN);
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::File;

    fn opened_thrice() -> (tempfile::NamedTempFile, [File; 3]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::options().read(true).write(true).open(file.path()).unwrap();
        let files = [open(), open(), open()];
        (file, files)
    }

    /// A holder keeps others from taking over, and is told by its id; the takeover keeps others
    /// from holding, and is told as nobody.
    #[test]
    fn holding_and_taking_over_exclude_each_other() {
        let (file, [one, two, three]) = opened_thrice();
        let other = File::options().read(true).write(true).open(file.path()).unwrap();
        assert!(hold(&one, true, 7));
        assert!(hold(&two, true, 9));
        assert!(Takeover::try_of(&three).is_none());
        assert_eq!(holder(&three, Some(9)).unwrap(), Holder::Process(9));
        assert_eq!(holder(&three, None).unwrap(), Holder::Process(7));
        assert!(holds(&three, 9).unwrap() && !holds(&three, 8).unwrap());
        drop(one);
        drop(two);
        let takeover = Takeover::try_of(&three).unwrap();
        assert!(Takeover::try_of(&other).is_none());
        assert_eq!(holder(&other, Some(9)).unwrap(), Holder::Nobody);
        assert!(!holds(&other, 9).unwrap());
        drop(takeover);
        assert!(Takeover::try_of(&other).is_some());
    }

    /// Who opens a log that is being taken over waits for that moment to pass.
    #[test]
    fn holding_waits_for_a_takeover_to_end() {
        let (_file, [one, two, _]) = opened_thrice();
        let takeover = Takeover::try_of(&one).unwrap();
        std::thread::scope(|scope| {
            let holding = scope.spawn(|| hold(&two, true, 7));
            drop(takeover);
            assert!(holding.join().unwrap());
        });
        assert!(Takeover::try_of(&one).is_none());
    }

    /// One at a time has the turn; who does not get it in time goes without, and takes nobody else's.
    #[test]
    fn turns_are_taken_one_after_the_other() {
        let (_file, [one, two, three]) = opened_thrice();
        let turn = Turn::wait(&one, Duration::ZERO);
        assert!(turn.is_had());
        assert!(!Turn::wait(&two, Duration::from_millis(1)).is_had());
        assert!(!Turn::wait(&three, Duration::ZERO).is_had());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Turn::wait(&two, Duration::from_secs(60)).is_had());
            drop(turn);
            assert!(waiting.join().unwrap());
        });
        assert!(Turn::wait(&three, Duration::ZERO).is_had());
    }

    /// A file open for writing only is held too, though by one process of an id.
    #[test]
    fn write_only_files_are_held() {
        let (file, [reader, ..]) = opened_thrice();
        let open = || File::options().append(true).open(file.path()).unwrap();
        let (one, two) = (open(), open());
        assert!(hold(&one, false, 7));
        assert!(!hold(&two, false, 7));
        assert!(hold(&two, false, 8));
        assert!(holds(&reader, 7).unwrap() && holds(&reader, 8).unwrap());
    }

    /// A lock that another tool has on the whole file counts as someone who has it open.
    #[test]
    fn locks_of_other_tools_are_respected() {
        let (_file, [one, two, _]) = opened_thrice();
        let all = ByteRange { start: 0, length: 0 };
        assert!(sys::try_lock_range(&one, LockKind::Exclusive, all).unwrap());
        assert_eq!(holder(&two, None).unwrap(), Holder::Someone);
        assert!(Takeover::try_of(&two).is_none());
    }
}
