//! A `logging.LogRecord` of `logging`'s own class, as the core's [`LogRecord`]: all its attributes
//! are taken in one pass, and no name is looked up.

use std::borrow::Cow;
use std::cell::RefCell;

use inspect_trace_core::write::encode::{ACTION_KEYS, LogRecord, Value};
use inspect_trace_core::write::json::JsonWriter;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};

use crate::log_record::{describe, format_exception};
use crate::logging::Env;
use crate::native_record::{STANDARD_NAMES, has_task_name};
use crate::percent;
use crate::raw;
use crate::value::{Encoding, PyValue};

pub(crate) const STANDARD: usize = STANDARD_NAMES.len();
/// Attributes with a place of their own: those of every record, then those of actions.
const KNOWN: usize = STANDARD + ACTION_KEYS.len();

static NAMES: PyOnceLock<[Py<PyString>; KNOWN]> = PyOnceLock::new();

/// The names of the attributes that have a place of their own, interned.
#[inline]
pub(crate) fn known_names(py: Python<'_>) -> &'static [Py<PyString>; KNOWN] {
    NAMES.get_or_init(py, || {
        std::array::from_fn(|index| {
            let name = STANDARD_NAMES.get(index).or_else(|| ACTION_KEYS.get(index - STANDARD));
            PyString::intern(py, name.copied().unwrap_or_default()).unbind()
        })
    })
}

/// One record while it is encoded.
pub(crate) struct PlainRecord<'a, 'py> {
    record: &'a Bound<'py, PyAny>,
    known: [Option<Bound<'py, PyAny>>; KNOWN],
    /// What may be written behind the known keys, in order. A snapshot: printing a value runs user
    /// code, which may add attributes.
    others: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    encoding: &'a Encoding,
    format_error: RefCell<Option<Vec<u8>>>,
}

impl<'a, 'py> PlainRecord<'a, 'py> {
    /// None for records of any other class, or if somebody has changed that class.
    pub(crate) fn new(record: &'a Bound<'py, PyAny>, encoding: &'a Encoding) -> Option<Self> {
        let py = record.py();
        let env = Env::get(py).ok()?;
        if !env.is_fast()
            || !raw::is_exactly(record, &env.log_record)
            || !env.has_plain_record_class(py)
        {
            return None;
        }
        let names = known_names(py);
        let attributes = raw::attributes_of(record)?;
        let is_standard = if has_task_name(py) { STANDARD } else { STANDARD - 1 };
        let mut known = [const { None }; KNOWN];
        let mut others = Vec::with_capacity(16);
        let mut expected = 0;
        let mut is_odd = false;
        raw::each_item(&attributes, |key, value| {
            // They mostly come in the same order, with some left out.
            let is_it = |name: &Py<PyString>| name.as_ptr() == key.as_ptr();
            let ahead = &names[expected..(expected + 4).min(KNOWN)];
            let index = match ahead.iter().position(is_it) {
                Some(ahead) => Some(expected + ahead),
                None if is_other_name(key) => None,
                None => {
                    let index = names.iter().position(is_it);
                    is_odd |= index.is_none() && !is_other_text(key);
                    index
                }
            };
            if let Some(index) = index {
                expected = index + 1;
                known[index] = Some(value.to_owned());
            }
            if index.is_none_or(|index| index >= is_standard) {
                others.push((key.to_owned(), value.to_owned()));
            }
        });
        if is_odd {
            return None;
        }
        Some(Self { record, known, others, encoding, format_error: RefCell::default() })
    }

    #[inline]
    pub(crate) fn attribute(&self, name: &str) -> Option<&Bound<'py, PyAny>> {
        let index = STANDARD_NAMES
            .iter()
            .position(|known| *known == name)
            .or_else(|| ACTION_KEYS.iter().position(|key| *key == name).map(|at| at + STANDARD))?;
        self.known[index].as_ref()
    }

    fn value(&self, object: &Bound<'py, PyAny>) -> PlainValue<'a, 'py> {
        PlainValue::Object(PyValue { object: object.clone(), encoding: self.encoding })
    }

    /// The message where it takes no code of anybody's to have it, by far the commonest case.
    fn ready_message(&self) -> Option<PlainValue<'a, 'py>> {
        let message = self.attribute("msg")?.cast_exact::<PyString>().ok()?;
        let arguments = self.attribute("args")?;
        if arguments.is_none() {
            return Some(self.value(message.as_any()));
        }
        let arguments = arguments.cast_exact::<PyTuple>().ok()?;
        if arguments.is_empty() {
            return Some(self.value(message.as_any()));
        }
        percent::merged(message.to_str().ok()?, arguments, 0).map(PlainValue::Text)
    }
}

/// The value of an attribute, or a text made of one.
pub(crate) enum PlainValue<'a, 'py> {
    Object(PyValue<'a, 'py>),
    Text(String),
}

impl Value for PlainValue<'_, '_> {
    #[inline]
    fn write(&self, json: &mut JsonWriter<'_>) {
        match self {
            Self::Object(value) => value.write(json),
            Self::Text(text) => json.string(text.as_bytes()),
        }
    }

    #[inline]
    fn is_string(&self, wtf8: &[u8]) -> bool {
        match self {
            Self::Object(value) => value.is_string(wtf8),
            Self::Text(text) => text.as_bytes() == wtf8,
        }
    }

    #[inline]
    fn is_blank(&self) -> bool {
        match self {
            Self::Object(value) => value.is_blank(),
            Self::Text(text) => text.is_empty(),
        }
    }
}

impl<'a, 'py> LogRecord for PlainRecord<'a, 'py> {
    type Value = PlainValue<'a, 'py>;

    fn created_s(&self) -> Option<f64> {
        self.attribute("created")?.extract().ok()
    }

    fn message(&self) -> Self::Value {
        if let Some(message) = self.ready_message() {
            return message;
        }
        let py = self.record.py();
        match self.record.call_method0(intern!(py, "getMessage")) {
            Ok(message) => self.value(&message),
            Err(error) => {
                self.format_error.replace(Some(describe(py, self.encoding, error)));
                match self.attribute("msg") {
                    Some(raw) if raw.is_instance_of::<PyString>() => self.value(raw),
                    Some(raw) => {
                        let text = self.encoding.text(raw);
                        PlainValue::Text(String::from_utf8_lossy(&text).into_owned())
                    }
                    None => PlainValue::Text("None".to_owned()),
                }
            }
        }
    }

    fn format_error(&self) -> Option<Cow<'_, [u8]>> {
        self.format_error.borrow().clone().map(Cow::Owned)
    }

    #[inline]
    fn get(&self, name: &str) -> Option<Self::Value> {
        self.attribute(name).map(|object| self.value(object))
    }

    fn each_attribute(&self, visit: &mut dyn FnMut(&[u8], &Self::Value)) {
        for (name, object) in &self.others {
            // `new` has seen to it that each is a text.
            if let Ok(name) = name.cast_exact::<PyString>()
                && let Ok(name) = name.to_str()
            {
                visit(name.as_bytes(), &self.value(object));
            }
        }
    }

    fn exception_text(&self) -> Option<Cow<'_, [u8]>> {
        let (text, info) = (self.attribute("exc_text"), self.attribute("exc_info"));
        format_exception(self.encoding, text, info).map(Cow::Owned)
    }

    fn has_standard_task_name(&self) -> bool {
        has_task_name(self.record.py())
    }
}

