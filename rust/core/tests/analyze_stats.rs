//! What the actions of logs amount to: the same however they are read, and what their records say.
#![allow(clippy::unwrap_used)]

mod scan_support;

use std::collections::{HashMap, HashSet};

use inspect_trace_core::analyze::By;
use inspect_trace_core::read::{Filter, FilterOptions, Log};
use inspect_trace_core::record::{Event, OwnedRecord};
use inspect_trace_core::render::{StatsReportOptions, stats_report};
use proptest::prelude::*;
use scan_support::{TempLog, any_gzip, any_log, any_way, in_series, print, with_threads};
use serde_json::{Value, json};

fn options() -> StatsReportOptions {
    StatsReportOptions {
        json: true,
        as_of_s: 1.8e9,
        slowest: 3,
        scan: with_threads(1, u64::MAX),
        ..StatsReportOptions::default()
    }
}

fn stats(logs: &[Log], filter: &Filter, options: &StatsReportOptions) -> Value {
    let report = stats_report(logs, filter, options).unwrap();
    serde_json::from_str(&print(report).0).unwrap()
}

fn stats_of(text: &str, options: &StatsReportOptions) -> Value {
    stats(&[TempLog::plain(text).whole()], &Filter::default(), options)
}

/// A line of an action, at second `at`.
fn line(event: &str, id: &str, at: u32, more: &str) -> String {
    format!(
        r#"{{"timestamp": "2026-11-23T10:22:{at:02}+00:00", "level": "TRACE", "message": "{id}", "event": "{event}", "trace_id": "{id}"{more}}}"#
    ) + "\n"
}

fn http(message: &str) -> String {
    format!(
        r#"{{"timestamp": "2026-11-23T10:22:25+00:00", "level": "HTTP", "message": "{message}"}}"#
    ) + "\n"
}

/// Of each kind of action: open ones and endings, counted one record after the other.
fn counted(records: &[OwnedRecord]) -> HashMap<Vec<u8>, [u64; 5]> {
    let mut counts: HashMap<Vec<u8>, [u64; 5]> = HashMap::new();
    let mut open: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for record in records {
        let Some(event) = record.event() else { continue };
        let action = record.action().unwrap().into_owned();
        let id = record.trace_id().unwrap().into_owned();
        if event == Event::Enter {
            open.insert(id, action);
            continue;
        }
        open.remove(&id);
        counts.entry(action).or_default()[event as usize] += 1;
    }
    for action in open.into_values() {
        counts.entry(action).or_default()[0] += 1;
    }
    counts
}

fn check_counts(found: &Value, records: &[OwnedRecord]) {
    let mut expected = counted(records);
    for row in found["actions"].as_array().unwrap() {
        let of = |key: &str| row[key].as_u64().unwrap();
        let told = [of("open"), of("exits"), of("cancels"), of("errors"), of("timeouts")];
        let name = row["action"].as_str().unwrap().as_bytes();
        assert_eq!(Some(told), expected.remove(name), "{row}");
        assert_eq!(of("count"), told.iter().sum::<u64>());
    }
    assert_eq!(expected, HashMap::new());
}

fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.div_ceil(8), ..config }
}

