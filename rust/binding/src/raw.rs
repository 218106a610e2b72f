//! What PyO3 has no safe function for, or none that costs as little: the only unsafe code here.
//!
//! All of it needs what the stable ABI hides. With the feature `abi3` the functions answer that they
//! do not know, and records go the long way round, through `logging`.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

mod context;
mod seen;

pub(crate) use context::{context_value, reset_context_value, set_context_value};
pub(crate) use seen::Seen;

/// The attributes of an instance, of a class that keeps them in the ordinary way.
#[inline]
pub(crate) fn attributes_of<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    // SAFETY: the object is alive, and the interpreter attached; the answer is a reference of our
    // own, or null with an exception set.
    let attributes = unsafe {
        let pointer = ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), pointer)
    };
    attributes.ok()?.cast_into_exact().ok()
}

/// A number that a dict gets anew with every change of it, and no other dict ever has. 0: this
/// interpreter has none.
#[inline]
pub(crate) fn version_of_dict(dict: &Bound<'_, PyDict>) -> u64 {
    #[cfg(not(has_dict_version))]
    {
        let _ = dict;
        0
    }
    #[cfg(has_dict_version)]
    // Deprecated, and there as long as `has_dict_version` says.
    #[allow(deprecated)]
    // SAFETY: it is a dict, and alive, and the interpreter attached, which is all that changes it.
    unsafe {
        (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_version_tag
    }
}

/// The values that names had in a dict of some version.
struct Picked {
    version: AtomicU64,
    /// Not ours: the dict has them for as long as it is of that version.
    values: [AtomicPtr<ffi::PyObject>; MAX_PICKED],
}

const MAX_PICKED: usize = 9;

static PICKED: [Picked; 256] = [const {
    Picked {
        version: AtomicU64::new(0),
        values: [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_PICKED],
    }
}; 256];

/// The place of a dict's version in a table of so many (a power of two).
#[inline]
pub(crate) fn slot_of(version: u64, slots: usize) -> usize {
    // Multiplied, as some interpreters count in steps of a power of two. 16 bits are left.
    #[allow(clippy::cast_possible_truncation)]
    let hash = (version.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize;
    hash & (slots - 1)
}

/// What `take` makes of the values of these names in a dict of attributes. None as soon as
/// `is_harmless` says of another key that it is not. A dict must always be asked for the same names.
///
/// The values are the dict's: `take` must run no Python code, which might change it.
///
/// The keys are compared by address: the names are interned, as those of attributes are. One that
/// is not is put before `is_harmless`, as any other key is.
#[inline]
pub(crate) fn pick<'py, const N: usize, T>(
    attributes: &Bound<'py, PyDict>,
    names: &[Py<PyString>; N],
    is_harmless: impl FnMut(Borrowed<'_, 'py, PyAny>) -> bool,
    take: impl FnOnce([Option<Borrowed<'_, 'py, PyAny>>; N]) -> T,
) -> Option<T> {
    const { assert!(N <= MAX_PICKED) };
    let py = attributes.py();
    let version = version_of_dict(attributes);
    let slot = &PICKED[slot_of(version, PICKED.len())];
    if version != 0 && slot.version.load(Ordering::Relaxed) == version {
        return Some(take(std::array::from_fn(|index| {
            let value = slot.values[index].load(Ordering::Relaxed);
            // SAFETY: the dict is of the version that this value was found in, so it is there
            // still, and stays there while no Python code runs. No other thread writes to the slot
            // meanwhile: the interpreter is attached, and has a lock.
            unsafe { Borrowed::from_ptr_or_opt(py, value) }
        })));
    }
    let found = find(attributes, names, is_harmless)?;
    if version != 0 {
        for (slot, value) in slot.values.iter().zip(&found) {
            let value = value.as_ref().map_or(std::ptr::null_mut(), Bound::as_ptr);
            slot.store(value, Ordering::Relaxed);
        }
        slot.version.store(version, Ordering::Relaxed);
    }
    Some(take(std::array::from_fn(|index| found[index].as_ref().map(Bound::as_borrowed))))
}

/// [`pick`] for a dict of many names, of which some may stand for anything.
#[inline]
pub(crate) fn look_up<'py, const N: usize, T>(
    dict: &Bound<'py, PyDict>,
    names: &[Py<PyString>; N],
    take: impl FnOnce([Option<Borrowed<'_, 'py, PyAny>>; N]) -> T,
) -> Option<T> {
    if version_of_dict(dict) != 0 {
        return pick(dict, names, |_| true, take);
    }
    let mut found = [const { None }; N];
    for (value, name) in found.iter_mut().zip(names) {
        *value = dict.get_item(name).ok()?;
    }
    Some(take(std::array::from_fn(|index| found[index].as_ref().map(Bound::as_borrowed))))
}

