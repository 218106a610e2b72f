//! The fast path and the full parser agree on every input.
#![allow(clippy::unwrap_used)]

use inspect_trace_core::read::{Block, LineCursor, Skipped};
use inspect_trace_core::render::{DumpFormat, write_record};
use proptest::collection::vec;
use proptest::prelude::*;

/// All that a cursor tells of a block.
fn all(mut cursor: LineCursor, block: &Block) -> (Vec<String>, Skipped) {
    let mut skipped = Skipped::default();
    let mut records = Vec::new();
    while let Some(record) = cursor.next(block, &mut skipped) {
        let fields: Vec<_> = record
            .fields()
            .map(|(key, value)| (key.into_owned(), value.kind(), value.raw().to_vec()))
            .collect();
        let known = (record.timestamp(), record.message(), record.event(), record.trace_id());
        let dumped = [DumpFormat::JsonArray, DumpFormat::JsonLines].map(|format| {
            let mut out = Vec::new();
            write_record(&mut out, &record, format);
            String::from_utf8(out).unwrap()
        });
        records.push(format!(
            "{} {:?} {:?} {known:?} {fields:?} {dumped:?}",
            record.offset(),
            record.action_kind(),
            record.is_repaired(),
        ));
    }
    (records, skipped)
}

fn assert_agree(bytes: &[u8]) -> usize {
    let block = Block { offset: 7, bytes: bytes.to_vec() };
    let (fast, fast_skipped) = all(LineCursor::new(), &block);
    let (full, full_skipped) = all(LineCursor::with_full_parser_only(), &block);
    assert_eq!(fast, full, "{:?}", String::from_utf8_lossy(bytes));
    assert_eq!(fast_skipped, full_skipped, "{:?}", String::from_utf8_lossy(bytes));
    fast.len()
}

/// What a log may hold between two commas, mostly as Python writes it.
fn member() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        8 => prop::sample::select(vec![
            "timestamp", "level", "message", "module", "function", "line", "action", "detail",
            "event", "trace_id", "start_time", "duration", "error", "error_type", "stacktrace",
            "task", "sample_id", "epoch", "parent_id", "pid", "other", "",
        ]).prop_map(str::to_owned),
        1 => Just(r"le\u0076el".to_owned()),
        1 => Just(r#"a\"b"#.to_owned()),
    ];
    let text = vec(
        prop_oneof![
            6 => "[ -!#-\\[\\]-~]{0,70}",
            2 => prop::sample::select(vec![
                r"\n", r#"\""#, r"\\", r"\/", r"\u00e9", r"\ud83d\ude00", r"\ud800", r"\b\f\r\t",
            ]).prop_map(str::to_owned),
            1 => prop::sample::select(vec![r"\x", r"\u12", r"\u", "\\", "\"", "é", "\t", "\0", "\u{7f}", "\r"])
                .prop_map(str::to_owned),
        ],
        0..5,
    ).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let value = prop_oneof![
        8 => text,
        3 => prop::sample::select(vec![
            "0", "-0.5", "17", "1772440200.123456", "1e9", "1E-7", "NaN", "Infinity", "-Infinity",
            "true", "false", "null", "01", "1.", "-", "+1", "nul", "\"enter\"", "\"exit\"",
            "\"error\"", "[]", "{}", "[1, \"a\\\\\", {\"b\": null}]", "{\"x\": [\"}\"]}", "[1,]",
        ]).prop_map(str::to_owned),
    ];
    let colon = prop_oneof![12 => Just(": "), 1 => Just(":"), 1 => Just(" : "), 1 => Just(" ")];
    (key, colon, value).prop_map(|(key, colon, value)| format!("\"{key}\"{colon}{value}"))
}

fn line() -> impl Strategy<Value = String> {
    let comma = prop_oneof![12 => Just(", "), 1 => Just(","), 1 => Just(" , "), 1 => Just("")];
    let start = prop_oneof![
        4 => Just(r#"{"timestamp": "2026-11-24T10:00:00+00:00", "level": "TRACE", "message": "m", "#),
        2 => Just("{"), 1 => Just(" {"), 1 => Just(""), 1 => Just("{ "),
    ];
    let end = prop_oneof![8 => Just("}"), 1 => Just("} "), 1 => Just(""), 1 => Just("}}"), 1 => Just("\r")];
    (start, vec((member(), comma), 1..8), end).prop_map(|(start, members, end)| {
        let mut line = start.to_owned();
        for (index, (member, comma)) in members.iter().enumerate() {
            if index > 0 {
                line.push_str(comma);
            }
            line.push_str(member);
        }
        line + end
    })
}

proptest! {
    /// On lines that are nearly those of a log they agree, wherever these are cut.
    #[test]
    fn agree_on_lines(lines in vec(line(), 1..5), cut in any::<prop::sample::Index>()) {
        let text = lines.join("\n");
        assert_agree(text.as_bytes());
        assert_agree(format!("{text}\n").as_bytes());
        assert_agree(&text.as_bytes()[..cut.index(text.len() + 1)]);
    }

    /// On lines with a byte changed they agree.
    #[test]
    fn agree_on_damaged_lines(
        lines in vec(line(), 1..5), at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(b"\\\"\n{}:, u".to_vec())],
    ) {
        let mut bytes = lines.join("\n").into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        assert_agree(&bytes);
    }

    /// On any bytes they agree.
    #[test]
    fn agree_on_any_bytes(bytes in vec(prop_oneof![
        any::<u8>(), prop::sample::select(b"\\\"\n{}[]:, u0".to_vec()),
    ], 0..300)) {
        assert_agree(&bytes);
    }
}

/// A line at every distance from the start of a block is read as at the start.
#[test]
fn places_do_not_matter() {
    let line = concat!(
        r#"{"timestamp": "2026-11-24T10:00:00+00:00", "level": "TRACE", "message": "M: \"x\\\" \u00e9 (enter)", "#,
        r#""action": "M", "detail": "\\\\", "event": "enter", "trace_id": "t", "start_time": 1.5, "n": {"a": []}}"#,
    );
    for distance in 0..200 {
        let text = format!("{}\n{line}\n{line}", "x".repeat(distance));
        assert_eq!(assert_agree(text.as_bytes()), 2, "{distance}");
        // Runs of backslashes across the borders of words, too.
        let text = format!("\"{}\"\n{line}\n{line}", "\\".repeat(distance));
        assert_eq!(assert_agree(text.as_bytes()), 2, "{distance}");
    }
}
