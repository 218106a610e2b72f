//! The fields of the current context, which stand on every line that is written in it.

use std::sync::atomic::{AtomicBool, Ordering};

use inspect_trace_core::write::context::ContextFields as Fields;
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::raw;
use crate::value::{Encoding, write_value};

static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// Whether there have been any: programs without a context do not look for one.
static IS_USED: AtomicBool = AtomicBool::new(false);

/// The fields of a context, ready to be written.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ContextFields {
    names: Vec<Py<PyString>>,
    /// As they were given.
    values: Py<PyDict>,
    fields: Fields,
}

#[pymethods]
impl ContextFields {
    #[new]
    fn new(fields: &Bound<'_, PyDict>) -> PyResult<Self> {
        let encoding = Encoding::default();
        let values = fields.copy()?.unbind();
        let mut made = Self { names: Vec::new(), values, fields: Fields::default() };
        for (name, value) in fields {
            let name = name.cast_into::<PyString>()?;
            let text = name.to_str()?;
            if !Fields::is_free_name(text.as_bytes()) {
                return Err(PyValueError::new_err(format!(
                    "a context cannot have a field {text:?}: records have one of their own"
                )));
            }
            made.fields.push(text.as_bytes(), |json| write_value(&encoding, json, &value));
            made.names.push(name.unbind());
        }
        if let Some(interrupt) = encoding.take_interrupt() {
            return Err(interrupt);
        }
        IS_USED.store(true, Ordering::Relaxed);
        Ok(made)
    }

    /// These with others, which replace those of the same name.
    fn with_fields(&self, others: &Bound<'_, Self>) -> PyResult<Self> {
        let py = others.py();
        let fields = self.values.bind(py).copy()?;
        fields.update(others.get().values.bind(py).as_mapping())?;
        Self::new(&fields)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.values)
    }
}

/// Makes the context variable known that holds the fields of the current context.
#[pyfunction]
pub(crate) fn know_context(variable: &Bound<'_, PyAny>) {
    let _ = VARIABLE.set(variable.py(), variable.clone().unbind());
}

/// Adds the fields of the current context to a line, which has no newline yet. What `record` has of
/// its own comes first.
#[inline]
pub(crate) fn add_to(
    py: Python<'_>,
    line: &mut Vec<u8>,
    record: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    if IS_USED.load(Ordering::Relaxed) { add_current(py, line, record) } else { Ok(()) }
}

fn add_current(
    py: Python<'_>,
    line: &mut Vec<u8>,
    record: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let Some(variable) = VARIABLE.get(py) else { return Ok(()) };
    let found = raw::context_value(variable.bind(py))?;
    let Ok(context) = found.cast::<ContextFields>() else { return Ok(()) };
    let context = context.get();
    match record {
        None => context.fields.add_to(line),
        Some(record) => context.fields.add_some_to(line, |number| {
            // Whatever goes wrong with that, the line is a valid one.
            !record.hasattr(context.names[number].bind(py)).unwrap_or(false)
        }),
    }
    Ok(())
}
