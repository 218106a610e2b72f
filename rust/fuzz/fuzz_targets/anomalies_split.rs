//! Any log, split anywhere between two lines: the parts merged are the whole, and each line is
//! either read or told of, just as often.
#![no_main]

use inspect_trace_core::analyze::{Anomalies, AnomaliesPartial, Partial as _};
use inspect_trace_core::read::{Block, Filter, LineCursor, Skipped};
use libfuzzer_sys::fuzz_target;

fn observe(partial: &mut AnomaliesPartial, offset: usize, bytes: &[u8]) -> Skipped {
    let block = Block { offset: offset as u64, bytes: bytes.to_vec() };
    let (mut cursor, mut skipped) = (LineCursor::new(), Skipped::default());
    while let Some(record) = cursor.next(&block, &mut skipped) {
        partial.observe(&record, record.offset());
    }
    skipped
}

fn whole(filter: &Filter, log: &[u8]) -> Anomalies {
    let mut partial = AnomaliesPartial::at_start(filter);
    let skipped = observe(&mut partial, 0, log);
    partial.finish(skipped)
}

fuzz_target!(|input: (u16, u8, u8, &[u8])| {
    let (at, events, ids, bytes) = input;
    // Bytes that stand for lines of a plausible log, with others as they are.
    let mut log = Vec::new();
    for &byte in bytes {
        let event = ["enter", "exit", "cancel", "error", "timeout", "pause"]
            [usize::from(byte & 7).min(usize::from(events) % 6)];
        let id = byte >> 3 & 7 & ids;
        if byte < 0xf0 {
            let line = format!(
                "{{\"timestamp\": \"2026-11-23T10:22:{byte:02}+00:00\", \"level\": \"TRACE\", \
                 \"message\": \"m{id}\", \"action\": \"a\", \"event\": \"{event}\", \
                 \"trace_id\": \"{id}\", \"start_time\": {byte}}}\n"
            );
            log.extend_from_slice(line.as_bytes());
        } else {
            log.push(if byte == 0xff { b'\n' } else { byte });
        }
    }
    let at = memchr_after(&log, usize::from(at));
    let filter = Filter::default();
    let mut merged = AnomaliesPartial::at_start(&filter);
    let mut skipped = observe(&mut merged, 0, &log[..at]);
    let mut later = AnomaliesPartial::in_the_middle(&filter);
    skipped.merge(&observe(&mut later, at, &log[at..]));
    merged.merge(later);
    // A start time that is no number would not equal itself; bytes are numbers.
    assert_eq!(merged.finish(skipped), whole(&filter, &log));
});

/// The start of the line that follows `at`.
fn memchr_after(log: &[u8], at: usize) -> usize {
    let at = at.min(log.len());
    log[at..].iter().position(|&byte| byte == b'\n').map_or(log.len(), |length| at + length + 1)
}
