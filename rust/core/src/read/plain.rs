//! A plain log, and behind it what was acknowledged but is not in the file yet.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::file_io;
use crate::store;
use crate::tail::{Snapshot, snapshot};

/// A plain log, open for reading.
#[derive(Debug)]
pub(super) struct PlainLog {
    file: File,
    /// How much of the file counts, and what follows it. None: the file is all there is, however
    /// much it grows.
    beside: Option<Snapshot>,
}

impl PlainLog {
    /// The open log at `path`, with what is beside it.
    pub(super) fn of(file: File, path: &Path) -> io::Result<Self> {
        let is_closed = store::closed_size_bytes(&file)
            .is_some_and(|size| file.metadata().is_ok_and(|metadata| metadata.len() == size));
        // Who closes a log leaves nothing beside it.
        let beside = if is_closed { None } else { snapshot(&file, path)? };
        Ok(Self { file, beside })
    }

    /// The length of it all.
    pub(super) fn length(&self) -> io::Result<u64> {
        match &self.beside {
            None => Ok(self.file.metadata()?.len()),
            Some(Snapshot { file_bytes, tail }) => Ok(file_bytes + tail.len() as u64),
        }
    }

    /// One read, not interrupted; 0 at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let Some(Snapshot { file_bytes, tail }) = &self.beside else {
            return file_io::read_at(&self.file, buffer, position);
        };
        match position.checked_sub(*file_bytes) {
            None => {
                let there = usize::try_from(file_bytes - position).unwrap_or(usize::MAX);
                let wanted = buffer.len().min(there);
                file_io::read_at(&self.file, &mut buffer[..wanted], position)
            }
            Some(at) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX).min(tail.len());
                let length = buffer.len().min(tail.len() - at);
                buffer[..length].copy_from_slice(&tail[at..at + length]);
                Ok(length)
            }
        }
    }
}
