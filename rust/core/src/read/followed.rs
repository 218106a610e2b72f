//! One open file of those that [`super::Follower`] follows.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::file_io::{read_at, read_full_at};
use crate::store;
use crate::tail::{Snapshot, snapshot};
use crate::{Error, Result};

use super::follow::Lines;
use super::{Block, Blocks, Example, MAX_LINE_BYTES, Skipped, gzip};

/// How much is read at a time.
const READ_BYTES: usize = 256 << 10;

/// So much of what was read last is read again, and compared: a file that was truncated and has
/// grown beyond its former length since is told from one that has only grown.
const FINGERPRINT_BYTES: usize = 256;

/// How often a file that is replaced just while it is being opened is opened again.
const MAX_TRIES: u32 = 100;

/// Room for one reading.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; FINGERPRINT_BYTES + READ_BYTES]
}

/// Which file it is. Of an open file nothing else gets the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// What reading on gave.
pub(super) enum Read {
    Lines(Box<Lines>),
    /// What was read before is no longer there.
    Cut,
    /// The end, for now.
    End,
}

/// A file, open until it is done with.
pub(super) struct Followed {
    pub(super) identity: Identity,
    /// Its number among the parts of what is followed.
    pub(super) part: u64,
    /// The number that it has, or gets, among the parts that the log is rotated to; `None` where it is
    /// not looked for by that.
    pub(super) number: Option<u32>,
    /// How many parts before this one were removed before they were read, and the reader has not been
    /// told.
    pub(super) missed_parts: u32,
    /// Whether the reader has been told that this file's lines begin.
    pub(super) is_announced: bool,
    /// Whether the reader has been told that it is no longer at its path.
    pub(super) is_gone_told: bool,
    /// Whether somebody still writes to it, as far as that can be told, when this was last judged.
    pub(super) alive: Option<bool>,
    /// Whether what its writer may have left beside it was joined to it.
    pub(super) is_joined: bool,
    source: Source,
}

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { identity, part, .. } = self;
        f.debug_struct("Followed")
            .field("identity", identity)
            .field("part", part)
            .finish_non_exhaustive()
    }
}

enum Source {
    Plain(Plain),
    Compressed {
        blocks: Blocks,
        /// Keeps the identity from being given to another file.
        file: File,
        start_offset: u64,
        is_over: bool,
    },
}

struct Plain {
    file: File,
    /// Where to read on.
    position: u64,
    /// What stands right before that.
    fingerprint: Vec<u8>,
    /// How long the file was when it was opened, if `position` is behind that: what comes before it
    /// still waited beside the file, and is not wanted.
    awaited_from: Option<u64>,
    /// The beginning of a line whose end is not there yet.
    carry: Vec<u8>,
    /// Where `carry` begins.
    offset: u64,
    /// Within a line that is too long to be kept.
    is_overlong: bool,
    skipped: Skipped,
}

