//! However a log is read, in whatever parts and on however many threads: the same comes out.
#![allow(clippy::unwrap_used)]

mod scan_support;

use std::sync::Arc;
use std::time::Duration;

use inspect_trace_core::analyze::{AnomaliesScanOptions, Outcomes, scan_anomalies_with};
use inspect_trace_core::read::{Filter, Log, ScanOptions, TailSearch, Wants};
use inspect_trace_core::record::OwnedRecord;
use proptest::prelude::*;
use scan_support::*;

fn found(log: &Log, filter: &Filter, outcomes: Outcomes, scan: ScanOptions) -> String {
    let how = AnomaliesScanOptions { outcomes, scan };
    anomalies_text(scan_anomalies_with(log, filter, how).unwrap())
}

/// The anomalies, with all that is not wanted taken away.
fn open_and_cancelled(records: &[OwnedRecord], filter: &Filter) -> String {
    let mut found = observed(records, filter, inspect_trace_core::read::Skipped::default());
    found.errors.clear();
    found.timeouts.clear();
    anomalies_text(found)
}

fn tail(path: &std::path::Path, count: usize, wants: &Wants) -> Log {
    let mut search = TailSearch::open(path, count, Arc::clone(wants)).unwrap();
    loop {
        if let Some(log) = search.step(Duration::from_secs(9)).unwrap() {
            return log;
        }
    }
}

/// The last `count` records that are wanted, and what is behind the first of them.
fn last(records: &[OwnedRecord], count: usize, wants: &Wants) -> Vec<String> {
    let wanted: Vec<_> = records.iter().filter(|record| wants(record)).cloned().collect();
    described(&wanted[wanted.len().saturating_sub(count)..])
}

fn check_starts(log: &Log, records: &[OwnedRecord], at: prop::sample::Index, scan: ScanOptions) {
    let Some(first) = (!records.is_empty()).then(|| &records[at.index(records.len())]) else {
        return;
    };
    let log = Log { start: first.offset(), ..log.clone() };
    let later: Vec<_> =
        records.iter().filter(|record| record.offset() >= first.offset()).cloned().collect();
    let (read, skipped) = scanned(&log, scan);
    assert_eq!(described(&read), described(&later));
    let filter = Filter::default();
    let expected = anomalies_text(observed(&later, &filter, skipped));
    assert_eq!(found(&log, &filter, Outcomes::All, scan), expected);
}

fn check_tails(path: &std::path::Path, records: &[OwnedRecord], count: usize, scan: ScanOptions) {
    let wants_all: Wants = Arc::new(|_| true);
    let wants_actions: Wants = Arc::new(|record| record.event().is_some());
    for wants in [wants_all, wants_actions] {
        let log = tail(path, count, &wants);
        let read: Vec<_> =
            scanned(&log, scan).0.into_iter().filter(|record| wants(record)).collect();
        assert_eq!(described(&read), last(records, count, &wants));
    }
}

/// Each case reads several logs in several ways: fewer of them do.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.div_ceil(4), ..config }
}

proptest! {
    #![proptest_config(config())]

    /// A plain log read in parts has the records of the whole, and the same is skipped.
    #[test]
    fn parts_of_plain_logs_are_the_whole(text in any_log(), scan in any_way()) {
        let log = TempLog::plain(&text);
        let (expected, expected_skipped) = by_one_cursor(&text);
        let (read, skipped) = scanned(&log.whole(), scan);
        prop_assert_eq!(described(&read), &expected[..]);
        prop_assert_eq!(&skipped, &expected_skipped);
        let (read, skipped) = in_series(&log.path);
        prop_assert_eq!(described(&read), &expected[..]);
        prop_assert_eq!(&skipped, &expected_skipped);
    }

    /// So has a compressed one, whatever members it is made of and however it is damaged.
    #[test]
    fn parts_of_compressed_logs_are_the_whole((file, plain) in any_gzip(), scan in any_way()) {
        let log = TempLog::compressed(&file);
        let (expected, expected_skipped) = in_series(&log.path);
        let (read, skipped) = scanned(&log.whole(), scan);
        prop_assert_eq!(described(&read), described(&expected));
        prop_assert_eq!(&skipped, &expected_skipped);
        if let Some(plain) = plain {
            let by_cursor = by_one_cursor(&plain);
            prop_assert_eq!((described(&read), skipped), by_cursor);
        }
    }

    /// The anomalies of a plain log, read in parts, are those of its records one after the other.
    #[test]
    fn anomalies_of_parts_are_the_whole(
        text in any_log(), scan in any_way(), needle in prop::option::of("[em]"),
    ) {
        let log = TempLog::plain(&text);
        let filter = Filter::new(needle.as_deref());
        let (records, skipped) = in_series(&log.path);
        let expected = anomalies_text(observed(&records, &filter, skipped));
        prop_assert_eq!(found(&log.whole(), &filter, Outcomes::All, scan), expected);
        let how = AnomaliesScanOptions { outcomes: Outcomes::OpenAndCancelled, scan };
        let mut some = scan_anomalies_with(&log.whole(), &filter, how).unwrap();
        some.skipped = inspect_trace_core::read::Skipped::default();
        prop_assert_eq!(anomalies_text(some), open_and_cancelled(&records, &filter));
    }

    /// So are those of a compressed one.
    #[test]
    fn anomalies_of_members_are_the_whole((file, _) in any_gzip(), scan in any_way()) {
        let log = TempLog::compressed(&file);
        let filter = Filter::default();
        let (records, skipped) = in_series(&log.path);
        let expected = anomalies_text(observed(&records, &filter, skipped));
        prop_assert_eq!(found(&log.whole(), &filter, Outcomes::All, scan), expected);
    }

    /// From the start of any record on, what is read is the rest of the records.
    #[test]
    fn logs_are_read_from_any_record_on(
        text in any_log(), (file, _) in any_gzip(), at: prop::sample::Index, scan in any_way(),
    ) {
        for log in [TempLog::plain(&text), TempLog::compressed(&file)] {
            check_starts(&log.whole(), &in_series(&log.path).0, at, scan);
        }
    }

    /// The search for the last records finds as many as there are.
    #[test]
    fn last_records_are_found(
        text in any_log(), (file, _) in any_gzip(), count in 0_usize..12, scan in any_way(),
    ) {
        for log in [TempLog::plain(&text), TempLog::compressed(&file)] {
            check_tails(&log.path, &in_series(&log.path).0, count, scan);
        }
    }
}

