//! Bytes as they lie in a file or come through a pipe, with a buffer to look ahead in.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::blocks::CHUNK_BYTES;
use super::stored::Stored;
use super::zeros::resize_zeroed;

const BUFFER_BYTES: usize = 256 << 10;
/// No less, however small the file is.
const MIN_BUFFER_BYTES: usize = 4 << 10;

/// What waits for a pipe looks so often whether it should stop.
const PIPE_WAIT_MS: i64 = 100;

/// Appends what one read gives, as much as there is room for; 0 at the end.
fn read_some(file: &File, bytes: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        match rustix::io::read(file, rustix::buffer::spare_capacity(bytes)) {
            Ok(read) => return Ok(read),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The reading end of a pipe.
pub(super) struct Pipe {
    file: Option<File>,
    stop: Arc<AtomicBool>,
}

impl Pipe {
    /// A pipe that is not waited for any more once `stop` is set. `file` does not block.
    pub(super) fn new(file: File, stop: &Arc<AtomicBool>) -> Self {
        Self { file: Some(file), stop: Arc::clone(stop) }
    }

    /// This pipe, out of the place where it was.
    pub(super) fn take(&mut self) -> Self {
        Self { file: self.file.take(), stop: Arc::clone(&self.stop) }
    }

    /// Appends what there is, waiting until there is something; 0 at the end.
    pub(super) fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        bytes.reserve_exact(CHUNK_BYTES);
        let wait = Timespec { tv_sec: 0, tv_nsec: PIPE_WAIT_MS * 1_000_000 };
        while !self.stop.load(Ordering::Relaxed) {
            // A FIFO that nobody has opened for writing yet is not at its end: `read` would say so.
            match rustix::event::poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&wait)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(errno.into()),
            }
            match read_some(file, bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
        Ok(0)
    }
}

enum Source {
    Stored(Stored),
    Pipe(Pipe),
}

/// A file or a pipe read through a buffer, with a position in it.
pub(super) struct Input {
    source: Source,
    buffer: Vec<u8>,
    /// So much is read at a time.
    step_bytes: usize,
    /// Where the buffer begins in the file.
    start: u64,
    at: usize,
}

impl Input {
    /// Reads `stored` from byte `position` on.
    pub(super) fn stored(stored: Stored, position: u64) -> Self {
        // A small file needs no large buffer, which would have to be zeroed. One byte more, for its end.
        let rest_bytes = stored.length().unwrap_or(u64::MAX).saturating_sub(position);
        let step_bytes =
            usize::try_from(rest_bytes).map_or(BUFFER_BYTES, |rest| rest.saturating_add(1));
        let step_bytes = step_bytes.clamp(MIN_BUFFER_BYTES, BUFFER_BYTES);
        let buffer = Vec::with_capacity(step_bytes);
        Self { source: Source::Stored(stored), buffer, step_bytes, start: position, at: 0 }
    }

    /// Reads `head`, and then what comes through the pipe.
    pub(super) fn pipe(pipe: Pipe, head: &[u8]) -> Self {
        let buffer = head.to_vec();
        Self { source: Source::Pipe(pipe), buffer, step_bytes: BUFFER_BYTES, start: 0, at: 0 }
    }

    /// Where in the file it stands.
    pub(super) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// What is in memory from the position on.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Moves on within what is in memory.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Reads until `wanted` bytes are in memory from the position on, or the file ends.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.buffer.len() - self.at >= wanted {
            return Ok(());
        }
        self.start += self.at as u64;
        self.buffer.drain(..self.at);
        self.at = 0;
        while self.buffer.len() < wanted {
            let read = match &mut self.source {
                Source::Stored(stored) => {
                    let (known, position) =
                        (self.buffer.len(), self.start + self.buffer.len() as u64);
                    resize_zeroed(&mut self.buffer, self.step_bytes.max(wanted));
                    let read = stored.read_at(&mut self.buffer[known..], position);
                    self.buffer.truncate(known + *read.as_ref().unwrap_or(&0));
                    read?
                }
                Source::Pipe(pipe) => pipe.read(&mut self.buffer)?,
            };
            if read == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Moves to another place of a file. In a pipe there is no way back: what was passed stays
    /// passed.
    pub(super) fn seek(&mut self, position: u64) {
        if let Source::Stored(_) = self.source {
            self.buffer.clear();
            (self.start, self.at) = (position, 0);
        }
    }
}
