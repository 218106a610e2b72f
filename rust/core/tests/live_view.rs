//! A live view of logs that are written, by this process and by others: what it shows, and what comes
//! and goes.
#![allow(clippy::unwrap_used)]

mod follow_support;
mod live_support;
mod read_support;
mod store_support;

use std::fs;
use std::path::PathBuf;

use follow_support::append;
use inspect_trace_core::analyze::{LiveChoice, LiveOptions, LiveOrder, LivePlace, LiveView};
use inspect_trace_core::read::Filter;
use inspect_trace_core::record::Event;
use inspect_trace_core::store::{housekeep, liveness};
use inspect_trace_core::write::options::WriterOptions;
use inspect_trace_core::write::writer::LogWriter;
use live_support::{AS_OF_S, check, look, view};
use read_support::action;
use store_support::{Dir, Helper, eventually, make_fifo, open_gate, run, set_age};

/// Serves as the helper process of the other tests.
#[test]
fn helper() {
    store_support::helper_main();
}

fn entered(id: &str, start_s: u32, more: &str) -> String {
    action("enter", id, &format!(", \"start_time\": {start_s}{more}"))
}

fn plain(dir: &Dir, name: &str, lines: &[String]) -> PathBuf {
    fs::create_dir_all(dir.path()).unwrap();
    fs::write(dir.at(name), lines.concat()).unwrap();
    dir.at(name)
}

fn ids(snapshot: &inspect_trace_core::analyze::LiveSnapshot) -> Vec<String> {
    let id = |open: &inspect_trace_core::analyze::LiveAction| {
        String::from_utf8(open.action.trace_id.clone()).unwrap()
    };
    snapshot.open.iter().map(id).collect()
}

/// Where an action waits is told by the last report on it, also by one that does not know.
#[test]
fn the_last_report_counts() {
    let dir = Dir::new();
    let stall = |stack: &str| {
        format!(
            r#"{{"timestamp": "2026-11-23T10:22:25+00:00", "level": "TRACE", "message": "m", "event": "stall", "trace_id": "a", "stack": {stack}}}"#
        ) + "\n"
    };
    let path = plain(&dir, "x.log", &[entered("a", 20, "")]);
    let mut view = view(LivePlace::Log(path.clone()));
    for stack in ["[1]", "null", "[2]"] {
        append(&path, stall(stack));
        let found = check(&mut view, &[&path]).open[0].action.stack.clone();
        let told = (stack != "null").then(|| stack.as_bytes().to_vec());
        assert_eq!(found, told, "{stack}");
    }
}

