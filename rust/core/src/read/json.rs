//! A scanner for the JSON of trace logs: the grammar of Python's `json.loads`.
//!
//! Written by hand because the libraries at hand refuse what is legal in a log: bare `NaN` and
//! `Infinity`, lone surrogate escapes, nesting of any depth. It validates and finds spans;
//! nothing is decoded, nothing recurses.

use crate::fields::{Field, Fields, Span};
use crate::record::{Name, Reject};

use super::wtf8;

/// What a JSON value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string.
    String {
        /// Whether it holds escapes.
        escaped: bool,
    },
    /// A number of the JSON grammar.
    Number,
    /// `NaN`, `Infinity` or `-Infinity`.
    NonFinite,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invalid;

type Scan<T> = Result<T, Invalid>;

/// Finds the members of the object that `line` (valid UTF-8) consists of.
pub(crate) fn object_fields(line: &[u8], fields: &mut Fields) -> Result<(), Reject> {
    fields.clear();
    let mut scanner = Scanner::at(line, 0);
    scanner.space();
    if scanner.peek() == Some(b'{') {
        scanner.object(fields).map_err(|Invalid| Reject::NotJson)?;
        return scanner.end().map_err(|Invalid| Reject::NotJson);
    }
    match scanner.value().and_then(|_| scanner.end()) {
        Ok(()) => Err(Reject::NotObject),
        Err(Invalid) => Err(Reject::NotJson),
    }
}

/// The elements of the array that `text` (valid UTF-8) consists of.
pub(crate) fn array_elements(text: &[u8]) -> Scan<Vec<&[u8]>> {
    let mut elements = Vec::new();
    let mut scanner = Scanner::at(text, 0);
    scanner.space();
    scanner.expect(b'[')?;
    scanner.space();
    if scanner.expect(b']').is_ok() {
        return scanner.end().map(|()| elements);
    }
    loop {
        let start = scanner.position();
        scanner.value()?;
        elements.push(&text[start..scanner.position()]);
        scanner.space();
        if scanner.expect(b']').is_ok() {
            return scanner.end().map(|()| elements);
        }
        scanner.expect(b',')?;
        scanner.space();
    }
}

/// The end of a string (the index after its closing quote) whose opening quote is at `at`, and
/// whether it holds escapes.
pub(crate) fn string_end(bytes: &[u8], at: usize) -> Scan<(usize, bool)> {
    let mut at = at + 1;
    let mut escaped = false;
    loop {
        at = next_special(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok((at + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                at += escape_length(&bytes[at..])?;
            }
            // A control character, or the end of the text.
            _ => return Err(Invalid),
        }
    }
}

fn escape_length(bytes: &[u8]) -> Scan<usize> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') if bytes.len() >= 6 && bytes[2..6].iter().all(u8::is_ascii_hexdigit) => Ok(6),
        _ => Err(Invalid),
    }
}

/// The index, from `at` on, of the first quote, backslash or control character, or the length.
fn next_special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Eight bytes at a time: the high bit of each byte of `found` tells whether that byte may be
    // special. Only bytes after a truly special one can be marked wrongly, so the first is right.
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("the chunk has eight bytes"));
        let quote = has_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = has_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quote | backslash | control;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&b| b != b'"' && b != b'\\' && b >= 0x20) {
        at += 1;
    }
    at
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Stack,
}

impl<'a> Scanner<'a> {
    /// A scanner that stands at a place of a text.
    pub(super) fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, stack: Stack::default() }
    }

    /// Where it stands.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// Nothing but space is left.
    fn end(&mut self) -> Scan<()> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Invalid) }
    }

    /// The outermost object, noting its members.
    fn object(&mut self, fields: &mut Fields) -> Scan<()> {
        self.expect(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let (key, key_escaped) = self.key()?;
            let name = if key_escaped {
                Name::of(&wtf8::unescape(key.of(self.bytes)))
            } else {
                Name::of(key.of(self.bytes))
            };
            let start = self.at;
            let kind = self.value()?;
            fields.push(Field { key, key_escaped, name, value: Span::new(start, self.at), kind });
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Invalid),
            }
            self.space();
        }
    }

    /// A key, its colon and the space after it; the key without quotes.
    fn key(&mut self) -> Scan<(Span, bool)> {
        if self.peek() != Some(b'"') {
            return Err(Invalid);
        }
        let start = self.at;
        let (end, escaped) = string_end(self.bytes, start)?;
        self.at = end;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok((Span::new(start + 1, end - 1), escaped))
    }

    /// A value with all that is in it.
    pub(super) fn value(&mut self) -> Scan<Kind> {
        let kind = match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            _ => return self.scalar(),
        };
        loop {
            // At the start of a value.
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                    } else {
                        self.stack.push(true);
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(b']') {
                        self.at += 1;
                    } else {
                        self.stack.push(false);
                        continue;
                    }
                }
                _ => {
                    self.scalar()?;
                }
            }
            // After a value: close what ends here, up to the next comma.
            loop {
                let Some(in_object) = self.stack.last() else { return Ok(kind) };
                self.space();
                match (self.peek(), in_object) {
                    (Some(b','), _) => {
                        self.at += 1;
                        self.space();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        self.stack.pop();
                    }
                    _ => return Err(Invalid),
                }
            }
        }
    }

    fn scalar(&mut self) -> Scan<Kind> {
        match self.peek() {
            Some(b'"') => {
                let (end, escaped) = string_end(self.bytes, self.at)?;
                self.at = end;
                Ok(Kind::String { escaped })
            }
            Some(b't') => self.word(b"true", Kind::True),
            Some(b'f') => self.word(b"false", Kind::False),
            Some(b'n') => self.word(b"null", Kind::Null),
            Some(b'N') => self.word(b"NaN", Kind::NonFinite),
            Some(b'I') => self.word(b"Infinity", Kind::NonFinite),
            Some(b'-') if self.bytes.get(self.at + 1) == Some(&b'I') => {
                self.word(b"-Infinity", Kind::NonFinite)
            }
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Scan<Kind> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(Invalid)
        }
    }

    fn number(&mut self) -> Scan<Kind> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(Invalid),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Scan<()> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Invalid) }
    }
}

/// Which of the open containers are objects: one bit each, so that no depth is a danger.
#[derive(Default)]
struct Stack {
    words: Vec<u64>,
    depth: usize,
}

impl Stack {
    fn push(&mut self, is_object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.words.len() {
            self.words.push(0);
        }
        self.words[word] = self.words[word] & !(1 << bit) | u64::from(is_object) << bit;
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn last(&self) -> Option<bool> {
        let top = self.depth.checked_sub(1)?;
        Some(self.words[top / 64] >> (top % 64) & 1 == 1)
    }
}
