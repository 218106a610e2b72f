//! A log as a sequence of blocks of whole lines, in bounded memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::remote::Object;
use crate::store::LogFile;
use crate::{Error, Result};

use super::gzip::{self, GzipSource};
use super::input::{Input, Pipe};
use super::plain::{Link, PlainLog};
use super::stored::Stored;
use super::zeros::resize_zeroed;
use super::{Example, Problem, ProblemKind, Skipped};

/// Longer lines are skipped: no record is that long, but a damaged file may be one single line.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// How much is read at a time. Reading, not mapping: a file that shrinks under a mapping would
/// kill the process.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// Whole lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// Where the block begins in the (decompressed) log.
    pub offset: u64,
    /// The lines; the last one of a log, or of what could be read before a damage, may lack its
    /// newline. A block may also end at a NUL byte, which no record spans.
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
    /// Read up to that position.
    Plain(PlainLog, u64),
    Pipe(Pipe),
    /// A pipe of which nothing is known yet.
    UnknownPipe(Pipe),
    Gzip(Box<GzipSource>),
}

/// What a log is, found out when it is opened.
pub(super) enum Opened {
    /// Plain text in a regular file, or an object.
    Plain(PlainLog),
    /// Gzip in a regular file, or an object.
    Gzip(Stored),
    /// A pipe, which can be read once, from front to back.
    Pipe(File),
}

/// Opens a log and looks at its beginning: its content decides what it is, not its name.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let failed = |source| Error::io("open", path, source);
    // Opening a device may have effects, opening a socket fails in its own way: look first.
    require_file_or_pipe(path, &std::fs::metadata(path).map_err(failed)?)?;
    let mut file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    require_file_or_pipe(path, &metadata)?;
    if !metadata.is_file() {
        return Ok(Opened::Pipe(file));
    }
    let mut head = [0; HEAD_BYTES];
    let length = read_full(&mut file, &mut head).map_err(|e| Error::io("read", path, e))?;
    io::Seek::rewind(&mut file).map_err(|e| Error::io("read", path, e))?;
    let is_gzip = gzip::looks_compressed(path, &head[..length]);
    if is_gzip {
        return Ok(Opened::Gzip(Stored::File(file)));
    }
    PlainLog::of(file, path).map(Opened::Plain).map_err(|e| Error::io("read", path, e))
}

/// A log that goes on in a new file whenever it is opened is given up at so many.
const MAX_LINKS: usize = 10_000;

/// Opens a file of a log. Where it was the last one when it was looked for, and has become a part
/// since, what has been written behind it by now belongs to it: other processes may have put lines
/// there that were acknowledged before anybody looked.
pub(super) fn open_file(file: &LogFile) -> Result<Opened> {
    if let Some(object) = file.object() {
        return open_object(object);
    }
    let (opened, mut is_part) = open_settled(file)?;
    if !is_part {
        return Ok(opened);
    }
    let mut links = vec![link(file, opened)?];
    let mut last = file.clone();
    while is_part && links.len() < MAX_LINKS {
        let following = last.files_after();
        if following.is_empty() {
            break;
        }
        for next in following {
            match open_settled(&next) {
                Ok((opened, has_become_part)) => {
                    links.push(link(&next, opened)?);
                    is_part = has_become_part;
                }
                // Removed meanwhile.
                Err(error) if error.is_not_found() => is_part = next.has_become_part(),
                Err(error) => return Err(error),
            }
            last = next;
        }
    }
    let failed = |source| Error::io("read", file.path(), source);
    PlainLog::chain(links).map(Opened::Plain).map_err(failed)
}

