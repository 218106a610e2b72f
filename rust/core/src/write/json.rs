//! JSON text exactly as CPython's `json.dumps` writes it (ASCII escapes, `", "` and `": "`
//! separators, `float.__repr__`, bare `NaN` and `Infinity`).
//!
//! Written by hand because no library writes lone surrogates, Python's float notation and bare
//! non-finite numbers, and the lines must be identical to the reference's to the byte.

use std::io::Write as _;

use super::float::write_float;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Containers nested deeper than this are replaced by a text: `json.dumps` gives up near the
/// interpreter's recursion limit (1,000 by default), where it would lose the whole record.
pub const MAX_DEPTH: usize = 1000;

/// Writes JSON values into a byte buffer, putting separators where they belong.
///
/// Strings are taken as WTF-8: UTF-8 that may also hold lone surrogates, as Python strings do.
#[derive(Debug)]
pub struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
    /// Whether the next value or key is the first one of its container.
    first: bool,
}

impl<'a> JsonWriter<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, depth: 0, first: true }
    }

    /// A writer that goes on in an object which has a member already.
    pub fn in_object(out: &'a mut Vec<u8>) -> Self {
        Self { out, depth: 1, first: false }
    }

    /// How many containers are open.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Opens an object.
    pub fn begin_object(&mut self) {
        self.begin(b'{');
    }

    /// Closes the innermost object.
    pub fn end_object(&mut self) {
        self.end(b'}');
    }

    /// Opens an array.
    pub fn begin_array(&mut self) {
        self.begin(b'[');
    }

    /// Closes the innermost array.
    pub fn end_array(&mut self) {
        self.end(b']');
    }

    /// Announces the next element of an array.
    pub fn element(&mut self) {
        self.separate();
    }

    /// Writes the key of the next member of an object.
    pub fn key(&mut self, wtf8: &[u8]) {
        self.separate();
        write_string(self.out, wtf8);
        self.out.extend_from_slice(b": ");
    }

    /// Writes a key of the format's own, which needs no escape.
    pub(super) fn plain_key(&mut self, key: &str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\": ");
    }

    /// Writes a string.
    pub fn string(&mut self, wtf8: &[u8]) {
        write_string(self.out, wtf8);
    }

    /// Writes a float as `float.__repr__` does; not finite ones bare, as `json.dumps` does.
    pub fn float(&mut self, value: f64) {
        write_float(self.out, value);
    }

    /// Writes an integer.
    pub fn integer(&mut self, value: i64) {
        // Writing into a Vec cannot fail.
        let _ = write!(self.out, "{value}");
    }

    /// Writes `true` or `false`.
    pub fn boolean(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.raw(b"null");
    }

    /// Writes text that is JSON already (an integer too large for [`Self::integer`]).
    pub fn raw(&mut self, json: &[u8]) {
        self.out.extend_from_slice(json);
    }

    fn begin(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
        self.first = true;
    }

    fn end(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth -= 1;
        self.first = false;
    }

    fn separate(&mut self) {
        if !self.first {
            self.out.extend_from_slice(b", ");
        }
        self.first = false;
    }
}

/// Appends a quoted, ASCII-escaped JSON string. Bytes that are not WTF-8 become U+FFFD.
pub fn write_string(out: &mut Vec<u8>, wtf8: &[u8]) {
    out.reserve(wtf8.len() + 2);
    out.push(b'"');
    write_escaped(out, wtf8);
    out.push(b'"');
}

/// The same without the quotes: what is escaped piece by piece is the escaped whole.
#[inline]
pub fn write_escaped(out: &mut Vec<u8>, wtf8: &[u8]) {
    if is_all_plain(wtf8) {
        out.extend_from_slice(wtf8);
    } else {
        write_with_escapes(out, wtf8);
    }
}

