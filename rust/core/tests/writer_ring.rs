//! The ring beside a log: what is in it is there for readers at once, in the log soon, and nowhere
//! but in the log in the end.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use inspect_trace_core::read::Blocks;
use inspect_trace_core::store::log_files;
use inspect_trace_core::write::options::{Durability, OnFull, WriterOptions};
use inspect_trace_core::write::writer::{AppendCause, LogWriter};
use store_support::{Dir, Helper, eventually, line, read_lines, scanned_messages};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn tails(dir: &Dir) -> Vec<String> {
    dir.names().into_iter().filter(|name| has_extension(name, "tail")).collect()
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// The messages of a log and its parts, in order.
fn messages(path: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for file in log_files(path) {
        let mut blocks = file.open_by(Blocks::open).unwrap();
        while let Some(block) = blocks.next_block().unwrap() {
            let text = String::from_utf8(block.bytes).unwrap();
            texts.extend(text.lines().filter_map(|line| {
                line.split("message\": \"").nth(1)?.split('"').next().map(str::to_owned)
            }));
        }
    }
    texts
}

/// A line is there for readers when appending returns, in the plain log soon after, and nothing is
/// beside the log once it is closed.
#[test]
fn lines_are_there_at_once_and_in_the_log_soon() {
    let dir = Dir::new();
    let log = LogWriter::open(&dir.at("x.log")).unwrap();
    log.append(line("a").as_bytes()).unwrap();
    assert_eq!(read_lines(log.path()), [line("a")]);
    assert_eq!(tails(&dir).len(), 1);
    assert_eq!(store_support::mode(&dir.at(&tails(&dir)[0])), 0o600);
    eventually("the line in the log", || fs::read_to_string(log.path()).unwrap() == line("a"));
    assert_eq!(read_lines(log.path()), [line("a")]);
    log.append(line("b").as_bytes()).unwrap();
    log.close();
    assert_eq!(fs::read_to_string(log.path()).unwrap(), line("a") + &line("b"));
    assert_eq!(dir.names(), ["x.log"]);
}

/// Readers beside busy threads see every line that was acknowledged before, once, in order.
#[test]
fn readers_see_every_line_once() {
    const LINES: usize = 30_000;
    let dir = Dir::new();
    let path = dir.at("x.log");
    let options = WriterOptions { buffer_bytes: 64 << 10, ..WriterOptions::default() };
    let log = LogWriter::open_with(&path, options).unwrap();
    let acknowledged: [AtomicUsize; 2] = Default::default();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..acknowledged.len())
            .map(|thread| {
                let (log, acknowledged) = (&log, &acknowledged[thread]);
                scope.spawn(move || {
                    for number in 0..LINES {
                        let padding = "x".repeat(number % 300);
                        let text = line(&format!("{thread} {number} {padding}"));
                        log.append(text.as_bytes()).unwrap();
                        acknowledged.store(number + 1, Ordering::Release);
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut readings = 0;
            while !is_over.load(Ordering::Relaxed) || readings < 3 {
                let before = [0, 1].map(|at: usize| acknowledged[at].load(Ordering::Acquire));
                let mut next = [0, 0];
                for message in messages(&path) {
                    let mut words = message.split(' ').map(str::parse::<usize>);
                    let (thread, number) =
                        (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
                    assert_eq!(number, next[thread]);
                    next[thread] += 1;
                }
                assert!(next[0] >= before[0] && next[1] >= before[1], "{next:?} {before:?}");
                readings += 1;
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(log.dropped(), 0);
}

/// While the disk is full lines are kept beside the log, for readers and for later; what finds no
/// room there is counted, and noted in the log when there is space.
#[test]
fn a_full_disk_is_outlasted() {
    let dir = Dir::new();
    let path = dir.at("x.log");
    let mut helper = Helper::start();
    helper.ask(&format!("open-small {}", path.display()));
    assert_eq!(helper.ask("append first"), "ok");
    assert_eq!(helper.ask("flush"), "ok");
    let size = fs::metadata(&path).unwrap().len();
    // Room for a part of the next line.
    helper.ask(&format!("limit {}", size + 20));
    assert_eq!(helper.ask("append kept"), "ok");
    assert_eq!(helper.ask("flush"), "error: File too large");
    assert_eq!(helper.ask("append told"), "error: File too large; first: true");
    assert_eq!(helper.ask("append also kept"), "ok");
    let kept = ["first", "kept", "told", "also kept"].map(line);
    assert_eq!(read_lines(&path), kept);
    let mut dropped = 0;
    while dropped == 0 {
        helper.ask(&format!("append {}", "x".repeat(4000)));
        dropped = helper.ask("dropped").parse().unwrap();
    }
    helper.ask("limit");
    eventually("the disk works again", || helper.ask("flush") == "ok");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&kept.concat()), "{text}");
    assert_eq!(text.matches("\"dropped\": 1}").count(), 1, "{text}");
    assert!(text.ends_with('\n'));
}

/// Lines are dropped rather than waited for where the options say so.
#[test]
fn a_full_ring_drops_if_told() {
    let dir = Dir::new();
    let options =
        WriterOptions { buffer_bytes: 64 << 10, on_full: OnFull::Drop, ..WriterOptions::default() };
    let log = LogWriter::open_with(&dir.at("x.log"), options).unwrap();
    let text = line(&"x".repeat(20_000));
    let mut outcomes = Vec::new();
    // No thread empties a ring of three such lines as fast as this fills it, not always.
    while log.dropped() == 0 {
        outcomes.extend(log.append(text.as_bytes()).err());
    }
    assert!(matches!(outcomes[0].cause, AppendCause::Full));
    log.flush().unwrap();
    log.close();
    assert!(fs::read_to_string(log.path()).unwrap().contains("\"dropped\": "));
}

/// With `Fsync` a line is in the log itself when appending returns.
#[test]
fn synchronised_lines_are_in_the_log() {
    let dir = Dir::new();
    let options = WriterOptions { durability: Durability::Fsync, ..WriterOptions::default() };
    let log = LogWriter::open_with(&dir.at("x.log"), options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..10 {
                    let text = line(&format!("{thread} {number}"));
                    log.append(text.as_bytes()).unwrap();
                    assert!(fs::read_to_string(log.path()).unwrap().contains(&text));
                }
            });
        }
    });
}

/// A line larger than the ring goes straight into the log, behind what was logged before.
#[test]
fn long_lines_keep_their_place() {
    let dir = Dir::new();
    let options = WriterOptions { buffer_bytes: 64 << 10, ..WriterOptions::default() };
    let log = LogWriter::open_with(&dir.at("x.log"), options).unwrap();
    let texts = ["a", &"long ".repeat(50_000), "b", &"longer ".repeat(100_000), "c"].map(line);
    for text in &texts {
        log.append(text.as_bytes()).unwrap();
    }
    assert_eq!(read_lines(log.path()), texts);
    log.close();
    assert_eq!(read_lines(log.path()), texts);
}

/// A log that was removed is made anew, with what is logged from then on and a note; so is a ring.
#[test]
fn what_is_removed_is_made_anew() {
    let dir = Dir::new();
    let log = LogWriter::open(&dir.at("x.log")).unwrap();
    log.append(line("a").as_bytes()).unwrap();
    log.flush().unwrap();
    for name in dir.names() {
        fs::remove_file(dir.at(&name)).unwrap();
    }
    log.append(line("b").as_bytes()).unwrap();
    log.flush().unwrap();
    let error = log.append(line("c").as_bytes()).unwrap_err();
    assert!(matches!(error.cause, AppendCause::Removed) && error.first);
    log.append(line("d").as_bytes()).unwrap();
    let lines = read_lines(log.path());
    assert!(lines[0].contains("was removed while it was written"), "{lines:?}");
    assert_eq!(lines[1..], ["b", "c", "d"].map(line));
    eventually("a new ring", || tails(&dir).len() == 1);
    log.close();
    assert_eq!(read_lines(log.path()).len(), 4);
    assert_eq!(dir.names(), ["x.log"]);
}

/// Somebody who shortens the files of a running program does not kill it; what is logged afterwards
/// is kept, and what is lost is counted.
#[test]
fn shortened_files_kill_nobody() {
    let dir = Dir::new();
    let log = LogWriter::open(&dir.at("x.log")).unwrap();
    for number in 0..3 {
        for text in ["a", "b"] {
            log.append(line(text).as_bytes()).unwrap();
        }
        for name in dir.names() {
            fs::OpenOptions::new().write(true).open(dir.at(&name)).unwrap().set_len(0).unwrap();
        }
        let after = line(&format!("after {number}"));
        log.append(after.as_bytes()).unwrap();
        log.flush().unwrap();
        assert!(read_lines(log.path()).contains(&after));
    }
    log.close();
    assert_eq!(dir.names(), ["x.log"]);
}

/// A log that is rotated by size while it is written and read: the parts are whole, become
/// compressed, and all readers see every acknowledged line once, in order.
#[test]
fn rotated_logs_are_read_as_one() {
    const LINES: usize = 20_000;
    let dir = Dir::new();
    let run = store_support::run("r");
    let options = WriterOptions { max_bytes: Some(100 << 10), ..WriterOptions::default() };
    let log = LogWriter::create_in_with(&dir.path(), &run, options).unwrap();
    let acknowledged = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..LINES {
                log.append(line(&format!("n {number}")).as_bytes()).unwrap();
                acknowledged.store(number + 1, Ordering::Release);
                if number % 500 == 0 {
                    log.flush().unwrap();
                }
            }
        });
        while !writer.is_finished() {
            let before = acknowledged.load(Ordering::Acquire);
            let mut next = 0;
            for message in scanned_messages(log.path()) {
                assert_eq!(message, format!("n {next}"));
                next += 1;
            }
            assert!(next >= before, "{next} of {before}");
        }
    });
    assert!(log_files(log.path()).len() > 5, "{:?}", dir.names());
    log.close();
    eventually("compressed parts", || {
        dir.names()
            .iter()
            .filter(|name| name.contains("part"))
            .all(|name| has_extension(name, "gz"))
    });
    let expected: Vec<_> = (0..LINES).map(|number| format!("n {number}")).collect();
    assert_eq!(messages(log.path()), expected);
}

