//! Which process this is: how a forked child notices that what it has inherited (an offset in a
//! ring, a supply of random numbers) is its parent's, without a system call for each record.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::fork::at_fork_in_child;

static GENERATION: AtomicU64 = AtomicU64::new(0);
/// Whether the C library tells of forks.
static TOLD: OnceLock<bool> = OnceLock::new();

extern "C" fn count_the_fork() {
    // An atomic of its own is all that it touches: this runs where only the forking thread is left.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// How many forks lie between this process and the one that called this first. Two readings of one
/// process are equal, and a child's differs from all that its ancestors have read.
///
/// Costs two loads. Only forks that go through the C library's `fork` count, as Python's all do;
/// those of a bare `clone` or `vfork` do not (after which no more than `exec` is allowed anyway).
#[inline]
pub fn generation() -> u64 {
    // Nobody could be told of a fork before the first reading.
    if *TOLD.get_or_init(|| at_fork_in_child(count_the_fork).is_ok()) {
        GENERATION.load(Ordering::Relaxed)
    } else {
        // There was no memory for the C library to remember us: ask the system each time.
        u64::from(std::process::id())
    }
}
