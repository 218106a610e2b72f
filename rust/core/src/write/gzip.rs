//! Compressing finished logs, and telling what a compressed file has of a plain one.

use std::io::{self, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, Crc, GzBuilder};

const BUFFER_BYTES: usize = 256 * 1024;
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Length and checksum of some content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// Its length.
    pub bytes: u64,
    /// Its CRC-32, as in a gzip trailer.
    pub crc32: u32,
}

/// Compresses all of `source` into `sink` as one gzip member, and tells what it read.
///
/// `modified_s` (seconds since the epoch) goes into the header.
pub fn compress(mut source: impl Read, sink: impl Write, modified_s: u32) -> io::Result<Digest> {
    let mut encoder = GzBuilder::new().mtime(modified_s).write(sink, Compression::new(6));
    let mut crc = Crc::new();
    let mut bytes = 0;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let chunk = read_chunk(&mut source, &mut buffer)?;
        if chunk.is_empty() {
            break;
        }
        crc.update(chunk);
        bytes += chunk.len() as u64;
        encoder.write_all(chunk)?;
    }
    encoder.finish()?.flush()?;
    Ok(Digest { bytes, crc32: crc.sum() })
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

    proptest! {
        /// What goes in comes out, with the same digest.
        #[test]
        fn compression_keeps_content(content: Vec<u8>) {
            let mut out = Vec::new();
            let read = compress(&content[..], &mut out, 0).unwrap();
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&out[..]).read_to_end(&mut back).unwrap();
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
