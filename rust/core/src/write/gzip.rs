//! Compressing finished logs, and telling what a compressed file has of a plain one.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt as _;

use flate2::bufread::MultiGzDecoder;
use libdeflater::Decompressor;

use super::gzip_parallel::{Check, Written, compress_members};
use crate::gzip_member::MAGIC;

const BUFFER_BYTES: usize = 256 * 1024;

/// Length and checksum of some content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// Its length.
    pub bytes: u64,
    /// Its CRC-32, as in a gzip trailer.
    pub crc32: u32,
}

/// Compresses all of `source` into `sink`, and tells what it read.
///
/// The gzip members that it writes decompress independently of each other, and tell their lengths:
/// see `crate::gzip_member`. `modified_s` (seconds since the epoch) goes into their headers.
/// Memory is bounded, whatever the length of the lines.
pub fn compress(
    source: impl Read + Send,
    sink: impl Write + Send,
    modified_s: u32,
) -> io::Result<Digest> {
    compress_members(source, sink, modified_s, 1, || Unchecked)
}

/// Compresses all of `source` into the empty file `file`, as [`compress`] does and to the same
/// bytes, on as many threads as are given, which have the priority of the calling one.
///
/// Each member is read back from the file and decompressed, and must be what was read of `source`.
///
/// # Errors
/// The first failure to read or to write, or what is in the file is not what was to be written.
pub fn compress_file(
    source: impl Read + Send,
    file: &File,
    modified_s: u32,
    threads: usize,
) -> io::Result<Digest> {
    if file.metadata()?.len() != 0 {
        return Err(io::Error::other("the file for the compressed copy is not empty"));
    }
    let mut sink = Counting { file, bytes: 0 };
    let checks = || ReadBack::of(file);
    let digest = compress_members(source, &mut sink, modified_s, threads, checks)?;
    // Every member is where it was written to, and nothing else is there.
    if file.metadata()?.len() != sink.bytes {
        return Err(differs());
    }
    Ok(digest)
}

/// How many threads compress: as many as this process may use cores.
pub fn compression_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

struct Unchecked;

impl Check for Unchecked {
    fn check(&mut self, _: &Written<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to a file, and counts.
struct Counting<'a> {
    file: &'a File,
    bytes: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads what was written back from the file, and decompresses it.
pub(super) struct ReadBack<'a> {
    file: &'a File,
    inflate: Decompressor,
    member: Vec<u8>,
    plain: Vec<u8>,
}

impl<'a> ReadBack<'a> {
    pub(super) fn of(file: &'a File) -> Self {
        Self { file, inflate: Decompressor::new(), member: Vec::new(), plain: Vec::new() }
    }
}

impl Check for ReadBack<'_> {
    fn check(&mut self, written: &Written<'_>) -> io::Result<()> {
        let Written { position, member, plain } = *written;
        self.member.resize(member.len(), 0);
        self.file.read_exact_at(&mut self.member, position)?;
        self.plain.resize(plain.len(), 0);
        let length = self.inflate.gzip_decompress(&self.member, &mut self.plain);
        if self.member != member || length != Ok(plain.len()) || self.plain != plain {
            return Err(differs());
        }
        Ok(())
    }
}

fn differs() -> io::Error {
    io::Error::other("the compressed copy differs from the log")
}

/// What a compressed file has of a plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is intact and has all of it.
    All,
    /// It has the beginning, or can't be read beyond it: a compression that was cut short.
    Beginning,
    /// It has something else.
    Different,
}

