//! Taking secrets out of texts.

use std::borrow::Cow;

use inspect_trace_core::redact::{redact as redact_bytes, redact_text};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// The text without the secrets in it.
#[pyfunction]
pub(crate) fn redact<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    let py = text.py();
    if let Ok(plain) = text.to_str() {
        return Ok(match redact_text(plain) {
            Cow::Borrowed(_) => text.clone().into_any(),
            Cow::Owned(redacted) => PyString::new(py, &redacted).into_any(),
        });
    }
    // Lone surrogates, which are kept.
    let coding = ("utf-8", "surrogatepass");
    let bytes = text.call_method1("encode", coding)?.cast_into::<PyBytes>()?;
    PyBytes::new(py, &redact_bytes(bytes.as_bytes())).call_method1("decode", coding)
}
