//! What a live view looks like: the screen, which fits, and the lines that tell of changes.
#![allow(clippy::unwrap_used)]

mod follow_support;
mod live_support;
mod read_support;
mod store_support;

use std::fs;
use std::path::PathBuf;

use follow_support::append;
use inspect_trace_core::analyze::{LiveChoice, LivePlace, LiveView};
use inspect_trace_core::read::Filter;
use inspect_trace_core::render::{
    LiveChanges, LiveFormat, TableStyle, live_details, live_frame, live_records,
};
use live_support::{look, read, view};
use proptest::prelude::*;
use read_support::action;
use store_support::{Dir, Helper, eventually};

/// Serves as the helper process of the other test.
#[test]
fn helper() {
    store_support::helper_main();
}

fn log(dir: &Dir, lines: &[String]) -> PathBuf {
    fs::create_dir_all(dir.path()).unwrap();
    fs::write(dir.at("x.log"), lines.concat()).unwrap();
    dir.at("x.log")
}

fn entered(id: &str, start_s: u32, more: &str) -> String {
    action("enter", id, &format!(", \"start_time\": {start_s}{more}"))
}

const STALL: &str = r#"{"timestamp": "2026-11-23T10:22:25+00:00", "level": "TRACE", "message": "m", "event": "stall", "trace_id": "b", "duration": 60.0, "stack": [{"file": "/a/b.py", "line": 7, "function": "f"}]}
"#;

/// A screen tells what runs, where it waits, and what there is to count; what has no room is counted.
#[test]
fn a_screen() {
    let dir = Dir::new();
    let lines = [
        entered("a", 100, ", \"sample_id\": \"s\""),
        entered("b", 160, ", \"parent_id\": \"a\""),
        STALL.to_owned(),
        action("enter", "c", ", \"start_time\": 1").replace("Model", "Tool"),
        action("exit", "c", ", \"duration\": 2.0").replace("Model", "Tool"),
    ];
    let mut view = view(LivePlace::Log(log(&dir, &lines)));
    look(&mut view);
    let snapshot = view.snapshot(220.0, &LiveChoice::default());
    let style = TableStyle { width: Some(80), color: false };
    let text = live_frame(&snapshot, 24, style);
    let lines: Vec<_> = text.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "",
            "Running Actions",
            "Model    2m 00s  d",
            "    of sample s",
            "Model    1m 00s  d",
            "    in Model: d",
            "    at f (/a/b.py:7)",
            "",
            "Action   open     done failed cancelled  per s     p50     p99",
            "Model       2        0      0         0      0       -       -",
            "Tool        0        1      0         0      0    2.0s    2.0s",
        ]
    );
    let small: Vec<_> =
        live_frame(&snapshot, 6, style).lines().skip(4).map(str::to_owned).collect();
    assert_eq!(small, ["Model    2m 00s  d", "... and 1 more"]);
    let details = live_details(&snapshot, &snapshot.open[1]);
    assert!(
        details.contains("\nin Model: d\n") && details.contains("\n  f (/a/b.py:7)\n"),
        "{details}"
    );
    let (records, _) =
        read_support::print(live_records(&snapshot, &snapshot.open[0], None, true).unwrap());
    let ids: Vec<_> = records.lines().map(|line| line.contains("\"trace_id\":\"b\"")).collect();
    assert_eq!(ids, [false, true], "{records}");
}

