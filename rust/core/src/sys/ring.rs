//! A ring of bytes in a file that is mapped into memory: what was pushed outlives the process.
//!
//! One [`Producer`] pushes whole lines, one [`Consumer`] takes them out again. They may be in
//! different threads; neither waits for the other.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bus::Guard;
use crate::tail::layout::{HEADER_BYTES, MAGIC, word};

/// A file mapped for reading and writing, shared with whoever else has it mapped or open.
#[derive(Debug)]
struct Map {
    base: NonNull<u8>,
    bytes: usize,
    /// None only while it is dropped.
    guard: Option<Guard>,
}

// SAFETY: the memory belongs to the process, not to a thread. What is done with it is up to the
// types below, each of which says why two threads do not get in each other's way.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    fn new(file: impl AsFd, bytes: usize) -> io::Result<Self> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let fd = file.as_fd().as_raw_fd();
        // SAFETY: a new mapping at a place of the system's choice touches no memory that is in use.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { base, bytes, guard: Some(Guard::new(base, bytes)) })
    }

    /// Whether somebody has shortened the file.
    fn is_broken(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::is_broken)
    }

    /// A word of the header.
    fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= HEADER_BYTES.min(self.bytes));
        // SAFETY: inside of the mapping, which lives as long as `self`, and aligned, as a mapping
        // begins with a page. The header is only ever reached through atomics.
        #[allow(clippy::cast_ptr_alignment)]
        unsafe {
            &*self.base.as_ptr().add(offset).cast::<AtomicU64>()
        }
    }

    fn advise(&self, advice: libc::c_int) {
        // SAFETY: the range is the mapping, and advice of this kind changes nothing but the speed.
        unsafe { libc::madvise(self.base.as_ptr().cast(), self.bytes, advice) };
    }

    /// Makes pages present and writable, so that the first line on each costs no fault. An error
    /// tells that writing to them would be one: a full disk, on a file system that did not keep
    /// room.
    fn populate(&self, from: usize, to: usize) -> io::Result<()> {
        assert!(from <= to && to <= self.bytes);
        // SAFETY: the range is within the mapping; populating does not change what it holds.
        let outcome = unsafe {
            let start = self.base.as_ptr().add(from).cast();
            libc::madvise(start, to - from, libc::MADV_POPULATE_WRITE)
        };
        match outcome {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                // Linux before 5.14 has no such advice.
                error if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
                error => Err(error),
            },
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        self.guard = None;
        // SAFETY: the mapping is this value's own, and nothing borrowed from it is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Whose lines a ring holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) pid: u32,
}

/// So much is made ready at once, the rest later: most programs write little.
const READY_BYTES: usize = 64 << 10;

/// Maps a new, zeroed file of [`HEADER_BYTES`] and `capacity` bytes, of which the blocks are
/// reserved: where they were not, a full disk would be a SIGBUS.
pub(crate) fn create(
    file: impl AsFd,
    capacity: usize,
    owner: Owner,
) -> io::Result<(Producer, Consumer)> {
    assert!(capacity.is_power_of_two(), "positions wrap at a power of two");
    let map = Arc::new(Map::new(file, HEADER_BYTES + capacity)?);
    // Without being told otherwise, the system readies (and clears) megabytes at the first touch.
    map.advise(libc::MADV_RANDOM);
    let ready = READY_BYTES.min(map.bytes);
    map.populate(0, ready)?;
    map.advise(libc::MADV_NORMAL);
    map.word(word::CAPACITY).store(capacity as u64, Ordering::Relaxed);
    map.word(word::DEVICE).store(owner.device, Ordering::Relaxed);
    map.word(word::INODE).store(owner.inode, Ordering::Relaxed);
    map.word(word::PID).store(owner.pid.into(), Ordering::Relaxed);
    // Last: from now on it is a tail file.
    map.word(word::MAGIC).store(u64::from_ne_bytes(MAGIC), Ordering::Release);
    let producer =
        Producer { map: Arc::clone(&map), capacity, position: 0, lines: 0, flushed_seen: 0 };
    Ok((producer, Consumer { map, capacity, flushed: 0, ready }))
}

/// The end that lines go into.
#[derive(Debug)]
pub(crate) struct Producer {
    map: Arc<Map>,
    capacity: usize,
    position: u64,
    lines: u64,
    /// Up to where room was free when that was last looked at.
    flushed_seen: u64,
}

impl Producer {
    /// The longest line there can be room for.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// What was pushed so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// How many lines were pushed so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Pushes a line: from the return on, the death of the process does not take it away. False:
    /// there is no room for it.
    pub(crate) fn push(&mut self, line: &[u8]) -> bool {
        let end = self.position + line.len() as u64;
        if end - self.flushed_seen > self.capacity as u64 {
            // Acquire: what the consumer has read of the room that is given back, it has read.
            self.flushed_seen = self.map.word(word::FLUSHED).load(Ordering::Acquire);
            if end - self.flushed_seen > self.capacity as u64 {
                return false;
            }
        }
        // The remainder is less than `capacity`, a `usize`.
        #[allow(clippy::cast_possible_truncation)]
        let at = (self.position & (self.capacity as u64 - 1)) as usize;
        let (first, second) = line.split_at(line.len().min(self.capacity - at));
        // SAFETY: both ranges are inside of the mapping, behind the header. Nobody else writes to
        // the ring (a producer is not cloned, and pushing takes it exclusively), and the consumer
        // reads nothing behind what is committed, which these bytes are not yet.
        unsafe {
            let ring = self.map.base.as_ptr().add(HEADER_BYTES);
            std::ptr::copy_nonoverlapping(first.as_ptr(), ring.add(at), first.len());
            if !second.is_empty() {
                std::ptr::copy_nonoverlapping(second.as_ptr(), ring, second.len());
            }
        }
        self.position = end;
        self.lines += 1;
        // Who sees the position sees the bytes, also when this process is gone by then. `SeqCst`, and a
        // swap as that is cheaper than a store and a fence: see `committed`.
        self.map.word(word::COMMITTED).swap(end, Ordering::SeqCst);
        true
    }
}

