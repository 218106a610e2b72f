//! The search for a text in messages: upper and lower case are equal, escapes are read.
//!
//! By definition a message contains a text when its decoded, lower-case form contains the text's
//! lower-case form. That is too slow for every message of a log, so the JSON text is searched as it
//! stands: what is found there is nearly always all there is to know.

use std::borrow::Cow;

use crate::record::RawValue;

use super::json::Kind;
use super::wtf8;

/// The Kelvin sign and the dotted capital I: the only characters beyond ASCII that have ASCII ones
/// in their lower case (`k`, and `i` with a combining dot).
const KELVIN: char = '\u{212a}';
const DOTTED_I: char = '\u{130}';

/// Bytes of messages, about in the order of their frequency: of English, code and numbers, and of the
/// JSON they are in, with the escapes of other scripts. All others are rarer.
const FREQUENT: &[u8] = b" etnaorslicdu\\0m4ph/gf.-b2y51_\"367:98v=w,k()'x&;|jqz>[]{}<$#*";

/// A text to look for in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageSearch {
    /// In lower case; never empty.
    needle: String,
    /// The needle's longest part of ASCII characters, if it has one.
    ascii: Option<AsciiSearch>,
}

impl MessageSearch {
    /// `None` for an empty text, which every message contains.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let needle = text.to_lowercase();
        let parts = needle.split(|c: char| !c.is_ascii()).filter(|part| !part.is_empty());
        let ascii = parts.max_by_key(|part| part.len()).map(AsciiSearch::new);
        (!needle.is_empty()).then_some(Self { needle, ascii })
    }

    /// Whether the value is a string that contains the text.
    pub(crate) fn matches(&self, message: RawValue<'_>) -> bool {
        let Kind::String { escaped } = message.kind() else { return false };
        let content = message.string_content();
        let in_ascii = self.ascii.as_ref().and_then(|search| search.find(content, escaped));
        match in_ascii {
            Some(false) => return false,
            Some(true) if self.needle.is_ascii() => return true,
            _ => {}
        }
        let may_go_beyond_ascii =
            || !content.is_ascii() || (escaped && has_unicode_escape(content));
        if !self.needle.is_ascii() && !may_go_beyond_ascii() {
            return false;
        }
        message.text().is_some_and(|text| contains(&text, &self.needle))
    }
}

/// The definition: whether the lower-case form of a decoded message contains `needle`.
fn contains(message: &[u8], needle: &str) -> bool {
    match wtf8::to_str_lossy(message) {
        Cow::Borrowed(text) => text.to_lowercase().contains(needle),
        // Lone surrogates match nothing, not even a replacement character in the filter.
        Cow::Owned(_) => wtf8::chunks(message).any(|text| text.to_lowercase().contains(needle)),
    }
}

/// A search for ASCII text in JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AsciiSearch {
    /// The text in the shortest form it has as the content of a JSON string.
    json: Box<[u8]>,
    /// Which byte of that is looked for: the one that is rarest in messages.
    rarest_at: usize,
    rarest: u8,
    /// The characters of the text, a bit each.
    characters: u128,
}

impl AsciiSearch {
    /// Of a text in lower case, not empty.
    fn new(text: &str) -> Self {
        let json = to_json(text);
        let rank = |byte: u8| FREQUENT.iter().position(|&f| f == byte).unwrap_or(FREQUENT.len());
        let rarest = (0..json.len()).max_by_key(|&at| rank(json[at]));
        let rarest_at = rarest.expect("the text is not empty");
        let characters = text.bytes().fold(0, |set, byte| set | 1 << byte);
        Self { rarest: json[rarest_at], json: json.into(), rarest_at, characters }
    }

    /// Whether the decoded text of a string contains this text; `None` where that does not show
    /// in `content`, which stands between its quotes.
    ///
    /// An occurrence whose characters all have the form they have in `json` is found as such. Any
    /// other one has a character in another form: an escape that is longer than need be, or a
    /// character beyond ASCII that becomes ASCII in lower case.
    fn find(&self, content: &[u8], escaped: bool) -> Option<bool> {
        // The other forms are longer: nothing is lost with what is shorter than `json`.
        let Some(last_start) = content.len().checked_sub(self.json.len()) else {
            return Some(false);
        };
        let starts = &content[self.rarest_at..=self.rarest_at + last_start];
        let is_here = |at: usize| {
            content[at..at + self.json.len()].eq_ignore_ascii_case(&self.json)
                && !(escaped && is_inside_escape(content, at))
        };
        let upper = self.rarest.to_ascii_uppercase();
        let found = if upper == self.rarest {
            memchr::memchr_iter(self.rarest, starts).any(is_here)
        } else {
            memchr::memchr2_iter(self.rarest, upper, starts).any(is_here)
        };
        if found {
            return Some(true);
        }
        (!self.may_have_other_form(content, escaped)).then_some(false)
    }

