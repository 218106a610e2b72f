//! A lock that a forked child can break.
//!
//! A thread that holds a lock at the moment of a fork does not exist in the child, where its lock
//! stays locked for ever. The child cannot know what state the locked value is in, but it can put
//! another in its place.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A value that one thread at a time has for itself.
#[derive(Debug)]
pub(crate) struct ForkLock<T> {
    is_locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time.
unsafe impl<T: Send> Sync for ForkLock<T> {}

/// Spins before the processor is given to others: what is held without a system call is free again
/// by then.
const SPINS: u32 = 100;
const YIELDS: u32 = 50;
const SLEEP: Duration = Duration::from_micros(200);

impl<T> ForkLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { is_locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, unless another thread has it.
    pub(crate) fn try_lock(&self) -> Option<ForkGuard<'_, T>> {
        // Not `then_some`: a guard that is made unlocks when it is dropped.
        self.is_locked
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| ForkGuard { lock: self })
    }

    /// The value, waited for.
    pub(crate) fn lock(&self) -> ForkGuard<'_, T> {
        let mut tries = 0;
        loop {
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            pause(&mut tries);
        }
    }

    /// The value, waited for no longer than that.
    pub(crate) fn lock_within(&self, patience: Duration) -> Option<ForkGuard<'_, T>> {
        let start = Instant::now();
        let mut tries = 0;
        loop {
            if let Some(guard) = self.try_lock() {
                return Some(guard);
            }
            if start.elapsed() >= patience {
                return None;
            }
            pause(&mut tries);
        }
    }

    /// Puts another value in the place of one that a thread of the parent may have been changing.
    /// The old one is given back when nobody was.
    ///
    /// To be called in a forked child that has no other thread that uses the lock.
    pub(crate) fn break_after_fork(&self, value: T) -> Option<T> {
        let was_locked = self.is_locked.swap(true, Ordering::Acquire);
        // SAFETY: the threads of the parent are not there, and by contract no other is: nobody has
        // a reference to the value. A value that was being changed is not looked at.
        let old = unsafe {
            std::mem::replace(&mut *self.value.get().cast(), std::mem::MaybeUninit::new(value))
        };
        self.is_locked.store(false, Ordering::Release);
        // SAFETY: nobody was changing it, so it is whole.
        (!was_locked).then(|| unsafe { old.assume_init() })
    }
}

fn pause(tries: &mut u32) {
    *tries += 1;
    if *tries < SPINS {
        std::hint::spin_loop();
    } else if *tries < SPINS + YIELDS {
        std::thread::yield_now();
    } else {
        std::thread::sleep(SLEEP);
    }
}

/// The value of a [`ForkLock`], for as long as this lives.
pub(crate) struct ForkGuard<'a, T> {
    lock: &'a ForkLock<T>,
}

impl<T> Deref for ForkGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for ForkGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the guard exclusively borrowed.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for ForkGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.is_locked.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Threads that count under the lock count right.
    #[test]
    fn one_thread_at_a_time() {
        let lock = ForkLock::new(0_u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(*lock.lock(), 40_000);
    }

    /// Who has no patience does not wait, and a broken lock is free, with its new value.
    #[test]
    fn broken_locks_are_free() {
        let lock = ForkLock::new(String::from("old"));
        std::mem::forget(lock.lock());
        assert!(lock.try_lock().is_none());
        assert!(lock.lock_within(Duration::from_millis(1)).is_none());
        assert_eq!(lock.break_after_fork("new".into()), None);
        assert_eq!(*lock.lock(), "new");
        assert_eq!(lock.break_after_fork("newer".into()).unwrap(), "new");
    }
}
