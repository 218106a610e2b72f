//! Python values written as JSON, with the rules of `json.dumps(..., default=str)`.
//!
//! Where `json.dumps` would raise, and the reference lose the whole record (an object whose
//! `__str__` raises, a cycle, a key that is no JSON key, an integer too large to print), a text
//! takes the value's place.

use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use inspect_trace_core::write::encode::Value;
use inspect_trace_core::write::float::write_float;
use inspect_trace_core::write::json::{JsonWriter, MAX_DEPTH};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// What one record's encoding keeps track of.
#[derive(Default)]
pub(crate) struct Encoding {
    /// The containers being written, outermost first, to notice one that holds itself.
    open: RefCell<Vec<usize>>,
    /// The first exception that is not an `Exception` (a `KeyboardInterrupt` in somebody's
    /// `__str__`): the record is written all the same, then it is raised.
    interrupt: RefCell<Option<PyErr>>,
}

impl Encoding {
    /// The interrupt that came while user code ran, if any.
    pub(crate) fn take_interrupt(&self) -> Option<PyErr> {
        self.interrupt.borrow_mut().take()
    }

    /// Keeps `error` for later when it must reach the program.
    pub(crate) fn note(&self, py: Python<'_>, error: PyErr) {
        if !error.is_instance_of::<PyException>(py) {
            self.interrupt.borrow_mut().get_or_insert(error);
        }
    }

    /// `str(object)` as WTF-8, or a text that says it cannot be had.
    pub(crate) fn text(&self, object: &Bound<'_, PyAny>) -> Vec<u8> {
        match object.str() {
            Ok(text) => wtf8(&text),
            Err(error) => {
                self.note(object.py(), error);
                unprintable(object)
            }
        }
    }

    fn write(&self, json: &mut JsonWriter<'_>, object: &Bound<'_, PyAny>) {
        if object.is_none() {
            json.null();
        } else if let Ok(text) = object.cast::<PyString>() {
            write_str(json, text);
        } else if let Ok(flag) = object.cast::<PyBool>() {
            json.boolean(flag.is_true());
        } else if let Ok(integer) = object.cast::<PyInt>() {
            match integer_text(integer) {
                Integer::Small(number) => json.integer(number),
                Integer::Large(digits) => json.raw(digits.as_bytes()),
                Integer::Unprintable => json.string(&unprintable(object)),
            }
        } else if let Ok(float) = object.cast::<PyFloat>() {
            json.float(float.value());
        } else if let Ok(list) = object.cast::<PyList>() {
            self.nested(json, object, |json| {
                json.begin_array();
                // By index: user code that runs meanwhile may change the list.
                let mut index = 0;
                while let Ok(item) = list.get_item(index) {
                    json.element();
                    self.write(json, &item);
                    index += 1;
                }
                json.end_array();
            });
        } else if let Ok(tuple) = object.cast::<PyTuple>() {
            self.nested(json, object, |json| {
                json.begin_array();
                for item in tuple.iter_borrowed() {
                    json.element();
                    self.write(json, &item);
                }
                json.end_array();
            });
        } else if let Ok(dict) = object.cast::<PyDict>() {
            self.nested(json, object, |json| self.write_dict(json, dict));
        } else {
            json.string(&self.text(object));
        }
    }

    fn write_dict(&self, json: &mut JsonWriter<'_>, dict: &Bound<'_, PyDict>) {
        json.begin_object();
        for (key, value) in self.items(dict) {
            json.key(&self.key(&key));
            self.write(json, &value);
        }
        json.end_object();
    }

