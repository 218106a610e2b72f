//! `format % arguments` for the formats that people mostly write, without a string in between.

use std::fmt::Write as _;

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};

use crate::guarded::Guarded;

/// The memory of a text that is not needed any more, for the next one.
static SPARE: Guarded<String> = Guarded::new(String::new());
/// More than this is given back.
const KEPT_BYTES: usize = 1024;

/// Takes a text back.
#[inline]
pub(crate) fn give_back(py: Python<'_>, text: String) {
    if text.capacity() <= KEPT_BYTES {
        let before = std::mem::replace(&mut *SPARE.hold(py), text);
        drop(before);
    }
}

/// What `format % arguments` gives for the arguments from `first` on, if there is nothing in it but `%s` of strings and of integers,
/// `%d` of integers, and `%%`. None: let Python do it.
pub(crate) fn merged(format: &str, arguments: &Bound<'_, PyTuple>, first: usize) -> Option<String> {
    let mut text = std::mem::take(&mut *SPARE.hold(arguments.py()));
    text.clear();
    text.reserve(format.len() + 32);
    let mut arguments = arguments.iter_borrowed().skip(first);
    let mut rest = format;
    while let Some(at) = rest.bytes().position(|byte| byte == b'%') {
        text.push_str(&rest[..at]);
        match *rest.as_bytes().get(at + 1)? {
            b'%' => text.push('%'),
            kind @ (b's' | b'd') => {
                let argument = arguments.next()?;
                if let Ok(number) = argument.cast_exact::<PyInt>() {
                    // Writing into a String cannot fail.
                    let _ = write!(text, "{}", number.extract::<i64>().ok()?);
                } else if kind == b's' {
                    text.push_str(argument.cast_exact::<PyString>().ok()?.to_str().ok()?);
                } else {
                    return None;
                }
            }
            _ => return None,
        }
        rest = &rest[at + 2..];
    }
    text.push_str(rest);
    // Those left over are an error.
    arguments.next().is_none().then_some(text)
}
