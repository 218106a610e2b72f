//! What a log is stored in: a file, or an object elsewhere. Both can be read at any place.

use std::fs::File;
use std::io;

use crate::file_io;
use crate::remote::Object;

/// What bytes can be read from, at any place.
#[derive(Debug)]
pub(super) enum Stored {
    File(File),
    Object(Object),
}

impl Stored {
    /// One read, not interrupted; 0 at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file_io::read_at(file, buffer, position),
            Self::Object(object) => object.read_at(buffer, position),
        }
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Object(object) => Ok(object.info().size_bytes),
        }
    }

    /// Whether reading it waits for a network.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::File(file) => Self::File(file.try_clone()?),
            Self::Object(object) => Self::Object(object.clone()),
        })
    }
}
