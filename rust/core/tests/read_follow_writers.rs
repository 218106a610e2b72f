//! Following the logs of processes: to the death of the writer, through housekeeping, and through
//! rotation under writers that live on.
#![allow(clippy::unwrap_used)]

mod follow_support;
mod store_support;

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use follow_support::{Watch, append, close};
use inspect_trace_core::read::{Filter, FollowEnd, GONE_POLLS, Log, Step};
use inspect_trace_core::render::{Report, follow_report};
use inspect_trace_core::store::{housekeep, liveness};
use inspect_trace_core::write::writer::LogWriter;
use store_support::{Dir, Helper, eventually, gzip, line, make_fifo, run, set_age};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

/// All that a process wrote before it was killed is given, and then the end; a whole record whose
/// newline is missing is among it.
#[test]
fn the_log_of_a_killed_process_ends() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    helper.ask("append a");
    helper.ask("flush");
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    helper.ask("append b");
    helper.ask("flush");
    append(&path, line("c").trim_end());
    assert_eq!(watch.news(), ["b"]);
    drop(helper.kill());
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    assert_eq!(watch.seen, ["c"]);
}

/// The records acknowledged by a process that is killed while it writes and is followed are all
/// given, once each.
#[test]
fn a_process_killed_while_it_writes_loses_nothing() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    let mut watch = Watch::of(&path);
    helper.tell("append-for-ever n");
    let mut acknowledged: usize = 0;
    while acknowledged < 300 {
        acknowledged = helper.answer().unwrap().parse::<usize>().unwrap() + 1;
        watch.poll();
    }
    let _output = helper.kill();
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    let expected: Vec<_> = (0..watch.seen.len()).map(|number| format!("n {number}")).collect();
    assert_eq!(watch.seen, expected);
    assert!(watch.seen.len() >= acknowledged);
}

/// A forked child that still writes keeps the log of a dead process going.
#[test]
fn children_keep_a_log_going() {
    let dir = Dir::new();
    let gate = dir.outside("gate");
    make_fifo(&gate);
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    helper.ask(&format!("fork {}", gate.display()));
    let mut watch = Watch::of(&path);
    let mut output = helper.kill();
    assert_eq!(watch.news(), ["child begins"]);
    store_support::open_gate(&gate);
    // The child has the other end of the helper's output until it ends.
    std::io::copy(&mut output, &mut std::io::sink()).unwrap();
    eventually("the child's log closed", || liveness(&path).alive == Some(false));
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    assert_eq!(watch.seen, ["child ends"]);
}

/// A log that housekeeping compresses is given from the file that was open before.
#[test]
fn a_log_that_is_compressed_meanwhile_is_given_whole() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    helper.ask("append-many 5000 100 a");
    helper.ask("flush");
    let mut watch = Watch::of(&path);
    assert!(matches!(watch.poll(), Step::Lines(_)));
    helper.ask("append last");
    drop(helper.kill());
    set_age(&path, 60);
    let _newer = LogWriter::create_in(&dir.path(), &run("newer")).unwrap();
    assert_eq!(housekeep(&dir.path(), 10).compressed, 1);
    assert!(!path.exists());
    assert_eq!(watch.end(), FollowEnd::WasCompressed);
    assert_eq!(watch.seen.len(), 5001);
    assert_eq!(watch.seen.last().unwrap(), "last");
}

/// The same for one that is removed.
#[test]
fn a_log_that_is_removed_meanwhile_is_given_whole() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    helper.ask("append a");
    let mut watch = Watch::of(&path);
    helper.finish();
    assert_eq!(housekeep(&dir.path(), 0).removed, 1);
    assert_eq!((watch.end(), watch.seen), (FollowEnd::WasRemoved, vec!["a".to_owned()]));
}

/// The reference locks nothing and compresses its log itself before it ends: the log is given
/// whole, and followed until the process has ended.
#[test]
fn a_log_of_the_reference_is_given_whole() {
    let dir = Dir::new();
    let helper = Helper::start();
    let path = dir.plain(&format!("trace-{}.log", helper.pid()), 0, &["a"]);
    let mut watch = Watch::of(&path);
    assert_eq!(watch.news(), ["a"]);
    append(&path, line("b"));
    let whole = fs::read(&path).unwrap();
    fs::write(path.with_extension("log.gz"), gzip(&whole)).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(watch.news(), ["b"]);
    helper.finish();
    assert_eq!(watch.end(), FollowEnd::WasCompressed);
    assert_eq!((watch.seen, watch.events), (Vec::new(), Vec::new()));
}

/// When a process id is used again, the old log is moved aside: it is read to its end, then the new
/// one is followed.
#[test]
fn the_next_log_of_the_same_process_id_is_followed() {
    let dir = Dir::new();
    let old = LogWriter::create_in(&dir.path(), &run("old")).unwrap();
    old.append(line("a").as_bytes()).unwrap();
    old.flush().unwrap();
    let mut watch = Watch::of(old.path());
    assert_eq!(watch.news(), ["a"]);
    old.append(line("b").as_bytes()).unwrap();
    old.flush().unwrap();
    close(&old);
    let new = LogWriter::create_in(&dir.path(), &run("new")).unwrap();
    assert_eq!(new.path(), old.path());
    new.append(line("c").as_bytes()).unwrap();
    new.flush().unwrap();
    assert_eq!(watch.news(), ["b", "c"]);
    new.append(line("d").as_bytes()).unwrap();
    new.flush().unwrap();
    new.close();
    assert_eq!(watch.end(), FollowEnd::WriterEnded);
    assert_eq!(watch.seen, ["d"]);
}

