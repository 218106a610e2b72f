//! State of objects that only threads attached to the interpreter touch, and no Python code while it
//! is held.
//!
//! A `Mutex` would do, but for its price: two atomic operations, a dozen times an action. With the
//! interpreter lock no two threads are here at a time; without it, it is a `Mutex`.
#![allow(unsafe_code)]

#[cfg(not(Py_GIL_DISABLED))]
pub(crate) use locked::Guarded;
#[cfg(Py_GIL_DISABLED)]
pub(crate) use unlocked::Guarded;

#[cfg(not(Py_GIL_DISABLED))]
mod locked {
    use std::cell::{Cell, UnsafeCell};
    use std::ops::{Deref, DerefMut};

    use pyo3::prelude::*;

    /// A value that is locked by having the interpreter.
    #[derive(Default)]
    pub(crate) struct Guarded<T> {
        is_held: Cell<bool>,
        value: UnsafeCell<T>,
    }

    // SAFETY: both cells are only touched by threads that have the interpreter, of which there is one
    // at a time: `hold` asks for the proof, and the garbage collector has it.
    unsafe impl<T: Send> Sync for Guarded<T> {}

    impl<T> Guarded<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self { is_held: Cell::new(false), value: UnsafeCell::new(value) }
        }

        /// The value, for no longer than it takes to copy or move something: while it is held, no
        /// Python code may run (nothing may be dropped that Python counts).
        #[inline]
        pub(crate) fn hold<'a>(&'a self, _attached: Python<'a>) -> Held<'a, T> {
            assert!(!self.is_held.replace(true), "no Python code runs while state is held");
            Held { guarded: self }
        }

        /// The value, where Python code may run while it is held, if only for a collection. None: it
        /// is held.
        #[inline]
        pub(crate) fn try_hold<'a>(&'a self, _attached: Python<'a>) -> Option<Held<'a, T>> {
            self.hold_for_collector()
        }

        /// The value, for `__traverse__` and `__clear__`, which the garbage collector calls and to
        /// which it gives no proof that it has the interpreter. None: it is held.
        pub(crate) fn hold_for_collector(&self) -> Option<Held<'_, T>> {
            (!self.is_held.replace(true)).then(|| Held { guarded: self })
        }
    }

    /// A value that is held.
    pub(crate) struct Held<'a, T> {
        guarded: &'a Guarded<T>,
    }

    impl<T> Deref for Held<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            // SAFETY: this is the one holder.
            unsafe { &*self.guarded.value.get() }
        }
    }

    impl<T> DerefMut for Held<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: this is the one holder, exclusively borrowed.
            unsafe { &mut *self.guarded.value.get() }
        }
    }

    impl<T> Drop for Held<'_, T> {
        fn drop(&mut self) {
            self.guarded.is_held.set(false);
        }
    }
}

#[cfg(Py_GIL_DISABLED)]
mod unlocked {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use pyo3::prelude::*;

    /// A value that is locked for each use.
    #[derive(Default)]
    pub(crate) struct Guarded<T>(Mutex<T>);

    impl<T> Guarded<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        /// The value, for no longer than it takes to copy or move something.
        pub(crate) fn hold<'a>(&'a self, _attached: Python<'a>) -> MutexGuard<'a, T> {
            // What is kept is whole at every moment.
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// The value, where Python code may run while it is held. None: it is held.
        pub(crate) fn try_hold<'a>(&'a self, _attached: Python<'a>) -> Option<MutexGuard<'a, T>> {
            self.hold_for_collector()
        }

        /// The value, for the garbage collector. None: it is held.
        pub(crate) fn hold_for_collector(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }
}
