//! Members of a compressed log that are found and decompressed independently of each other.
//!
//! This is the fast way for intact files. It refuses everything that is not exactly one intact
//! member; what to make of the rest is the business of [`super::gzip`].

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;
use memchr::memmem;

use super::zeros::resize_zeroed;

use crate::gzip_member::{
    FIXED_HEADER_BYTES, HAS_CHECKSUM, HAS_EXTRA, Header, LENGTH_SUBFIELD, MAX_HEADER_BYTES,
    TRAILER_BYTES, header_length,
};

/// Members with more plain text than this are not decompressed in one go.
pub(super) const MAX_MEMBER_PLAIN_BYTES: usize = 16 << 20;
/// What does not get smaller grows by little: members longer than this are not made sense of.
const MAX_MEMBER_BYTES: u32 = (16 << 20) + (1 << 20);
/// The shortest deflate data there is.
const MIN_DATA_BYTES: usize = 2;
/// What a byte of deflate data can stand for at most: the longest match (258) in 2 bits.
const MAX_RATIO: usize = 1032;
/// The id of the subfield by which BGZF (bgzip, samtools) tells the length of a member, less one,
/// as a little-endian `u16`.
const BGZF_SUBFIELD: [u8; 2] = *b"BC";

/// The length of a member, header, data and trailer, where its header tells it.
///
/// `head` is the start of the member, as much of it as is at hand; our own headers tell it within
/// the first 20 bytes. A length that no member of that header has, or one with more in it than
/// [`MemberDecoder`] takes, is none. The header may be damaged or lie: what has the length is a
/// member only if it decompresses.
pub(super) fn member_length(head: &[u8]) -> Option<u32> {
    let header_bytes = header_length(&head[..head.len().min(MAX_HEADER_BYTES)]);
    if header_bytes == Header::Invalid || head.get(3)? & HAS_EXTRA == 0 {
        return None;
    }
    let (extra_bytes, extra) = head.get(FIXED_HEADER_BYTES..)?.split_first_chunk()?;
    let extra_bytes = usize::from(u16::from_le_bytes(*extra_bytes));
    let length = length_in_extra(&extra[..extra.len().min(extra_bytes)])?;

    let header_bytes = match header_bytes {
        Header::Length(length) => length,
        _ => FIXED_HEADER_BYTES + 2 + extra_bytes,
    };
    let min_bytes = header_bytes + MIN_DATA_BYTES + TRAILER_BYTES;
    (length <= MAX_MEMBER_BYTES && length as usize >= min_bytes).then_some(length)
}

/// The length that a subfield of the extra field tells.
fn length_in_extra(mut extra: &[u8]) -> Option<u32> {
    loop {
        let (&[id, more_id, size @ ..], rest) = extra.split_first_chunk::<4>()?;
        let content = rest.get(..usize::from(u16::from_le_bytes(size)))?;
        match ([id, more_id], content) {
            (LENGTH_SUBFIELD, &[a, b, c, d]) => return Some(u32::from_le_bytes([a, b, c, d])),
            (BGZF_SUBFIELD, &[a, b]) => return Some(u32::from(u16::from_le_bytes([a, b])) + 1),
            _ => extra = &rest[content.len()..],
        }
    }
}

/// Decompresses whole members, one at a time.
pub(super) struct MemberDecoder {
    inflate: Decompressor,
}

impl MemberDecoder {
    pub(super) fn new() -> Self {
        Self { inflate: Decompressor::new() }
    }

    /// Appends the plain text of a member, of which `member` has all bytes and no other.
    ///
    /// False, and `out` has what it had, where that is not so, the member is damaged in any way or
    /// has more than [`MAX_MEMBER_PLAIN_BYTES`].
    pub(super) fn decode(&mut self, member: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(plain_bytes) = plain_length(member) else { return false };
        let known = out.len();
        resize_zeroed(out, known + plain_bytes);
        let is_intact = self.decode_into(member, &mut out[known..]);
        if !is_intact {
            out.truncate(known);
        }
        is_intact
    }

