//! `TraceRecord` and the iterator that gives them.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use inspect_trace_core::read::{self, Batch, ScanOptions};
use inspect_trace_core::record::{Name, OwnedRecord, RawValue};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::error::to_python;
use crate::filter::Filter;
use crate::logs::{WAIT, log};

/// Text of the core (UTF-8 that may hold lone surrogates) as a Python string.
pub(crate) fn text_to_python<'py>(py: Python<'py>, wtf8: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(wtf8) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => Ok(PyBytes::new(py, wtf8)
            .call_method1("decode", ("utf-8", "surrogatepass"))?
            .cast_into()?),
    }
}

/// A value of a record as `json.loads` gives it.
pub(crate) fn value_to_python<'py>(
    py: Python<'py>,
    value: RawValue<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    match value.text() {
        Some(text) => Ok(text_to_python(py, &text)?.into_any()),
        None => json_to_python(py, value.raw()),
    }
}

/// JSON text as `json.loads` gives it. What Python cannot hold (nesting beyond its recursion
/// limit, integers beyond its digit limit) is given as that text.
pub(crate) fn json_to_python<'py>(py: Python<'py>, json: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let text = text_to_python(py, json)?;
    LOADS.import(py, "json", "loads")?.call1((&text,)).or_else(|_| Ok(text.into_any()))
}

/// One record of a trace log.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct TraceRecord(pub(crate) OwnedRecord);

impl TraceRecord {
    fn text<'py>(&self, py: Python<'py>, name: Name) -> PyResult<Option<Bound<'py, PyString>>> {
        self.0.text(name).map(|text| text_to_python(py, &text)).transpose()
    }

    /// A number is one only where the record is an action record: anything goes elsewhere.
    fn number(&self, name: Name) -> Option<f64> {
        self.0.number(name)
    }
}

/// One getter for each text field.
macro_rules! text_getters {
    ($($getter:ident => $name:ident),+ $(,)?) => {
        #[pymethods]
        impl TraceRecord {
            $(
                #[getter]
                fn $getter<'py>(
                    &self, py: Python<'py>,
                ) -> PyResult<Option<Bound<'py, PyString>>> {
                    self.text(py, Name::$name)
                }
            )+

            #[getter]
            fn line(&self) -> Option<i64> {
                self.0.line()
            }

            #[getter]
            fn start_time(&self) -> Option<f64> {
                self.number(Name::StartTime)
            }

            #[getter]
            fn duration(&self) -> Option<f64> {
                self.number(Name::Duration)
            }

            fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let dict = PyDict::new(py);
                for (key, value) in self.0.fields() {
                    dict.set_item(text_to_python(py, &key)?, value_to_python(py, value)?)?;
                }
                Ok(dict)
            }

            #[pyo3(signature = (key, default = None, /))]
            fn get<'py>(
                &self, key: &Bound<'py, PyString>, default: Option<Bound<'py, PyAny>>,
            ) -> PyResult<Bound<'py, PyAny>> {
                let py = key.py();
                match self.0.get(&crate::value::wtf8(key)) {
                    Some(value) => value_to_python(py, value),
                    None => Ok(default.unwrap_or_else(|| py.None().into_bound(py))),
                }
            }

            fn __getitem__<'py>(&self, key: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
                match self.0.get(&crate::value::wtf8(key)) {
                    Some(value) => value_to_python(key.py(), value),
                    None => Err(PyKeyError::new_err(key.clone().unbind())),
                }
            }

            fn __contains__(&self, key: &Bound<'_, PyAny>) -> bool {
                key.cast::<PyString>()
                    .is_ok_and(|key| self.0.get(&crate::value::wtf8(key)).is_some())
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                let timestamp = text_to_python(py, &self.0.timestamp())?.repr()?;
                let level = text_to_python(py, &self.0.level())?.repr()?;
                let message = text_to_python(py, &self.0.message())?.repr()?;
                Ok(format!(
                    "<TraceRecord timestamp={timestamp} level={level} message={message}>"
                ))
            }
        }
    };
}

text_getters! {
    timestamp => Timestamp,
    level => Level,
    message => Message,
    module => Module,
    function => Function,
    action => Action,
    detail => Detail,
    event => Event,
    trace_id => TraceId,
    parent_id => ParentId,
    error => Error,
    error_type => ErrorType,
    stacktrace => Stacktrace,
}

struct Stream {
    records: read::Records,
    batch: std::vec::IntoIter<OwnedRecord>,
    /// How many records may still be given.
    left: Option<u64>,
}

impl Stream {
    /// The next record that is there already, if any, and if it may be given.
    fn pop(&mut self) -> Option<OwnedRecord> {
        if self.left == Some(0) {
            return None;
        }
        let record = self.batch.next()?;
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Some(record)
    }

    /// Waits a bit for records; false if there are no more.
    fn fill(&mut self) -> inspect_trace_core::Result<bool> {
        if self.left == Some(0) {
            return Ok(false);
        }
        if self.batch.as_slice().is_empty() {
            match self.records.next_batch(WAIT)? {
                Batch::Records(records) => self.batch = records.into_iter(),
                Batch::End => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The records of a log, one after the other.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct Records(Mutex<Stream>);

#[pymethods]
impl Records {
    fn __iter__(records: Bound<'_, Self>) -> Bound<'_, Self> {
        records
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<TraceRecord>> {
        // The common case first: a record is there, and no other thread is reading.
        if let Ok(mut stream) = self.0.try_lock()
            && let Some(record) = stream.pop()
        {
            return Ok(Some(TraceRecord(record)));
        }
        loop {
            py.check_signals()?;
            // Off the interpreter first, then the lock: who holds it may be reading.
            let found = py.detach(|| {
                let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let more = stream.fill()?;
                Ok((stream.pop(), more))
            });
            match found.map_err(|error| to_python(&error))? {
                (Some(record), _) => return Ok(Some(TraceRecord(record))),
                (None, true) => {}
                (None, false) => return Ok(None),
            }
        }
    }

    #[getter]
    fn skipped(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| {
            let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            crate::logs::lines(&stream.records.notes())
        })
    }
}

/// The records of the log at a path.
#[pyfunction]
#[pyo3(signature = (path, *, filter = None, tail = None, limit = None))]
pub(crate) fn scan(
    py: Python<'_>,
    path: PathBuf,
    filter: Option<&Bound<'_, Filter>>,
    tail: Option<usize>,
    limit: Option<u64>,
) -> PyResult<Records> {
    let filter = Filter::of(filter);
    let log = log(py, path, tail, &filter)?;
    py.detach(|| read::Records::open_log(&log, &filter, ScanOptions::default()))
        .map(|records| {
            Records(Mutex::new(Stream { records, batch: Vec::new().into_iter(), left: limit }))
        })
        .map_err(|error| to_python(&error))
}
