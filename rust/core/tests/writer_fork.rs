//! Logs across a fork: who holds them, who writes to them, and that nobody gets stuck.
#![allow(clippy::unwrap_used)]

mod store_support;

use inspect_trace_core::store::{self, ProcessStatus, writer_alive};
use store_support::{Dir, Helper, eventually, line, make_fifo, open_gate, read_lines};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

/// A forked child holds the log by itself: it is told apart from its parent, outlives it, and the
/// log is finished only after both.
#[test]
fn children_hold_the_log_themselves() {
    let dir = Dir::new();
    let gate = dir.outside("gate");
    make_fifo(&gate);
    let mut helper = Helper::start();
    let parent = helper.pid();
    let log = helper.ask(&format!("create run {}", dir.path().display()));
    let log = log.as_ref();
    helper.ask("append parent");
    helper.tell(&format!("fork {}", gate.display()));
    let child = helper.answer().unwrap().parse().unwrap();

    assert_eq!(store::liveness(log), ProcessStatus { pid: Some(parent), alive: Some(true) });
    assert_eq!(writer_alive(log, parent), Some(true));
    assert_eq!(writer_alive(log, child), Some(true));

    drop(helper.kill());
    assert_eq!(store::liveness(log), ProcessStatus { pid: Some(child), alive: Some(true) });
    assert_eq!(writer_alive(log, parent), Some(false));
    assert_eq!(writer_alive(log, child), Some(true));

    open_gate(&gate);
    eventually("the child's end", || store::liveness(log).alive == Some(false));
    assert_eq!(writer_alive(log, child), Some(false));
    // What the parent had not flushed is behind what the child has written meanwhile.
    let mut lines = read_lines(log);
    lines.sort();
    assert_eq!(lines, ["child begins", "child ends", "parent"].map(line));
}

/// The end of a child does not end the hold of its parent.
#[test]
fn parents_outlive_children() {
    let dir = Dir::new();
    let gate = dir.outside("gate");
    make_fifo(&gate);
    let mut helper = Helper::start();
    let log = helper.ask(&format!("create run {}", dir.path().display()));
    let log = log.as_ref();
    helper.tell(&format!("fork {}", gate.display()));
    let child = helper.answer().unwrap().parse().unwrap();
    open_gate(&gate);
    eventually("the child's end", || writer_alive(log, child) == Some(false));
    assert_eq!(store::liveness(log), ProcessStatus { pid: Some(helper.pid()), alive: Some(true) });
    helper.ask("append after");
    assert_eq!(read_lines(log).last(), Some(&line("after")));
}

/// Forking at any moment while other threads write gets nobody stuck, and loses and mixes no lines:
/// the child does not wait for threads that it does not have.
#[test]
fn forking_among_writers_is_safe() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let log = helper.ask(&format!("create run {}", dir.path().display()));
    let written: usize = helper.ask("fork-while-writing 100").parse().unwrap();
    let mut lines = read_lines(log.as_ref());
    assert_eq!(lines.len(), written + 100);
    assert_eq!(lines.iter().filter(|text| text.contains("\"fork ")).count(), 100);
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), written + 100);
    assert_eq!(store::liveness(log.as_ref()).pid, Some(helper.pid()));
}

/// A program that a traced process started does not keep the log open.
#[test]
fn executed_programs_hold_nothing() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let log = helper.ask(&format!("create run {}", dir.path().display()));
    let sleeper: i32 = helper.ask("exec").parse().unwrap();
    drop(helper.kill());
    // The new program's process closes what it inherited a moment after it is there.
    eventually("the end of the log", || store::liveness(log.as_ref()).alive == Some(false));
    let sleeper = rustix::process::Pid::from_raw(sleeper).unwrap();
    rustix::process::test_kill_process(sleeper).unwrap();
    rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
}

/// A child that knows nothing of tracing counts as holding what it inherited: its log is not
/// touched as long as it might write.
#[test]
fn unaware_children_keep_the_log() {
    let dir = Dir::new();
    let gate = dir.outside("gate");
    make_fifo(&gate);
    let mut helper = Helper::start();
    let log = helper.ask(&format!("create run {}", dir.path().display()));
    helper.tell(&format!("daemonise {}", gate.display()));
    helper.answer().unwrap();
    drop(helper.kill());
    assert_eq!(store::liveness(log.as_ref()).alive, Some(true));
    open_gate(&gate);
    eventually("the child's end", || store::liveness(log.as_ref()).alive == Some(false));
}
