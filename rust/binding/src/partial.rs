//! Questions that many machines answer together: what travels between them, as Python's objects.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use inspect_trace_core::analyze::Outcomes;
use inspect_trace_core::analyze::http_request;
use inspect_trace_core::analyze::stats::MAX_GROUPS;
use inspect_trace_core::partial::{
    self, Analysis, PlanOptions, State, Task, Work, plan, tell_anomalies, tell_diff, tell_http,
    tell_stats,
};
use inspect_trace_core::read::{Log, ScanOptions};
use inspect_trace_core::render::{
    AnomaliesOptions, DiffOptions, HttpOptions, StatsReportOptions, TableStyle,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::to_python;
use crate::filter::Filter;
use crate::logs::{WAIT, logs, with_parts};
use crate::report::{Report, grouped_by, open};

/// What is asked of logs.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct Question(partial::Question);

impl Question {
    fn of(analysis: Analysis, filter: Option<&Bound<'_, Filter>>, as_of_s: f64) -> Self {
        Self(partial::Question { analysis, filter: Filter::of(filter), as_of_s })
    }
}

#[pymethods]
impl Question {
    /// What did not simply end; with `show_all`, also what failed.
    #[staticmethod]
    #[pyo3(signature = (*, filter = None, as_of, show_all = false))]
    fn anomalies(filter: Option<&Bound<'_, Filter>>, as_of: f64, show_all: bool) -> Self {
        let outcomes = if show_all { Outcomes::All } else { Outcomes::OpenAndCancelled };
        Self::of(Analysis::Anomalies(outcomes), filter, as_of)
    }

    /// What actions amount to.
    #[staticmethod]
    #[pyo3(signature = (*, by, filter = None, as_of, slowest = 0, redact = false, no_detail = false))]
    fn stats(
        by: &str,
        filter: Option<&Bound<'_, Filter>>,
        as_of: f64,
        slowest: usize,
        redact: bool,
        no_detail: bool,
    ) -> PyResult<Self> {
        let (by, max_groups) = (grouped_by(by)?, MAX_GROUPS);
        let analysis = Analysis::Stats { by, slowest, max_groups, redact, no_detail };
        Ok(Self::of(analysis, filter, as_of))
    }

    /// The HTTP requests.
    #[staticmethod]
    #[pyo3(signature = (
        *, filter = None, as_of, failed = false, limit = None, redact = false, no_detail = false
    ))]
    fn http(
        filter: Option<&Bound<'_, Filter>>,
        as_of: f64,
        failed: bool,
        limit: Option<u64>,
        redact: bool,
        no_detail: bool,
    ) -> Self {
        Self::of(Analysis::Http { failed, limit, redact, no_detail }, filter, as_of)
    }
}

/// Number, how many there are, and the bytes of a log where it begins and ends, of one of its parts.
type Range = (u32, u32, u64, Option<u64>);

/// How some logs are dealt out: the number of the first log of each task, the names, which part it is, and
/// how many bytes are stored of it.
#[pyfunction]
#[pyo3(signature = (question, paths, *, workers, in_parts = true))]
pub(crate) fn plan_tasks(
    py: Python<'_>,
    question: &Bound<'_, Question>,
    paths: Vec<PathBuf>,
    workers: usize,
    in_parts: bool,
) -> Vec<(u64, Vec<OsString>, Option<Range>, u64)> {
    let question = &question.get().0;
    let options = PlanOptions { workers, in_parts, ..PlanOptions::default() };
    let tasks = py.detach(|| plan(question, &with_parts(&paths), options, ScanOptions::default()));
    let name = |log: &Log| log.path.clone().into_os_string();
    let size = |log: &Log| log.end.unwrap_or_else(|| log.size_bytes()).saturating_sub(log.start);
    let told = tasks.iter().map(|task| {
        let range = task.range.zip(task.logs.first());
        let range = range.map(|((number, of), log)| (number, of, log.start, log.end));
        let size_bytes = task.logs.iter().map(size).sum();
        (task.first_log, task.logs.iter().map(name).collect(), range, size_bytes)
    });
    told.collect()
}

/// Does a task: what is found, as bytes.
#[pyfunction]
#[pyo3(signature = (question, paths, first_log, *, range = None, tail = None, threads = None))]
pub(crate) fn partial_state<'py>(
    py: Python<'py>,
    question: &Bound<'_, Question>,
    paths: Vec<PathBuf>,
    first_log: u64,
    range: Option<Range>,
    tail: Option<usize>,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyBytes>> {
    let question = &question.get().0;
    let wants = question.clone();
    let logs = logs(py, paths, tail, move |record| match wants.analysis {
        Analysis::Http { failed, .. } => {
            wants.filter.matches(record)
                && http_request(record).is_some_and(|r| r.failed || !failed)
        }
        _ => true,
    })?;
    let task = task_of(logs, first_log, range, threads);
    let mut work = py.detach(|| Work::new(question, task));
    while py.detach(|| work.step(WAIT)).map_err(|error| to_python(&error))? {
        py.check_signals()?;
    }
    let bytes = py.detach(|| work.finish().encode()).map_err(|error| to_python(&error))?;
    Ok(PyBytes::new(py, &bytes))
}

