//! Values of records compared with what a person asks for.

use crate::record::RawValue;

use super::json::Kind;
use super::wtf8;

/// A text to be equal to, upper and lower case being equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caseless {
    lower: String,
}

impl Caseless {
    pub(crate) fn new(text: &str) -> Self {
        Self { lower: text.to_lowercase() }
    }

    /// Whether the value is a string, and this text.
    pub(crate) fn matches(&self, value: RawValue<'_>) -> bool {
        let Some(text) = value.text() else { return false };
        if text.is_ascii() {
            return text.eq_ignore_ascii_case(self.lower.as_bytes());
        }
        // Lone surrogates equal nothing that can be typed.
        std::str::from_utf8(&text).is_ok_and(|text| text.to_lowercase() == self.lower)
    }
}

/// Whether the value is `wanted`: a string by its decoded text, a number or a boolean by its JSON
/// text. Null, arrays and objects never are.
pub(crate) fn is_value(value: RawValue<'_>, wanted: &str) -> bool {
    match value.kind() {
        Kind::String { escaped } => {
            let content = value.string_content();
            if escaped { wtf8::unescapes_to(content, wanted) } else { content == wanted.as_bytes() }
        }
        Kind::Number | Kind::NonFinite | Kind::True | Kind::False => {
            value.raw() == wanted.as_bytes()
        }
        Kind::Null | Kind::Array | Kind::Object => false,
    }
}
