//! Appending lines to a log: without a system call, without waiting, and such that neither the death
//! of the process nor a full disk loses what was acknowledged.
//!
//! A line goes into a ring in shared memory (see [`crate::tail`]), from where a thread of its own
//! appends it to the log, no later than [`FLUSH_INTERVAL`] after. Where there can be no ring, each
//! line is appended by a system call of its own.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use super::append_error::{AppendCause, AppendError};
use super::flusher::Flusher;
use super::fork;
use super::guest::Stay;
use super::moving_end::settled_end;
use super::open_log::OpenLog;
use super::options::{Durability, OnFull, WriterOptions};
use super::registry;
use super::signal::Signal;
use crate::error::Result;
use crate::redact::redact_json;
use crate::store::{self, RunInfo, Turn};
use crate::sys::FdUse;
use crate::sys::fork_lock::ForkLock;
use crate::sys::ring::Producer;
use crate::tail;

/// How long a line stays in the ring at most, while the disk does not keep it there.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// So much in the ring is flushed at once.
const NUDGE_BYTES: u64 = 256 << 10;

/// How often writing is tried while it fails.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// A forked child writes so many lines directly: one that writes no more makes no file, and no
/// thread.
const DIRECT_LINES_OF_CHILD: u32 = 8;

/// And only lines within such a block of the file: where the writer is killed, the system ends a write
/// between two of them, and a piece of a line would be left of which nobody has the rest.
const BLOCK_BYTES: u64 = 4096;

/// How long a fork waits for a flush that goes on already.
const FORK_PATIENCE: Duration = Duration::from_millis(20);

/// How long closing waits for a disk that blocks. What is not in the log by then stays beside it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// An open log.
///
/// Threads share it, several processes may have the same file open, and it survives a fork at any
/// moment. A line whose [`append`](Self::append) returned is the operating system's.
#[derive(Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
}

/// What the threads of a process have of an open log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) options: WriterOptions,
    pub(super) file: OpenLog,
    /// Whether those that write the file do so one after the other.
    takes_turns: bool,
    /// The [`fork::generation`] of the process whose ring it is.
    pub(super) generation: AtomicU64,
    pub(super) is_closed: AtomicBool,
    /// Whether secrets are taken out of lines.
    redacts: AtomicBool,
    pub(super) front: ForkLock<Front>,
    pub(super) flusher: ForkLock<Flusher>,
    /// Whether the flusher sleeps until it is woken.
    pub(super) is_idle: AtomicBool,
    /// There is something to flush, or the end has come.
    pub(super) work: Signal,
    /// Something was flushed.
    pub(super) progress: Signal,
    /// Up to here in the ring lines are on the disk.
    pub(super) synced: AtomicU64,
}

/// Where lines go. Locked for the time it takes to copy one.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) mode: Mode,
    /// At this position the flusher is told to hurry.
    nudge_at: u64,
}

#[derive(Debug)]
pub(super) enum Mode {
    /// Into the file, so many times more; then into a ring.
    Unstarted { direct_lines: u32 },
    /// Into the ring.
    Ring(Producer),
    /// Into the file.
    Direct,
}

impl Front {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, nudge_at: NUDGE_BYTES }
    }

    /// Puts a line into the ring: where it ends there, and whether the flusher is to hurry. None:
    /// there is no room, or no ring.
    #[inline]
    fn push(&mut self, line: &[u8]) -> Option<(u64, bool)> {
        let Mode::Ring(producer) = &mut self.mode else { return None };
        if !producer.push(line) {
            return None;
        }
        let position = producer.position();
        let is_much = position >= self.nudge_at;
        if is_much {
            self.nudge_at = position + NUDGE_BYTES;
        }
        Some((position, is_much))
    }
}

/// What became of the try to put a line into the ring.
enum Push {
    /// It is in, and ends there.
    Done(u64),
    Full,
    TooLong,
    Unstarted,
    /// It is to go into the file, if that can be done in one piece or there can be no ring.
    Direct {
        may_start: bool,
    },
}

