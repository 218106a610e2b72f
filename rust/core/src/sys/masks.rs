//! Which of 64 consecutive bytes are what: by AVX-512 or AVX2 where the processor has them, by plain
//! arithmetic elsewhere. All give the same masks (tested below); bit 0 is the first byte.
//!
//! Here, because loading vectors from memory and calling code for another processor than the
//! baseline are unsafe; everything else is in `read::index`.
#![allow(unsafe_code)]

/// What the scanner wants to know of every byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Masks {
    pub(crate) quote: u64,
    pub(crate) backslash: u64,
    pub(crate) newline: u64,
    /// Neither printable ASCII nor a newline.
    pub(crate) odd: u64,
}

/// What it wants to know where there are backslashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EscapeMasks {
    /// What may follow a backslash in JSON: `"\/bfnrtu`.
    pub(crate) escape: u64,
    pub(crate) u: u64,
}

/// What it wants to know where there are `\u` escapes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DigitMasks {
    /// Hexadecimal digits.
    pub(crate) hex: u64,
    /// `d` and `D`, the first digit of the surrogates.
    pub(crate) d: u64,
    /// Digits 8 to b, the second one of high surrogates (behind a d).
    pub(crate) high: u64,
    /// Digits c to f, the second one of low surrogates.
    pub(crate) low: u64,
}

/// Takes the masks of a text, 64 bytes at a time.
pub(crate) trait MaskSink {
    /// Whether the bytes before demand `escaped` for the next ones.
    fn needs_escapes(&self) -> bool;
    /// The next 64 bytes hold no backslash.
    fn plain(&mut self, masks: Masks);
    /// The next 64 bytes. Whether `digits` of them are needed, too.
    fn escaped(&mut self, masks: Masks, escapes: EscapeMasks) -> bool;
    /// More on the last 64 bytes.
    fn digits(&mut self, digits: DigitMasks);
}

/// Gives the masks of `bytes` to `sink`; the last ones as if NUL bytes followed.
pub(crate) fn scan(bytes: &[u8], sink: &mut impl MaskSink) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { avx512::scan(bytes, sink) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { avx2::scan(bytes, sink) };
        }
    }
    portable::scan(bytes, sink);
}

/// What may follow a backslash.
const ESCAPES: &[u8; 9] = b"\"\\/bfnrtu";

/// For the low half of a byte, and for the high one, a bit for each high half that it goes with in
/// [`ESCAPES`].
#[cfg(target_arch = "x86_64")]
const LOW_HALVES: [u8; 16] = escape_halves().0;
#[cfg(target_arch = "x86_64")]
const HIGH_HALVES: [u8; 16] = escape_halves().1;

#[cfg(target_arch = "x86_64")]
const fn escape_halves() -> ([u8; 16], [u8; 16]) {
    let (mut low, mut high) = ([0; 16], [0; 16]);
    let mut index = 0;
    while index < ESCAPES.len() {
        let byte = ESCAPES[index];
        // The high halves are 2, 5, 6 and 7.
        let bit = 1 << (byte >> 4);
        low[(byte & 15) as usize] |= bit;
        high[(byte >> 4) as usize] |= bit;
        index += 1;
    }
    (low, high)
}

