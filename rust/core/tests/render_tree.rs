//! The tree of actions, as JSON and as text.
#![allow(clippy::unwrap_used)]

mod read_support;

use inspect_trace_core::read::{Filter, FilterOptions, ScanOptions};
use inspect_trace_core::record::Event;
use inspect_trace_core::render::{TreeOptions, tree_report};
use proptest::prelude::*;
use read_support::{Log, print};
use serde_json::{Value, json};

/// A line about the action `id`: `enter` at second `at`, or its end then.
fn line(event: &str, id: &str, parent: Option<&str>, at: u32, more: &str) -> String {
    let parent = parent.map_or_else(String::new, |id| format!(r#", "parent_id": "{id}""#));
    let time = if event == "enter" {
        format!(r#""start_time": {}"#, 1_000_000_000 + at)
    } else {
        r#""duration": 1.5"#.to_owned()
    };
    format!(
        r#"{{"timestamp": "2001-09-09T01:{:02}:{:02}+00:00", "level": "TRACE", "message": "{id}", "action": "A{id}", "detail": "d", "event": "{event}", "trace_id": "{id}", {time}{parent}{more}}}"#,
        46 + (40 + at) / 60,
        (40 + at) % 60,
    ) + "\n"
}

fn options() -> TreeOptions {
    TreeOptions { json: true, as_of_s: 1_000_000_100.0, ..TreeOptions::default() }
}

fn tree(text: &str, filter: &Filter, options: &TreeOptions) -> Value {
    let log = Log::plain(text);
    let report = tree_report(&[log.whole()], filter, options).unwrap();
    serde_json::from_str(&print(report).0).unwrap()
}

/// Depth, id and outcome of each row.
fn rows(tree: &Value) -> Vec<(u64, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = tree["actions"].as_array().unwrap().iter();
    rows.map(|row| (row["depth"].as_u64().unwrap(), text(&row["trace_id"]), text(&row["outcome"])))
        .collect()
}

fn expect(expected: &[(u64, &str, &str)]) -> Vec<(u64, String, String)> {
    expected.iter().map(|&(depth, id, how)| (depth, id.to_owned(), how.to_owned())).collect()
}

fn nested() -> String {
    [
        line("enter", "eval", None, 0, ""),
        line("enter", "a", Some("eval"), 1, ""),
        line("enter", "hangs", Some("a"), 2, ""),
        line("enter", "b", Some("eval"), 3, ""),
        line("enter", "c", Some("b"), 3, ""),
        line("error", "c", Some("b"), 4, r#", "error": "no", "error_type": "E""#),
        line("exit", "b", Some("eval"), 5, ""),
        line("enter", "other", None, 6, ""),
        line("timeout", "other", None, 7, ""),
    ]
    .concat()
}

/// Actions stand below those that they are in, finished ones first, and outermost ones that are over
/// before all that are not.
#[test]
fn actions_are_nested() {
    let found = tree(&nested(), &Filter::default(), &options());
    let expected = [
        (0, "other", "timeout"),
        (0, "eval", "running"),
        (1, "b", "exit"),
        (2, "c", "error"),
        (1, "a", "running"),
        (2, "hangs", "running"),
    ];
    assert_eq!(rows(&found), expect(&expected));
    assert_eq!(found["actions"][5]["duration"], json!(98.0));
    assert_eq!(found["actions"][3]["error"], json!("no"));
    assert_eq!(found["actions"][3]["nested_by"], json!("parent_id"));
}

/// With `running`, only what leads to unfinished actions is left.
#[test]
fn running_shows_the_chains() {
    let running = TreeOptions { running: true, ..options() };
    let found = tree(&nested(), &Filter::default(), &running);
    let expected = [(0, "eval", "running"), (1, "a", "running"), (2, "hangs", "running")];
    assert_eq!(rows(&found), expect(&expected));
}

/// A filter chooses actions, and those around them are shown too, and say so.
#[test]
fn what_is_chosen_is_shown_where_it_is() {
    let events = FilterOptions { events: vec![Event::Error], ..FilterOptions::default() };
    let found = tree(&nested(), &Filter::of(events).unwrap(), &options());
    let expected = [(0, "eval", "running"), (1, "b", "exit"), (2, "c", "error")];
    assert_eq!(rows(&found), expect(&expected));
    let chosen: Vec<_> =
        found["actions"].as_array().unwrap().iter().map(|row| row["chosen"] == true).collect();
    assert_eq!(chosen, [false, false, true]);
}

/// An action that is still open keeps the one around it back, and one whose beginning is not in the
/// log is shown.
#[test]
fn what_outlives_is_kept_together() {
    let text = [
        line("exit", "early", Some("gone"), 0, ""),
        line("enter", "p", None, 1, ""),
        line("enter", "q", Some("p"), 2, ""),
        line("exit", "p", None, 3, ""),
        line("enter", "late", Some("p"), 4, ""),
        line("exit", "late", Some("p"), 5, ""),
    ]
    .concat();
    let found = tree(&text, &Filter::default(), &options());
    let expected =
        [(0, "early", "exit"), (0, "late", "exit"), (0, "p", "exit"), (1, "q", "running")];
    assert_eq!(rows(&found), expect(&expected));
}

/// Without names of parents, actions of one sample are nested by time: not those of other samples, not
/// those of the same kind, and not those that outlive what they began in.
#[test]
fn the_reference_is_nested_by_time() {
    let sample = |id: &str| format!(r#", "sample_id": "{id}""#);
    let text = [
        line("enter", "tool", None, 0, &sample("1")),
        line("enter", "other", None, 1, &sample("2")),
        line("enter", "sub", None, 1, &sample("1")),
        line("enter", "none", None, 1, ""),
        line("exit", "sub", None, 2, &sample("1")),
        line("enter", "outlives", None, 3, &sample("1")),
        line("exit", "tool", None, 4, &sample("1")),
        line("exit", "outlives", None, 5, &sample("1")),
        line("enter", "x1", None, 6, &sample("3")).replace("Ax1", "Model"),
        line("enter", "x2", None, 6, &sample("3")).replace("Ax2", "Model"),
    ]
    .concat();
    let found = tree(&text, &Filter::default(), &options());
    let expected = [
        (0, "tool", "exit"),
        (1, "sub", "exit"),
        (0, "outlives", "exit"),
        (0, "other", "running"),
        (0, "none", "running"),
        (0, "x1", "running"),
        (0, "x2", "running"),
    ];
    assert_eq!(rows(&found), expect(&expected));
    assert_eq!(found["actions"][1]["nested_by"], json!("time"));
    let log = Log::plain(&text);
    let shown = TreeOptions { json: false, ..options() };
    let (shown, _) = print(tree_report(&[log.whole()], &Filter::default(), &shown).unwrap());
    assert!(shown.contains("No action of this log names"), "{shown}");
    assert!(shown.contains("~ Asub: d"), "{shown}");
}

/// Beyond the memory that finished actions may take they are counted, and none is lost.
#[test]
fn what_is_too_much_is_counted() {
    let mut text = line("enter", "eval", None, 0, "");
    for index in 0..100 {
        let id = format!("n{index}");
        text += &line("enter", &id, Some("eval"), 1, "");
        text += &line(if index == 99 { "error" } else { "exit" }, &id, Some("eval"), 2, "");
    }
    let small = TreeOptions { max_held_bytes: 20_000, ..options() };
    let found = tree(&text, &Filter::default(), &small);
    let shown = rows(&found).len() as u64 - 1;
    let folded = &found["actions"][0]["folded"];
    assert!(shown > 10, "{shown}");
    assert_eq!(folded["ended"].as_u64().unwrap() + shown, 100);
    assert_eq!(folded["not_well"], json!(1));
}

/// Very deep nesting overflows no stack and does not indent without end.
#[test]
fn depth_does_not_blow_up() {
    const DEPTH: usize = 20_000;
    let id = |level: usize| format!("n{level}");
    let mut text = line("enter", "n0", None, 0, "");
    for level in 1..DEPTH {
        text += &line("enter", &id(level), Some(&id(level - 1)), 1, "");
    }
    let open = tree(&text, &Filter::default(), &options());
    assert_eq!(rows(&open).last().unwrap().0, DEPTH as u64 - 1);
    for level in (0..DEPTH).rev() {
        text += &line("exit", &id(level), None, 2, "");
    }
    let log = Log::plain(&text);
    let shown = TreeOptions { json: false, ..options() };
    let (shown, _) = print(tree_report(&[log.whole()], &Filter::default(), &shown).unwrap());
    assert_eq!(shown.lines().count(), DEPTH + 2);
    assert!(shown.lines().all(|line| line.len() < 200));
    assert!(shown.contains("[19999] An19999: d"));
}

/// Text of a log does not steer the terminal, nor begin a line of its own.
#[test]
fn text_is_safe() {
    let text = line("enter", "x", None, 0, "").replace("\"d\"", r#""\u001b[31m\nTRACE: forged""#);
    let log = Log::plain(&text);
    let shown = TreeOptions { json: false, ..options() };
    let (shown, _) = print(tree_report(&[log.whole()], &Filter::default(), &shown).unwrap());
    assert!(shown.contains(r"\x1b[31m ↵ TRACE: forged"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("TRACE")).count(), 1);
}

proptest! {
    /// Whatever the log: each action is shown once or counted, the way of reading changes nothing, and
    /// what is shown below an action is in it.
    #[test]
    fn every_action_is_there(
        events in prop::collection::vec((0..12_u8, 0..5_usize, prop::option::of(0..12_u8), 0..3_u8), 0..80),
        max_held_bytes in prop::sample::select(vec![0, 3_000, 1 << 20]),
        threads in 1..3_usize,
        block_bytes in prop::sample::select(vec![100_u64, 700, 1 << 20]),
    ) {
        const EVENTS: [&str; 5] = ["enter", "exit", "error", "cancel", "timeout"];
        let mut text = String::new();
        let mut open = std::collections::HashSet::new();
        let mut count = 0;
        for (id, event, parent, sample) in events {
            let is_new = if event == 0 { open.insert(id) } else { !open.remove(&id) };
            count += u64::from(is_new);
            let parent = parent.map(|parent| parent.to_string());
            let sample = format!(r#", "sample_id": {sample}"#);
            text += &line(EVENTS[event], &id.to_string(), parent.as_deref(), 1, &sample);
        }
        let scan = ScanOptions { threads, block_bytes, inline_below_bytes: 0 };
        let found = tree(&text, &Filter::default(), &TreeOptions { max_held_bytes, scan, ..options() });
        let all = found["actions"].as_array().unwrap();
        let folded: u64 = all.iter().filter_map(|row| row["folded"]["ended"].as_u64()).sum();
        prop_assert_eq!(all.len() as u64 + folded, count);
        let mut around: Vec<&str> = Vec::new();
        for row in all {
            let depth = usize::try_from(row["depth"].as_u64().unwrap()).unwrap();
            prop_assert!(depth <= around.len());
            around.truncate(depth);
            if row["nested_by"] == "parent_id" {
                prop_assert_eq!(row["parent_id"].as_str(), around.last().copied());
            }
            around.push(row["trace_id"].as_str().unwrap());
        }
        if max_held_bytes > 3_000 {
            prop_assert_eq!(folded, 0);
            let again = tree(&text, &Filter::default(), &TreeOptions { max_held_bytes, ..options() });
            prop_assert_eq!(rows(&found), rows(&again));
        }
    }
}
