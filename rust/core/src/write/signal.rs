//! Waiting for another thread, without a lock that a fork could leave locked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::futex::{self, Flags, Timespec};

/// Something that happens now and then, and that threads wait for.
#[derive(Debug, Default)]
pub(super) struct Signal {
    /// How often it has happened.
    count: AtomicU32,
}

impl Signal {
    /// How often it has happened so far: to be read before looking whether waiting is needed.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until it has happened more often than `count` times, or for that long; may also be back
    /// earlier, for no reason.
    pub(super) fn wait(&self, count: u32, patience: Option<Duration>) {
        let patience = patience.and_then(|patience| {
            let tv_sec = i64::try_from(patience.as_secs()).ok()?;
            Some(Timespec { tv_sec, tv_nsec: patience.subsec_nanos().into() })
        });
        // Whatever the answer, the caller looks again.
        let _ = futex::wait(&self.count, Flags::PRIVATE, count, patience.as_ref());
    }

    /// It has happened.
    pub(super) fn notify(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        let _ = futex::wake(&self.count, Flags::PRIVATE, u32::MAX >> 1);
    }
}
