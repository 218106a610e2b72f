//! Actions over time, as a page for a browser.
#![allow(clippy::unwrap_used)]

mod read_support;

use std::collections::{HashMap, HashSet};

use inspect_trace_core::read::{Filter, FilterOptions, ScanOptions};
use inspect_trace_core::record::Event;
use inspect_trace_core::render::{TimelineOptions, timeline_report};
use proptest::prelude::*;
use read_support::Log;
use serde_json::Value;

/// The page, and the notes for standard error.
fn page(text: &str, filter: &Filter, options: &TimelineOptions) -> (String, Vec<String>) {
    let log = Log::plain(text);
    let options = TimelineOptions { as_of_s: 1_700_000_100.0, ..*options };
    let mut report = timeline_report(&[log.whole()], filter, &options).unwrap();
    let mut page = Vec::new();
    while let Some(chunk) = report.next_chunk().unwrap() {
        page.extend(chunk);
    }
    let notes = report.take_notes();
    (String::from_utf8(page).unwrap(), notes)
}

const DATA: &str = "<script type=\"application/json\" id=\"data\">";

/// What is on a page; it has to be all that stands behind the page's own script.
fn facts(page: &str) -> Value {
    let (_, data) = page.split_once(DATA).unwrap();
    let (data, end) = data.split_once("</script>").unwrap();
    assert_eq!(end, "\n</body>\n</html>\n");
    serde_json::from_str(data).unwrap()
}

fn facts_of(text: &str, filter: &Filter, options: &TimelineOptions) -> Value {
    facts(&page(text, filter, options).0)
}