/// Whether nothing in it needs an escape. Most texts are short and plain: all is looked at, which takes
/// less than finding out where to stop.
#[inline]
fn is_all_plain(bytes: &[u8]) -> bool {
    /// A byte that is plain, for where there are fewer than a word has.
    const FILL: [u8; 8] = [b' '; 8];
    if let (Some((first, rest)), Some(last)) = (bytes.split_first_chunk(), bytes.last_chunk()) {
        // The last ones may have been looked at already.
        let mut is_odd = has_odd(first) | has_odd(last);
        for chunk in rest.chunks_exact(16) {
            is_odd |= has_odd(chunk.try_into().expect("a chunk of sixteen"));
        }
        return !is_odd;
    }
    let odd = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        odd_bytes(u64::from_le_bytes(*first)) | odd_bytes(u64::from_le_bytes(*last))
    } else {
        let mut word = FILL;
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        odd_bytes(u64::from_le_bytes(word))
    };
    odd == 0
}

/// Whether one of them is not plain: without a branch, so that all are looked at at once.
#[inline]
fn has_odd(bytes: &[u8; 16]) -> bool {
    bytes.iter().fold(0, |odd, &byte| odd | u8::from(!is_plain(byte))) != 0
}

fn write_with_escapes(out: &mut Vec<u8>, wtf8: &[u8]) {
    let mut rest = wtf8;
    loop {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let Some(&byte) = rest.first() else { break };
        if byte < 0x80 {
            write_ascii_escape(out, byte);
            rest = &rest[1..];
        } else {
            let (code_point, length) = decode_wtf8(rest);
            write_unicode_escape(out, code_point);
            rest = &rest[length..];
        }
    }
}

