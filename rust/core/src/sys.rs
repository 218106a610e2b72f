//! The system calls that no safe wrapper offers, and vector instructions (`masks`). The only unsafe
//! code of the core.
#![allow(unsafe_code)]

mod bus;
pub(crate) mod exit;
pub(crate) mod fork;
pub(crate) mod fork_lock;
pub(crate) mod masks;
pub(crate) mod ring;
pub(crate) mod spawn;
pub(crate) mod time;

/// Broken-down local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) year: i64,
    pub(crate) month: i32,
    pub(crate) day: i32,
    pub(crate) hour: i32,
    pub(crate) minute: i32,
    pub(crate) second: i32,
    pub(crate) utc_offset_s: i64,
}

/// `epoch_s` in the C library's local zone: the one Python's `time` and `datetime` use, which
/// follows `time.tzset()` where a time zone library of our own would not.
pub(crate) fn local_time(epoch_s: i64) -> Option<LocalTime> {
    let time: libc::time_t = epoch_s;
    let mut tm = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, and `tm` is plain data for which all zeroes
    // are a value; `localtime_r` writes nothing else.
    let tm = unsafe {
        if libc::localtime_r(&raw const time, tm.as_mut_ptr()).is_null() {
            return None;
        }
        tm.assume_init()
    };
    Some(LocalTime {
        year: i64::from(tm.tm_year) + 1900,
        month: tm.tm_mon + 1,
        day: tm.tm_mday,
        hour: tm.tm_hour,
        minute: tm.tm_min,
        second: tm.tm_sec,
        utc_offset_s: tm.tm_gmtoff,
    })
}

/// The name of the C library's local zone at `epoch_s` ("UTC", "CET", "+03").
pub(crate) fn local_zone_name(epoch_s: i64) -> Option<String> {
    let time: libc::time_t = epoch_s;
    let mut tm = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: as in `local_time`; the name that `tm_zone` points to then is one of the C library's
    // own strings, ended by a NUL, which it keeps for good.
    let name = unsafe {
        if libc::localtime_r(&raw const time, tm.as_mut_ptr()).is_null() {
            return None;
        }
        let tm = tm.assume_init();
        if tm.tm_zone.is_null() {
            return None;
        }
        std::ffi::CStr::from_ptr(tm.tm_zone)
    };
    Some(name.to_string_lossy().into_owned())
}

// ---------------------------------------------------------------------------------------------
// Locks on byte ranges, owned by the open file description (Linux "OFD" locks)
// ---------------------------------------------------------------------------------------------

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Whether a lock tolerates others of its kind on the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// Shared; the file must be open for reading.
    Shared,
    /// Exclusive; the file must be open for writing.
    Exclusive,
}

/// A range of bytes: where it starts and how long it is (0: to the end of all files).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteRange {
    pub(crate) start: i64,
    pub(crate) length: i64,
}

fn flock(kind: libc::c_int, range: ByteRange) -> libc::flock {
    // SAFETY: `flock` is plain data for which all zeroes are a value. (Its fields differ between
    // platforms, so it can't be written out.)
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    // The constants fit: they are 0, 1 and 2.
    #[allow(clippy::cast_possible_truncation)]
    {
        lock.l_type = kind as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
    }
    lock.l_start = range.start;
    lock.l_len = range.length;
    lock
}

