//! `TraceHandler.handle` for the handlers that are nothing but that, and what `logging` does with a
//! record that filters have to see.

use inspect_trace_core::clock;
use inspect_trace_core::write::encode::with_line_buffer;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFunction, PyList};

use crate::checked::Checked;
use crate::context;
use crate::known_record::KnownRecord;
use crate::log_record::encode_record;
use crate::logging::Env;
use crate::native_record::has_task_name;
use crate::raw;
use crate::route::{HandlerState, LoggerState, integer};
use crate::value::Encoding;
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
        return handle_plainly(env, handler, record, state, None);
    }
    handler.call_method1(intern!(py, "_handle"), (record,))
}

fn handle_plainly<'py>(
    env: &Env,
    handler: &Bound<'py, PyAny>,
    record: &Bound<'py, PyAny>,
    state: HandlerState<'py>,
    known: Option<&KnownRecord<'_, 'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = handler.py();
    if state.filters.is_empty() {
        write(handler, record, &state, known)?;
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
        Some(state) => write(handler, &passed, &state, known)?,
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
    known: Option<&KnownRecord<'_, 'py>>,
) -> PyResult<()> {
    let py = handler.py();
    let Some(writer) = state.writer() else {
        return handler.call_method1(intern!(py, "emit"), (record,)).map(drop);
    };
    let written = match known {
        Some(known) => write_known(py, writer.get(), record, known),
        None => write_record(py, writer.get(), record),
    };
    match written {
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
        let (interrupt, step) = encode_record(record, line)?;
        context::add_to(py, line, Some(record))?;
        line.push(b'\n');
        let written = append_line(py, writer.core(), line);
        if let Some(step) = step {
            writer.watched().follow(&step);
        }
        interrupt.map_or(written, Err)
    })
}

fn write_known<'py>(
    py: Python<'py>,
    writer: &LogWriter,
    record: &Bound<'py, PyAny>,
    known: &KnownRecord<'_, 'py>,
) -> PyResult<()> {
    with_line_buffer(|line| {
        let encoding = Encoding::default();
        if !known.encode(Env::get(py)?, record, &encoding, line) {
            return write_record(py, writer, record);
        }
        context::add_to(py, line, Some(record))?;
        line.push(b'\n');
        let written = append_line(py, writer.core(), line);
        let (watched, id) = (writer.watched(), known.line.trace_id);
        if known.is_enter {
            watched.open(py, id, clock::monotonic_s(), known.action.as_unbound());
        } else {
            watched.close(py, id);
        }
        encoding.take_interrupt().map_or(written, Err)
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
        let result = if has_plain_method(&filter) {
            filter.call_method1(intern!(py, "filter"), (&record,))?
        } else {
            let method = if is_plain_function(&filter) {
                None
            } else {
                filter.getattr_opt(intern!(py, "filter"))?
            };
            method.as_ref().unwrap_or(&filter).call1((&record,))?
        };
        if !result.is_truthy()? {
            return Ok(None);
        }
        if may_replace && !result.is(&record) && result.is_instance(env.log_record.bind(py))? {
            record = result;
        }
    }
    Ok(Some(record))
}

/// Whether its class has a function `filter`, so that asking whether there is one tells nobody anything.
fn has_plain_method(filter: &Bound<'_, PyAny>) -> bool {
    static CLASSES: [Checked; 64] = [const { Checked::new() }; 64];
    let class = filter.get_type();
    CLASSES[raw::version_of(&class) as usize % CLASSES.len()].holds(&class, |class| {
        raw::has_plain_attributes(class)
            && class
                .getattr(intern!(class.py(), "filter"))
                .is_ok_and(|method| method.is_exact_instance_of::<PyFunction>())
    })
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
    known: &KnownRecord<'_, 'py>,
) -> PyResult<()> {
    let mut record = known.made.record.clone();
    let mut state = state_of(env, logger)?;
    if !state.filters.is_empty() {
        match filtered(env, &state.filters, &record)? {
            Some(passed) => record = passed,
            None => return Ok(()),
        }
        // They may have done anything to the logger.
        state = state_of(env, logger)?;
    }
    let mut current = logger.clone();
    loop {
        // By index, as a loop over a list does: a handler may change it.
        let mut index = 0;
        while index < state.handlers.len() {
            let handler = state.handlers.get_item(index)?;
            index += 1;
            if let Some(state) = env.trace_handler(&handler) {
                if is_taken(&record, state.level)? {
                    handle_plainly(env, &handler, &record, state, Some(known))?;
                }
            } else if level_of(&record)?.ge(handler.getattr(intern!(handler.py(), "level"))?)? {
                handler.call_method1(intern!(handler.py(), "handle"), (&record,))?;
            }
        }
        // The handlers may have, too.
        let Some(parent) = state_of(env, &current)?.parent else { return Ok(()) };
        current = parent;
        state = state_of(env, &current)?;
    }
}

/// What a logger does with a record as it stands now.
#[inline]
fn state_of<'py>(env: &Env, logger: &Bound<'py, PyAny>) -> PyResult<LoggerState<'py>> {
    match env.logger_state(logger) {
        Some(state) => Ok(state),
        None => LoggerState::read(logger),
    }
}

/// Whether the record's level, which a filter may have changed, is high enough.
#[inline]
fn is_taken(record: &Bound<'_, PyAny>, level: i64) -> PyResult<bool> {
    let number = level_of(record)?;
    match integer(number.as_borrowed()) {
        Some(number) => Ok(number >= level),
        None => number.ge(level),
    }
}

#[inline]
fn level_of<'py>(record: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let name = intern!(record.py(), "levelno");
    let number = match raw::attributes_of(record) {
        Some(attributes) => attributes.get_item(name)?,
        None => None,
    };
    match number {
        Some(number) => Ok(number),
        None => record.getattr(name),
    }
}
