//! Which records and actions the conditions of a filter select.
#![allow(clippy::unwrap_used)]

mod read_support;

use inspect_trace_core::analyze::{DatedAction, Diagnosis, diagnose, scan_anomalies};
use std::time::Duration;

use inspect_trace_core::read::{Batch, Filter, FilterOptions, Records, WrongValue};
use inspect_trace_core::record::{Event, Name, parse_record};
use inspect_trace_core::store::ProcessStatus;
use proptest::prelude::*;
use read_support::{Log, action};

fn record(level: &str, more: &str) -> String {
    format!(
        r#"{{"timestamp": "2026-11-23T09:22:25.5+00:00", "level": "{level}", "message": "m"{more}}}"#
    )
}

/// Whether a record is wanted.
fn wants(options: &FilterOptions, line: &str) -> bool {
    let filter = Filter::of(options.clone()).unwrap();
    filter.matches(&parse_record(line.as_bytes()).unwrap())
}

fn level(level: &str) -> FilterOptions {
    FilterOptions { level: Some(level.into()), ..FilterOptions::default() }
}

/// Which of these levels a choice wants.
fn levels(choice: &str) -> String {
    let all =
        ["NOTSET", "DEBUG", "TRACE", "HTTP", "info", "Level 25", "WARN", "ERROR", "FATAL", "NEW"];
    let wanted = all.iter().filter(|name| wants(&level(choice), &record(name, "")));
    wanted.copied().collect::<Vec<_>>().join(" ")
}

/// A level wants itself and those above, with a `=` itself alone; one without a number only itself.
#[test]
fn levels_are_in_order() {
    for (choice, expected) in [
        ("NOTSET", "NOTSET DEBUG TRACE HTTP info Level 25 WARN ERROR FATAL"),
        ("trace", "TRACE HTTP info Level 25 WARN ERROR FATAL"),
        ("HTTP", "HTTP info Level 25 WARN ERROR FATAL"),
        ("Level 21", "Level 25 WARN ERROR FATAL"),
        ("30", "WARN ERROR FATAL"),
        ("WARNING", "WARN ERROR FATAL"),
        ("Critical", "FATAL"),
        ("=warning", "WARN"),
        ("=INFO", "info"),
        ("= level 25", "Level 25"),
        ("=50", "FATAL"),
        ("=51", ""),
        ("new", "NEW"),
        ("=New", "NEW"),
        ("other", ""),
    ] {
        assert_eq!(levels(choice), expected, "{choice}");
    }
    for empty in ["", " ", "="] {
        assert_eq!(Filter::of(level(empty)), Err(WrongValue::Level(empty.into())));
    }
}

