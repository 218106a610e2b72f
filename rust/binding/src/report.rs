//! What the commands print, chunk by chunk.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use inspect_trace_core::Result;
use inspect_trace_core::analyze::{By, http_request};
use inspect_trace_core::read::ScanOptions;
use inspect_trace_core::render::{
    self, AnomaliesOptions, DiffOptions, DumpFormat, DumpOptions, ExportFormat, ExportOptions,
    HttpOptions, ListOptions, Output, StatsReportOptions, TableStyle, TimelineOptions, TreeOptions,
    VerifyOptions,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{io_to_python, to_python};
use crate::filter::Filter;
use crate::logs::{log, logs, with_parts};

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

    /// Writes chunks for a while; false once all is written.
    #[pyo3(signature = (fd, duration, name = None))]
    fn write_to(
        &self,
        py: Python<'_>,
        fd: i32,
        duration: f64,
        name: Option<&str>,
    ) -> PyResult<bool> {
        py.check_signals()?;
        let until = Instant::now() + Duration::from_secs_f64(duration.clamp(0.0, 1e6));
        py.detach(|| {
            let mut report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            write_until(&mut **report, fd, until, name.unwrap_or("standard output"))
        })
    }

    #[getter]
    fn streams(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).streams())
    }

    #[getter]
    fn progress(&self, py: Python<'_>) -> Option<(u64, Option<u64>)> {
        let progress =
            py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).progress())?;
        Some((progress.done_bytes, progress.total_bytes))
    }

    #[getter]
    fn failed(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).has_failed())
    }

    #[getter]
    fn found_problems(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).found_problems())
    }

    fn take_notes(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).take_notes())
    }

    #[getter]
    fn skipped(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).skipped())
    }
}

/// Without the interpreter.
fn write_until(
    report: &mut dyn render::Report,
    fd: i32,
    until: Instant,
    name: &str,
) -> PyResult<bool> {
    let refused = |error: &io::Error| {
        let reason = inspect_trace_core::error::reason(error);
        io_to_python(error, format!("cannot write to {name}: {reason}"))
    };
    let output = Output::of_fd(fd).map_err(|error| refused(&error))?;
    loop {
        let Some(chunk) = report.next_chunk().map_err(|error| to_python(&error))? else {
            return Ok(false);
        };
        let mut interrupted = None;
        let mut go_on = || {
            // A closure, as the method itself is not general enough.
            #[allow(clippy::redundant_closure_for_method_calls)]
            let checked = Python::attach(|py| py.check_signals());
            interrupted = checked.err();
            interrupted.is_none()
        };
        let written = if chunk.is_empty() {
            go_on() // nothing to write, nor to wait for
        } else {
            output.write_all(&chunk, &mut go_on).map_err(|error| refused(&error))?
        };
        report.recycle(chunk);
        if let (false, Some(interrupted)) = (written, interrupted) {
            return Err(interrupted);
        }
        if Instant::now() >= until {
            return Ok(true);
        }
    }
}

pub(crate) fn open(
    py: Python<'_>,
    make: impl FnOnce() -> Result<Box<dyn render::Report>> + Send,
) -> PyResult<Report> {
    py.detach(make).map(|report| Report(Mutex::new(report))).map_err(|error| to_python(&error))
}

/// All records of some logs as a JSON array, or as JSON Lines.
#[pyfunction]
#[pyo3(signature = (paths, *, filter = None, jsonl = false, tail = None, limit = None, redact = false, no_detail = false))]
#[allow(clippy::too_many_arguments)] // the Python signature
pub(crate) fn dump_report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    filter: Option<&Bound<'_, Filter>>,
    jsonl: bool,
    tail: Option<usize>,
    limit: Option<u64>,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let format = if jsonl { DumpFormat::JsonLines } else { DumpFormat::JsonArray };
    let wants = filter.clone();
    let logs = logs(py, paths, tail, move |record| wants.matches(record))?;
    open(py, || {
        render::dump_report(&logs, &filter, DumpOptions { format, limit, redact, no_detail })
    })
}

