//! The functions of `inspect_trace.action` that do what nothing is gained by doing here.

use inspect_trace_core::write::{fork, guest};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::logging::Env;
use crate::native_record::process_id;

/// What the Python side of actions has made known.
pub(crate) struct Helpers {
    /// The context variable of the current action.
    pub(crate) current: Py<PyAny>,
    pub(crate) text_of: Py<PyAny>,
    pub(crate) merged: Py<PyAny>,
    pub(crate) outcome_of: Py<PyAny>,
    pub(crate) emit: Py<PyAny>,
    pub(crate) log_message: Py<PyAny>,
    pub(crate) decorated: Py<PyAny>,
    warn_of_exception: Py<PyAny>,
    /// Of the process that loaded that module.
    generation: u64,
}

static HELPERS: PyOnceLock<Helpers> = PyOnceLock::new();

/// Makes the functions known, when their module is loaded.
#[pyfunction]
#[pyo3(signature = (
    *, current, text_of, merged, outcome_of, emit, log_message, decorated, warn_of_exception
))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn know_action_helpers(
    py: Python<'_>,
    current: Py<PyAny>,
    text_of: Py<PyAny>,
    merged: Py<PyAny>,
    outcome_of: Py<PyAny>,
    emit: Py<PyAny>,
    log_message: Py<PyAny>,
    decorated: Py<PyAny>,
    warn_of_exception: Py<PyAny>,
) {
    let helpers = Helpers {
        current,
        text_of,
        merged,
        outcome_of,
        emit,
        log_message,
        decorated,
        warn_of_exception,
        generation: fork::generation(),
    };
    let _ = HELPERS.set(py, helpers);
}

impl Helpers {
    #[inline]
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Self> {
        match HELPERS.get(py) {
            Some(helpers) => Ok(helpers),
            None => Self::load(py),
        }
    }

    #[cold]
    fn load(py: Python<'_>) -> PyResult<&'static Self> {
        py.import("inspect_trace.action")?;
        HELPERS.get(py).ok_or_else(|| PyRuntimeError::new_err("inspect_trace.action is incomplete"))
    }

    /// How many forks lie between this process and the one that loaded the helpers.
    #[inline]
    pub(crate) fn forks(&self) -> u64 {
        fork::generation().wrapping_sub(self.generation)
    }

    /// This process's id, where the logs that it writes to do not tell it by their names: in a fork, which
    /// writes to the log of its parent, and in a process that was given another one's log.
    #[inline]
    pub(crate) fn pid_to_name(&self) -> Option<u32> {
        (self.forks() != 0 || guest::is_guest()).then(process_id)
    }

    /// Reports an exception that tracing keeps from the program.
    #[cold]
    pub(crate) fn warn(&self, py: Python<'_>, doing: &str, error: PyErr) -> PyResult<()> {
        self.warn_of_exception.bind(py).call1((doing, error.into_value(py))).map(drop)
    }
}

/// What a clock of the module `time` says, be it the system's or not.
#[cold]
pub(crate) fn clock_of_python(py: Python<'_>, name: &str) -> PyResult<f64> {
    Env::get(py)?.time.bind(py).as_any().get_item(name)?.call0()?.extract()
}