/// The first record of a log with a byte order mark, and one behind a torn one, are their line's
/// own start: reading from there on does not pass over them.
#[test]
fn records_in_the_middle_of_their_line_are_starts() {
    let record = r#"{"timestamp": "t", "level": "l", "message": "m"}"#;
    for before in ["\u{feff}", "  ", "\u{1e}", r#"{"timestamp": "cut"#, "torn\r"] {
        let log = TempLog::plain(format!("{before}{record}\n"));
        let wants: Wants = Arc::new(|_| true);
        let start = tail(&log.path, 1, &wants);
        assert_eq!(start.start, before.len() as u64);
        assert_eq!(scanned(&start, ScanOptions::default()).0.len(), 1, "{before:?}");
    }
}

/// A line that ends at a NUL byte is not cut off by the end of the log, whatever space follows.
#[test]
fn lines_before_nul_bytes_are_not_torn() {
    for text in ["junk\0", "junk\0 ", "junk\0\r", "junk \0\t\0 "] {
        let log = TempLog::plain(text);
        for block_bytes in 1..7 {
            let (_, skipped) = scanned(&log.whole(), with_threads(1, block_bytes));
            assert_eq!((skipped.not_json, skipped.torn_lines), (1, 0), "{text:?} {block_bytes}");
        }
    }
}

/// Lines longer than what is read at a time, and the parts that lie within them.
#[test]
fn lines_longer_than_parts_are_whole() {
    let mut text = Vec::new();
    for length in [0, 4095, 4096, 4097, 100_000, 262_144, 270_000, 700_000] {
        for more in ["", "x"] {
            let message = "m".repeat(length) + more;
            let line = format!(r#"{{"timestamp": "t", "level": "l", "message": "{message}"}}"#);
            text.extend_from_slice(line.as_bytes());
            text.push(if length % 2 == 0 { b'\n' } else { 0 });
        }
    }
    let expected = by_one_cursor(&text);
    let log = TempLog::plain(&text);
    let compressed = TempLog::compressed(our_members(&text));
    for block_bytes in [1000, 4096, 262_144, 300_001, 1 << 20] {
        for log in [&log, &compressed] {
            let (read, skipped) = scanned(&log.whole(), with_threads(3, block_bytes));
            assert_eq!((described(&read), skipped), expected);
            for count in [1, 3, 9, 16] {
                check_tails(&log.path, &read, count, with_threads(2, block_bytes));
            }
        }
    }
}

/// Of a member that is cut anywhere, the same is read, however little at a time.
#[test]
fn cut_members_are_read_to_their_end() {
    let text = r#"{"timestamp": "t", "level": "l", "message": "m"}"#.to_owned() + "\n";
    let file = foreign_member(text.repeat(12).as_bytes());
    for end in 10..file.len() {
        let log = TempLog::compressed(&file[..end]);
        let (records, skipped) = in_series(&log.path);
        for block_bytes in [1, 2, 3, 7, 50] {
            let read = scanned(&log.whole(), with_threads(1, block_bytes));
            assert_eq!((described(&read.0), &read.1), (described(&records), &skipped), "{end}");
        }
    }
}
