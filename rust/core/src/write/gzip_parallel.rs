//! The members of a compressed log, made by several threads and written in their order.
//!
//! Each thread takes the next piece of the log, compresses it, waits for its turn to write it, and
//! checks what was written. None takes another piece before that, so memory depends on the number of
//! threads, not on the length of the log. The result does not depend on the number of threads.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use libdeflater::{CompressionLvl, Compressor, Crc};

use super::gzip::Digest;
use crate::gzip_member::{
    MAX_CUT_BYTES, MEMBER_BYTES, OUR_HEADER_BYTES, TRAILER_BYTES, our_header, trailer,
};

/// The level of libdeflate (0 to 12): the one that takes a tenth of the time of Python's gzip on two
/// cores. Level 5 takes half as much processor time again for files 11 % smaller, see ARCHITECTURE.md.
const LEVEL: i32 = 1;

/// More threads than these gain little, and each has its buffers.
const MAX_THREADS: usize = 16;

/// A member that has been written.
pub(super) struct Written<'a> {
    /// Where it begins in what was written.
    pub(super) position: u64,
    pub(super) member: &'a [u8],
    pub(super) plain: &'a [u8],
}

/// Looks at what was written; each thread has its own.
pub(super) trait Check {
    /// Fails where it is not what it should be.
    fn check(&mut self, written: &Written<'_>) -> io::Result<()>;
}

/// Compresses all of `source` into `sink` on `threads` threads, those of the caller's priority.
/// `modified_s` goes into the headers of the members.
///
/// # Errors
/// The first failure to read, to write or of a check. What was written then is of no use.
pub(super) fn compress_members<C: Check>(
    source: impl Read + Send,
    sink: impl Write + Send,
    modified_s: u32,
    threads: usize,
    new_check: impl Fn() -> C + Sync,
) -> io::Result<Digest> {
    let job = Job {
        intake: Mutex::new(Intake {
            source,
            rest: Vec::new(),
            pieces: 0,
            crc: Crc::new(),
            bytes: 0,
            is_over: false,
        }),
        outlet: Mutex::new(Outlet { sink, pieces: 0, position: 0, failure: None }),
        turn: Condvar::new(),
        is_stopped: AtomicBool::new(false),
        modified_s,
    };
    let work = || job.work(&mut new_check());
    if threads > 1 {
        std::thread::scope(|scope| {
            for _ in 1..threads.min(MAX_THREADS) {
                // They have the priority and the blocked signals of this thread, as each new thread
                // has. Where there are none to be had, fewer do.
                let name = std::thread::Builder::new().name("trace-compression".to_owned());
                let _ = name.spawn_scoped(scope, work);
            }
            work();
        });
    } else {
        work();
    }
    job.finish()
}

/// What the threads share.
struct Job<R, W> {
    intake: Mutex<Intake<R>>,
    outlet: Mutex<Outlet<W>>,
    /// Another piece may be written, or the work has been stopped.
    turn: Condvar,
    is_stopped: AtomicBool,
    modified_s: u32,
}

/// Where pieces of the log come from.
struct Intake<R> {
    source: R,
    /// What has been read already and belongs to the next piece.
    rest: Vec<u8>,
    pieces: u64,
    /// Of what was taken.
    crc: Crc,
    bytes: u64,
    is_over: bool,
}

/// Where members go to.
struct Outlet<W> {
    sink: W,
    /// How many have been written: the number of the one whose turn it is.
    pieces: u64,
    position: u64,
    failure: Option<io::Error>,
}

impl<R: Read, W: Write> Job<R, W> {
    fn work(&self, check: &mut impl Check) {
        // Whoever waits for the turn of a thread that panicked would wait for ever.
        let guard = StopOnPanic(self);
        if let Err(error) = self.pass_on(check) {
            self.outlet().failure.get_or_insert(error);
            self.stop();
        }
        drop(guard);
    }

