//! Private functions that the fuzz targets call; no part of the interface.

use super::members;

/// The length that the header of a gzip member tells.
pub fn member_length(head: &[u8]) -> Option<u32> {
    members::member_length(head)
}

/// Appends the plain text of one intact gzip member; false if it is none.
pub fn decode_member(member: &[u8], out: &mut Vec<u8>) -> bool {
    members::MemberDecoder::new().decode(member, out)
}
