//! The border between Python and the core: classes, conversions, the one error mapping.
//!
//! Nothing here decides anything about logs; it turns Python objects into what the core takes and
//! the core's answers into Python objects.

use pyo3::prelude::*;

mod log_record;
mod value;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::log_record::{format_record, new_trace_id};
}
