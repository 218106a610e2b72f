//! JSON text that is well-formed already, written anew: laid out, and strict.

use crate::read::json::string_end;
use crate::read::wtf8::unicode_escape;
use crate::write::float::write_float;
use crate::write::json::write_string;

use super::terminal::is_unsafe;

/// Containers nested deeper than this stay on one line, and so do those of more text than
/// [`MAX_LAID_OUT_BYTES`]: indentation must not multiply what a log holds.
const MAX_LAID_OUT_DEPTH: usize = 100;
const MAX_LAID_OUT_BYTES: usize = 1 << 20;

/// How JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// On one line, without space.
    Compact,
    /// On lines, indented by two spaces for each container around it: that of Python's
    /// `json.dumps(indent=2)`.
    Indented(usize),
}

/// Which characters are written as escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Only those that JSON requires or that could steer a terminal.
    Needed,
    /// All but ASCII.
    NonAscii,
    /// Only those that JSON requires, and none that takes two: Perfetto refuses a file with such a pair.
    Utf8,
}

/// Appends a line break and the indentation for `depth` containers.
pub(crate) fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

/// Appends a well-formed value: laid out, without bare `NaN` and the like (they become null) and
/// without lone surrogates (U+FFFD). Everything else keeps its text, numbers to the digit.
pub(crate) fn write_value(out: &mut Vec<u8>, raw: &[u8], layout: Layout, escape: Escape) {
    let layout = if raw.len() > MAX_LAID_OUT_BYTES { Layout::Compact } else { layout };
    let (indented, mut depth) = match layout {
        Layout::Compact => (false, 0),
        Layout::Indented(depth) => (true, depth),
    };
    let break_line = |out: &mut Vec<u8>, depth: usize| {
        if indented && depth <= MAX_LAID_OUT_DEPTH {
            new_line(out, depth);
        }
    };
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' => {
                let end = string_end(raw, at).map_or(raw.len(), |(end, _)| end);
                write_string_text(out, &raw[at..end], escape);
                at = end;
            }
            b'{' | b'[' => {
                out.push(byte);
                at += 1;
                at += space_length(&raw[at..]);
                if let Some(&close @ (b'}' | b']')) = raw.get(at) {
                    out.push(close);
                    at += 1;
                } else {
                    depth += 1;
                    break_line(out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                // The break that matches the one after the opening bracket.
                if depth < MAX_LAID_OUT_DEPTH {
                    break_line(out, depth);
                }
                out.push(byte);
                at += 1;
            }
            b',' => {
                out.push(byte);
                break_line(out, depth);
                at += 1;
            }
            b':' => {
                out.extend_from_slice(if indented { b": " } else { b":" });
                at += 1;
            }
            _ => {
                let length = raw[at..]
                    .iter()
                    .position(|byte| b",]} \t\n\r".contains(byte))
                    .unwrap_or(raw.len() - at);
                write_scalar(out, &raw[at..at + length]);
                at += length;
            }
        }
    }
}

fn space_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| b" \t\n\r".contains(byte)).count()
}

fn write_scalar(out: &mut Vec<u8>, raw: &[u8]) {
    let is_strict = match raw {
        b"NaN" | b"Infinity" | b"-Infinity" => false,
        b"true" | b"false" | b"null" => true,
        // Readers that have only floats refuse one that is out of their range.
        _ if raw.iter().any(|byte| matches!(byte, b'e' | b'E')) => {
            std::str::from_utf8(raw).is_ok_and(|text| text.parse().is_ok_and(f64::is_finite))
        }
        _ => true,
    };
    out.extend_from_slice(if is_strict { raw } else { b"null" });
}

/// Appends a number, or null for what is no number.
pub(crate) fn write_number(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        write_float(out, value);
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends a text, ASCII-escaped, with U+FFFD for lone surrogates.
pub(crate) fn write_text(out: &mut Vec<u8>, wtf8: &[u8]) {
    write_string(out, crate::read::to_str_lossy(wtf8).as_bytes());
}

/// Appends a text in UTF-8, with U+FFFD for lone surrogates.
pub(crate) fn write_utf8_text(out: &mut Vec<u8>, wtf8: &[u8]) {
    let text = crate::read::to_str_lossy(wtf8);
    // A string can be written, and so can what it is written to.
    let _ = serde_json::to_writer(out, &*text);
}

/// Appends a well-formed JSON string, given and written with its quotes.
pub(crate) fn write_string_text(out: &mut Vec<u8>, raw: &[u8], escape: Escape) {
    let mut rest = raw;
    loop {
        let plain = rest.iter().position(|&byte| byte == b'\\' || byte >= 0x7f);
        let (before, special) = rest.split_at(plain.unwrap_or(rest.len()));
        out.extend_from_slice(before);
        let Some(&byte) = special.first() else { return };
        let length = match byte {
            b'\\' if special.get(1) == Some(&b'u') => {
                let (code_point, length) = unicode_escape(special);
                if (0xd800..0xe000).contains(&code_point) {
                    out.extend_from_slice(b"\\ufffd");
                } else if escape == Escape::Utf8
                    && let Some(character) = char::from_u32(code_point)
                    && code_point > 0xffff
                {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                } else {
                    out.extend_from_slice(&special[..length]);
                }
                length
            }
            b'\\' => {
                let length = special.len().min(2);
                out.extend_from_slice(&special[..length]);
                length
            }
            _ => write_beyond_ascii(out, special, escape),
        };
        rest = &special[length..];
    }
}

/// Appends the character (DEL or not ASCII) at the start of `bytes`; returns its length.
fn write_beyond_ascii(out: &mut Vec<u8>, bytes: &[u8], escape: Escape) -> usize {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    let character = valid.chars().next();
    let shown = character.unwrap_or('\u{fffd}');
    let mut encoded = [0; 4];
    let text = shown.encode_utf8(&mut encoded).as_bytes();
    if escape == Escape::NonAscii || (escape == Escape::Needed && is_unsafe(shown)) {
        let mut quoted = Vec::with_capacity(14);
        write_string(&mut quoted, text);
        out.extend_from_slice(&quoted[1..quoted.len() - 1]);
    } else {
        out.extend_from_slice(text);
    }
    character.map_or(1, char::len_utf8)
}
