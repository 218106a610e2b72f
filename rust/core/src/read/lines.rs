//! The records of a block, line by line, whatever else stands between them.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::fields::Fields;
use crate::record::{ActionKind, Parsed, Record, Reject};

use super::fast::line_fields;
use super::index::Index;
use super::{Block, Example, MissingFields, Problem, ProblemKind, Skipped};

/// How every record that we or the reference write begins. Unescaped quotes cannot stand in a
/// JSON string, so text that a program logged never looks like this.
const RECORD_START: &[u8] = br#"{"timestamp""#;

/// So much of a block is indexed at a time: it is still in the nearest cache when it is read again.
const WINDOW_BYTES: usize = 64 << 10;

/// A window grows with a line that is longer, up to here.
const MAX_WINDOW_BYTES: usize = 1 << 20;

/// A position in a block; keeps its buffers from one block to the next.
#[derive(Debug, Default)]
pub struct LineCursor {
    at: usize,
    /// Parts of a line still to be tried, the next one last.
    pending: Vec<Fragment>,
    fields: Fields,
    /// That of a part of the block, which begins with a line.
    index: Index,
    window: Range<usize>,
    full_parser_only: bool,
}

#[derive(Debug, Clone, Copy)]
struct Fragment {
    start: usize,
    end: usize,
    /// How it may still be divided when it turns out to be no record.
    divisible: Divisible,
    /// Whether the block ends within it.
    open_end: bool,
    /// The line it is part of, from 1 at the start of what is counted.
    line: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Divisible {
    /// At NUL bytes (holes of a file system).
    AtNuls,
    /// At carriage returns (line breaks of old).
    AtReturns,
    /// Where a record begins behind a torn one.
    AtRecords,
    No,
}

impl LineCursor {
    /// A position at the start of a block.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that never takes the fast path: what tests hold that path against.
    #[doc(hidden)]
    pub fn with_full_parser_only() -> Self {
        Self { full_parser_only: true, ..Self::default() }
    }

    /// The next record of `block`, or `None` at its end, when the cursor is ready for the start of
    /// another block. What lies between is counted in `skipped`.
    #[inline]
    pub fn next<'c>(&'c mut self, block: &'c Block, skipped: &mut Skipped) -> Option<Record<'c>> {
        let (parsed, start, end) = self.next_parsed(block, skipped)?;
        let offset = block.offset + start as u64;
        Some(parsed.into_record(&block.bytes[start..end], Cow::Borrowed(&self.fields), offset))
    }

    /// The next record, with its fields in `self.fields`, and where its line is.
    #[inline]
    fn next_parsed(
        &mut self,
        block: &Block,
        skipped: &mut Skipped,
    ) -> Option<(Parsed, usize, usize)> {
        let bytes = &block.bytes[..];
        if self.at == 0 {
            self.window = 0..0;
        }
        loop {
            if !self.pending.is_empty()
                && let Some(found) = self.next_of_pending(block, skipped)
            {
                return Some(found);
            }
            let start = self.at;
            if start == bytes.len() {
                self.at = 0;
                return None;
            }
            let (newline, is_odd) = self.line_end(bytes, start);
            let end = newline.unwrap_or(bytes.len());
            self.at = newline.map_or(end, |newline| newline + 1);
            let line = skipped.lines + 1;
            skipped.lines += u64::from(newline.is_some());
            let open_end = newline.is_none();
            let fragment = Fragment { start, end, divisible: Divisible::AtNuls, open_end, line };
            let text = &bytes[start..end];
            let at = start - self.window.start;
            if self.full_parser_only
                || is_odd
                || !line_fields(text, &self.index, at, &mut self.fields)
            {
                self.pending.push(fragment);
                continue;
            }
            let offset = block.offset + start as u64;
            match Parsed::of_plain(text, &self.fields) {
                Ok(parsed) => {
                    note_oddities(&parsed, fragment, offset, skipped);
                    return Some((parsed, start, end));
                }
                Err(reject) => note_reject(reject, &self.fields, fragment, offset, skipped),
            }
        }
    }