/// Takes a lock for the open file description, without waiting. False: someone else has it.
pub(crate) fn try_lock_range(
    file: impl AsFd,
    kind: LockKind,
    range: ByteRange,
) -> io::Result<bool> {
    let kind = match kind {
        LockKind::Shared => libc::F_RDLCK,
        LockKind::Exclusive => libc::F_WRLCK,
    };
    match set_lock(file.as_fd(), &flock(kind, range)) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives a lock of the open file description back, also for the copies of it that a forked child
/// has.
pub(crate) fn unlock_range(file: impl AsFd, range: ByteRange) -> io::Result<()> {
    set_lock(file.as_fd(), &flock(libc::F_UNLCK, range))
}

fn set_lock(file: BorrowedFd<'_>, lock: &libc::flock) -> io::Result<()> {
    // SAFETY: the descriptor is open (it is borrowed) and `lock` is a valid flock that the call
    // only reads.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, std::ptr::from_ref(lock)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A lock within `range` that another open file description holds, if there is one. Takes nothing.
pub(crate) fn foreign_lock(file: impl AsFd, range: ByteRange) -> io::Result<Option<ByteRange>> {
    let mut lock = flock(libc::F_WRLCK, range);
    // SAFETY: the descriptor is open (it is borrowed) and `lock` is a valid flock that the call
    // may overwrite.
    let answer = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    let is_free = i32::from(lock.l_type) == libc::F_UNLCK;
    Ok((!is_free).then_some(ByteRange { start: lock.l_start, length: lock.l_len }))
}

// ---------------------------------------------------------------------------------------------
// A descriptor that can be closed and replaced while other threads write to it
// ---------------------------------------------------------------------------------------------

/// A file descriptor shared by threads, one of which may close it at any time.
///
/// A plain number would be dangerous: between reading it and writing to it another thread could
/// close it and the system give it to some other file. A lock would be too: a child forked while
/// another thread holds it waits for ever. So uses are counted, and the last one closes.
#[derive(Debug)]
pub(crate) struct SharedFd {
    fd: AtomicI32,
    /// [`CLOSED`], and the number of uses that are under way.
    state: AtomicU32,
}

const CLOSED: u32 = 1 << 31;

impl SharedFd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd: AtomicI32::new(fd.into_raw_fd()), state: AtomicU32::new(0) }
    }

    /// The descriptor, kept open for as long as the answer lives; None once it is closed.
    pub(crate) fn get(&self) -> Option<FdUse<'_>> {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            if state & CLOSED != 0 {
                return None;
            }
            match self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    let fd = self.fd.load(Ordering::Acquire);
                    return Some(FdUse { shared: self, fd });
                }
                Err(now) => state = now,
            }
        }
    }

    /// Closes the descriptor, at once or when the uses under way are over. Again: nothing.
    pub(crate) fn close(&self) {
        if self.state.fetch_or(CLOSED, Ordering::AcqRel) == 0 {
            self.close_now();
        }
    }

    /// Forgets the uses that other threads of the parent had under way: to be called in a forked
    /// child, where those threads do not exist, while it has a single thread.
    pub(crate) fn forget_uses_after_fork(&self) {
        let state = self.state.load(Ordering::Acquire);
        self.state.store(state & CLOSED, Ordering::Release);
        if state & CLOSED != 0 && state != CLOSED {
            self.close_now();
        }
    }

    /// Makes the number stand for the file of `new` from now on.
    pub(crate) fn replace(&self, new: &OwnedFd) -> io::Result<()> {
        let Some(old) = self.get() else { return Ok(()) };
        // SAFETY: both descriptors are open; the number replaced is one that this value owns, so
        // nobody else relies on which file it stands for.
        match unsafe { libc::dup3(new.as_raw_fd(), old.fd, libc::O_CLOEXEC) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Uses another descriptor from now on, and lets go of the old number without closing it: the
    /// program has closed it already, and perhaps it is some other file's by now.
    pub(crate) fn abandon_for(&self, new: OwnedFd) {
        self.fd.store(new.into_raw_fd(), Ordering::Release);
    }

    fn close_now(&self) {
        // SAFETY: `fd` came out of an OwnedFd, and the state lets exactly one caller get here,
        // after the last use.
        drop(unsafe { OwnedFd::from_raw_fd(self.fd.load(Ordering::Acquire)) });
    }
}

impl Drop for SharedFd {
    fn drop(&mut self) {
        self.close();
    }
}

/// A [`SharedFd`] in use; see [`SharedFd::get`].
#[derive(Debug)]
pub(crate) struct FdUse<'a> {
    shared: &'a SharedFd,
    fd: RawFd,
}

impl AsFd for FdUse<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor stays open while this use is counted, that is, while `self` lives.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Drop for FdUse<'_> {
    fn drop(&mut self) {
        if self.shared.state.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1 {
            self.shared.close_now();
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Clock, signals
// ---------------------------------------------------------------------------------------------

/// Seconds since boot, suspended time included, as /proc/<pid>/stat counts them.
pub(crate) fn seconds_since_boot() -> Option<f64> {
    let mut time = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is valid for the call, and `timespec` is plain data.
    let time = unsafe {
        if libc::clock_gettime(libc::CLOCK_BOOTTIME, time.as_mut_ptr()) != 0 {
            return None;
        }
        time.assume_init()
    };
    // Exact for 285 million years of uptime.
    #[allow(clippy::cast_precision_loss)]
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// The unit of times in /proc/<pid>/stat.
pub(crate) fn clock_ticks_per_second() -> Option<f64> {
    // SAFETY: `sysconf` takes a number and gives one back.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    // It is 100 practically everywhere.
    #[allow(clippy::cast_precision_loss)]
    (ticks > 0).then_some(ticks as f64)
}

/// Keeps signals away from the calling thread, so that they interrupt the program's own threads. (But
/// for those that tell of a fault in the thread itself: blocked, they kill.)
pub(crate) fn block_signals() {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `set` is valid for both calls and filled in by the first one; no old set is asked
    // for.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        for fault in [libc::SIGBUS, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP] {
            libc::sigdelset(set.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// A descriptor of our own for what `raw_fd` stands for, or why there is none.
pub(crate) fn duplicate_fd(raw_fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a number that is no open descriptor is an error (EBADF), and touches no memory.
    let fd = unsafe { libc::fcntl(raw_fd, libc::F_DUPFD_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just opened it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Runs `work` in this thread such that SIGXFSZ, by which the system answers writing beyond a limit
/// besides the error, does nothing: by default it kills.
pub(crate) fn without_size_signal<T>(work: impl FnOnce() -> T) -> T {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut old = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the sets are valid for the calls, and filled in by them before they are read.
    let is_blocked = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), old.as_mut_ptr()) == 0
    };
    let outcome = work();
    if is_blocked {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: as above. What came for this thread meanwhile is taken away before the old set is
        // put back.
        unsafe {
            if libc::sigismember(old.as_ptr(), libc::SIGXFSZ) == 0 {
                libc::sigtimedwait(set.as_ptr(), std::ptr::null_mut(), &raw const now);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut());
        }
    }
    outcome
}
