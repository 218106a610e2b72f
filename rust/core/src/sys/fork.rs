//! Being told of a fork, in the child, before anything else runs there.

use std::io;

/// Has `in_child` called in every child that the process forks from now on, and in their children.
///
/// `in_child` may do no more than what is allowed in a signal handler: the other threads of the
/// parent, with whatever locks they held, are not there.
pub(crate) fn at_fork_in_child(in_child: extern "C" fn()) -> io::Result<()> {
    // SAFETY: the handler is a function of this library, for good: Python never unloads the
    // modules it has loaded (and a C library drops the handlers of a library that it unloads).
    // It takes and returns nothing, as the C library expects.
    let outcome = unsafe { libc::pthread_atfork(None, None, Some(handler_of(in_child))) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(outcome)) }
}

/// The handler by the type that the C library declares, for which there are no safe functions.
fn handler_of(in_child: extern "C" fn()) -> unsafe extern "C" fn() {
    in_child
}
