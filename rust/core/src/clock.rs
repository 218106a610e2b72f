//! Wall-clock time: epoch seconds and the local ISO 8601 form of the log's timestamps.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::sys;

/// Now, seconds since the epoch.
pub fn now_s() -> f64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// Appends `epoch_s` as Python's `datetime.fromtimestamp(epoch_s).astimezone().isoformat()` gives
/// it: local zone of the process (the C library's, so `time.tzset()` counts), microseconds rounded
/// half to even and left out when zero, seconds in the offset only where the zone has them.
///
/// Returns false, and appends nothing, for a time outside the years 1 to 9999.
pub fn write_local_iso(out: &mut Vec<u8>, epoch_s: f64) -> bool {
    let Some((seconds, microseconds)) = split(epoch_s) else { return false };
    let Some(local) = sys::local_time(seconds) else { return false };
    if !(1..=9999).contains(&local.year) {
        return false;
    }
    // Writing into a Vec cannot fail.
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        local.year, local.month, local.day, local.hour, local.minute, local.second
    );
    if microseconds != 0 {
        let _ = write!(out, ".{microseconds:06}");
    }
    let offset = local.utc_offset_s.unsigned_abs();
    let sign = if local.utc_offset_s < 0 { '-' } else { '+' };
    let _ = write!(out, "{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60);
    if offset % 60 != 0 {
        let _ = write!(out, ":{:02}", offset % 60);
    }
    true
}

/// Whole seconds and microseconds, rounded half to even as CPython's `fromtimestamp` does.
fn split(epoch_s: f64) -> Option<(i64, u32)> {
    // Year 1 to 9999, a day of margin for zones; keeps the casts below exact.
    if !(-62_135_683_200.0..253_402_387_200.0).contains(&epoch_s) {
        return None;
    }
    let (mut whole, mut micros) = (epoch_s.trunc(), (epoch_s.fract() * 1e6).round_ties_even());
    if micros >= 1e6 {
        micros -= 1e6;
        whole += 1.0;
    } else if micros < 0.0 {
        micros += 1e6;
        whole -= 1.0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some((whole as i64, micros as u32))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Microseconds round half to even and carry into the second, also before the epoch.
    #[test]
    fn microseconds_round_as_cpython() {
        assert_eq!(split(1.5), Some((1, 500_000)));
        assert_eq!(split(1.999_999_9), Some((2, 0)));
        assert_eq!(split(-0.25), Some((-1, 750_000)));
        assert_eq!(split(0.000_000_5), Some((0, 0)));
        assert_eq!(split(0.000_001_5), Some((0, 2)));
    }

    /// Times that no date can show are refused.
    #[test]
    fn absurd_times_are_refused() {
        for absurd in [f64::NAN, f64::INFINITY, 1e18, -1e18] {
            let mut out = Vec::new();
            assert!(!write_local_iso(&mut out, absurd));
            assert!(out.is_empty());
        }
    }

    /// What is written is the instant itself, whatever the zone of the machine.
    #[test]
    fn written_instants_read_back() {
        for epoch_s in [0.0, 1_700_000_000.123_456, 1_782_864_000.0] {
            let mut out = Vec::new();
            assert!(write_local_iso(&mut out, epoch_s));
            let text = String::from_utf8(out).unwrap();
            let read: jiff::Timestamp = text.parse().unwrap();
            #[allow(clippy::cast_precision_loss)]
            let read_s = read.as_microsecond() as f64 / 1e6;
            assert!((read_s - epoch_s).abs() < 1e-6, "{text}");
        }
    }
}
