//! Pieces of a log as they are shipped: whole lines, compressed in members as the writer of logs does,
//! with what the lines amount to.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::analyze::Partial as _;
use crate::analyze::timestamp::parse_epoch_s;
use crate::analyze::totals::Totals;
use crate::read::{Block, LineCursor, MAX_LINE_BYTES, Skipped};
use crate::write::gzip_parallel::{MemberEncoder, fill_member};

/// A piece is ended before it is larger than this, compressed; one with a line that is longer than
/// members are may be larger.
pub const MAX_PIECE_BYTES: usize = 8 << 20;
/// The next member might be so long.
const NEXT_MEMBER_BYTES: usize = (1 << 20) + (64 << 10);

/// What some consecutive records of a log amount to.
#[derive(Debug, Clone, Default)]
pub(super) struct Amount {
    pub(super) totals: Totals,
    pub(super) last_s: Option<f64>,
}

impl Amount {
    /// Takes in what follows, when this is that from the start of the log on.
    pub(super) fn merge(&mut self, later: Self) {
        self.totals.merge_from_start(later.totals);
        self.last_s = later.last_s.or(self.last_s);
    }
}

/// Adds up the records of texts that follow one another.
#[derive(Default)]
pub(super) struct Counter {
    amount: Amount,
    cursor: LineCursor,
    /// What does not end with a line yet.
    block: Block,
}

impl Counter {
    pub(super) fn add(&mut self, text: &[u8]) {
        self.block.bytes.extend_from_slice(text);
        // What is longer is no record.
        if text.ends_with(b"\n") || self.block.bytes.len() > MAX_LINE_BYTES {
            self.count();
        }
    }

    /// What does not end with a line, which is not counted then.
    fn take_unfinished(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.block.bytes)
    }

    pub(super) fn end(mut self) -> Amount {
        self.count();
        self.amount
    }

    fn count(&mut self) {
        let Amount { totals, last_s } = &mut self.amount;
        let mut skipped = Skipped::default();
        while let Some(record) = self.cursor.next(&self.block, &mut skipped) {
            totals.observe(&record, 0);
            *last_s = parse_epoch_s(&record.timestamp()).or(*last_s);
        }
        self.block.bytes.clear();
    }
}

/// A piece of a log, ready to be shipped.
#[derive(Debug)]
pub struct Piece {
    /// The name of the object.
    pub name: String,
    /// The object.
    pub bytes: Vec<u8>,
    /// Where it begins in the plain text of the log.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Of the object, in hexadecimal digits.
    pub sha256: String,
    pub(super) amount: Amount,
}

/// Makes pieces of what a reader gives.
pub(super) struct PieceMaker<R> {
    source: R,
    /// What has been read already and is in no piece yet.
    rest: Vec<u8>,
    position: u64,
    modified_s: u32,
    max_bytes: usize,
}

/// What a piece has, but for its name.
pub(super) struct Made {
    pub(super) bytes: Vec<u8>,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) amount: Amount,
}

impl<R: Read> PieceMaker<R> {
    /// Of what `source` gives, which begins at `position` of the log.
    pub(super) fn new(source: R, position: u64, modified_s: u32, max_bytes: usize) -> Self {
        Self { source, rest: Vec::new(), position, modified_s, max_bytes }
    }

