//! A process's own log: its name, its privacy, and that it never mixes with another run.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;

use inspect_trace_core::store;
use inspect_trace_core::write::writer::LogWriter;
use store_support::{DEAD, Dir, Helper, line, make_fifo, mode, read_lines, run};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn own(rest: &str) -> String {
    format!("trace-{}{rest}", std::process::id())
}

/// The log is named after the process, private, in a private directory, and live from the start.
#[test]
fn logs_are_named_and_private() {
    let dir = Dir::new();
    let traces = dir.outside("data/inspect_ai/traces");
    let log = LogWriter::create_in(&traces, &run("r")).unwrap();
    assert_eq!(log.path(), traces.join(own(".log")));
    assert_eq!(mode(log.path()), 0o600);
    for directory in ["data", "data/inspect_ai", "data/inspect_ai/traces"] {
        assert_eq!(mode(&dir.outside(directory)), 0o700);
    }
    assert_eq!(mode(&traces.join(".tmp")), 0o700);
    assert_eq!(fs::read_dir(traces.join(".tmp")).unwrap().count(), 0);
    let listed = store::list(&traces).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].pid, Some(std::process::id()));
    assert_eq!(listed[0].alive, Some(true));
    assert_eq!(listed[0].run_id.as_deref(), Some("r"));
    assert!(!listed[0].is_child);
}

/// A directory that exists keeps its mode, and the rest of its content.
#[test]
fn existing_directories_are_used_as_they_are() {
    let dir = Dir::new();
    let before = mode(&dir.path());
    dir.plain("notes.txt", 0, &["mine"]);
    LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    assert_eq!(mode(&dir.path()), before);
    assert_eq!(dir.names(), ["notes.txt".to_owned(), own(".log")]);
}

/// Finished logs of an earlier process of the same id, plain or compressed, ours or another tool's,
/// make way unharmed.
#[test]
fn finished_logs_make_way() {
    for name in [own(".log"), own(".log.gz")] {
        let dir = Dir::new();
        // Last written long before this process started: another process had the id.
        let old = if name.ends_with("gz") {
            dir.compressed(&name, 7200, &["old"])
        } else {
            dir.plain(&name, 7200, &["old"])
        };
        let content = fs::read(&old).unwrap();
        let log = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
        log.append(line("new").as_bytes()).unwrap();
        assert_eq!(log.path(), dir.at(&own(".log")));
        assert_eq!(read_lines(log.path()), [line("new")]);
        let aside = name.replace(".log", "-1.log");
        assert_eq!(fs::read(dir.at(&aside)).unwrap(), content);
        log.close();
        assert_eq!(dir.names().len(), 2, "{:?}", dir.names());
    }
}

/// A log that makes way takes the first number that neither a plain nor a compressed log has.
#[test]
fn taken_numbers_are_skipped() {
    let dir = Dir::new();
    dir.plain(&own(".log"), 7200, &["old"]);
    dir.plain(&own("-1.log"), 7200, &["one"]);
    dir.compressed(&own("-2.log.gz"), 7200, &["two"]);
    fs::create_dir(dir.at(&own("-3.log"))).unwrap();
    let log = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    assert_eq!(log.path(), dir.at(&own(".log")));
    assert_eq!(read_lines(&dir.at(&own("-4.log"))), [line("old")]);
    assert_eq!(read_lines(&dir.at(&own("-1.log"))), [line("one")]);
}

/// A log that the same process has closed makes way; one that it has open does not.
#[test]
fn own_logs_are_told_by_their_locks() {
    let dir = Dir::new();
    let first = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    first.append(line("first").as_bytes()).unwrap();
    let second = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    assert_eq!(second.path(), dir.at(&own("-1.log")));
    first.close();
    // A child that another test starts has all files of this process, and their locks, until it has
    // become its program.
    store_support::eventually("the lock's end", || {
        store::liveness(&dir.at(&own(".log"))).alive != Some(true)
    });
    let third = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    assert_eq!(third.path(), dir.at(&own(".log")));
    assert_eq!(read_lines(&dir.at(&own("-2.log"))), [line("first")]);
}

/// Beside a compression that was cut short, which a housekeeper will complete, the log takes a
/// number.
#[test]
fn half_done_compressions_are_left_to_housekeeping() {
    let dir = Dir::new();
    dir.plain(&own(".log"), 7200, &["old"]);
    dir.compressed(&own(".log.gz"), 7200, &["old"]);
    let log = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    assert_eq!(log.path(), dir.at(&own("-1.log")));
    assert_eq!(dir.names(), [own("-1.log"), own(".log"), own(".log.gz")]);
}

/// An unlocked log under our id that was written since this process started may be another tool's
/// in this very process: it stays.
#[test]
fn logs_of_other_tools_in_this_process_stay() {
    let dir = Dir::new();
    dir.plain(&own(".log"), 0, &["other tool"]);
    let log = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    assert_eq!(log.path(), dir.at(&own("-1.log")));
    assert_eq!(read_lines(&dir.at(&own(".log"))), [line("other tool")]);
}