/// A writer that goes on with a file that was rotated away is followed beside the new one, as long
/// as it lives.
#[test]
fn a_rotated_log_is_followed_while_its_writer_lives() {
    let dir = Dir::new();
    let path = dir.at("app.log");
    let old = LogWriter::open(&path).unwrap();
    old.append(line("a").as_bytes()).unwrap();
    old.flush().unwrap();
    let mut watch = Watch::of(&path);
    fs::rename(&path, dir.at("app.log.1")).unwrap();
    let new = LogWriter::open(&path).unwrap();
    new.append(line("b").as_bytes()).unwrap();
    new.flush().unwrap();
    assert_eq!(watch.news(), ["a", "b"]);
    old.append(line("c").as_bytes()).unwrap();
    old.flush().unwrap();
    new.append(line("d").as_bytes()).unwrap();
    new.flush().unwrap();
    assert_eq!(watch.news(), ["c", "d"]);
    close(&new);
    fs::remove_file(&path).unwrap();
    for _ in 0..2 * GONE_POLLS {
        assert_eq!(watch.poll(), Step::Idle);
    }
    old.append(line("e").as_bytes()).unwrap();
    old.flush().unwrap();
    assert_eq!(watch.news(), ["e"]);
    old.append(line("f").as_bytes()).unwrap();
    old.flush().unwrap();
    old.close();
    assert_eq!(watch.end(), FollowEnd::WasRemoved);
    assert_eq!(watch.seen, ["f"]);
}

/// The same with writers that wait for nobody: every record of every file is seen once, in the order
/// of its writer, though old and new files are written at the same time.
#[test]
fn rotation_by_another_thread_loses_nothing() {
    const FILES: usize = 60;
    const RECORDS: usize = 50;
    let dir = Dir::new();
    let path = dir.at("app.log");
    let append = |writer: &LogWriter, file: usize, records: std::ops::Range<usize>| {
        for record in records {
            writer.append(line(&format!("{file} {record}")).as_bytes()).unwrap();
        }
        writer.flush().unwrap();
    };
    let mut writer = LogWriter::open(&path).unwrap();
    let mut watch = Watch::of(&path);
    let (polls, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let end = std::thread::scope(|scope| {
        scope.spawn(|| {
            for file in 0..FILES {
                append(&writer, file, 0..RECORDS / 2);
                // A file that nobody ever looked at is not seen: one whole poll has to pass.
                let before = polls.load(Ordering::SeqCst);
                eventually("a look at the file", || {
                    is_over.load(Ordering::SeqCst) || polls.load(Ordering::SeqCst) > before + 1
                });
                // The last one is not removed: its writer would make it anew.
                if file % 2 == 0 || file + 1 == FILES {
                    fs::rename(&path, dir.at("aside.log")).unwrap();
                } else {
                    fs::remove_file(&path).unwrap();
                }
                let next = (file + 1 < FILES).then(|| LogWriter::open(&path).unwrap());
                append(&writer, file, RECORDS / 2..RECORDS);
                writer.close();
                if let Some(next) = next {
                    writer = next;
                }
            }
        });
        loop {
            if let Step::End(end) = watch.poll() {
                is_over.store(true, Ordering::SeqCst);
                break end;
            }
            polls.fetch_add(1, Ordering::SeqCst);
        }
    });
    assert_eq!(end, FollowEnd::WasRemoved);
    let mut seen = vec![0; FILES];
    // A writer whose log is removed goes on in the new one, and says so there.
    for message in watch.seen.iter().filter(|message| !message.contains("was removed")) {
        let (file, record) = message.split_once(' ').unwrap();
        let file: usize = file.parse().unwrap();
        assert_eq!(record, seen[file].to_string(), "of file {file}");
        seen[file] += 1;
    }
    assert_eq!(seen, [RECORDS; FILES]);
}

/// The next chunk that is not empty; what is noted on the way is added to `notes`.
fn next_output(report: &mut dyn Report, notes: &mut Vec<String>) -> Option<String> {
    loop {
        let chunk = report.next_chunk().unwrap();
        notes.extend(report.take_notes());
        match chunk {
            Some(chunk) if chunk.is_empty() => {}
            chunk => return chunk.map(|chunk| String::from_utf8(chunk).unwrap()),
        }
    }
}

/// The report gives the wanted records as JSON Lines, notes what happens as it happens, and counts
/// what it skips file by file.
#[test]
fn the_report_notes_what_happens() {
    let dir = Dir::new();
    let path = dir.at("trace-1.log");
    let writer = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    fs::rename(writer.path(), &path).unwrap();
    append(&path, format!("garbage\n{}{}", line("Wanted 1"), line("other")));
    let mut report =
        follow_report(&Log::with_parts(&path), &Filter::new(Some("wanted")), false, false).unwrap();
    let mut notes = Vec::new();
    let output = |text: &str| Some(line(text).replace(": ", ":").replace(", ", ","));
    assert_eq!(next_output(&mut *report, &mut notes), output("Wanted 1"));
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, line("wanted 2"));
    assert_eq!(next_output(&mut *report, &mut notes), output("wanted 2"));
    append(&path, "[]\n");
    writer.close();
    assert_eq!(next_output(&mut *report, &mut notes), None);
    assert_eq!(
        notes,
        [
            "trace-1.log: skipped 1 line (line 1, byte 0: not JSON)",
            "trace-1.log was truncated: going on from its new start",
            "trace-1.log is finished, its writer has ended: nothing more will come",
        ]
    );
    let skipped = report.skipped().unwrap();
    assert!(skipped.starts_with("trace-1.log: skipped 1 line (line 2,"), "{skipped}");
}
