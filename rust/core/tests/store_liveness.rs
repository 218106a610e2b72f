//! Whether a log is still being written: certain by lock, careful by process id.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::fs;

use inspect_trace_core::store::{ProcessStatus, liveness, writer_alive};
use inspect_trace_core::write::writer::LogWriter;
use store_support::{DEAD, Dir, Helper, eventually, make_fifo, run, set_age};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn status(pid: u32, alive: bool) -> ProcessStatus {
    ProcessStatus { pid: Some(pid), alive: Some(alive) }
}

/// A process holds its log until it dies, however quiet it is; its death is seen at once.
#[test]
fn locks_tell_the_living_from_the_dead() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let pid = helper.pid();
    let log = helper.ask(&format!("create r {}", dir.path().display()));
    set_age(log.as_ref(), 1_000_000);
    assert_eq!(liveness(log.as_ref()), status(pid, true));
    // Looking takes nothing: the helper still has its lock, and can write.
    assert_eq!(liveness(log.as_ref()), status(pid, true));
    assert_eq!(helper.ask("append x"), "ok");
    drop(helper.kill());
    assert_eq!(liveness(log.as_ref()), status(pid, false));
    assert_eq!(writer_alive(log.as_ref(), pid), Some(false));
}

/// A log that its process has closed is finished, though the process lives.
#[test]
fn closed_logs_are_finished() {
    let dir = Dir::new();
    let log = LogWriter::create_in(&dir.path(), &run("r")).unwrap();
    log.append(b"{}\n").unwrap();
    assert_eq!(liveness(log.path()), status(std::process::id(), true));
    log.close();
    // A child of another test has the lock, too, until it becomes another program.
    eventually("the end of the lock", || liveness(log.path()) == status(std::process::id(), false));
    // Written to since by a tool that does not lock: then only the process id tells.
    fs::write(log.path(), "{}\n{}\n").unwrap();
    assert_eq!(liveness(log.path()), status(std::process::id(), true));
}

/// Two writers of one process on one log: it is live until both are closed.
#[test]
fn every_writer_of_a_process_counts() {
    let dir = Dir::new();
    let path = dir.at("x.log");
    let (one, two) = (LogWriter::open(&path).unwrap(), LogWriter::open(&path).unwrap());
    one.close();
    assert_eq!(liveness(&path), status(std::process::id(), true));
    drop(two);
    eventually("the end of the lock", || liveness(&path).alive == Some(false));
}

/// A log at a path of the user's choice tells its writer by lock, and its death too; the one of
/// another tool tells nothing.
#[test]
fn logs_without_a_process_id_in_their_name() {
    let dir = Dir::new();
    let path = dir.at("mine.jsonl");
    let mut helper = Helper::start();
    helper.ask(&format!("open {}", path.display()));
    assert_eq!(liveness(&path), status(helper.pid(), true));
    drop(helper.kill());
    assert_eq!(liveness(&path), ProcessStatus { pid: None, alive: Some(false) });

    let other = dir.plain("other.log", 10, &["x"]);
    assert_eq!(liveness(&other), ProcessStatus { pid: None, alive: None });
}

/// Another tool's log, which nobody locks, is live while a process of its id runs that is older
/// than the last change of the log; a younger process only has the same id.
#[test]
fn unlocked_logs_are_judged_by_process_id() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let pid = helper.pid();
    // It answers, so it has started.
    helper.ask(&format!("open {}", dir.outside("x.log").display()));
    let log = dir.plain(&format!("trace-{pid}.log"), 0, &["x"]);
    assert_eq!(liveness(&log), status(pid, true));
    set_age(&log, 3600);
    assert_eq!(liveness(&log), status(pid, false));
    set_age(&log, 0);
    helper.kill_but_leave_zombie();
    assert_eq!(liveness(&log), status(pid, false));
    drop(helper.kill());
    assert_eq!(liveness(&log), status(pid, false));
    assert_eq!(
        liveness(&dir.plain(&format!("trace-{DEAD}-3.log"), 0, &["x"])),
        status(DEAD, false)
    );
}

/// Compressed logs are finished; what is not there or no file is nobody's, and asking does not wait.
#[test]
fn other_cases() {
    let dir = Dir::new();
    let own = std::process::id();
    let compressed = dir.compressed(&format!("trace-{own}.log.gz"), 0, &["x"]);
    assert_eq!(liveness(&compressed), status(own, false));
    assert_eq!(writer_alive(&compressed, own), Some(false));
    let unknown = ProcessStatus { pid: None, alive: None };
    make_fifo(&dir.at("fifo.log"));
    assert_eq!(liveness(&dir.at("fifo.log")), unknown);
    assert_eq!(writer_alive(&dir.at("fifo.log"), own), None);
    assert_eq!(liveness(&dir.path()), unknown);
    assert_eq!(liveness(&dir.at("nothing.log")), unknown);
    assert_eq!(liveness(&dir.at("trace-7.log")), ProcessStatus { pid: Some(7), alive: None });
}
