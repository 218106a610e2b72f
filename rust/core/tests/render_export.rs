//! Logs in the formats of other tools.
#![allow(clippy::unwrap_used)]

mod read_support;

use inspect_trace_core::read::{Filter, FilterOptions, ScanOptions};
use inspect_trace_core::record::Event;
use inspect_trace_core::render::{ExportFormat, ExportOptions, export_report};
use proptest::prelude::*;
use read_support::{Log, print};
use serde_json::Value;

fn export(text: &str, filter: &Filter, format: ExportFormat, scan: ScanOptions) -> String {
    let log = Log::plain(text);
    let options =
        ExportOptions { format, as_of_s: 1_700_000_100.0, redact: false, no_detail: false, scan };
    let text = print(export_report(&[log.whole()], filter, &options).unwrap()).0;
    text.replace(log.path.to_str().unwrap(), "LOG").replace("inspect-trace", "")
}

fn action(event: &str, id: &str, parent: Option<&str>, second: u32, text: &str) -> String {
    let mut record = serde_json::json!({
        "timestamp": format!("2023-11-14T22:13:{:02}+00:00", second % 60),
        "level": "TRACE", "message": "m", "action": text, "detail": text, "event": event,
        "trace_id": id, "parent_id": parent, "sample_id": text,
    });
    if event == "enter" {
        record["start_time"] = (1_700_000_000 + second).into();
    } else {
        record["duration"] = 1.5.into();
        record["error"] = text.into();
    }
    record.to_string() + "\n"
}

/// A filter by outcome leaves the actions that ended so, with what both of their records tell.
#[test]
fn filters_choose_actions() {
    let text = action("enter", "a", None, 0, "x")
        + &action("enter", "b", Some("a"), 1, "y")
        + &action("error", "b", Some("a"), 2, "y")
        + &action("exit", "a", None, 3, "x");
    let errors = FilterOptions { events: vec![Event::Error], ..FilterOptions::default() };
    let errors = Filter::of(errors).unwrap();
    let found = export(&text, &errors, ExportFormat::Perfetto, ScanOptions::default());
    let found: Value = serde_json::from_str(&found).unwrap();
    let slices: Vec<_> =
        found["traceEvents"].as_array().unwrap().iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0]["ts"], 1_700_000_001_000_000_u64);
    assert_eq!(slices[0]["dur"], 1_500_000);
    let lines = export(&text, &errors, ExportFormat::Otlp, ScanOptions::default());
    assert_eq!(lines.lines().count(), 1);
}

/// A log without actions is an empty trace, no spans, and a table with rows for its records.
#[test]
fn a_log_without_actions() {
    let text = read_support::line("hello") + "\n";
    let all = |format| export(&text, &Filter::default(), format, ScanOptions::default());
    let trace: Value = serde_json::from_str(&all(ExportFormat::Perfetto)).unwrap();
    assert_eq!(trace["traceEvents"].as_array().unwrap().len(), 0);
    assert_eq!(all(ExportFormat::Otlp), "");
    assert_eq!(all(ExportFormat::Csv).lines().count(), 2);
}

proptest! {
    /// Whatever the texts and the order of events: the JSON is JSON, each action is there once, and the
    /// way of reading changes nothing.
    #[test]
    fn what_comes_out_is_well_formed(
        events in prop::collection::vec(
            (0..8_u8, 0..3_usize, prop::option::of(0..8_u8), 0..50_u32, "[a\"\\\\\n\u{1b}é🎉]{0,6}"), 0..60,
        ),
        threads in 1..3_usize,
    ) {
        let (mut text, mut open, mut count) = (String::new(), std::collections::HashSet::new(), 0);
        for (id, event, parent, second, words) in &events {
            let is_new = if *event == 0 { open.insert(*id) } else { !open.remove(id) };
            count += usize::from(is_new);
            let (id, parent) = (id.to_string(), parent.map(|parent| parent.to_string()));
            let event = ["enter", "exit", "error"][*event];
            text += &action(event, &id, parent.as_deref(), *second, words);
        }
        let scan = ScanOptions { threads, block_bytes: 300, inline_below_bytes: 0 };
        let trace = export(&text, &Filter::default(), ExportFormat::Perfetto, scan);
        let found: Value = serde_json::from_str(&trace).unwrap();
        let slices = found["traceEvents"].as_array().unwrap().iter().filter(|e| e["ph"] == "X");
        prop_assert_eq!(slices.count(), count);
        let lines = export(&text, &Filter::default(), ExportFormat::Otlp, scan);
        let mut spans = 0;
        for line in lines.lines() {
            let request: Value = serde_json::from_str(line).unwrap();
            spans += request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len();
        }
        prop_assert_eq!(spans, count);
        let csv = export(&text, &Filter::default(), ExportFormat::TypedCsv, scan);
        prop_assert_eq!(csv.matches("LOG").count(), events.len());
        prop_assert_eq!(csv.matches('"').count() % 2, 0);
        let again = export(&text, &Filter::default(), ExportFormat::TypedCsv, ScanOptions::default());
        prop_assert_eq!(csv, again);
    }
}
