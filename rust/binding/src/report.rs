//! What the commands print, chunk by chunk.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use inspect_trace_core::read::Filter;
use inspect_trace_core::render::{self, AnomaliesOptions, DumpFormat, HttpOptions, TableStyle};
use inspect_trace_core::{Result, store};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::to_python;

/// The output of a command, in chunks.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct Report(Mutex<Box<dyn render::Report>>);

#[pymethods]
impl Report {
    fn __iter__(report: Bound<'_, Self>) -> Bound<'_, Self> {
        report
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        py.check_signals()?;
        let chunk =
            py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next_chunk());
        match chunk {
            Ok(chunk) => Ok(chunk.map(|chunk| PyBytes::new(py, &chunk))),
            Err(error) => Err(to_python(&error)),
        }
    }

    fn take_notes(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).take_notes())
    }

    #[getter]
    fn skipped(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).skipped())
    }
}

fn open(
    py: Python<'_>,
    make: impl FnOnce() -> Result<Box<dyn render::Report>> + Send,
) -> PyResult<Report> {
    py.detach(make).map(|report| Report(Mutex::new(report))).map_err(|error| to_python(&error))
}

/// All records of a log as a JSON array, or as JSON Lines.
#[pyfunction]
#[pyo3(signature = (path, *, filter = None, jsonl = false))]
pub(crate) fn dump_report(
    py: Python<'_>,
    path: PathBuf,
    filter: Option<&str>,
    jsonl: bool,
) -> PyResult<Report> {
    let filter = Filter::new(filter);
    let format = if jsonl { DumpFormat::JsonLines } else { DumpFormat::JsonArray };
    open(py, || render::dump_report(&path, &filter, format))
}

/// The records of a log, from an offset on, and then those that are appended, as JSON Lines.
#[pyfunction]
#[pyo3(signature = (path, *, filter = None, start_offset = 0))]
pub(crate) fn follow_report(
    py: Python<'_>,
    path: PathBuf,
    filter: Option<&str>,
    start_offset: u64,
) -> PyResult<Report> {
    let filter = Filter::new(filter);
    open(py, || render::follow_report(&path, &filter, start_offset))
}

/// The HTTP records of a log, as a table or as JSON.
#[pyfunction]
#[pyo3(signature = (
    path, *, filter = None, failed = false, json = false, as_of, width = None, color = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn http_report(
    py: Python<'_>,
    path: PathBuf,
    filter: Option<&str>,
    failed: bool,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
) -> PyResult<Report> {
    let filter = Filter::new(filter);
    let options = HttpOptions { failed, json, as_of_s: as_of, style: TableStyle { width, color } };
    open(py, || render::http_report(&path, &filter, &options))
}

/// The anomalies of a log, as tables or as JSON.
#[pyfunction]
#[pyo3(signature = (
    path, *, filter = None, show_all = false, json = false, as_of, width = None, color = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn anomalies_report(
    py: Python<'_>,
    path: PathBuf,
    filter: Option<&str>,
    show_all: bool,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
) -> PyResult<Report> {
    let filter = Filter::new(filter);
    let options =
        AnomaliesOptions { show_all, json, as_of_s: as_of, style: TableStyle { width, color } };
    open(py, || render::anomalies_report(&path, &filter, &options))
}

/// One chunk that is there already.
struct Ready(Option<Vec<u8>>);

impl render::Report for Ready {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.0.take())
    }

    fn skipped(&self) -> Option<String> {
        None
    }
}

/// The trace logs of a directory, as a table or as JSON.
#[pyfunction]
#[pyo3(signature = (directory, *, json = false, width = None, color = false))]
pub(crate) fn list_report(
    py: Python<'_>,
    directory: PathBuf,
    json: bool,
    width: Option<usize>,
    color: bool,
) -> PyResult<Report> {
    open(py, || {
        let files = store::list(&directory)?;
        let style = TableStyle { width, color };
        let text = if json { render::list_json(&files) } else { render::list_table(&files, style) };
        Ok(Box::new(Ready(Some(text.into_bytes()))))
    })
}

/// The text with everything that could steer a terminal made visible.
#[pyfunction]
pub(crate) fn terminal_safe(text: &Bound<'_, pyo3::types::PyString>) -> String {
    render::terminal_safe(&crate::value::wtf8(text))
}