/// What is told of a task that could not be done, for this reason.
#[pyfunction]
#[pyo3(signature = (question, paths, first_log, reason, *, range = None))]
pub(crate) fn failed_state<'py>(
    py: Python<'py>,
    question: &Bound<'_, Question>,
    paths: Vec<PathBuf>,
    first_log: u64,
    reason: &str,
    range: Option<Range>,
) -> PyResult<Bound<'py, PyBytes>> {
    let task = task_of(with_parts(&paths), first_log, range, None);
    let state = Work::failed(&question.get().0, &task, reason);
    let bytes = state.encode().map_err(|error| to_python(&error))?;
    Ok(PyBytes::new(py, &bytes))
}

fn task_of(
    mut logs: Vec<Log>,
    first_log: u64,
    range: Option<Range>,
    threads: Option<usize>,
) -> Task {
    let scan = ScanOptions::default();
    let scan = ScanOptions { threads: threads.unwrap_or(scan.threads).max(1), ..scan };
    if let (Some((number, _, start, end)), Some(log)) = (range, logs.first_mut()) {
        *log = Log { start, end, continues: number > 0, ..log.clone() };
    }
    Task { first_log, logs, range: range.map(|(number, of, ..)| (number, of)), scan }
}

/// What is known of the answer so far.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct PartialState(Mutex<State>);

impl PartialState {
    fn with<T>(&self, py: Python<'_>, act: impl FnOnce(&mut State) -> T + Send) -> T
    where
        T: Send,
    {
        py.detach(|| act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// All of it, which is not here any more then.
    fn take(&self) -> State {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.take()
    }
}

#[pymethods]
impl PartialState {
    #[new]
    fn new(question: &Bound<'_, Question>) -> Self {
        Self(Mutex::new(State::new(&question.get().0)))
    }

    /// Adds what somebody has found.
    fn add(&self, py: Python<'_>, state: &[u8]) -> PyResult<()> {
        self.with(py, |known| known.add(state)).map_err(|error| to_python(&error))
    }

    /// The same as bytes, to be added elsewhere.
    fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.with(py, |known| known.encode()).map_err(|error| to_python(&error))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// How many logs are known.
    #[getter]
    fn logs(&self, py: Python<'_>) -> u64 {
        self.with(py, |known| known.logs())
    }
}

/// The anomalies of so many logs, as tables or as JSON.
#[pyfunction]
#[pyo3(signature = (
    state, logs, *, show_all = false, limit = None, json = false, as_of, width = None, color = false,
    redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn anomalies_answer(
    py: Python<'_>,
    state: &Bound<'_, PartialState>,
    logs: u64,
    show_all: bool,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let style = TableStyle { width, color };
    let as_of_s = as_of;
    let options = AnomaliesOptions { show_all, limit, redact, no_detail, json, as_of_s, style };
    let state = state.get().take();
    open(py, || tell_anomalies(state, logs, &options))
}

/// What the actions of so many logs amount to, as tables or as JSON.
#[pyfunction]
#[pyo3(signature = (
    state, logs, *, by, slowest = 0, limit = None, json = false, as_of, width = None, color = false,
    redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn stats_answer(
    py: Python<'_>,
    state: &Bound<'_, PartialState>,
    logs: u64,
    by: &str,
    slowest: usize,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let options = StatsReportOptions {
        by: grouped_by(by)?,
        slowest,
        limit,
        redact,
        no_detail,
        json,
        as_of_s: as_of,
        style: TableStyle { width, color },
        ..StatsReportOptions::default()
    };
    let state = state.get().take();
    open(py, || tell_stats(state, logs, &options))
}

/// What has changed from so many logs to so many others, as a table or as JSON.
#[pyfunction]
#[pyo3(signature = (
    before, logs_before, after, logs_after, *, by, limit = None, json = false, as_of, width = None,
    color = false, redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn diff_answer(
    py: Python<'_>,
    before: &Bound<'_, PartialState>,
    logs_before: u64,
    after: &Bound<'_, PartialState>,
    logs_after: u64,
    by: &str,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let options = DiffOptions {
        by: grouped_by(by)?,
        limit,
        redact,
        no_detail,
        json,
        as_of_s: as_of,
        style: TableStyle { width, color },
        ..DiffOptions::default()
    };
    let (before, after) = (before.get().take(), after.get().take());
    open(py, || tell_diff((before, logs_before), (after, logs_after), &options))
}

/// The HTTP requests of so many logs, as a table or as JSON.
#[pyfunction]
#[pyo3(signature = (
    state, logs, *, failed = false, limit = None, json = false, as_of, width = None, color = false,
    redact = false, no_detail = false
))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // the Python signature
pub(crate) fn http_answer(
    py: Python<'_>,
    state: &Bound<'_, PartialState>,
    logs: u64,
    failed: bool,
    limit: Option<u64>,
    json: bool,
    as_of: f64,
    width: Option<usize>,
    color: bool,
    redact: bool,
    no_detail: bool,
) -> PyResult<Report> {
    let style = TableStyle { width, color };
    let as_of_s = as_of;
    let options = HttpOptions { failed, limit, redact, no_detail, json, as_of_s, style };
    let state = state.get().take();
    open(py, || tell_http(state, logs, &options))
}
