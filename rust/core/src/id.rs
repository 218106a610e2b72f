//! Trace ids: a random UUID in 22 characters, as the `shortuuid` package writes it (base 57, most
//! significant digit first, letters and digits that look alike left out).

use uuid::Uuid;

const ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Characters of a trace id: 57^22 is the first power above 2^128.
pub const TRACE_ID_LENGTH: usize = 22;

/// A new random id. Every call asks the operating system for randomness, so that a forked child
/// never repeats its parent's ids.
pub fn new_trace_id() -> String {
    encode(Uuid::new_v4().as_u128())
}

fn encode(mut number: u128) -> String {
    let mut text = [ALPHABET[0]; TRACE_ID_LENGTH];
    for slot in text.iter_mut().rev() {
        // A remainder of 57 fits any integer.
        #[allow(clippy::cast_possible_truncation)]
        let digit = (number % 57) as usize;
        *slot = ALPHABET[digit];
        number /= 57;
    }
    text.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The extremes and a known pair of the `shortuuid` package.
    #[test]
    fn encodes_as_shortuuid() {
        assert_eq!(encode(0), "2222222222222222222222");
        assert_eq!(encode(57), "2222222222222222222232");
        // shortuuid.encode(uuid.UUID("3b1f8b40-222c-4a6e-b77e-779d5a94e21c"))
        assert_eq!(encode(0x3b1f_8b40_222c_4a6e_b77e_779d_5a94_e21c), "CXc85b4rqinB7s5J52TRYb");
    }

    /// Ids have their fixed length and do not repeat.
    #[test]
    fn ids_are_new() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| new_trace_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == TRACE_ID_LENGTH));
    }
}