    /// The newline of the line that begins at `start`, if it has one, and whether the index marks the
    /// line as odd. The line is within the window then.
    #[inline]
    fn line_end(&mut self, bytes: &[u8], start: usize) -> (Option<usize>, bool) {
        loop {
            if start >= self.window.start
                && let Some((at, is_odd)) = self.index.line_end(start - self.window.start)
                && self.window.start + at < self.window.end
            {
                return (Some(self.window.start + at), is_odd);
            }
            if self.window.end == bytes.len() && start >= self.window.start && !bytes.is_empty() {
                let (from, to) = (start - self.window.start, bytes.len() - self.window.start);
                return (None, self.index.is_odd(from, to));
            }
            if start == self.window.start && self.window.len() >= MAX_WINDOW_BYTES {
                // So long a line is not worth an index, which would take half its memory again.
                let newline = memchr::memchr(b'\n', &bytes[self.window.end..]);
                return (newline.map(|at| self.window.end + at), true);
            }
            self.move_window(bytes, start);
        }
    }

    /// Makes the window begin with the line at `start`, and twice as large if it began there before.
    #[cold]
    fn move_window(&mut self, bytes: &[u8], start: usize) {
        let grown = if self.window.start == start { 2 * self.window.len() } else { 0 };
        let end = bytes.len().min(start + grown.max(WINDOW_BYTES));
        self.window = start..end;
        self.index.set(&bytes[start..end]);
    }

    /// The next record among the parts of a line that is not as plain as most are, if any.
    #[cold]
    fn next_of_pending(
        &mut self,
        block: &Block,
        skipped: &mut Skipped,
    ) -> Option<(Parsed, usize, usize)> {
        let bytes = &block.bytes;
        while let Some(mut fragment) = self.pending.pop() {
            let Some((start, end)) = trim(bytes, &mut fragment, skipped) else { continue };
            let fragment = Fragment { start, end, ..fragment };
            let offset = block.offset + start as u64;
            match Parsed::of(&bytes[start..end], &mut self.fields) {
                Ok(parsed) => {
                    note_oddities(&parsed, fragment, offset, skipped);
                    if skipped.lists_lines && parsed.is_repaired() {
                        list_invalid_utf8(&bytes[start..end], fragment, offset, skipped);
                    }
                    return Some((parsed, start, end));
                }
                Err(Reject::NotJson) if self.divide(bytes, fragment, skipped) => {}
                Err(reject) => note_reject(reject, &self.fields, fragment, offset, skipped),
            }
        }
        None
    }

    /// Puts the parts of a fragment that is no record in the place of it, if it has any.
    fn divide(&mut self, bytes: &[u8], fragment: Fragment, skipped: &mut Skipped) -> bool {
        let Fragment { start, end, .. } = fragment;
        let text = &bytes[start..end];
        let parts_before = self.pending.len();
        let mut divisible = fragment.divisible;
        while self.pending.len() == parts_before {
            // The parts of a break belong to neither side; a record begins with what marks it.
            let (breaks, break_bytes): (Vec<usize>, usize) = match divisible {
                Divisible::AtNuls => (memchr::memchr_iter(0, text).collect(), 1),
                Divisible::AtReturns => (memchr::memchr_iter(b'\r', text).collect(), 1),
                Divisible::AtRecords => (memmem::find_iter(text, RECORD_START).collect(), 0),
                Divisible::No => return false,
            };
            if divisible == Divisible::AtNuls {
                skipped.nul_bytes += breaks.len() as u64;
            }
            divisible = match divisible {
                Divisible::AtNuls => Divisible::AtReturns,
                Divisible::AtReturns => Divisible::AtRecords,
                Divisible::AtRecords | Divisible::No => Divisible::No,
            };
            let mut from = start;
            for at in breaks.into_iter().map(|at| start + at) {
                let open_end = false;
                self.push(Fragment { start: from, end: at, divisible, open_end, ..fragment });
                from = at + break_bytes;
            }
            if from > start {
                self.push(Fragment { start: from, end, divisible, ..fragment });
            }
        }
        self.pending[parts_before..].reverse();
        true
    }

