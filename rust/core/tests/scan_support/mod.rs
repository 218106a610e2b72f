//! Generated logs, ways to read them, and the definition that all ways are held against.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

#[path = "../read_support/mod.rs"]
mod read_support;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use inspect_trace_core::analyze::{Anomalies, AnomaliesPartial, Partial as _};
use inspect_trace_core::read::{
    Batch, Block, Filter, LineCursor, Log, Records, ScanOptions, Skipped, for_each_record,
};
use inspect_trace_core::record::{OwnedRecord, Record};
use inspect_trace_core::write::gzip::compress;
use proptest::collection::vec;
use proptest::prelude::*;

pub use read_support::Log as TempLog;
#[allow(unused_imports)] // not in all tests
pub use read_support::{action, print};

/// On so many threads, for however small a log.
pub fn with_threads(threads: usize, block_bytes: u64) -> ScanOptions {
    ScanOptions { threads, block_bytes, inline_below_bytes: 0 }
}

/// Any way to read a log.
pub fn any_way() -> impl Strategy<Value = ScanOptions> {
    let block_bytes = prop_oneof![
        3 => 1_u64..100,
        4 => 100_u64..6000,
        2 => Just(1 << 20),
        1 => Just(0),
        1 => Just(u64::MAX),
    ];
    (1_usize..5, block_bytes).prop_map(|(threads, bytes)| with_threads(threads, bytes))
}

/// A record of an action, one that tells where an action waits, or another one, without its end.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let timestamp = prop::sample::select(vec![
        "2026-11-23T10:22:25.5+00:00",
        "2026-11-23T10:22:26+00:00",
        "2026-11-23T10:22:2\\u0037+00:00",
        "no time",
        "",
    ]);
    let id = prop::sample::select(vec!["a", "b", "c", "\\u0061", "é", "\\ud800", ""]);
    let event = prop::sample::select(vec![
        "enter",
        "enter",
        "exit",
        "cancel",
        "error",
        "timeout",
        "e\\u006eter",
        "pause",
    ]);
    let more = prop::sample::select(vec![
        "",
        "",
        ", \"start_time\": 1.5",
        ", \"start_time\": \"nan\"",
        ", \"start_time\": null, \"duration\": 2",
        ", \"start_time\": \"x\"",
        ", \"duration\": NaN",
        ", \"pid\": 7",
        ", \"pid\": 8, \"start_time\": 2e9",
        ", \"pid\": 4294967296",
        ", \"task\": \"t\", \"sample_id\": 3, \"epoch\": 1",
        ", \"event\": \"exit\"",
        ", \"trace_id\": 5",
    ]);
    let stack = prop::sample::select(vec![
        "[]",
        "null",
        "[{\"file\": \"a.py\", \"line\": 1, \"function\": \"f\"}]",
        "[{\"file\": \"b.py\", \"line\": 2, \"function\": \"\\u0067\", \"awaits\": \"x\"}, 1]",
    ]);
    let stalls = prop::sample::select(vec!["stall", "stall", "stall", "st\\u0061ll", "stal"]);
    let stall = (timestamp.clone(), id.clone(), stalls, stack).prop_map(
        |(timestamp, id, event, stack)| {
            format!(
                r#"{{"timestamp": "{timestamp}", "level": "TRACE", "message": "[inspect-trace] Model: open for 60.0 s", "event": "{event}", "trace_id": "{id}", "duration": 60.0, "stack": {stack}}}"#
            )
        },
    );
    let action = (timestamp.clone(), id, event, more).prop_map(|(timestamp, id, event, more)| {
        format!(
            r#"{{"timestamp": "{timestamp}", "level": "TRACE", "message": "Model: d ({event})", "action": "Model", "detail": "d", "event": "{event}", "trace_id": "{id}"{more}}}"#
        )
    });
    let message = prop_oneof![
        4 => "[a-zA-Zé ]{0,12}",
        1 => Just("HTTP Request: POST https://x/y \\\"HTTP/1.1 200 OK\\\"".to_owned()),
        1 => Just("POST https://x/y - 503".to_owned()),
        1 => (0_usize..9000).prop_map(|length| "long ".repeat(length / 5)),
    ];
    let level = prop::sample::select(vec!["INFO", "HTTP", "TRACE"]);
    let other = (timestamp, level, message).prop_map(|(timestamp, level, message)| {
        format!(r#"{{"timestamp": "{timestamp}", "level": "{level}", "message": "{message}"}}"#)
    });
    prop_oneof![3 => action, 2 => other, 1 => stall].prop_map(String::into_bytes)
}

/// What may stand in a log besides records.
fn oddity() -> impl Strategy<Value = Vec<u8>> {
    let fixed = prop::sample::select(vec![
        &b""[..],
        b" ",
        b"\t",
        b"\r",
        b"\0",
        b"\0\0\0\0",
        b"\xef\xbb\xbf",
        b"\x1e",
        b"garbage",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"\0 ",
        b" \0",
        b"\r\0",
        b"{\"timestamp\"",
        b"{\"timestamp\": \"cut",
        b"{\"timestamp\": \"t\", \"level\": \"l\", \"message\": \"\xff\xe2\x80\"}",
        b"{\"timestamp\": \"t\", \"level\": \"l\", \"message\": 5}",
        b"{\"a\": [[[{\"b\": \"\\\\\"}]]]}",
        b"\\",
        b"\"",
    ]);
    prop_oneof![
        8 => fixed.prop_map(<[u8]>::to_vec),
        1 => (0_usize..9000).prop_map(|length| vec![b'x'; length]),
        1 => (0_usize..6000).prop_map(|length| vec![0; length]),
        1 => vec(any::<u8>(), 0..20),
    ]
}

