//! Surviving that somebody shortens a file which is mapped into memory.
//!
//! The next touch of a page that is not there any more is a SIGBUS, by default the death of the
//! program: an absurd price for its log. So a handler puts fresh memory in the place of our mapping
//! and lets the program go on; what was in the file is lost, and [`Guard::is_broken`] tells. Any
//! other SIGBUS goes to whoever handled it before.

use std::io;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// More rings at a time than a process has; those beyond are not guarded.
const SLOTS: usize = 64;

/// A guarded mapping. What the signal handler reads of it are atomics.
struct Slot {
    base: AtomicUsize,
    bytes: AtomicUsize,
    is_broken: AtomicBool,
}

static GUARDED: [Slot; SLOTS] = [const {
    Slot {
        base: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        is_broken: AtomicBool::new(false),
    }
}; SLOTS];

/// What was done about the signal before; never freed, as the handler may look at it at any time.
static FORMER: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());
static IS_INSTALLED: OnceLock<bool> = OnceLock::new();

/// Keeps a mapping guarded while it lives. To be dropped before the mapping is undone.
#[derive(Debug)]
pub(super) struct Guard {
    slot: Option<usize>,
}

impl Guard {
    /// Guards the mapping of that many bytes at `base`.
    pub(super) fn new(base: NonNull<u8>, bytes: usize) -> Self {
        if !*IS_INSTALLED.get_or_init(|| install().is_ok()) {
            return Self { slot: None };
        }
        let free = GUARDED.iter().position(|slot| {
            slot.base
                .compare_exchange(0, base.as_ptr() as usize, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        });
        if let Some(slot) = free {
            GUARDED[slot].is_broken.store(false, Ordering::Release);
            GUARDED[slot].bytes.store(bytes, Ordering::Release);
        }
        Self { slot: free }
    }

    /// Whether the file was shortened: what the mapping holds is not in the file.
    pub(super) fn is_broken(&self) -> bool {
        self.slot.is_some_and(|slot| GUARDED[slot].is_broken.load(Ordering::Acquire))
    }

    /// Puts fresh memory in the place of the mapping, as a system call has met what the handler
    /// would have.
    pub(super) fn break_now(&self) {
        if let Some(slot) = self.slot {
            GUARDED[slot].give_fresh_memory();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            GUARDED[slot].bytes.store(0, Ordering::Release);
            GUARDED[slot].base.store(0, Ordering::Release);
        }
    }
}

impl Slot {
    fn has(&self, address: usize) -> bool {
        let (base, bytes) = (self.base.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire));
        address.wrapping_sub(base) < bytes
    }

    /// Called by the signal handler, too: a system call and atomics are all there is.
    fn give_fresh_memory(&self) -> bool {
        let (base, bytes) = (self.base.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire));
        if bytes == 0 {
            return false;
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the range is a mapping of ours, which is undone only after its guard is gone.
        // Putting another in its place changes what it holds, as shortening the file did; who reads
        // it takes nothing for granted but once `is_broken` is set, which is before.
        self.is_broken.store(true, Ordering::Release);
        let base = std::ptr::with_exposed_provenance_mut(base);
        let fresh = unsafe { libc::mmap(base, bytes, protection, flags, -1, 0) };
        fresh == base
    }
}

fn install() -> io::Result<()> {
    // SAFETY: `sigaction` is plain data for which all zeroes are a value, and the pointers are valid
    // for the calls. The handler is a function of this library, which is never unloaded.
    unsafe {
        let mut former: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut former) != 0 {
            return Err(io::Error::last_os_error());
        }
        FORMER.store(Box::into_raw(Box::new(former)), Ordering::Release);
        let mut ours: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = on_bus_error as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut ours.sa_mask);
        if libc::sigaction(libc::SIGBUS, &raw const ours, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The signal handler. It does what a handler may: atomics and system calls.
extern "C" fn on_bus_error(
    _signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the system gives a valid `info`; its address is that of the fault where the code says
    // that the kernel raised it.
    let (is_fault, address) = unsafe { ((*info).si_code > 0, (*info).si_addr() as usize) };
    if is_fault && GUARDED.iter().any(|slot| slot.has(address) && slot.give_fresh_memory()) {
        return;
    }
    // Not ours: once back, the fault comes again and meets the former handler.
    // SAFETY: `FORMER` was set before this handler was installed, and is never freed.
    unsafe {
        libc::sigaction(libc::SIGBUS, FORMER.load(Ordering::Acquire), std::ptr::null_mut());
        if !is_fault {
            libc::raise(libc::SIGBUS);
        }
    }
}
