//! Wall-clock time: epoch seconds and the local ISO 8601 form of the log's timestamps.

use std::cell::RefCell;
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
struct WrittenSecond {
    epoch_s: i64,
    zone: ZoneState,
    /// With microseconds, which are all 0.
    text: [u8; DATE_AND_TIME + FRACTION + MAX_OFFSET],
    offset_length: usize,
}

/// `YYYY-MM-DDTHH:MM:SS`.
const DATE_AND_TIME: usize = 19;
/// `.ffffff`.
const FRACTION: usize = 7;
/// `+HH:MM:SS`.
const MAX_OFFSET: usize = 9;
/// A text with microseconds, and an offset without seconds.
const USUAL: usize = DATE_AND_TIME + FRACTION + 6;

thread_local! {
    // Borrowed for no longer than a call below, which calls nobody back.
    static LAST: RefCell<WrittenSecond> = const {
        RefCell::new(WrittenSecond {
            epoch_s: i64::MIN,
            zone: ZoneState::NONE,
            text: [0; DATE_AND_TIME + FRACTION + MAX_OFFSET],
            offset_length: 0,
        })
    };
}

impl WrittenSecond {
    #[cold]
    fn new(epoch_s: i64) -> Option<Self> {
        let local = sys::local_time(epoch_s)?;
        let year = u32::try_from(local.year).ok().filter(|year| (1..=9999).contains(year))?;
        let mut text = *b"0000-00-00T00:00:00.000000+00:00:00";
        let seconds = local.utc_offset_s.unsigned_abs();
        // Offsets are less than a day.
        let offset = [seconds / 3600, seconds / 60 % 60, seconds % 60];
        let offset = offset.map(|part| u32::try_from(part).unwrap_or(0));
        let parts = [local.month, local.day, local.hour, local.minute, local.second];
        let parts = parts.map(i32::unsigned_abs);
        for (place, part) in [year / 100, year % 100]
            .into_iter()
            .zip([0, 2])
            .chain(parts.into_iter().zip([5, 8, 11, 14, 17]))
            .chain(offset.into_iter().zip([27, 30, 33]))
            .map(|(part, place)| (place, part))
        {
            text[place..place + 2].copy_from_slice(&two_digits(part));
        }
        if local.utc_offset_s < 0 {
            text[DATE_AND_TIME + FRACTION] = b'-';
        }
        let offset_length = if seconds % 60 == 0 { MAX_OFFSET - 3 } else { MAX_OFFSET };
        // The conversion itself may have moved the C library's idea of the zone's names.
        Some(Self { epoch_s, zone: ZoneState::now(), text, offset_length })
    }
}

/// Both digits of a number below 100.
#[inline]
fn two_digits(number: u32) -> [u8; 2] {
    // Digits fit a byte.
    #[allow(clippy::cast_possible_truncation)]
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[b'0'; 2]; 100];
        let mut number = 0;
        while number < 100 {
            pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
            number += 1;
        }
        pairs
    };
    PAIRS[number as usize % 100]
}

/// Appends `epoch_s` as Python's `datetime.fromtimestamp(epoch_s).astimezone().isoformat()` gives
/// it: local zone of the process (the C library's, so `time.tzset()` counts), microseconds rounded
/// half to even and left out when zero, seconds in the offset only where the zone has them.
///
/// Returns false, and appends nothing, for a time outside the years 1 to 9999.
pub fn write_local_iso(out: &mut Vec<u8>, epoch_s: f64) -> bool {
    let Some((seconds, microseconds)) = split(epoch_s) else { return false };
    LAST.with(|last| {
        let last = &mut *last.borrow_mut();
        // Another zone set by `tzset` counts at once, or, where the two are alike in name and
        // standard offset, with the next second.
        if last.epoch_s != seconds || last.zone != ZoneState::now() {
            let Some(second) = WrittenSecond::new(seconds) else { return false };
            *last = second;
        }
        let mut text = last.text;
        let length = DATE_AND_TIME + FRACTION + last.offset_length;
        if microseconds == 0 {
            out.extend_from_slice(&text[..DATE_AND_TIME]);
            out.extend_from_slice(&text[DATE_AND_TIME + FRACTION..length]);
            return true;
        }
        text[20..22].copy_from_slice(&two_digits(microseconds / 10_000));
        text[22..24].copy_from_slice(&two_digits(microseconds / 100));
        text[24..26].copy_from_slice(&two_digits(microseconds));
        // A length that is known is copied without a call.
        out.extend_from_slice(&text[..USUAL]);
        if length != USUAL {
            out.extend_from_slice(&text[USUAL..length]);
        }
        true
    })
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