/// A symlink, FIFO or directory under our name is not followed, opened or moved.
#[test]
fn strange_things_under_the_name_stay() {
    let dir = Dir::new();
    fs::write(dir.outside("victim"), "mine").unwrap();
    symlink(dir.outside("victim"), dir.at(&own(".log"))).unwrap();
    symlink(dir.outside("nowhere"), dir.at(&own("-1.log"))).unwrap();
    make_fifo(&dir.at(&own("-2.log")));
    fs::create_dir(dir.at(&own("-3.log.gz"))).unwrap();
    let log = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    assert_eq!(log.path(), dir.at(&own("-4.log")));
    log.append(line("x").as_bytes()).unwrap();
    log.close();
    assert_eq!(fs::read(dir.outside("victim")).unwrap(), b"mine");
    assert!(!dir.outside("nowhere").exists());
    assert_eq!(dir.names().len(), 5);
}

/// A symlink in place of the directory for temporaries is not followed; the error says where.
#[test]
fn temporaries_do_not_go_through_symlinks() {
    let dir = Dir::new();
    fs::create_dir(dir.outside("elsewhere")).unwrap();
    symlink(dir.outside("elsewhere"), dir.at(".tmp")).unwrap();
    let error = LogWriter::create_in(&dir.path(), &run("r")).unwrap_err().to_string();
    assert!(error.contains(dir.at(".tmp").to_str().unwrap()), "{error}");
    assert_eq!(fs::read_dir(dir.outside("elsewhere")).unwrap().count(), 0);
}

/// Where no directory can be, the error is one line that says what and where.
#[test]
fn impossible_directories_are_errors() {
    let dir = Dir::new();
    fs::write(dir.outside("file"), "").unwrap();
    for place in ["file", "file/traces"] {
        let error = LogWriter::create_in(&dir.outside(place), &run("r")).unwrap_err().to_string();
        let expected = format!("cannot create {}: Not a directory", dir.outside(place).display());
        assert_eq!(error, expected);
    }
}

/// Logs created at the same moment by the threads of a process have names of their own.
#[test]
fn concurrent_creations_do_not_collide() {
    let dir = Dir::new();
    let logs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| LogWriter::create_in(&dir.path(), &run("r")).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let paths: HashSet<_> = logs.iter().map(LogWriter::path).collect();
    assert_eq!(paths.len(), 8);
    assert!(store::list(&dir.path()).unwrap().iter().all(|file| file.alive == Some(true)));
    assert_eq!(dir.names().len(), 8);
}

/// In containers that share a directory every program is process 1: live logs stand beside each
/// other, a finished one makes way, and no run gets into another's log.
#[test]
fn containers_share_a_directory() {
    let dir = Dir::new();
    let create = |run: &str| format!("create {run} {}", dir.path().display());
    let Some(mut first) = Helper::start_in_container() else { return };
    let mut second = Helper::start_in_container().unwrap();
    let first_log = first.ask(&create("one"));
    let second_log = second.ask(&create("two"));
    assert_eq!(first_log, dir.at("trace-1.log").to_str().unwrap());
    assert_eq!(second_log, dir.at("trace-1-1.log").to_str().unwrap());
    first.ask("append one");
    second.ask("append two");
    // The first container is killed; the second one is still there when the next one starts.
    drop(first.kill());
    store_support::eventually("the end of the container", || {
        store::writer_alive(first_log.as_ref(), 1) == Some(false)
    });
    store_support::set_age(first_log.as_ref(), 5);
    let mut third = Helper::start_in_container().unwrap();
    let third_log = third.ask(&create("three"));
    assert_eq!(third_log, dir.at("trace-1.log").to_str().unwrap());
    third.ask("append three");
    assert_eq!(read_lines(third_log.as_ref()), [line("three")]);
    assert_eq!(read_lines(second_log.as_ref()), [line("two")]);
    assert_eq!(read_lines(&dir.at("trace-1-2.log")), [line("one")]);
    assert_eq!(store::liveness(second_log.as_ref()).alive, Some(true));
}

/// A process killed in the middle of a creation leaves nothing but a temporary, which the next
/// housekeeping removes; one that is about to get its name is left alone.
#[test]
fn unfinished_creations_are_cleared_away() {
    let dir = Dir::new();
    fs::create_dir(dir.at(".tmp")).unwrap();
    let stale = dir.at(".tmp/0123456789abcdef0123456789abcdef.log");
    let live = dir.at(".tmp/1123456789abcdef0123456789abcdef.log");
    let foreign = dir.at(".tmp/notes.log");
    fs::write(&stale, "").unwrap();
    fs::write(&foreign, "").unwrap();
    let holder = LogWriter::open(&live).unwrap();
    let report = store::housekeep(&dir.path(), 10);
    assert_eq!(report.stale_temporaries, 1);
    assert!(!stale.exists() && live.exists() && foreign.exists());
    drop(holder);
    assert_eq!(store::housekeep(&dir.path(), 10).stale_temporaries, 1);
    assert!(!live.exists());
}

/// A finished log of another process id is no business of a creation.
#[test]
fn other_logs_stay() {
    let dir = Dir::new();
    dir.plain(&format!("trace-{DEAD}.log"), 7200, &["old"]);
    LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    assert_eq!(read_lines(&dir.at(&format!("trace-{DEAD}.log"))), [line("old")]);
}
