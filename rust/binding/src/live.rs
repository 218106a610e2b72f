//! A live view of logs, and what it shows at one moment.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inspect_trace_core::analyze::{self, LiveChoice, LiveOptions, LiveOrder, LivePlace};
use inspect_trace_core::read::parse_duration_s;
use inspect_trace_core::render::{self, LiveChanges, LiveFormat, TableStyle};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::error::to_python;
use crate::filter::{Filter, seconds};
use crate::record::text_to_python;
use crate::report::Report;
use crate::value::path_text;

struct View {
    view: analyze::LiveView,
    changes: LiveChanges,
}

/// A live view of logs.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct LiveView(Mutex<View>);

impl LiveView {
    /// To be called without the interpreter: who holds the lock may be waiting for it.
    fn lock(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl LiveView {
    #[new]
    #[pyo3(signature = (
        names, directory, cwd, *, filter = None, redact = true, no_detail = false, min_told = None,
        json = false
    ))]
    #[allow(clippy::too_many_arguments)] // the Python signature
    fn new(
        py: Python<'_>,
        names: Vec<PathBuf>,
        directory: PathBuf,
        cwd: PathBuf,
        filter: Option<&Bound<'_, Filter>>,
        redact: bool,
        no_detail: bool,
        min_told: Option<Bound<'_, PyAny>>,
        json: bool,
    ) -> PyResult<Self> {
        let filter = Filter::of(filter);
        let min_told = seconds(min_told, parse_duration_s)?;
        let options =
            LiveOptions { redact, no_detail, min_ended_s: min_told, ..LiveOptions::default() };
        let format = if json { LiveFormat::JsonLines } else { LiveFormat::Text };
        let changes = LiveChanges::new(format, min_told.unwrap_or(f64::INFINITY));
        py.detach(|| {
            let places = LivePlace::resolve_all(&names, &directory, &cwd)?;
            let view = analyze::LiveView::open(places, &filter, options)?;
            Ok(Self(Mutex::new(View { view, changes })))
        })
        .map_err(|error| to_python(&error))
    }

    /// Reads on for a while; false once all is read.
    fn step(&self, py: Python<'_>, duration: f64) -> PyResult<bool> {
        py.check_signals()?;
        let wait = Duration::from_secs_f64(duration.clamp(0.0, 1e6));
        py.detach(|| self.lock().view.step(wait)).map_err(|error| to_python(&error))
    }

    #[pyo3(signature = (as_of, *, text = None, limit = None, order = "longest", innermost = false))]
    fn snapshot(
        &self,
        py: Python<'_>,
        as_of: f64,
        text: Option<String>,
        limit: Option<usize>,
        order: &str,
        innermost: bool,
    ) -> PyResult<LiveSnapshot> {
        let order = LiveOrder::of(order)
            .ok_or_else(|| PyValueError::new_err(format!("'{order}' is no order")))?;
        let choice = LiveChoice { text, limit, order, innermost };
        Ok(LiveSnapshot(Arc::new(py.detach(|| self.lock().view.snapshot(as_of, &choice)))))
    }

    fn changes<'py>(&self, py: Python<'py>, as_of: f64) -> Bound<'py, PyBytes> {
        let lines = py.detach(|| {
            let mut locked = self.lock();
            let View { view, changes } = &mut *locked;
            changes.lines(&view.snapshot(as_of, &LiveChoice::default()))
        });
        PyBytes::new(py, &lines)
    }

    #[getter]
    fn over(&self, py: Python<'_>) -> bool {
        py.detach(|| self.lock().view.is_over())
    }

    #[getter]
    fn progress(&self, py: Python<'_>) -> Option<(u64, Option<u64>)> {
        let progress = py.detach(|| self.lock().view.progress())?;
        Some((progress.done_bytes, progress.total_bytes))
    }

    fn take_notes(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.lock().view.take_notes())
    }

    #[getter]
    fn skipped(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.lock().view.skipped())
    }
}

/// What a live view shows at one moment.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct LiveSnapshot(Arc<analyze::LiveSnapshot>);