/// Names that are none of those known here, kept alive so that no other name gets their address.
static OTHER_NAMES: [PyOnceLock<Py<PyString>>; 64] = [const { PyOnceLock::new() }; 64];

#[inline]
fn other_name_slot(key: Borrowed<'_, '_, PyAny>) -> &'static PyOnceLock<Py<PyString>> {
    &OTHER_NAMES[(key.as_ptr() as usize >> 4) % OTHER_NAMES.len()]
}

/// Whether a key is a text, and none of the known names.
#[inline]
pub(crate) fn is_other(key: Borrowed<'_, '_, PyAny>) -> bool {
    is_other_name(key) || is_other_text(key)
}

/// Whether a key has been found to be none of the known names before.
#[inline]
fn is_other_name(key: Borrowed<'_, '_, PyAny>) -> bool {
    let known = other_name_slot(key).get(key.py());
    known.is_some_and(|known| known.as_ptr() == key.as_ptr())
}

/// Whether a key is a text, and none of the known names. Those are told by their address, as the
/// names of attributes are interned; but a key need not be.
#[cold]
fn is_other_text(key: Borrowed<'_, '_, PyAny>) -> bool {
    let Ok(text) = key.cast_exact::<PyString>() else { return false };
    let Ok(name) = text.to_str() else { return false };
    let is_other = !STANDARD_NAMES.contains(&name) && !ACTION_KEYS.contains(&name);
    if is_other {
        let _ = other_name_slot(key).set(key.py(), text.to_owned().unbind());
    }
    is_other
}