/// Of each action its id, that of what it is in, its beginning and its outcome.
fn actions(facts: &Value) -> Vec<(String, Option<String>, i64, char)> {
    let integers = |name: &str| -> Vec<i64> {
        facts[name].as_array().unwrap().iter().map(|value| value.as_i64().unwrap()).collect()
    };
    let ids: Vec<_> =
        facts["trace_id"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let (start, parent) = (integers("start"), integers("parent"));
    let outcomes = facts["outcome"].as_str().unwrap();
    assert_eq!(start.len(), ids.len() + 1);
    assert_eq!(integers("detail").len(), ids.len());
    let mut at = start[0];
    let rows = outcomes.chars().enumerate().map(|(row, outcome)| {
        at += start[row + 1];
        let parent = usize::try_from(parent[row]).unwrap();
        let around = (parent > 0).then(|| ids[row - parent].to_owned());
        (ids[row].to_owned(), around, at, outcome)
    });
    rows.collect()
}

fn ids(facts: &Value) -> HashSet<String> {
    actions(facts).into_iter().map(|action| action.0).collect()
}

fn action(event: &str, id: &str, parent: Option<&str>, second: u32, duration_s: f64) -> String {
    let mut record = serde_json::json!({
        "timestamp": format!("2023-11-14T22:13:{:02}+00:00", 20 + second % 40),
        "level": "TRACE", "message": "m", "action": "A", "detail": format!("of {id}"),
        "event": event, "trace_id": id, "parent_id": parent,
    });
    if event == "enter" {
        record["start_time"] = (1_700_000_000 + second).into();
    } else {
        record["duration"] = duration_s.into();
    }
    record.to_string() + "\n"
}

fn ended(event: &str, id: &str, parent: Option<&str>, second: u32, duration_s: f64) -> String {
    action("enter", id, parent, second, 0.0) + &action(event, id, parent, second, duration_s)
}

/// Actions stand by their beginnings, each with what it is in and how it ended.
#[test]
fn actions_with_their_places() {
    let text = action("enter", "outer", None, 0, 0.0)
        + &ended("error", "inner", Some("outer"), 1, 2.5)
        + &action("enter", "open", Some("outer"), 5, 0.0)
        + &action("exit", "outer", None, 9, 9.0);
    let facts = facts_of(&text, &Filter::default(), &TimelineOptions::default());
    let outer = Some("outer".to_owned());
    let second = 1_000_000;
    assert_eq!(
        actions(&facts),
        [
            ("outer".to_owned(), None, 1_700_000_000 * second, '0'),
            ("inner".to_owned(), outer.clone(), 1_700_000_001 * second, '3'),
            ("open".to_owned(), outer, 1_700_000_005 * second, '1'),
        ]
    );
    assert_eq!(facts["duration"], serde_json::json!([9_000_000, 2_500_000, 95_000_000]));
    assert_eq!(facts["left_out"]["count"], 0);
}

/// Of more actions than fit, those stay that are open, that failed and that these are in, and the longest;
/// the others are counted, in the page and for standard error.
#[test]
fn what_tells_most_stays() {
    let text = action("enter", "around", None, 0, 0.0)
        + &ended("error", "failed", Some("around"), 1, 0.1)
        + &action("exit", "around", None, 2, 0.2)
        + &ended("exit", "long", None, 2, 9.0)
        + &ended("exit", "short", None, 3, 1.0)
        + &ended("exit", "shorter", None, 4, 0.5)
        + &action("enter", "open", None, 5, 0.0);
    let at_most = |limit| TimelineOptions { limit, ..TimelineOptions::default() };
    let (page, notes) = page(&text, &Filter::default(), &at_most(4));
    let shown = facts(&page);
    assert_eq!(ids(&shown), ["open", "failed", "around", "long"].map(str::to_owned).into());
    assert_eq!(
        shown["left_out"],
        serde_json::json!({"count": 2, "bad": 0, "longest_us": 1_000_000, "undated": 0})
    );
    assert_eq!(
        notes,
        ["2 actions are not on the page (shorter ones that ended well): see --limit"]
    );
    let one = facts_of(&text, &Filter::default(), &at_most(1));
    assert_eq!(ids(&one), ["open".to_owned()].into());
    assert_eq!(one["left_out"]["bad"], 1);
    // What it would be in is not there.
    let scarce = TimelineOptions { max_bytes: 1, ..TimelineOptions::default() };
    assert_eq!(ids(&facts_of(&text, &Filter::default(), &scarce)), HashSet::new());
}

/// Filters choose actions, and what these are in is there too, and marked.
#[test]
fn filters_keep_what_is_around() {
    let text = action("enter", "outer", None, 0, 0.0)
        + &ended("exit", "well", Some("outer"), 1, 1.0)
        + &ended("error", "failed", Some("outer"), 2, 1.0)
        + &action("exit", "outer", None, 9, 9.0)
        + &ended("exit", "beside", None, 3, 1.0);
    let errors = FilterOptions { events: vec![Event::Error], ..FilterOptions::default() };
    let shown = facts_of(&text, &Filter::of(errors).unwrap(), &TimelineOptions::default());
    assert_eq!(ids(&shown), ["outer", "failed"].map(str::to_owned).into());
    assert_eq!(shown["around"], serde_json::json!([0]));
    assert_eq!(shown["filtered"], true);
}

/// Where the log names no parents, actions of one sample are nested by time, as the tree has it.
#[test]
fn without_parents_time_tells() {
    let of = |event: &str, id: &str, kind: &str, second: u32| {
        let mut record: Value =
            serde_json::from_str(&action(event, id, None, second, 1.0)).unwrap();
        record["action"] = kind.into();
        record["sample_id"] = "s".into();
        record.to_string() + "\n"
    };
    let text = of("enter", "tool", "Tool", 0)
        + &of("enter", "process", "Subprocess", 1)
        + &of("exit", "process", "Subprocess", 2)
        + &of("enter", "outlives", "Model", 3)
        + &of("exit", "tool", "Tool", 4)
        + &of("exit", "outlives", "Model", 5);
    let facts = facts_of(&text, &Filter::default(), &TimelineOptions::default());
    let around: HashMap<_, _> =
        actions(&facts).into_iter().map(|action| (action.0, action.1)).collect();
    assert_eq!(around["process"].as_deref(), Some("tool"));
    assert_eq!(around["outlives"], None);
    assert_eq!(facts["by_time"].as_array().unwrap().len(), 1);
    assert_eq!(facts["logs"][0]["by_time"], true);
}

/// Where an action waits is told as it was last seen, the innermost frame first.
#[test]
fn where_actions_wait() {
    let stall = |function: &str| {
        serde_json::json!({
            "timestamp": "2023-11-14T22:14:00+00:00", "level": "TRACE", "message": "m", "event": "stall",
            "trace_id": "a", "duration": 60.0, "stack": [
                {"file": "m.py", "line": 1, "function": "main"},
                {"file": "w.py", "line": 2, "function": function},
            ],
        })
        .to_string()
            + "\n"
    };
    let text = action("enter", "a", None, 0, 0.0) + &stall("early") + &stall("late");
    let facts = facts_of(&text, &Filter::default(), &TimelineOptions::default());
    let text = usize::try_from(facts["waits"][1].as_u64().unwrap()).unwrap();
    assert_eq!(facts["waits"][0], 0);
    assert_eq!(facts["texts"][text], "at late (w.py:2)\nfrom main (m.py:1)");
}

/// Nothing that a log says becomes markup, invisible, or able to reorder what stands beside it.
#[test]
fn hostile_texts_are_harmless() {
    let mut record: Value = serde_json::from_str(&action("error", "a", None, 0, 1.0)).unwrap();
    let hostile = "</script><script>alert(1)</script><!-- & \u{202e}\u{0}\n";
    for name in ["action", "detail", "error", "error_type", "stacktrace", "task", "sample_id"] {
        record[name] = hostile.into();
    }
    record["trace_id"] = hostile.into();
    let (page, _) =
        page(&(record.to_string() + "\n"), &Filter::default(), &TimelineOptions::default());
    let data = page.split_once(DATA).unwrap().1;
    let end = data.find("</script>").unwrap();
    assert!(!data[..end].contains(['<', '>', '&', '\u{202e}', '\0']), "{data}");
    let facts = facts(&page);
    let shown = "</script><script>alert(1)</script><!-- & \\u202e\\x00\n";
    assert!(facts["texts"].as_array().unwrap().contains(&shown.into()));
    assert!(!facts["trace_id"][0].as_str().unwrap().contains('\u{202e}'));
}

/// The page may run its own script, told by a word that differs from page to page, and load nothing.
#[test]
fn the_policy_is_strict() {
    let pages = [0, 1].map(|_| page("", &Filter::default(), &TimelineOptions::default()).0);
    let nonces = pages.each_ref().map(|page| {
        let policy = page.split_once("Content-Security-Policy\" content=\"").unwrap().1;
        let policy = policy.split_once('"').unwrap().0;
        let nonce = policy.split_once("script-src 'nonce-").unwrap().1[..32].to_owned();
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
                 base-uri 'none'; form-action 'none'"
            )
        );
        assert!(!page.contains("://"), "nothing is linked to");
        nonce
    });
    assert_ne!(nonces[0], nonces[1]);
    assert_eq!(actions(&facts(&pages[0])), []);
}