impl Followed {
    pub(super) fn open(path: &Path, start_offset: u64, part: u64) -> Result<Self> {
        let failed = |source| Error::io("open", path, source);
        for _ in 0..MAX_TRIES {
            // Opening a device may have effects: look first.
            require_regular_file(path, &fs::metadata(path).map_err(failed)?)?;
            let file = File::options()
                .read(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                .open(path)
                .map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            require_regular_file(path, &metadata)?;
            let identity = Identity::of(&metadata);
            let mut head = [0; 512];
            let length = read_full_at(&file, &mut head, 0)
                .map_err(|error| Error::io("read", path, error))?;
            let source = if gzip::looks_compressed(path, &head[..length]) {
                let blocks = Blocks::open(path)?;
                // Is what was opened by name the file that has just been looked at?
                if Identity::of(&fs::metadata(path).map_err(failed)?) != identity {
                    continue;
                }
                Source::Compressed { blocks, file, start_offset, is_over: false }
            } else {
                let plain = Plain::new(file, path, start_offset)
                    .map_err(|error| Error::io("read", path, error))?;
                Source::Plain(plain)
            };
            return Ok(Self {
                identity,
                part,
                number: None,
                missed_parts: 0,
                is_announced: true,
                is_gone_told: false,
                alive: None,
                is_joined: false,
                source,
            });
        }
        Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "it is replaced as soon as it is opened",
        )))
    }

    /// The same, from behind the last whole line that it has now.
    pub(super) fn open_behind(path: &Path, part: u64) -> Result<Self> {
        let mut followed = Self::open(path, 0, part)?;
        if let Source::Plain(plain) = &mut followed.source {
            plain.skip_whole_lines().map_err(|error| Error::io("read", path, error))?;
        }
        Ok(followed)
    }

    /// Where it is read on from; `None` for a compressed one.
    pub(super) fn position(&self) -> Option<u64> {
        match &self.source {
            Source::Plain(plain) => Some(plain.position),
            Source::Compressed { .. } => None,
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.source, Source::Compressed { .. })
    }

    /// Looks whether somebody still writes to this file, which was found at `path`.
    pub(super) fn judge_writer(&mut self, path: &Path) {
        self.alive = match &self.source {
            Source::Plain(plain) => store::liveness_of_open(&plain.file, path).alive,
            Source::Compressed { .. } => Some(false),
        };
    }

    /// Looks whether somebody still writes to the log at `path`, which this file is the newest part of.
    pub(super) fn judge_next_writer(&mut self, path: &Path) {
        let (Source::Plain(Plain { file, .. }) | Source::Compressed { file, .. }) = &self.source;
        self.alive = store::liveness_of_open(file, path).alive;
    }

    /// Reads a bounded amount of this file, which was found at `path`, by way of `buffer`.
    pub(super) fn read(&mut self, path: &Path, buffer: &mut [u8]) -> Result<Read> {
        let part = self.part;
        match &mut self.source {
            Source::Plain(plain) => {
                plain.read(buffer, part).map_err(|error| Error::io("read", path, error))
            }
            Source::Compressed { is_over: true, .. } => Ok(Read::End),
            Source::Compressed { blocks, start_offset, is_over, .. } => {
                let block = blocks.next_block()?;
                *is_over = block.is_none();
                let mut block = block.unwrap_or_default();
                drop_before(*start_offset, &mut block);
                let lines = Lines { part, block, skipped: blocks.take_skipped() };
                Ok(Read::Lines(Box::new(lines)))
            }
        }
    }

    /// Begins a new part at the start of the file; what remained of the part before.
    pub(super) fn restart(&mut self, part: u64) -> Option<Box<Lines>> {
        let rest = self.take_rest();
        self.part = part;
        if let Source::Plain(plain) = &mut self.source {
            plain.position = 0;
            plain.offset = 0;
            plain.fingerprint.clear();
            plain.awaited_from = None;
            plain.is_overlong = false;
        }
        rest
    }

    /// What a writer that is gone has left beside this file, which was found at `path`, and nobody
    /// has joined to it. None: nothing, or the file has grown since it was read.
    pub(super) fn take_beside(&mut self, path: &Path) -> Option<Box<Lines>> {
        let part = self.part;
        let Source::Plain(plain) = &mut self.source else { return None };
        let Snapshot { file_bytes, tail } = snapshot(&plain.file, path).ok()??;
        let skip = usize::try_from(plain.position.checked_sub(file_bytes)?).ok()?;
        if skip > 0 && plain.awaited_from.is_none() {
            return None;
        }
        let wanted = tail.get(skip..).filter(|wanted| !wanted.is_empty())?;
        let block = plain.lines(wanted);
        Some(Box::new(Lines { part, block, skipped: std::mem::take(&mut plain.skipped) }))
    }

    /// The line at the end of which nobody will write the newline.
    pub(super) fn take_rest(&mut self) -> Option<Box<Lines>> {
        let part = self.part;
        match &mut self.source {
            Source::Plain(plain) => {
                let bytes = std::mem::take(&mut plain.carry);
                let skipped = std::mem::take(&mut plain.skipped);
                let is_nothing = bytes.is_empty() && skipped == Skipped::default();
                let block = Block { offset: plain.offset, bytes };
                (!is_nothing).then(|| Box::new(Lines { part, block, skipped }))
            }
            Source::Compressed { .. } => None,
        }
    }
}

