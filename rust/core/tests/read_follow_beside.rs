//! Following from a record that is not in the log yet, but waits beside it.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::sync::Arc;
use std::time::Duration;

use inspect_trace_core::read::{FollowEnd, Follower, Log, Step, TailSearch};
use inspect_trace_core::write::writer::LogWriter;
use store_support::{Dir, Helper, eventually, line, run};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn last_of(path: &std::path::Path, count: usize) -> Log {
    let mut search = TailSearch::open(path, count, Arc::new(|_| true)).unwrap();
    loop {
        if let Some(log) = search.step(Duration::from_secs(60)).unwrap() {
            return log;
        }
    }
}

/// Polls once, and adds what came to `text`.
fn poll(follower: &mut Follower, text: &mut String) -> Option<FollowEnd> {
    match follower.poll().unwrap() {
        Step::Lines(lines) => text.push_str(std::str::from_utf8(&lines.block.bytes).unwrap()),
        Step::Event(event) => panic!("{event:?}"),
        Step::Idle => {}
        Step::End(end) => return Some(end),
    }
    None
}

/// The last records are given, and those that come, while their process lives.
#[test]
fn the_last_ones_of_a_live_log() {
    let dir = Dir::new();
    let writer = LogWriter::create_in(&dir.path(), &run("one")).unwrap();
    writer.append(line("0").as_bytes()).unwrap();
    writer.flush().unwrap();
    for number in 1..5 {
        writer.append(line(&number.to_string()).as_bytes()).unwrap();
    }
    let mut follower = Follower::open_log(&last_of(writer.path(), 2)).unwrap();
    writer.append(line("5").as_bytes()).unwrap();
    let mut text = String::new();
    eventually("the last lines", || {
        assert_eq!(poll(&mut follower, &mut text), None);
        text.lines().count() == 3
    });
    assert_eq!(text, ["3", "4", "5"].map(line).concat());
}

/// So are those that a killed process has left beside its log.
#[test]
fn the_last_ones_of_a_killed_process() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = helper.ask(&format!("create one {}", dir.path().display()));
    for number in 0..5 {
        helper.ask(&format!("append {number}"));
    }
    let log = last_of(path.as_ref(), 2);
    drop(helper.kill());
    let mut follower = Follower::open_log(&log).unwrap();
    let mut text = String::new();
    eventually("the end", || poll(&mut follower, &mut text).is_some());
    assert_eq!(text, ["3", "4"].map(line).concat());
}
