//! The core by itself: appending a line to a log, and reading a log each way the commands do.

#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a bench that fails may panic

mod log;

use std::fs;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use inspect_trace_core::write::writer::LogWriter;

/// The log is emptied each time it has so many lines, so that it does not fill the disk.
const MAX_LINES: u64 = 100_000;

fn write(c: &mut Criterion) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
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

criterion_group!(benches, write);
criterion_main!(benches);