/// The records of a log, and then those that are appended, as JSON Lines.
#[pyfunction]
#[pyo3(signature = (path, *, filter = None, tail = None, redact = false, no_detail = false))]
pub(crate) fn follow_report(
    py: Python<'_>,
    path: PathBuf,
    filter: Option<&Bound<'_, Filter>>,
    tail: Option<usize>,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let log = log(py, path, tail, &filter)?;
    open(py, || render::follow_report(&log, &filter, redact, no_detail))
}

/// The HTTP records of a log, as a table or as JSON.
#[pyfunction]
#[pyo3(signature = (
    paths, *, filter = None, failed = false, tail = None, limit = None, json = false, as_of,
    width = None, color = false, redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn http_report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    filter: Option<&Bound<'_, Filter>>,
    failed: bool,
    tail: Option<usize>,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let style = TableStyle { width, color };
    let options = HttpOptions { failed, limit, redact, no_detail, json, as_of_s: as_of, style };
    let wants = filter.clone();
    let logs = logs(py, paths, tail, move |record| {
        wants.matches(record) && http_request(record).is_some_and(|r| r.failed || !failed)
    })?;
    open(py, || render::http_report(&logs, &filter, &options))
}

/// The anomalies of a log, as tables or as JSON.
#[pyfunction]
#[pyo3(signature = (
    paths, *, filter = None, show_all = false, tail = None, limit = None, json = false, as_of,
    width = None, color = false, redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn anomalies_report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    filter: Option<&Bound<'_, Filter>>,
    show_all: bool,
    tail: Option<usize>,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let options = AnomaliesOptions {
        show_all,
        limit,
        redact,
        no_detail,
        json,
        as_of_s: as_of,
        style: TableStyle { width, color },
    };
    // Of the log's records, wanted or not: an action is known by all of its records.
    let logs = logs(py, paths, tail, |_| true)?;
    open(py, || render::anomalies_report(&logs, &filter, &options))
}

/// The actions of some logs within those that they are in, as text or as JSON.
#[pyfunction]
#[pyo3(signature = (
    paths, *, filter = None, running = false, tail = None, limit = None, json = false, as_of,
    width = None, color = false, redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn tree_report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    filter: Option<&Bound<'_, Filter>>,
    running: bool,
    tail: Option<usize>,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let style = TableStyle { width, color };
    let as_of_s = as_of;
    let options = TreeOptions {
        running,
        limit,
        redact,
        no_detail,
        json,
        as_of_s,
        style,
        ..TreeOptions::default()
    };
    // Of the log's records, wanted or not: an action is known by all of its records.
    let logs = logs(py, paths, tail, |_| true)?;
    open(py, || render::tree_report(&logs, &filter, &options))
}

/// What the actions of some logs amount to, as tables or as JSON.
#[pyfunction]
#[pyo3(signature = (
    paths, *, by, filter = None, slowest = 0, tail = None, limit = None, json = false, as_of,
    width = None, color = false, redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn stats_report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    by: &str,
    filter: Option<&Bound<'_, Filter>>,
    slowest: usize,
    tail: Option<usize>,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let by = grouped_by(by)?;
    let options = StatsReportOptions {
        by,
        slowest,
        limit,
        redact,
        no_detail,
        json,
        as_of_s: as_of,
        style: TableStyle { width, color },
        ..StatsReportOptions::default()
    };
    // Of the log's records, wanted or not: an action is known by all of its records.
    let logs = logs(py, paths, tail, |_| true)?;
    open(py, || render::stats_report(&logs, &filter, &options))
}

