//! Whether open actions run or were cut off, with real processes: a program and its forked child.
#![allow(clippy::unwrap_used)]

mod read_support;
mod store_support;

use std::io::Write as _;
use std::path::Path;

use inspect_trace_core::analyze::{Diagnosis, diagnose};
use inspect_trace_core::read::Filter;
use inspect_trace_core::store::{ProcessStatus, writer_alive};
use read_support::action;
use store_support::{Dir, Helper, eventually, make_fifo, open_gate};

/// Serves as the helper process of the other test.
#[test]
fn helper() {
    store_support::helper_main();
}

fn ids<'d>(actions: impl Iterator<Item = &'d inspect_trace_core::analyze::DatedAction>) -> String {
    let mut ids: Vec<_> =
        actions.map(|dated| String::from_utf8_lossy(&dated.action.trace_id)).collect();
    ids.sort_unstable();
    ids.join(" ")
}

fn look(log: &Path) -> Diagnosis {
    diagnose(log, &Filter::default(), 2e9).unwrap()
}

/// Actions run as long as their own process lives, be it the parent or the child, whoever else has
/// the log open.
#[test]
fn actions_live_and_die_with_their_process() {
    let dir = Dir::new();
    let gate = dir.outside("gate");
    make_fifo(&gate);
    let mut helper = Helper::start();
    let parent = helper.pid();
    let log = helper.ask(&format!("create run {}", dir.path().display()));
    let log: &Path = log.as_ref();
    helper.tell(&format!("fork {}", gate.display()));
    let child: u32 = helper.answer().unwrap().parse().unwrap();
    let mut file = std::fs::File::options().append(true).open(log).unwrap();
    file.write_all(action("enter", "parents", r#", "start_time": 1"#).as_bytes()).unwrap();
    let of_child = format!(r#", "start_time": 1, "pid": {child}"#);
    file.write_all(action("enter", "childs", &of_child).as_bytes()).unwrap();

    let found = look(log);
    assert_eq!(ids(found.running()), "childs parents");
    assert_eq!(found.process, ProcessStatus { pid: Some(parent), alive: Some(true) });
    assert_eq!(found.ended_at_s, None);

    drop(helper.kill());
    let found = look(log);
    assert_eq!(
        (ids(found.running()), ids(found.interrupted())),
        ("childs".into(), "parents".into())
    );
    assert_eq!(found.process, ProcessStatus { pid: Some(parent), alive: Some(false) });
    assert!(found.ended_at_s.is_some());

    open_gate(&gate);
    eventually("the child's end", || writer_alive(log, child) == Some(false));
    assert_eq!(ids(look(log).interrupted()), "childs parents");
}

/// The actions of a child that has died are cut off while those of its parent run.
#[test]
fn a_dead_child_does_not_take_its_parent_along() {
    let dir = Dir::new();
    let gate = dir.outside("gate");
    make_fifo(&gate);
    let mut helper = Helper::start();
    let log = helper.ask(&format!("create run {}", dir.path().display()));
    let log: &Path = log.as_ref();
    helper.tell(&format!("fork {}", gate.display()));
    let child: u32 = helper.answer().unwrap().parse().unwrap();
    open_gate(&gate);
    eventually("the child's end", || writer_alive(log, child) == Some(false));
    let mut file = std::fs::File::options().append(true).open(log).unwrap();
    let of_child = format!(r#", "pid": {child}"#);
    for line in [
        action("enter", "parents", ""),
        action("enter", "childs", &of_child),
        action("enter", "ended", &of_child),
        action("exit", "ended", &of_child),
    ] {
        file.write_all(line.as_bytes()).unwrap();
    }
    let found = look(log);
    assert_eq!(
        (ids(found.running()), ids(found.interrupted())),
        ("parents".into(), "childs".into())
    );
    assert_eq!(found.process.alive, Some(true));
}