    fn may_have_other_form(&self, content: &[u8], escaped: bool) -> bool {
        (escaped && long_escapes(content).any(|code_point| self.has_lower_case_of(code_point)))
            || (self.has(b'k') && has_character(content, KELVIN))
            || (self.has(b'i') && has_character(content, DOTTED_I))
    }

    fn has(&self, character: u8) -> bool {
        character.is_ascii() && self.characters >> character & 1 == 1
    }

    fn has_lower_case_of(&self, code_point: u32) -> bool {
        match char::from_u32(code_point) {
            Some(KELVIN) => self.has(b'k'),
            Some(DOTTED_I) => self.has(b'i'),
            Some(character) => {
                u8::try_from(character).is_ok_and(|byte| self.has(byte.to_ascii_lowercase()))
            }
            None => false,
        }
    }
}

/// The shortest form of ASCII text within a JSON string.
fn to_json(text: &str) -> Vec<u8> {
    let mut json = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
            0x08 => json.extend_from_slice(b"\\b"),
            0x0c => json.extend_from_slice(b"\\f"),
            b'\n' => json.extend_from_slice(b"\\n"),
            b'\r' => json.extend_from_slice(b"\\r"),
            b'\t' => json.extend_from_slice(b"\\t"),
            0..0x20 => json.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => json.push(byte),
        }
    }
    json
}

/// Whether the byte at `at` belongs to an escape that begins before it.
fn is_inside_escape(content: &[u8], at: usize) -> bool {
    // No escape is longer than six bytes.
    let from = at.saturating_sub(5);
    let Some(backslash) = memchr::memrchr(b'\\', &content[from..at]).map(|found| from + found)
    else {
        return false;
    };
    let run = content[..=backslash].iter().rev().take_while(|&&byte| byte == b'\\').count();
    // Of an even number of backslashes the last one ends an escape.
    let length = if content.get(backslash + 1) == Some(&b'u') { 6 } else { 2 };
    run % 2 == 1 && at < backslash + length
}

/// The code points of the escapes that may stand for ASCII in lower case, and have a shorter form.
fn long_escapes(content: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = content;
    std::iter::from_fn(move || {
        loop {
            // Escapes often follow each other: one for each character of some scripts.
            if rest.first() != Some(&b'\\') {
                rest = &rest[memchr::memchr(b'\\', rest)?..];
            }
            let escape = rest;
            match escape.get(1) {
                Some(b'/') => {
                    rest = &escape[2..];
                    return Some(u32::from(b'/'));
                }
                Some(b'u') => {
                    rest = escape.get(6..).unwrap_or_default();
                    // ASCII, the dotted I and the Kelvin sign begin so.
                    if matches!(escape.get(2..4), Some(b"00" | b"01" | b"21")) {
                        return Some(wtf8::unicode_escape(escape).0);
                    }
                }
                _ => rest = escape.get(2..).unwrap_or_default(),
            }
        }
    })
}

/// Whether there is an escape of the form `\uXXXX`, or what looks like one.
fn has_unicode_escape(content: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', content).any(|at| content.get(at + 1) == Some(&b'u'))
}

fn has_character(content: &[u8], character: char) -> bool {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).as_bytes();
    memchr::memchr_iter(bytes[0], content).any(|at| content[at..].starts_with(bytes))
}

#[cfg(test)]
mod tests {
    use super::{DOTTED_I, KELVIN, is_inside_escape};

    /// No other characters than the two that the search knows become ASCII in lower case.
    #[test]
    fn two_characters_become_ascii() {
        let found: Vec<_> = ('\u{80}'..=char::MAX)
            .filter(|c| c.to_lowercase().any(|lower| lower.is_ascii()))
            .collect();
        assert_eq!(found, [DOTTED_I, KELVIN]);
    }

    /// Which bytes belong to an escape that begins before them.
    #[test]
    fn escapes_are_told_from_text() {
        for (content, inside) in [
            (r"a\nb", "..x."),
            (r"\\nb", ".x.."),
            (r"\\\nb", ".x.x."),
            (r"\u0041u", ".xxxxx."),
            (r"\\u0041", ".x....."),
            (r"\\\\", ".x.x"),
        ] {
            let found: String = (0..content.len())
                .map(|at| if is_inside_escape(content.as_bytes(), at) { 'x' } else { '.' })
                .collect();
            assert_eq!(found, inside, "{content}");
        }
    }
}