/// The loop over a text, compiled anew for each kind of processor.
macro_rules! scan {
    ($(#[$features:meta])?) => {
        $(#[$features])?
        pub(super) fn scan(bytes: &[u8], sink: &mut impl MaskSink) {
            let (chunks, rest) = bytes.as_chunks::<64>();
            for chunk in chunks {
                let masks = masks(chunk);
                if masks.backslash == 0 && !sink.needs_escapes() {
                    sink.plain(masks);
                } else if sink.escaped(masks, escape_masks(chunk)) {
                    sink.digits(digit_masks(chunk));
                }
            }
            if !rest.is_empty() {
                let mut last = [0; 64];
                last[..rest.len()].copy_from_slice(rest);
                let masks = masks(&last);
                if masks.backslash == 0 && !sink.needs_escapes() {
                    sink.plain(masks);
                } else if sink.escaped(masks, escape_masks(&last)) {
                    sink.digits(digit_masks(&last));
                }
            }
        }
    };
}

/// What follows from the primitives of a processor with vectors, and is the same for each of them.
#[cfg(target_arch = "x86_64")]
macro_rules! vector_masks {
    (#[$features:meta]) => {
        #[inline]
        #[$features]
        fn masks(chunk: &[u8; 64]) -> Masks {
            let bytes = load(chunk);
            let newline = eq(bytes, b'\n');
            Masks {
                quote: eq(bytes, b'"'),
                backslash: eq(bytes, b'\\'),
                newline,
                odd: !within(bytes, b' ', 0x7f - b' ') & !newline,
            }
        }

        #[inline]
        #[$features]
        fn digit_masks(chunk: &[u8; 64]) -> DigitMasks {
            let bytes = load(chunk);
            let lower = lower_case(bytes);
            let low = within(lower, b'c', 4);
            let a_or_b = within(lower, b'a', 2);
            DigitMasks {
                hex: within(bytes, b'0', 10) | a_or_b | low,
                d: eq(lower, b'd'),
                high: within(bytes, b'8', 2) | a_or_b,
                low,
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m128i, __m512i, _mm_loadu_si128, _mm512_and_si512, _mm512_broadcast_i32x4,
        _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_or_si512,
        _mm512_set1_epi8, _mm512_shuffle_epi8, _mm512_srli_epi16, _mm512_sub_epi8,
        _mm512_test_epi8_mask,
    };

    use super::{DigitMasks, EscapeMasks, MaskSink, Masks};

    scan!(#[target_feature(enable = "avx512f,avx512bw")]);
    vector_masks!(#[target_feature(enable = "avx512f,avx512bw")]);

    /// Letters in lower case; what is none becomes none.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn lower_case(bytes: __m512i) -> __m512i {
        _mm512_or_si512(bytes, _mm512_set1_epi8(0x20))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(chunk: &[u8; 64]) -> __m512i {
        // SAFETY: the reference is good for reading 64 bytes, aligned or not.
        unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn eq(bytes: __m512i, byte: u8) -> u64 {
        _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed()))
    }

    /// Bytes from `first` on, `count` values.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn within(bytes: __m512i, first: u8, count: u8) -> u64 {
        let shifted = _mm512_sub_epi8(bytes, _mm512_set1_epi8(first.cast_signed()));
        _mm512_cmplt_epu8_mask(shifted, _mm512_set1_epi8(count.cast_signed()))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn escape_masks(chunk: &[u8; 64]) -> EscapeMasks {
        let bytes = load(chunk);
        // By the halves of a byte: it is one of the nine if they have a bit in common.
        let low_table = _mm512_broadcast_i32x4(table(&super::LOW_HALVES));
        let high_table = _mm512_broadcast_i32x4(table(&super::HIGH_HALVES));
        let high_halves = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(0xf));
        let by_low = _mm512_shuffle_epi8(low_table, bytes);
        let by_high = _mm512_shuffle_epi8(high_table, high_halves);
        EscapeMasks { escape: _mm512_test_epi8_mask(by_low, by_high), u: eq(bytes, b'u') }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn table(halves: &[u8; 16]) -> __m128i {
        // SAFETY: the reference is good for reading 16 bytes, aligned or not.
        unsafe { _mm_loadu_si128(halves.as_ptr().cast()) }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8,
    };

    use super::{DigitMasks, EscapeMasks, MaskSink, Masks};

    scan!(#[target_feature(enable = "avx2")]);
    vector_masks!(#[target_feature(enable = "avx2")]);

    /// Letters in lower case; what is none becomes none.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn lower_case([low, high]: [__m256i; 2]) -> [__m256i; 2] {
        let space = _mm256_set1_epi8(0x20);
        [_mm256_or_si256(low, space), _mm256_or_si256(high, space)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(chunk: &[u8; 64]) -> [__m256i; 2] {
        let (low, high) = chunk.split_at(32);
        // SAFETY: both halves are good for reading 32 bytes, aligned or not.
        unsafe {
            [_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())]
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn bits(low: __m256i, high: __m256i) -> u64 {
        let half = |half| u64::from(_mm256_movemask_epi8(half).cast_unsigned());
        half(low) | half(high) << 32
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn eq([low, high]: [__m256i; 2], byte: u8) -> u64 {
        let byte = _mm256_set1_epi8(byte.cast_signed());
        bits(_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte))
    }

    /// Bytes from `first` on, `count` values.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn within([low, high]: [__m256i; 2], first: u8, count: u8) -> u64 {
        let (first, last) =
            (_mm256_set1_epi8(first.cast_signed()), _mm256_set1_epi8((count - 1).cast_signed()));
        let (low, high) = (_mm256_sub_epi8(low, first), _mm256_sub_epi8(high, first));
        bits(
            _mm256_cmpeq_epi8(_mm256_min_epu8(low, last), low),
            _mm256_cmpeq_epi8(_mm256_min_epu8(high, last), high),
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn escape_masks(chunk: &[u8; 64]) -> EscapeMasks {
        let bytes = load(chunk);
        let u = eq(bytes, b'u');
        let mut escape = u | eq(bytes, b'"') | eq(bytes, b'\\') | eq(bytes, b'/');
        for letter in *b"bfnrt" {
            escape |= eq(bytes, letter);
        }
        EscapeMasks { escape, u }
    }
}

mod portable {
    use super::{DigitMasks, EscapeMasks, MaskSink, Masks};

    scan!();

    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;

    /// The highest bits of eight bytes as eight bits, the first byte's lowest.
    fn gather(highs: u64) -> u64 {
        (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }

    /// The highest bit of each byte that is zero.
    fn zeros(word: u64) -> u64 {
        // Seven bits cannot carry into the next byte.
        !(((word & !HIGHS) + !HIGHS) | word | !HIGHS)
    }

    fn masks(chunk: &[u8; 64]) -> Masks {
        let mut masks = Masks::default();
        for (index, eight) in chunk.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*eight);
            let eq = |byte: u8| gather(zeros(word ^ (ONES * u64::from(byte)))) << (8 * index);
            // Of bytes below 0x80: those from 0x20 on, and those from 0x7f on, carry into the bit.
            let low = word & !HIGHS;
            let printable = (low + ONES * 0x60) & !(low + ONES) & !word & HIGHS;
            let newline = eq(b'\n');
            masks.quote |= eq(b'"');
            masks.backslash |= eq(b'\\');
            masks.newline |= newline;
            masks.odd |= (gather(!printable & HIGHS) << (8 * index)) & !newline;
        }
        masks
    }

    fn escape_masks(chunk: &[u8; 64]) -> EscapeMasks {
        let mut masks = EscapeMasks::default();
        for (index, byte) in chunk.iter().enumerate() {
            masks.escape |= u64::from(super::ESCAPES.contains(byte)) << index;
            masks.u |= u64::from(*byte == b'u') << index;
        }
        masks
    }

    fn digit_masks(chunk: &[u8; 64]) -> DigitMasks {
        let mut masks = DigitMasks::default();
        for (index, byte) in chunk.iter().enumerate() {
            let is = |yes: bool| u64::from(yes) << index;
            masks.hex |= is(byte.is_ascii_hexdigit());
            masks.d |= is(matches!(byte, b'd' | b'D'));
            masks.high |= is(matches!(byte, b'8' | b'9' | b'a' | b'b' | b'A' | b'B'));
            masks.low |= is(matches!(byte, b'c'..=b'f' | b'C'..=b'F'));
        }
        masks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that it is given.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct All(Vec<(Masks, Option<(EscapeMasks, DigitMasks)>)>);

    impl MaskSink for All {
        fn needs_escapes(&self) -> bool {
            self.0.last().is_some_and(|(masks, _)| masks.backslash >> 63 == 1)
        }

        fn plain(&mut self, masks: Masks) {
            self.0.push((masks, None));
        }

        fn escaped(&mut self, masks: Masks, escapes: EscapeMasks) -> bool {
            self.0.push((masks, Some((escapes, DigitMasks::default()))));
            true
        }

        fn digits(&mut self, digits: DigitMasks) {
            if let Some((_, Some((_, of_last)))) = self.0.last_mut() {
                *of_last = digits;
            }
        }
    }

    /// The masks by their definition.
    fn expected(bytes: &[u8]) -> All {
        let mut all = All::default();
        for chunk in bytes.chunks(64) {
            let mask = |is: &dyn Fn(u8) -> bool| {
                let bytes = chunk.iter().copied().chain(std::iter::repeat(0)).take(64);
                bytes.enumerate().fold(0, |mask, (at, byte)| mask | u64::from(is(byte)) << at)
            };
            let masks = Masks {
                quote: mask(&|b| b == b'"'),
                backslash: mask(&|b| b == b'\\'),
                newline: mask(&|b| b == b'\n'),
                odd: mask(&|b| !(b' '..=b'~').contains(&b) && b != b'\n'),
            };
            let escapes = EscapeMasks {
                escape: mask(&|b| b"\"\\/bfnrtu".contains(&b)),
                u: mask(&|b| b == b'u'),
            };
            let digits = DigitMasks {
                hex: mask(&|b| b.is_ascii_hexdigit()),
                d: mask(&|b| b"dD".contains(&b)),
                high: mask(&|b| b"89abAB".contains(&b)),
                low: mask(&|b| b"cdefCDEF".contains(&b)),
            };
            let wanted = masks.backslash != 0 || all.needs_escapes();
            all.0.push((masks, wanted.then_some((escapes, digits))));
        }
        all
    }

    fn check(bytes: &[u8]) {
        let expected = expected(bytes);
        let mut found = All::default();
        portable::scan(bytes, &mut found);
        assert_eq!(found, expected);
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                let mut found = All::default();
                // SAFETY: the processor has it.
                unsafe { avx2::scan(bytes, &mut found) };
                assert_eq!(found, expected);
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                let mut found = All::default();
                // SAFETY: the processor has it.
                unsafe { avx512::scan(bytes, &mut found) };
                assert_eq!(found, expected);
            }
        }
    }

    /// Each byte is told for what it is, at each place.
    #[test]
    fn every_byte_is_told() {
        for byte in 0..=255 {
            for place in [0, 7, 8, 31, 32, 63, 64] {
                let mut bytes = [b'x'; 65];
                bytes[place] = byte;
                check(&bytes);
                let mut bytes = [b'\\'; 65];
                bytes[place] = byte;
                check(&bytes);
            }
        }
    }

    proptest! {
        /// All ways to find the masks agree with their definition.
        #[test]
        fn all_ways_agree(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\\'), Just(b'"'), Just(b'\n'), Just(b'u'), any::<u8>()], 0..200,
        )) {
            check(&bytes);
        }
    }
}
