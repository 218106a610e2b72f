//! Trace ids: a random UUID in 22 characters, as the `shortuuid` package writes it (base 57, most
//! significant digit first, letters and digits that look alike left out).

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::write::fork;

const ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Characters of a trace id: 57^22 is the first power above 2^128.
pub const TRACE_ID_LENGTH: usize = 22;

/// A trace id as its text, which is ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; TRACE_ID_LENGTH]);

impl TraceId {
    /// A new random one.
    ///
    /// The randomness comes from the operating system, for many ids at once. A forked child does
    /// not go on with what its parent has got, so that it never repeats its parent's ids.
    pub fn new() -> Self {
        let fresh = || {
            let mut bytes = [0; ID_BYTES];
            fill(&mut bytes);
            bytes
        };
        // During the thread's own teardown there is no supply.
        let bytes =
            SUPPLY.try_with(|supply| supply.borrow_mut().take()).unwrap_or_else(|_| fresh());
        let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
        Self(encode(uuid.as_u128()))
    }

    /// The one that a text is; None: it is none, whoever made it.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; TRACE_ID_LENGTH] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|byte| ALPHABET.contains(byte)).then_some(Self(bytes))
    }

    /// The text as bytes.
    pub fn as_bytes(&self) -> &[u8; TRACE_ID_LENGTH] {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // All digits of the alphabet are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Hash for TraceId {
    /// Two words, for hashers that take words as they come: nearly all that is random in it.
    #[inline]
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let word = |start: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.0[start..start + 8]);
            u64::from_le_bytes(bytes)
        };
        hasher.write_u64(word(6));
        hasher.write_u64(word(14));
    }
}

impl Default for TraceId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A new random id, as a text of its own.
pub fn new_trace_id() -> String {
    TraceId::new().as_str().to_owned()
}

const ID_BYTES: usize = 16;
/// One call for this many bytes costs hardly more than one for the bytes of an id.
const SUPPLY_BYTES: usize = 64 * ID_BYTES;

/// Random bytes that this thread has got and not used yet.
struct Supply {
    /// The process they were got in: of a thread, only the fork's own goes on in a child, with a
    /// copy of its supply.
    generation: u64,
    used: usize,
    bytes: [u8; SUPPLY_BYTES],
}

thread_local! {
    // Borrowed for no longer than a call below, which calls nobody back.
    static SUPPLY: RefCell<Supply> = const {
        RefCell::new(Supply { generation: 0, used: SUPPLY_BYTES, bytes: [0; SUPPLY_BYTES] })
    };
}

impl Supply {
    fn take(&mut self) -> [u8; ID_BYTES] {
        let generation = fork::generation();
        if self.used == SUPPLY_BYTES || self.generation != generation {
            fill(&mut self.bytes);
            self.generation = generation;
            self.used = 0;
        }
        let mut taken = [0; ID_BYTES];
        taken.copy_from_slice(&self.bytes[self.used..self.used + ID_BYTES]);
        self.used += ID_BYTES;
        taken
    }
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("an operating system that runs us has random numbers");
}

/// 57^10, the largest power below 2^64.
const TEN_DIGITS: u64 = 57_u64.pow(10);
/// 57^5, the largest power below 2^32.
const FIVE_DIGITS: u64 = 57_u64.pow(5);

fn encode(number: u128) -> [u8; TRACE_ID_LENGTH] {
    let mut text = [ALPHABET[0]; TRACE_ID_LENGTH];
    // Divisions of 128 bits are slow: two of them, and the rest in words. The remainders fit.
    #[allow(clippy::cast_possible_truncation)]
    let (low, rest) = ((number % u128::from(TEN_DIGITS)) as u64, number / u128::from(TEN_DIGITS));
    #[allow(clippy::cast_possible_truncation)]
    let (middle, high) =
        ((rest % u128::from(TEN_DIGITS)) as u64, (rest / u128::from(TEN_DIGITS)) as u32);
    put_digits(&mut text[0..2], high);
    for (start, digits) in [(2, middle), (12, low)] {
        let (first, second) = (digits / FIVE_DIGITS, digits % FIVE_DIGITS);
        // Both are below 57^5.
        #[allow(clippy::cast_possible_truncation)]
        {
            put_digits(&mut text[start..start + 5], first as u32);
            put_digits(&mut text[start + 5..start + 10], second as u32);
        }
    }
    text
}

fn put_digits(out: &mut [u8], mut number: u32) {
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(number % 57) as usize];
        number /= 57;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(number: u128) -> String {
        String::from_utf8_lossy(&super::encode(number)).into_owned()
    }

    /// A text is an id again if it has the length and the digits of one.
    #[test]
    fn texts_are_parsed() {
        let id = TraceId::new();
        assert_eq!(TraceId::parse(id.as_str()), Some(id));
        for text in ["", &id.as_str()[1..], &"0".repeat(22), &"é".repeat(11)] {
            assert_eq!(TraceId::parse(text), None);
        }
    }

    proptest! {
        /// Any number is written digit by digit, as the definition has it.
        #[test]
        fn digits_are_those_of_long_division(number in any::<u128>()) {
            let mut rest = number;
            let mut digits = Vec::new();
            for _ in 0..TRACE_ID_LENGTH {
                digits.push(ALPHABET[usize::try_from(rest % 57).unwrap_or(0)]);
                rest /= 57;
            }
            digits.reverse();
            prop_assert_eq!(encode(number).into_bytes(), digits);
        }
    }

    /// The extremes and a known pair of the `shortuuid` package.
    #[test]
    fn encodes_as_shortuuid() {
        assert_eq!(encode(0), "2222222222222222222222");
        assert_eq!(encode(57), "2222222222222222222232");
        // shortuuid.encode(uuid.UUID("3b1f8b40-222c-4a6e-b77e-779d5a94e21c"))
        assert_eq!(encode(0x3b1f_8b40_222c_4a6e_b77e_779d_5a94_e21c), "CXc85b4rqinB7s5J52TRYb");
    }

    /// The greatest number there is fits.
    #[test]
    fn the_greatest_number_fits() {
        // shortuuid.encode(uuid.UUID(int=2**128 - 1))
        assert_eq!(encode(u128::MAX), "oZEq7ovRbLq6UnGMPwc8B5");
    }

    /// Ids have their fixed length and do not repeat.
    #[test]
    fn ids_are_new() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| new_trace_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == TRACE_ID_LENGTH));
    }
}