/// A log: mostly well-formed lines, with anything else among them.
pub fn any_log() -> impl Strategy<Value = Vec<u8>> {
    let end = prop_oneof![
        12 => Just(&b"\n"[..]), 2 => Just(&b"\r\n"[..]), 1 => Just(&b"\r"[..]), 1 => Just(&b"\0"[..]),
        2 => Just(&b""[..]),
    ];
    let text = prop_oneof![3 => record(), 1 => oddity()];
    vec((text, end).prop_map(|(text, end)| [&text, end].concat()), 0..40)
        .prop_map(|lines| lines.concat())
}

/// A gzip file of one member, not one of ours.
pub fn foreign_member(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A gzip file of ours.
pub fn our_members(plain: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    compress(plain, &mut file, 1_700_000_000).unwrap();
    file
}

/// What a piece of a gzip file is.
#[derive(Debug, Clone)]
enum Piece {
    Ours,
    Foreign,
    Zeros,
    Garbage(Vec<u8>),
}

/// A gzip file with the text of a log, put together of members of any sort; perhaps damaged. With it
/// its text, where it is not.
pub fn any_gzip() -> impl Strategy<Value = (Vec<u8>, Option<Vec<u8>>)> {
    let piece = prop_oneof![
        10 => Just(Piece::Ours),
        3 => Just(Piece::Foreign),
        1 => Just(Piece::Zeros),
        1 => vec(any::<u8>(), 1..40).prop_map(Piece::Garbage),
    ];
    let damage = prop_oneof![
        2 => Just(Vec::new()),
        1 => vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ];
    let cut = prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    let part = (any_log(), piece, any::<prop::sample::Index>(), prop::bool::weighted(0.2));
    (vec(part, 1..7), damage, cut).prop_map(|(parts, damage, cut)| {
        let (mut file, mut plain, mut intact) = (Vec::new(), Vec::new(), true);
        let mut carry = Vec::new();
        for (text, piece, at, cuts_a_line) in parts {
            let mut text = [std::mem::take(&mut carry), text].concat();
            if cuts_a_line {
                carry = text.split_off(at.index(text.len() + 1));
            } else if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            match piece {
                Piece::Ours => file.extend(our_members(&text)),
                Piece::Foreign => file.extend(foreign_member(&text)),
                // Zeros are padding, but for the first ones.
                Piece::Zeros => {
                    intact &= !file.is_empty();
                    file.extend([0; 30]);
                    file.extend(our_members(&text));
                }
                Piece::Garbage(bytes) => {
                    intact = false;
                    file.extend(bytes);
                    file.extend(our_members(&text));
                }
            }
            plain.push(text);
        }
        for (at, byte) in damage {
            if !file.is_empty() {
                let at = at.index(file.len());
                file[at] = byte;
                intact = false;
            }
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len() + 1));
            intact = false;
        }
        (file, intact.then(|| plain.concat()))
    })
}

/// All that a record tells, as a text to compare.
pub fn describe(record: &Record<'_>) -> String {
    format!(
        "{} {:?} {:?} {:?} {:?}",
        record.offset(),
        String::from_utf8_lossy(record.json()),
        record.action_kind(),
        record.is_repaired(),
        record.trace_id(),
    )
}

/// The records of a text by one cursor, and what is skipped: the definition.
pub fn by_one_cursor(text: &[u8]) -> (Vec<String>, Skipped) {
    let block = Block { offset: 0, bytes: text.to_vec() };
    let (mut cursor, mut skipped) = (LineCursor::new(), Skipped::default());
    let mut records = Vec::new();
    while let Some(record) = cursor.next(&block, &mut skipped) {
        records.push(describe(&record));
    }
    (records, skipped)
}

/// The records of a file, read from front to back on one thread.
pub fn in_series(path: &Path) -> (Vec<OwnedRecord>, Skipped) {
    let mut records = Vec::new();
    let skipped =
        for_each_record(path, |record| records.push(record.clone().into_owned())).unwrap();
    (records, skipped)
}

/// The records of a file, read in a given way.
pub fn scanned(log: &Log, scan: ScanOptions) -> (Vec<OwnedRecord>, Skipped) {
    let mut stream = Records::open_log(log, &Filter::default(), scan).unwrap();
    let mut records = Vec::new();
    while let Batch::Records(batch) = stream.next_batch(Duration::from_secs(9)).unwrap() {
        records.extend(batch);
    }
    (records, stream.skipped().clone())
}

pub fn described(records: &[OwnedRecord]) -> Vec<String> {
    records.iter().map(describe).collect()
}

/// The anomalies of some records, one after the other: the definition.
pub fn observed(records: &[OwnedRecord], filter: &Filter, skipped: Skipped) -> Anomalies {
    let mut partial = AnomaliesPartial::at_start(filter);
    for record in records {
        partial.observe(record, record.offset());
    }
    partial.finish(skipped)
}

/// All anomalies as a text: in it, numbers that are none equal themselves.
pub fn anomalies_text(mut found: Anomalies) -> String {
    let by_pid: Vec<_> = std::mem::take(&mut found.last_timestamps_by_pid).into_iter().collect();
    format!("{found:#?} {by_pid:?}")
}
