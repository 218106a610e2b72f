//! Context variables.
#![allow(unsafe_code)]

#[cfg(not(feature = "abi3"))]
use pyo3::ffi;
use pyo3::prelude::*;

/// The value of a context variable in the current context, its default where it is not set.
#[inline]
pub(crate) fn context_value<'py>(variable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    #[cfg(feature = "abi3")]
    {
        variable.call_method0(pyo3::intern!(variable.py(), "get"))
    }
    #[cfg(not(feature = "abi3"))]
    {
        let py = variable.py();
        let mut value = std::ptr::null_mut();
        // SAFETY: PyO3 hands out context variables only as what they are, and the function checks
        // the type itself. The value is a reference of our own, null where there is none.
        unsafe {
            if ffi::PyContextVar_Get(variable.as_ptr(), std::ptr::null_mut(), &raw mut value) < 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(Bound::from_owned_ptr_or_opt(py, value).unwrap_or_else(|| py.None().into_bound(py)))
        }
    }
}

/// Sets a context variable in the current context. The token takes that back.
#[inline]
pub(crate) fn set_context_value<'py>(
    variable: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    #[cfg(feature = "abi3")]
    {
        variable.call_method1(pyo3::intern!(variable.py(), "set"), (value,))
    }
    #[cfg(not(feature = "abi3"))]
    // SAFETY: the function checks the variable's type; the answer is a reference of our own, or null
    // with an exception set.
    unsafe {
        let token = ffi::PyContextVar_Set(variable.as_ptr(), value.as_ptr());
        Bound::from_owned_ptr_or_err(variable.py(), token)
    }
}

/// Gives a context variable the value again that it had before it was set. False: that was in another
/// context, or has been taken back already.
#[inline]
pub(crate) fn reset_context_value(variable: &Bound<'_, PyAny>, token: &Bound<'_, PyAny>) -> bool {
    #[cfg(feature = "abi3")]
    {
        variable.call_method1(pyo3::intern!(variable.py(), "reset"), (token,)).is_ok()
    }
    #[cfg(not(feature = "abi3"))]
    // SAFETY: the function checks the types of both. An exception that it sets is taken.
    unsafe {
        let is_done = ffi::PyContextVar_Reset(variable.as_ptr(), token.as_ptr()) == 0;
        if !is_done {
            drop(PyErr::take(variable.py()));
        }
        is_done
    }
}
