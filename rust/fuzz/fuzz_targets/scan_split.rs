//! Any log, read in parts of any size: the records, the anomalies and what is skipped are those of
//! the whole; also from the start of any record on.
#![no_main]

use std::io::Write as _;
use std::time::Duration;

use inspect_trace_core::analyze::{Anomalies, AnomaliesScanOptions, Outcomes, scan_anomalies_with};
use inspect_trace_core::read::{Batch, Block, Filter, LineCursor, Log, Records, ScanOptions, Skipped};
use inspect_trace_fuzz::{anomalies, describe, log_of, records};
use libfuzzer_sys::fuzz_target;

fn read(log: &Log, scan: ScanOptions) -> (Vec<(u64, String)>, Skipped) {
    let mut records = Records::open_log(log, &Filter::default(), scan).expect("it is a file");
    let mut read = Vec::new();
    while let Batch::Records(batch) =
        records.next_batch(Duration::from_secs(9)).expect("the file can be read")
    {
        read.extend(batch.iter().map(|record| (record.offset(), describe(record))));
    }
    let skipped = records.skipped();
    (read, skipped)
}

/// A text of all: numbers that are none equal themselves in it.
fn anomalies_text(mut found: Anomalies) -> String {
    let by_pid: Vec<_> =
        std::mem::take(&mut found.last_timestamps_by_pid).into_iter().collect();
    format!("{found:?} {by_pid:?}")
}

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (block_bytes, first, bytes) = input;
    let block = Block { offset: 0, bytes: log_of(bytes) };
    // In memory, where there is such a place: a disk would be slow.
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm")
        .or_else(|_| tempfile::NamedTempFile::new())
        .expect("a file can be made");
    file.write_all(&block.bytes).expect("the file takes it");
    // Not too many parts: that would be slow.
    let block_bytes = u64::from(block_bytes).max(block.bytes.len() as u64 / 64);
    let scan = ScanOptions { threads: 1, block_bytes, ..ScanOptions::default() };
    let how = AnomaliesScanOptions { outcomes: Outcomes::All, scan };

    let mut log = Log::whole(file.path());
    let (parts, skipped) = read(&log, scan);
    let (whole, whole_skipped) = records(LineCursor::new(), &block);
    assert!(parts.iter().map(|(_, record)| record).eq(&whole));
    assert_eq!(skipped, whole_skipped);
    let found = scan_anomalies_with(&log, &Filter::default(), how).expect("the file can be read");
    assert_eq!(anomalies_text(found), anomalies_text(anomalies(&block, 0)));

    let Some((start, _)) = parts.get(usize::from(first) % parts.len().max(1)) else { return };
    log.start = *start;
    let later: Vec<_> = parts.iter().filter(|(offset, _)| offset >= start).collect();
    assert!(read(&log, scan).0.iter().eq(later));
});