/// Compares what can be read of a compressed file with a plain one. Fails only where the system
/// can't read the files; damage is an answer.
pub fn overlap(mut compressed: impl Read, mut plain: impl Read) -> io::Result<Overlap> {
    // A file that begins like none of gzip's is something else; an empty one may have been cut.
    let mut head = [0; 2];
    let head = fill(&mut compressed, &mut head)?;
    if !MAGIC.starts_with(head) {
        return Ok(Overlap::Different);
    }
    let mut decoder = decoder(head.chain(compressed));
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut plain_buffer = vec![0; BUFFER_BYTES];
    loop {
        let chunk = match read_chunk(&mut decoder, &mut buffer) {
            Ok(chunk) => chunk,
            Err(error) if is_damage(&error) => return Ok(Overlap::Beginning),
            Err(error) => return Err(error),
        };
        let same = fill(&mut plain, &mut plain_buffer[..chunk.len().max(1)])?;
        if chunk.is_empty() {
            return Ok(if same.is_empty() { Overlap::All } else { Overlap::Beginning });
        }
        if same != chunk {
            return Ok(Overlap::Different);
        }
    }
}

fn decoder<R: Read>(compressed: R) -> MultiGzDecoder<BufReader<R>> {
    MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, compressed))
}

/// Whether an error is the decoder's about the data, not the system's about the file.
fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

