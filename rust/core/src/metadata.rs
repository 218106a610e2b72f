//! What is shown of a log without the texts in it (`--no-detail`): when, what kind of action, how it ended,
//! whose. Details, messages, errors and stacks are made of what models say and tools answer; a reader that
//! follows instructions must not be given them. Names stay, as short values on one line.

use std::borrow::Cow;

use crate::read::{Kind, to_str_lossy, wtf8};
use crate::record::{Name, RawValue};
use crate::render::terminal_safe;
use crate::write::json::write_string;

/// Longer names are cut.
pub(crate) const MAX_NAME_CHARS: usize = 100;
const CUT: char = '…';

/// Whether a field is shown: what is not known by name is not.
pub(crate) fn is_metadata(name: Name, kind: Kind) -> bool {
    let is_known = match name {
        Name::Timestamp
        | Name::Level
        | Name::Module
        | Name::Function
        | Name::Line
        | Name::Action
        | Name::Event
        | Name::TraceId
        | Name::ParentId
        | Name::StartTime
        | Name::Duration
        | Name::ErrorType
        | Name::Task
        | Name::SampleId
        | Name::Epoch
        | Name::Pid => true,
        Name::Message | Name::Detail | Name::Error | Name::Stacktrace | Name::Extra => false,
    };
    is_known && !matches!(kind, Kind::Null | Kind::Array | Kind::Object)
}

/// A name as it is shown: on one line, without what steers or hides, and not long.
pub(crate) fn short_name(name: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
    if name.len() <= MAX_NAME_CHARS && name.iter().all(is_plain) {
        return Cow::Borrowed(name);
    }
    // A character takes four bytes at most.
    let end = name.len().min(4 * MAX_NAME_CHARS + 4);
    let mut text = terminal_safe(&name[..end]);
    if let Some((at, _)) = text.char_indices().nth(MAX_NAME_CHARS) {
        text.truncate(at);
        text.push(CUT);
    }
    Cow::Owned(text.into_bytes())
}

/// The same of a name given as JSON text; `None` for what is no name or number.
pub(crate) fn short_json(json: &[u8]) -> Option<Cow<'_, [u8]>> {
    match json.first()? {
        b'"' => {
            let text = wtf8::unescape(json.get(1..json.len() - 1)?);
            let short = short_name(&text);
            if *short == *text {
                return Some(Cow::Borrowed(json));
            }
            let mut out = Vec::new();
            write_string(&mut out, to_str_lossy(&short).as_bytes());
            Some(Cow::Owned(out))
        }
        b'[' | b'{' => None,
        _ => (json.len() <= MAX_NAME_CHARS).then_some(Cow::Borrowed(json)),
    }
}

/// The JSON text of a field that is shown.
pub(crate) fn short_value(name: Name, value: RawValue<'_>) -> Option<Cow<'_, [u8]>> {
    if is_metadata(name, value.kind()) { short_json(value.raw()) } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// Names of usual length stay as they are; long ones are cut, and what hides or breaks lines is shown.
    #[test]
    fn names_are_short() {
        for name in ["Tool Call", "", "swe_bench/django-1234"] {
            assert_eq!(*short_name(name.as_bytes()), *name.as_bytes());
        }
        assert_eq!(&*short_name("a\n\u{200b}é".as_bytes()), "a\\n\\u200bé".as_bytes());
        let long = short_name(&[b'x'; 1000]).into_owned();
        assert_eq!(to_str_lossy(&long), "x".repeat(MAX_NAME_CHARS) + "…");
        assert_eq!(short_json(b"\"s\"").unwrap(), b"\"s\"".as_slice());
        assert_eq!(short_json(b"12").unwrap(), b"12".as_slice());
        assert_eq!(short_json(b"\"a\\nb\"").unwrap(), b"\"a\\\\nb\"".as_slice());
        assert_eq!(short_json(b"[\"s\"]"), None);
    }

    proptest! {
        /// Whatever the name, it is one line of visible characters, no longer than it may be.
        #[test]
        fn no_name_is_long(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            for name in [text.as_bytes(), &bytes] {
                let short = short_name(name);
                let short = std::str::from_utf8(&short).unwrap();
                prop_assert!(short.chars().count() <= MAX_NAME_CHARS + 1);
                prop_assert!(!short.contains(char::is_control));
                prop_assert_eq!(&*short_name(short.as_bytes()), short.as_bytes());
            }
            let mut json = Vec::new();
            write_string(&mut json, text.as_bytes());
            let short = short_json(&json).unwrap().into_owned();
            let decoded: String = serde_json::from_slice(&short).unwrap();
            prop_assert_eq!(decoded.as_bytes(), &*short_name(text.as_bytes()));
        }
    }
}
