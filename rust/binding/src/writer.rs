//! `LogWriter`: a record is encoded with the interpreter, and written without.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use inspect_trace_core::error::reason;
use inspect_trace_core::store::RunInfo;
use inspect_trace_core::write::options::{Durability, OnFull, WriterOptions};
use inspect_trace_core::write::writer::{AppendCause, AppendError, LogWriter as CoreWriter};
use pyo3::exceptions::{PyUserWarning, PyValueError};
use pyo3::prelude::*;

use crate::error::{io_to_python, os_error, to_python};
use crate::handle::write_record;
use crate::native_record::prepare;
use crate::value::path_text;
use crate::watch::WatchedLog;

/// An open trace log.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct LogWriter(Arc<WatchedLog>);

#[pymethods]
impl LogWriter {
    #[staticmethod]
    #[pyo3(signature = (directory, run_id, is_child, options=None, stall_s=0.0, command=None))]
    fn create_in(
        py: Python<'_>,
        directory: PathBuf,
        run_id: String,
        is_child: bool,
        options: Option<Options>,
        stall_s: f64,
        command: Option<Vec<OsString>>,
    ) -> PyResult<Self> {
        prepare(py);
        let command: Vec<_> =
            command.into_iter().flatten().map(OsString::into_encoded_bytes).collect();
        let run = RunInfo::new(run_id, is_child).with_command(&command);
        let options = options.map(to_core).transpose()?.unwrap_or_default();
        py.detach(|| CoreWriter::create_in_with(&directory, &run, options))
            .map(|core| Self(WatchedLog::new(py, core, stall_s)))
            .map_err(|error| to_python(&error))
    }

    #[staticmethod]
    #[pyo3(signature = (path, options=None, stall_s=0.0))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        options: Option<Options>,
        stall_s: f64,
    ) -> PyResult<Self> {
        prepare(py);
        let options = options.map(to_core).transpose()?.unwrap_or_default();
        py.detach(|| CoreWriter::open_with(&path, options))
            .map(|core| Self(WatchedLog::new(py, core, stall_s)))
            .map_err(|error| to_python(&error))
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        path_text(py, self.core().path())
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.core().dropped()
    }

    fn redact(&self) {
        self.core().redact();
    }

    fn write_record(&self, py: Python<'_>, record: &Bound<'_, PyAny>) -> PyResult<()> {
        write_record(py, self, record)
    }

    /// Raises, as writing a record does, only for the first failure of a cause: a program that
    /// flushes often, or whose end flushes once more, is told once.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        match py.detach(|| self.core().flush()) {
            Err(error) if self.core().take_unreported() => {
                let path = self.core().path().display();
                Err(io_to_python(&error, format!("cannot write to {path}: {}", reason(&error))))
            }
            _ => Ok(()),
        }
    }

    fn finish(&self, py: Python<'_>) {
        py.detach(|| self.core().finish());
    }

    fn before_fork(&self, py: Python<'_>) {
        py.detach(|| self.core().flush_before_fork());
    }

    fn after_fork_in_child(&self) {
        self.core().after_fork_in_child();
    }

    fn close(&self, py: Python<'_>) {
        self.0.forget(py);
        py.detach(|| self.core().close());
    }
}

impl LogWriter {
    /// The core's.
    #[inline]
    pub(crate) fn core(&self) -> &CoreWriter {
        self.0.core()
    }

    /// The open actions of the log.
    #[inline]
    pub(crate) fn watched(&self) -> &WatchedLog {
        &self.0
    }
}

/// `(buffer_bytes, on_full, durability, max_bytes, redact)`, as `TraceHandler` takes them.
type Options = (usize, String, String, Option<u64>, bool);

fn to_core(
    (buffer_bytes, on_full, durability, max_bytes, redact): Options,
) -> PyResult<WriterOptions> {
    let unknown = |what: &str, value: &str, known: &str| {
        PyValueError::new_err(format!("{what}={value:?}: it can be {known}"))
    };
    Ok(WriterOptions {
        buffer_bytes,
        on_full: match &*on_full {
            "block" => OnFull::Block,
            "drop" => OnFull::Drop,
            other => return Err(unknown("on_full", other, "\"block\" or \"drop\"")),
        },
        durability: match &*durability {
            "process" => Durability::Process,
            "fsync" => Durability::Fsync,
            other => return Err(unknown("durability", other, "\"process\" or \"fsync\"")),
        },
        max_bytes,
        redact,
    })
}

/// How long a thread waits for room before it looks for Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(50);

/// Appends a line, which ends in a newline: with the interpreter, as nothing there waits, or else
/// without. Raises only for the first failure of a cause; the others are counted by the core. What
/// a signal handler raises while there is no room passes, and the line is given up.
pub(crate) fn append_line(py: Python<'_>, writer: &CoreWriter, line: &[u8]) -> PyResult<()> {
    let mut outcome = writer.try_append(line);
    while outcome.is_none() {
        outcome = py.detach(|| writer.append_within(line, PATIENCE));
        if outcome.is_none() {
            py.check_signals().inspect_err(|_| writer.give_up())?;
        }
    }
    match outcome {
        Some(Err(error)) if error.first => Err(append_error(writer, &error)),
        _ => Ok(()),
    }
}

/// [`append_line`] for a line that nobody waits for: where there is no room for long it is given up.
pub(crate) fn append_line_soon(py: Python<'_>, writer: &CoreWriter, line: &[u8]) -> PyResult<()> {
    let outcome =
        writer.try_append(line).or_else(|| py.detach(|| writer.append_within(line, PATIENCE)));
    match outcome {
        Some(Err(error)) if error.first => Err(append_error(writer, &error)),
        Some(_) => Ok(()),
        None => {
            writer.give_up();
            Ok(())
        }
    }
}

fn append_error(writer: &CoreWriter, error: &AppendError) -> PyErr {
    let path = writer.path().display();
    let message = format!("cannot write to {path}: {error}");
    match &error.cause {
        AppendCause::Os(source) => io_to_python(source, message),
        AppendCause::Closed => PyValueError::new_err(message),
        // Nothing has failed.
        AppendCause::Removed => PyUserWarning::new_err(format!("{path}: {error}")),
        AppendCause::Full => os_error(libc::EAGAIN, message),
    }
}
