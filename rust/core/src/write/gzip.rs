//! Compressing finished logs, and telling what a compressed file has of a plain one.

use std::io::{self, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use libdeflater::{CompressionLvl, Compressor, Crc};

use crate::gzip_member::{
    MAGIC, MAX_CUT_BYTES, MEMBER_BYTES, OUR_HEADER_BYTES, TRAILER_BYTES, our_header, trailer,
};

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
    mut source: impl Read,
    mut sink: impl Write,
    modified_s: u32,
) -> io::Result<Digest> {
    let mut encoder = MemberEncoder::new(modified_s);
    let mut crc = Crc::new();
    let mut bytes = 0;
    let mut plain = Vec::with_capacity(MEMBER_BYTES);
    loop {
        let end = fill_member(&mut source, &mut plain)?;
        // Nothing at all is a member, too: an empty file would be none of gzip's.
        if end > 0 || bytes == 0 {
            sink.write_all(encoder.encode(&plain[..end]))?;
        }
        if end == 0 {
            break;
        }
        crc.update(&plain[..end]);
        bytes += end as u64;
        plain.drain(..end);
    }
    sink.flush()?;
    Ok(Digest { bytes, crc32: crc.sum() })
}

/// Reads on behind what `plain` has, until that is enough for a member, and tells where the member
/// ends: behind a line, if that is not too long. 0 when there is no more.
fn fill_member(source: &mut impl Read, plain: &mut Vec<u8>) -> io::Result<usize> {
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
struct MemberEncoder {
    deflate: Compressor,
    modified_s: u32,
    member: Vec<u8>,
}

impl MemberEncoder {
    fn new(modified_s: u32) -> Self {
        let level = CompressionLvl::new(6).expect("libdeflate has levels 0 to 12");
        Self { deflate: Compressor::new(level), modified_s, member: Vec::new() }
    }

    /// The member of that plain text.
    fn encode(&mut self, plain: &[u8]) -> &[u8] {
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

/// Decompresses everything and tells what came out.
pub fn digest(compressed: impl Read) -> io::Result<Digest> {
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
    use proptest::prelude::*;

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