/// Without what was said there is what happened when: names are short, and ids are found all the same.
#[test]
fn without_what_was_said() {
    let dir = Dir::new();
    let long = "x".repeat(200);
    let inner =
        entered("inner", 30, &format!(r#", "parent_id": "{long}", "task": ["t"], "epoch": 2"#));
    let lines = [entered(&long, 20, r#", "task": "t\u202e""#), inner];
    let path = plain(&dir, "x.log", &lines);
    let options = LiveOptions { no_detail: true, min_ended_s: Some(0.0), ..LiveOptions::default() };
    let places = vec![LivePlace::Log(path.clone())];
    let mut view = LiveView::open(places, &Filter::default(), options).unwrap();
    let snapshot = look(&mut view);
    let [outer, inner] = &snapshot.open[..] else { panic!("{:?}", snapshot.open) };
    let short = format!("{}…", "x".repeat(100)).into_bytes();
    assert_eq!(outer.action.trace_id, short);
    assert_eq!(outer.action.task.as_deref(), Some(&br#""t\\u202e""#[..]));
    assert_eq!(inner.action.parent_id.as_ref(), Some(&short));
    assert_eq!(inner.enclosing, std::slice::from_ref(&outer.action));
    assert_eq!((&inner.action.task, inner.action.epoch.as_deref()), (&None, Some(&b"2"[..])));
    for action in [&outer.action, &inner.action] {
        assert_eq!(action.detail_or_message(), b"");
    }
    let more = r#", "duration": 9, "error": "said", "error_type": "E""#;
    append(&path, action("error", &long, more));
    let ended = look(&mut view).ended.remove(0);
    assert_eq!((&ended.action.trace_id, &ended.error), (&short, &None));
    assert_eq!(ended.error_type.as_deref(), Some(&b"E"[..]));
}

/// What a writer appends is seen once it is flushed, through rotations too; the longest comes first.
#[test]
fn a_log_that_is_written() {
    let dir = Dir::new();
    let path = dir.at("x.log");
    let options = WriterOptions { max_bytes: Some(2000), ..WriterOptions::default() };
    let writer = LogWriter::open_with(&path, options).unwrap();
    let put = |line: String| {
        writer.append(line.as_bytes()).unwrap();
        writer.flush().unwrap();
    };
    put(entered("a", 20, ""));
    let mut view = view(LivePlace::Log(path.clone()));
    assert_eq!(ids(&check(&mut view, &[&path])), ["a"]);
    put(entered("b", 10, ", \"parent_id\": \"a\""));
    let snapshot = check(&mut view, &[&path]);
    assert_eq!(ids(&snapshot), ["b", "a"]);
    assert_eq!(snapshot.open[0].enclosing[0].trace_id, b"a");
    let choice = LiveChoice { innermost: true, ..LiveChoice::default() };
    assert_eq!(ids(&view.snapshot(AS_OF_S, &choice)), ["b"]);
    assert_eq!(snapshot.open[0].pid, Some(std::process::id()));
    for number in 0..40 {
        put(entered(&format!("c{number}"), 30, ""));
        put(action("exit", &format!("c{number}"), ", \"duration\": 2.5"));
        if number % 7 == 0 {
            check(&mut view, &[&path]);
        }
    }
    assert!(dir.names().iter().any(|name| name.contains(".part0003")), "{:?}", dir.names());
    put(action("error", "b", ", \"duration\": 9, \"error\": \"no\""));
    let snapshot = check(&mut view, &[&path]);
    assert_eq!(ids(&snapshot), ["a"]);
    let ended = snapshot.ended.last().unwrap();
    assert_eq!((ended.event, ended.duration_s), (Event::Error, Some(9.0)));
    assert_eq!((&*ended.action.trace_id, ended.error.as_deref()), (&b"b"[..], Some(&b"no"[..])));
    let counter = &snapshot.counters[0];
    assert_eq!((counter.open, counter.done, counter.failed, counter.cancelled), (1, 40, 1, 0));
    assert!(counter.rate.unwrap() > 0.0);
    assert!((counter.durations.quantile_s(0.5).unwrap() - 2.5).abs() < 0.025);
    assert!(!view.is_over());
    let nothing_new = check(&mut view, &[&path]);
    assert_eq!((nothing_new.ended.len(), nothing_new.counters[0].rate), (0, Some(0.0)));
}

/// What a killed process had open is interrupted, all that it acknowledged before counts, and nothing
/// more is waited for.
#[test]
fn a_process_that_is_killed() {
    let dir = Dir::new();
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    append(&path, entered("a", 1, ""));
    let mut view = view(LivePlace::Log(path.clone()));
    let snapshot = look(&mut view);
    assert_eq!((snapshot.running, snapshot.interrupted), (1, 0));
    helper.ask("append-many 100 100 not flushed");
    assert!(!view.is_over());
    drop(helper.kill());
    eventually("the death", || {
        look(&mut view);
        view.is_over()
    });
    let snapshot = check(&mut view, &[&path]);
    assert_eq!((snapshot.running, snapshot.interrupted), (0, 1));
    assert!(snapshot.open[0].interrupted);
    assert_eq!(snapshot.records, 101, "what was beside the log is in it");
}

/// Actions of a forked child live and die with it.
#[test]
fn children() {
    let dir = Dir::new();
    let gate = dir.outside("gate");
    make_fifo(&gate);
    let mut helper = Helper::start();
    let path = PathBuf::from(helper.ask(&format!("create run {}", dir.path().display())));
    helper.tell(&format!("fork {}", gate.display()));
    let child: u32 = helper.answer().unwrap().parse().unwrap();
    append(&path, entered("parents", 1, ""));
    append(&path, entered("childs", 2, &format!(", \"pid\": {child}")));
    let mut view = view(LivePlace::Log(path.clone()));
    assert_eq!(check(&mut view, &[&path]).interrupted, 0);
    let mut output = helper.kill();
    let snapshot = check(&mut view, &[&path]);
    assert_eq!(
        (ids(&snapshot), snapshot.interrupted),
        (vec!["childs".into(), "parents".into()], 1)
    );
    assert_eq!(snapshot.open[0].pid, Some(child));
    assert!(!view.is_over());
    open_gate(&gate);
    std::io::copy(&mut output, &mut std::io::sink()).unwrap();
    eventually("the child's log closed", || liveness(&path).alive == Some(false));
    look(&mut view);
    assert_eq!(check(&mut view, &[&path]).interrupted, 2);
    assert!(view.is_over());
}

/// In a directory, logs that come are taken in, also large ones, those that are compressed stay, and
/// those that go are dropped.
#[test]
fn a_directory() {
    let dir = Dir::new();
    fs::create_dir_all(dir.path()).unwrap();
    let mut view = view(LivePlace::Directory(dir.path()));
    let snapshot = look(&mut view);
    assert_eq!((snapshot.logs.len(), view.is_over()), (0, false), "logs may come");
    let mut helper = Helper::start();
    let first = PathBuf::from(helper.ask(&format!("create r {}", dir.path().display())));
    append(&first, entered("a", 1, ""));
    assert_eq!(ids(&check(&mut view, &[&first])), ["a"]);
    let second = plain(&dir, "app.log", &[entered("b", 2, "")]);
    let long = entered("c", 3, &format!(", \"filler\": \"{}\"", "x".repeat(5 << 20)));
    fs::write(dir.at("long.log"), long).unwrap();
    let long = dir.at("long.log");
    let snapshot = check(&mut view, &[&first, &second, &long]);
    assert_eq!(ids(&snapshot), ["a", "b", "c"]);
    fs::remove_file(&long).unwrap();
    append(&second, action("exit", "b", ""));
    assert_eq!(ids(&check(&mut view, &[&first, &second])), ["a"]);
    assert!(!view.is_over());
    drop(helper.kill());
    eventually("the death", || look(&mut view).interrupted == 1);
    set_age(&first, 60);
    let newer = LogWriter::create_in(&dir.path(), &run("newer")).unwrap();
    assert_eq!(housekeep(&dir.path(), 10).compressed, 1);
    assert!(!first.exists());
    let snapshot = look(&mut view);
    assert_eq!(
        (ids(&snapshot), snapshot.interrupted, snapshot.logs.len()),
        (vec!["a".into()], 1, 3)
    );
    follow_support::close(&newer);
    fs::remove_file(&second).unwrap();
    look(&mut view);
    assert!(view.is_over());
}

/// One log of several that cannot be read is told of, and the others are shown.
#[test]
fn what_cannot_be_read_is_told() {
    let dir = Dir::new();
    let good = plain(&dir, "good.log", &[entered("a", 1, ""), "garbage\n".to_owned()]);
    let gone = dir.at("gone.log");
    let places = vec![LivePlace::Log(good), LivePlace::Log(gone.clone())];
    let mut view = LiveView::open(places, &Filter::default(), LiveOptions::default()).unwrap();
    assert_eq!(ids(&look(&mut view)), ["a"]);
    assert_eq!(view.skipped(), ["good.log: skipped 1 line (line 2, byte 178: not JSON)"]);
    let alone =
        LiveView::open(vec![LivePlace::Log(gone)], &Filter::default(), LiveOptions::default());
    assert!(alone.err().unwrap().to_string().contains("gone.log"));
    let nowhere = vec![LivePlace::Directory(dir.at("nowhere"))];
    assert!(LiveView::open(nowhere, &Filter::default(), LiveOptions::default()).is_err());
}

/// A choice is made by text and order, and limits what is shown but not what is counted; secrets are
/// not shown, nor found.
#[test]
fn choices() {
    let dir = Dir::new();
    let lines = [
        entered("a", 3, ", \"task\": \"t\", \"sample_id\": \"s-2\""),
        entered("b", 1, ", \"task\": \"t\", \"sample_id\": \"s-1\""),
        entered("c", 2, "")
            .replace("\"detail\": \"d\"", "\"detail\": \"Bearer abcdefabcdef12345678\""),
    ];
    let path = plain(&dir, "x.log", &lines);
    let open =
        LiveView::open(vec![LivePlace::Log(path)], &Filter::default(), LiveOptions::default());
    let mut view = open.unwrap();
    look(&mut view);
    let mut chosen = |text: &str, limit, order| {
        let choice = LiveChoice { text: Some(text.to_owned()), limit, order, innermost: false };
        let snapshot = view.snapshot(AS_OF_S, &choice);
        assert_eq!((snapshot.running, snapshot.counters[0].open), (3, 3));
        (ids(&snapshot).join(""), snapshot.chosen)
    };
    assert_eq!(chosen("", None, LiveOrder::Longest), ("bca".into(), 3));
    assert_eq!(chosen("", Some(1), LiveOrder::Newest), ("a".into(), 3));
    assert_eq!(chosen("", None, LiveOrder::Newest), ("acb".into(), 3));
    assert_eq!(chosen("", None, LiveOrder::Sample), ("bac".into(), 3));
    assert_eq!(chosen("S-2", None, LiveOrder::Action), ("a".into(), 1));
    assert_eq!(chosen("redacted", None, LiveOrder::Longest), ("c".into(), 1));
    assert_eq!(chosen("abcdefabcdef", None, LiveOrder::Longest), (String::new(), 0));
}