fn open_object(object: &Object) -> Result<Opened> {
    let failed = |source| Error::io("read", object.path(), source);
    let mut head = [0; HEAD_BYTES];
    let stored = Stored::Object(object.clone());
    let mut length = 0;
    while length < head.len() {
        match stored.read_at(&mut head[length..], length as u64).map_err(failed)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(if gzip::looks_compressed(object.path(), &head[..length]) {
        Opened::Gzip(stored)
    } else {
        Opened::Plain(PlainLog::Object(object.clone()))
    })
}

/// Opens a file of a log, and tells whether it has become a part. What was beside it when it was opened
/// may be in the file behind it by then, so it is opened once more.
fn open_settled(file: &LogFile) -> Result<(Opened, bool)> {
    let opened = file.open_by(open)?;
    if file.has_become_part() { Ok((file.open_by(open)?, true)) } else { Ok((opened, false)) }
}

fn link(file: &LogFile, opened: Opened) -> Result<Link> {
    if let Opened::Plain(log) = opened {
        return Ok(Link::Log(Box::new(log)));
    }
    // Compressed already: it is one of the last, and no larger than the log may become.
    let mut blocks = Blocks::of(file.path(), opened, &Arc::default());
    let mut bytes = Vec::new();
    while let Some(block) = blocks.next_block()? {
        bytes.extend_from_slice(&block.bytes);
        blocks.recycle(block);
    }
    Ok(Link::Bytes(bytes))
}

/// So much of a file tells whether it is compressed.
const HEAD_BYTES: usize = 512;

/// Reads a log from front to back, plain or compressed.
pub struct Blocks {
    path: PathBuf,
    source: Source,
    /// What was read beyond the end of the last block.
    carry: Vec<u8>,
    /// Where `carry` begins in the (decompressed) log.
    offset: u64,
    spare: Vec<u8>,
    too_long: Skipped,
    /// Whether an overlong line is being passed over.
    overlong: bool,
    ended: bool,
    gzip_chunk_bytes: usize,
    /// Set when nobody wants more.
    stop: Arc<AtomicBool>,
}

impl Blocks {
    /// Opens a log: a regular file, or a pipe.
    ///
    /// # Errors
    /// There is no such file, it may not be read, or it is neither; a FIFO is opened without waiting
    /// for its writer.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::of(path, open(path)?, &Arc::default()))
    }

    /// Reads what was opened; ends as if at the end of the log once `stop` is set.
    pub(super) fn of(path: &Path, opened: Opened, stop: &Arc<AtomicBool>) -> Self {
        let source = match opened {
            Opened::Plain(log) => Source::Plain(log, 0),
            Opened::Gzip(file) => {
                Source::Gzip(Box::new(GzipSource::new(Input::stored(file, 0), 0)))
            }
            Opened::Pipe(file) => Source::UnknownPipe(Pipe::new(file, stop)),
        };
        Self { stop: Arc::clone(stop), ..Self::new(path, source, 0) }
    }

    /// Reads a compressed log on from byte `position` of the file, where a member begins and a line
    /// does: the one at `offset` of the decompressed log.
    pub(super) fn resume_gzip(path: &Path, file: Stored, position: u64, offset: u64) -> Self {
        let source = Source::Gzip(Box::new(GzipSource::new(Input::stored(file, position), offset)));
        Self::new(path, source, offset)
    }

    fn new(path: &Path, source: Source, offset: u64) -> Self {
        Self {
            path: path.to_owned(),
            source,
            carry: Vec::new(),
            offset,
            spare: Vec::new(),
            too_long: Skipped::default(),
            overlong: false,
            ended: false,
            gzip_chunk_bytes: CHUNK_BYTES,
            stop: Arc::default(),
        }
    }

    /// Ends as if at the end of the log once `stop` is set.
    pub(super) fn with_stop(self, stop: &Arc<AtomicBool>) -> Self {
        Self { stop: Arc::clone(stop), ..self }
    }

    /// Decompresses about so much at a time: what is handed on to other threads should be worth it.
    pub(super) fn with_gzip_chunk_bytes(self, gzip_chunk_bytes: usize) -> Self {
        Self { gzip_chunk_bytes, ..self }
    }

    /// The next lines, or `None` at the end.
    ///
    /// # Errors
    /// The operating system refused to read on.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        let mut bytes = std::mem::take(&mut self.spare);
        loop {
            bytes.clear();
            bytes.append(&mut self.carry);
            self.fill(&mut bytes)?;
            // Only the first line can have become that long.
            let first_end = first_break(&bytes);
            let first_length = first_end.map_or(bytes.len(), |end| end - 1);
            if first_length > MAX_LINE_BYTES {
                self.note_too_long();
                let cut = first_end.unwrap_or(bytes.len());
                self.pass_over(&mut bytes, cut);
            }
            if !bytes.is_empty() {
                let offset = self.offset;
                self.offset += bytes.len() as u64;
                return Ok(Some(Block { offset, bytes }));
            }
            if self.ended && self.carry.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Reads until `bytes` ends with a line, or there is nothing more to join to it.
    fn fill(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        while !self.ended {
            // A line without an end may be all that comes, for a long time.
            if self.stop.load(Ordering::Relaxed) {
                self.ended = true;
                break;
            }
            let known = bytes.len();
            match self.read_chunk(bytes)? {
                Chunk::Data => {}
                Chunk::Gap => {
                    self.overlong = false;
                    if bytes.is_empty() {
                        continue;
                    }
                    break;
                }
                Chunk::End => {
                    self.ended = true;
                    break;
                }
            }
            if self.overlong {
                let cut = first_break(bytes);
                self.overlong = cut.is_none();
                self.pass_over(bytes, cut.unwrap_or(bytes.len()));
            }
            if let Some(end) = last_break(bytes, known.min(bytes.len())) {
                self.carry.extend_from_slice(&bytes[end..]);
                bytes.truncate(end);
                break;
            }
            if bytes.len() > MAX_LINE_BYTES {
                self.note_too_long();
                self.overlong = true;
                self.pass_over(bytes, bytes.len());
            }
        }
        Ok(())
    }

    /// Drops the first bytes, all of an overlong line; its newline counts as a line.
    fn pass_over(&mut self, bytes: &mut Vec<u8>, cut: usize) {
        let newline = bytes[..cut].ends_with(b"\n");
        self.too_long.lines += u64::from(newline);
        self.offset += cut as u64;
        let has_break = newline || bytes[..cut].ends_with(&[0]);
        ended_at(&mut self.too_long, self.offset - u64::from(has_break), newline);
        bytes.drain(..cut);
    }

    /// Gives back the memory of a block, for the next one.
    pub fn recycle(&mut self, block: Block) {
        if block.bytes.capacity() <= 4 * CHUNK_BYTES.max(self.gzip_chunk_bytes) {
            self.spare = block.bytes;
        }
    }

    /// What the file itself made unreadable since this was last asked: damage, and an overlong
    /// line before the block that was given last. To be merged before the counters of that block.
    pub fn take_skipped(&mut self) -> Skipped {
        let mut skipped = std::mem::take(&mut self.too_long);
        if let Source::Gzip(source) = &mut self.source {
            let damage = source.take_damage();
            skipped.gzip_damaged = damage.len() as u64;
            skipped.first_damage = damage.iter().find_map(|problem| match problem.kind {
                ProblemKind::GzipDamage { compressed_byte, reason } => {
                    Some((compressed_byte, reason))
                }
                _ => None,
            });
            skipped.problems.extend(damage);
        }
        skipped
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far the file itself was read, in bytes.
    pub(super) fn position(&self) -> u64 {
        match &self.source {
            Source::Plain(..) | Source::Pipe(_) | Source::UnknownPipe(_) => {
                self.offset + self.carry.len() as u64
            }
            Source::Gzip(source) => source.position(),
        }
    }

    fn note_too_long(&mut self) {
        // It follows the lines of the last block.
        self.too_long.merge(&too_long(self.offset));
    }

    fn read_chunk(&mut self, bytes: &mut Vec<u8>) -> Result<Chunk> {
        if let Source::UnknownPipe(pipe) = &mut self.source {
            let mut head = Vec::new();
            while head.len() < crate::gzip_member::MAGIC.len()
                && pipe.read(&mut head).map_err(|e| Error::io("read", &self.path, e))? > 0
            {
            }
            let pipe = pipe.take();
            if head.starts_with(crate::gzip_member::MAGIC) {
                let input = Input::pipe(pipe, &head);
                self.source = Source::Gzip(Box::new(GzipSource::new(input, self.offset)));
            } else {
                self.source = Source::Pipe(pipe);
                bytes.append(&mut head);
                return Ok(if bytes.is_empty() { Chunk::End } else { Chunk::Data });
            }
        }
        let outcome = match &mut self.source {
            Source::Plain(log, position) => read_plain(log, position, bytes),
            Source::Pipe(pipe) | Source::UnknownPipe(pipe) => {
                pipe.read(bytes).map(|read| match read {
                    0 => Chunk::End,
                    _ => Chunk::Data,
                })
            }
            Source::Gzip(source) => source.read_chunk(bytes, self.gzip_chunk_bytes),
        };
        outcome.map_err(|error| Error::io("read", &self.path, error))
    }
}

/// What is told of an overlong line that begins at `byte`, the newline not counted.
pub(super) fn too_long(byte: u64) -> Skipped {
    let example = Example { line: 1, byte, reason: "longer than 16 MiB" };
    let kind = ProblemKind::TooLong { newline: false };
    let problem = Problem { line: Some(1), byte, length: 0, kind };
    Skipped {
        too_long_lines: 1,
        first: Some(example),
        problems: vec![problem],
        ..Skipped::default()
    }
}

/// Notes where the overlong line ends (up to now) that was told of last, and if by a newline.
pub(super) fn ended_at(too_long: &mut Skipped, end: u64, newline: bool) {
    if let Some(problem) = too_long.problems.last_mut() {
        problem.length = end - problem.byte;
        problem.kind = ProblemKind::TooLong { newline };
    }
}

fn read_plain(log: &PlainLog, position: &mut u64, bytes: &mut Vec<u8>) -> io::Result<Chunk> {
    let known = bytes.len();
    // Room for no more than a chunk, so that a log that grows cannot fill the memory.
    resize_zeroed(bytes, known + CHUNK_BYTES);
    let read = log.read_at(&mut bytes[known..], *position);
    bytes.truncate(known + *read.as_ref().unwrap_or(&0));
    let read = read?;
    *position += read as u64;
    Ok(if read == 0 { Chunk::End } else { Chunk::Data })
}

/// Where a line ends for good: at a newline, or at a NUL byte (of a hole in the file), which no
/// record spans.
pub(super) fn first_break(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', 0, bytes).map(|at| at + 1)
}

/// The end of the last line of `bytes`, of which `known` bytes are known to hold no end.
fn last_break(bytes: &[u8], known: usize) -> Option<usize> {
    let fresh = &bytes[known..];
    memchr::memrchr2(b'\n', 0, fresh).map(|at| known + at + 1)
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

fn require_file_or_pipe(path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    let file_type = metadata.file_type();
    if file_type.is_file() || file_type.is_fifo() {
        return Ok(());
    }
    let kind = crate::store::kind_of(file_type);
    Err(Error::NotAFile { path: path.to_owned(), kind })
}