    /// Does what [`decode`](Self::decode) does in a place of exactly [`plain_length`], which is
    /// left with anything if it fails. For whoever has such a place, it saves the time to fill one
    /// with zeros: up to a tenth.
    pub(super) fn decode_into(&mut self, member: &[u8], out: &mut [u8]) -> bool {
        let Some(body) = intact_body(member) else { return false };
        plain_length(member) == Some(out.len())
            && self.inflate.gzip_decompress(member, out) == Ok(out.len())
            && ends_with_right_trailer(body)
    }
}

/// The length of the plain text that a member claims to have, where it can be and is not more than
/// [`MAX_MEMBER_PLAIN_BYTES`].
pub(super) fn plain_length(member: &[u8]) -> Option<usize> {
    let (data, length) = member.split_last_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    // A length that so little data can't have costs no memory.
    (length <= MAX_MEMBER_PLAIN_BYTES.min(data.len() * MAX_RATIO)).then_some(length)
}

/// What follows the header, unless that is none, or contradicts its own checksum.
fn intact_body(member: &[u8]) -> Option<&[u8]> {
    let head = &member[..member.len().min(MAX_HEADER_BYTES)];
    let Header::Length(length) = header_length(head) else { return None };
    let (header, body) = member.split_at(length);
    if header[3] & HAS_CHECKSUM != 0 {
        let (summed, expected) = header.split_last_chunk::<2>()?;
        if libdeflater::crc32(summed).to_le_bytes()[..2] != *expected {
            return None;
        }
    }
    Some(body)
}

/// Whether a member that was decompressed ends with the trailer that was found to be right. The
/// decompressor neither minds what follows that, nor tells where it is. `body` is the member
/// without its header.
fn ends_with_right_trailer(body: &[u8]) -> bool {
    // Both the right trailer and the last bytes are of the one length. Where that is nowhere else,
    // as in all but one of thousands of members, they are the same.
    let length_at = body.len() - 4;
    memmem::find(body, &body[length_at..]) == Some(length_at)
        || deflate_bytes(body) == Some(body.len() - TRAILER_BYTES)
}

