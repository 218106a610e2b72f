//! Where the quotes, backslashes and newlines of a text are: what lets lines be taken apart without
//! looking at each of their bytes again.
//!
//! The idea is that of simdjson's first stage (Langdale and Lemire, "Parsing gigabytes of JSON per
//! second", VLDB Journal 2019): one bit per byte, made 64 bytes at a time without branches on their
//! values. It goes further in that it also checks escapes, so that a line without an odd byte has
//! nothing but legal strings, and no half of a surrogate pair in them.

use crate::sys::masks::{self, DigitMasks, EscapeMasks, MaskSink, Masks};

/// One bit for each of 64 bytes of a text.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    /// Quotes that no backslash stands before (one that counts).
    quotes: u64,
    backslashes: u64,
    newlines: u64,
    /// Bytes that take a line off the fast path: what is not printable ASCII, escapes that JSON does
    /// not know, and those of half a surrogate pair. A byte may be marked because of a line before; that costs time, nothing else.
    odd: u64,
}

/// The bits of a text.
#[derive(Debug, Default)]
pub(crate) struct Index(Vec<Word>);

impl Index {
    /// Makes it the index of another text, which begins at the start of a line.
    pub(crate) fn set(&mut self, bytes: &[u8]) {
        self.0.resize(bytes.len().div_ceil(64), Word::default());
        let mut indexer = Indexer { words: &mut self.0, at: 0, carry: Carry::default() };
        masks::scan(bytes, &mut indexer);
        indexer.finish();
    }

    /// The first newline from `at` on, and whether there is an odd byte up to it.
    #[inline]
    pub(crate) fn line_end(&self, at: usize) -> Option<(usize, bool)> {
        let mut words = self.0.get(at / 64..)?.iter();
        let word = words.next()?;
        let from = u64::MAX << (at % 64);
        let (mut newlines, mut odd) = (word.newlines & from, word.odd & from);
        let mut start = at - at % 64;
        let mut seen = 0;
        while newlines == 0 {
            seen |= odd;
            let word = words.next()?;
            (newlines, odd) = (word.newlines, word.odd);
            start += 64;
        }
        // Up to the lowest newline.
        seen |= odd & (newlines ^ (newlines - 1));
        Some((start + newlines.trailing_zeros() as usize, seen != 0))
    }

    /// Whether there is an odd byte from `start` to `end`, which is further on.
    #[inline]
    pub(crate) fn is_odd(&self, start: usize, end: usize) -> bool {
        let (first, last) = (start / 64, (end - 1) / 64);
        let words = &self.0[first..=last];
        let from = u64::MAX << (start % 64);
        let to = u64::MAX >> (63 - (end - 1) % 64);
        if let [word] = words {
            return word.odd & from & to != 0;
        }
        let inner = words[1..words.len() - 1].iter().fold(0, |all, word| all | word.odd);
        words[0].odd & from | inner | words[words.len() - 1].odd & to != 0
    }

    /// The first quote from `at` on that is not escaped, and whether there is a backslash before.
    #[inline]
    pub(crate) fn string_end(&self, at: usize) -> Option<(usize, bool)> {
        let mut words = self.0.get(at / 64..)?.iter();
        let mut word = *words.next()?;
        word.quotes = word.quotes >> (at % 64) << (at % 64);
        word.backslashes = word.backslashes >> (at % 64) << (at % 64);
        let mut start = at - at % 64;
        let mut seen = 0;
        while word.quotes == 0 {
            seen |= word.backslashes;
            word = *words.next()?;
            start += 64;
        }
        // Below the lowest quote.
        seen |= word.backslashes & (word.quotes ^ (word.quotes - 1));
        Some((start + word.quotes.trailing_zeros() as usize, seen != 0))
    }
}

struct Indexer<'a> {
    words: &'a mut [Word],
    at: usize,
    carry: Carry,
}

