//! `anomalies` and its answer.

use std::path::PathBuf;

use inspect_trace_core::analyze::AnomaliesScanOptions;
use inspect_trace_core::analyze::{DatedAction, Diagnosis, DiagnosisScan};
use inspect_trace_core::clock;
use inspect_trace_core::record::Text;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::to_python;
use crate::filter::Filter;
use crate::logs::{WAIT, logs};
use crate::record::{json_to_python, text_to_python};

/// A traced action and how it ended.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct Action(DatedAction);

fn optional<'py>(py: Python<'py>, text: Option<&Text>) -> PyResult<Option<Bound<'py, PyString>>> {
    text.map(|text| text_to_python(py, text)).transpose()
}

fn json<'py>(py: Python<'py>, json: Option<&Text>) -> PyResult<Option<Bound<'py, PyAny>>> {
    json.map(|json| json_to_python(py, json)).transpose()
}

#[pymethods]
impl Action {
    #[getter]
    fn action<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text_to_python(py, &self.0.action.action)
    }

    #[getter]
    fn detail<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text_to_python(py, &self.0.action.detail)
    }

    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text_to_python(py, &self.0.action.message)
    }

    #[getter]
    fn event(&self) -> &'static str {
        self.0.action.event.as_str()
    }

    #[getter]
    fn trace_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text_to_python(py, &self.0.action.trace_id)
    }

    #[getter]
    fn parent_id<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional(py, self.0.action.parent_id.as_ref())
    }

    #[getter]
    fn start_time(&self) -> Option<f64> {
        self.0.action.start_time_s
    }

    #[getter]
    fn duration(&self) -> f64 {
        self.0.duration_s
    }

    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional(py, self.0.action.error.as_ref())
    }

    #[getter]
    fn error_type<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional(py, self.0.action.error_type.as_ref())
    }

    #[getter]
    fn stacktrace<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional(py, self.0.action.stacktrace.as_ref())
    }

    #[getter]
    fn stack<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        json(py, self.0.action.stack.as_ref())
    }

    #[getter]
    fn task<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        json(py, self.0.action.task.as_ref())
    }

    #[getter]
    fn sample_id<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        json(py, self.0.action.sample_id.as_ref())
    }

    #[getter]
    fn epoch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        json(py, self.0.action.epoch.as_ref())
    }

    #[getter]
    fn pid(&self) -> Option<u32> {
        self.0.action.pid
    }

    #[getter]
    fn interrupted(&self) -> bool {
        self.0.interrupted
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let action = self.action(py)?.repr()?;
        let detail = self.detail(py)?.repr()?;
        Ok(format!("<Action {action} {detail} {} duration={}>", self.event(), self.0.duration_s))
    }
}

/// The actions of a log that did not simply end well.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct Anomalies {
    diagnosis: Diagnosis,
}

fn actions<'a>(actions: impl IntoIterator<Item = &'a DatedAction>) -> Vec<Action> {
    actions.into_iter().cloned().map(Action).collect()
}

#[pymethods]
impl Anomalies {
    #[getter]
    fn running(&self) -> Vec<Action> {
        actions(self.diagnosis.running())
    }

    #[getter]
    fn interrupted(&self) -> Vec<Action> {
        actions(self.diagnosis.interrupted())
    }

    #[getter]
    fn cancelled(&self) -> Vec<Action> {
        actions(&self.diagnosis.cancelled)
    }

    #[getter]
    fn errors(&self) -> Vec<Action> {
        actions(&self.diagnosis.errors)
    }

    #[getter]
    fn timeouts(&self) -> Vec<Action> {
        actions(&self.diagnosis.timeouts)
    }

    #[getter]
    fn pid(&self) -> Option<u32> {
        self.diagnosis.process.pid
    }

    #[getter]
    fn alive(&self) -> Option<bool> {
        self.diagnosis.process.alive
    }

    #[getter]
    fn ended_at(&self) -> Option<f64> {
        self.diagnosis.ended_at_s
    }

    #[getter]
    fn skipped(&self) -> Option<String> {
        crate::logs::lines(&self.diagnosis.notes)
    }
}

/// The anomalies of the log at a path.
#[pyfunction]
#[pyo3(signature = (path, *, filter = None, tail = None, as_of = None))]
pub(crate) fn anomalies(
    py: Python<'_>,
    path: PathBuf,
    filter: Option<&Bound<'_, Filter>>,
    tail: Option<usize>,
    as_of: Option<f64>,
) -> PyResult<Anomalies> {
    let filter = Filter::of(filter);
    let failed = |error| to_python(&error);
    let log = logs(py, vec![path], tail, |_| true)?.remove(0);
    let mut scan = py
        .detach(|| DiagnosisScan::open(&log, &filter, AnomaliesScanOptions::default()))
        .map_err(failed)?;
    // Step by step, so that Ctrl-C is answered.
    while py.detach(|| scan.step(WAIT)).map_err(failed)? {
        py.check_signals()?;
    }
    let diagnosis = py.detach(|| scan.finish(as_of.unwrap_or_else(clock::now_s)));
    Ok(Anomalies { diagnosis })
}
