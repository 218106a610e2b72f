//! Any bytes: what is accepted as one intact gzip member is one to a decoder by the book, with the
//! same content, and an intact member is accepted.
#![no_main]

use std::io::{Read as _, Write as _};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use inspect_trace_core::read::fuzzing::{decode_member, member_length};
use libfuzzer_sys::fuzz_target;

/// Deflate data as they are, around them a header with that extra field and the right trailer.
/// None if they are no deflate data.
fn member_of(extra: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = DeflateDecoder::new(data);
    let mut plain = Vec::new();
    decoder.by_ref().take(1 << 20).read_to_end(&mut plain).ok()?;
    let rest = decoder.into_inner().len();
    let mut member = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    member.extend_from_slice(&u16::try_from(extra.len()).ok()?.to_le_bytes());
    member.extend_from_slice(extra);
    member.extend_from_slice(&data[..data.len() - rest]);
    let mut crc = flate2::Crc::new();
    crc.update(&plain);
    member.extend_from_slice(&crc.sum().to_le_bytes());
    member.extend_from_slice(&crc.amount().to_le_bytes());
    Some(member)
}

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (way, extra, bytes) = input;
    let member = match way % 3 {
        0 => bytes.to_vec(),
        1 => {
            let mut encoder = flate2::GzBuilder::new()
                .extra(extra)
                .write(Vec::new(), flate2::Compression::new(u32::from(way) % 10));
            encoder.write_all(bytes).expect("memory takes it");
            encoder.finish().expect("memory takes it")
        }
        _ => member_of(extra, bytes).unwrap_or_default(),
    };
    let least = 12 + 2 + 8;
    assert!(member_length(&member).is_none_or(|length| length >= least));

    let mut decoded = b"known".to_vec();
    let is_intact = decode_member(&member, &mut decoded);
    let plain = decoded.strip_prefix(b"known").expect("what was there stays");
    let mut expected = Vec::new();
    let result = MultiGzDecoder::new(&member[..]).read_to_end(&mut expected);
    if is_intact {
        result.expect("it is a member");
        assert_eq!(plain, expected);
    } else {
        assert!(plain.is_empty());
        assert!(way % 3 == 0 || member.is_empty() || result.is_err());
    }
});
