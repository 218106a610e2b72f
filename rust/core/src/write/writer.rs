//! Appending lines to a log: without a system call, without waiting, and such that neither the death
//! of the process nor a full disk loses what was acknowledged.
//!
//! A line goes into a ring in shared memory (see [`crate::tail`]), from where a thread of its own
//! appends it to the log, no later than [`FLUSH_INTERVAL`] after. Where there can be no ring, each
//! line is appended by a system call of its own.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::flusher::Flusher;
use super::fork;
use super::log_file::LogFile;
use super::options::{Durability, OnFull, WriterOptions};
use super::registry;
use super::rotate;
use super::signal::Signal;
use rustix::fs::Stat;

use crate::error::{Result, reason};
use crate::file_io::is_at;
use crate::store::{self, RunInfo};
use crate::sys::fork_lock::ForkLock;
use crate::sys::ring::Producer;
use crate::sys::{self, FdUse};
use crate::tail;

/// How long a line stays in the ring at most, while the disk does not keep it there.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// So much in the ring is flushed at once.
const NUDGE_BYTES: u64 = 256 << 10;

/// After so many intervals without a line the flusher sleeps until there is one.
const IDLE_INTERVALS: u32 = 20;

/// How often writing is tried while it fails.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// A forked child writes so many lines directly, before a ring is worth its while: most children
/// write few.
const DIRECT_LINES_OF_CHILD: u32 = 8;

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

/// Why a line was not written, or what is to be reported with it.
#[derive(Debug)]
pub struct AppendError {
    /// What was the matter.
    pub cause: AppendCause,
    /// Whether it is the first failure of this cause since writing last worked: the one to report.
    pub first: bool,
}

/// What can be the matter with appending.
#[derive(Debug)]
pub enum AppendCause {
    /// The writer is closed. (Never reported: it is the program's own doing.)
    Closed,
    /// The operating system refused.
    Os(io::Error),
    /// The disk is too slow, and the buffer full.
    Full,
    /// Somebody has removed the log; it goes on in a new file. (The line is kept.)
    Removed,
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.cause {
            AppendCause::Closed => f.write_str("the log is closed"),
            AppendCause::Os(error) => f.write_str(&reason(error)),
            AppendCause::Full => f.write_str("the disk is too slow, and the buffer is full"),
            AppendCause::Removed => {
                f.write_str("it was removed while it was written, and goes on in a new file")
            }
        }
    }
}

impl std::error::Error for AppendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            AppendCause::Closed | AppendCause::Full | AppendCause::Removed => None,
            AppendCause::Os(error) => Some(error),
        }
    }
}

/// What the threads of a process have of an open log.
#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    options: WriterOptions,
    file: LogFile,
    /// The [`fork::generation`] of the process whose ring it is.
    generation: AtomicU64,
    is_closed: AtomicBool,
    front: ForkLock<Front>,
    flusher: ForkLock<Flusher>,
    /// Whether the flusher sleeps until it is woken.
    is_idle: AtomicBool,
    /// There is something to flush, or the end has come.
    work: Signal,
    /// Something was flushed.
    progress: Signal,
    /// Up to here in the ring lines are on the disk.
    synced: AtomicU64,
}

/// Where lines go. Locked for the time it takes to copy one.
#[derive(Debug)]
struct Front {
    mode: Mode,
    /// At this position the flusher is told to hurry.
    nudge_at: u64,
}

#[derive(Debug)]
enum Mode {
    /// Into the file, so many times more; then into a ring.
    Unstarted { direct_lines: u32 },
    /// Into the ring.
    Ring(Producer),
    /// Into the file.
    Direct,
}