/// The length of the deflate data at the start of `bytes`, found by decompressing them.
fn deflate_bytes(bytes: &[u8]) -> Option<usize> {
    let mut inflate = Decompress::new(false);
    let mut out = vec![0; 64 << 10];
    loop {
        let (consumed, produced) = (inflate.total_in(), inflate.total_out());
        let rest = &bytes[usize::try_from(consumed).ok()?..];
        let status = inflate.decompress(rest, &mut out, FlushDecompress::None).ok()?;
        if status == Status::StreamEnd {
            return usize::try_from(inflate.total_in()).ok();
        }
        if (inflate.total_in(), inflate.total_out()) == (consumed, produced) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read as _, Write as _};

    use flate2::{Compression, Crc, GzBuilder, bufread::MultiGzDecoder};
    use proptest::prelude::*;

    use super::*;
    use crate::write::gzip::compress;

    fn ours(plain: &[u8]) -> Vec<u8> {
        let mut member = Vec::new();
        compress(plain, &mut member, 1_700_000_000).unwrap();
        member
    }

    fn built(builder: GzBuilder, plain: &[u8]) -> Vec<u8> {
        let mut encoder = builder.write(Vec::new(), Compression::new(6));
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// A member with an extra field, and its place for the length.
    fn with_extra(extra: &[u8]) -> Vec<u8> {
        built(GzBuilder::new().extra(extra), b"plain")
    }

    fn decode(member: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"known".to_vec();
        let is_intact = MemberDecoder::new().decode(member, &mut out);
        let plain = out.strip_prefix(b"known").unwrap().to_vec();
        assert!(is_intact || plain.is_empty());
        is_intact.then_some(plain)
    }

    fn decode_by_flate2(file: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        MultiGzDecoder::new(file).read_to_end(&mut out).ok().map(|_| out)
    }

    fn log() -> Vec<u8> {
        (0..60u32).flat_map(|n| format!("{{\"message\": \"{n:x}\"}}\n").into_bytes()).collect()
    }

    /// Our members, and those of bgzip, tell their lengths; other extra fields may stand before.
    #[test]
    fn headers_tell_lengths() {
        let member = ours(&log());
        assert_eq!(member_length(&member[..20]), Some(u32::try_from(member.len()).unwrap()));
        assert_eq!(member_length(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0"), Some(28));
        assert_eq!(member_length(&with_extra(b"XY\x02\0??IT\x04\0\0\x01\0\0")), Some(256));
        assert_eq!(member_length(&with_extra(b"IT\x02\0??BC\x02\0\xff\xff")), Some(65_536));
    }

    /// Where no length is told, or one that cannot be, there is none.
    #[test]
    fn other_headers_tell_no_length() {
        assert_eq!(member_length(&built(GzBuilder::new().filename("IT"), b"plain")), None);
        for extra in [
            &b""[..],
            b"IT",
            b"IT\x04",
            b"IT\x04\0\0\x01\0",
            b"IT\x05\0\0\x01\0\0",
            b"it\x04\0\0\x01\0\0",
            b"XY\xff\xffIT\x04\0\0\x01\0\0",
            b"IT\x04\0\xff\xff\xff\xff",
            b"IT\x04\0\x01\0\x10\x01",
        ] {
            assert_eq!(member_length(&with_extra(extra)), None, "{extra:?}");
        }
        // Header, 2 bytes of data and the trailer are the least.
        for (length, expected) in [(29, None), (30, Some(30))] {
            assert_eq!(member_length(&with_extra(&[b'I', b'T', 4, 0, length, 0, 0, 0])), expected);
        }
        let member = ours(b"plain");
        assert!((0..20).all(|end| member_length(&member[..end]).is_none()));
    }

    /// A member comes out whole, behind what the buffer has; also an empty one.
    #[test]
    fn members_are_appended() {
        let (mut decoder, mut out) = (MemberDecoder::new(), Vec::new());
        for plain in [&b"one\n"[..], b"", b"two\n"] {
            assert!(decoder.decode(&ours(plain), &mut out));
        }
        assert_eq!(out, b"one\ntwo\n");
    }

    /// A place that has not the length of the plain text is refused, one that has it is filled.
    #[test]
    fn places_have_to_fit() {
        let member = ours(b"plain");
        assert_eq!(plain_length(&member), Some(5));
        let mut out = [0; 7];
        for length in [0, 4, 6, 7] {
            assert!(!MemberDecoder::new().decode_into(&member, &mut out[..length]));
        }
        assert!(MemberDecoder::new().decode_into(&member, &mut out[1..6]));
        assert_eq!(&out[1..6], b"plain");
    }

    /// Whatever is missing of a member, and whatever follows it, it is refused.
    #[test]
    fn only_exactly_one_member_is_accepted() {
        for plain in [&log()[..], b"", &[0; 3000]] {
            let member = ours(plain);
            assert!((0..member.len()).all(|end| decode(&member[..end]).is_none()));
            let trailer = &member[member.len() - TRAILER_BYTES..];
            for more in [&b"\0"[..], b"\0\0\0\0", &trailer[4..], trailer, &member] {
                assert_eq!(decode(&[&member[..], more].concat()), None);
            }
        }
    }

    /// A member with one bit of damage is refused, or that bit is not about the plain text.
    #[test]
    fn every_flipped_bit_is_found() {
        let plain = log();
        let mut member = ours(&plain);
        for bit in 0..member.len() * 8 {
            member[bit / 8] ^= 1 << (bit % 8);
            if let Some(decoded) = decode(&member) {
                assert_eq!(decoded, plain, "{bit}");
                assert!(bit / 8 < member.len() - TRAILER_BYTES, "{bit}");
            }
            member[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// A header that contradicts its own checksum is damaged.
    #[test]
    fn header_checksums_are_verified() {
        let member = ours(b"plain");
        let (header, body) = member.split_at(20);
        let mut header = header.to_vec();
        header[3] |= HAS_CHECKSUM;
        let mut crc = Crc::new();
        crc.update(&header);
        let sum = crc.sum().to_le_bytes();
        let right = [&header, &sum[..2], body].concat();
        assert_eq!(decode(&right).unwrap(), b"plain");
        assert_eq!(decode_by_flate2(&right).unwrap(), b"plain");
        assert_eq!(decode(&[&header[..], &[!sum[0], sum[1]], body].concat()), None);
    }

    /// Members that are too large, or only say so, cost no memory for it.
    #[test]
    fn sizes_are_capped() {
        let largest = vec![b'x'; MAX_MEMBER_PLAIN_BYTES];
        assert!(decode(&built(GzBuilder::new(), &largest)).unwrap() == largest);
        let too_large = built(GzBuilder::new(), &[&largest[..], b"x"].concat());
        let mut claim = ours(b"plain");
        let length_at = claim.len() - 4;
        for claimed in [MAX_MEMBER_PLAIN_BYTES, u32::MAX as usize] {
            claim[length_at..].copy_from_slice(&u32::try_from(claimed).unwrap().to_le_bytes());
            let mut out = Vec::new();
            assert!(!MemberDecoder::new().decode(&claim, &mut out));
            assert!(!MemberDecoder::new().decode(&too_large, &mut out));
            assert_eq!(out.capacity(), 0);
        }
    }

    proptest! {
        /// What any gzip writes comes out the same.
        #[test]
        fn agrees_with_flate2(
            plain: Vec<u8>, repeated in 0usize..2000, level in 0u32..10, name in "[a-z]{0,5}",
        ) {
            let plain = plain.repeat(repeated);
            let mut encoder =
                GzBuilder::new().filename(name).write(Vec::new(), Compression::new(level));
            encoder.write_all(&plain).unwrap();
            let member = encoder.finish().unwrap();
            prop_assert!(decode(&member).as_ref() == Some(&plain));
            let member = built(GzBuilder::new().comment("c").extra("IT"), &plain);
            prop_assert!(decode(&member).as_ref() == Some(&plain));
        }

        /// The members of a compressed log, by the lengths they tell, are the log.
        #[test]
        fn our_members_are_found(
            lines in prop::collection::vec((b'a'..=b'z', 0usize..300_000), 0..6),
        ) {
            let plain: Vec<u8> = lines
                .into_iter()
                .flat_map(|(byte, length)| [vec![byte; length], b"\n".to_vec()].concat())
                .collect();
            let file = ours(&plain);
            let (mut decoder, mut out, mut at) = (MemberDecoder::new(), Vec::new(), 0);
            while at < file.len() {
                let end = at + member_length(&file[at..file.len().min(at + 20)]).unwrap() as usize;
                prop_assert!(decoder.decode(&file[at..end], &mut out));
                at = end;
            }
            prop_assert!(out == plain);
        }

        /// Damage anywhere is refused or does not matter, and then not to others, either.
        #[test]
        fn damage_is_found(
            plain: Vec<u8>,
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut member = ours(&plain);
            for (at, byte) in damage {
                let at = at.index(member.len());
                member[at] = byte;
            }
            if let Some(decoded) = decode(&member) {
                prop_assert_eq!(&decoded, &plain);
                prop_assert_eq!(decode_by_flate2(&member), Some(plain));
            }
        }

        /// Whatever it is, looking at it ends without a failure.
        #[test]
        fn garbage_is_refused(mut garbage: Vec<u8>, flags: u8, has_magic: bool) {
            if has_magic {
                garbage.splice(..0, [0x1f, 0x8b, 8, flags]);
            }
            let length = member_length(&garbage);
            prop_assert!(length.is_none_or(|length| length >= 22));
            prop_assert_eq!(decode(&garbage), None);
        }
    }
}