/// What has changed from some logs to others, as a table or as JSON.
#[pyfunction]
#[pyo3(signature = (
    before, after, *, by, filter = None, tail = None, limit = None, json = false, as_of,
    width = None, color = false, redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn diff_report(
    py: Python<'_>,
    before: Vec<PathBuf>,
    after: Vec<PathBuf>,
    by: &str,
    filter: Option<&Bound<'_, Filter>>,
    tail: Option<usize>,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let (by, style) = (grouped_by(by)?, TableStyle { width, color });
    let options = DiffOptions {
        by,
        limit,
        redact,
        no_detail,
        json,
        as_of_s: as_of,
        style,
        ..DiffOptions::default()
    };
    let before = logs(py, before, tail, |_| true)?;
    let after = logs(py, after, tail, |_| true)?;
    open(py, || render::diff_report(&before, &after, &filter, &options))
}

pub(crate) fn grouped_by(name: &str) -> PyResult<By> {
    By::of(name).ok_or_else(|| PyValueError::new_err(format!("'{name}' is nothing to group by")))
}

/// Some logs in the format of another tool: `perfetto`, `otlp`, `csv` or `typed-csv`.
#[pyfunction]
#[pyo3(signature = (paths, to, *, filter = None, tail = None, as_of, redact = false, no_detail = false))]
#[allow(clippy::too_many_arguments)] // the Python signature
pub(crate) fn export_report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    to: &str,
    filter: Option<&Bound<'_, Filter>>,
    tail: Option<usize>,
    as_of: f64,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let format = match to {
        "perfetto" => ExportFormat::Perfetto,
        "otlp" => ExportFormat::Otlp,
        "csv" => ExportFormat::Csv,
        "typed-csv" => ExportFormat::TypedCsv,
        _ => return Err(PyValueError::new_err(format!("'{to}' is no format"))),
    };
    let shows_records = matches!(format, ExportFormat::Csv | ExportFormat::TypedCsv);
    let wants = filter.clone();
    let logs = logs(py, paths, tail, move |record| !shows_records || wants.matches(record))?;
    let options =
        ExportOptions { format, as_of_s: as_of, redact, no_detail, scan: ScanOptions::default() };
    open(py, || render::export_report(&logs, &filter, &options))
}

/// The actions of some logs over time, as an HTML page.
#[pyfunction]
#[pyo3(signature = (paths, *, filter = None, tail = None, limit = None, as_of, redact = false, no_detail = false))]
#[allow(clippy::too_many_arguments)] // the Python signature
pub(crate) fn timeline_report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    filter: Option<&Bound<'_, Filter>>,
    tail: Option<usize>,
    limit: Option<u64>,
    as_of: f64,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let filter = Filter::of(filter);
    let limit = limit.unwrap_or(render::DEFAULT_TIMELINE_LIMIT);
    let options =
        TimelineOptions { limit, redact, no_detail, as_of_s: as_of, ..TimelineOptions::default() };
    // Of the log's records, wanted or not: an action is known by all of its records.
    let logs = logs(py, paths, tail, |_| true)?;
    open(py, || render::timeline_report(&logs, &filter, &options))
}

/// What is wrong with some logs, as lines or as JSON.
#[pyfunction]
#[pyo3(signature = (paths, *, limit = None, json = false, as_of))]
pub(crate) fn verify_report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
) -> PyResult<Report> {
    let options = VerifyOptions { limit, json, as_of_s: as_of };
    open(py, || render::verify_report(&with_parts(&paths), options))
}

/// The trace logs of a directory, as a table or as JSON.
#[pyfunction]
#[pyo3(signature = (directory, *, long = false, no_detail = false, json = false, as_of, width = None, color = false))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn list_report(
    py: Python<'_>,
    directory: PathBuf,
    long: bool,
    no_detail: bool,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
) -> PyResult<Report> {
    let style = TableStyle { width, color };
    open(py, || {
        render::list_report(
            &directory,
            ListOptions { long, no_detail, json, as_of_s: as_of, style },
        )
    })
}

/// The text with everything that could steer a terminal made visible.
#[pyfunction]
pub(crate) fn terminal_safe(text: &Bound<'_, pyo3::types::PyString>) -> String {
    render::terminal_safe(&crate::value::wtf8(text))
}
