//! Compressed logs, whole or damaged.
//!
//! The members of a gzip file (RFC 1952) are taken apart by hand, because a decoder that just
//! fails loses what it had decoded, and cannot go on behind the damage.

use std::io;
use std::path::Path;

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Crc;
use memchr::memmem;

use super::blocks::Chunk;
use super::input::Input;
use super::zeros::resize_zeroed;
use super::{Problem, ProblemKind};
use crate::gzip_member::{Header, MAGIC, MAX_HEADER_BYTES, TRAILER_BYTES, header_length};

/// After that many damages the rest of the file is given up: nothing to be found in such noise.
const MAX_DAMAGES: u64 = 1000;

/// Text is about so many times as long as it is compressed, seldom more.
const LIKELY_RATIO: usize = 16;
/// Room is made for no less than this.
const MIN_STEP_BYTES: usize = 64 << 10;

const ENDS_EARLY: &str = "the file ends early";
const BAD_DATA: &str = "invalid data";
const BAD_CHECKSUM: &str = "the checksum does not match";
const BAD_HEADER: &str = "invalid header";
const TRAILING: &str = "other data after the end";

/// Whether a file is gzip: by its first bytes. Where those are damaged, by its name, unless the
/// content is that of a plain log.
pub(super) fn looks_compressed(path: &Path, head: &[u8]) -> bool {
    if head.starts_with(&MAGIC[..2]) {
        return true;
    }
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
        && !looks_like_text(head)
}

fn looks_like_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r' | 0 | 0x1e))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between members.
    Header,
    /// In the compressed data of a member.
    Body,
    /// The compressed data of a member has ended.
    Trailer,
    /// Behind a damage: to look for an intact member from this byte of the file on.
    Search(u64),
    End,
}

/// A gzip file that is read as far as it can be.
pub(super) struct GzipSource {
    input: Input,
    inflate: Decompress,
    /// Libdeflate's, which is several times faster than that of the decompressor.
    crc: Crc,
    /// The length of the current member's text so far, modulo 2³² as in its trailer.
    plain_bytes: u32,
    /// Where its next text belongs in the decompressed log.
    offset: u64,
    state: State,
    /// Where the current member begins.
    member: u64,
    /// What was found damaged.
    damage: Vec<Problem>,
    /// How much of it was told already.
    damages: u64,
}

impl GzipSource {
    /// Reads from where `input` stands, where a member should begin, and the text at `offset` of the
    /// decompressed log.
    pub(super) fn new(input: Input, offset: u64) -> Self {
        Self {
            input,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            plain_bytes: 0,
            offset,
            state: State::Header,
            member: 0,
            damage: Vec::new(),
            damages: 0,
        }
    }

    /// How far the file was read, in bytes.
    pub(super) fn position(&self) -> u64 {
        self.input.position()
    }

    /// The damage found since this was last asked.
    pub(super) fn take_damage(&mut self) -> Vec<Problem> {
        self.damages += self.damage.len() as u64;
        std::mem::take(&mut self.damage)
    }

    /// Appends decompressed bytes.
    pub(super) fn read_chunk(
        &mut self,
        out: &mut Vec<u8>,
        chunk_bytes: usize,
    ) -> io::Result<Chunk> {
        let known = out.len();
        loop {
            match self.state {
                State::Header => self.header()?,
                State::Body => {
                    self.body(out, known + chunk_bytes)?;
                    if out.len() >= known + chunk_bytes {
                        return Ok(Chunk::Data);
                    }
                }
                State::Trailer => self.trailer()?,
                State::Search(_) | State::End if out.len() > known => return Ok(Chunk::Data),
                State::Search(from) => {
                    self.state = if self.search(from)? { State::Header } else { State::End };
                    return Ok(Chunk::Gap);
                }
                State::End => return Ok(Chunk::End),
            }
        }
    }

    fn header(&mut self) -> io::Result<()> {
        self.input.fill(MAX_HEADER_BYTES)?;
        let is_first = self.input.position() == 0;
        if !is_first {
            // Padding with zeros (tapes, preallocated files) is no damage.
            while self.input.rest().first() == Some(&0) {
                let zeros = self.input.rest().iter().take_while(|&&byte| byte == 0).count();
                self.input.advance(zeros);
                self.input.fill(MAX_HEADER_BYTES)?;
            }
        }
        self.member = self.input.position();
        if self.input.rest().is_empty() {
            self.state = State::End;
            return Ok(());
        }
        match header_length(self.input.rest()) {
            Header::Length(length) => {
                self.input.advance(length);
                self.inflate.reset(false);
                self.crc = Crc::new();
                self.plain_bytes = 0;
                self.state = State::Body;
            }
            Header::Cut => self.damaged(ENDS_EARLY, State::End),
            Header::Invalid => {
                let reason = if is_first { BAD_HEADER } else { TRAILING };
                self.damaged(reason, State::Search(self.member + 1));
            }
        }
        Ok(())
    }

