//! Rotation of a log that several writers have open, and rotations that are cut short.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use inspect_trace_core::read::Blocks;
use inspect_trace_core::store::{self, housekeep, log_files, part_path};
use inspect_trace_core::write::options::WriterOptions;
use inspect_trace_core::write::writer::LogWriter;
use store_support::{DEAD, Dir, line, scanned_messages as messages, set_age, set_run};

fn rotated_at(max_bytes: u64) -> WriterOptions {
    WriterOptions { max_bytes: Some(max_bytes), ..WriterOptions::default() }
}

/// The numbers of each writer's lines, each writer's in order; fails where one is missing in between.
fn counts(messages: &[String]) -> HashMap<String, usize> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for message in messages {
        let (writer, number) = message.split_once(' ').unwrap();
        let next = counts.entry(writer.to_owned()).or_default();
        assert_eq!(number.parse::<usize>().unwrap(), *next, "of {writer}");
        *next += 1;
    }
    counts
}

/// Writers that share a log rotate it, whoever comes first; all readers see each writer's acknowledged
/// lines once and in order, while it goes on and afterwards.
#[test]
fn a_log_of_several_writers() {
    const WRITERS: usize = 3;
    const LINES: usize = 8_000;
    let dir = Dir::new();
    let path = dir.at("x.log");
    let acknowledged = [const { AtomicUsize::new(0) }; WRITERS];
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (path, acknowledged) = (&path, &acknowledged[writer]);
                scope.spawn(move || {
                    // One of them knows nothing of rotation, and one has no ring.
                    let options = match writer {
                        0 => WriterOptions::default(),
                        1 => rotated_at(50 << 10),
                        _ => WriterOptions { buffer_bytes: 0, ..rotated_at(70 << 10) },
                    };
                    let log = LogWriter::open_with(path, options).unwrap();
                    for number in 0..LINES {
                        log.append(line(&format!("w{writer} {number}")).as_bytes()).unwrap();
                        acknowledged.store(number + 1, Ordering::Release);
                        if number % 300 == 0 {
                            log.flush().unwrap();
                        }
                    }
                })
            })
            .collect();
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let before: Vec<_> =
                acknowledged.iter().map(|count| count.load(Ordering::Acquire)).collect();
            if before.iter().all(|&count| count == 0) {
                continue;
            }
            let counts = counts(&messages(&path));
            for (writer, &before) in before.iter().enumerate() {
                let seen = counts.get(&format!("w{writer}")).copied().unwrap_or(0);
                assert!(seen >= before, "{seen} of {before} of w{writer}");
            }
        }
    });
    assert!(log_files(&path).len() > 5, "{:?}", dir.names());
    let counts = counts(&messages(&path));
    assert!(counts.len() == WRITERS && counts.values().all(|&count| count == LINES), "{counts:?}");
    assert!(dir.names().iter().all(|name| name.starts_with("x.")), "{:?}", dir.names());
}

/// A writer that has been idle since another one rotated goes on in the new file, and passes for alive
/// until then.
#[test]
fn an_idle_writer() {
    let dir = Dir::new();
    let run = store_support::run("r");
    let log = LogWriter::create_in_with(&dir.path(), &run, rotated_at(1)).unwrap();
    let idle = LogWriter::open(log.path()).unwrap();
    idle.append(line("idle 0").as_bytes()).unwrap();
    idle.flush().unwrap();
    log.append(line("busy 0").as_bytes()).unwrap();
    log.flush().unwrap();
    let part = part_path(log.path(), 1);
    assert!(part.is_file());
    let path = log.path().to_owned();
    log.close();
    // Another run makes the log one that may be compressed.
    fs::write(dir.at(&format!("trace-{DEAD}.log")), line("newer")).unwrap();
    set_age(&path, 1000);
    set_age(&part, 1000);
    housekeep(&dir.path(), 1);
    assert!(path.is_file() && part.is_file(), "{:?}", dir.names());
    assert_eq!(store::list(&dir.path()).unwrap().last().unwrap().alive, Some(true));
    idle.append(line("idle 1").as_bytes()).unwrap();
    idle.close();
    assert_eq!(fs::read_to_string(&path).unwrap(), line("idle 1"));
    assert_eq!(counts(&messages(&path)), [("idle".into(), 2), ("busy".into(), 1)].into());
}

/// A log as a writer leaves it that is killed between the two steps of a rotation.
fn cut_short(dir: &Dir) -> std::path::PathBuf {
    let name = format!("trace-{DEAD}");
    dir.plain(&format!("{name}.part0001.log"), 3000, &["n 0"]);
    let path = dir.plain(&format!("{name}.log"), 2000, &["n 1", "n 2"]);
    set_run(&path, "old", false);
    fs::hard_link(&path, part_path(&path, 2)).unwrap();
    path
}

/// Where a rotation was cut short, the file with both names counts once: when it is read, listed,
/// appended to, rotated, compressed and removed.
#[test]
fn a_rotation_that_was_cut_short() {
    let dir = Dir::new();
    let path = cut_short(&dir);
    let all = [("n".to_owned(), 3)].into();
    assert_eq!(counts(&messages(&path)), all);
    let listed = &store::list(&dir.path()).unwrap()[0];
    assert_eq!((listed.parts, listed.size_bytes), (1, 3 * line("n 1").len() as u64));

    let log = LogWriter::open_with(&path, rotated_at(1)).unwrap();
    log.append(line("n 3").as_bytes()).unwrap();
    assert_eq!(counts(&messages(&path)), [("n".to_owned(), 4)].into());
    log.flush().unwrap();
    log.append(line("n 4").as_bytes()).unwrap();
    log.close();
    assert_eq!(counts(&messages(&path)), [("n".to_owned(), 5)].into());
    // It may be compressed by now.
    let mut blocks = log_files(&path)[1].open_by(Blocks::open).unwrap();
    let three = line("n 1") + &line("n 2") + &line("n 3");
    assert_eq!(blocks.next_block().unwrap().unwrap().bytes, three.as_bytes());
}

/// Housekeeping makes one file of the one with two names.
#[test]
fn housekeeping_after_a_rotation_that_was_cut_short() {
    let dir = Dir::new();
    let path = cut_short(&dir);
    dir.plain(&format!("trace-{}.log", DEAD + 1), 10, &["newer"]);
    let report = housekeep(&dir.path(), 10);
    assert_eq!((report.compressed, report.failed), (2, 0), "{report:?}");
    assert_eq!(counts(&messages(&path)), [("n".to_owned(), 3)].into());
    assert!(!part_path(&path, 2).exists() && !path.exists(), "{:?}", dir.names());
    assert_eq!(log_files(&path).len(), 2);

    let dir = Dir::new();
    let path = cut_short(&dir);
    dir.plain(&format!("trace-{}.log", DEAD + 1), 10, &["newer"]);
    housekeep(&dir.path(), 1);
    assert_eq!(dir.names(), [format!("trace-{}.log", DEAD + 1)]);
    assert!(!path.exists());
}
