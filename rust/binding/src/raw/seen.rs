//! Objects as they were seen, and whether they still are: the values that their attributes had, without
//! looking for them.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;

use super::{attributes_of, each_item, version_of, version_of_dict, version_of_object};

/// An object as it was seen: its class, its attributes, and the values that some of them had.
pub(crate) struct Seen<const N: usize> {
    class_version: u32,
    version: u64,
    /// Not ours: the attributes have them for as long as they are of that version.
    values: [*mut ffi::PyObject; N],
}

// SAFETY: the values are only followed by who has the interpreter, see `get`.
unsafe impl<const N: usize> Send for Seen<N> {}

impl<const N: usize> Seen<N> {
    /// The object as it is now, with values of its attributes. None: one is not, or the interpreter has
    /// no versions.
    pub(crate) fn of(
        object: &Bound<'_, PyAny>,
        values: [Option<&Bound<'_, PyAny>>; N],
    ) -> Option<Self> {
        let attributes = attributes_of(object)?;
        let (class_version, version) =
            (version_of(&object.get_type()), version_of_dict(&attributes));
        let has = |value: &Bound<'_, PyAny>| {
            let mut is_there = false;
            each_item(&attributes, |_, found| is_there |= found.as_ptr() == value.as_ptr());
            is_there
        };
        let is_sound =
            class_version != 0 && version != 0 && values.iter().flatten().all(|value| has(value));
        is_sound.then(|| Self {
            class_version,
            version,
            values: values.map(|value| value.map_or(std::ptr::null_mut(), Bound::as_ptr)),
        })
    }

    /// The values, if nothing has changed since: neither the object's class nor any of its attributes.
    ///
    /// They are the object's: no Python code, which might change it, may run while they are held.
    #[inline]
    pub(crate) fn get<'a, 'py>(
        &self,
        object: Borrowed<'a, 'py, PyAny>,
    ) -> Option<[Option<Borrowed<'a, 'py, PyAny>>; N]> {
        let py = object.py();
        if version_of_object(&object) != self.class_version {
            return None;
        }
        let attributes = attributes_of(&object)?;
        // No two dicts are ever of the same version.
        (version_of_dict(&attributes) == self.version).then(|| {
            // SAFETY: the attributes are of the version that these values were found in, so they
            // are there still, and stay there while no Python code runs.
            self.values.map(|value| unsafe { Borrowed::from_ptr_or_opt(py, value) })
        })
    }
}
