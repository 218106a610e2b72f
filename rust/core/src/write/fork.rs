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
/// Costs a load. Only forks that go through the C library's `fork` count, as Python's all do; those
/// of a bare `clone` or `vfork` do not (after which no more than `exec` is allowed anyway).
#[inline]
pub fn generation() -> u64 {
    // The flag is looked up each time, as nobody could be told of a fork before the first reading.
    if TOLD.get().is_none() {
        begin();
    }
    GENERATION.load(Ordering::Relaxed)
}

#[cold]
fn begin() {
    // It fails only where there is no memory left; then children take their parent's generation for
    // their own. Nothing is lost by that but what the callers keep apart with it.
    TOLD.get_or_init(|| at_fork_in_child(count_the_fork).is_ok());
}
