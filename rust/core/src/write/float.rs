//! Floats as Python writes them.

use std::io::Write as _;

/// Appends a float in the notation of Python's `float.__repr__`: the shortest digits that give
/// the same float back, fixed for exponents from -4 to 15, else scientific with a signed exponent
/// of at least two digits (CPython, `float_repr_style` "short", format code `r`).
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
    let magnitude = value.abs();
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    // In this range zmij's notation and Python's are the same.
    if value == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return out.extend_from_slice(text.as_bytes());
    }
    // It is one of the last bytes, if it is there.
    if let Some(at) = text.bytes().rposition(|byte| byte == b'e') {
        let (mantissa, exponent) = (&text.as_bytes()[..at], &text.as_bytes()[at + 1..]);
        // All but the exponent, which has a sign and two digits at least.
        let (sign, digits) = match exponent {
            [b'-', digits @ ..] => (b'-', digits),
            [b'+', digits @ ..] | digits => (b'+', digits),
        };
        out.extend_from_slice(mantissa);
        out.extend_from_slice(&[b'e', sign]);
        if digits.len() < 2 {
            out.push(b'0');
        }
        return out.extend_from_slice(digits);
    }
    // As those of many durations: zeros where Python writes an exponent.
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    if let Some(digits) = unsigned.strip_prefix("0.0000")
        && let Some((first, rest)) = digits.as_bytes().split_first()
        && *first != b'0'
    {
        out.extend_from_slice(sign.as_bytes());
        out.push(*first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        return out.extend_from_slice(b"e-05");
    }
    // Between the two notations' limits, zmij writes zeros where Python writes an exponent.
    let (negative, mantissa) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let written: String = [whole, fraction].concat();
    let digits = written.trim_start_matches('0');
    let leading_zeros = written.len() - digits.len();
    let digits = digits.trim_end_matches('0');
    // Lengths are below 400 here, so the casts are exact.
    #[allow(clippy::cast_possible_wrap)]
    let exponent = whole.len() as i64 - leading_zeros as i64 - 1;
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits.as_bytes()[..1]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits.as_bytes()[1..]);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn float(value: f64) -> String {
        let mut out = Vec::new();
        write_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    /// Known values of Python's `repr` around the changes of notation.
    #[test]
    fn floats_are_written_as_python_repr() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (0.000_099_9, "9.99e-05"),
            (1e-5, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (123_456_789.123, "123456789.123"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.234e20, "1.234e+20"),
            (1e22, "1e+22"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(value), expected);
        }
    }

    proptest! {
        /// What zmij writes with zeros has an exponent, and reads back to the same bits.
        #[test]
        fn short_durations_have_an_exponent(value in 1e-5..1e-4_f64) {
            for (value, sign) in [(value, ""), (-value, "-")] as [(f64, &str); 2] {
                let text = float(value);
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
                let digits = text.strip_prefix(sign).unwrap().strip_suffix("e-05").unwrap();
                let (first, rest) = digits.split_at(1);
                prop_assert!(first != "0" && (rest.is_empty() || rest.starts_with('.')));
                prop_assert!(!rest.ends_with(['0', '.']));
            }
        }

        /// Every finite float reads back to the same bits.
        #[test]
        fn floats_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(float(value).parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}
