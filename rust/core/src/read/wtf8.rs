//! WTF-8: UTF-8 that may also hold lone surrogates, as the strings of a trace log may.

use std::borrow::Cow;
use std::ops::Range;

/// Decodes the escapes in the content of a JSON string that is known to be well-formed.
pub(crate) fn unescape(content: &[u8]) -> Vec<u8> {
    unescape_with(content, |_, _| {})
}

/// The same, and tells of each escape where it stands: in what is returned, and in `content`.
pub(crate) fn unescape_with(
    content: &[u8],
    mut tell: impl FnMut(Range<usize>, Range<usize>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let Some(&escape) = rest.get(1) else { break };
        let simple = match escape {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (code_point, length) = unicode_escape(rest);
                let (start, from) = (out.len(), content.len() - rest.len());
                push_code_point(&mut out, code_point);
                tell(start..out.len(), from..from + length);
                rest = &rest[length..];
                continue;
            }
            other => other,
        };
        let from = content.len() - rest.len();
        tell(out.len()..out.len() + 1, from..from + 2);
        out.push(simple);
        rest = &rest[2..];
    }
    out.extend_from_slice(rest);
    out
}

/// Whether the content of a well-formed JSON string decodes to `text`; allocates nothing.
pub(crate) fn unescapes_to(content: &[u8], text: &str) -> bool {
    let (mut rest, mut expected) = (content, text.as_bytes());
    loop {
        let at = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        let Some(tail) = expected.strip_prefix(&rest[..at]) else { return false };
        (rest, expected) = (&rest[at..], tail);
        if rest.is_empty() {
            return expected.is_empty();
        }
        let (code_point, length) = escape(rest);
        let Some(character) = char::from_u32(code_point) else { return false };
        let Some(tail) = expected.strip_prefix(character.encode_utf8(&mut [0; 4]).as_bytes())
        else {
            return false;
        };
        (rest, expected) = (&rest[length..], tail);
    }
}

/// The code point of the escape at the start of `bytes`, of whatever form, and its length.
fn escape(bytes: &[u8]) -> (u32, usize) {
    let simple = match bytes.get(1) {
        Some(b'u') => return unicode_escape(bytes),
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(&other) => other,
        // Not reached for well-formed text.
        None => return (0xfffd, bytes.len()),
    };
    (u32::from(simple), 2)
}

/// The code point of the `\uXXXX` escape at the start of `bytes` (two of them for a surrogate
/// pair) and its length. A surrogate without its half is given as it is.
pub(crate) fn unicode_escape(bytes: &[u8]) -> (u32, usize) {
    let unit = |at: usize| -> Option<u32> {
        let bytes = bytes.get(at..at + 6)?;
        if &bytes[..2] != b"\\u" {
            return None;
        }
        bytes[2..]
            .iter()
            .try_fold(0, |sum, &digit| Some(sum << 4 | char::from(digit).to_digit(16)?))
    };
    match (unit(0), unit(6)) {
        (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
            (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12)
        }
        (Some(unit), _) => (unit, 6),
        // Not reached for well-formed text.
        (None, _) => (0xfffd, bytes.len().min(6)),
    }
}

fn push_code_point(out: &mut Vec<u8>, code_point: u32) {
    if let Some(character) = char::from_u32(code_point) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        // A surrogate, in three bytes like its neighbours.
        let low_six = |shift: u32| 0x80 | u8::try_from(code_point >> shift & 0x3f).unwrap_or(0);
        out.extend_from_slice(&[0xed, low_six(6), low_six(0)]);
    }
}

/// Whether there is a lone surrogate, and where the first begins.
fn find_surrogate(wtf8: &[u8]) -> Option<usize> {
    memchr::memchr_iter(0xed, wtf8).find(|&at| wtf8.get(at + 1).is_some_and(|&b| b >= 0xa0))
}

/// The text with U+FFFD for lone surrogates (and for whatever else is not UTF-8).
pub fn to_str_lossy(wtf8: &[u8]) -> Cow<'_, str> {
    if find_surrogate(wtf8).is_none() {
        return String::from_utf8_lossy(wtf8);
    }
    let mut bytes = wtf8.to_vec();
    let mut from = 0;
    while let Some(at) = find_surrogate(&bytes[from..]).map(|at| from + at) {
        // U+FFFD has three bytes, just as the surrogate.
        if let Some(place) = bytes.get_mut(at..at + 3) {
            place.copy_from_slice("\u{fffd}".as_bytes());
        }
        from = at + 2;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// The parts between lone surrogates.
pub(crate) fn chunks(wtf8: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = Some(wtf8);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_surrogate(text).unwrap_or(text.len());
        rest = text.get(end + 3..);
        Some(String::from_utf8_lossy(&text[..end]))
    })
}
