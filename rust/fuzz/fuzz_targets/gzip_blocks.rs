//! Any file: reading it ends, and gives blocks that follow each other. What a decoder gives of a
//! gzip file before its first damage, ours gives, too.
#![no_main]

use std::io::{Read as _, Write as _};

use inspect_trace_core::read::Blocks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    let (compress, bytes) = input;
    let mut content = bytes.to_vec();
    if compress {
        // Two members of whatever it is, the first of them intact.
        let half = bytes.len() / 2;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes[..half]).expect("memory takes it");
        content = encoder.finish().expect("memory takes it");
        content.extend_from_slice(&bytes[half..]);
    }
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(&content).expect("the file takes it");
    let mut blocks = Blocks::open(file.path()).expect("it is a regular file");
    let mut read = Vec::new();
    let mut offset = 0;
    while let Some(block) = blocks.next_block().expect("the file can be read") {
        assert!(!block.bytes.is_empty());
        assert_eq!(block.offset, offset);
        offset += block.bytes.len() as u64;
        read.extend_from_slice(&block.bytes);
    }
    if content.starts_with(&[0x1f, 0x8b]) {
        let mut expected = Vec::new();
        let _ = flate2::bufread::MultiGzDecoder::new(&content[..]).read_to_end(&mut expected);
        assert!(read.starts_with(&expected));
    }
});