    fn push(&mut self, fragment: Fragment) {
        if fragment.start < fragment.end {
            self.pending.push(fragment);
        }
    }
}

fn is_around(byte: u8) -> bool {
    matches!(byte, 0 | b' ' | b'\t' | b'\r')
}

/// The part of a fragment that may be a record, without what may stand around one: NUL bytes
/// (counted), a carriage return, a byte order mark or record separator, space. One with a NUL byte
/// behind it is not cut off there.
fn trim(bytes: &[u8], fragment: &mut Fragment, skipped: &mut Skipped) -> Option<(usize, usize)> {
    let Fragment { mut start, mut end, .. } = *fragment;
    let mut nuls = 0;
    while start < end && is_around(bytes[end - 1]) {
        end -= 1;
        nuls += u64::from(bytes[end] == 0);
    }
    fragment.open_end &= nuls == 0;
    loop {
        let rest = &bytes[start..end];
        match rest.first() {
            Some(&byte) if is_around(byte) => {
                nuls += u64::from(byte == 0);
                start += 1;
            }
            Some(0x1e) => start += 1,
            Some(0xef) if rest.starts_with("\u{feff}".as_bytes()) => start += 3,
            _ => break,
        }
    }
    skipped.nul_bytes += nuls;
    (start < end).then_some((start, end))
}

fn note_oddities(parsed: &Parsed, fragment: Fragment, byte: u64, skipped: &mut Skipped) {
    skipped.repaired_utf8 += u64::from(parsed.is_repaired());
    if let ActionKind::Invalid(reason) = parsed.action_kind() {
        skipped.invalid_actions += 1;
        let example = Example { line: fragment.line, byte, reason };
        skipped.first_invalid_action.get_or_insert(example);
        list(ProblemKind::InvalidAction(reason), fragment, byte, skipped);
    }
}

/// `fields` are those of the fragment, as far as it has any.
fn note_reject(
    reject: Reject,
    fields: &Fields,
    fragment: Fragment,
    byte: u64,
    skipped: &mut Skipped,
) {
    let (counter, reason) = match reject {
        Reject::NotJson if fragment.open_end => (&mut skipped.torn_lines, "cut off"),
        Reject::NotJson => (&mut skipped.not_json, reject.reason()),
        Reject::NotObject => (&mut skipped.not_object, reject.reason()),
        Reject::MissingFields => (&mut skipped.missing_fields, reject.reason()),
    };
    *counter += 1;
    skipped.first.get_or_insert(Example { line: fragment.line, byte, reason });
    let kind = match reject {
        Reject::NotJson if fragment.open_end => ProblemKind::CutOff,
        Reject::NotJson => ProblemKind::NotJson,
        Reject::NotObject => ProblemKind::NotObject,
        Reject::MissingFields => ProblemKind::MissingFields(MissingFields::of(fields)),
    };
    list(kind, fragment, byte, skipped);
}

/// Adds a problem to those that are listed, if that is wanted.
fn list(kind: ProblemKind, fragment: Fragment, byte: u64, skipped: &mut Skipped) {
    if skipped.lists_lines {
        let length = (fragment.end - fragment.start) as u64;
        skipped.problems.push(Problem { line: Some(fragment.line), byte, length, kind });
    }
}

/// Lists the first invalid sequence in the text of a fragment.
fn list_invalid_utf8(text: &[u8], fragment: Fragment, byte: u64, skipped: &mut Skipped) {
    let Err(error) = std::str::from_utf8(text) else { return };
    let at = error.valid_up_to();
    let length = error.error_len().unwrap_or(text.len() - at);
    let start = fragment.start + at;
    let fragment = Fragment { start, end: start + length, ..fragment };
    list(ProblemKind::InvalidUtf8, fragment, byte + at as u64, skipped);
}
