//! Sizes as people type them.

use super::WrongValue;
use super::when::plain_number;

const UNITS: [(&str, f64); 11] = [
    ("KIB", 1024.0),
    ("MIB", 1_048_576.0),
    ("GIB", 1_073_741_824.0),
    ("TIB", 1_099_511_627_776.0),
    ("PIB", 1_125_899_906_842_624.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("PB", 1e15),
    ("B", 1.0),
];

/// The size that `text` names, in bytes: a plain number of bytes, or a number with a unit, `kB`, `MB`, `GB`,
/// `TB`, `PB` (thousands) or `KiB`, `MiB`, ... (1024s), in upper or lower case.
///
/// # Errors
/// The text is neither.
pub fn parse_size_bytes(text: &str) -> Result<u64, WrongValue> {
    let upper = text.trim().to_ascii_uppercase();
    let of_unit = |(unit, bytes): (&str, f64)| Some((upper.strip_suffix(unit)?, bytes));
    let (number, unit_bytes) = UNITS.into_iter().find_map(of_unit).unwrap_or((&upper, 1.0));
    // Whole numbers of bytes are exact.
    let whole = (unit_bytes <= 1.0).then(|| number.trim_end().parse::<u64>().ok()).flatten();
    let bytes = || plain_number(number.trim_end()).map(|number| (number * unit_bytes).round());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is in range.
    let fits = |bytes: f64| (bytes < 1.8e19).then_some(bytes as u64);
    whole.or_else(|| bytes().and_then(fits)).ok_or_else(|| WrongValue::Size(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units are of thousands or of 1024s; what is no size is refused.
    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("18446744073709551615", u64::MAX),
            ("100GB", 100_000_000_000),
            ("1.5 tb", 1_500_000_000_000),
            ("500kB", 500_000),
            ("64GiB", 64 << 30),
            (" 7b ", 7),
        ] {
            assert_eq!(parse_size_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "1e9", "many", "100G", "99999PB", "1.2.3MB", "nan"] {
            let told = parse_size_bytes(text).map_err(|error| error.to_string());
            assert!(told.is_err_and(|told| told.contains("is not a size")), "{text}");
        }
    }
}
