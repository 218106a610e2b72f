//! The border between Python and the core: classes, conversions, the one error mapping.

use pyo3::prelude::*;

#[pymodule]
mod _core {}
