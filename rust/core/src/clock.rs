//! Wall-clock time: epoch seconds and the local ISO 8601 form of the log's timestamps.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::sys;
use crate::sys::time::ZoneState;

/// Now, seconds since the epoch.
#[inline]
pub fn now_s() -> f64 {
    sys::time::epoch_s()
}

/// Now, whole nanoseconds since the epoch.
pub fn now_ns() -> i64 {
    // Fits until the year 2262.
    let narrow =
        |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => narrow(since),
        Err(before) => -narrow(before.duration()),
    }
}

/// Seconds on a clock that is never set: what Python's `time.monotonic()` gives.
pub fn monotonic_s() -> f64 {
    sys::time::monotonic_s()
}

/// Seconds that the calling thread has kept a processor busy.
pub fn thread_cpu_s() -> f64 {
    sys::time::thread_cpu_s()
}

/// A second in local time as it was last written by this thread: most records share theirs.
#[derive(Clone, Copy)]
struct WrittenSecond {
    epoch_s: i64,
    zone: ZoneState,
    date_and_time: [u8; 19],
    offset: [u8; 9],
    offset_length: u8,
}

thread_local! {
    static LAST: Cell<WrittenSecond> = const {
        Cell::new(WrittenSecond {
            epoch_s: i64::MIN,
            zone: ZoneState::NONE,
            date_and_time: [0; 19],
            offset: [0; 9],
            offset_length: 0,
        })
    };
}

impl WrittenSecond {
    /// The thread's last one, if it is the one asked for. Another zone set by `tzset` counts at
    /// once, or, where the two are alike in name and standard offset, with the next second.
    #[inline]
    fn get(epoch_s: i64) -> Option<Self> {
        let zone = ZoneState::now();
        let last = LAST.get();
        if last.epoch_s == epoch_s && last.zone == zone {
            return Some(last);
        }
        Self::convert(epoch_s)
    }

    #[cold]
    fn convert(epoch_s: i64) -> Option<Self> {
        let local = sys::local_time(epoch_s)?;
        let year = u32::try_from(local.year).ok().filter(|year| (1..=9999).contains(year))?;
        let mut date_and_time = *b"0000-00-00T00:00:00";
        put_two_digits(&mut date_and_time[0..2], year / 100);
        put_two_digits(&mut date_and_time[2..4], year % 100);
        let parts = [local.month, local.day, local.hour, local.minute, local.second];
        for (index, part) in parts.into_iter().enumerate() {
            let start = 5 + 3 * index;
            put_two_digits(&mut date_and_time[start..start + 2], part.unsigned_abs());
        }
        let seconds = local.utc_offset_s.unsigned_abs();
        let mut offset = *b"+00:00:00";
        if local.utc_offset_s < 0 {
            offset[0] = b'-';
        }
        // Offsets are less than a day.
        for (start, part) in [(1, seconds / 3600), (4, seconds / 60 % 60), (7, seconds % 60)] {
            put_two_digits(&mut offset[start..start + 2], u32::try_from(part).unwrap_or(0));
        }
        let offset_length = if seconds % 60 == 0 { 6 } else { 9 };
        // The conversion itself may have moved the C library's idea of the zone's names.
        let zone = ZoneState::now();
        let written = Self { epoch_s, zone, date_and_time, offset, offset_length };
        LAST.set(written);
        Some(written)
    }
}

/// Both digits of a number below 100.
#[inline]
fn put_two_digits(out: &mut [u8], number: u32) {
    // A number below 100 has digits that fit a byte.
    #[allow(clippy::cast_possible_truncation)]
    out.copy_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

/// Appends `epoch_s` as Python's `datetime.fromtimestamp(epoch_s).astimezone().isoformat()` gives
/// it: local zone of the process (the C library's, so `time.tzset()` counts), microseconds rounded
/// half to even and left out when zero, seconds in the offset only where the zone has them.
///
/// Returns false, and appends nothing, for a time outside the years 1 to 9999.
pub fn write_local_iso(out: &mut Vec<u8>, epoch_s: f64) -> bool {
    /// With microseconds, and an offset without seconds.
    const USUAL: usize = 32;
    let Some((seconds, microseconds)) = split(epoch_s) else { return false };
    let Some(written) = WrittenSecond::get(seconds) else { return false };
    let mut text = [0; 35];
    text[..19].copy_from_slice(&written.date_and_time);
    let mut length = 19;
    if microseconds != 0 {
        text[19] = b'.';
        put_two_digits(&mut text[20..22], microseconds / 10_000);
        put_two_digits(&mut text[22..24], microseconds / 100 % 100);
        put_two_digits(&mut text[24..26], microseconds % 100);
        length = 26;
    }
    text[length..length + 9].copy_from_slice(&written.offset);
    match length + usize::from(written.offset_length) {
        // A length that is known is copied without a call.
        USUAL => out.extend_from_slice(&text[..USUAL]),
        length => out.extend_from_slice(&text[..length]),
    }
    true
}

/// Whole seconds and microseconds, rounded half to even as CPython's `fromtimestamp` does.
fn split(epoch_s: f64) -> Option<(i64, u32)> {
    // Year 1 to 9999, a day of margin for zones; keeps the casts below exact.
    if !(-62_135_683_200.0..253_402_387_200.0).contains(&epoch_s) {
        return None;
    }
    if epoch_s >= 0.0 {
        // What the processor does by itself: the functions that round are calls where a program has
        // to run on any of its kind. Adding 2⁵² leaves no room for what is behind the point.
        const NO_FRACTION: f64 = 4_503_599_627_370_496.0;
        #[allow(clippy::cast_possible_truncation)]
        let whole = epoch_s as i64;
        #[allow(clippy::cast_precision_loss)]
        let micros = (epoch_s - whole as f64) * 1e6 + NO_FRACTION - NO_FRACTION;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let micros = micros as i32 as u32;
        return Some(if micros == 1_000_000 { (whole + 1, 0) } else { (whole, micros) });
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
        assert_eq!(split(0.000_002_5), Some((0, 2)));
        assert_eq!(split(-0.000_002_5), Some((-1, 999_998)));
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

    /// What is kept of one second does not show in another, in whatever order they come.
    #[test]
    fn seconds_do_not_mix() {
        let text = |epoch_s| {
            let mut out = Vec::new();
            assert!(write_local_iso(&mut out, epoch_s));
            String::from_utf8(out).unwrap()
        };
        let moments = [0.0, 59.5, 60.25, 1_700_000_000.0, 1_700_000_000.5, 951_782_400.75];
        let alone: Vec<String> =
            moments.map(|s| std::thread::spawn(move || text(s)).join().unwrap()).into();
        for (index, moment) in moments.iter().enumerate() {
            assert_eq!(text(*moment), alone[index]);
            assert_eq!(text(moments[0]), alone[0]);
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
