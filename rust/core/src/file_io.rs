//! What is done with files in several places: reading at a place without the interruptions, telling
//! whether a path still stands for a file, taking times over.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Timespec, Timestamps, futimens};

/// One read, not interrupted.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, position) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Reads until `buffer` is full or the file ends.
pub(crate) fn read_full_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match read_at(file, &mut buffer[length..], position + length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// Whether the path stands for the file of that device and inode.
pub(crate) fn is_at(path: &Path, device: u64, inode: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (device, inode))
}

/// Gives a file the times that another, or itself, had.
pub(crate) fn set_times(file: impl AsFd, metadata: &Metadata) -> io::Result<()> {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    Ok(futimens(file, &times)?)
}
