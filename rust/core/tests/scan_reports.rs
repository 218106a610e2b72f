//! What commands print is the same, in whatever parts and on however many threads logs are read.
#![allow(clippy::unwrap_used)]

mod scan_support;

use inspect_trace_core::read::{Filter, Log, ScanOptions};
use inspect_trace_core::record::OwnedRecord;
use inspect_trace_core::render::{
    DumpFormat, DumpOptions, HttpOptions, Report, TableStyle, dump_report_with, http_report_with,
    write_record,
};
use proptest::collection::vec;
use proptest::prelude::*;
use scan_support::*;

/// All that a report prints, and what it notes.
fn printed(mut report: Box<dyn Report>) -> (String, Vec<String>, Option<String>) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    while let Some(chunk) = report.next_chunk().unwrap() {
        out.extend_from_slice(&chunk);
        notes.extend(report.take_notes());
        report.recycle(chunk);
    }
    (String::from_utf8(out).unwrap(), notes, report.skipped())
}

fn dumped(
    logs: &[Log],
    format: DumpFormat,
    limit: Option<u64>,
    scan: ScanOptions,
) -> (String, Vec<String>, Option<String>) {
    let options = DumpOptions { redact: false, no_detail: false, format, limit };
    printed(dump_report_with(logs, &Filter::default(), options, scan).unwrap())
}

fn http(logs: &[Log], json: bool, limit: Option<u64>, scan: ScanOptions) -> String {
    let style = TableStyle { width: None, ..TableStyle::default() };
    let options = HttpOptions {
        redact: false,
        no_detail: false,
        failed: false,
        limit,
        json,
        as_of_s: 1.5,
        style,
    };
    printed(http_report_with(logs, &Filter::default(), &options, scan).unwrap()).0
}

/// The lines of some records, with a first field where there is one.
fn json_lines(records: &[OwnedRecord], label: &str) -> String {
    let mut out = Vec::new();
    for record in records {
        let mut line = Vec::new();
        write_record(&mut line, record, DumpFormat::JsonLines);
        out.extend_from_slice(b"{");
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(&line[1..]);
        out.push(b'\n');
    }
    String::from_utf8(out).unwrap()
}

const IN_SERIES: ScanOptions =
    ScanOptions { threads: 1, block_bytes: u64::MAX, inline_below_bytes: 0 };

/// Each case reads several logs in several ways: fewer of them do.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.div_ceil(4), ..config }
}

proptest! {
    #![proptest_config(config())]

    /// What is printed of a log does not depend on how it is read; a limit is a prefix.
    #[test]
    fn prints_of_parts_are_the_whole(
        text in any_log(), (file, _) in any_gzip(), scan in any_way(), limit in 0_usize..20,
    ) {
        for log in [TempLog::plain(&text), TempLog::compressed(&file)] {
            let logs = [log.whole()];
            let records = in_series(&log.path).0;
            let lines = dumped(&logs, DumpFormat::JsonLines, None, scan);
            prop_assert_eq!(&lines.0, &json_lines(&records, ""));
            let in_series = dumped(&logs, DumpFormat::JsonArray, None, IN_SERIES);
            prop_assert_eq!(dumped(&logs, DumpFormat::JsonArray, None, scan), in_series);
            let first = &records[..records.len().min(limit)];
            let some = dumped(&logs, DumpFormat::JsonLines, Some(limit as u64), scan);
            prop_assert_eq!(some.0, json_lines(first, ""));
            for (json, limit) in [(true, None), (false, None), (true, Some(limit as u64))] {
                prop_assert_eq!(http(&logs, json, limit, scan), http(&logs, json, limit, IN_SERIES));
            }
        }
    }

    /// Several logs are printed one behind the other; one that is not there is noted.
    #[test]
    fn several_logs_are_the_single_ones(
        texts in vec(any_log(), 2..5), (file, _) in any_gzip(), missing in 0_usize..6,
        scan in any_way(), limit in 0_usize..60,
    ) {
        let mut logs: Vec<_> = texts.iter().map(TempLog::plain).collect();
        logs.insert(1, TempLog::compressed(&file));
        let mut expected = String::new();
        for (number, log) in logs.iter().enumerate() {
            if number == missing {
                std::fs::remove_file(&log.path).unwrap();
            } else {
                let label = format!("\"trace_file\":{:?},", log.path.to_str().unwrap());
                expected += &json_lines(&in_series(&log.path).0, &label);
            }
        }
        let logs: Vec<_> = logs.iter().map(TempLog::whole).collect();
        let lines = dumped(&logs, DumpFormat::JsonLines, None, scan);
        prop_assert_eq!(&lines.0, &expected);
        prop_assert_eq!(&lines, &dumped(&logs, DumpFormat::JsonLines, None, IN_SERIES));
        let some = dumped(&logs, DumpFormat::JsonLines, Some(limit as u64), scan).0;
        prop_assert!(expected.starts_with(&some));
        prop_assert_eq!(some.lines().count(), expected.lines().count().min(limit));
        prop_assert_eq!(http(&logs, true, None, scan), http(&logs, true, None, IN_SERIES));
    }
}
