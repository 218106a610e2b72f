//! Timestamps of records: ISO 8601 with offset, as Python's `datetime.isoformat()` writes them.

/// Seconds since the epoch of `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM[:SS])`; `None` for
/// anything else. By hand, because it is wanted for every record.
pub fn parse_epoch_s(text: &[u8]) -> Option<f64> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let at = |from: usize, to: usize| digits(&date_time[from..to]);
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(index, byte)| date_time[index] != byte)
        || !matches!(date_time[10], b'T' | b' ')
    {
        return None;
    }
    let (year, month, day) = (at(0, 4)?, at(5, 7)?, at(8, 10)?);
    let (hour, minute, second) = (at(11, 13)?, at(14, 16)?, at(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            // More digits than these are beyond the precision of a float here.
            let used = length.min(9);
            let scale = 10_f64.powi(i32::try_from(used).ok()?);
            #[allow(clippy::cast_precision_loss)] // At most nine digits.
            let fraction = digits(&rest[..used])? as f64 / scale;
            (fraction, &rest[length..])
        }
        None => (0.0, rest),
    };
    let offset_s = zone_offset_s(zone)?;
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    #[allow(clippy::cast_precision_loss)] // Years have four digits: far below 2⁵³ seconds.
    Some((seconds - offset_s) as f64 + fraction)
}

fn zone_offset_s(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone.split_first()? {
        (b'Z', []) => return Some(0),
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let part = |from: usize| digits(rest.get(from..from + 2)?);
    let seconds = match rest.len() {
        5 => 0,
        8 if rest[5] == b':' => part(6)?,
        _ => return None,
    };
    if rest[2] != b':' {
        return None;
    }
    Some(sign * (part(0)? * 3600 + part(3)? * 60 + seconds))
}

fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() {
        return None;
    }
    bytes
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March here, so that the leap day is its last one.
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From 0000-03-01 to 1970-01-01 there are 719,468 days.
    365 * year + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// Forms that Python writes are read, with and without fraction and odd offsets.
    #[test]
    fn forms_of_isoformat_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00+00:00", 0.0),
            ("1970-01-01T00:00:00Z", 0.0),
            ("2026-11-23T10:22:25.250000+01:00", 1_795_425_745.25),
            ("2000-02-29T12:00:00-05:30", 951_845_400.0),
            ("1969-12-31T23:59:59.500000+00:00:01", -1.5),
        ] {
            assert_eq!(parse_epoch_s(text.as_bytes()), Some(expected), "{text}");
        }
    }

    /// Anything else is refused, not guessed at.
    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-23",
            "2026-11-23T10:22:25",
            "2026-13-23T10:22:25Z",
            "2026-11-23T10:22:25.Z",
            "2026-11-23T10:22:25+1:00",
            "2026-11-23T10:22:25+0100",
            "2026-11-23T10:22:25+01:00x",
            "２０26-11-23T10:22:25Z",
        ] {
            assert_eq!(parse_epoch_s(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        /// Every instant that a time library writes is read as that instant.
        #[test]
        fn agrees_with_a_time_library(micros in -50_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let instant = jiff::Timestamp::from_microsecond(micros).unwrap();
            let read = parse_epoch_s(instant.to_string().as_bytes()).unwrap();
            #[allow(clippy::cast_precision_loss)]
            let expected = micros as f64 / 1e6;
            prop_assert!((read - expected).abs() < 1e-4, "{instant} {read} {expected}");
        }

        /// No bytes make it panic.
        #[test]
        fn any_bytes_are_taken(bytes in any::<Vec<u8>>()) {
            let _ = parse_epoch_s(&bytes);
        }
    }
}