impl LogWriter {
    /// Creates this process's own log in a trace directory, which is created where it is missing.
    ///
    /// The log gets its name only after it is locked, so nobody ever takes it for a finished one.
    /// A finished log of an earlier process of the same id makes way; beside one that is still
    /// being written (containers that share a directory) this one gets a number.
    pub fn create_in(directory: &Path, run: &RunInfo) -> Result<Self> {
        Self::create_in_with(directory, run, WriterOptions::default())
    }

    /// [`create_in`](Self::create_in), written as `options` say.
    pub fn create_in_with(directory: &Path, run: &RunInfo, options: WriterOptions) -> Result<Self> {
        let (path, file, can_lock) = super::open::create_in(directory, run)?;
        let log = OpenLog::new(&path, file, true, false, Stay::at_home());
        Ok(Self::new(path, log, can_lock, options))
    }

    /// Opens the log at `path` for appending; other processes may have it open too. It (0600) and
    /// its directory (0700) are created where they are missing. A symlink is followed.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, WriterOptions::default())
    }

    /// [`open`](Self::open), written as `options` say.
    pub fn open_with(path: &Path, options: WriterOptions) -> Result<Self> {
        let super::open::Opened { path, file, is_readable, is_torn, can_lock, stay } =
            super::open::open(path)?;
        let log = OpenLog::new(&path, file, is_readable, is_torn, stay);
        Ok(Self::new(path, log, can_lock, options))
    }

    fn new(path: PathBuf, file: OpenLog, can_lock: bool, options: WriterOptions) -> Self {
        let buffer_bytes = if can_lock { options.buffer_bytes } else { 0 };
        let options = WriterOptions { buffer_bytes, ..options };
        let mode = match buffer_bytes {
            0 => Mode::Direct,
            _ => Mode::Unstarted { direct_lines: 0 },
        };
        let shared = Arc::new(Shared {
            path,
            options,
            file,
            takes_turns: can_lock,
            generation: AtomicU64::new(fork::generation()),
            is_closed: AtomicBool::new(false),
            redacts: AtomicBool::new(options.redact),
            front: ForkLock::new(Front::new(mode)),
            flusher: ForkLock::new(Flusher::default()),
            is_idle: AtomicBool::new(false),
            work: Signal::default(),
            progress: Signal::default(),
            synced: AtomicU64::new(0),
        });
        registry::remember(&shared);
        Self { shared }
    }

    /// The absolute path of the log.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// How many lines could not be written, from the start (in a forked child: from the fork).
    pub fn dropped(&self) -> u64 {
        self.shared.file.dropped()
    }

    /// Takes secrets out of all lines from now on, whatever the options said.
    pub fn redact(&self) {
        self.shared.redacts.store(true, Ordering::Relaxed);
    }

    /// Appends a line, which ends in a newline, if that takes no waiting and no system call. None:
    /// it would; nothing has happened yet.
    pub fn try_append(&self, line: &[u8]) -> Option<std::result::Result<(), AppendError>> {
        debug_assert!(line.ends_with(b"\n"), "a line ends in a newline");
        let shared = &*self.shared;
        let line = &*shared.redacted(line);
        let is_own = shared.generation.load(Ordering::Relaxed) == fork::generation();
        if !is_own || shared.options.durability == Durability::Fsync {
            return None;
        }
        let (_, is_much) = shared.front.try_lock()?.push(line)?;
        shared.wake_flusher(is_much);
        Some(shared.report())
    }

    /// Appends a line, which ends in a newline.
    ///
    /// While the disk refuses, lines are kept in the ring. What finds no room there is dropped and
    /// counted; so it is while the disk is too slow, if the options say so. When writing works
    /// again, a record in the log tells how many are missing.
    ///
    /// The first failure of each cause is an error, to be reported, though the line may have been
    /// kept.
    pub fn append(&self, line: &[u8]) -> std::result::Result<(), AppendError> {
        loop {
            if let Some(outcome) = self.append_within(line, Duration::from_secs(1)) {
                return outcome;
            }
        }
    }

    /// [`append`](Self::append), but waits for no longer than `patience`. None: the ring is still
    /// full, and nothing has happened.
    pub fn append_within(
        &self,
        line: &[u8],
        patience: Duration,
    ) -> Option<std::result::Result<(), AppendError>> {
        let shared = &self.shared;
        shared.adopt_if_forked();
        let line = &*shared.redacted(line);
        let start = Instant::now();
        loop {
            if shared.is_closed.load(Ordering::Acquire) {
                return Some(shared.refuse());
            }
            let seen = shared.progress.count();
            match shared.push(line) {
                Push::Done(position) => {
                    return Some(match shared.options.durability {
                        Durability::Process => shared.report(),
                        Durability::Fsync => shared.wait_until_synced(position),
                    });
                }
                Push::Unstarted => shared.start(),
                Push::Direct { may_start } => match shared.append_in_turn(line, may_start) {
                    None => shared.start(),
                    outcome => return outcome,
                },
                Push::TooLong => return Some(shared.append_long(line)),
                Push::Full => {
                    shared.work.notify();
                    if let Some(error) = shared.file.failure() {
                        return Some(shared.drop_line(AppendCause::Os(error)));
                    }
                    if shared.options.on_full == OnFull::Drop {
                        return Some(shared.drop_line(AppendCause::Full));
                    }
                    let rest = patience.checked_sub(start.elapsed())?;
                    shared.progress.wait(seen, Some(rest.min(RETRY_INTERVAL)));
                }
            }
        }
    }

    /// Whether there is a failure that nobody was told of yet; the caller will tell.
    pub fn take_unreported(&self) -> bool {
        self.shared.file.take_unreported()
    }

    /// Counts a line as dropped that the caller has given up on.
    pub fn give_up(&self) {
        self.shared.file.count_dropped(true);
    }

    /// Puts all lines that were appended so far into the log.
    ///
    /// # Errors
    /// The operating system refuses; the lines are kept in the ring, to be tried again.
    pub fn flush(&self) -> io::Result<()> {
        let shared = &*self.shared;
        shared.adopt_if_forked();
        let flusher = shared.flusher.lock_within(CLOSE_PATIENCE);
        // A thread that has had it for so long waits for the disk.
        let mut flusher = flusher.ok_or(io::ErrorKind::TimedOut)?;
        shared.mend_ring(&mut flusher);
        flusher.flush(shared)?;
        shared.renew_ring(&mut flusher);
        shared.rotate_if_due(&mut flusher);
        Ok(())
    }

    /// [`flush`](Self::flush) right before a fork, unless the disk blocks: what the child writes then
    /// stands behind what its parent has written.
    pub fn flush_before_fork(&self) {
        if let Some(mut flusher) = self.shared.flusher.lock_within(FORK_PATIENCE) {
            let _ = flusher.flush(&self.shared);
        }
    }

    /// Flushes and leaves nothing beside the log, as far as the disk does its part. Lines that still
    /// come go into the log directly.
    pub fn finish(&self) {
        self.shared.adopt_if_forked();
        if !self.shared.is_closed.load(Ordering::Acquire) {
            self.shared.finish();
        }
    }

    /// Makes the writer the forked child's own: the child says by a lock of its own that it has the
    /// log open, has a ring of its own, and no longer keeps its parent's lock alive. To be called in
    /// the child right after the fork, while it has a single thread.
    pub fn after_fork_in_child(&self) {
        self.shared.adopt(fork::generation());
    }

    /// Closes the log. What cannot be flushed for now stays beside it; threads that are writing
    /// right now end that. Closing again does nothing.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// The line as it is to be written.
    #[inline]
    fn redacted<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        if self.redacts.load(Ordering::Relaxed) { redact_json(line) } else { Cow::Borrowed(line) }
    }

    fn push(&self, line: &[u8]) -> Push {
        let mut front = self.front.lock();
        match &mut front.mode {
            Mode::Unstarted { direct_lines: 0 } => Push::Unstarted,
            Mode::Unstarted { direct_lines } => {
                *direct_lines -= 1;
                Push::Direct { may_start: true }
            }
            Mode::Direct => Push::Direct { may_start: false },
            Mode::Ring(producer) if line.len() > producer.capacity() / 2 => Push::TooLong,
            Mode::Ring(_) => {
                let Some((position, is_much)) = front.push(line) else { return Push::Full };
                drop(front);
                self.wake_flusher(is_much);
                Push::Done(position)
            }
        }
    }

    /// Tells the flusher of a line.
    fn wake_flusher(&self, is_urgent: bool) {
        // Either the flusher sees the line before it goes to sleep, or this sees that it sleeps: the
        // line was committed by a `SeqCst` operation.
        let is_asleep =
            self.is_idle.load(Ordering::SeqCst) && self.is_idle.swap(false, Ordering::Relaxed);
        if is_asleep || is_urgent {
            self.work.notify();
        }
    }

    /// What the caller of a successful append is told.
    fn report(&self) -> std::result::Result<(), AppendError> {
        if self.file.take_removal() {
            return Err(AppendError { cause: AppendCause::Removed, first: true });
        }
        if self.file.take_unreported()
            && let Some(error) = self.file.failure()
        {
            return Err(AppendError { cause: AppendCause::Os(error), first: true });
        }
        Ok(())
    }

    fn refuse(&self) -> std::result::Result<(), AppendError> {
        self.file.count_dropped(false);
        Err(AppendError { cause: AppendCause::Closed, first: false })
    }

    fn drop_line(&self, cause: AppendCause) -> std::result::Result<(), AppendError> {
        self.file.count_dropped(true);
        let first = match cause {
            AppendCause::Full => self.file.take_fullness(),
            _ => self.file.take_unreported(),
        };
        Err(AppendError { cause, first })
    }

    /// Appends a line to the file, when it is this process's turn. None: the line would not be in one
    /// block, and there may be a ring.
    fn append_in_turn(
        &self,
        line: &[u8],
        may_start: bool,
    ) -> Option<std::result::Result<(), AppendError>> {
        if !self.takes_turns {
            return Some(self.append_directly(line));
        }
        // Another thread that has it for long waits for the disk.
        let Some(mut flusher) = self.flusher.lock_within(RETRY_INTERVAL) else {
            return Some(self.append_directly(line));
        };
        // Where that fails, so does the writing, which tells why.
        let (turn, size_bytes) = self.begin_line(&mut flusher);
        if may_start && size_bytes % BLOCK_BYTES + line.len() as u64 > BLOCK_BYTES {
            return None;
        }
        let outcome = self.append_directly(line);
        drop(turn);
        self.rotate_if_due(&mut flusher);
        Some(outcome)
    }

    /// Waits for the turn to write a line directly, which begins on a line of its own: another process may
    /// have been killed while it appended. The turn, and the size of the file.
    pub(super) fn begin_line(&self, flusher: &mut Flusher) -> (io::Result<Turn<FdUse<'_>>>, u64) {
        let turn = flusher.begin_turn(self);
        let Ok((file, stat)) = self.file.get_checked() else { return (turn, 0) };
        let mut size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        if let Ok((settled_bytes, is_torn)) = settled_end(&file, size_bytes, &self.path) {
            self.file.set_torn(is_torn);
            size_bytes = settled_bytes;
        }
        (turn, size_bytes)
    }

    fn append_directly(&self, line: &[u8]) -> std::result::Result<(), AppendError> {
        let outcome = match self.file.get() {
            None => return self.refuse(),
            Some(file) => self.file.write_line(line).and_then(|()| match self.options.durability {
                Durability::Process => Ok(()),
                Durability::Fsync => Ok(rustix::fs::fdatasync(&file)?),
            }),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => self.drop_line(AppendCause::Os(error)),
        }
    }

    /// Appends a line for which the ring is too small.
    fn append_long(&self, line: &[u8]) -> std::result::Result<(), AppendError> {
        let mut flusher = self.flusher.lock();
        self.mend_ring(&mut flusher);
        // What this thread has logged before comes before.
        match flusher.flush(self) {
            Ok(()) => {
                flusher.is_synced = false;
                let turn = self.begin_line(&mut flusher);
                let outcome = self.append_directly(line);
                drop(turn);
                self.rotate_if_due(&mut flusher);
                outcome
            }
            Err(error) => self.drop_line(AppendCause::Os(error)),
        }
    }

    fn wait_until_synced(&self, position: u64) -> std::result::Result<(), AppendError> {
        loop {
            let seen = self.progress.count();
            if self.synced.load(Ordering::Acquire) >= position {
                return self.report();
            }
            if self.is_closed.load(Ordering::Acquire) {
                return Ok(());
            }
            if let Some(error) = self.file.failure() {
                let first = self.file.take_unreported();
                return Err(AppendError { cause: AppendCause::Os(error), first });
            }
            self.work.notify();
            self.progress.wait(seen, Some(RETRY_INTERVAL));
        }
    }

    fn adopt_if_forked(&self) {
        let now = fork::generation();
        if self.generation.load(Ordering::Acquire) != now {
            self.adopt(now);
        }
    }

    /// Makes everything this process's own.
    fn adopt(&self, generation: u64) {
        if self.generation.load(Ordering::Acquire) == generation {
            return;
        }
        self.file.after_fork_in_child();
        let mode = match self.options.buffer_bytes {
            0 => Mode::Direct,
            _ => Mode::Unstarted { direct_lines: DIRECT_LINES_OF_CHILD },
        };
        store::forget_compression_after_fork();
        // The rings are the parent's: here, only their memory is given back.
        drop(self.front.break_after_fork(Front::new(mode)));
        drop(self.flusher.break_after_fork(Flusher::default()));
        self.is_idle.store(false, Ordering::Relaxed);
        self.generation.store(generation, Ordering::Release);
    }

    fn close(&self) {
        self.adopt_if_forked();
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.finish();
        self.file.close();
        registry::forget(self);
    }

    /// Flushes, gives up the ring and marks the log as closed. Lines that still come go into the
    /// file directly.
    fn finish(&self) {
        let flusher = self.flusher.lock_within(CLOSE_PATIENCE);
        let mut flusher = flusher.map(|mut flusher| {
            self.mend_ring(&mut flusher);
            // Most of it before lines have to wait.
            let _ = flusher.flush(self);
            flusher
        });
        let mut front = self.front.lock();
        // What a thread logs directly comes behind what it has in the ring.
        if let Some(flusher) = &mut flusher {
            let _ = flusher.flush(self);
        }
        front.mode = Mode::Direct;
        drop(front);
        self.work.notify();
        if let Some(flusher) = &mut flusher {
            flusher.end();
            if tail::is_beside(&self.path)
                && let Ok(log) = self.file.reopen()
            {
                // Forked children that ended without a word.
                tail::join_finished(&log, &self.path);
            }
        }
        drop(flusher);
        self.progress.notify();
        if !tail::is_beside(&self.path)
            && let Ok((file, stat)) = self.file.get_checked()
            && let Ok(size_bytes) = u64::try_from(stat.st_size)
        {
            store::mark_closed(file.as_fd(), size_bytes);
        }
    }

    /// [`Self::finish`] at the end of the process, which other threads of it may live to see.
    pub(super) fn finish_at_exit(&self) {
        let is_own = self.generation.load(Ordering::Acquire) == fork::generation();
        if is_own && !self.is_closed.load(Ordering::Acquire) {
            self.finish();
        }
    }
}