proptest! {
    #![proptest_config(config())]

    /// In whatever parts logs are read, they amount to the same: what their records tell one by one.
    #[test]
    fn parts_amount_to_the_whole(
        text in any_log(), (file, _) in any_gzip(), way in any_way(),
        by in prop::sample::select(By::ALL.to_vec()), needle in prop::option::of("[em]"),
        min_duration_s in prop::option::of(Just(1.0)), max_groups in 0_usize..4,
    ) {
        let logs = [TempLog::plain(&text), TempLog::compressed(&file)];
        for logs in [vec![logs[0].whole()], vec![logs[1].whole()], logs.iter().map(TempLog::whole).collect()] {
            let found = stats(&logs, &Filter::default(), &options());
            let records: Vec<_> = logs.iter().map(|log| in_series(&log.path).0).collect();
            if let [records] = &records[..] {
                check_counts(&found, records);
            }
            let asked = FilterOptions { message: needle.clone(), min_duration_s, ..Default::default() };
            let filter = Filter::of(asked).unwrap();
            let whole = StatsReportOptions { by, max_groups, ..options() };
            let parts = StatsReportOptions { scan: way, ..whole };
            prop_assert_eq!(stats(&logs, &filter, &parts), stats(&logs, &filter, &whole));
        }
    }

    /// Beyond the number of groups that are told apart, actions are counted together: those of the
    /// groups that came last.
    #[test]
    fn groups_are_bounded(names in prop::collection::vec(0_u8..6, 1..40), most in 0_usize..7, block_bytes in 100_u64..2000) {
        let text: String = names.iter().enumerate().map(|(at, name)| {
            line("exit", &at.to_string(), 0, &format!(r#", "action": "a{name}", "duration": {at}"#))
        }).collect();
        let scan = with_threads(2, block_bytes);
        let found = stats_of(&text, &StatsReportOptions { max_groups: most, scan, ..options() });
        let mut first_seen: Vec<u8> = Vec::new();
        for &name in &names {
            if !first_seen.contains(&name) {
                first_seen.push(name);
            }
        }
        let apart: HashSet<_> = first_seen.iter().take(most).map(|name| format!("a{name}")).collect();
        let rows = found["actions"].as_array().unwrap();
        let told: HashSet<_> = rows.iter().map(|row| row["action"].as_str().unwrap().to_owned()).collect();
        prop_assert_eq!(told, apart.clone());
        let others = names.iter().filter(|name| !apart.contains(&format!("a{name}"))).count();
        prop_assert_eq!(found["others"]["count"].as_u64().unwrap_or(0), others as u64);
    }
}

/// Counts, durations and rates of one kind of action, and the stretch of time it was in.
#[test]
fn an_action_is_counted_where_it_ended() {
    let more = |duration: f64| format!(r#", "action": "A", "detail": "d", "duration": {duration}"#);
    let text = [
        line("enter", "1", 1, r#", "action": "A""#),
        line("exit", "1", 2, &more(1.0)),
        line("error", "2", 3, &more(3.0)),
        line("timeout", "3", 4, &more(100.0)),
        line("cancel", "4", 5, &more(0.5)),
        line("enter", "5", 6, r#", "action": "A""#),
    ]
    .concat();
    let found = stats_of(&text, &options());
    let row = &found["actions"][0];
    let expected = json!({
        "action": "A", "count": 5, "open": 1, "exits": 1, "errors": 1, "timeouts": 1, "cancels": 1,
        "error_rate": 0.5, "total": 104.5, "mean": 26.125, "max": 100.0,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&row[key], value, "{key}");
    }
    let p50 = row["p50"].as_f64().unwrap();
    assert!((0.99..=1.01).contains(&p50), "{p50}");
    assert_eq!(row["over_time"].as_array().unwrap().len(), 24);
    let seconds = |key: &str| found[key].as_f64().unwrap();
    assert!((seconds("until") - seconds("since") - 3.0).abs() < 1e-6);
    assert_eq!(found["by"], json!("action"));
}

/// Of each record that is grouped by something, the group is what it says; the others have none.
#[test]
fn groups_are_what_records_say() {
    let more = |action: &str, detail: &str, rest: &str| {
        format!(r#", "action": "{action}", "detail": "{detail}", "duration": 1.0{rest}"#)
    };
    let text = [
        line(
            "exit",
            "1",
            1,
            &more("Model", "generate (openai/gpt (x))", r#", "task": "t", "host": "h1""#),
        ),
        line("exit", "2", 1, &more("Model", "generate", r#", "sample_id": 12"#)),
        line(
            "exit",
            "3",
            1,
            &more("Tool", "generate (no model)", r#", "sample_id": "12", "task": null"#),
        ),
    ]
    .concat();
    let groups = |by| {
        let found = stats_of(&text, &StatsReportOptions { by, ..options() });
        let rows = found["actions"].as_array().unwrap().clone();
        let name = |row: &Value| (row[by.as_str()].clone(), row["count"].as_u64().unwrap());
        rows.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(groups(By::Model), [(json!("generate"), 1), (json!("openai/gpt (x)"), 1)]);
    assert_eq!(groups(By::Task), [(json!(null), 2), (json!("t"), 1)]);
    assert_eq!(groups(By::Sample), [(json!("12"), 2), (json!(null), 1)]);
    assert_eq!(groups(By::Host), [(json!(null), 2), (json!("h1"), 1)]);
    assert_eq!(groups(By::Action), [(json!("Model"), 2), (json!("Tool"), 1)]);
    assert_eq!(groups(By::Detail).len(), 3);
}

/// The slowest come first, those that are equally slow as they stand in the logs, with their place.
#[test]
fn the_slowest_are_told_with_their_place() {
    let more = |id: u32, s: f64| {
        format!(r#", "action": "A", "detail": "d{id}", "duration": {s}, "sample_id": {id}"#)
    };
    let lines = [(1, 2.0), (2, 9.0), (3, 2.0), (4, 1.0)]
        .map(|(id, s)| line("exit", &id.to_string(), 1, &more(id, s)));
    let log = TempLog::plain(lines.concat());
    for block_bytes in [1, 200, 1 << 20] {
        let options =
            StatsReportOptions { slowest: 3, scan: with_threads(3, block_bytes), ..options() };
        let found = stats(&[log.whole()], &Filter::default(), &options);
        let told: Vec<_> = found["slowest"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["detail"].clone(), row["offset"].clone()))
            .collect();
        let second = lines[0].len();
        assert_eq!(
            told,
            [
                (json!("d2"), json!(second)),
                (json!("d1"), json!(0)),
                (json!("d3"), json!(second + lines[1].len()))
            ]
        );
        assert_eq!(found["slowest"][0]["sample_id"], json!(2));
        assert_eq!(found["slowest"][0]["trace_file"], json!(log.path.to_str().unwrap()));
    }
}

/// Requests are counted by status, retries and failures without one by themselves, and reports not.
#[test]
fn http_requests_are_counted_by_status() {
    let text = [
        http(r#"POST https://x/y \"HTTP/1.1 200 OK\" "#),
        http("POST https://x/y - 503"),
        http("POST https://x/y - 503"),
        http("openai/gpt-5 connection retry 3 (retrying in 24 seconds)"),
        http("Connection timed out"),
        http("[Throughput] openai/gpt-5: 12 out-tok/s, 3.0 retries/min"),
    ]
    .concat();
    let row = |status: Option<u16>, retry: bool, count: u64, failed: u64| json!({"status": status.map(f64::from), "retry": retry, "count": count, "failed": failed});
    let expected = [
        row(None, false, 1, 1),
        row(None, true, 1, 1),
        row(Some(200), false, 1, 0),
        row(Some(503), false, 2, 2),
    ];
    assert_eq!(stats_of(&text, &options())["http"], json!(expected));
}

/// Secrets are in no name and in none of the slowest, unless they are asked for.
#[test]
fn secrets_are_left_out() {
    let key = format!("sk-proj-{}", "Ab1".repeat(20));
    let filler = "x ".repeat(490);
    let text = line(
        "exit",
        "1",
        1,
        &format!(r#", "action": "A", "detail": "{filler} {key}", "duration": 1.0"#),
    );
    for redact in [true, false] {
        let options = StatsReportOptions { by: By::Detail, redact, ..options() };
        let shown = stats_of(&text, &options).to_string();
        assert_eq!(shown.contains("sk-proj-Ab1"), !redact, "{shown}");
    }
}

/// Without what was said groups and slow actions have short names, and what is no name is left out.
#[test]
fn what_was_said_is_left_out() {
    let long = "x".repeat(200);
    let said = r#""detail": "said", "error": "said", "error_type": "E", "host": "said""#;
    let of = |task: &str| {
        format!(r#", "action": "{long}", "task": {task}, "epoch": 2, "duration": 1.0, {said}"#)
    };
    let text = line("error", "1", 1, &of("\"t\\n\"")) + &line("error", "2", 2, &of("[\"said\"]"));
    let short = format!("{}…", "x".repeat(100));
    for by in By::ALL {
        let found = stats_of(&text, &StatsReportOptions { by, no_detail: true, ..options() });
        assert!(!found.to_string().contains("said"), "{found}");
        let names: HashSet<_> = found["actions"].as_array().unwrap().iter().collect();
        let names: HashSet<_> = names.iter().map(|row| row[by.as_str()].as_str()).collect();
        let expected = match by {
            By::Action => HashSet::from([Some(&*short)]),
            By::Task => HashSet::from([Some("t\\n"), None]),
            By::Model => HashSet::new(),
            _ => HashSet::from([None]),
        };
        assert_eq!(names, expected, "{by:?}");
        if by == By::Model {
            continue;
        }
        assert_eq!(
            found["slowest"][0],
            json!({
                "action": short, "event": "error", "duration": 1.0, "trace_id": "1", "task": "t\\n",
                "epoch": 2, "error_type": "E", "trace_file": found["trace_files"][0], "offset": 0,
            })
        );
        assert!(found["slowest"][1].get("task").is_none());
    }
}

/// Conditions on whole actions choose among those that ended and those that are open.
#[test]
fn filters_choose_actions() {
    let more = |duration: f64| format!(r#", "action": "A", "duration": {duration}"#);
    let text = [
        line("enter", "open", 1, r#", "action": "A", "start_time": 1700000000.0"#),
        line("exit", "short", 2, &more(1.0)),
        line("error", "long", 30, &more(20.0)),
    ]
    .concat();
    let log = TempLog::plain(&text);
    let counts = |filter: FilterOptions| {
        let found = stats(&[log.whole()], &Filter::of(filter).unwrap(), &options());
        let row = found["actions"].get(0).cloned().unwrap_or_default();
        ["open", "exits", "errors"].map(|key| row[key].as_u64().unwrap_or(0))
    };
    let asked = FilterOptions::default;
    assert_eq!(counts(FilterOptions { min_duration_s: Some(10.0), ..asked() }), [1, 0, 1]);
    assert_eq!(counts(FilterOptions { events: vec![Event::Enter], ..asked() }), [1, 0, 0]);
    // 10:22:05, when the long one had not begun, and the short one was over.
    assert_eq!(counts(FilterOptions { until_s: Some(1_795_429_325.0), ..asked() }), [1, 1, 0]);
    assert_eq!(counts(FilterOptions { since_s: Some(1_795_429_325.0), ..asked() }), [1, 0, 1]);
}

/// Tables fit the terminal, whatever actions are called, and say what they leave out.
#[test]
fn tables_fit_the_terminal() {
    let name = "A\u{1b}[31m very long name of an action ".repeat(9).replace('\u{1b}', "\\u001b");
    let text: String = (0..200)
        .map(|at| {
            line(
                "exit",
                &at.to_string(),
                at % 60,
                &format!(r#", "action": "{name}", "duration": {at}.5"#),
            )
        })
        .collect();
    for width in [60, 80, 200] {
        let style = inspect_trace_core::render::TableStyle { width: Some(width), color: false };
        let options = StatsReportOptions { json: false, style, ..options() };
        let log = TempLog::plain(&text);
        let shown = print(stats_report(&[log.whole()], &Filter::default(), &options).unwrap()).0;
        let table: Vec<_> = shown.lines().skip(2).take(2).collect();
        assert!(table.iter().all(|line| line.chars().count() <= width), "{shown}");
        assert!(table[0].contains("p99") && table[1].contains("200"), "{shown}");
        let figures = [
            "count", "open", "failed", "errors", "timeouts", "cancels", "total", "mean", "p50",
            "p90", "p99", "max",
        ];
        let left_out = shown.lines().find(|line| line.starts_with("No room for")).unwrap_or("");
        assert!(
            figures.iter().all(|figure| table[0].contains(figure) != left_out.contains(figure)),
            "{shown}"
        );
        assert_eq!(left_out.is_empty(), width == 200, "{shown}");
        assert!(!shown.contains('\u{1b}'));
    }
}
