//! What commands print: layouts, envelopes, tables.
#![allow(clippy::unwrap_used)]

mod read_support;

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use inspect_trace_core::analyze::Diagnosis;
use inspect_trace_core::analyze::scan_anomalies;
use inspect_trace_core::read::Filter;
use inspect_trace_core::render::{
    AnomaliesOptions, Diagnosed, DumpFormat, DumpOptions, ListOptions, TableStyle, anomalies_json,
    anomalies_report, anomalies_table, dump_report, list_report,
};
use inspect_trace_core::store::ProcessStatus;
use proptest::prelude::*;
use read_support::{Log, action, dump, line, print, whole};
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

const JSON_ARRAY: DumpOptions =
    DumpOptions { redact: false, no_detail: false, format: DumpFormat::JsonArray, limit: None };

const PIPE: TableStyle = TableStyle { width: None, color: false };

/// The array is laid out as `json.dumps(indent=2)` lays it out; nulls go, all else stays in order.
#[test]
fn arrays_are_indented() {
    let log = Log::plain(
        r#"{"timestamp": "t", "level": "L", "message": "m", "no": null, "in": {"a":[],"b" : { }, "c":[1,[2.50, null]]},"é\/": "\u00e9é"}"#
            .to_owned()
            + "\n"
            + &line("x"),
    );
    let expected = r#"[
  {
    "timestamp": "t",
    "level": "L",
    "message": "m",
    "in": {
      "a": [],
      "b": {},
      "c": [
        1,
        [
          2.50,
          null
        ]
      ]
    },
    "é\/": "\u00e9é"
  },
  {
    "timestamp": "2026-11-23T10:22:25.5+00:00",
    "level": "INFO",
    "message": "x"
  }
]
"#;
    assert_eq!(dump(&log.path, DumpFormat::JsonArray), expected);
}

