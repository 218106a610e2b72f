//! Logs to read, and ways to read them, for the tests of reading.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inspect_trace_core::read::{self, Batch, Filter, Records, Skipped};
use inspect_trace_core::record::{OwnedRecord, Record};
use inspect_trace_core::render::{DumpFormat, DumpOptions, Report, dump_report};

/// A file of its own directory, which lives as long as this does.
pub struct Log {
    _dir: tempfile::TempDir,
    pub path: PathBuf,
}

impl Log {
    pub fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        Self { _dir: dir, path }
    }

    pub fn plain(content: impl AsRef<[u8]>) -> Self {
        Self::new("trace-1.log", content)
    }

    pub fn compressed(content: impl AsRef<[u8]>) -> Self {
        Self::new("trace-1.log.gz", content)
    }

    /// It, as the core takes it.
    pub fn whole(&self) -> read::Log {
        whole(&self.path)
    }

    /// The records that are read, and what is skipped.
    pub fn read(&self) -> (Vec<OwnedRecord>, Skipped) {
        read(&self.path)
    }

    /// The messages of the records that are read, and what is skipped.
    pub fn messages(&self) -> (Vec<String>, Skipped) {
        let (records, skipped) = self.read();
        (records.iter().map(message).collect(), skipped)
    }
}

/// The whole of a log.
pub fn whole(path: &Path) -> read::Log {
    read::Log::whole(path)
}

pub fn read(path: &Path) -> (Vec<OwnedRecord>, Skipped) {
    let mut stream = Records::open(path, &Filter::default()).unwrap();
    let mut records = Vec::new();
    while let Batch::Records(batch) = stream.next_batch(Duration::from_secs(9)).unwrap() {
        records.extend(batch);
    }
    (records, stream.skipped().clone())
}

pub fn message(record: &Record<'_>) -> String {
    String::from_utf8_lossy(&record.message()).into_owned()
}

/// The line of a record with that message, without a newline.
pub fn line(message: &str) -> String {
    format!(
        r#"{{"timestamp": "2026-11-23T10:22:25.5+00:00", "level": "INFO", "message": "{message}"}}"#
    )
}

/// The line of an action record, ended by a newline.
pub fn action(event: &str, trace_id: &str, more: &str) -> String {
    format!(
        r#"{{"timestamp": "2026-11-23T10:22:25+00:00", "level": "TRACE", "message": "Model: d ({event})", "action": "Model", "detail": "d", "event": "{event}", "trace_id": "{trace_id}"{more}}}"#
    ) + "\n"
}

pub fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// All that a report prints, and what it says was skipped.
pub fn print(mut report: Box<dyn Report>) -> (String, Option<String>) {
    let mut out = Vec::new();
    while let Some(chunk) = report.next_chunk().unwrap() {
        out.extend(chunk);
    }
    assert_eq!(report.next_chunk().unwrap(), None, "the end stays the end");
    (String::from_utf8(out).unwrap(), report.skipped())
}

pub fn dump(path: &Path, format: DumpFormat) -> String {
    print(
        dump_report(
            &[whole(path)],
            &Filter::default(),
            DumpOptions { redact: false, no_detail: false, format, limit: None },
        )
        .unwrap(),
    )
    .0
}
