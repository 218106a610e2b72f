//! Python's `logging.LogRecord` as the core's [`LogRecord`], and the functions on it.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use inspect_trace_core::id;
use inspect_trace_core::write::encode::{LogRecord, encode, with_line_buffer};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::value::{Encoding, PyValue, unprintable};

static LOG_RECORD_TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// One `logging.LogRecord` while it is encoded.
struct PyLogRecord<'a, 'py> {
    record: &'a Bound<'py, PyAny>,
    attributes: Bound<'py, PyDict>,
    /// A plain `logging.LogRecord`: its class adds no attributes, so the instance's are all.
    is_plain: bool,
    encoding: &'a Encoding,
    format_error: RefCell<Option<Vec<u8>>>,
    exception_text: OnceCell<Option<Vec<u8>>>,
}

impl<'a, 'py> PyLogRecord<'a, 'py> {
    fn new(record: &'a Bound<'py, PyAny>, encoding: &'a Encoding) -> PyResult<Self> {
        let py = record.py();
        let log_record_type = LOG_RECORD_TYPE.import(py, "logging", "LogRecord")?;
        let attributes = record
            .getattr(intern!(py, "__dict__"))?
            .cast_into::<PyDict>()
            .map_err(|_| PyTypeError::new_err("a log record must keep its attributes in a dict"))?;
        Ok(Self {
            record,
            attributes,
            is_plain: record.get_type().is(log_record_type),
            encoding,
            format_error: RefCell::default(),
            exception_text: OnceCell::new(),
        })
    }

    fn attribute(&self, name: &str) -> Option<Bound<'py, PyAny>> {
        match self.attributes.get_item(name) {
            Ok(Some(value)) => Some(value),
            _ if self.is_plain => None,
            _ => self.record.getattr(name).ok(),
        }
    }

    fn value(&self, object: Bound<'py, PyAny>) -> PyValue<'a, 'py> {
        PyValue { object, encoding: self.encoding }
    }

    /// The message when no merging is needed, by far the commonest case.
    fn ready_message(&self) -> Option<Bound<'py, PyAny>> {
        if !self.is_plain {
            return None;
        }
        let message = self.attribute("msg")?;
        let arguments = self.attribute("args")?;
        let has_none =
            arguments.is_none() || arguments.cast::<PyTuple>().is_ok_and(PyTupleMethods::is_empty);
        (has_none && message.is_exact_instance_of::<PyString>()).then_some(message)
    }

    fn describe(&self, error: PyErr) -> Vec<u8> {
        let py = self.record.py();
        let mut text = match error.get_type(py).name() {
            Ok(name) => name.to_string_lossy().into_owned().into_bytes(),
            Err(_) => b"error".to_vec(),
        };
        text.extend_from_slice(b": ");
        text.extend(self.encoding.text(error.value(py).as_any()));
        self.encoding.note(py, error);
        text
    }

    fn format_exception(&self) -> Option<Vec<u8>> {
        let py = self.record.py();
        // What another handler's formatter has formatted already.
        if let Some(text) = self.attribute("exc_text")
            && let Ok(text) = text.cast::<PyString>()
            && !text.is_empty().unwrap_or(true)
        {
            return Some(crate::value::wtf8(text));
        }
        let info = self.attribute("exc_info").filter(|info| !info.is_none())?;
        let formatted = info.cast::<PyTuple>().map_err(PyErr::from).and_then(|info| {
            if info.get_item(0)?.is_none() {
                return Ok(None);
            }
            let lines = py.import("traceback")?.call_method1("format_exception", info)?;
            let text = PyString::new(py, "").call_method1("join", (lines,))?;
            Ok(Some(text.cast_into::<PyString>()?))
        });
        match formatted {
            Ok(text) => text.map(|text| {
                let mut text = crate::value::wtf8(&text);
                if text.last() == Some(&b'\n') {
                    text.pop();
                }
                text
            }),
            Err(error) => {
                self.encoding.note(py, error);
                Some(unprintable(&info))
            }
        }
    }
}

impl<'a, 'py> LogRecord for PyLogRecord<'a, 'py> {
    type Value = PyValue<'a, 'py>;

    fn created_s(&self) -> Option<f64> {
        self.attribute("created")?.extract().ok()
    }

    fn message(&self) -> Self::Value {
        if let Some(message) = self.ready_message() {
            return self.value(message);
        }
        let py = self.record.py();
        match self.record.call_method0(intern!(py, "getMessage")) {
            Ok(message) => self.value(message),
            Err(error) => {
                let text = self.describe(error);
                self.format_error.replace(Some(text));
                let raw = self.attribute("msg").unwrap_or_else(|| py.None().into_bound(py));
                self.value(match raw.cast::<PyString>() {
                    Ok(_) => raw,
                    Err(_) => self.text_object(&raw),
                })
            }
        }
    }

    fn format_error(&self) -> Option<Cow<'_, [u8]>> {
        self.format_error.borrow().clone().map(Cow::Owned)
    }

    fn get(&self, name: &str) -> Option<Self::Value> {
        self.attribute(name).map(|object| self.value(object))
    }

    fn each_attribute(&self, visit: &mut dyn FnMut(&[u8], &Self::Value)) {
        // A snapshot: printing a value runs user code, which may add attributes.
        let items: Vec<_> = self.attributes.iter().collect();
        for (name, object) in items {
            let value = self.value(object);
            match name.cast::<PyString>().ok().and_then(|name| name.to_str().ok()) {
                Some(name) => visit(name.as_bytes(), &value),
                None => visit(&self.encoding.key(&name), &value),
            }
        }
    }

    fn exception_text(&self) -> Option<Cow<'_, [u8]>> {
        self.exception_text.get_or_init(|| self.format_exception()).as_deref().map(Cow::Borrowed)
    }

    fn has_standard_task_name(&self) -> bool {
        self.record.py().version_info() >= (3, 12)
    }
}

impl<'py> PyLogRecord<'_, 'py> {
    fn text_object(&self, object: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        let text = self.encoding.text(object);
        PyString::new(self.record.py(), &String::from_utf8_lossy(&text)).into_any()
    }
}

/// Appends the line of `record`, without newline, to `line`. An interrupt that came while user
/// code printed a value is handed back: the line is whole all the same.
pub(crate) fn encode_record(
    record: &Bound<'_, PyAny>,
    line: &mut Vec<u8>,
) -> PyResult<Option<PyErr>> {
    let encoding = Encoding::default();
    encode(&PyLogRecord::new(record, &encoding)?, line);
    Ok(encoding.take_interrupt())
}

/// The line of a log record, without its newline.
#[pyfunction]
pub(crate) fn format_record(record: &Bound<'_, PyAny>) -> PyResult<String> {
    with_line_buffer(|line| match encode_record(record, line)? {
        Some(interrupt) => Err(interrupt),
        // The encoder writes ASCII only.
        None => Ok(String::from_utf8_lossy(line).into_owned()),
    })
}

/// A new random trace id.
#[pyfunction]
pub(crate) fn new_trace_id() -> String {
    id::new_trace_id()
}
