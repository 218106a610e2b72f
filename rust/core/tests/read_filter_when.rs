//! Moments and durations as people type them.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use inspect_trace_core::read::{parse_duration_s, parse_when};
use inspect_trace_core::timestamp::parse_epoch_s;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use proptest::prelude::*;

/// 2026-11-23T09:22:25.25Z.
const NOW_S: f64 = 1_795_425_745.25;

fn when(text: &str) -> Option<f64> {
    parse_when(text, NOW_S).ok()
}

/// Moments by themselves, with an offset or as seconds, are the same in every zone.
#[test]
fn absolute_times() {
    for text in [
        "2026-11-23T10:22:25.25+01:00",
        "2026-11-23T10:22:25.250000+01:00",
        "2026-11-23 09:22:25.25Z",
        "2026-11-23t09:22:25.25z",
        "2026-11-23T03:52:25.25-05:30",
        " @1795425745.25 ",
        "now",
        "NOW",
    ] {
        assert_eq!(when(text), Some(NOW_S), "{text}");
    }
    assert_eq!(when("2026-11-23T10:22+01:00"), Some(1_795_425_720.0));
    assert_eq!(when("@0"), Some(0.0));
    assert_eq!(when("@-1.5"), Some(-1.5));
}

/// Times ago, with a minus or without, of one unit or of several, the largest first.
#[test]
fn times_ago() {
    for (text, ago_s) in [
        ("-3h", 10_800.0),
        ("3h", 10_800.0),
        ("3h ago", 10_800.0),
        ("-90m", 5_400.0),
        ("-45s", 45.0),
        ("-2d", 172_800.0),
        ("-1w", 604_800.0),
        ("-1h30m", 5_400.0),
        ("-1W2D3H4M5S", 788_645.0),
        ("-1.5h", 5_400.0),
        ("0s", 0.0),
    ] {
        assert_eq!(when(text), Some(NOW_S - ago_s), "{text}");
    }
}

/// What is none of the forms is refused in one line that says what is accepted.
#[test]
fn other_texts_are_refused() {
    for text in [
        "",
        " ",
        "-",
        "--3h",
        "+3h",
        "-3",
        "3",
        "3x",
        "h",
        "-h3",
        "-30m1h",
        "-1h1h",
        "-1h 30m",
        "ago",
        "soon",
        "@",
        "@now",
        "@1e9",
        "@nan",
        "@inf",
        "1795425745",
        "1430",
        "14",
        "24:30",
        "14:60",
        "2026-13-01",
        "2026-02-30",
        "2026-11",
        "2026-11-23T",
        "2026-11-23T25:00",
        "yesterday",
        "-1..5h",
        "2026-11-23T10:22:25+1:00",
        "-é",
        "3é",
    ] {
        let error = parse_when(text, NOW_S).expect_err(text).to_string();
        assert!(error.contains("-3h") && error.lines().count() == 1, "{error}");
    }
    let error = parse_when("a\nb", NOW_S).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
}

/// Durations are seconds, or numbers with units.
#[test]
fn durations() {
    for (text, expected_s) in
        [("90", 90.0), ("0.5", 0.5), (" 90s ", 90.0), ("5m", 300.0), ("1h30m", 5_400.0), ("0", 0.0)]
    {
        assert_eq!(parse_duration_s(text), Ok(expected_s), "{text}");
    }
    for text in ["", "-1", "-5m", "5 m", "1e3", "nan", "inf", "soon", "1h ago", "m", "."] {
        let error = parse_duration_s(text).expect_err(text).to_string();
        assert!(error.contains("1h30m") && error.lines().count() == 1, "{error}");
    }
}

/// Local times are read in the zone of the process: those that the clocks skipped with the offset
/// before, those that they showed twice as the first.
///
/// Run by [`zones_are_followed`] in several zones.
#[test]
fn local_times_are_those_of_the_zone() {
    let zone = TimeZone::system();
    let is = |text: String, local: DateTime| {
        let expected = local.to_zoned(zone.clone()).unwrap().timestamp();
        #[allow(clippy::cast_precision_loss)]
        let expected_s = expected.as_millisecond() as f64 / 1e3;
        assert_eq!(when(&text), Some(expected_s), "{text} in {zone:?}");
    };
    // Half an hour apart over a year, the changes of the clocks included.
    let mut local = DateTime::constant(2025, 12, 31, 0, 10, 5, 0);
    while local.year() < 2027 {
        is(local.to_string(), local);
        is(format!("{} {}", local.date(), local.time()), local);
        local = local.checked_add(30.minutes()).unwrap();
    }
    let mut day = local.date().yesterday().unwrap();
    for _ in 0..400 {
        is(day.to_string(), day.at(0, 0, 0, 0));
        day = day.yesterday().unwrap();
    }
    let today = Timestamp::from_second(1_795_425_745).unwrap().to_zoned(zone.clone()).date();
    is("14:30".into(), today.at(14, 30, 0, 0));
    is("00:00:00.5".into(), today.at(0, 0, 0, 500_000_000));
}

/// The same in zones with summer time, with odd offsets, and on either side of the date line.
#[test]
fn zones_are_followed() {
    for zone in [
        "UTC",
        "Europe/Berlin",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "America/Santiago", // its clocks skip midnight
        "Pacific/Kiritimati",
    ] {
        let arguments = ["--exact", "local_times_are_those_of_the_zone"];
        let program = std::env::current_exe().unwrap();
        let done = Command::new(program).args(arguments).env("TZ", zone).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && text.contains("1 passed"), "{zone}: {text}");
    }
}

proptest! {
    /// The timestamp of a record names the very moment that the record is compared by.
    #[test]
    fn timestamps_name_their_records(micros in -50_000_000_000_000_000_i64..250_000_000_000_000_000) {
        let instant = Timestamp::from_microsecond(micros).unwrap();
        let text = instant.to_string();
        prop_assert_eq!(when(&text), parse_epoch_s(text.as_bytes()));
        // A form which only the calendar library reads.
        let spaced = format!("{instant}[UTC]");
        prop_assert_eq!(when(&spaced), parse_epoch_s(text.as_bytes()));
    }

    /// No text makes it panic.
    #[test]
    fn any_text_is_taken(text in any::<String>(), likely in "[-@0-9.:TZ+smhdw ]{0,12}") {
        for text in [text, likely] {
            let _ = (parse_when(&text, NOW_S), parse_duration_s(&text));
        }
    }
}