fn find<'py, const N: usize>(
    attributes: &Bound<'py, PyDict>,
    names: &[Py<PyString>; N],
    mut is_harmless: impl FnMut(Borrowed<'_, 'py, PyAny>) -> bool,
) -> Option<[Option<Bound<'py, PyAny>>; N]> {
    let py = attributes.py();
    let mut found = [const { None }; N];
    let mut expected = 0;
    let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: `attributes` is a dict. Nobody changes it meanwhile: the interpreter is attached (and
    // has a lock, see `Env::is_fast`), and neither this loop nor `is_harmless` runs Python code.
    // Key and value are references borrowed from the dict, which is why they are copied at once.
    while unsafe {
        ffi::PyDict_Next(attributes.as_ptr(), &raw mut position, &raw mut key, &raw mut value) != 0
    } {
        // They mostly come in the same order.
        let index = if expected < N && names[expected].as_ptr() == key {
            Some(expected)
        } else {
            names.iter().position(|name| name.as_ptr() == key)
        };
        // SAFETY: as above.
        let (key, value) = unsafe { (Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value)) };
        match index {
            Some(index) => {
                found[index] = Some(value.to_owned());
                expected = index + 1;
            }
            None if !is_harmless(key) => return None,
            None => {}
        }
    }
    Some(found)
}

/// [`version_of`] an object's class.
#[inline]
fn version_of_object(object: &Bound<'_, PyAny>) -> u32 {
    #[cfg(feature = "abi3")]
    {
        let _ = object;
        0
    }
    #[cfg(not(feature = "abi3"))]
    // SAFETY: as in `version_of`; the class lives as long as the object.
    unsafe {
        (*object.get_type_ptr()).tp_version_tag
    }
}

/// Calls `visit` with each key and value, copied; `visit` must run no Python code (see `pick`).
#[inline]
pub(crate) fn each_item<'py>(
    dict: &Bound<'py, PyDict>,
    mut visit: impl FnMut(Borrowed<'_, 'py, PyAny>, Borrowed<'_, 'py, PyAny>),
) {
    let py = dict.py();
    let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: as in `pick`.
    while unsafe {
        ffi::PyDict_Next(dict.as_ptr(), &raw mut position, &raw mut key, &raw mut value) != 0
    } {
        // SAFETY: as in `pick`.
        let (key, value) = unsafe { (Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value)) };
        visit(key, value);
    }
}

/// What stands at some place in a dict; None where that is empty, or behind the end. Both are
/// borrowed: no Python code may run while they are held (see `pick`).
#[inline]
pub(crate) fn item_at<'a, 'py>(
    dict: &'a Bound<'py, PyDict>,
    place: usize,
) -> Option<(Borrowed<'a, 'py, PyAny>, Borrowed<'a, 'py, PyAny>)> {
    let py = dict.py();
    let at = ffi::Py_ssize_t::try_from(place).ok()?;
    let (mut position, mut key, mut value) = (at, std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: as in `pick`. A position is a place in the order of the items, and one behind the last
    // is the end.
    unsafe {
        if ffi::PyDict_Next(dict.as_ptr(), &raw mut position, &raw mut key, &raw mut value) == 0 {
            return None;
        }
        // Otherwise the place is empty, and this is the next item.
        (position == at + 1).then(|| (Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value)))
    }
}

/// Whether a dict may have got so many items anew since it was of that version. Single changes of it
/// (and, as it happens, of others) are fewer.
#[inline]
pub(crate) fn was_rebuilt(dict: &Bound<'_, PyDict>, version: u64, items: usize) -> bool {
    version == 0 || version_of_dict(dict).wrapping_sub(version) >= VERSION_STEP * items as u64
}

/// Whether all that has happened to a dict since it was of that version is that so many new keys came
/// behind the others: each takes a step, so that no other change fits in.
#[inline]
pub(crate) fn was_added_to(dict: &Bound<'_, PyDict>, version: u64, items: usize) -> bool {
    version != 0 && version_of_dict(dict).wrapping_sub(version) == VERSION_STEP * items as u64
}

/// So much a version grows by with each change of any dict.
#[cfg(has_dict_version)]
const VERSION_STEP: u64 = if cfg!(has_dict_watchers) { 256 } else { 1 };
#[cfg(not(has_dict_version))]
const VERSION_STEP: u64 = 1;

/// A number that the interpreter gives a class and takes back when the class, or a base of it,
/// changes; never given twice. 0: it has none now.
#[inline]
pub(crate) fn version_of(class: &Bound<'_, PyType>) -> u32 {
    #[cfg(feature = "abi3")]
    {
        let _ = class;
        0
    }
    #[cfg(not(feature = "abi3"))]
    // SAFETY: the class is alive, and the interpreter attached, which is all that changes it.
    unsafe {
        (*class.as_type_ptr()).tp_version_tag
    }
}

/// The class of an object, without asking the object.
#[inline]
pub(crate) fn is_exactly(object: &Bound<'_, PyAny>, class: &Py<PyType>) -> bool {
    object.get_type_ptr().cast::<ffi::PyObject>() == class.as_ptr()
}

