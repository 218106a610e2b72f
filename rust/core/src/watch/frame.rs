//! The frames in which an action waits, as they stand in a record.

use crate::fields::Fields;
use crate::read::Kind;
use crate::read::json::{array_elements, object_fields};
use crate::record::{Name, RawValue};
use crate::write::json::JsonWriter;

/// Longer texts are cut: names are made by programs, too.
pub(super) const MAX_TEXT_BYTES: usize = 1000;

/// A function that is waiting for the next frame's. All texts are WTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The file of its code.
    pub file: Vec<u8>,
    /// Where it is there.
    pub line: u32,
    /// Its name.
    pub function: Vec<u8>,
    /// What it waits for, where that is no call.
    pub awaits: Option<Vec<u8>>,
}

impl Frame {
    pub(super) fn write(&self, json: &mut JsonWriter<'_>) {
        json.begin_object();
        json.key(b"file");
        json.string(cut(&self.file));
        json.key(b"line");
        json.integer(self.line.into());
        json.key(b"function");
        json.string(cut(&self.function));
        if let Some(awaits) = &self.awaits {
            json.key(b"awaits");
            json.string(cut(awaits));
        }
        json.end_object();
    }

    /// The frames in a list of them, given as JSON; what is none is left out.
    pub fn read_list(json: &[u8]) -> Vec<Self> {
        let elements = array_elements(json).unwrap_or_default();
        let mut fields = Fields::default();
        elements.into_iter().filter_map(|element| Self::read(element, &mut fields)).collect()
    }

    fn read(json: &[u8], fields: &mut Fields) -> Option<Self> {
        object_fields(json, fields).ok()?;
        let (mut file, mut awaits) = (None, None);
        for field in fields.list() {
            let text = RawValue::new(field.value.of(json), field.kind).text();
            match field.key.of(json) {
                b"file" => file = text,
                b"awaits" => awaits = text,
                _ => {}
            }
        }
        let value = |name| {
            let field = fields.find(name)?;
            Some(RawValue::new(field.value.of(json), field.kind))
        };
        let line = value(Name::Line).filter(|line| line.kind() == Kind::Number);
        Some(Self {
            file: file?.into_owned(),
            line: line.and_then(|line| std::str::from_utf8(line.raw()).ok()?.parse().ok())?,
            function: value(Name::Function)?.text()?.into_owned(),
            awaits: awaits.map(std::borrow::Cow::into_owned),
        })
    }
}

/// The beginning of a text, up to the end of a character.
pub(super) fn cut(wtf8: &[u8]) -> &[u8] {
    if wtf8.len() <= MAX_TEXT_BYTES {
        return wtf8;
    }
    let is_start = |at: &usize| wtf8[*at] & 0xc0 != 0x80;
    &wtf8[..(0..=MAX_TEXT_BYTES).rev().find(is_start).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn frame() -> impl Strategy<Value = Frame> {
        let text = || "\\PC{0,20}".prop_map(String::into_bytes);
        (text(), any::<u32>(), text(), proptest::option::of(text()))
            .prop_map(|(file, line, function, awaits)| Frame { file, line, function, awaits })
    }

    proptest! {
        /// What was written is read.
        #[test]
        fn round_trip(frames in proptest::collection::vec(frame(), 0..5)) {
            let mut text = Vec::new();
            let mut json = JsonWriter::new(&mut text);
            json.begin_array();
            for frame in &frames {
                json.element();
                frame.write(&mut json);
            }
            json.end_array();
            prop_assert_eq!(Frame::read_list(&text), frames);
        }

        /// Whatever stands there, reading it does no harm.
        #[test]
        fn any_text(text in "[\\[\\]{}\",:a-f0-9 ]{0,40}") {
            Frame::read_list(text.as_bytes());
        }
    }

    /// Of a list by somebody else's hand those are taken that are frames.
    #[test]
    fn foreign_lists() {
        let text = br#" [1, {"line": 3, "file": "f", "function": "g", "x": [{}]}, {"file": "f"},
            {"file": "f", "line": 1.5, "function": "g"}, {"file": 1, "line": 1, "function": "g"} ] "#;
        let frames = Frame::read_list(text);
        assert_eq!(frames.len(), 1);
        assert_eq!(
            (frames[0].line, &*frames[0].file, &*frames[0].function),
            (3, &b"f"[..], &b"g"[..])
        );
        for none in ["", "{}", "[1", "[1,]", "[1 2]", "[] 1", "null"] {
            assert!(Frame::read_list(none.as_bytes()).is_empty(), "{none}");
        }
    }
}