proptest! {
    /// However many actions there are, whatever they are called, and however small the terminal is, a
    /// screen fits it, and no text steers it.
    #[test]
    fn screens_fit(
        details in prop::collection::vec("\\PC{0,90}|[\\x00-\\x1f]{0,4}|[a-z ]{150}", 0..30),
        lines in 1_usize..40,
        width in 20_usize..160,
    ) {
        let dir = Dir::new();
        let lines_of: Vec<_> = details.iter().enumerate().map(|(index, detail)| {
            let detail = serde_json::to_string(detail).unwrap();
            entered(&index.to_string(), 1, "")
                .replace("\"Model\"", &detail)
                .replace("\"detail\": \"d\"", &format!("\"detail\": {detail}"))
        }).collect();
        let mut view = view(LivePlace::Log(log(&dir, &lines_of)));
        let snapshot = look(&mut view);
        prop_assert_eq!(snapshot.running, details.len());
        let text = live_frame(&snapshot, lines, TableStyle { width: Some(width), color: false });
        prop_assert!(text.lines().count() <= lines, "{text}");
        for line in text.lines() {
            prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{line}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

fn changes(view: &mut LiveView, changes: &mut LiveChanges, as_of_s: f64) -> Vec<serde_json::Value> {
    read(view);
    let lines = changes.lines(&view.snapshot(as_of_s, &LiveChoice::default()));
    let text = String::from_utf8(lines).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn told(changes: &[serde_json::Value]) -> Vec<String> {
    let text = |change: &serde_json::Value, name| {
        change.get(name).map(|value| format!(" {value}").replace('"', "")).unwrap_or_default()
    };
    let of = |change| ["change", "trace_id", "outcome"].map(|name| text(change, name)).concat();
    changes.iter().map(of).collect()
}

/// An action is told once when it has been open for long, and once when it has ended or its process
/// has; short ones are not.
#[test]
fn changes_are_told_once() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    append(&path, entered("a", 100, "") + &entered("b", 150, ""));
    let options =
        inspect_trace_core::analyze::LiveOptions { min_ended_s: Some(60.0), ..Default::default() };
    let places = vec![LivePlace::Log(path.clone())];
    let mut view = LiveView::open(places, &Filter::default(), options).unwrap();
    let mut json = LiveChanges::new(LiveFormat::JsonLines, 60.0);
    assert_eq!(told(&changes(&mut view, &mut json, 170.0)), [" watching", " running a"]);
    assert!(changes(&mut view, &mut json, 190.0).is_empty());
    assert_eq!(told(&changes(&mut view, &mut json, 211.0)), [" running b"]);
    append(&path, entered("c", 200, "") + &entered("d", 200, ""));
    assert!(changes(&mut view, &mut json, 212.0).is_empty());
    append(&path, action("exit", "d", ", \"duration\": 13"));
    append(&path, action("timeout", "a", ", \"duration\": 112, \"error\": \"no\""));
    let found = changes(&mut view, &mut json, 213.0);
    assert_eq!(told(&found), [" ended a timeout"]);
    assert_eq!((&found[0]["duration"], &found[0]["error"]), (&112.0.into(), &"no".into()));
    let pid = helper.pid();
    drop(helper.kill());
    eventually("the death", || {
        read(&mut view);
        view.is_over()
    });
    let mut found = changes(&mut view, &mut json, 214.0);
    let last = found.pop().unwrap();
    assert_eq!((&last["change"], &last["pid"]), (&"process_ended".into(), &pid.into()));
    let mut found = told(&found);
    found.sort();
    assert_eq!(found, [" interrupted b", " interrupted c"]);
    assert!(changes(&mut view, &mut json, 215.0).is_empty());
}

/// The lines for people say the same.
#[test]
fn changes_in_words() {
    let dir = Dir::new();
    let lines =
        [entered("a", 100, ", \"sample_id\": 7"), entered("b", 110, ", \"parent_id\": \"a\"")];
    let path = log(&dir, &lines);
    let mut view = view(LivePlace::Log(path.clone()));
    let mut text = LiveChanges::new(LiveFormat::Text, 60.0);
    let mut lines = |view: &mut LiveView, as_of_s| {
        read(view);
        let lines = text.lines(&view.snapshot(as_of_s, &LiveChoice::default()));
        let lines = String::from_utf8(lines).unwrap();
        // Without the time of day.
        lines
            .lines()
            .map(|line| line[line.find("  ").unwrap() + 2..].to_owned())
            .collect::<Vec<_>>()
    };
    let path_text = path.display().to_string();
    assert_eq!(
        lines(&mut view, 170.0),
        [
            format!(
                "watching     {path_text}: 2 running; told are those that are open for 1m 00s or longer"
            ),
            "running       1m 10s  Model: d (sample 7)".to_owned(),
            "running       1m 00s  Model: d (in Model: d)".to_owned(),
        ]
    );
    append(&path, action("error", "b", ", \"duration\": 62, \"error\": \"no\\nway\""));
    let ended = lines(&mut view, 171.0);
    assert_eq!(ended, ["failed        1m 02s  Model: d - no ↵ way"]);
}
