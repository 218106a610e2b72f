//! Logs that are no files: objects in a store that is reached over a network. Who asks the store is the
//! caller's business ([`Fetch`]); when it is asked, for what, and how much of it is kept, is decided
//! here.

mod fetcher;
mod logs;
mod queue;

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use fetcher::{CHUNK_BYTES, FetchOptions, Objects};
pub use logs::{log_of, logs_of};

/// What asks the store.
pub trait Fetch: Send + Sync + 'static {
    /// Appends the bytes of an object, told by its number, in that range, all of which are there. Called
    /// by several threads at a time; tries again by itself, if that makes sense.
    ///
    /// # Errors
    /// They cannot be had, or no longer, or the object is not what it was when it was listed.
    fn fetch(&self, object: usize, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()>;
}

/// An object, as it was when it was listed.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectInfo {
    /// What people call it: its URL.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
    /// When it was last written, seconds since the epoch, if that is known.
    pub modified_s: Option<f64>,
}

/// One of [`Objects`].
#[derive(Clone)]
pub struct Object {
    objects: Objects,
    number: usize,
}

impl Object {
    /// What it is called, how long it is.
    pub fn info(&self) -> &ObjectInfo {
        &self.objects.infos()[self.number]
    }

    /// Which of the objects it is.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The name as that of a file, which it is not.
    pub fn path(&self) -> &Path {
        Path::new(&self.info().name)
    }

    /// One read; 0 at the end. Waits for the network.
    pub(crate) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.objects.read_at(self.number, buffer, position)
    }

    /// Nobody will read it: it need not be fetched ahead. (Who reads it all the same gets it.)
    pub(crate) fn skip(&self) {
        self.objects.skip(self.number);
    }

    /// Whoever waits for it now waits no longer, and gets an error.
    pub(crate) fn interrupt(&self) {
        self.objects.interrupt(self.number);
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info().fmt(formatter)
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && Arc::ptr_eq(self.objects.shared(), other.objects.shared())
    }
}

impl Eq for Object {}
