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

use crate::native_record::has_task_name;
use crate::plain_record::PlainRecord;
use crate::value::{Encoding, PyValue, unprintable};
use crate::watch::ActionStep;

static LOG_RECORD_TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static FORMAT_EXCEPTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Loads what is needed of Python, while modules can still be imported.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    LOG_RECORD_TYPE.import(py, "logging", "LogRecord")?;
    FORMAT_EXCEPTION.import(py, "traceback", "format_exception").map(drop)
}

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
}

/// What stands in a line for a message that could not be merged with its arguments.
pub(crate) fn describe(py: Python<'_>, encoding: &Encoding, error: PyErr) -> Vec<u8> {
    let mut text = match error.get_type(py).name() {
        Ok(name) => name.to_string_lossy().into_owned().into_bytes(),
        Err(_) => b"error".to_vec(),
    };
    text.extend_from_slice(b": ");
    text.extend(encoding.text(error.value(py).as_any()));
    encoding.note(py, error);
    text
}

/// The traceback of a record's exception, given its attributes `exc_text` and `exc_info`.
pub(crate) fn format_exception(
    encoding: &Encoding,
    exc_text: Option<&Bound<'_, PyAny>>,
    exc_info: Option<&Bound<'_, PyAny>>,
) -> Option<Vec<u8>> {
    // What another handler's formatter has formatted already.
    if let Some(text) = exc_text
        && let Ok(text) = text.cast::<PyString>()
        && !text.is_empty().unwrap_or(true)
    {
        return Some(crate::value::wtf8(text));
    }
    let info = exc_info.filter(|info| !info.is_none())?;
    let py = info.py();
    let formatted = info.cast::<PyTuple>().map_err(PyErr::from).and_then(|info| {
        if info.get_item(0)?.is_none() {
            return Ok(None);
        }
        let format = FORMAT_EXCEPTION.import(py, "traceback", "format_exception")?;
        let lines = format.call1(info)?;
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
            encoding.note(py, error);
            Some(unprintable(info))
        }
    }
}

impl<'a, 'py> LogRecord for PyLogRecord<'a, 'py> {
    type Value = PyValue<'a, 'py>;

    fn created_s(&self) -> Option<f64> {
        self.attribute("created")?.extract().ok()
    }

    fn message(&self) -> Self::Value {
        let py = self.record.py();
        match self.record.call_method0(intern!(py, "getMessage")) {
            Ok(message) => self.value(message),
            Err(error) => {
                let text = describe(py, self.encoding, error);
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
        self.exception_text
            .get_or_init(|| {
                let (text, info) = (self.attribute("exc_text"), self.attribute("exc_info"));
                format_exception(self.encoding, text.as_ref(), info.as_ref())
            })
            .as_deref()
            .map(Cow::Borrowed)
    }

    fn has_standard_task_name(&self) -> bool {
        has_task_name(self.record.py())
    }
}

impl<'py> PyLogRecord<'_, 'py> {
    fn text_object(&self, object: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        let text = self.encoding.text(object);
        PyString::new(self.record.py(), &String::from_utf8_lossy(&text)).into_any()
    }
}

/// Appends the line of `record`, without newline, to `line`. An interrupt that came while user
/// code printed a value is handed back: the line is whole all the same. So is what the record tells of
/// an action.
pub(crate) fn encode_record<'py>(
    record: &Bound<'py, PyAny>,
    line: &mut Vec<u8>,
) -> PyResult<(Option<PyErr>, Option<ActionStep<'py>>)> {
    let encoding = Encoding::default();
    let step = if let Some(plain) = PlainRecord::new(record, &encoding) {
        encode(&plain, line);
        ActionStep::of(|name| plain.attribute(name).cloned())
    } else {
        let record = PyLogRecord::new(record, &encoding)?;
        encode(&record, line);
        ActionStep::of(|name| record.attribute(name))
    };
    Ok((encoding.take_interrupt(), step))
}

/// The line of a log record, without its newline.
#[pyfunction]
pub(crate) fn format_record(record: &Bound<'_, PyAny>) -> PyResult<String> {
    with_line_buffer(|line| match encode_record(record, line)? {
        (Some(interrupt), _) => Err(interrupt),
        // The encoder writes ASCII only.
        (None, _) => Ok(String::from_utf8_lossy(line).into_owned()),
    })
}

/// A new random trace id.
#[pyfunction]
pub(crate) fn new_trace_id() -> String {
    id::new_trace_id()
}
