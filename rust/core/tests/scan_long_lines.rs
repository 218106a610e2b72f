//! The border of the longest line that is read, in every way to read a log.
#![allow(clippy::unwrap_used)]

mod scan_support;

use inspect_trace_core::read::{MAX_LINE_BYTES, Skipped};
use scan_support::*;

const RECORD: &[u8] = br#"{"timestamp": "t", "level": "l", "message": "m"}"#;

/// What every way to read it gives: how many records, and what was skipped.
fn read_in_all_ways(text: &[u8]) -> (usize, Skipped) {
    let plain = TempLog::plain(text);
    let ours = TempLog::compressed(our_members(text));
    let foreign = TempLog::compressed(foreign_member(text));
    let expected = in_series(&plain.path);
    let expected = (expected.0.len(), expected.1);
    for log in [&plain, &ours, &foreign] {
        for block_bytes in [1 << 20, u64::MAX] {
            let (records, skipped) = scanned(&log.whole(), with_threads(2, block_bytes));
            assert_eq!((records.len(), skipped), expected, "{} {block_bytes}", log.path.display());
        }
    }
    expected
}

/// A line of the longest length is read, one byte more is too much; whatever ends it, and the records
/// around it are read.
#[test]
fn the_longest_line_is_read() {
    for (before, end) in [(&b"\n"[..], &b"\n"[..]), (b"\0", b"\0"), (b"\0", b"")] {
        for more in [0, 1] {
            let length = MAX_LINE_BYTES + more;
            let mut text = [RECORD, before].concat();
            let line = text.len();
            text.extend_from_slice(br#"{"timestamp": "t", "level": "l", "message": ""#);
            text.resize(line + length - 2, b'm');
            text.extend_from_slice(b"\"}");
            text.extend_from_slice(end);
            if !end.is_empty() {
                text.extend_from_slice(RECORD);
            }
            let (records, skipped) = read_in_all_ways(&text);
            let others = 1 + usize::from(!end.is_empty());
            assert_eq!(records, others + 1 - more, "{before:?} {end:?} {more}");
            assert_eq!(skipped.too_long_lines, more as u64);
            assert_eq!(skipped.lines, memchr::memchr_iter(b'\n', &text).count() as u64);
            if more == 1 {
                assert_eq!(skipped.first.unwrap().byte, line as u64);
            }
        }
    }
}