    fn pass_on(&self, check: &mut impl Check) -> io::Result<()> {
        let mut encoder = MemberEncoder::new(self.modified_s);
        let mut plain = Vec::new();
        while let Some(piece) = self.take(&mut plain)? {
            let member = encoder.encode(&plain);
            let Some(position) = self.put(piece, member)? else { break };
            check.check(&Written { position, member, plain: &plain })?;
        }
        Ok(())
    }

    /// The next piece of the log, and its number; `None` where there is none left to work on.
    fn take(&self, plain: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        if intake.is_over || self.is_stopped.load(Ordering::Relaxed) {
            return Ok(None);
        }
        plain.clear();
        plain.append(&mut intake.rest);
        // Until it turns out to be otherwise: after a failure nobody reads on.
        intake.is_over = true;
        let end = fill_member(&mut intake.source, plain)?;
        // Nothing at all is a member, too: an empty file would be none of gzip's.
        if end == 0 && intake.pieces > 0 {
            return Ok(None);
        }
        intake.is_over = end == 0;
        intake.rest.extend_from_slice(&plain[end..]);
        plain.truncate(end);
        intake.crc.update(plain);
        intake.bytes += end as u64;
        intake.pieces += 1;
        Ok(Some(intake.pieces - 1))
    }

    /// Writes a member when it is its turn, and tells where; `None` where it never will be.
    fn put(&self, piece: u64, member: &[u8]) -> io::Result<Option<u64>> {
        let mut outlet = self.outlet();
        while outlet.pieces != piece {
            if self.is_stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
            outlet = self.turn.wait(outlet).unwrap_or_else(PoisonError::into_inner);
        }
        if self.is_stopped.load(Ordering::Relaxed) {
            return Ok(None);
        }
        outlet.sink.write_all(member)?;
        let position = outlet.position;
        outlet.position += member.len() as u64;
        outlet.pieces += 1;
        drop(outlet);
        self.turn.notify_all();
        Ok(Some(position))
    }

    fn finish(self) -> io::Result<Digest> {
        let mut outlet = self.outlet.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = outlet.failure {
            return Err(error);
        }
        outlet.sink.flush()?;
        let intake = self.intake.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Digest { bytes: intake.bytes, crc32: intake.crc.sum() })
    }
}

impl<R, W> Job<R, W> {
    fn outlet(&self) -> MutexGuard<'_, Outlet<W>> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        // Under the lock, so that nobody misses it between looking and waiting.
        drop(self.outlet());
        self.turn.notify_all();
    }
}

struct StopOnPanic<'a, R, W>(&'a Job<R, W>);

impl<R, W> Drop for StopOnPanic<'_, R, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

/// Reads on behind what `plain` has, until that is enough for a member, and tells where the member
/// ends: behind a line, if that is not too long. 0 when there is no more.
pub(crate) fn fill_member(source: &mut impl Read, plain: &mut Vec<u8>) -> io::Result<usize> {
    let mut searched = 0;
    loop {
        let wanted = searched + MEMBER_BYTES;
        source.by_ref().take((wanted - plain.len()) as u64).read_to_end(plain)?;
        if plain.len() < wanted {
            return Ok(plain.len());
        }
        if let Some(newline) = memchr::memrchr(b'\n', &plain[searched..]) {
            return Ok(searched + newline + 1);
        }
        searched = plain.len();
        if searched >= MAX_CUT_BYTES {
            return Ok(searched);
        }
    }
}

/// Compresses one member after the other.
pub(crate) struct MemberEncoder {
    deflate: Compressor,
    modified_s: u32,
    member: Vec<u8>,
}

impl MemberEncoder {
    pub(crate) fn new(modified_s: u32) -> Self {
        let level = CompressionLvl::new(LEVEL).expect("libdeflate has levels 0 to 12");
        Self { deflate: Compressor::new(level), modified_s, member: Vec::new() }
    }

