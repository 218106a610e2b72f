//! Classes and dicts that have been looked at, remembered for as long as the interpreter itself says
//! that they have not changed: by its versions of them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

use crate::raw;

/// A class that has been looked at, and the version it was found to be in order in.
pub(crate) struct Checked(AtomicU32);

impl Checked {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether the class is in order: what `is_in_order` has said, for as long as it cannot have
    /// changed.
    #[inline]
    pub(crate) fn holds(
        &self,
        class: &Bound<'_, PyType>,
        is_in_order: impl FnOnce(&Bound<'_, PyType>) -> bool,
    ) -> bool {
        let version = raw::version_of(class);
        if version != 0 && version == self.0.load(Ordering::Relaxed) {
            return true;
        }
        // Looking for attributes gives the class a version, where it has none.
        let is_in_order = is_in_order(class);
        if is_in_order {
            self.0.store(raw::version_of(class), Ordering::Relaxed);
        }
        is_in_order
    }
}

/// A dict that has been looked at, and the version it was found to be in order in.
pub(crate) struct CheckedDict(AtomicU64);

impl CheckedDict {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn holds(
        &self,
        dict: &Bound<'_, PyDict>,
        is_in_order: impl FnOnce(&Bound<'_, PyDict>) -> bool,
    ) -> bool {
        let version = raw::version_of_dict(dict);
        if version != 0 && version == self.0.load(Ordering::Relaxed) {
            return true;
        }
        let is_in_order = is_in_order(dict);
        if is_in_order {
            self.0.store(version, Ordering::Relaxed);
        }
        is_in_order
    }
}

/// A class of ours with the methods that it was made with.
pub(crate) struct OwnClass {
    pub(crate) class: Py<PyType>,
    methods: Vec<(Py<PyString>, Py<PyAny>)>,
}

pub(crate) static TRACE_HANDLER_CLASS: PyOnceLock<OwnClass> = PyOnceLock::new();
pub(crate) static LAST_RESORT_CLASS: PyOnceLock<OwnClass> = PyOnceLock::new();

/// Makes `TraceHandler` known, with its methods as they are.
#[pyfunction]
#[pyo3(signature = (class, /), text_signature = "(class_, /)")]
pub(crate) fn know_trace_handler(class: &Bound<'_, PyType>) -> PyResult<()> {
    know(&TRACE_HANDLER_CLASS, class, &["handle", "emit", "handleError"])
}

/// Makes the handler known that stands in for `logging.lastResort`.
#[pyfunction]
#[pyo3(signature = (class, /), text_signature = "(class_, /)")]
pub(crate) fn know_last_resort(class: &Bound<'_, PyType>) -> PyResult<()> {
    know(&LAST_RESORT_CLASS, class, &["handle"])
}

fn know(slot: &PyOnceLock<OwnClass>, class: &Bound<'_, PyType>, names: &[&str]) -> PyResult<()> {
    let py = class.py();
    let methods = names
        .iter()
        .map(|name| {
            let name = PyString::intern(py, name);
            let method = class.getattr(&name)?;
            Ok((name.unbind(), method.unbind()))
        })
        .collect::<PyResult<_>>()?;
    let _ = slot.set(py, OwnClass { class: class.clone().unbind(), methods });
    Ok(())
}

impl OwnClass {
    pub(crate) fn has_its_methods(&self, class: &Bound<'_, PyType>) -> bool {
        self.methods.iter().all(|(name, method)| {
            class.getattr(name.bind(class.py())).is_ok_and(|found| found.is(method))
        })
    }
}