/// Names of levels and actions are equal in whatever case and however they are escaped.
#[test]
fn names_ignore_case() {
    let actions = |names: &[&str]| FilterOptions {
        actions: names.iter().map(ToString::to_string).collect(),
        ..FilterOptions::default()
    };
    for (names, json, expected) in [
        (&["model"][..], r#""Model""#, true),
        (&["MODEL"], r#""Model""#, true),
        (&["tool", "model"], r#""Model""#, true),
        (&["mod"], r#""Model""#, false),
        (&["models"], r#""Model""#, false),
        (&["é x"], r#""\u00c9 X""#, true),
        (&["é x"], r#""É X""#, true),
        (&["\u{fffd}"], r#""\ud800""#, false),
        (&[""], r#""""#, true),
        (&["null"], "null", false),
        (&["1"], "1", false),
    ] {
        let line = record("TRACE", &format!(r#", "action": {json}"#));
        assert_eq!(wants(&actions(names), &line), expected, "{names:?} {json}");
    }
    assert!(!wants(&actions(&["model"]), &record("TRACE", "")));
    assert!(wants(&level("=\u{fc}ber"), &record(r"\u00dcBER", "")));
}

/// Samples and tasks are the record's own fields, exactly.
#[test]
fn samples_and_tasks_are_exact() {
    for (wanted, json, expected) in [
        ("s-1", r#""s-1""#, true),
        ("s-1", r#""s-12""#, false),
        ("s-1", r#""S-1""#, false),
        ("s-1", r#""s-\u0031""#, true),
        ("s-1", r#""s-\u0032""#, false),
        ("s/\n1", r#""s\/\n1""#, true),
        ("\u{1f600}é", r#""\ud83d\ude00\u00e9""#, true),
        ("\u{fffd}", r#""\ud83d""#, false),
        ("12", "12", true),
        ("12", r#""12""#, true),
        ("12", "12.0", false),
        ("12.50", "12.50", true),
        ("true", "true", true),
        ("NaN", "NaN", true),
        ("null", "null", false),
        ("[1]", "[1]", false),
        ("", r#""""#, true),
        ("", "null", false),
    ] {
        let line = record("INFO", &format!(r#", "sample_id": {json}, "task": "no""#));
        let samples = FilterOptions { samples: vec![wanted.into()], ..FilterOptions::default() };
        assert_eq!(wants(&samples, &line), expected, "{wanted} {json}");
        let line = record("INFO", &format!(r#", "sample_id": "no", "task": {json}"#));
        let tasks = FilterOptions {
            tasks: vec!["other".into(), wanted.into()],
            ..FilterOptions::default()
        };
        assert_eq!(wants(&tasks, &line), expected, "{wanted} {json}");
    }
    let samples = FilterOptions { samples: vec!["m".into()], ..FilterOptions::default() };
    assert!(!wants(&samples, &record("INFO", "")), "the message is not looked at");
    let repeated = record("INFO", r#", "sample_id": "m", "sample_id": "n""#);
    assert!(!wants(&samples, &repeated), "of repeated keys the last one counts");
}

/// Events and durations are those of action records.
#[test]
fn events_and_durations_are_of_action_records() {
    let events =
        FilterOptions { events: vec![Event::Exit, Event::Error], ..FilterOptions::default() };
    let long = FilterOptions { min_duration_s: Some(1.5), ..FilterOptions::default() };
    for (line, of_event, is_long) in [
        (action("exit", "a", r#", "duration": 1.5"#), true, true),
        (action("error", "a", r#", "duration": 1.4999"#), true, false),
        (action("error", "a", r#", "duration": null"#), true, false),
        (action("cancel", "a", r#", "duration": "2""#), false, true),
        (action("exit", "a", r#", "duration": NaN"#), true, false),
        (action("enter", "a", ""), false, false),
        (record("INFO", r#", "duration": 2, "event": "exit""#), false, false),
    ] {
        assert_eq!(wants(&events, line.trim_end()), of_event, "{line}");
        assert_eq!(wants(&long, line.trim_end()), is_long, "{line}");
    }
}

/// The first bound is part of the time asked for, the last one is not; unreadable timestamps are
/// in no time, bounded or not.
#[test]
fn times_are_compared_with_the_timestamp() {
    const MADE_S: f64 = 1_795_425_745.5;
    let line = record("INFO", "");
    let unreadable = line.replace("2026-11-23T", "yesterday ");
    for (since_s, until_s, expected) in [
        (Some(MADE_S), None, true),
        (Some(MADE_S + 1e-6), None, false),
        (None, Some(MADE_S), false),
        (None, Some(MADE_S + 1e-6), true),
        (Some(MADE_S), Some(MADE_S), false),
        (Some(0.0), Some(2e9), true),
    ] {
        let options = FilterOptions { since_s, until_s, ..FilterOptions::default() };
        assert_eq!(wants(&options, &line), expected, "{since_s:?} {until_s:?}");
        assert!(!wants(&options, &unreadable));
    }
}

/// Numbers that bound nothing are refused, in one line.
#[test]
fn wrong_numbers_are_refused() {
    let nan = Some(f64::NAN);
    for options in [
        FilterOptions { since_s: nan, ..FilterOptions::default() },
        FilterOptions { until_s: nan, ..FilterOptions::default() },
        FilterOptions { min_duration_s: nan, ..FilterOptions::default() },
        FilterOptions { min_duration_s: Some(-1.0), ..FilterOptions::default() },
    ] {
        let error = Filter::of(options).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

/// No conditions, in whatever way they are none, are the filter that wants everything.
#[test]
fn no_conditions_want_everything() {
    for options in [
        FilterOptions::default(),
        FilterOptions { message: Some(String::new()), ..FilterOptions::default() },
    ] {
        let filter = Filter::of(options).unwrap();
        assert!(filter.is_empty());
        assert_eq!(filter, Filter::default());
    }
    assert!(!Filter::of(level("INFO")).unwrap().is_empty());
}

/// The conditions one by one, to be left out in any combination.
fn conditions() -> Vec<FilterOptions> {
    let none = FilterOptions::default;
    vec![
        FilterOptions { message: Some("MODEL".into()), ..none() },
        FilterOptions { level: Some("=TRACE".into()), ..none() },
        FilterOptions { actions: vec!["model".into()], ..none() },
        FilterOptions { events: vec![Event::Exit], ..none() },
        FilterOptions { since_s: Some(100.0), ..none() },
        FilterOptions { until_s: Some(1e10), ..none() },
        FilterOptions { min_duration_s: Some(1.0), ..none() },
        FilterOptions { samples: vec!["1".into()], ..none() },
        FilterOptions { tasks: vec!["t".into()], ..none() },
    ]
}

proptest! {
    /// A record is wanted when each single condition wants it.
    #[test]
    fn all_conditions_have_to_hold(
        given in proptest::collection::vec(any::<bool>(), 9),
        held in proptest::collection::vec(any::<bool>(), 9),
    ) {
        let pick = |index: usize, good: &str, bad: &str| (if held[index] { good } else { bad }).to_owned();
        let line = format!(
            r#"{{"timestamp": "{}", "level": "{}", "message": "{}", "action": "{}", "event": "{}", "trace_id": "a", "duration": {}, "sample_id": {}, "task": "{}"}}"#,
            match (held[4], held[5]) {
                (true, true) => "2026-11-23T10:22:25+00:00",
                (false, _) => "1970-01-01T00:00:25+00:00",
                (true, false) => "2999-01-01T00:00:25+00:00",
            },
            pick(1, "TRACE", "INFO"),
            pick(0, "a model", "a tool"),
            pick(2, "Model", "Tool"),
            pick(3, "exit", "cancel"),
            pick(6, "1.5", "0.5"),
            pick(7, "1", "11"),
            pick(8, "t", "tt"),
        );
        let mut all = FilterOptions::default();
        let mut expected = true;
        for (mut one, _) in conditions().into_iter().zip(&given).filter(|(_, given)| **given) {
            expected &= wants(&one, &line);
            all.message = all.message.take().or(one.message.take());
            all.level = all.level.take().or(one.level.take());
            all.since_s = all.since_s.or(one.since_s);
            all.until_s = all.until_s.or(one.until_s);
            all.min_duration_s = all.min_duration_s.or(one.min_duration_s);
            all.actions.append(&mut one.actions);
            all.events.append(&mut one.events);
            all.samples.append(&mut one.samples);
            all.tasks.append(&mut one.tasks);
        }
        prop_assert_eq!(wants(&all, &line), expected);
    }
}

/// Streams of records have those that are wanted.
#[test]
fn streams_are_filtered() {
    let log = Log::plain(["DEBUG", "INFO", "ERROR"].map(|level| record(level, "") + "\n").concat());
    let mut records = Records::open(&log.path, &Filter::of(level("INFO")).unwrap()).unwrap();
    let Batch::Records(batch) = records.next_batch(Duration::from_secs(9)).unwrap() else {
        panic!("the log has records")
    };
    let levels: Vec<_> = batch.iter().map(|r| r.text(Name::Level).unwrap().into_owned()).collect();
    assert_eq!(levels, [b"INFO".to_vec(), b"ERROR".to_vec()]);
}

/// The timestamps of the actions below are these seconds after 2026-11-23T10:22:00Z.
const MINUTE_S: f64 = 1_795_429_320.0;

fn at(second: u32, line: &str) -> String {
    line.replace("10:22:25", &format!("10:22:{second:02}"))
}

/// Open from 10 s on; cancelled at 10 s to 20 s; failed at 30 s to 31 s; timed out at 40 s, begun
/// before the log.
fn actions() -> String {
    let start = |second: f64| format!(r#", "start_time": {}"#, MINUTE_S + second);
    [
        at(10, &action("enter", "open", &(start(10.0) + r#", "sample_id": 1"#))),
        at(10, &action("enter", "cancelled", &(start(10.0) + r#", "sample_id": 2"#))),
        at(20, &action("cancel", "cancelled", r#", "duration": 10, "sample_id": 2"#)),
        at(30, &action("enter", "failed", &(start(30.0) + r#", "sample_id": 1"#))),
        at(31, &action("error", "failed", r#", "duration": 1, "sample_id": 1"#)),
        at(40, &action("timeout", "late", r#", "duration": 100, "sample_id": 1"#)),
        at(40, &action("exit", "fine", r#", "duration": 100, "sample_id": 1"#)),
    ]
    .concat()
}

fn ids<'a>(diagnosis: impl IntoIterator<Item = &'a DatedAction>) -> Vec<String> {
    let id = |dated: &DatedAction| String::from_utf8_lossy(&dated.action.trace_id).into_owned();
    diagnosis.into_iter().map(id).collect()
}

fn all_ids(diagnosis: &Diagnosis) -> String {
    let Diagnosis { open, cancelled, errors, timeouts, .. } = diagnosis;
    ids([open, cancelled, errors, timeouts].into_iter().flatten()).join(" ")
}

/// The actions that are selected 60 s after the minute, when `alive` tells of their process.
fn selected(options: FilterOptions, alive: bool) -> String {
    let log = Log::plain(actions());
    let filter = Filter::of(options).unwrap();
    let process = ProcessStatus { pid: Some(1), alive: Some(alive) };
    let found = scan_anomalies(&log.path, &filter).unwrap();
    let mut diagnosis = Diagnosis::of(found, process, &|_| None, None, MINUTE_S + 60.0);
    diagnosis.select(&filter);
    all_ids(&diagnosis)
}

fn time(since: Option<f64>, until: Option<f64>) -> FilterOptions {
    FilterOptions {
        since_s: since.map(|second| MINUTE_S + second),
        until_s: until.map(|second| MINUTE_S + second),
        ..FilterOptions::default()
    }
}

/// Of anomalies some conditions choose records, the others actions when all is known of them.
#[test]
fn anomalies_are_selected_as_a_whole() {
    let none = FilterOptions::default;
    let everything = "open cancelled failed late";
    for (options, expected) in [
        (none(), everything),
        (level("TRACE"), everything),
        (level("INFO"), ""),
        (FilterOptions { samples: vec!["2".into()], ..none() }, "cancelled"),
        (FilterOptions { actions: vec!["MODEL".into()], ..none() }, everything),
        (FilterOptions { tasks: vec!["t".into()], ..none() }, ""),
        (FilterOptions { events: vec![Event::Enter], ..none() }, "open"),
        (FilterOptions { events: vec![Event::Error, Event::Timeout], ..none() }, "failed late"),
        (FilterOptions { events: vec![Event::Exit], ..none() }, ""),
        (FilterOptions { min_duration_s: Some(10.0), ..none() }, "open cancelled late"),
        (FilterOptions { min_duration_s: Some(50.0), ..none() }, "open late"),
        (time(Some(0.0), None), everything),
        (time(Some(20.0), None), everything),
        (time(Some(20.1), None), "open failed late"),
        (time(Some(40.1), None), "open"),
        (time(Some(60.1), None), ""),
        (time(None, Some(10.0)), ""),
        (time(None, Some(10.1)), "open cancelled"),
        (time(Some(12.0), Some(13.0)), "open cancelled"),
        (time(Some(39.0), Some(40.0)), "open"),
        (time(Some(39.0), Some(40.1)), "open late"),
        (FilterOptions { events: vec![Event::Enter], ..time(Some(60.1), None) }, ""),
    ] {
        assert_eq!(selected(options.clone(), true), expected, "{options:?}");
    }
}

/// An action that was cut off lasted until its process wrote last.
#[test]
fn interrupted_actions_end_with_their_process() {
    assert_eq!(selected(time(Some(40.0), None), true), "open late");
    assert_eq!(selected(time(Some(40.0), None), false), "open late");
    assert_eq!(selected(time(Some(40.1), None), false), "");
    let long = FilterOptions { min_duration_s: Some(30.1), ..FilterOptions::default() };
    assert_eq!(selected(long.clone(), true), "open late");
    assert_eq!(selected(long, false), "late");
}

/// What is selected of a log leaves what is told of its process as it is.
#[test]
fn the_end_of_the_log_stays_the_end() {
    let log = Log::new("trace-1.log.gz", read_support::gzip(actions()));
    let filter = Filter::of(time(None, Some(15.0))).unwrap();
    let diagnosis = diagnose(&log.path, &filter, MINUTE_S + 60.0).unwrap();
    assert_eq!(all_ids(&diagnosis), "open cancelled");
    assert_eq!(diagnosis.ended_at_s, Some(MINUTE_S + 40.0));
}