/// A line each, without space, is what JSON Lines are.
#[test]
fn lines_are_compact() {
    let log = Log::plain(line("a b") + "\n" + &line("x").replace(r#""x""#, r#""x", "n": [1, 2]"#));
    assert_eq!(
        dump(&log.path, DumpFormat::JsonLines),
        r#"{"timestamp":"2026-11-23T10:22:25.5+00:00","level":"INFO","message":"a b"}
{"timestamp":"2026-11-23T10:22:25.5+00:00","level":"INFO","message":"x","n":[1,2]}
"#
    );
}

/// What strict JSON cannot say is said as near as it can: null, and the replacement character.
#[test]
fn dumps_are_strict() {
    let log = Log::plain(action(
        "exit",
        "t",
        r#", "duration": NaN, "x": [Infinity, -Infinity, 1e999, 1e9], "\ud800": "\udc00\ud83d\ude00""#,
    ));
    let text = dump(&log.path, DumpFormat::JsonLines);
    assert!(text.contains(r#""duration":null"#), "{text}");
    assert!(text.contains(r#""x":[null,null,null,1e9]"#), "{text}");
    assert!(text.contains(r#""\ufffd":"\ufffd\ud83d\ude00""#), "{text}");
    let _: Value = serde_json::from_str(&text).unwrap();
}

/// Times of action records are numbers; the same keys of other records stay what they are.
#[test]
fn times_of_actions_are_numbers() {
    let log = Log::plain(
        action("enter", "t", r#", "start_time": " 1_0.5", "duration": true, "line": "7""#)
            + &action("pause", "t", r#", "start_time": "1.5""#),
    );
    let text = dump(&log.path, DumpFormat::JsonLines);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].ends_with(r#""start_time":10.5,"duration":1.0,"line":"7"}"#), "{text}");
    assert!(lines[1].ends_with(r#""start_time":"1.5"}"#), "{text}");
}

/// Raw characters that could steer a terminal leave as escapes of the same value.
#[test]
fn dumps_do_not_steer_terminals() {
    let text =
        dump(&Log::plain(line("a\u{7f}\u{9b}\u{202e}é\u{e0041}")).path, DumpFormat::JsonLines);
    assert!(text.contains(r"a\u007f\u009b\u202eé\udb40\udc41"), "{text}");
}

/// Large logs come in chunks of bounded size, and the filter leaves chunks empty, not missing.
#[test]
fn dumps_come_in_chunks() {
    let log = Log::plain((line(&"x".repeat(1000)) + "\n").repeat(5000));
    for filter in [None, Some("y")] {
        let mut report =
            dump_report(&[whole(&log.path)], &Filter::new(filter), JSON_ARRAY).unwrap();
        let mut chunks = Vec::new();
        while let Some(chunk) = report.next_chunk().unwrap() {
            chunks.push(chunk);
        }
        assert!(chunks.len() >= 5 && chunks.iter().all(|chunk| chunk.len() < 2_000_000));
        let all: Value = serde_json::from_slice(&chunks.concat()).unwrap();
        assert_eq!(all.as_array().unwrap().len(), if filter.is_none() { 5000 } else { 0 });
    }
}

fn diagnosis(log: &Log, alive: Option<bool>) -> Diagnosis {
    let found = scan_anomalies(&log.path, &Filter::default()).unwrap();
    let process = ProcessStatus { pid: Some(4242), alive };
    Diagnosis::of(found, process, &|_| None, None, 1_795_429_355.0)
}

fn diagnosed(log: &Log, alive: Option<bool>) -> [Diagnosed; 1] {
    [Diagnosed { path: log.path.clone(), origin: None, diagnosis: diagnosis(log, alive) }]
}

fn json_of(log: &Log, alive: Option<bool>, as_of_s: f64) -> String {
    let options = AnomaliesOptions {
        redact: false,
        no_detail: false,
        show_all: false,
        limit: None,
        json: true,
        as_of_s,
        style: PIPE,
    };
    anomalies_json(&diagnosed(log, alive), false, &options)
}

fn table_of(log: &Log, alive: Option<bool>, show_all: bool, style: TableStyle) -> String {
    let options = AnomaliesOptions {
        redact: false,
        no_detail: false,
        show_all,
        limit: None,
        json: false,
        as_of_s: 0.0,
        style,
    };
    anomalies_table(&diagnosed(log, alive), false, &options)
}

fn mixed_log() -> Log {
    let start = |offset: u32| format!(r#", "start_time": {}.25"#, 1_795_429_300 + offset);
    Log::plain(
        action(
            "enter",
            "open",
            &(start(1) + r#", "task": {"b":1}, "sample_id": "é", "epoch": 2, "parent_id": "p""#),
        ) + &action("enter", "c", &start(2))
            + &action("cancel", "c", r#", "duration": 1.5"#)
            + &action("enter", "e", &start(3))
            + &action(
                "error",
                "e",
                r#", "duration": 2.346, "error": "boom\nnext", "error_type": "ValueError", "stacktrace": "S""#,
            )
            + &action("enter", "t", &start(4))
            + &action("timeout", "t", r#", "duration": NaN"#),
    )
}

/// The JSON has the reference's envelope and rows, and what is added to them.
#[test]
fn anomalies_json_is_an_envelope() {
    let log = mixed_log();
    let text = json_of(&log, Some(true), 1_795_429_355.0);
    assert!(text.is_ascii());
    let value: Value = serde_json::from_str(&text).unwrap();
    let laid_out = serde_json::to_string_pretty(&value).unwrap() + "\n";
    assert_eq!(text, laid_out.replace('é', "\\u00e9"));
    let keys: Vec<_> = value.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["trace_file", "as_of", "running", "cancelled", "errors", "timeouts", "process"]
    );
    assert_eq!(
        value["running"],
        serde_json::json!([{
            "action": "Model", "detail": "d", "start_time": 1_795_429_301.25, "duration": 53.75,
            "trace_id": "open", "parent_id": "p", "task": {"b": 1}, "sample_id": "é", "epoch": 2,
            "interrupted": false,
        }])
    );
    assert_eq!(
        value["errors"][0],
        serde_json::json!({
            "action": "Model", "detail": "d", "start_time": 1_795_429_303.25, "duration": 2.346,
            "error": "boom\nnext", "error_type": "ValueError", "trace_id": "e",
        })
    );
    assert_eq!(value["timeouts"][0]["duration"], Value::Null);
    assert_eq!(value["process"], serde_json::json!({"pid": 4242, "alive": true, "ended_at": null}));
}

/// A log with an action inside another, one whose outer action is not there, and two around each
/// other.
fn nested_log() -> Log {
    let sample = r#", "task": "t", "sample_id": "s\u001b", "epoch": 2, "parent_id": "outer""#;
    Log::plain(
        action("enter", "outer", "").replace("Model", "Tool Call")
            + &action("enter", "inner", sample)
            + &action("enter", "alone", r#", "parent_id": "gone""#)
            + &action("enter", "a", r#", "parent_id": "b""#)
            + &action("enter", "b", r#", "parent_id": "a""#),
    )
}

/// An open action tells what encloses it, as far as that is in the log and open, and no further
/// than makes sense.
#[test]
fn open_actions_tell_what_encloses_them() {
    let log = nested_log();
    let text = json_of(&log, None, 1.0);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&value).unwrap() + "\n");
    let enclosing = |id: &str| {
        let rows = value["running"].as_array().unwrap();
        rows.iter().find(|row| row["trace_id"] == id).unwrap()["enclosing"].clone()
    };
    assert_eq!(
        enclosing("inner"),
        serde_json::json!([{"action": "Tool Call", "detail": "d", "trace_id": "outer"}])
    );
    assert_eq!((enclosing("outer"), enclosing("alone")), (Value::Null, Value::Null));
    assert_eq!(enclosing("a").as_array().unwrap().len(), 16);
}

/// Below an open action's row stand its task, its sample and what encloses it, each on a line that
/// is set in and steers nothing.
#[test]
fn tables_tell_where_open_actions_are() {
    let table = table_of(&nested_log(), None, false, PIPE);
    let lines: Vec<_> = table.lines().collect();
    let at = lines.iter().position(|line| line.contains("of task")).unwrap();
    assert_eq!(lines[at], "    of task t, sample s\\x1b, epoch 2");
    assert_eq!(lines[at + 1], "    in Tool Call: d");
    assert!(lines[at - 1].starts_with("Model"));
}

/// Last come the frames in which it was seen to wait; of an action that has ended there are none.
#[test]
fn tables_tell_where_open_actions_wait() {
    let stall = |id| {
        let stack = r#"[{"file": "m.py", "line": 7, "function": "f"}]"#;
        format!(
            r#"{{"timestamp": "2026-11-23T10:22:26+00:00", "level": "TRACE", "message": "m", "event": "stall", "trace_id": "{id}", "stack": {stack}}}"#
        ) + "\n"
    };
    let log = Log::plain(
        action("enter", "open", r#", "task": "t""#)
            + &stall("open")
            + &action("enter", "cancelled", "")
            + &stall("cancelled")
            + &action("cancel", "cancelled", ""),
    );
    let table = table_of(&log, None, false, PIPE);
    assert_eq!(table.matches("    of task t\n    at f (m.py:7)\n").count(), 1, "{table}");
    assert_eq!(table.matches("m.py").count(), 1, "{table}");
}

/// Interrupted actions stand among the running ones in JSON, dated to the log's last write.
#[test]
fn interrupted_actions_say_so_in_json() {
    let log = mixed_log();
    let text = json_of(&log, Some(false), 2e9);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["running"][0]["interrupted"], true);
    assert_eq!(value["running"][0]["duration"], 43.75);
    assert_eq!(value["process"]["ended_at"], 1_795_429_345.0);
}

/// Buckets without actions are empty lists.
#[test]
fn empty_buckets_are_empty_lists() {
    let log = Log::plain("");
    let text = json_of(&log, None, 1.0);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&value).unwrap() + "\n");
    assert_eq!(value["process"]["alive"], Value::Null);
}

/// Without a detail the message stands in.
#[test]
fn the_message_stands_in_for_the_detail() {
    let log = Log::plain(action("enter", "a", "").replace(r#""detail": "d", "#, ""));
    let text = json_of(&log, None, 1.0);
    assert!(text.contains(r#""detail": "Model: d (enter)""#));
}

/// Tables have a heading for each sort there is; errors and timeouts only on demand.
#[test]
fn tables_have_sections() {
    let log = mixed_log();
    let headings = |alive, show_all| -> Vec<String> {
        let text = table_of(&log, alive, show_all, PIPE);
        text.lines().filter(|line| line.contains(" Actions")).map(str::to_owned).collect()
    };
    assert_eq!(headings(None, false), ["Running Actions", "Cancelled Actions"]);
    assert_eq!(
        headings(Some(true), true),
        ["Running Actions", "Cancelled Actions", "Error Actions", "Timeout Actions"]
    );
    assert_eq!(headings(Some(false), false), ["Interrupted Actions", "Cancelled Actions"]);
}

/// Of a process that has ended the table says when it wrote last.
#[test]
fn the_end_of_the_process_is_told() {
    let log = mixed_log();
    let text = table_of(&log, Some(false), false, PIPE);
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with("Process 4242 ended at ") && line.ends_with('.'), "{text}");
    for alive in [None, Some(true)] {
        let text = table_of(&log, alive, false, PIPE);
        assert!(!text.contains("ended at"), "{text}");
    }
}

/// In a pipe a row is a line: action, duration, detail with error, start.
#[test]
fn piped_rows_are_lines() {
    let log = mixed_log();
    let text = table_of(&log, None, true, PIPE);
    assert!(text.starts_with(&format!("TRACE: {}\n\nRunning Actions\n", log.path.display())));
    let row = text.lines().find(|line| line.contains("boom")).unwrap();
    assert!(row.starts_with("Model  2.35s  d boom ↵ next  "), "{row}");
    let clock = row.rsplit("  ").next().unwrap();
    assert!(clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':' && clock.len() > 9);
    assert!(!text.contains('\u{1b}'));
}

/// Colour is for headings, and only when asked for.
#[test]
fn headings_are_bold_when_asked() {
    let log = mixed_log();
    let style = TableStyle { width: Some(80), color: true };
    let text = table_of(&log, None, false, style);
    assert!(text.contains("\u{1b}[1mRunning Actions\u{1b}[0m\n"));
    assert_eq!(text.matches('\u{1b}').count(), 6);
}

/// Nothing to report is said in a sentence, which names the option that may show more.
#[test]
fn nothing_to_report_is_said() {
    let log = Log::plain(action("enter", "a", "") + &action("error", "a", ""));
    let text = table_of(&log, None, false, PIPE);
    assert!(text.contains("--all"), "{text}");
    let log = Log::plain(action("enter", "a", "") + &action("exit", "a", ""));
    let text = table_of(&log, None, true, PIPE);
    assert!(text.contains("ended well"), "{text}");
}

/// Text of the log can neither forge a row nor steer the terminal, and markup means nothing.
#[test]
fn logged_text_forges_nothing() {
    let detail =
        r"[red]x[/bold]\n\nCancelled Actions\nModel  1.00s\u001b]8;;http://e\u0007\u202e\r\u2028";
    let log = Log::plain(action("enter", "a", "").replace(r#""d""#, &format!("\"{detail}\"")));
    for width in [None, Some(40), Some(500)] {
        let style = TableStyle { width, color: false };
        let text = table_of(&log, None, false, style);
        assert!(text.contains("[red]x[/bold]"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("Cancelled")), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text}");
    }
}

/// Times that no clock can show are a dash.
#[test]
fn absurd_times_are_a_dash() {
    let log = ["NaN", "1e300", "-1e300", "Infinity", "null"]
        .map(|start| action("enter", start, &format!(r#", "start_time": {start}"#)))
        .concat();
    let log = Log::plain(log);
    let text = table_of(&log, None, false, PIPE);
    assert_eq!(text.lines().filter(|line| line.ends_with("  -")).count(), 5, "{text}");
}

/// The report prints what the functions give, and then what was skipped.
#[test]
fn the_report_is_the_table_or_the_json() {
    let log = Log::plain(action("enter", "a", "") + "nonsense\n");
    for json in [false, true] {
        let options = AnomaliesOptions {
            redact: false,
            no_detail: false,
            show_all: false,
            limit: None,
            json,
            as_of_s: 7.0,
            style: PIPE,
        };
        let report = anomalies_report(&[whole(&log.path)], &Filter::default(), &options).unwrap();
        let (text, note) = print(report);
        assert_eq!(text.starts_with('{'), json);
        assert!(text.contains(if json { "\"as_of\": 7.0" } else { "TRACE: " }));
        assert!(note.unwrap().contains("skipped 1 line (line 2, "));
    }
}

/// What is listed of a directory.
fn listed(directory: &Path, json: bool, style: TableStyle) -> String {
    let options =
        ListOptions { long: false, no_detail: false, json, as_of_s: 1_795_429_400.0, style };
    print(list_report(directory, options).unwrap()).0
}

fn directory_with_logs() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text = line("first") + "\n" + &line(r#"last", "task": "t\u001b[2J"#) + "\n";
    for (name, text, epoch_s) in [
        ("trace-4194305.log", text.as_str(), 1_795_429_345_u64),
        ("a b\u{1b}[2J.log.gz", "", 1_795_429_300),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let modified = UNIX_EPOCH + Duration::from_secs(epoch_s);
        std::fs::File::open(path).unwrap().set_modified(modified).unwrap();
    }
    directory
}

/// The listing has the reference's keys first, and more.
#[test]
fn listings_are_json() {
    let directory = directory_with_logs();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let text = listed(directory.path(), true, PIPE);
    let value: Value = serde_json::from_str(&text).unwrap();
    let first_s = value[0]["started_at"].as_f64().unwrap();
    assert!(value[0].as_object().unwrap().keys().take(2).eq(["file", "mtime"]));
    assert_eq!(
        value,
        serde_json::json!([
            {"file": path("trace-4194305.log"), "mtime": 1_795_429_345.0,
             "size": std::fs::metadata(path("trace-4194305.log")).unwrap().len(), "pid": 4_194_305,
             "alive": false, "run_id": null, "is_child": false, "parts": 0, "command": null,
             "task": "t\u{1b}[2J", "started_at": first_s, "ended_at": first_s, "duration_s": 0.0},
            {"file": path("a b\u{1b}[2J.log.gz"), "mtime": 1_795_429_300.0, "size": 0, "pid": null,
             "alive": false, "run_id": null, "is_child": false, "parts": 0, "command": null,
             "task": null, "started_at": null, "ended_at": 1_795_429_300.0, "duration_s": null},
        ])
    );
    assert_eq!(listed(&directory.path().join("none"), true, PIPE), "[]\n");
}

/// The table shows paths ready for a shell, and is safe to print.
#[test]
fn listings_are_tables() {
    let directory = directory_with_logs();
    let text = listed(directory.path(), false, PIPE);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("Time") && lines[0].contains("  Trace File  "));
    assert!(lines[1].contains("-Nov ") && lines[1].ends_with("  task t\\x1b[2J"), "{text}");
    assert!(lines[2].contains("/a b\\x1b[2J.log.gz'  ended "), "{text}");
    let narrow = listed(directory.path(), false, TableStyle { width: Some(60), color: false });
    let table = narrow.lines().skip(2).take(3);
    assert!(table.clone().all(|line| line.width() <= 60), "{narrow}");
    assert!(table.skip(2).all(|line| line.contains("  'a b\\x1b[2J.log.gz'  ")), "{narrow}");
    assert_eq!(listed(&directory.path().join("none"), false, PIPE), "No trace files.\n");
}

proptest! {
    /// On a terminal no line is wider than it (from 70 columns on), and no text is lost.
    #[test]
    fn tables_fit_the_terminal(
        details in proptest::collection::vec("[a-z 日é👩\u{200d}\u{301}]{0,120}", 1..5),
        width in 70_usize..120,
    ) {
        let log: String = details.iter().enumerate().map(|(index, detail)| {
            let detail = serde_json::to_string(&format!("x{detail}y")).unwrap();
            action("enter", &index.to_string(), r#", "start_time": 5"#).replace(r#""d""#, &detail)
        }).collect();
        let log = Log::plain(log);
        let style = TableStyle { width: Some(width), color: false };
        let text = table_of(&log, None, false, style);
        for line in text.lines().skip(1) {
            prop_assert!(line.width() <= width, "{} > {width}: {line:?}", line.width());
        }
        let squeezed = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let piped = table_of(&log, None, false, PIPE);
        for detail in &details {
            let shown = squeezed(&format!("x{detail}y"));
            prop_assert!(squeezed(&piped).contains(&shown));
        }
        prop_assert_eq!(piped.lines().count(), details.len() + 3);
        let letters = |text: &str| {
            let mut letters: Vec<_> = squeezed(text).chars().collect();
            letters.sort_unstable();
            letters
        };
        prop_assert_eq!(letters(&text), letters(&piped));
    }
}
