//! The fast path: lines as `json.dumps` lays them out, by the index of their block.
//!
//! It takes a line only where it can be sure that the full parser (`read::json`) would find the very
//! same fields, and leaves every other line to that one.

use crate::fields::{Field, Fields, Span};
use crate::record::Name;

use super::index::Index;
use super::json::{Kind, Scanner};

/// Finds the fields of a line (without its newline) that has no odd byte, and begins at `start` of the
/// text that `index` belongs to. False if the line is not as plain as that; `fields` then holds
/// anything.
#[inline]
pub(crate) fn line_fields(line: &[u8], index: &Index, start: usize, fields: &mut Fields) -> bool {
    let end = start + line.len();
    if line.first() != Some(&b'{') || u32::try_from(line.len()).is_err() {
        return false;
    }
    fields.clear();
    // From here on, places are those in the line.
    let string_end = |at: usize| -> Option<(usize, bool)> {
        let (quote, escaped) = index.string_end(start + at)?;
        (quote < end).then(|| (quote - start, escaped))
    };
    let mut expected = Name::Timestamp;
    let mut at = 1;
    loop {
        // `at` is where a key begins.
        let (name, key_end) = match expected_key(&line[at..], expected) {
            Some((name, length)) => (name, at + length),
            None => {
                if line.get(at) != Some(&b'"') {
                    return false;
                }
                let Some((key_end, false)) = string_end(at + 1) else { return false };
                (Name::of(&line[at + 1..key_end]), key_end)
            }
        };
        if line.get(key_end + 1..key_end + 3) != Some(b": ") {
            return false;
        }
        let value = key_end + 3;
        let (value_end, kind) = match line.get(value) {
            Some(b'"') => {
                let Some((quote, escaped)) = string_end(value + 1) else { return false };
                (quote + 1, Kind::String { escaped })
            }
            Some(_) => {
                let mut scanner = Scanner::at(line, value);
                let Ok(kind) = scanner.value() else { return false };
                (scanner.position(), kind)
            }
            None => return false,
        };
        fields.push(Field {
            key: Span::new(at + 1, key_end),
            key_escaped: false,
            name,
            value: Span::new(value, value_end),
            kind,
        });
        match line.get(value_end..) {
            Some([b',', b' ', ..]) => at = value_end + 2,
            Some(b"}") => return true,
            _ => return false,
        }
        expected = name;
    }
}

/// The key at the start of `text`, if it is one of those that usually come after `previous`
/// ([`Name::Timestamp`]: or that comes first), and where its closing quote is.
#[inline]
fn expected_key(text: &[u8], previous: Name) -> Option<(Name, usize)> {
    macro_rules! keys {
        ($($key:literal => $name:ident),+) => {{
            $(
                if text.starts_with(concat!("\"", $key, "\"").as_bytes()) {
                    return Some((Name::$name, $key.len() + 1));
                }
            )+
            None
        }};
    }
    match previous {
        Name::Timestamp => keys!("level" => Level, "timestamp" => Timestamp),
        Name::Level => keys!("message" => Message),
        Name::Message => keys!("action" => Action, "module" => Module),
        Name::Module => keys!("function" => Function),
        Name::Function => keys!("line" => Line),
        Name::Action => keys!("detail" => Detail),
        Name::Detail => keys!("event" => Event),
        Name::Event => keys!("trace_id" => TraceId),
        Name::TraceId => keys!("start_time" => StartTime, "duration" => Duration),
        Name::Duration => keys!("task" => Task, "error" => Error),
        Name::Error => keys!("error_type" => ErrorType),
        Name::ErrorType => keys!("stacktrace" => Stacktrace),
        Name::Line | Name::StartTime | Name::Stacktrace => keys!("task" => Task),
        Name::Task => keys!("sample_id" => SampleId),
        Name::SampleId => keys!("epoch" => Epoch),
        _ => None,
    }
}