    /// Decompresses until `out` has `wanted` bytes or the data ends.
    fn body(&mut self, out: &mut Vec<u8>, wanted: usize) -> io::Result<()> {
        // Damage may have let the decoder run on into the next member, or made it see an end too
        // early; a torn header may even have swallowed the next one. The next member begins
        // somewhere behind the start of this one, that is all that is known.
        let behind = State::Search(self.member + 1);
        let first = out.len();
        let mut filled = first;
        // Of a small log not much will come, and zeroing room for a large one would take longer.
        let likely = self.input.rest().len().saturating_mul(LIKELY_RATIO).max(MIN_STEP_BYTES);
        resize_zeroed(out, wanted.min(first + likely));
        while filled < wanted {
            if filled == out.len() {
                resize_zeroed(out, wanted.min(first + 2 * (filled - first)));
            }
            self.input.fill(1)?;
            // At the end of the file, too, the decoder may still hold some text.
            let ended = self.input.rest().is_empty();
            let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(
                self.input.rest(),
                &mut out[filled..],
                FlushDecompress::None,
            );
            let progress = |now, before| {
                usize::try_from(now - before).expect("it is no more than there is in memory")
            };
            let consumed = progress(self.inflate.total_in(), in_before);
            let written = progress(self.inflate.total_out(), out_before);
            self.input.advance(consumed);
            filled += written;
            self.offset += written as u64;
            match status {
                Ok(Status::StreamEnd) => {
                    self.state = State::Trailer;
                    break;
                }
                Ok(Status::Ok | Status::BufError) if consumed + written > 0 => {}
                Ok(_) | Err(_) => {
                    let reason = if ended && status.is_ok() { ENDS_EARLY } else { BAD_DATA };
                    self.damaged(reason, behind);
                    break;
                }
            }
        }
        out.truncate(filled);
        self.crc.update(&out[first..]);
        #[allow(clippy::cast_possible_truncation)] // a chunk is shorter than 4 GiB
        let plain_bytes = (filled - first) as u32;
        self.plain_bytes = self.plain_bytes.wrapping_add(plain_bytes);
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        self.input.fill(TRAILER_BYTES)?;
        let Some((trailer, _)) = self.input.rest().split_first_chunk::<TRAILER_BYTES>() else {
            self.damaged(ENDS_EARLY, State::End);
            return Ok(());
        };
        let (expected_crc, expected_length) = trailer.split_at(4);
        // The length is stored modulo 2³².
        let matches = expected_crc == self.crc.sum().to_le_bytes()
            && expected_length == self.plain_bytes.to_le_bytes();
        if matches {
            self.input.advance(TRAILER_BYTES);
            self.state = State::Header;
            return Ok(());
        }
        self.damaged(BAD_CHECKSUM, State::Header);
        // Where the next member stands just behind, only the checksum itself can be damaged.
        self.input.advance(TRAILER_BYTES);
        self.input.fill(MAGIC.len())?;
        let rest = self.input.rest();
        let in_order = rest.is_empty() || rest.starts_with(MAGIC);
        if !in_order && self.state != State::End {
            self.state = State::Search(self.member + 1);
        }
        Ok(())
    }

    fn damaged(&mut self, reason: &'static str, then: State) {
        let kind = ProblemKind::GzipDamage { compressed_byte: self.input.position(), reason };
        self.damage.push(Problem { line: None, byte: self.offset, length: 0, kind });
        let damages = self.damages + self.damage.len() as u64;
        self.state = if damages < MAX_DAMAGES { then } else { State::End };
    }

    /// Moves to the next place, from `from` on, where an intact member seems to begin.
    fn search(&mut self, from: u64) -> io::Result<bool> {
        self.input.seek(from);
        loop {
            self.input.fill(MAX_HEADER_BYTES)?;
            let rest = self.input.rest();
            match memmem::find(rest, MAGIC) {
                Some(at) => {
                    self.input.advance(at);
                    self.input.fill(MAX_HEADER_BYTES)?;
                    if is_member(self.input.rest()) {
                        return Ok(true);
                    }
                    self.input.advance(1);
                }
                None if rest.len() < MAX_HEADER_BYTES => return Ok(false),
                // The magic number may begin in the last bytes.
                None => {
                    let passed = rest.len() - (MAGIC.len() - 1);
                    self.input.advance(passed);
                }
            }
        }
    }
}

/// Whether a member seems to begin here: its header makes sense, and what follows decompresses to
/// something like text. By chance alone, that does not happen.
fn is_member(bytes: &[u8]) -> bool {
    let Header::Length(length) = header_length(bytes) else { return false };
    let mut out = Vec::with_capacity(1024);
    let status =
        Decompress::new(false).decompress_vec(&bytes[length..], &mut out, FlushDecompress::None);
    status.is_ok() && looks_like_text(&out)
}