/// Whether attributes of the class's instances are looked up in the ordinary way.
#[inline]
pub(crate) fn has_plain_attributes(class: &Bound<'_, PyType>) -> bool {
    #[cfg(feature = "abi3")]
    {
        let _ = class;
        false
    }
    #[cfg(not(feature = "abi3"))]
    // SAFETY: as in `version_of`. The functions are compared, not called.
    unsafe {
        (*class.as_type_ptr()).tp_getattro.is_some_and(|function| {
            std::ptr::fn_addr_eq(function, ffi::PyObject_GenericGetAttr as ffi::getattrofunc)
        })
    }
}

/// The address of the C function behind a built-in function: some libraries for tests replace it.
pub(crate) fn function_address(function: &Bound<'_, PyAny>) -> Option<usize> {
    #[cfg(not(feature = "abi3"))]
    // SAFETY: the type is checked before the function is looked at, which is in its definition.
    unsafe {
        if ffi::PyCFunction_CheckExact(function.as_ptr()) == 0 {
            return None;
        }
        let definition = (*function.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml;
        Some((*definition).ml_meth.PyCFunction as usize)
    }
    #[cfg(feature = "abi3")]
    // SAFETY: the type is checked before the function is asked for.
    unsafe {
        if ffi::PyCFunction_CheckExact(function.as_ptr()) == 0 {
            return None;
        }
        ffi::PyCFunction_GetFunction(function.as_ptr()).map(|function| function as usize)
    }
}

/// Where in the program a Python function is.
pub(crate) struct Place<'py> {
    frame: Bound<'py, PyAny>,
    pub(crate) code: Bound<'py, PyAny>,
    /// Where in its code: all that happens at the same position is on the same line. None: this
    /// interpreter does not say.
    pub(crate) position: Option<i32>,
}

impl Place<'_> {
    /// The number of the line.
    pub(crate) fn line(&self) -> i32 {
        // SAFETY: it is a frame, as `place` has seen to, and the interpreter attached.
        unsafe { ffi::PyFrame_GetLineNumber(self.frame.as_ptr().cast()) }
    }
}

/// The place of the Python function that is running, or of one further out.
#[inline]
pub(crate) fn place(py: Python<'_>, frames_away: usize) -> Option<Place<'_>> {
    #[cfg(feature = "abi3")]
    {
        let _ = (py, frames_away);
        None
    }
    #[cfg(not(feature = "abi3"))]
    // SAFETY: the interpreter is attached. The running frame is borrowed, and made our own before
    // anything else; the others and the code are references of our own.
    unsafe {
        let running = ffi::PyEval_GetFrame().cast::<ffi::PyObject>();
        let mut frame: Bound<'_, PyAny> = Bound::from_borrowed_ptr_or_opt(py, running)?;
        for _ in 0..frames_away {
            let outer = ffi::PyFrame_GetBack(frame.as_ptr().cast());
            frame = Bound::from_owned_ptr_or_opt(py, outer.cast())?;
        }
        let code = ffi::PyFrame_GetCode(frame.as_ptr().cast()).cast::<ffi::PyObject>();
        let code = Bound::from_owned_ptr_or_opt(py, code)?;
        #[cfg(has_frame_positions)]
        let position = Some(ffi::PyFrame_GetLasti(frame.as_ptr().cast()));
        #[cfg(not(has_frame_positions))]
        let position = None;
        Some(Place { frame, code, position })
    }
}

/// What `threading.get_ident()` gives.
#[inline]
pub(crate) fn thread_ident() -> u64 {
    // SAFETY: it may be called in any thread, at any time.
    #[allow(clippy::useless_conversion)] // a word of 32 bits elsewhere
    unsafe {
        ffi::PyThread_get_thread_ident().into()
    }
}

/// An instance of a class of the ordinary kind, without a call of its `__init__`, that has these
/// attributes.
pub(crate) fn new_instance<'py>(
    class: &Bound<'py, PyType>,
    attributes: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: allocating is all that `object.__new__` does for a class that has no such method of
    // its own, nor slots: the caller has made sure. Null comes with an exception set.
    let instance = unsafe {
        let instance = ffi::PyType_GenericAlloc(class.as_type_ptr(), 0);
        Bound::from_owned_ptr_or_err(class.py(), instance)?
    };
    #[cfg(has_dict_version)]
    // SAFETY: both are alive; the function takes a reference of its own. The instance is new, and
    // its class keeps attributes in the ordinary way.
    unsafe {
        let none = std::ptr::null_mut();
        if ffi::PyObject_GenericSetDict(instance.as_ptr(), attributes.as_ptr(), none) < 0 {
            return Err(PyErr::fetch(class.py()));
        }
    }
    // The class's own way of setting it: from 3.13 on no other one takes the values away that an
    // instance has instead of a dict.
    #[cfg(not(has_dict_version))]
    instance.setattr(pyo3::intern!(class.py(), "__dict__"), attributes)?;
    Ok(instance)
}
