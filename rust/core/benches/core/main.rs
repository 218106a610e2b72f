//! The core by itself: appending a line to a log, and reading a log in each way the commands do.

#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a bench that fails may panic

mod log;

use std::fs;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use inspect_trace_core::analyze::anomalies::scan_anomalies;
use inspect_trace_core::read::{Filter, Log, for_each_record};
use inspect_trace_core::redact::redact_json;
use inspect_trace_core::render::{DumpFormat, DumpOptions, Report, dump_report};
use inspect_trace_core::write::writer::LogWriter;
use tempfile::TempDir;

const LOG_BYTES: usize = 8 << 20;

/// The log is emptied each time it has so many lines, so that it does not fill the disk.
const MAX_LINES: u64 = 100_000;

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn write(c: &mut Criterion) {
    let directory = directory();
    let path = directory.path().join("trace.log");
    let writer = LogWriter::open(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let mut lines = 0_u64;
    let mut line = vec![b'x'; 399];
    line.push(b'\n');
    let mut group = c.benchmark_group("write");
    group.throughput(Throughput::Bytes(line.len() as u64));
    group.bench_function("append one line of 400 bytes", |b| {
        b.iter(|| {
            lines += 1;
            if lines.is_multiple_of(MAX_LINES) {
                file.set_len(0).unwrap();
            }
            writer.append(black_box(&line)).unwrap();
        });
    });
    group.finish();
}

fn read(c: &mut Criterion) {
    let directory = directory();
    let path = directory.path().join("trace.log");
    let text = log::log(LOG_BYTES);
    fs::write(&path, &text).unwrap();
    let logs = [Log::whole(&path)];
    let options =
        DumpOptions { redact: false, no_detail: false, format: DumpFormat::JsonArray, limit: None };
    let all = Filter::new(None);
    let few = Filter::new(Some("sample=s-25\n"));

    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.sample_size(20);
    group.bench_function("each record", |b| {
        b.iter(|| for_each_record(&path, |record| _ = black_box(record)).unwrap());
    });
    group.bench_function("anomalies", |b| b.iter(|| scan_anomalies(&path, &all).unwrap()));
    group.bench_function("dump", |b| {
        b.iter(|| drain(dump_report(&logs, &all, options).unwrap()));
    });
    group.bench_function("dump filtered", |b| {
        b.iter(|| drain(dump_report(&logs, &few, options).unwrap()));
    });
    group.finish();
}

fn drain(mut report: Box<dyn Report>) {
    while let Some(chunk) = report.next_chunk().unwrap() {
        black_box(chunk);
    }
}

fn redaction(c: &mut Criterion) {
    let text = log::log(LOG_BYTES);
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let mut secret = Vec::new();
    for line in &lines {
        let at = line.iter().position(|&byte| byte == b'?' || byte == b';').unwrap_or(100);
        secret.push([&line[..at], b"?token=abc&x=1", &line[at..]].concat());
    }
    let mut group = c.benchmark_group("redact");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("lines without a secret", |b| {
        b.iter(|| lines.iter().filter(|line| redact_json(line).len() == line.len()).count());
    });
    let bytes: usize = secret.iter().map(Vec::len).sum();
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("lines with a secret each", |b| {
        b.iter(|| secret.iter().filter(|line| redact_json(line).len() == line.len()).count());
    });
    group.finish();
}

criterion_group!(benches, write, read, redaction);
criterion_main!(benches);