impl Plain {
    fn new(file: File, path: &Path, start_offset: u64) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let is_beside = start_offset > size
            && snapshot(&file, path)?.is_some_and(|Snapshot { file_bytes, tail }| {
                file_bytes + tail.len() as u64 >= start_offset
            });
        let length = usize::try_from(start_offset).unwrap_or(usize::MAX).min(FINGERPRINT_BYTES);
        let length = if is_beside { 0 } else { length };
        // Where the file is shorter than that, the next reading tells.
        let mut fingerprint = vec![0; length];
        read_full_at(&file, &mut fingerprint, start_offset - length as u64)?;
        Ok(Self {
            file,
            position: start_offset,
            fingerprint,
            awaited_from: is_beside.then_some(size),
            carry: Vec::new(),
            offset: start_offset,
            is_overlong: false,
            skipped: Skipped::default(),
        })
    }

    /// Goes on behind the last newline that there is.
    fn skip_whole_lines(&mut self) -> io::Result<()> {
        let mut end = self.file.metadata()?.len();
        let mut bytes = vec![0; READ_BYTES];
        while end > 0 {
            let start = end.saturating_sub(READ_BYTES as u64);
            let wanted = usize::try_from(end - start).unwrap_or(READ_BYTES);
            let read = read_full_at(&self.file, &mut bytes[..wanted], start)?;
            if let Some(newline) = memchr::memrchr(b'\n', &bytes[..read]) {
                end = start + newline as u64 + 1;
                break;
            }
            end = start;
        }
        let length = usize::try_from(end).unwrap_or(usize::MAX).min(FINGERPRINT_BYTES);
        self.fingerprint = vec![0; length];
        // Where the file is shorter by now, the next reading tells.
        read_full_at(&self.file, &mut self.fingerprint, end - length as u64)?;
        (self.position, self.offset) = (end, end);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], part: u64) -> io::Result<Read> {
        if let Some(size_before) = self.awaited_from {
            let size = self.file.metadata()?.len();
            if size < self.position {
                return Ok(if size < size_before { Read::Cut } else { Read::End });
            }
            self.awaited_from = None;
            // Several processes may have come in another order: then this is within a line.
            let mut last = [0];
            let length = read_at(&self.file, &mut last, self.position - 1)?;
            self.is_overlong = length == 1 && last != *b"\n";
        }
        let start = self.position - self.fingerprint.len() as u64;
        let length = read_at(&self.file, buffer, start)?;
        let Some(fresh) = buffer[..length].strip_prefix(&self.fingerprint[..]) else {
            return Ok(Read::Cut);
        };
        if fresh.is_empty() {
            return Ok(Read::End);
        }
        self.position += fresh.len() as u64;
        self.remember(fresh);
        let block = self.lines(fresh);
        let skipped = std::mem::take(&mut self.skipped);
        Ok(Read::Lines(Box::new(Lines { part, block, skipped })))
    }

    fn remember(&mut self, fresh: &[u8]) {
        let from = fresh.len().saturating_sub(FINGERPRINT_BYTES);
        self.fingerprint.extend_from_slice(&fresh[from..]);
        let excess = self.fingerprint.len().saturating_sub(FINGERPRINT_BYTES);
        self.fingerprint.drain(..excess);
    }

    /// The lines that `fresh` completes; what follows them is kept.
    fn lines(&mut self, mut fresh: &[u8]) -> Block {
        if self.is_overlong {
            // Dropped up to its newline, which stays, so that lines count right.
            let cut = memchr::memchr(b'\n', fresh).unwrap_or(fresh.len());
            self.is_overlong = cut == fresh.len();
            self.offset += cut as u64;
            fresh = &fresh[cut..];
        }
        let offset = self.offset;
        // No record spans a hole in the file either; it may be larger than any line.
        let last_break = memchr::memrchr(b'\n', fresh).or_else(|| memchr::memrchr(0, fresh));
        let Some(last_break) = last_break else {
            self.carry.extend_from_slice(fresh);
            if self.carry.len() > MAX_LINE_BYTES {
                self.skipped.too_long_lines += 1;
                let example = Example { line: 1, byte: offset, reason: "longer than 64 MiB" };
                self.skipped.first.get_or_insert(example);
                self.offset += self.carry.len() as u64;
                self.carry = Vec::new();
                self.is_overlong = true;
            }
            return Block { offset, bytes: Vec::new() };
        };
        let (whole, begun) = fresh.split_at(last_break + 1);
        let mut bytes = std::mem::replace(&mut self.carry, begun.to_vec());
        bytes.extend_from_slice(whole);
        self.offset += bytes.len() as u64;
        Block { offset, bytes }
    }
}

/// Leaves out what stands before `start_offset`.
fn drop_before(start_offset: u64, block: &mut Block) {
    let before = start_offset.saturating_sub(block.offset);
    let cut = usize::try_from(before).unwrap_or(usize::MAX).min(block.bytes.len());
    block.bytes.drain(..cut);
    block.offset += cut as u64;
}

fn require_regular_file(path: &Path, metadata: &Metadata) -> Result<()> {
    let file_type = metadata.file_type();
    if file_type.is_file() {
        return Ok(());
    }
    Err(Error::NotAFile { path: path.to_owned(), kind: store::kind_of(file_type) })
}
