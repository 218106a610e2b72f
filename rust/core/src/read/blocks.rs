//! A log as a sequence of blocks of whole lines, in bounded memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

use super::gzip::{self, GzipSource};
use super::{Example, Skipped};

/// Longer lines are skipped: no record is that long, but a damaged file may be one single line.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// How much is read at a time. Reading, not mapping: a file that shrinks under a mapping would
/// kill the process.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// From this length on, a line that may consist of lines of old (ended by a carriage return) is
/// divided there.
const LONG_LINE_BYTES: usize = 4 << 20;

/// Whole lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// Where the block begins in the (decompressed) log.
    pub offset: u64,
    /// The lines; the last one of a log, or of what could be read before a damage, may lack its
    /// newline.
    pub bytes: Vec<u8>,
}

/// What reading on gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Bytes were appended.
    Data,
    /// What follows does not continue what came before: something is missing in between.
    Gap,
    /// The end.
    End,
}

enum Source {
    Plain(File),
    Gzip(Box<GzipSource>),
}

/// Reads a log, plain or compressed: its content decides, not its name.
pub struct Blocks {
    path: PathBuf,
    source: Source,
    /// What was read beyond the end of the last block.
    carry: Vec<u8>,
    /// Where `carry` begins in the (decompressed) log.
    offset: u64,
    spare: Vec<u8>,
    too_long: Skipped,
    ended: bool,
}

impl Blocks {
    /// Opens a log.
    ///
    /// # Errors
    /// There is no such file, it may not be read, or it is no regular file; a FIFO is refused
    /// without waiting for its writer.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("open", path, source);
        // Opening a device may have effects, opening a socket fails in its own way: look first.
        require_regular_file(path, &std::fs::metadata(path).map_err(failed)?)?;
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(failed)?;
        require_regular_file(path, &file.metadata().map_err(failed)?)?;
        let mut head = [0; 512];
        let length = read_full(&mut file, &mut head).map_err(|e| Error::io("read", path, e))?;
        let head = &head[..length];
        io::Seek::rewind(&mut file).map_err(|e| Error::io("read", path, e))?;
        let source = if gzip::looks_compressed(path, head) {
            Source::Gzip(Box::new(GzipSource::new(file)))
        } else {
            Source::Plain(file)
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            carry: Vec::new(),
            offset: 0,
            spare: Vec::new(),
            too_long: Skipped::default(),
            ended: false,
        })
    }

    /// The next lines, or `None` at the end.
    ///
    /// # Errors
    /// The operating system refused to read on.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.append(&mut self.carry);
        let mut overlong = false;
        while !self.ended {
            let known = bytes.len();
            match self.read_chunk(&mut bytes)? {
                Chunk::Data => {}
                Chunk::Gap if bytes.is_empty() => {
                    overlong = false;
                    continue;
                }
                Chunk::Gap => break,
                Chunk::End => {
                    self.ended = true;
                    break;
                }
            }
            if overlong {
                // Drop the line up to its newline, which stays, so that lines count right.
                let cut = memchr::memchr(b'\n', &bytes).unwrap_or(bytes.len());
                bytes.drain(..cut);
                self.offset += cut as u64;
                overlong = bytes.is_empty();
                if overlong {
                    continue;
                }
            }
            if let Some(end) = last_break(&bytes, known.min(bytes.len())) {
                self.carry.extend_from_slice(&bytes[end..]);
                bytes.truncate(end);
                break;
            }
            if bytes.len() > MAX_LINE_BYTES {
                self.note_too_long();
                self.offset += bytes.len() as u64;
                bytes.clear();
                overlong = true;
            }
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        Ok(Some(Block { offset, bytes }))
    }

    /// Gives back the memory of a block, for the next one.
    pub fn recycle(&mut self, block: Block) {
        if block.bytes.capacity() <= LONG_LINE_BYTES {
            self.spare = block.bytes;
        }
    }

    /// What the file itself made unreadable since this was last asked: damage, and an overlong
    /// line before the block that was given last. To be merged before the counters of that block.
    pub fn take_skipped(&mut self) -> Skipped {
        let mut skipped = std::mem::take(&mut self.too_long);
        if let Source::Gzip(source) = &mut self.source {
            let damage = source.take_damage();
            skipped.gzip_damaged = damage.places;
            skipped.first_damage = damage.first;
        }
        skipped
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn note_too_long(&mut self) {
        self.too_long.too_long_lines += 1;
        // It follows the lines of the last block.
        let example = Example { line: 1, byte: self.offset, reason: "longer than 64 MiB" };
        self.too_long.first.get_or_insert(example);
    }

    fn read_chunk(&mut self, bytes: &mut Vec<u8>) -> Result<Chunk> {
        let outcome = match &mut self.source {
            Source::Plain(file) => read_plain(file, bytes),
            Source::Gzip(source) => source.read_chunk(bytes),
        };
        outcome.map_err(|error| Error::io("read", &self.path, error))
    }
}

fn read_plain(file: &File, bytes: &mut Vec<u8>) -> io::Result<Chunk> {
    // Room for no more than a chunk, so that a log that grows cannot fill the memory.
    bytes.reserve_exact(CHUNK_BYTES);
    loop {
        match rustix::io::read(file, rustix::buffer::spare_capacity(bytes)) {
            Ok(0) => return Ok(Chunk::End),
            Ok(_) => return Ok(Chunk::Data),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The end of the last line of `bytes`, of which `known` bytes are known to hold no newline.
fn last_break(bytes: &[u8], known: usize) -> Option<usize> {
    let fresh = &bytes[known..];
    let found = memchr::memrchr(b'\n', fresh)
        // A hole in the file: no record spans it.
        .or_else(|| memchr::memrchr(0, fresh))
        .map(|at| known + at);
    let found = match found {
        None if known > LONG_LINE_BYTES => memchr::memrchr(b'\r', fresh).map(|at| known + at),
        None if bytes.len() > LONG_LINE_BYTES => memchr::memrchr(b'\r', bytes),
        found => found,
    };
    found.map(|at| at + 1)
}

/// Reads until `buffer` is full or the file ends.
fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn require_regular_file(path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    let file_type = metadata.file_type();
    if file_type.is_file() {
        return Ok(());
    }
    let kind = crate::store::kind_of(file_type);
    Err(Error::NotAFile { path: path.to_owned(), kind })
}
