//! What an action's records say: its words, and how it ended.

use inspect_trace_core::id::TraceId;
use inspect_trace_core::write::action::Failure;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::helpers::Helpers;
use crate::percent;

/// What both records of an action say.
pub(crate) struct Words {
    pub(crate) logger: Py<PyAny>,
    pub(crate) action: Py<PyAny>,
    pub(crate) detail: Detail,
    pub(crate) format_error: Option<Py<PyAny>>,
    /// As a string of Python's, once a record has needed one.
    pub(crate) trace_id: Option<Py<PyAny>>,
}

pub(crate) enum Detail {
    /// A string of Python's, or something derived from one.
    Python(Py<PyAny>),
    /// One that Python has not seen yet.
    Native(String),
}

/// How an action ended, and what an error says of itself: `error`, `error_type`, `stacktrace`.
pub(crate) struct Outcome<'py> {
    pub(crate) name: Bound<'py, PyString>,
    pub(crate) told: Option<Bound<'py, PyDict>>,
}

impl Words {
    pub(crate) fn trace_id<'py>(&mut self, py: Python<'py>, id: &TraceId) -> Bound<'py, PyAny> {
        let text = || PyString::new(py, id.as_str()).into_any().unbind();
        self.trace_id.get_or_insert_with(text).bind(py).clone()
    }
}

impl Detail {
    /// Makes it a string of Python's for good.
    pub(crate) fn made_object<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyAny> {
        let text = self.object(py);
        if matches!(self, Self::Native(_)) {
            *self = Self::Python(text.clone().unbind());
        }
        text
    }

    pub(crate) fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Python(text) => text.bind(py).clone(),
            Self::Native(text) => PyString::new(py, text).into_any(),
        }
    }
}

/// The texts of a failure, kept alive while they are read.
pub(crate) struct Told<'py>([Bound<'py, PyAny>; 3]);

impl<'py> Told<'py> {
    pub(crate) fn of(told: &Bound<'py, PyDict>) -> PyResult<Option<Self>> {
        let py = told.py();
        let texts = (
            told.get_item(intern!(py, "error"))?,
            told.get_item(intern!(py, "error_type"))?,
            told.get_item(intern!(py, "stacktrace"))?,
        );
        Ok(match texts {
            (Some(error), Some(error_type), Some(trace)) => Some(Self([error, error_type, trace])),
            _ => None,
        })
    }

    pub(crate) fn texts(&self) -> Option<Failure<'_>> {
        let [error, error_type, stacktrace] = &self.0;
        Some(Failure {
            error: plain_text(error)?.as_bytes(),
            error_type: plain_text(error_type)?.as_bytes(),
            stacktrace: plain_text(stacktrace)?.as_bytes(),
        })
    }
}

impl<'py> Outcome<'py> {
    pub(crate) fn named(name: &Bound<'py, PyString>) -> Self {
        Self { name: name.clone(), told: None }
    }

    pub(crate) fn of(helpers: &Helpers, error: &Bound<'py, PyAny>) -> PyResult<Self> {
        let (name, told) = helpers.outcome_of.bind(error.py()).call1((error,))?.extract()?;
        Ok(Self { name, told })
    }
}

/// The text of a string that is nothing but one, and has no lone surrogates.
#[inline]
pub(crate) fn plain_text<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    object.cast_exact::<PyString>().ok()?.to_str().ok()
}

/// The message with its arguments, and what went wrong with merging them, if anything.
pub(crate) fn merge(
    py: Python<'_>,
    helpers: &Helpers,
    message: &Bound<'_, PyAny>,
    arguments: &Bound<'_, PyTuple>,
    first_argument: usize,
    named: Option<&Py<PyDict>>,
) -> PyResult<(Detail, Option<Py<PyAny>>)> {
    let has_arguments = arguments.len() > first_argument;
    if let Ok(format) = message.cast_exact::<PyString>() {
        if !has_arguments && named.is_none_or(|named| named.bind(py).is_empty()) {
            return Ok((Detail::Python(format.clone().into_any().unbind()), None));
        }
        if has_arguments
            && let Ok(format) = format.to_str()
            && let Some(text) = percent::merged(format, arguments, first_argument)
        {
            return Ok((Detail::Native(text), None));
        }
    }
    let arguments = arguments.get_slice(first_argument, arguments.len());
    let named = named.map_or_else(|| PyDict::new(py), |named| named.bind(py).clone());
    let merged = helpers.merged.bind(py).call1((message, arguments, named))?;
    let (detail, format_error): (Py<PyAny>, Option<Py<PyAny>>) = merged.extract()?;
    Ok((Detail::Python(detail), format_error))
}
