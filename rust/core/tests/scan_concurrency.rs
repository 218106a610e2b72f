//! Scans that are given up, that fail, that run beside others, and logs that change meanwhile.
#![allow(clippy::unwrap_used)]

mod scan_support;

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use inspect_trace_core::read::{
    Batch, Block, BlockMap, Filter, Log, Records, Scan, ScanStep, Skipped,
};
use scan_support::*;

/// The threads of this process are counted: no two of these tests run at once.
static ALONE: Mutex<()> = Mutex::new(());

fn line(number: usize) -> String {
    format!(r#"{{"timestamp": "t", "level": "INFO", "message": "{number}"}}"#) + "\n"
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).map(line).collect::<String>().into_bytes()
}

/// How many threads there are that scan.
fn scanning_threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("inspect-trace-s")).count()
}

/// Counts lines, and panics at that block.
struct Failing {
    at: u64,
}

impl BlockMap for Failing {
    type Scratch = ();
    type Output = u64;

    fn map(
        &self,
        _log: usize,
        (): &mut (),
        block: &Block,
        _skipped: &mut Skipped,
        lines: &mut u64,
    ) {
        assert!(block.offset < self.at, "the panic of the test");
        *lines += memchr::memchr_iter(b'\n', &block.bytes).count() as u64;
    }
}

/// A scan dropped at any point of it leaves no thread behind.
#[test]
fn scans_can_be_dropped_at_any_point() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = lines(20_000);
    let half = text.len() / 2;
    let damaged = [&our_members(&text)[..], b"garbage", &foreign_member(&text)].concat();
    let logs = [
        TempLog::plain(&text),
        TempLog::compressed([our_members(&text[..half]), our_members(&text[half..])].concat()),
        TempLog::compressed(foreign_member(&text)),
        TempLog::compressed(damaged),
    ];
    for log in &logs {
        for steps in [0, 1, 2, 3, 5, 8, 13, 21] {
            let map = Failing { at: u64::MAX };
            let mut scan = Scan::new(&[log.whole()], map, with_threads(3, 10_000)).unwrap();
            for _ in 0..steps {
                let _ = scan.next(Duration::from_millis(1));
            }
            drop(scan);
            assert_eq!(scanning_threads(), 0);
        }
    }
}

/// A panic on a thread that reads reaches whoever waits for it.
#[test]
fn panics_reach_the_caller() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = lines(20_000);
    for log in [TempLog::plain(&text), TempLog::compressed(foreign_member(&text))] {
        for threads in 1..4 {
            let map = Failing { at: 300_000 };
            let mut scan = Scan::new(&[log.whole()], map, with_threads(threads, 10_000)).unwrap();
            let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
                while !matches!(scan.next(Duration::from_secs(1)).unwrap(), ScanStep::End) {}
            }));
            assert!(panicked.is_err());
            drop(scan);
            assert_eq!(scanning_threads(), 0);
        }
    }
}

/// Nobody waits for a pipe that nothing comes through: not the caller, on one thread or more, and
/// not the end of the scan.
#[test]
fn nobody_waits_for_pipes() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for threads in [1, 2] {
        let log = Log::whole(&path);
        let options = with_threads(threads, 1 << 20);
        let mut records = Records::open_log(&log, &Filter::default(), options).unwrap();
        let batch = records.next_batch(Duration::from_millis(1)).unwrap();
        assert!(matches!(batch, Batch::Records(records) if records.is_empty()));
        let mut writer = File::options().write(true).open(&path).unwrap();
        writer.write_all(line(7).as_bytes()).unwrap();
        drop(writer);
        let mut read = Vec::new();
        while let Batch::Records(batch) = records.next_batch(Duration::from_secs(1)).unwrap() {
            read.extend(batch);
        }
        assert_eq!(read.len(), 1);
    }
}

/// A log may grow, shrink, be emptied, replaced or removed while it is read: reading it ends, and
/// what it gives are records that were written.
#[test]
fn logs_may_change_while_they_are_read() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = lines(3000);
    let written: HashSet<_> = (0..3000).map(|number| line(number).trim_end().to_owned()).collect();
    let log = TempLog::plain(&text);
    let compressed: Vec<u8> = text.chunks(7000).flat_map(our_members).collect();
    for content in [&text, &compressed] {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0_u64.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let open = || File::options().append(true).open(&log.path);
                    match round % 6 {
                        0 => std::fs::write(&log.path, content).unwrap(),
                        1 => open().unwrap().write_all(line(5).as_bytes()).unwrap(),
                        2 => open().unwrap().set_len(round * 997 % content.len() as u64).unwrap(),
                        3 => open().unwrap().set_len(0).unwrap(),
                        4 => {
                            let new = log.path.with_extension("new");
                            std::fs::write(&new, content).unwrap();
                            std::fs::rename(new, &log.path).unwrap();
                        }
                        _ => std::fs::remove_file(&log.path).unwrap(),
                    }
                }
            });
            let mut read = 0;
            for round in 0.. {
                if round >= 400 && read > 0 {
                    break;
                }
                let options = with_threads(1 + round % 3, 5000);
                let whole = log.whole();
                let Ok(mut records) = Records::open_log(&whole, &Filter::default(), options) else {
                    continue;
                };
                while let Batch::Records(batch) =
                    records.next_batch(Duration::from_secs(9)).unwrap()
                {
                    for record in batch {
                        let json = String::from_utf8_lossy(record.json()).into_owned();
                        assert!(written.contains(&json), "{json}");
                        read += 1;
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

/// Scans that run at once do not disturb each other.
#[test]
fn scans_run_beside_each_other() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let logs = [lines(9000), lines(5000)];
    let logs = logs.map(|text| (TempLog::plain(&text), by_one_cursor(&text)));
    std::thread::scope(|scope| {
        for (log, expected) in &logs {
            scope.spawn(move || {
                for _ in 0..5 {
                    let (read, skipped) = scanned(&log.whole(), with_threads(3, 20_000));
                    assert_eq!((&described(&read), &skipped), (&expected.0, &expected.1));
                }
            });
        }
    });
}
