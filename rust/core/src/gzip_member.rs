//! The members of compressed logs: how the writer lays them out, and how readers tell where one
//! ends.
//!
//! A compressed log that we write is a gzip file (RFC 1952) of consecutive members, each of which
//! decompresses on its own to about [`MEMBER_BYTES`] of the log. The header of each has an extra
//! field with one subfield, [`LENGTH_SUBFIELD`], that holds the length of the member: readers go
//! from member to member without decompressing any, and decompress them on all cores.

use libdeflater::Crc;

/// How much plain text a member holds, to about a line.
pub(crate) const MEMBER_BYTES: usize = 1 << 20;
/// A member ends in the middle of a line that is longer than this.
pub(crate) const MAX_CUT_BYTES: usize = 4 * MEMBER_BYTES;

/// The id of the subfield of the extra field with the length of the member, all of it (header,
/// data and trailer), as a little-endian `u32`.
pub(crate) const LENGTH_SUBFIELD: [u8; 2] = *b"IT";

/// The first bytes of a member: the magic number, and deflate as the method.
pub(crate) const MAGIC: &[u8] = &[0x1f, 0x8b, 8];
/// A header without any of the optional fields.
pub(crate) const FIXED_HEADER_BYTES: usize = 10;
/// The header of the members that we write.
pub(crate) const OUR_HEADER_BYTES: usize = FIXED_HEADER_BYTES + 2 + 4 + 4;
/// The checksum and the length of the plain text.
pub(crate) const TRAILER_BYTES: usize = 8;
/// A header (it may hold a file name and a comment) longer than this is taken for damage.
pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;

pub(crate) const HAS_CHECKSUM: u8 = 2;
pub(crate) const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;
const UNKNOWN_SYSTEM: u8 = 255;

/// The header of a member of `member_bytes` in all. `modified_s` is in seconds since the epoch.
pub(crate) fn our_header(member_bytes: u32, modified_s: u32) -> [u8; OUR_HEADER_BYTES] {
    let mut header = [0; OUR_HEADER_BYTES];
    header[..3].copy_from_slice(MAGIC);
    header[3] = HAS_EXTRA;
    header[4..8].copy_from_slice(&modified_s.to_le_bytes());
    header[9] = UNKNOWN_SYSTEM;
    // The length of the extra field, then of the subfield's content.
    header[10] = 8;
    header[12..14].copy_from_slice(&LENGTH_SUBFIELD);
    header[14] = 4;
    header[16..].copy_from_slice(&member_bytes.to_le_bytes());
    header
}

/// The trailer of a member with that plain text.
pub(crate) fn trailer(plain: &[u8]) -> [u8; TRAILER_BYTES] {
    let mut crc = Crc::new();
    crc.update(plain);
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..4].copy_from_slice(&crc.sum().to_le_bytes());
    // Of the length, the format keeps what fits.
    trailer[4..].copy_from_slice(&plain.len().to_le_bytes()[..4]);
    trailer
}

/// What the bytes at the start of a member tell of its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// The header has that many bytes.
    Length(usize),
    /// The file ends within the header.
    Cut,
    Invalid,
}

/// The length of the member header at the start of `bytes`, which hold all of it, or all there is.
pub(crate) fn header_length(bytes: &[u8]) -> Header {
    let not_found = || if bytes.len() < MAX_HEADER_BYTES { Header::Cut } else { Header::Invalid };
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) {
        return Header::Invalid;
    }
    let Some(&flags) = bytes.get(3) else { return Header::Cut };
    if flags & RESERVED != 0 {
        return Header::Invalid;
    }
    let mut length = FIXED_HEADER_BYTES;
    if flags & HAS_EXTRA != 0 {
        let Some(extra) = bytes.get(length..length + 2) else { return not_found() };
        length += 2 + usize::from(u16::from_le_bytes([extra[0], extra[1]]));
    }
    for flag in [HAS_NAME, HAS_COMMENT] {
        if flags & flag != 0 {
            let text = bytes.get(length..).unwrap_or_default();
            let Some(end) = memchr::memchr(0, text) else { return not_found() };
            length += end + 1;
        }
    }
    if flags & HAS_CHECKSUM != 0 {
        length += 2;
    }
    if length <= bytes.len() { Header::Length(length) } else { not_found() }
}