/// One read, not interrupted; empty at the end.
fn read_chunk<'a>(source: &mut impl Read, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    loop {
        match source.read(buffer) {
            Ok(read) => return Ok(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads until the buffer is full or the source at its end.
fn fill<'a>(source: &mut impl Read, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_chunk(source, &mut buffer[filled..])?.len() {
            0 => break,
            read => filled += read,
        }
    }
    Ok(&buffer[..filled])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::gzip_member::{MAX_CUT_BYTES, MEMBER_BYTES, our_header};
    use libdeflater::Crc;
    use proptest::prelude::*;

    /// Decompresses everything and tells what came out.
    fn digest(compressed: impl Read) -> io::Result<Digest> {
        let mut decoder = decoder(compressed);
        let mut crc = Crc::new();
        let mut bytes = 0;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let chunk = read_chunk(&mut decoder, &mut buffer)?;
            if chunk.is_empty() {
                return Ok(Digest { bytes, crc32: crc.sum() });
            }
            crc.update(chunk);
            bytes += chunk.len() as u64;
        }
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compress(content, &mut out, 1_700_000_000).unwrap();
        out
    }

    /// Every way of cutting a compressed file short leaves a beginning, and nothing is taken for
    /// whole that is not.
    #[test]
    fn every_truncation_is_a_beginning() {
        let content: Vec<u8> = (0..150u32).flat_map(|n| format!("{n:x}\n").into_bytes()).collect();
        let whole = gzip(&content);
        for end in 0..whole.len() {
            let cut = &whole[..end];
            assert_eq!(overlap(cut, &content[..]).unwrap(), Overlap::Beginning, "{end}");
            assert!(end == 0 || digest(cut).is_err(), "{end}");
        }
        assert_eq!(overlap(&whole[..], &content[..]).unwrap(), Overlap::All);
    }

    /// A plain file under a compressed name is something else, even where the text is the same.
    #[test]
    fn plain_text_is_different() {
        assert_eq!(overlap(&b"{}\n"[..], &b"{}\n"[..]).unwrap(), Overlap::Different);
    }

    /// A failing disk is not mistaken for a damaged file.
    #[test]
    fn read_errors_are_errors() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
        }
        let content = gzip(&[b'x'; 10_000]);
        assert!(overlap(content[..20].chain(Broken), &[b'x'; 10_000][..]).is_err());
        assert!(overlap(&content[..], Broken).is_err());
        assert!(compress(Broken, Vec::new(), 0).is_err());
    }

    /// The plain texts of the members, found by the lengths that their headers tell.
    fn members(mut compressed: &[u8]) -> Vec<Vec<u8>> {
        let mut members = Vec::new();
        while !compressed.is_empty() {
            let length = u32::from_le_bytes(compressed[16..20].try_into().unwrap());
            assert_eq!(compressed[..16], our_header(length, 1_700_000_000)[..16]);
            let (member, rest) = compressed.split_at(length as usize);
            let mut plain = Vec::new();
            flate2::bufread::GzDecoder::new(member).read_to_end(&mut plain).unwrap();
            members.push(plain);
            compressed = rest;
        }
        members
    }

    /// A log becomes members of about a megabyte that end behind lines, and tell their lengths.
    #[test]
    fn members_hold_whole_lines() {
        let content: Vec<u8> =
            (0..300_000u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let members = members(&gzip(&content));
        assert_eq!(members.concat(), content);
        assert_eq!(members.len(), 2);
        assert!(members.iter().all(|plain| plain.ends_with(b"\n")));
        assert!((MEMBER_BYTES - 7..=MEMBER_BYTES).contains(&members[0].len()));
    }

    /// Lines up to the cap are kept in one piece, longer ones are cut: memory is bounded.
    #[test]
    fn long_lines_are_cut_at_the_cap() {
        let line = |bytes: usize| [vec![b'x'; bytes - 1], b"\n".to_vec()].concat();
        let (short, kept) = (line(10), line(MAX_CUT_BYTES));
        let content = [&short[..], &kept, &line(MAX_CUT_BYTES + 5), &short, b"no newline"].concat();
        let lengths: Vec<_> = members(&gzip(&content)).iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, MAX_CUT_BYTES, MAX_CUT_BYTES, 5 + 10 + 10]);
    }

    /// An empty log is compressed to a gzip file of one empty member.
    #[test]
    fn an_empty_log_is_a_member() {
        assert_eq!(members(&gzip(b"")), [b""]);
        assert_eq!(digest(&gzip(b"")[..]).unwrap(), Digest { bytes: 0, crc32: 0 });
    }

    /// Where a compression was cut short between two members, what is there is a beginning.
    #[test]
    fn a_cut_between_members_is_a_beginning() {
        let content = b"line\n".repeat(MEMBER_BYTES / 3);
        let whole = gzip(&content);
        let end = u32::from_le_bytes(whole[16..20].try_into().unwrap()) as usize;
        assert!(end < whole.len());
        assert_eq!(overlap(&whole[..end], &content[..]).unwrap(), Overlap::Beginning);
        assert_eq!(overlap(&whole[..], &content[..]).unwrap(), Overlap::All);
    }

    proptest! {
        /// What goes in comes out, with the same digest.
        #[test]
        fn compression_keeps_content(content: Vec<u8>) {
            let mut out = Vec::new();
            let read = compress(&content[..], &mut out, 0).unwrap();
            let mut back = Vec::new();
            flate2::read::MultiGzDecoder::new(&out[..]).read_to_end(&mut back).unwrap();
            prop_assert_eq!(&back, &content);
            prop_assert_eq!(digest(&out[..]).unwrap(), read);
            prop_assert_eq!(read.bytes, content.len() as u64);
        }

        /// The answer is what comparing the contents says.
        #[test]
        fn overlap_compares_contents(
            plain in "[ab]{0,6}", extra in "[ab]{0,3}", cut in 0usize..8, members in 1usize..3,
        ) {
            let content = format!("{}{extra}", &plain[..cut.min(plain.len())]);
            let split = content.len() / members;
            let compressed = match members {
                1 => gzip(content.as_bytes()),
                _ => [gzip(&content.as_bytes()[..split]), gzip(&content.as_bytes()[split..])].concat(),
            };
            let expected = if content == plain {
                Overlap::All
            } else if plain.starts_with(&content) {
                Overlap::Beginning
            } else {
                Overlap::Different
            };
            prop_assert_eq!(overlap(&compressed[..], plain.as_bytes()).unwrap(), expected);
        }

        /// Whatever is under a compressed name, comparing it ends without a failure.
        #[test]
        fn garbage_is_compared(mut garbage: Vec<u8>, has_magic: bool) {
            if has_magic {
                garbage.splice(..0, [0x1f, 0x8b, 8, 0]);
            }
            overlap(&garbage[..], &b"{}\n"[..]).unwrap();
        }
    }
}
