//! Which records are wanted.

use std::borrow::Cow;

use crate::record::Record;

use super::wtf8;

/// A choice of records. The default wants them all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In lower case; never empty.
    message: Option<String>,
}

impl Filter {
    /// Records whose message contains `text`, upper and lower case being equal (compared in
    /// lower case, as Python's `str.lower()` gives it). No text, or an empty one: all records.
    pub fn new(text: Option<&str>) -> Self {
        Self { message: text.filter(|text| !text.is_empty()).map(str::to_lowercase) }
    }

    /// Whether all records are wanted.
    pub fn is_empty(&self) -> bool {
        self.message.is_none()
    }

    /// Whether the record is wanted.
    pub fn matches(&self, record: &Record<'_>) -> bool {
        self.message.as_deref().is_none_or(|needle| contains(&record.message(), needle))
    }
}

fn contains(message: &[u8], needle: &str) -> bool {
    // A character that is not ASCII may have an ASCII one in its lower case (the Kelvin sign):
    // only where the whole message is ASCII can bytes be compared.
    if message.is_ascii() {
        return needle.is_ascii() && contains_ascii(message, needle.as_bytes());
    }
    match wtf8::to_str_lossy(message) {
        Cow::Borrowed(text) => text.to_lowercase().contains(needle),
        // Lone surrogates match nothing, not even a replacement character in the filter.
        Cow::Owned(_) => wtf8::chunks(message).any(|text| text.to_lowercase().contains(needle)),
    }
}

fn contains_ascii(haystack: &[u8], needle: &[u8]) -> bool {
    let (first, length) = (needle[0], needle.len());
    let Some(last_start) = haystack.len().checked_sub(length) else { return false };
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), &haystack[..=last_start])
        .any(|at| haystack[at..at + length].eq_ignore_ascii_case(needle))
}
