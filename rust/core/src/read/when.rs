//! Moments and durations as people type them.

use jiff::civil::{Date, DateTime, Time};

use crate::sys::local_time;
use crate::timestamp::parse_epoch_s;

use super::WrongValue;

const DAY_S: i64 = 86_400;

/// The units of durations, longest first.
const UNITS: [(char, f64); 5] =
    [('w', 604_800.0), ('d', 86_400.0), ('h', 3_600.0), ('m', 60.0), ('s', 1.0)];

/// The moment that `text` names, seconds since the epoch, where it is `now_s` now:
///
/// - an ISO 8601 date and time; without an offset it is local time (the C library's zone);
/// - a date: its start, in local time; a time of day: today's;
/// - `-3h`, `-1h30m`, `-2d`, `3h`, `3h ago`: so long ago;
/// - `now`; `@1795425745.25`: seconds since the epoch.
///
/// A local time that the clocks skipped is read with the offset before it, one that they showed
/// twice is the first, as in Python.
///
/// # Errors
/// The text is none of these.
pub fn parse_when(text: &str, now_s: f64) -> Result<f64, WrongValue> {
    moment(text.trim(), now_s).ok_or_else(|| WrongValue::Time(text.to_owned()))
}

/// The duration that `text` names, in seconds: a plain number of seconds, or numbers with the
/// units `w`, `d`, `h`, `m`, `s` in that order (`90s`, `1h30m`).
///
/// # Errors
/// The text is neither.
pub fn parse_duration_s(text: &str) -> Result<f64, WrongValue> {
    let trimmed = text.trim();
    plain_number(trimmed)
        .or_else(|| units_s(trimmed))
        .ok_or_else(|| WrongValue::Duration(text.to_owned()))
}

fn moment(text: &str, now_s: f64) -> Option<f64> {
    if text.eq_ignore_ascii_case("now") {
        return Some(now_s);
    }
    if let Some(epoch_s) = text.strip_prefix('@') {
        return match epoch_s.strip_prefix('-') {
            Some(before) => plain_number(before).map(|before| -before),
            None => plain_number(epoch_s),
        };
    }
    if let Some(ago_s) = ago_s(text) {
        return Some(now_s - ago_s);
    }
    // The parser of the records first: a bound copied from a record is that very number.
    if let Some(epoch_s) = parse_epoch_s(text.as_bytes()) {
        return Some(epoch_s);
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(seconds(instant.as_nanosecond()));
    }
    let local = match text.parse::<DateTime>() {
        Ok(local) => local,
        // A time of day; digits alone may be meant as anything.
        Err(_) if text.contains(':') => today(now_s)?.to_datetime(text.parse::<Time>().ok()?),
        Err(_) => return None,
    };
    let from_epoch = local.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let nanoseconds = from_epoch.as_nanos();
    let second = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
    Some(seconds(nanoseconds - i128::from(offset_of_local_s(second)?) * 1_000_000_000))
}

fn today(now_s: f64) -> Option<Date> {
    #[allow(clippy::cast_possible_truncation)] // A clock's time is far below 2⁶³ seconds.
    let now = local_time(now_s.floor() as i64)?;
    let narrow = |part: i32| i8::try_from(part).ok();
    Date::new(i16::try_from(now.year).ok()?, narrow(now.month)?, narrow(now.day)?).ok()
}

/// The offset of the local zone when its clocks show the time which in UTC would be `local`.
fn offset_of_local_s(local: i64) -> Option<i64> {
    let offset_at = |epoch_s| local_time(epoch_s).map(|time| time.utc_offset_s);
    // The clocks are not changed twice within two days.
    let (before, after) = (offset_at(local - DAY_S)?, offset_at(local + DAY_S)?);
    let fits = |offset_s| offset_at(local - offset_s) == Some(offset_s);
    Some(if !fits(before) && fits(after) { after } else { before })
}

#[allow(clippy::cast_precision_loss)] // Dates have four-digit years: far below 2⁵³ seconds.
fn seconds(nanoseconds: i128) -> f64 {
    let (second, rest) =
        (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    second as f64 + rest as f64 / 1e9
}

fn ago_s(text: &str) -> Option<f64> {
    let length = text.strip_prefix('-').unwrap_or(text);
    units_s(length.strip_suffix("ago").map_or(length, str::trim_end))
}

/// Numbers with units, the longest unit first, each at most once.
fn units_s(text: &str) -> Option<f64> {
    let mut sum_s = 0.0;
    let (mut rest, mut units) = (text, &UNITS[..]);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, unit) = rest.split_at(end);
        let unit = unit.chars().next()?;
        let index = units.iter().position(|(name, _)| unit.eq_ignore_ascii_case(name))?;
        sum_s += plain_number(number)? * units[index].1;
        units = &units[index + 1..];
        rest = &rest[end + 1..];
    }
    (!text.is_empty()).then_some(sum_s)
}

/// A decimal number without sign or exponent.
pub(super) fn plain_number(text: &str) -> Option<f64> {
    let digits_only = text.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    if digits_only { text.parse().ok().filter(|number: &f64| number.is_finite()) } else { None }
}