/// What one word's bytes mean for the next ones, whose lowest bits are told here.
#[derive(Default)]
struct Carry {
    /// Which bytes of the word itself are the `u` of an escape.
    u: u64,
    /// Whether the next byte is escaped.
    escaped: u64,
    /// Which have to be hexadecimal digits.
    hex_wanted: u64,
    /// Which are the second digit of a `\u` escape.
    second_digits: u64,
    /// Whether the next byte is behind a `d`.
    behind_d: u64,
    /// Which should be the second digit of the low surrogate to a high one.
    low_wanted: u64,
}

impl Indexer<'_> {
    #[inline(always)]
    fn push(&mut self, masks: Masks, quotes: u64, odd: u64) {
        let (backslashes, newlines) = (masks.backslash, masks.newline);
        self.words[self.at] = Word { quotes, backslashes, newlines, odd };
        self.at += 1;
    }

    /// The text has ended.
    fn finish(self) {
        if let Some(last) = self.words.last_mut() {
            last.odd |= self.carry.low_wanted << 58;
        }
    }
}

impl MaskSink for Indexer<'_> {
    #[inline(always)]
    fn needs_escapes(&self) -> bool {
        let Carry { escaped, hex_wanted, low_wanted, .. } = self.carry;
        // Behind `second_digits` there are wanted digits, too.
        escaped | hex_wanted | low_wanted != 0
    }

    #[inline(always)]
    fn plain(&mut self, masks: Masks) {
        self.push(masks, masks.quote, masks.odd);
    }

    #[inline(always)]
    fn escaped(&mut self, masks: Masks, escapes: EscapeMasks) -> bool {
        const EVEN: u64 = u64::MAX / 3;
        // A backslash that is itself escaped escapes nothing. In each run of the others every second
        // one does. Adding the start of a run to the run carries to the place behind it: for runs
        // that start at an odd place that is the wrong parity, which is then turned round.
        let backslash = masks.backslash & !self.carry.escaped;
        let behind = backslash << 1 | self.carry.escaped;
        let odd_starts = backslash & !EVEN & !behind;
        let (sum, carry) = odd_starts.overflowing_add(backslash);
        let escaped = (EVEN ^ sum << 1) & behind;
        self.carry.escaped = u64::from(carry);
        let odd = masks.odd | escaped & !escapes.escape;
        self.push(masks, masks.quote & !escaped, odd);
        self.carry.u = escaped & escapes.u;
        self.carry.u | self.carry.hex_wanted | self.carry.low_wanted != 0
    }

    /// Marks what should be a digit and is none, and the second digits of escapes that are half of a
    /// surrogate pair. The high surrogate without a low one is known six bytes later, and marked where
    /// it is: its line may have ended by then.
    #[inline(always)]
    fn digits(&mut self, digits: DigitMasks) {
        let carry = &mut self.carry;
        let u = carry.u;
        let hex_wanted = u << 1 | u << 2 | u << 3 | u << 4 | carry.hex_wanted;
        carry.hex_wanted = u >> 63 | u >> 62 | u >> 61 | u >> 60;
        let behind_d = digits.d << 1 | carry.behind_d;
        let surrogates = (u << 2 | carry.second_digits) & behind_d;
        let (high, low) = (surrogates & digits.high, surrogates & digits.low);
        let low_wanted = high << 6 | carry.low_wanted;
        let lone_high = low_wanted & !low;
        carry.second_digits = u >> 62;
        carry.behind_d = digits.d >> 63;
        carry.low_wanted = high >> 58;
        let this = self.at - 1;
        self.words[this].odd |= hex_wanted & !digits.hex | lone_high >> 6 | low & !low_wanted;
        if let Some(before) = this.checked_sub(1) {
            self.words[before].odd |= lone_high << 58;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn bit(index: &Index, bits: fn(&Word) -> u64, at: usize) -> bool {
        bits(&index.0[at / 64]) >> (at % 64) & 1 == 1
    }

    proptest! {
        /// In each line, quotes are found as a reader from left to right finds them, and lines with
        /// an illegal escape or an odd byte are marked.
        #[test]
        fn lines_are_indexed(bytes in proptest::collection::vec(prop_oneof![
            4 => Just(&b"\\"[..]), 2 => Just(&b"\""[..]), 1 => Just(&b"\n"[..]), 3 => Just(&b"\\u00e9"[..]),
            1 => Just(&b"\\ud"[..]), 2 => Just(&b"\\ud83d"[..]), 2 => Just(&b"\\uDe00"[..]), 1 => Just(&b"u"[..]), 1 => Just(&b"n"[..]), 1 => Just(&b"x"[..]),
            1 => Just(&b"\xe9"[..]), 1 => Just(&b"\0"[..]), 6 => Just(&b"abcdef 0123456789"[..]),
        ], 0..80)) {
            let bytes = bytes.concat();
            let mut index = Index::default();
            index.set(&bytes);
            let mut start = 0;
            for line in bytes.split_inclusive(|&b| b == b'\n') {
                let end = start + line.len();
                let text = line.strip_suffix(b"\n").unwrap_or(line);
                let mut is_odd = text.iter().any(|b| !(b' '..=b'~').contains(b));
                let mut at = 0;
                let mut after_high = false;
                while at < text.len() {
                    match text[at] {
                        b'\\' => {
                            prop_assert!(bit(&index, |word| word.backslashes, start + at));
                            let rest = &text[at + 1..];
                            let legal = match rest.first() {
                                Some(b'u') => rest.len() >= 5 && rest[1..5].iter().all(u8::is_ascii_hexdigit),
                                Some(b) => b"\"\\/bfnrt".contains(b),
                                None => false,
                            };
                            is_odd |= !legal;
                            let unit = rest.get(1..5).and_then(|digits| std::str::from_utf8(digits).ok());
                            let unit = unit.and_then(|digits| u16::from_str_radix(digits, 16).ok());
                            if let (Some(b'u'), Some(unit)) = (rest.first(), unit) {
                                is_odd |= after_high != (0xdc00..0xe000).contains(&unit);
                                after_high = (0xd800..0xdc00).contains(&unit);
                            } else {
                                is_odd |= after_high;
                                after_high = false;
                            }
                            if after_high && rest.get(5) != Some(&b'\\') {
                                is_odd = true;
                            }
                            if rest.first() == Some(&b'"') {
                                prop_assert!(!bit(&index, |word| word.quotes, start + at + 1));
                            }
                            at += 2;
                        }
                        byte => {
                            prop_assert_eq!(bit(&index, |word| word.quotes, start + at), byte == b'"');
                            at += 1;
                        }
                    }
                }
                // The newline belongs to its line: an escape that it cuts short is marked there. One
                // that the end of the text cuts short is not: no string ends behind it.
                let found = index.is_odd(start, end) || text.len() == line.len();
                prop_assert_eq!(
                    index.line_end(start),
                    (text.len() < line.len()).then_some((end - 1, index.is_odd(start, end)))
                );
                prop_assert!(found || !is_odd, "{:?}", String::from_utf8_lossy(line));
                start = end;
            }
        }

        /// The end of a string, from any place on, and whether there is an escape in it.
        #[test]
        fn strings_end(text in "[a\"\\\\]{0,200}", from in any::<prop::sample::Index>()) {
            let bytes = text.as_bytes();
            let mut index = Index::default();
            index.set(bytes);
            let from = from.index(bytes.len() + 1);
            let expected = (from..bytes.len()).find(|&at| {
                bytes[at] == b'"' && bytes[..at].iter().rev().take_while(|&&b| b == b'\\').count() % 2 == 0
            });
            let expected = expected.map(|at| (at, bytes[from..at].contains(&b'\\')));
            prop_assert_eq!(index.string_end(from), expected);
        }
    }
}
