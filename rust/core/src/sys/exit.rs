//! Being called when the process ends in an orderly way.

use std::io;

/// Has `at_exit` called at the end of the process, when it ends by the C library's `exit` (after the
/// interpreter is gone, not at `_exit` or a signal), and of every child that it forks.
pub(crate) fn at_exit(at_exit: extern "C" fn()) -> io::Result<()> {
    // SAFETY: the handler is a function of this library, which Python never unloads (and a C
    // library calls the handlers of a library that it unloads before that).
    match unsafe { libc::atexit(at_exit) } {
        0 => Ok(()),
        _ => Err(io::ErrorKind::OutOfMemory.into()),
    }
}
