//! `TraceHandler.handle` for the handlers that are nothing but that, and what `logging` does with a
//! record that filters have to see.

use inspect_trace_core::write::encode::with_line_buffer;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFunction, PyList};

use crate::log_record::encode_record;
use crate::logging::{Env, HandlerState};
use crate::native_record::has_task_name;
use crate::raw;
use crate::writer::{LogWriter, append_line};

/// Filters and writes a record, as `TraceHandler.handle` tells.
#[pyfunction]
pub(crate) fn handle_record<'py>(
    handler: &Bound<'py, PyAny>,
    record: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = handler.py();
    let env = Env::get(py)?;
    if env.is_fast()
        && let Some(state) = env.trace_handler(handler)
    {
        return handle_plainly(env, handler, record, state);
    }
    handler.call_method1(intern!(py, "_handle"), (record,))
}

fn handle_plainly<'py>(
    env: &Env,
    handler: &Bound<'py, PyAny>,
    record: &Bound<'py, PyAny>,
    state: HandlerState<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = handler.py();
    if state.filters.is_empty() {
        write(handler, record, &state)?;
        return Ok(verdict(record, has_task_name(py)));
    }
    let passed = match filtered(env, &state.filters, record) {
        Ok(Some(passed)) => passed,
        Ok(None) => return Ok(PyBool::new(py, false).to_owned().into_any()),
        Err(error) if error.is_instance_of::<PyException>(py) => {
            handler.call_method1(intern!(py, "_filter_failed"), (record, error.into_value(py)))?;
            return Ok(PyBool::new(py, false).to_owned().into_any());
        }
        Err(error) => return Err(error),
    };
    drop(state);
    // The filters may have done anything, to the handler too.
    match env.trace_handler(handler) {
        Some(state) => write(handler, &passed, &state)?,
        None => {
            handler.call_method1(intern!(py, "emit"), (&passed,))?;
        }
    }
    Ok(verdict(&passed, has_task_name(py)))
}

/// What `filter` returns for a record that has passed.
fn verdict<'py>(record: &Bound<'py, PyAny>, returns_records: bool) -> Bound<'py, PyAny> {
    if returns_records {
        record.clone()
    } else {
        PyBool::new(record.py(), true).to_owned().into_any()
    }
}

fn write<'py>(
    handler: &Bound<'py, PyAny>,
    record: &Bound<'py, PyAny>,
    state: &HandlerState<'py>,
) -> PyResult<()> {
    let py = handler.py();
    let Some(writer) = state.writer() else {
        return handler.call_method1(intern!(py, "emit"), (record,)).map(drop);
    };
    match write_record(py, writer.get(), record) {
        Err(error) if error.is_instance_of::<PyException>(py) => {
            write_failed(handler, error, Some(record))
        }
        outcome => outcome,
    }
}

/// Writes the line of a record.
pub(crate) fn write_record(
    py: Python<'_>,
    writer: &LogWriter,
    record: &Bound<'_, PyAny>,
) -> PyResult<()> {
    with_line_buffer(|line| {
        let interrupt = encode_record(record, line)?;
        line.push(b'\n');
        let written = append_line(py, writer.core(), line);
        interrupt.map_or(written, Err)
    })
}

/// Has the handler deal with an exception that came of writing.
#[cold]
pub(crate) fn write_failed(
    handler: &Bound<'_, PyAny>,
    error: PyErr,
    record: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = handler.py();
    handler.call_method1(intern!(py, "_write_failed"), (record, error.into_value(py))).map(drop)
}

/// The record as the filters pass it on, which from Python 3.12 on may be another one; None if one
/// of them drops it. Does what `logging.Filterer.filter` does.
fn filtered<'py>(
    env: &Env,
    filters: &Bound<'py, PyList>,
    record: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = record.py();
    let may_replace = has_task_name(py);
    let mut record = record.clone();
    let mut index = 0;
    // By index, as a loop over a list does: a filter may change it.
    while index < filters.len() {
        let filter = filters.get_item(index)?;
        index += 1;
        let method = if is_plain_function(&filter) {
            None
        } else {
            filter.getattr_opt(intern!(py, "filter"))?
        };
        let result = method.as_ref().unwrap_or(&filter).call1((&record,))?;
        if !result.is_truthy()? {
            return Ok(None);
        }
        if may_replace && !result.is(&record) && result.is_instance(env.log_record.bind(py))? {
            record = result;
        }
    }
    Ok(Some(record))
}

/// Whether it is a function without attributes of its own: it has no method `filter`.
fn is_plain_function(filter: &Bound<'_, PyAny>) -> bool {
    filter.is_exact_instance_of::<PyFunction>()
        && raw::attributes_of(filter).is_some_and(|attributes| attributes.is_empty())
}

/// `Logger.handle` of a plain logger: filters, and the handlers in turn.
pub(crate) fn log<'py>(
    env: &Env,
    logger: &Bound<'py, PyAny>,
    record: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = logger.py();
    let mut record = record;
    let filters = logger.getattr(intern!(py, "filters"))?.cast_into::<PyList>()?;
    if !filters.is_empty() {
        match filtered(env, &filters, &record)? {
            Some(passed) => record = passed,
            None => return Ok(()),
        }
    }
    let mut current = logger.clone();
    loop {
        for handler in current.getattr(intern!(py, "handlers"))?.try_iter()? {
            let handler = handler?;
            if !is_taken(&handler, &record)? {
                continue;
            }
            match env.trace_handler(&handler) {
                Some(state) => drop(handle_plainly(env, &handler, &record, state)?),
                None => drop(handler.call_method1(intern!(py, "handle"), (&record,))?),
            }
        }
        if !current.getattr(intern!(py, "propagate"))?.is_truthy()? {
            return Ok(());
        }
        let parent = current.getattr(intern!(py, "parent"))?;
        if parent.is_none() {
            return Ok(());
        }
        current = parent;
    }
}

/// Whether the record's level, which a filter may have changed, is high enough for the handler.
fn is_taken(handler: &Bound<'_, PyAny>, record: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = handler.py();
    let number = match raw::attributes_of(record) {
        Some(attributes) => attributes.get_item(intern!(py, "levelno"))?,
        None => None,
    };
    let number = match number {
        Some(number) => number,
        None => record.getattr(intern!(py, "levelno"))?,
    };
    number.ge(handler.getattr(intern!(py, "level"))?)
}
