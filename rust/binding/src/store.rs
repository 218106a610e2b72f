//! The trace directory: listing, finding, housekeeping.

use std::path::PathBuf;

use inspect_trace_core::store;
use pyo3::prelude::*;

use crate::error::to_python;
use crate::value::path_text;

/// One trace log of a trace directory.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct TraceFile(store::TraceFile);

#[pymethods]
impl TraceFile {
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        path_text(py, &self.0.path)
    }

    #[getter]
    fn mtime(&self) -> f64 {
        self.0.mtime_s
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size_bytes
    }

    #[getter]
    fn pid(&self) -> Option<u32> {
        self.0.pid
    }

    #[getter]
    fn alive(&self) -> Option<bool> {
        self.0.alive
    }

    #[getter]
    fn run_id(&self) -> Option<&str> {
        self.0.run_id.as_deref()
    }

    #[getter]
    fn is_child(&self) -> bool {
        self.0.is_child
    }

    #[getter]
    fn parts(&self) -> usize {
        self.0.parts
    }

    #[getter]
    fn command(&self) -> Option<Vec<String>> {
        self.0.command.clone()
    }

    fn __repr__(&self) -> String {
        format!(
            "<TraceFile {} mtime={} size={} pid={:?} alive={:?}>",
            self.0.path.display(),
            self.0.mtime_s,
            self.0.size_bytes,
            self.0.pid,
            self.0.alive
        )
    }
}

/// The trace logs of a directory, the most recently written first.
#[pyfunction]
pub(crate) fn list_trace_files(py: Python<'_>, directory: PathBuf) -> PyResult<Vec<TraceFile>> {
    py.detach(|| store::list(&directory))
        .map(|files| files.into_iter().map(TraceFile).collect())
        .map_err(|error| to_python(&error))
}

/// The path of the log that a name stands for.
#[pyfunction]
#[pyo3(signature = (name, directory, cwd))]
pub(crate) fn resolve_trace_file(
    py: Python<'_>,
    name: Option<PathBuf>,
    directory: PathBuf,
    cwd: PathBuf,
) -> PyResult<Bound<'_, PyAny>> {
    let path = py
        .detach(|| store::resolve(name.as_deref(), &directory, &cwd))
        .map_err(|error| to_python(&error))?;
    path_text(py, &path)
}

/// The paths of the logs that some names stand for, those of a directory's logs included.
#[pyfunction]
pub(crate) fn resolve_trace_files(
    py: Python<'_>,
    names: Vec<PathBuf>,
    directory: PathBuf,
    cwd: PathBuf,
) -> PyResult<Vec<Bound<'_, PyAny>>> {
    let paths = py
        .detach(|| store::resolve_all(&names, &directory, &cwd))
        .map_err(|error| to_python(&error))?;
    paths.iter().map(|path| path_text(py, path)).collect()
}

/// What one housekeeping of a trace directory did.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct HousekeepingReport(store::HousekeepingReport);

#[pymethods]
impl HousekeepingReport {
    #[getter]
    fn compressed(&self) -> usize {
        self.0.compressed
    }

    #[getter]
    fn removed(&self) -> usize {
        self.0.removed
    }

    #[getter]
    fn stale_temporaries(&self) -> usize {
        self.0.stale_temporaries
    }

    #[getter]
    fn skipped_because_busy(&self) -> bool {
        self.0.skipped_because_busy
    }
}

/// Compresses finished logs and removes those of runs beyond the newest `keep_runs`.
#[pyfunction]
#[pyo3(signature = (directory, keep_runs, *, archived = false))]
pub(crate) fn housekeep(
    py: Python<'_>,
    directory: PathBuf,
    keep_runs: usize,
    archived: bool,
) -> HousekeepingReport {
    HousekeepingReport(py.detach(|| store::housekeep_archived(&directory, keep_runs, archived)))
}

/// Does what `housekeep` does, on a background thread that nobody waits for.
#[pyfunction]
#[pyo3(signature = (directory, keep_runs, *, archived = false))]
pub(crate) fn spawn_housekeeping(directory: PathBuf, keep_runs: usize, archived: bool) {
    store::spawn_housekeeping(directory, keep_runs, archived);
}