/// At the end of a process its other threads still log: what comes then stands behind what they have
/// in the ring.
#[test]
fn ending_keeps_the_order() {
    const THREADS: usize = 2;
    for _ in 0..30 {
        let dir = Dir::new();
        let log = LogWriter::open(&dir.at("x.log")).unwrap();
        let logged = AtomicUsize::new(0);
        let has_ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (log, logged, has_ended) = (&log, &logged, &has_ended);
                scope.spawn(move || {
                    for number in 0.. {
                        if has_ended.load(Ordering::Relaxed) && number > 200 {
                            return;
                        }
                        log.append(line(&format!("{thread} {number:08}")).as_bytes()).unwrap();
                        logged.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            eventually("lines", || logged.load(Ordering::Relaxed) > 1_000);
            log.finish();
            let lines = logged.load(Ordering::Relaxed);
            eventually("lines after the end", || logged.load(Ordering::Relaxed) > lines + 100);
            has_ended.store(true, Ordering::Relaxed);
        });
        log.close();
        let messages = messages(log.path());
        assert_eq!(messages.len(), logged.load(Ordering::Relaxed));
        for thread in 0..THREADS {
            let prefix = format!("{thread} ");
            let of_thread: Vec<_> =
                messages.iter().filter(|message| message.starts_with(&prefix)).collect();
            assert!(of_thread.is_sorted(), "thread {thread}");
        }
    }
}

/// A line that is too long for the ring begins on a line of its own also where another process was
/// killed in the middle of one of its lines.
#[test]
fn a_long_line_behind_a_piece_of_one() {
    let dir = Dir::new();
    let log = LogWriter::open(&dir.at("x.log")).unwrap();
    log.append(line("a").as_bytes()).unwrap();
    log.flush().unwrap();
    let piece = &line("torn")[..20];
    fs::OpenOptions::new()
        .append(true)
        .open(log.path())
        .unwrap()
        .write_all(piece.as_bytes())
        .unwrap();
    let wide = line(&"b".repeat(3 << 20));
    log.append(wide.as_bytes()).unwrap();
    log.append(line("c").as_bytes()).unwrap();
    log.close();
    let expected = format!("{}{piece}\n{wide}{}", line("a"), line("c"));
    assert!(fs::read_to_string(log.path()).unwrap() == expected);
}