/// The end that lines come out of.
#[derive(Debug)]
pub(crate) struct Consumer {
    map: Arc<Map>,
    capacity: usize,
    flushed: u64,
    /// So much of the mapping has been made ready.
    ready: usize,
}

impl Consumer {
    /// Makes more pages ready before the producer comes to them, if it has come half way.
    pub(crate) fn make_ready(&mut self) {
        let is_near = self.committed().saturating_mul(2) > self.ready as u64;
        if is_near && self.ready < self.map.bytes {
            let to = self.map.bytes.min(self.ready * 4);
            // Where it fails the producer will take a fault.
            let _ = self.map.populate(self.ready, to);
            self.ready = to;
        }
    }

    /// Up to where there are lines. `SeqCst`: of two that each say something and then look whether the
    /// other has, one at least sees it.
    pub(crate) fn committed(&self) -> u64 {
        self.map.word(word::COMMITTED).load(Ordering::SeqCst)
    }

    /// Up to where they were given back.
    pub(crate) fn flushed(&self) -> u64 {
        self.flushed
    }

    /// The bytes between two positions, in up to two pieces.
    pub(crate) fn slices(&self, from: u64, to: u64) -> [&[u8]; 2] {
        assert!(self.flushed <= from && from <= to && to <= self.committed());
        // Both are at most `capacity`, a `usize`.
        #[allow(clippy::cast_possible_truncation)]
        let (at, bytes) = ((from & (self.capacity as u64 - 1)) as usize, (to - from) as usize);
        let first = bytes.min(self.capacity - at);
        // SAFETY: inside of the mapping, behind the header. The producer does not write between
        // `flushed` and `committed`; `flushed` grows only by `self`, which is borrowed meanwhile.
        unsafe {
            let ring = self.map.base.as_ptr().add(HEADER_BYTES);
            [
                std::slice::from_raw_parts(ring.add(at), first),
                std::slice::from_raw_parts(ring, bytes - first),
            ]
        }
    }

    /// Whether somebody has shortened the file: then nothing of this end can be relied on but
    /// [`salvage`](Self::salvage).
    pub(crate) fn is_broken(&self) -> bool {
        self.map.is_broken()
    }

    /// Notes that the file was shortened, as a system call has told.
    pub(crate) fn break_now(&self) {
        if let Some(guard) = &self.map.guard {
            guard.break_now();
        }
    }

    /// The lines up to `position`, that of the producer, which were pushed after the file was
    /// shortened: those without a hole.
    pub(crate) fn salvage(&self, producer: &Producer) -> Vec<u8> {
        let from = self.flushed.max(producer.position.saturating_sub(self.capacity as u64));
        let mut bytes = Vec::new();
        // The range is at most `capacity`, a `usize`.
        #[allow(clippy::cast_possible_truncation)]
        let (at, length) =
            ((from & (self.capacity as u64 - 1)) as usize, (producer.position - from) as usize);
        let first = length.min(self.capacity - at);
        // SAFETY: inside of the mapping, behind the header. The producer, which is borrowed, does
        // not write meanwhile.
        unsafe {
            let ring = self.map.base.as_ptr().add(HEADER_BYTES);
            bytes.extend_from_slice(std::slice::from_raw_parts(ring.add(at), first));
            bytes.extend_from_slice(std::slice::from_raw_parts(ring, length - first));
        }
        let lines = bytes.split_inclusive(|&byte| byte == b'\n').map(|line| {
            let hole = memchr::memrchr(0, line).map_or(0, |at| at + 1);
            &line[hole..]
        });
        let is_whole =
            |line: &&[u8]| line.starts_with(b"{\"timestamp\": ") && line.ends_with(b"}\n");
        lines.filter(is_whole).collect::<Vec<_>>().concat()
    }

    /// Notes that lines up to `to` are about to be appended to the log, whose size is `base`.
    pub(crate) fn begin_flush(&mut self, to: u64, base: u64) {
        self.change(|map| {
            map.word(word::BASE).store(base, Ordering::Release);
            map.word(word::FLUSHING_TO).store(to, Ordering::Release);
        });
    }

    /// Notes that all that was about to be appended is in the log.
    pub(crate) fn end_flush(&mut self, flushed: u64) {
        self.change(|map| {
            map.word(word::FLUSHED).store(flushed, Ordering::Release);
            map.word(word::FLUSHING_TO).store(0, Ordering::Release);
        });
        self.flushed = flushed;
    }

    /// Notes that the lines up to `flushed` are in the log, and of the next one, which begins at
    /// `base` in the log, a part.
    pub(crate) fn break_flush(&mut self, flushed: u64, base: u64) {
        self.change(|map| {
            map.word(word::FLUSHED).store(flushed, Ordering::Release);
            map.word(word::BASE).store(base, Ordering::Release);
        });
        self.flushed = flushed;
    }

    /// Notes that the lines go to another log.
    pub(crate) fn set_log(&mut self, device: u64, inode: u64) {
        self.map.word(word::DEVICE).store(device, Ordering::Relaxed);
        self.map.word(word::INODE).store(inode, Ordering::Relaxed);
    }

    fn change(&self, change: impl FnOnce(&Map)) {
        let version = self.map.word(word::VERSION);
        version.fetch_add(1, Ordering::AcqRel);
        change(&self.map);
        version.fetch_add(1, Ordering::AcqRel);
    }
}