    /// The member of that plain text.
    pub(crate) fn encode(&mut self, plain: &[u8]) -> &[u8] {
        let max_data_bytes = self.deflate.deflate_compress_bound(plain.len());
        let max_bytes = OUR_HEADER_BYTES + max_data_bytes + TRAILER_BYTES;
        if self.member.len() < max_bytes {
            self.member.resize(max_bytes, 0);
        }
        let data_bytes = self
            .deflate
            .deflate_compress(plain, &mut self.member[OUR_HEADER_BYTES..])
            .expect("there is as much room as is ever needed");
        let data_end = OUR_HEADER_BYTES + data_bytes;
        let end = data_end + TRAILER_BYTES;
        let member_bytes = u32::try_from(end).expect("a member holds a few MiB at most");
        let header = our_header(member_bytes, self.modified_s);
        self.member[..OUR_HEADER_BYTES].copy_from_slice(&header);
        self.member[data_end..end].copy_from_slice(&trailer(plain));
        &self.member[..end]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::write::gzip::{compress, compress_file};
    use proptest::prelude::*;
    use std::fs::File;
    use std::sync::atomic::AtomicUsize;

    /// Some megabytes of lines that do not compress to nothing.
    fn lines(count: u32) -> Vec<u8> {
        let line = |n: u32| format!("{:x}{:x}\n", n.wrapping_mul(2_654_435_761), n ^ 0x5555);
        (0..count).flat_map(|n| line(n).into_bytes()).collect()
    }

    fn compressed(content: &[u8], threads: usize) -> (Vec<u8>, Digest) {
        let file = tempfile::tempfile().unwrap();
        let digest = compress_file(content, &file, 1_700_000_000, threads).unwrap();
        (content_of(&file), digest)
    }

    fn content_of(file: &File) -> Vec<u8> {
        use std::os::unix::fs::FileExt as _;
        let mut content = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut content, 0).unwrap();
        content
    }

    /// The bytes and the digest are the same whatever the number of threads, and those of the writer
    /// to anything.
    #[test]
    fn threads_change_nothing() {
        for content in [lines(700_000), lines(1), Vec::new()] {
            let mut expected = Vec::new();
            let digest = compress(&content[..], &mut expected, 1_700_000_000).unwrap();
            for threads in [1, 2, 3, 8, 100] {
                assert!(compressed(&content, threads) == (expected.clone(), digest), "{threads}");
            }
        }
    }