/// How many bytes at the start need no escape, looked for eight at a time.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    let mut words = bytes.chunks_exact(8);
    let mut length = 0;
    for word in &mut words {
        let odd = odd_bytes(u64::from_le_bytes(word.try_into().expect("a chunk of eight")));
        if odd != 0 {
            return length + odd.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = words.remainder();
    length + rest.iter().position(|&byte| !is_plain(byte)).unwrap_or(rest.len())
}

/// The highest bit of the first byte (the lowest of the word) that is not plain, and of others
/// behind it: a borrow runs out of a byte that is marked itself, so that the first one is exact.
#[inline]
fn odd_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let equals = |byte: u8| {
        let differs = word ^ (ONES * u64::from(byte));
        differs.wrapping_sub(ONES) & !differs
    };
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (word | is_control | equals(b'"') | equals(b'\\') | equals(0x7f)) & HIGH
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn write_ascii_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => return write_utf16_unit(out, u16::from(byte)),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn write_unicode_escape(out: &mut Vec<u8>, code_point: u32) {
    if let Ok(unit) = u16::try_from(code_point) {
        write_utf16_unit(out, unit);
    } else {
        let offset = code_point - 0x1_0000;
        // Both halves fit 16 bits: a code point has at most 21 bits.
        #[allow(clippy::cast_possible_truncation)]
        let (high, low) = ((0xd800 + (offset >> 10)) as u16, (0xdc00 + (offset & 0x3ff)) as u16);
        write_utf16_unit(out, high);
        write_utf16_unit(out, low);
    }
}

fn write_utf16_unit(out: &mut Vec<u8>, unit: u16) {
    let digit = |shift: u32| HEX[usize::from((unit >> shift) & 0xf)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// The code point at the start of `bytes` and its length; (U+FFFD, 1) for what is not WTF-8.
fn decode_wtf8(bytes: &[u8]) -> (u32, usize) {
    const REPLACEMENT: (u32, usize) = (0xfffd, 1);
    let continuation = |index: usize| match bytes.get(index) {
        Some(&byte) if byte & 0xc0 == 0x80 => Some(u32::from(byte & 0x3f)),
        _ => None,
    };
    let lead = u32::from(bytes[0]);
    match bytes[0] {
        0xc2..=0xdf => match continuation(1) {
            Some(a) => ((lead & 0x1f) << 6 | a, 2),
            None => REPLACEMENT,
        },
        0xe0..=0xef => match (continuation(1), continuation(2)) {
            (Some(a), Some(b)) => {
                let code_point = (lead & 0x0f) << 12 | a << 6 | b;
                if code_point < 0x800 { REPLACEMENT } else { (code_point, 3) }
            }
            _ => REPLACEMENT,
        },
        0xf0..=0xf4 => match (continuation(1), continuation(2), continuation(3)) {
            (Some(a), Some(b), Some(c)) => {
                let code_point = (lead & 0x07) << 18 | a << 12 | b << 6 | c;
                if (0x1_0000..=0x10_ffff).contains(&code_point) {
                    (code_point, 4)
                } else {
                    REPLACEMENT
                }
            }
            _ => REPLACEMENT,
        },
        _ => REPLACEMENT,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn string(wtf8: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, wtf8);
        String::from_utf8(out).unwrap()
    }

    /// Escapes are those of `json.dumps` with `ensure_ascii`, down to DEL and letter case.
    #[test]
    fn strings_escape_as_json_dumps() {
        assert_eq!(
            string(b"a \"b\"\\\n\r\t\x08\x0c\x00\x1f\x7f~"),
            r#""a \"b\"\\\n\r\t\b\f\u0000\u001f\u007f~""#
        );
        assert_eq!(string("é€😀".as_bytes()), r#""\u00e9\u20ac\ud83d\ude00""#);
    }

    /// A byte that needs an escape gets it wherever it stands in a text of whatever length.
    #[test]
    fn escapes_at_every_place() {
        for length in 0..50 {
            let plain = "x~ !#[]".repeat(8)[..length].to_owned();
            assert_eq!(string(plain.as_bytes()), format!("\"{plain}\""));
            for at in 0..length {
                for (byte, escape) in
                    [(b'"', "\\\""), (b'\\', "\\\\"), (0x1f, "\\u001f"), (0x7f, "\\u007f")]
                {
                    let mut text = plain.clone().into_bytes();
                    text[at] = byte;
                    let expected = format!("\"{}{escape}{}\"", &plain[..at], &plain[at + 1..]);
                    assert_eq!(string(&text), expected);
                }
            }
        }
    }

    /// Lone surrogates are written as they stand in the Python string.
    #[test]
    fn lone_surrogates_pass() {
        assert_eq!(string(b"\xed\xa0\x80x\xed\xbf\xbf"), r#""\ud800x\udfff""#);
    }

    /// Bytes that are not WTF-8 become the replacement character, never invalid JSON.
    #[test]
    fn invalid_bytes_are_replaced() {
        assert_eq!(string(b"a\xff\xc3(\xe0\x80\x80"), r#""a\ufffd\ufffd(\ufffd\ufffd\ufffd""#);
    }

    proptest! {
        /// What is written is JSON that a JSON parser reads back to the same text.
        #[test]
        fn strings_read_back(text in any::<String>()) {
            let written = string(text.as_bytes());
            prop_assert!(written.is_ascii());
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }

        /// Escaping piece by piece gives what escaping the whole does, wherever it is cut, and
        /// whatever needs an escape stands next to whatever does not.
        #[test]
        fn pieces_make_the_whole(
            text in "[ -~]{0,9}[\u{0}-\u{100}\u{1f600}]{0,3}[ -~]{0,17}[\"\\\\\u{7f}]?[ -~]{0,9}",
            cut in any::<prop::sample::Index>(),
        ) {
            let cuts: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            let (head, tail) = text.split_at(cuts[cut.index(cuts.len())]);
            let mut pieces = vec![b'"'];
            write_escaped(&mut pieces, head.as_bytes());
            write_escaped(&mut pieces, tail.as_bytes());
            pieces.push(b'"');
            prop_assert_eq!(&String::from_utf8(pieces).unwrap(), &string(text.as_bytes()));
            prop_assert_eq!(serde_json::from_str::<String>(&string(text.as_bytes())).unwrap(), text);
        }

        /// No bytes make the writer panic or write anything but ASCII.
        #[test]
        fn any_bytes_are_written(bytes in any::<Vec<u8>>()) {
            prop_assert!(string(&bytes).is_ascii());
        }
    }
}