/// Secrets are left out of everything that is shown.
#[test]
fn secrets_are_left_out() {
    let key = format!("sk-ant-api03-{}", "a1B2c3D4".repeat(6));
    let mut record: Value = serde_json::from_str(&action("error", "a", None, 0, 1.0)).unwrap();
    for name in ["detail", "error", "stacktrace"] {
        record[name] = format!("with {key}").into();
    }
    let text = record.to_string() + "\n";
    let shown = |redact| {
        let options = TimelineOptions { redact, ..TimelineOptions::default() };
        page(&text, &Filter::default(), &options).0
    };
    assert!(shown(false).contains(&key));
    assert!(!shown(true).contains(&key));
}

proptest! {
    /// Whatever the order of events, each action is there once, behind what it is in and no earlier; the way
    /// of reading changes nothing, and no more are there than were asked for.
    #[test]
    fn pages_are_well_formed(
        events in prop::collection::vec(
            (0..8_u8, 0..4_usize, prop::option::of(0..8_u8), 0..40_u32, 0..9_u32), 0..60,
        ),
        threads in 1..3_usize,
        limit in 0..70_u64,
    ) {
        let (mut text, mut open, mut count) = (String::new(), HashSet::new(), 0);
        for (id, event, parent, second, duration_s) in &events {
            let is_new = if *event == 0 { open.insert(*id) } else { !open.remove(id) };
            count += u64::from(is_new);
            let event = ["enter", "exit", "error", "cancel"][*event];
            let parent = parent.map(|parent| parent.to_string());
            text += &action(event, &id.to_string(), parent.as_deref(), *second, f64::from(*duration_s));
        }
        let all = TimelineOptions::default();
        let facts = facts_of(&text, &Filter::default(), &all);
        let shown = actions(&facts);
        prop_assert_eq!(shown.len() as u64, count);
        prop_assert!(shown.is_sorted_by_key(|action| action.2));
        let scan = ScanOptions { threads, ..ScanOptions::default() };
        let other = facts_of(&text, &Filter::default(), &TimelineOptions { scan, ..all });
        prop_assert_eq!(&other["start"], &facts["start"]);
        prop_assert_eq!(&other["parent"], &facts["parent"]);
        let few = facts_of(&text, &Filter::default(), &TimelineOptions { limit, ..all });
        prop_assert_eq!(actions(&few).len() as u64, count.min(limit));
        prop_assert_eq!(few["left_out"]["count"].as_u64().unwrap(), count - count.min(limit));
    }
}
