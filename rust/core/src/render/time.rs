//! Moments as people read them, in the local zone.

use crate::sys::{LocalTime, local_time, local_zone_name};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `HH:MM:SS ZONE`; `None` for a time that no date can show.
pub(crate) fn local_clock(epoch_s: f64) -> Option<String> {
    let (local, zone) = broken_down(epoch_s)?;
    Some(format!("{:02}:{:02}:{:02} {zone}", local.hour, local.minute, local.second))
}

/// `DD-Mon HH:MM:SS ZONE`; `None` for a time that no date can show.
pub(crate) fn local_day_and_time(epoch_s: f64) -> Option<String> {
    let (local, _) = broken_down(epoch_s)?;
    let month = usize::try_from(local.month).ok().and_then(|month| MONTHS.get(month - 1))?;
    Some(format!("{:02}-{month} {}", local.day, local_clock(epoch_s)?))
}

/// `DD-Mon HH:MM`; `None` for a time that no date can show.
pub(crate) fn local_day_and_minute(epoch_s: f64) -> Option<String> {
    let (local, _) = broken_down(epoch_s)?;
    let month = usize::try_from(local.month).ok().and_then(|month| MONTHS.get(month - 1))?;
    Some(format!("{:02}-{month} {:02}:{:02}", local.day, local.hour, local.minute))
}

fn broken_down(epoch_s: f64) -> Option<(LocalTime, String)> {
    // Years 1 to 9999; keeps the cast exact.
    if !(-62_135_510_400.0..253_402_214_400.0).contains(&epoch_s) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation)]
    let epoch_s = epoch_s.floor() as i64;
    Some((local_time(epoch_s)?, local_zone_name(epoch_s)?))
}
