//! What happens to an open log behind the backs of those who append to it: its ring is made, emptied by a
//! thread, mended and renewed, and the log goes on in a new file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::Stat;

use super::flusher::Flusher;
use super::options::Durability;
use super::rotate;
use super::writer::{FLUSH_INTERVAL, Front, Mode, RETRY_INTERVAL, Shared};
use crate::file_io::is_at;
use crate::store;
use crate::sys::ring::Producer;
use crate::sys::{self, FdUse};
use crate::tail;

/// After so many intervals without a line the flusher sleeps until there is one.
const IDLE_INTERVALS: u32 = 20;

impl Shared {
    /// Takes a ring into use, or finds that there can be none.
    pub(super) fn start(self: &Arc<Self>) {
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
        *self.front.lock() = Front::new(mode);
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

    /// Goes on in a new file, if the log has become that large, or if another process has done so.
    pub(super) fn rotate_if_due(&self, flusher: &mut Flusher) {
        let Some(max_bytes) = self.options.max_bytes else { return };
        let is_due = |(_, stat): &(FdUse<'_>, Stat)| {
            let is_full = u64::try_from(stat.st_size).is_ok_and(|size| size >= max_bytes);
            // The parts of a log that goes by a symlink would not be found by that.
            let is_full =
                is_full && std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_file());
            is_full || !is_at(&self.path, stat.st_dev, stat.st_ino)
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
    pub(super) fn mend_ring(&self, flusher: &mut Flusher) {
        if !flusher.is_broken() {
            return;
        }
        let mut front = self.front.lock();
        if let Mode::Ring(producer) = &front.mode {
            let (lines, lost) = flusher.salvage(producer);
            for _ in 0..lost {
                self.file.count_dropped(true);
            }
            let _turn = self.begin_line(flusher);
            let _ = self.file.write_line(&lines);
        }
        let mode = self.make_ring(flusher).map_or(Mode::Direct, Mode::Ring);
        *front = Front::new(mode);
    }

    /// Makes a new ring where somebody has removed the file of the one in use.
    pub(super) fn renew_ring(&self, flusher: &mut Flusher) {
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
        *front = Front::new(mode);
    }
}

impl Flusher {
    /// Appends all that is in the ring to the log, and what is to be noted there.
    pub(super) fn flush(&mut self, shared: &Shared) -> io::Result<()> {
        let goal = self.committed();
        while self.flushed() < goal {
            let flushed = self
                .begin_turn(shared)
                .and_then(|_turn| self.flush_batch(&shared.file, &shared.path));
            match flushed {
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
            let (turn, _) = shared.begin_line(self);
            let _turn = turn?;
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