    /// A snapshot of the items; of a subclass, those that its own `items()` gives.
    fn items<'py>(&self, dict: &Bound<'py, PyDict>) -> Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        if dict.is_exact_instance_of::<PyDict>() {
            return dict.iter().collect();
        }
        dict.as_any()
            .call_method0("items")
            .and_then(|items| items.try_iter()?.map(|pair| pair?.extract()).collect())
            .unwrap_or_else(|error| {
                self.note(dict.py(), error);
                dict.iter().collect()
            })
    }

    /// A key as `json.dumps` writes it: strings as they are, numbers and constants as JSON text,
    /// anything else (where `json.dumps` raises) as `str` gives it.
    pub(crate) fn key(&self, key: &Bound<'_, PyAny>) -> Vec<u8> {
        if let Ok(text) = key.cast::<PyString>() {
            return wtf8(text);
        }
        if key.is_none() {
            return b"null".to_vec();
        }
        if let Ok(flag) = key.cast::<PyBool>() {
            return if flag.is_true() { b"true".to_vec() } else { b"false".to_vec() };
        }
        if let Ok(float) = key.cast::<PyFloat>() {
            let mut text = Vec::new();
            write_float(&mut text, float.value());
            return text;
        }
        if let Ok(integer) = key.cast::<PyInt>() {
            return match integer_text(integer) {
                Integer::Small(number) => number.to_string().into_bytes(),
                Integer::Large(digits) => digits.into_bytes(),
                Integer::Unprintable => unprintable(key),
            };
        }
        self.text(key)
    }

    /// Writes a container, or a text in its place where it holds itself or is nested too deeply.
    fn nested(
        &self,
        json: &mut JsonWriter<'_>,
        container: &Bound<'_, PyAny>,
        write: impl FnOnce(&mut JsonWriter<'_>),
    ) {
        let address = container.as_ptr() as usize;
        if self.open.borrow().contains(&address) {
            json.string(b"<circular reference>");
        } else if json.depth() >= MAX_DEPTH {
            json.string(b"<nested too deeply>");
        } else {
            self.open.borrow_mut().push(address);
            write(json);
            self.open.borrow_mut().pop();
        }
    }
}

/// One attribute of a log record.
pub(crate) struct PyValue<'a, 'py> {
    pub(crate) object: Bound<'py, PyAny>,
    pub(crate) encoding: &'a Encoding,
}

impl Value for PyValue<'_, '_> {
    fn write(&self, json: &mut JsonWriter<'_>) {
        self.encoding.write(json, &self.object);
    }

    fn is_string(&self, expected: &[u8]) -> bool {
        self.object
            .cast::<PyString>()
            .is_ok_and(|text| text.to_str().is_ok_and(|text| text.as_bytes() == expected))
    }

    fn is_blank(&self) -> bool {
        self.object.is_none() || self.is_string(b"")
    }
}

/// Writes any value.
#[inline]
pub(crate) fn write_value(
    encoding: &Encoding,
    json: &mut JsonWriter<'_>,
    object: &Bound<'_, PyAny>,
) {
    encoding.write(json, object);
}

/// A path as Python writes it, whatever its bytes and the locale: the conversions of `PyO3` give
/// text which some locales cannot turn back into the path.
pub(crate) fn path_text<'py>(py: Python<'py>, path: &Path) -> PyResult<Bound<'py, PyAny>> {
    py.import("os")?.call_method1("fsdecode", (PyBytes::new(py, path.as_os_str().as_bytes()),))
}

/// The text of a Python string as WTF-8 (lone surrogates kept).
pub(crate) fn wtf8(text: &Bound<'_, PyString>) -> Vec<u8> {
    match text.to_str() {
        Ok(text) => text.as_bytes().to_vec(),
        Err(_) => surrogates_kept(text),
    }
}

fn write_str(json: &mut JsonWriter<'_>, text: &Bound<'_, PyString>) {
    match text.to_str() {
        Ok(text) => json.string(text.as_bytes()),
        Err(_) => json.string(&surrogates_kept(text)),
    }
}

fn surrogates_kept(text: &Bound<'_, PyString>) -> Vec<u8> {
    // Through the class, as a subclass of str may have an `encode` of its own.
    text.py()
        .get_type::<PyString>()
        .call_method1("encode", (text, "utf-8", "surrogatepass"))
        .and_then(|bytes| bytes.extract())
        .unwrap_or_else(|_| unprintable(text.as_any()))
}

enum Integer {
    Small(i64),
    Large(String),
    Unprintable,
}

/// The digits of `integer` by `int.__repr__`, whatever a subclass (an `IntEnum`) prints itself as.
fn integer_text(integer: &Bound<'_, PyInt>) -> Integer {
    if let Ok(number) = integer.extract() {
        return Integer::Small(number);
    }
    integer
        .py()
        .get_type::<PyInt>()
        .call_method1("__repr__", (integer,))
        .and_then(|digits| digits.extract())
        // Beyond `sys.get_int_max_str_digits()`.
        .map_or(Integer::Unprintable, Integer::Large)
}

/// What stands for an object that cannot be printed.
pub(crate) fn unprintable(object: &Bound<'_, PyAny>) -> Vec<u8> {
    let mut text = b"<unprintable ".to_vec();
    match object.get_type().name() {
        Ok(name) => text.extend(name.to_string_lossy().as_bytes()),
        Err(_) => text.push(b'?'),
    }
    text.extend_from_slice(b" object>");
    text
}
