//! A state as bytes: a mark, the version of the layout, and what it says, compressed, which is also how
//! damage is found out.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The version of the layout. States of another one cannot be read: it changes with every change of
/// what is in a state.
pub const STATE_VERSION: u16 = 1;

const MARK: &[u8; 6] = b"\x1aTRACE";

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    let plain = postcard::to_allocvec(value).map_err(|error| wrong(&error.to_string()))?;
    let mut out = MARK.to_vec();
    out.extend_from_slice(&STATE_VERSION.to_le_bytes());
    let mut encoder = GzEncoder::new(out, Compression::fast());
    let written = encoder.write_all(&plain).and_then(|()| encoder.finish());
    written.map_err(|error| wrong(&error.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let (version, packed) = bytes
        .strip_prefix(MARK)
        .and_then(|rest| rest.split_first_chunk())
        .ok_or_else(|| wrong("these are other bytes"))?;
    let version = u16::from_le_bytes(*version);
    if version != STATE_VERSION {
        return Err(wrong(&format!(
            "it has version {version}, and {STATE_VERSION} is understood: install the same \
             inspect-trace everywhere"
        )));
    }
    let mut plain = Vec::new();
    GzDecoder::new(packed)
        .read_to_end(&mut plain)
        .map_err(|error| wrong(&format!("it is damaged ({error})")))?;
    match postcard::take_from_bytes(&plain) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(wrong("there is more in it than there can be")),
        Err(error) => Err(wrong(&error.to_string())),
    }
}

fn wrong(reason: &str) -> Error {
    Error::Elsewhere(format!("cannot use what a worker has found: {reason}"))
}