#[pymethods]
impl LiveSnapshot {
    #[getter]
    fn as_of(&self) -> f64 {
        self.0.as_of_s
    }

    #[getter]
    fn running(&self) -> usize {
        self.0.running
    }

    #[getter]
    fn interrupted(&self) -> usize {
        self.0.interrupted
    }

    #[getter]
    fn chosen(&self) -> usize {
        self.0.chosen
    }

    #[getter]
    fn records(&self) -> u64 {
        self.0.records
    }

    #[getter]
    fn trace_files<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.0.logs.iter().map(|log| path_text(py, &log.path)).collect()
    }

    #[getter]
    fn written(&self) -> usize {
        self.0.logs.iter().filter(|log| log.is_written == Some(true)).count()
    }

    #[getter]
    fn open(&self) -> Vec<LiveAction> {
        let row = |open: &analyze::LiveAction| LiveAction {
            snapshot: Arc::clone(&self.0),
            cells: render::live_cells(&self.0, open),
            open: open.clone(),
        };
        self.0.open.iter().map(row).collect()
    }

    #[getter]
    fn counters(&self) -> Vec<LiveCounter> {
        let row = |counter: &analyze::LiveCounter| LiveCounter {
            cells: render::counter_cells(counter),
            counter: counter.clone(),
        };
        self.0.counters.iter().map(row).collect()
    }

    #[pyo3(signature = (lines, *, width = None, color = false))]
    fn frame(&self, py: Python<'_>, lines: usize, width: Option<usize>, color: bool) -> String {
        py.detach(|| render::live_frame(&self.0, lines, TableStyle { width, color }))
    }
}

/// An open action.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct LiveAction {
    snapshot: Arc<analyze::LiveSnapshot>,
    open: analyze::LiveAction,
    cells: render::LiveCells,
}

#[pymethods]
impl LiveAction {
    #[getter]
    fn number(&self) -> u64 {
        self.open.number
    }

    #[getter]
    fn trace_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text_to_python(py, &self.open.action.trace_id)
    }

    #[getter]
    fn duration(&self) -> f64 {
        self.open.duration_s
    }

    #[getter]
    fn interrupted(&self) -> bool {
        self.open.interrupted
    }

    #[getter]
    fn age(&self) -> &str {
        &self.cells.age
    }

    #[getter]
    fn action(&self) -> &str {
        &self.cells.action
    }

    #[getter]
    fn detail(&self) -> &str {
        &self.cells.detail
    }

    #[getter]
    fn sample(&self) -> &str {
        &self.cells.sample
    }

    #[getter]
    fn inside(&self) -> &str {
        &self.cells.inside
    }

    #[getter]
    fn pid(&self) -> &str {
        &self.cells.pid
    }

    #[getter]
    fn waits_in(&self) -> &str {
        &self.cells.waits_in
    }

    #[getter]
    fn log(&self) -> &str {
        &self.cells.log
    }

    #[getter]
    fn details(&self) -> String {
        render::live_details(&self.snapshot, &self.open)
    }

    #[pyo3(signature = (*, limit = None, redact = true))]
    fn records(&self, py: Python<'_>, limit: Option<u64>, redact: bool) -> PyResult<Report> {
        crate::report::open(py, || render::live_records(&self.snapshot, &self.open, limit, redact))
    }
}

/// What there is to count of one kind of action.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct LiveCounter {
    counter: analyze::LiveCounter,
    cells: render::CounterCells,
}

#[pymethods]
impl LiveCounter {
    #[getter]
    fn action(&self) -> &str {
        &self.cells.action
    }

    #[getter]
    fn open(&self) -> u64 {
        self.counter.open
    }

    #[getter]
    fn done(&self) -> u64 {
        self.counter.done
    }

    #[getter]
    fn failed(&self) -> u64 {
        self.counter.failed
    }

    #[getter]
    fn cancelled(&self) -> u64 {
        self.counter.cancelled
    }

    #[getter]
    fn rate(&self) -> &str {
        &self.cells.rate
    }

    #[getter]
    fn p50(&self) -> &str {
        &self.cells.p50
    }

    #[getter]
    fn p99(&self) -> &str {
        &self.cells.p99
    }
}
