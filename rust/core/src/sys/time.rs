//! The clock that is never set, and whether the local zone is still the one it was.

use std::ffi::{c_char, c_long};

// POSIX declares both; `tzset` sets them.
unsafe extern "C" {
    static timezone: c_long;
    static tzname: [*const c_char; 2];
}

/// What `tzset` leaves behind. Two states that differ belong to two zones.
///
/// The reverse is not quite true: zones of one name and one standard offset look alike here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ZoneState {
    standard_offset_s: c_long,
    /// Addresses, which the C library does not use again for another name.
    names: [usize; 2],
}

impl ZoneState {
    /// No zone's.
    pub(crate) const NONE: Self = Self { standard_offset_s: c_long::MAX, names: [0; 2] };

    /// That of the zone which holds now.
    #[inline]
    pub(crate) fn now() -> Self {
        // SAFETY: both are variables of the C library, which live as long as the process. They are
        // of the size of a word and aligned, so that reading them while another thread calls
        // `tzset` gives the old value or the new one; the names are not followed.
        unsafe {
            let names = (&raw const tzname).cast::<usize>();
            Self {
                standard_offset_s: (&raw const timezone).read_volatile(),
                names: [names.read_volatile(), names.add(1).read_volatile()],
            }
        }
    }
}

/// Seconds on the clock that is never set, in the units of `time.monotonic()`.
///
/// By way of the C library, as Python asks it: what finds the fast way to the clock by itself does
/// not survive every tool that programs are run under (valgrind).
#[inline]
pub(crate) fn monotonic_s() -> f64 {
    seconds_of(libc::CLOCK_MONOTONIC)
}

/// Seconds since the epoch. The same way: the standard library's own goes through four more steps.
#[inline]
pub(crate) fn epoch_s() -> f64 {
    seconds_of(libc::CLOCK_REALTIME)
}

/// Seconds that the calling thread has kept a processor busy.
pub(crate) fn thread_cpu_s() -> f64 {
    seconds_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[inline]
fn seconds_of(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call. It cannot fail for these clocks.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    // Exact for 285 million years.
    #[allow(clippy::cast_precision_loss)]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}
