//! What stands in a tail file: a header of one page, then the ring.
//!
//! A position counts the bytes that ever went through the ring; the byte at position `p` stands at
//! `p % capacity` in it. All numbers are little-endian words of 8 bytes. The header is written in an
//! order such that at every moment it tells the truth, whenever its writer is killed: see
//! [`State`].

use std::io;

/// The first bytes of a tail file; the last one is the version of the layout.
pub(crate) const MAGIC: [u8; 8] = *b"itrtail\x01";

/// The header: a page, so that the ring begins with one.
pub(crate) const HEADER_BYTES: usize = 4096;

/// Where the words of the header stand. What the threads that write records change and what the
/// flusher changes lies in different cache lines.
pub(crate) mod word {
    /// [`super::MAGIC`].
    pub(crate) const MAGIC: usize = 0;
    /// The length of the ring, a power of two.
    pub(crate) const CAPACITY: usize = 8;
    /// The device and the inode of the log.
    pub(crate) const DEVICE: usize = 16;
    pub(crate) const INODE: usize = 24;
    /// The process that writes.
    pub(crate) const PID: usize = 32;
    /// Up to here there are whole lines.
    pub(crate) const COMMITTED: usize = 128;
    /// Up to here the lines are in the log, for certain.
    pub(crate) const FLUSHED: usize = 256;
    /// Up to here lines are being appended to the log, or were when that failed; 0 or `FLUSHED`:
    /// none are.
    pub(crate) const FLUSHING_TO: usize = 264;
    /// Where in the log, at the earliest, the line at `FLUSHED` begins.
    pub(crate) const BASE: usize = 272;
    /// Raised by one before and after each change of the three.
    pub(crate) const VERSION: usize = 280;
    /// The end of what is used of the header.
    pub(crate) const END: usize = 288;
}

/// The header of a tail file at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) capacity: u64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) pid: u64,
    pub(crate) committed: u64,
    pub(crate) flushed: u64,
    pub(crate) flushing_to: u64,
    pub(crate) base: u64,
    pub(crate) version: u64,
}

impl State {
    /// Reads the header; an error tells what is wrong with it.
    pub(crate) fn parse(header: &[u8; word::END]) -> io::Result<Self> {
        let at = |offset: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[offset..offset + 8]);
            u64::from_le_bytes(bytes)
        };
        let state = Self {
            capacity: at(word::CAPACITY),
            device: at(word::DEVICE),
            inode: at(word::INODE),
            pid: at(word::PID),
            committed: at(word::COMMITTED),
            flushed: at(word::FLUSHED),
            flushing_to: at(word::FLUSHING_TO),
            base: at(word::BASE),
            version: at(word::VERSION),
        };
        let is_sound = header[..8] == MAGIC
            && state.capacity.is_power_of_two()
            && state.capacity <= 1 << 32
            && state.flushed <= state.committed
            && state.flushing_to <= state.committed
            && state.committed - state.flushed <= state.capacity;
        if is_sound {
            Ok(state)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "its header makes no sense"))
        }
    }

    /// Whether some of the lines from `flushed` on may be in the log already.
    pub(crate) fn is_in_progress(&self) -> bool {
        self.flushing_to > self.flushed
    }
}
