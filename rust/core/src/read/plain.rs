//! A plain log, and behind it what was acknowledged but is not in the file yet.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::file_io;
use crate::remote::Object;
use crate::store;
use crate::tail::{Snapshot, snapshot};

/// A plain log, open for reading.
#[derive(Debug)]
pub(super) enum PlainLog {
    /// The file is all there is, however much it grows.
    File(File),
    /// An object, which does not change.
    Object(Object),
    /// So much of the file counts, and that follows it.
    WithTail(File, Snapshot),
    /// One after the other, as if they were one file: where each ends.
    Chain(Vec<(u64, Link)>),
}

/// A piece of a chain.
#[derive(Debug)]
pub(super) enum Link {
    Log(Box<PlainLog>),
    Bytes(Vec<u8>),
}

impl PlainLog {
    /// The open log at `path`, with what is beside it.
    pub(super) fn of(file: File, path: &Path) -> io::Result<Self> {
        let is_closed = store::closed_size_bytes(&file)
            .is_some_and(|size| file.metadata().is_ok_and(|metadata| metadata.len() == size));
        // Who closes a log leaves nothing beside it.
        let beside = if is_closed { None } else { snapshot(&file, path)? };
        Ok(match beside {
            None => Self::File(file),
            Some(snapshot) => Self::WithTail(file, snapshot),
        })
    }

    /// Those pieces, as they are now.
    pub(super) fn chain(links: Vec<Link>) -> io::Result<Self> {
        let mut end = 0;
        let ended = |link: Link| {
            end += match &link {
                Link::Log(log) => log.length()?,
                Link::Bytes(bytes) => bytes.len() as u64,
            };
            Ok((end, link))
        };
        links.into_iter().map(ended).collect::<io::Result<_>>().map(Self::Chain)
    }

    /// The length of it all.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(match self {
            Self::File(file) => file.metadata()?.len(),
            Self::Object(object) => object.info().size_bytes,
            Self::WithTail(_, Snapshot { file_bytes, tail }) => file_bytes + tail.len() as u64,
            Self::Chain(links) => links.last().map_or(0, |(end, _)| *end),
        })
    }

    /// One read, not interrupted; 0 at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file_io::read_at(file, buffer, position),
            Self::Object(object) => object.read_at(buffer, position),
            Self::WithTail(file, Snapshot { file_bytes, tail }) => {
                match position.checked_sub(*file_bytes) {
                    None => {
                        let buffer = up_to(buffer, file_bytes - position);
                        file_io::read_at(file, buffer, position)
                    }
                    Some(at) => Ok(copy_at(tail, buffer, at)),
                }
            }
            Self::Chain(links) => {
                let index = links.partition_point(|(end, _)| *end <= position);
                let Some((end, link)) = links.get(index) else { return Ok(0) };
                let start = index.checked_sub(1).map_or(0, |before| links[before].0);
                let buffer = up_to(buffer, end - position);
                match link {
                    Link::Log(log) => log.read_at(buffer, position - start),
                    Link::Bytes(bytes) => Ok(copy_at(bytes, buffer, position - start)),
                }
            }
        }
    }
}

/// The first bytes of a buffer, as many as there are.
fn up_to(buffer: &mut [u8], there: u64) -> &mut [u8] {
    let length = buffer.len().min(usize::try_from(there).unwrap_or(usize::MAX));
    &mut buffer[..length]
}

fn copy_at(bytes: &[u8], buffer: &mut [u8], at: u64) -> usize {
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let length = buffer.len().min(bytes.len() - at);
    buffer[..length].copy_from_slice(&bytes[at..at + length]);
    length
}