    /// A log that ends with an error when so much of it has been read.
    struct Breaks<'a> {
        content: &'a [u8],
        failures: &'a AtomicUsize,
    }

    impl Read for Breaks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.content.is_empty() {
                self.failures.fetch_add(1, Ordering::Relaxed);
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            self.content.read(buffer)
        }
    }

    /// A disk that cannot be read is one error, and nobody reads on after it.
    #[test]
    fn a_read_error_comes_out_once() {
        let content = lines(700_000);
        for end in [1, MEMBER_BYTES, content.len()] {
            let failures = AtomicUsize::new(0);
            let source = Breaks { content: &content[..end], failures: &failures };
            let error = compress_file(source, &tempfile::tempfile().unwrap(), 0, 4).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
            assert_eq!(failures.into_inner(), 1);
        }
    }

    /// A sink that takes so many writes.
    struct Fills<'a> {
        left: usize,
        failures: &'a AtomicUsize,
    }

    impl Write for Fills<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.left == 0 {
                self.failures.fetch_add(1, Ordering::Relaxed);
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            self.left -= 1;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Accepts;

    impl Check for Accepts {
        fn check(&mut self, _: &Written<'_>) -> io::Result<()> {
            Ok(())
        }
    }

    /// A full disk is one error, and nobody writes on after it.
    #[test]
    fn a_write_error_comes_out_once() {
        let content = lines(700_000);
        for left in [0, 1, 5] {
            let failures = AtomicUsize::new(0);
            let sink = Fills { left, failures: &failures };
            let error = compress_members(&content[..], sink, 0, 4, || Accepts).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
            assert_eq!(failures.into_inner(), 1);
        }
    }

    /// A thread that panics takes the others with it, and nobody waits for it.
    #[test]
    fn a_panic_is_passed_on() {
        struct Panics;
        impl Check for Panics {
            fn check(&mut self, _: &Written<'_>) -> io::Result<()> {
                panic!("as the test wants it");
            }
        }
        let content = lines(700_000);
        let work = || compress_members(&content[..], io::sink(), 0, 3, || Panics).is_ok();
        assert!(std::panic::catch_unwind(work).is_err());
    }

    /// A file that is not what was written to it is refused, wherever it differs.
    #[test]
    fn what_lies_in_the_file_is_verified() {
        use std::os::unix::fs::FileExt as _;
        /// Writes, but for one bit of the member of that number.
        struct Flips<'a> {
            file: &'a File,
            countdown: usize,
        }
        impl Write for Flips<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let mut bytes = bytes.to_vec();
                if self.countdown == 0 {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
                self.countdown = self.countdown.wrapping_sub(1);
                (&mut &*self.file).write(&bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let content = lines(300_000);
        let pieces = content.len().div_ceil(MEMBER_BYTES);
        for countdown in 0..=pieces {
            let file = tempfile::tempfile().unwrap();
            let sink = Flips { file: &file, countdown };
            let checks = || crate::write::gzip::ReadBack::of(&file);
            let outcome = compress_members(&content[..], sink, 0, 2, checks);
            assert_eq!(outcome.is_ok(), countdown == pieces, "{countdown}");
        }
        // What was in the file before is found, too.
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"x", content.len() as u64).unwrap();
        assert!(compress_file(&content[..], &file, 0, 2).is_err());
    }

    /// However long the log, no more of it is in memory than a few members for each thread.
    #[test]
    fn memory_does_not_grow_with_the_log() {
        const THREADS: usize = 3;
        /// Lines without end, which count how far the members written are behind.
        struct Ahead<'a> {
            left: u64,
            taken: u64,
            written: &'a AtomicUsize,
            most: &'a AtomicUsize,
        }
        impl Read for Ahead<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let written = self.written.load(Ordering::Acquire) * MEMBER_BYTES;
                let taken = usize::try_from(self.taken).unwrap();
                self.most.fetch_max(taken.saturating_sub(written), Ordering::Relaxed);
                let read = io::repeat(b'\n').take(self.left).read(buffer)?;
                self.left -= read as u64;
                self.taken += read as u64;
                Ok(read)
            }
        }
        struct Counts<'a>(&'a AtomicUsize);
        impl Check for Counts<'_> {
            fn check(&mut self, _: &Written<'_>) -> io::Result<()> {
                self.0.fetch_add(1, Ordering::Release);
                Ok(())
            }
        }
        let (written, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let source = Ahead { left: 200 << 20, taken: 0, written: &written, most: &most };
        let checks = || Counts(&written);
        let digest = compress_members(source, io::sink(), 0, THREADS, checks).unwrap();
        assert_eq!(digest.bytes, 200 << 20);
        // What each thread has, and what the one that reads is about to have.
        assert!(most.into_inner() <= (THREADS + 1) * MEMBER_BYTES);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Wherever lines end, and on however many threads, it is the content that comes out.
        #[test]
        fn content_is_kept(
            pieces in prop::collection::vec((0usize..2 * MAX_CUT_BYTES, 0usize..3), 0..4),
            threads in 1usize..5,
        ) {
            let mut content = Vec::new();
            for (line_bytes, newlines) in pieces {
                content.resize(content.len() + line_bytes, b'x');
                content.resize(content.len() + newlines, b'\n');
            }
            let (bytes, digest) = compressed(&content, threads);
            let mut back = Vec::new();
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut back).unwrap();
            prop_assert!(back == content);
            prop_assert_eq!(digest.bytes, content.len() as u64);
        }
    }
}