impl Front {
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
    Direct,
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
        let (path, file, can_buffer) = super::open::create_in(directory, run)?;
        let log = LogFile::new(&path, file, true, false);
        Ok(Self::new(path, log, can_buffer, options))
    }

    /// Opens the log at `path` for appending; other processes may have it open too. It (0600) and
    /// its directory (0700) are created where they are missing. A symlink is followed.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, WriterOptions::default())
    }

    /// [`open`](Self::open), written as `options` say.
    pub fn open_with(path: &Path, options: WriterOptions) -> Result<Self> {
        let super::open::Opened { path, file, is_readable, is_torn, can_buffer } =
            super::open::open(path)?;
        let log = LogFile::new(&path, file, is_readable, is_torn);
        Ok(Self::new(path, log, can_buffer, options))
    }

    fn new(path: PathBuf, file: LogFile, can_buffer: bool, options: WriterOptions) -> Self {
        let buffer_bytes = if can_buffer { options.buffer_bytes } else { 0 };
        let options = WriterOptions { buffer_bytes, ..options };
        let mode = match buffer_bytes {
            0 => Mode::Direct,
            _ => Mode::Unstarted { direct_lines: 0 },
        };
        let shared = Arc::new(Shared {
            path,
            options,
            file,
            generation: AtomicU64::new(fork::generation()),
            is_closed: AtomicBool::new(false),
            front: ForkLock::new(Front { mode, nudge_at: NUDGE_BYTES }),
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

    /// Appends a line, which ends in a newline, if that takes no waiting and no system call. None:
    /// it would; nothing has happened yet.
    pub fn try_append(&self, line: &[u8]) -> Option<std::result::Result<(), AppendError>> {
        debug_assert!(line.ends_with(b"\n"), "a line ends in a newline");
        let shared = &*self.shared;
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
                Push::Direct => {
                    let outcome = shared.append_directly(line);
                    if shared.options.max_bytes.is_some()
                        && let Some(mut flusher) = shared.flusher.try_lock()
                    {
                        shared.rotate_if_due(&mut flusher);
                    }
                    return Some(outcome);
                }
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

    /// [`flush`](Self::flush) right before a fork, if that takes no waiting: what the child writes
    /// then stands behind what its parent has written.
    pub fn flush_before_fork(&self) {
        if let Some(mut flusher) = self.shared.flusher.try_lock() {
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
    fn push(&self, line: &[u8]) -> Push {
        let mut front = self.front.lock();
        match &mut front.mode {
            Mode::Unstarted { direct_lines: 0 } => Push::Unstarted,
            Mode::Unstarted { direct_lines } => {
                *direct_lines -= 1;
                Push::Direct
            }
            Mode::Direct => Push::Direct,
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
                let outcome = self.append_directly(line);
                self.rotate_if_due(&mut flusher);
                outcome
            }
            Err(error) => self.drop_line(AppendCause::Os(error)),
        }
    }

    /// Takes a ring into use, or finds that there can be none.
    fn start(self: &Arc<Self>) {
        let mut flusher = self.flusher.lock();
        if !matches!(self.front.lock().mode, Mode::Unstarted { .. }) {
            return;
        }
        let mode = match self.make_ring(&mut flusher) {
            Ok(producer) if self.spawn_flusher() => Mode::Ring(producer),
            _ => {
                flusher.end();
                Mode::Direct
            }
        };
        *self.front.lock() = Front { mode, nudge_at: NUDGE_BYTES };
    }

    fn make_ring(&self, flusher: &mut Flusher) -> io::Result<Producer> {
        let log = self.file.reopen()?;
        store::unmark_closed(&log);
        // Beside the log there may be what other processes of the program have left.
        tail::join_finished(&log, &self.path);
        let pid = std::process::id();
        let capacity = self.options.ring_bytes();
        let (producer, consumer, tail) = tail::create(&log, &self.path, capacity, pid)?;
        flusher.begin(consumer, tail);
        self.synced.store(0, Ordering::Relaxed);
        Ok(producer)
    }

    fn spawn_flusher(self: &Arc<Self>) -> bool {
        let shared = Arc::clone(self);
        let generation = self.generation.load(Ordering::Relaxed);
        std::thread::Builder::new()
            .name("inspect-trace".into())
            .stack_size(128 << 10)
            .spawn(move || shared.run_flusher(generation))
            .is_ok()
    }

    /// The flusher's thread.
    fn run_flusher(&self, generation: u64) {
        sys::block_signals();
        let mut quiet = 0;
        // Read before each flush: who asks for another while it goes on does not ask in vain.
        // The first line may have come before this thread.
        let mut seen = self.work.count().wrapping_sub(1);
        loop {
            if self.is_closed.load(Ordering::Acquire)
                || self.generation.load(Ordering::Relaxed) != generation
            {
                return;
            }
            if quiet >= IDLE_INTERVALS && self.file.failure().is_none() {
                self.is_idle.store(true, Ordering::SeqCst);
                let flusher = self.flusher.lock();
                let (has_ring, has_pending) = (flusher.has_ring(), flusher.has_pending());
                drop(flusher);
                if !has_ring {
                    return;
                }
                if !has_pending {
                    self.work.wait(seen, None);
                }
                self.is_idle.store(false, Ordering::Relaxed);
                seen = self.work.count();
                quiet = 0;
                continue;
            }
            let is_failing = self.file.failure().is_some();
            self.work.wait(seen, Some(if is_failing { RETRY_INTERVAL } else { FLUSH_INTERVAL }));
            seen = self.work.count();
            let mut flusher = self.flusher.lock();
            if !flusher.has_ring() {
                return;
            }
            quiet = if flusher.has_pending() { 0 } else { quiet + 1 };
            self.mend_ring(&mut flusher);
            // What fails is noted, to be reported by whoever logs next.
            let _ = flusher.flush(self);
            flusher.make_ready();
            self.rotate_if_due(&mut flusher);
            self.renew_ring(&mut flusher);
        }
    }

    /// Goes on in a new file, if the log has become that large and no other process has it open, or if
    /// another process has done so.
    fn rotate_if_due(&self, flusher: &mut Flusher) {
        let Some(max_bytes) = self.options.max_bytes else { return };
        let is_due = |(fd, stat): &(FdUse<'_>, Stat)| {
            let is_full = u64::try_from(stat.st_size).is_ok_and(|size| size >= max_bytes);
            // Others have lines on their way into this very file.
            (is_full && !store::is_held_by_others(fd))
                || !is_at(&self.path, stat.st_dev, stat.st_ino)
        };
        if self.file.failure().is_some() || !self.file.get_checked().is_ok_and(|file| is_due(&file))
        {
            return;
        }
        // Lines wait for the moment that this takes, so that whoever finds the part finds in it all
        // that was logged before.
        let _front = self.front.lock();
        if flusher.flush(self).is_err() || flusher.is_within_line() {
            return;
        }
        let rotated = rotate::rotate(&self.file, &self.path)
            .and_then(|new| flusher.go_on_in(&self.file, new));
        match rotated {
            Ok(()) => rotate::compress_parts(&self.path),
            // Another process is at it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The log goes on as it is.
            Err(error) => self.file.fails(&error),
        }
    }

    /// Goes on in a new ring where somebody has shortened the file of the one in use.
    fn mend_ring(&self, flusher: &mut Flusher) {
        if !flusher.is_broken() {
            return;
        }
        let mut front = self.front.lock();
        if let Mode::Ring(producer) = &front.mode {
            let (lines, lost) = flusher.salvage(producer);
            for _ in 0..lost {
                self.file.count_dropped(true);
            }
            let _ = self.file.write_line(&lines);
        }
        let mode = self.make_ring(flusher).map_or(Mode::Direct, Mode::Ring);
        *front = Front { mode, nudge_at: NUDGE_BYTES };
    }

    /// Makes a new ring where somebody has removed the file of the one in use.
    fn renew_ring(&self, flusher: &mut Flusher) {
        if !flusher.is_tail_gone() || flusher.has_pending() {
            return;
        }
        // Lines wait for the moment that this takes; it is rare.
        let mut front = self.front.lock();
        if !matches!(front.mode, Mode::Ring(_)) || flusher.flush(self).is_err() {
            return;
        }
        let mode = match self.make_ring(flusher) {
            Ok(producer) => Mode::Ring(producer),
            // The directory is gone: go on with what there is.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => Mode::Direct,
        };
        *front = Front { mode, nudge_at: NUDGE_BYTES };
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
        drop(self.front.break_after_fork(Front { mode, nudge_at: NUDGE_BYTES }));
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
            flusher
        });
        self.front.lock().mode = Mode::Direct;
        self.work.notify();
        if let Some(flusher) = &mut flusher {
            let had_ring = flusher.has_ring();
            let _ = flusher.flush(self);
            flusher.end();
            if had_ring && let Ok(log) = self.file.reopen() {
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

impl Flusher {
    /// Appends all that is in the ring to the log, and what is to be noted there.
    fn flush(&mut self, shared: &Shared) -> io::Result<()> {
        let goal = self.committed();
        while self.flushed() < goal {
            match self.flush_batch(&shared.file, &shared.path) {
                Ok(true) => shared.progress.notify(),
                Ok(false) => break,
                Err(error) => {
                    shared.file.fails(&error);
                    shared.progress.notify();
                    return Err(error);
                }
            }
        }
        if shared.file.has_unnoted() {
            shared.file.write_line(b"")?;
        }
        if shared.options.durability == Durability::Fsync && !self.is_synced {
            let Some(file) = shared.file.get() else { return Ok(()) };
            if let Err(errno) = rustix::fs::fdatasync(&file) {
                shared.file.fails(&errno.into());
                shared.progress.notify();
                return Err(errno.into());
            }
            self.is_synced = true;
            shared.synced.store(self.flushed(), Ordering::Release);
            shared.progress.notify();
        }
        if self.has_ring() {
            shared.file.works();
        }
        Ok(())
    }
}
