//! Reading files at a place, without the interruptions.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

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
