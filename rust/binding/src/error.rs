//! The one mapping from the core's errors to Python's.

use std::io;

use inspect_trace_core::Error;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// `OSError(errno, message)`, which Python turns into the subclass that fits the number. Its
/// `strerror` is the core's one-line message.
pub(crate) fn to_python(error: &Error) -> PyErr {
    let number = match error {
        Error::Io { source, .. } => source.raw_os_error().unwrap_or(libc::EIO),
        Error::NotFound { .. } | Error::NoTraceFiles { .. } => libc::ENOENT,
        Error::NotAFile { kind: "directory", .. } => libc::EISDIR,
        Error::NotAFile { .. } => libc::EINVAL,
        Error::NotSeekable { .. } => libc::ESPIPE,
        _ => libc::EIO,
    };
    os_error(number, error.to_string())
}

/// What the system said, with a message of our own.
pub(crate) fn io_to_python(source: &io::Error, message: String) -> PyErr {
    os_error(source.raw_os_error().unwrap_or(libc::EIO), message)
}

/// `OSError(errno, message)`.
pub(crate) fn os_error(number: i32, message: String) -> PyErr {
    PyOSError::new_err((number, message))
}