    /// The next piece; `None` where there is none. What does not end with a line is left where
    /// `whole_lines` are wanted.
    pub(super) fn next(&mut self, whole_lines: bool) -> io::Result<Option<Made>> {
        let mut encoder = MemberEncoder::new(self.modified_s);
        let mut counter = Counter::default();
        let mut bytes = Vec::new();
        let start = self.position;
        let mut text = Vec::new();
        let mut line_bytes = 0;
        // So much of it are whole lines.
        let mut whole = (0, start);
        loop {
            text.clear();
            text.append(&mut self.rest);
            let mut end = fill_member(&mut self.source, &mut text)?;
            let is_end = end == text.len() && !text.ends_with(b"\n");
            if whole_lines && is_end && end < crate::gzip_member::MAX_CUT_BYTES {
                // The end of what there is: the rest of the line comes.
                end = memchr::memrchr(b'\n', &text).map_or(0, |newline| newline + 1);
            }
            self.rest.extend_from_slice(&text[end..]);
            text.truncate(end);
            if end == 0 {
                break;
            }
            bytes.extend_from_slice(encoder.encode(&text));
            counter.add(&text);
            self.position += end as u64;
            line_bytes = if text.ends_with(b"\n") { 0 } else { line_bytes + end };
            if line_bytes == 0 || line_bytes > MAX_LINE_BYTES {
                whole = (bytes.len(), self.position);
            }
            let is_full = bytes.len() + NEXT_MEMBER_BYTES > self.max_bytes;
            if is_full && (line_bytes == 0 || line_bytes > MAX_LINE_BYTES) {
                break;
            }
        }
        if whole_lines && whole.1 != self.position {
            // A long line of which the end is still to come.
            bytes.truncate(whole.0);
            self.position = whole.1;
            self.rest.splice(0..0, counter.take_unfinished());
        }
        if self.position == start {
            return Ok(None);
        }
        Ok(Some(Made { bytes, start, end: self.position, amount: counter.end() }))
    }
}

/// The checksum of an object, in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn plain(made: &Made) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(&made.bytes[..]).read_to_end(&mut plain).unwrap();
        plain
    }

    fn pieces(text: &[u8], max_bytes: usize, whole_lines: bool) -> Vec<Made> {
        let mut maker = PieceMaker::new(text, 100, 0, max_bytes);
        std::iter::from_fn(|| maker.next(whole_lines).unwrap()).collect()
    }

    /// A line that does not compress.
    fn noise(line: u64, bytes: usize) -> String {
        let mut state = line.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let digits = (0..bytes).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(
                b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
                    [(state >> 40) as usize % 64],
            )
        });
        digits.chain(['\n']).collect()
    }

    proptest! {
        /// Pieces follow one another and hold everything once; of a live log, all but an unfinished line.
        #[test]
        fn pieces_are_the_text(text in "([a-z]{0,9}\n){0,20}[a-z]{0,3}", whole_lines: bool) {
            let pieces = pieces(text.as_bytes(), 1, whole_lines);
            let lines = text.rfind('\n').map_or(0, |newline| newline + 1);
            let expected = if whole_lines { &text[..lines] } else { &text[..] };
            let all: Vec<u8> = pieces.iter().flat_map(plain).collect();
            prop_assert_eq!(all, expected.as_bytes());
            let mut end = 100;
            for piece in &pieces {
                prop_assert_eq!(piece.start, end);
                end = piece.end;
            }
        }
    }

    /// A long log becomes pieces below the bound, each of whole lines.
    #[test]
    fn pieces_are_bounded() {
        let text: String = (0..100).map(|line| noise(line, 60_000)).collect();
        let max_bytes = 3 << 20;
        let pieces = pieces(text.as_bytes(), max_bytes, true);
        assert!(pieces.len() > 1);
        for piece in &pieces {
            assert!(piece.bytes.len() <= max_bytes, "{}", piece.bytes.len());
            assert!(plain(piece).ends_with(b"\n"));
        }
    }

    /// A line longer than members stays in one piece while it can be a record, and an unfinished one waits.
    #[test]
    fn long_lines_stay_whole() {
        let long = "x".repeat(6 << 20) + "\n";
        let text = format!("a\n{long}b\n");
        let whole: Vec<_> = pieces(text.as_bytes(), 1, true).iter().map(plain).collect();
        assert!(whole.iter().all(|piece| piece.ends_with(b"\n")));
        assert_eq!(whole.concat(), text.as_bytes());
        for length in [100, 6 << 20] {
            let unfinished = format!("a\n{}", "x".repeat(length));
            let found: Vec<_> = pieces(unfinished.as_bytes(), 1, true).iter().map(plain).collect();
            assert_eq!(found.concat(), b"a\n");
        }
    }

    /// The checksum is that of the standard's example.
    #[test]
    fn checksums_are_sha256() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
