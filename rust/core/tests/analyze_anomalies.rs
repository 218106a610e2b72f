//! Anomalies: the semantics of the reference, however a log is split; NaN harmless.
#![allow(clippy::unwrap_used)]

mod read_support;

use inspect_trace_core::analyze::{
    Action, Anomalies, AnomaliesPartial, Diagnosis, Partial, diagnose, scan_anomalies,
};
use inspect_trace_core::read::{Filter, Skipped};
use inspect_trace_core::record::{Event, parse_record};
use inspect_trace_core::store::ProcessStatus;
use proptest::collection::vec;
use proptest::prelude::*;
use read_support::{Log, action, line};

fn ids(actions: &[Action]) -> Vec<String> {
    actions.iter().map(|action| String::from_utf8(action.trace_id.clone()).unwrap()).collect()
}

fn scan(content: impl AsRef<[u8]>) -> Anomalies {
    scan_anomalies(&Log::plain(content).path, &Filter::default()).unwrap()
}

/// Actions are sorted into how they ended; those that ended well are gone.
#[test]
fn actions_are_sorted_by_their_end() {
    let mut log = String::new();
    for (id, event) in
        [("ok", "exit"), ("cancelled", "cancel"), ("failed", "error"), ("late", "timeout")]
    {
        log += &action("enter", id, r#", "start_time": 10.0"#);
        log += &action(event, id, r#", "duration": 2.5, "error": "E", "error_type": "T""#);
    }
    log += &action(
        "enter",
        "open",
        r#", "start_time": 11, "task": "t1", "sample_id": 7, "epoch": null, "parent_id": "p", "pid": 99"#,
    );
    let found = scan(&log);
    assert_eq!(ids(&found.running), ["open"]);
    assert_eq!(ids(&found.cancelled), ["cancelled"]);
    assert_eq!(ids(&found.errors), ["failed"]);
    assert_eq!(ids(&found.timeouts), ["late"]);
    assert_eq!(found.records, 9);
    let error = &found.errors[0];
    assert_eq!((error.start_time_s, error.duration_s), (Some(10.0), Some(2.5)));
    assert_eq!(error.error.as_deref(), Some(&b"E"[..]));
    assert_eq!(error.error_type.as_deref(), Some(&b"T"[..]));
    let open = &found.running[0];
    assert_eq!((open.event, open.start_time_s, open.duration_s), (Event::Enter, Some(11.0), None));
    assert_eq!((&open.action[..], &open.detail[..]), (&b"Model"[..], &b"d"[..]));
    assert_eq!(open.task.as_deref(), Some(&br#""t1""#[..]));
    assert_eq!((open.sample_id.as_deref(), open.epoch.as_deref()), (Some(&b"7"[..]), None));
    assert_eq!((open.parent_id.as_deref(), open.pid), (Some(&b"p"[..]), Some(99)));
    assert_eq!(open.offset, log.rfind("{\"timestamp").unwrap() as u64);
}

/// The most recently ended comes first; of equals, the one that came first.
#[test]
fn lists_are_sorted_by_end() {
    let log = [("a", 5.0), ("b", 7.0), ("c", 5.0), ("d", 6.0)]
        .map(|(id, start)| action("enter", id, &format!(r#", "start_time": {start}"#)))
        .concat();
    assert_eq!(ids(&scan(log).running), ["b", "d", "a", "c"]);
}

/// Times that are no numbers neither panic nor hide an action.
#[test]
fn not_a_number_sorts_last() {
    let log = ["NaN", "1.0", "Infinity", "-Infinity", "null", "\"nan\"", "2.0"]
        .iter()
        .enumerate()
        .map(|(index, start)| {
            action("enter", &index.to_string(), &format!(r#", "start_time": {start}"#))
        })
        .collect::<String>();
    assert_eq!(ids(&scan(log).running), ["2", "6", "1", "4", "0", "3", "5"]);
}

/// A closing record whose enter record is missing is kept, without a start.
#[test]
fn closing_records_alone_are_kept() {
    let found = scan(action("cancel", "a", r#", "duration": 1"#) + &action("exit", "b", ""));
    assert_eq!(ids(&found.cancelled), ["a"]);
    assert_eq!(found.cancelled[0].start_time_s, None);
    assert!(found.running.is_empty());
}

/// The last timestamp is that of the whole log, whatever the filter; each process has its own.
#[test]
fn the_last_timestamp_is_that_of_all_records() {
    let at = |second: u32, more: &str| {
        line("m")
            .replace("10:22:25.5", &format!("10:22:{second}"))
            .replace(r#""m""#, &format!(r#""m"{more}"#))
            + "\n"
    };
    let log = Log::plain(
        at(20, r#", "pid": 7"#) + &at(21, "") + &at(22, r#", "pid": 8"#) + "torn" + "\n",
    );
    let found = scan_anomalies(&log.path, &Filter::new(Some("nothing"))).unwrap();
    let base = 1_795_429_320.0;
    assert_eq!(found.last_timestamp_s, Some(base + 22.0));
    assert_eq!(found.last_main_timestamp_s, Some(base + 21.0));
    assert_eq!(found.last_timestamps_by_pid, [(7, base + 20.0), (8, base + 22.0)].into());
    assert_eq!((found.records, found.skipped.not_json), (3, 1));
}

/// The filter looks at each record by itself, as the reference's does.
#[test]
fn the_filter_looks_at_each_record() {
    let log = Log::plain(
        action("enter", "a", r#", "start_time": 5"#) + &action("cancel", "a", r#", "duration": 1"#),
    );
    let found = scan_anomalies(&log.path, &Filter::new(Some("(CANCEL)"))).unwrap();
    assert_eq!(found.cancelled[0].start_time_s, None, "the enter record was not wanted");
}

fn diagnosis(log: &str, alive: Option<bool>, children: &[(u32, Option<bool>)]) -> Diagnosis {
    let is_alive =
        |pid| children.iter().find(|(child, _)| *child == pid).and_then(|(_, alive)| *alive);
    let process = ProcessStatus { pid: Some(1), alive };
    Diagnosis::of(scan(log), process, &is_alive, Some(500.0), 1000.0)
}

/// Open actions of a process that lives, or may live, run until now.
#[test]
fn open_actions_of_the_living_run() {
    for alive in [Some(true), None] {
        let found = diagnosis(&action("enter", "a", r#", "start_time": 990.0"#), alive, &[]);
        assert_eq!(found.interrupted().count(), 0);
        assert_eq!(found.running().next().unwrap().duration_s.to_bits(), 10.0_f64.to_bits());
        assert_eq!(found.ended_at_s, None);
    }
}

/// Open actions of a process that has ended were cut off when it wrote last.
#[test]
fn open_actions_of_the_dead_are_interrupted() {
    let start = 1_795_429_340.0;
    let log = action("enter", "a", &format!(r#", "start_time": {start}"#));
    let found = diagnosis(&log, Some(false), &[]);
    assert_eq!(found.running().count(), 0);
    let interrupted: Vec<_> = found.interrupted().collect();
    assert!((interrupted[0].duration_s - 5.0).abs() < 1e-9);
    assert_eq!(found.ended_at_s, Some(start + 5.0));
}

/// Where no record has a time, the file has.
#[test]
fn the_file_dates_logs_without_times() {
    let log = action("enter", "a", r#", "start_time": 490.0"#).replace("2026-11", "XXXX-11");
    let found = diagnosis(&log, Some(false), &[]);
    assert_eq!(found.ended_at_s, Some(500.0));
    assert!((found.open[0].duration_s - 10.0).abs() < 1e-9);
}

/// Actions of forked children are judged by the children's own state, not the parent's.
#[test]
fn children_are_judged_by_themselves() {
    let log = ["1", "2", "3", "4"]
        .map(|pid| action("enter", pid, &format!(r#", "start_time": 1, "pid": {pid}"#)))
        .concat();
    let children = [(2, Some(false)), (3, Some(true)), (4, None)];
    let interrupted = |found: &Diagnosis| -> Vec<u32> {
        found.interrupted().filter_map(|dated| dated.action.pid).collect()
    };
    assert_eq!(interrupted(&diagnosis(&log, Some(true), &children)), [2]);
    assert_eq!(interrupted(&diagnosis(&log, Some(false), &children)), [1, 2]);
}

/// Durations are as recorded where they are; an action dated before its start lasts no time.
#[test]
fn durations_are_sensible() {
    let log = action("enter", "a", r#", "start_time": 3e9"#)
        + &action("enter", "b", r#", "start_time": 1, "duration": 7"#)
        + &action("enter", "c", "")
        + &action("timeout", "d", r#", "start_time": 990"#);
    let found = diagnosis(&log, Some(false), &[]);
    let by_id = |id: &[u8]| {
        let all = found.open.iter().chain(&found.timeouts);
        all.filter(|dated| dated.action.trace_id == id).map(|dated| dated.duration_s).next()
    };
    assert_eq!(by_id(b"a"), Some(0.0));
    assert_eq!(by_id(b"b"), Some(7.0));
    assert_eq!(by_id(b"c"), Some(0.0));
    assert_eq!(by_id(b"d"), Some(10.0));
}

/// A compressed log is one of a process that has ended.
#[test]
fn compressed_logs_have_ended() {
    let log = Log::new("trace-4242.log.gz", read_support::gzip(action("enter", "a", "")));
    let found = diagnose(&log.path, &Filter::default(), 0.0).unwrap();
    assert_eq!(found.process.alive, Some(false));
    assert_eq!(found.interrupted().count(), 1);
}

/// A record of a generated log.
#[derive(Debug, Clone)]
struct Step {
    event: &'static str,
    id: u8,
    start_time: Option<u8>,
    duration: Option<u8>,
    matches: bool,
}

impl Step {
    fn line(&self, index: usize) -> String {
        let number = |key: &str, value: Option<u8>| {
            value.map_or(String::new(), |value| format!(r#", "{key}": {value}"#))
        };
        let more = number("start_time", self.start_time)
            + &number("duration", self.duration)
            + &format!(r#", "index": {index}"#);
        let text = action(self.event, &self.id.to_string(), &more);
        if self.matches { text } else { text.replace("Model: d", "Other") }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = prop_oneof![
        4 => Just("enter"), 2 => Just("exit"), 2 => Just("cancel"), 1 => Just("error"), 1 => Just("timeout"),
    ];
    let number = || prop_oneof![Just(None), (0_u8..4).prop_map(Some)];
    let step = (event, 0_u8..4, number(), number(), prop::bool::weighted(0.9)).prop_map(
        |(event, id, start_time, duration, matches)| Step {
            event,
            id,
            start_time,
            duration,
            matches,
        },
    );
    vec(step, 0..30)
}

/// The reference's algorithm as plainly as it can be written: dictionaries are lists here.
fn expected(steps: &[Step]) -> Vec<Vec<(u8, usize, Option<f64>)>> {
    type Dictionary = Vec<(u8, (usize, Option<f64>, Option<f64>))>;
    fn set(dictionary: &mut Dictionary, id: u8, value: (usize, Option<f64>, Option<f64>)) {
        match dictionary.iter_mut().find(|(key, _)| *key == id) {
            Some((_, old)) => *old = value,
            None => dictionary.push((id, value)),
        }
    }
    let mut running: Dictionary = Vec::new();
    let mut ended: [Dictionary; 3] = Default::default();
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.matches) {
        let start = step.start_time.map(f64::from);
        let duration = step.duration.map(f64::from);
        if step.event == "enter" {
            set(&mut running, step.id, (index, start, duration));
            continue;
        }
        let place = running.iter().position(|(key, _)| *key == step.id);
        let opened = place.map(|place| running.remove(place));
        let start = opened.map_or(start, |(_, (_, start, _))| start);
        let bucket = match step.event {
            "cancel" => 0,
            "error" => 1,
            "timeout" => 2,
            _ => continue,
        };
        set(&mut ended[bucket], step.id, (index, start, duration));
    }
    let [cancelled, errors, timeouts] = ended;
    [running, cancelled, errors, timeouts]
        .into_iter()
        .map(|mut dictionary| {
            dictionary.sort_by(|(_, a), (_, b)| {
                let end = |value: &(usize, Option<f64>, Option<f64>)| {
                    value.1.unwrap_or(0.0) + value.2.unwrap_or(0.0)
                };
                end(b).partial_cmp(&end(a)).unwrap()
            });
            dictionary.into_iter().map(|(id, (index, start, _))| (id, index, start)).collect()
        })
        .collect()
}

fn found(anomalies: &Anomalies, offsets: &[u64]) -> Vec<Vec<(u8, usize, Option<f64>)>> {
    [&anomalies.running, &anomalies.cancelled, &anomalies.errors, &anomalies.timeouts]
        .into_iter()
        .map(|actions| {
            actions
                .iter()
                .map(|action| {
                    let id = String::from_utf8_lossy(&action.trace_id).parse().unwrap();
                    let index = offsets.binary_search(&action.offset).unwrap();
                    (id, index, action.start_time_s)
                })
                .collect()
        })
        .collect()
}

proptest! {
    /// What is found is what the reference's algorithm finds.
    #[test]
    fn agrees_with_the_reference_algorithm(steps in steps()) {
        let lines: Vec<_> = steps.iter().enumerate().map(|(i, step)| step.line(i)).collect();
        let offsets: Vec<_> = lines
            .iter()
            .scan(0, |at, line| {
                let here = *at;
                *at += line.len() as u64;
                Some(here)
            })
            .collect();
        let log = Log::plain(lines.concat());
        let anomalies = scan_anomalies(&log.path, &Filter::new(Some("model"))).unwrap();
        prop_assert_eq!(found(&anomalies, &offsets), expected(&steps));
    }

    /// Splitting a log changes nothing, and neither does the order in which parts are merged.
    #[test]
    fn merging_is_associative(
        steps in steps(),
        first in any::<prop::sample::Index>(),
        second in any::<prop::sample::Index>(),
        from_start in any::<bool>(),
    ) {
        let filter = Filter::new(Some("model"));
        let lines: Vec<_> = steps.iter().enumerate().map(|(i, step)| step.line(i)).collect();
        let first = first.index(lines.len() + 1);
        let second = first + second.index(lines.len() + 1 - first);
        let start = || if from_start { AnomaliesPartial::at_start(&filter) } else { AnomaliesPartial::in_the_middle(&filter) };
        let later = || AnomaliesPartial::in_the_middle(&filter);
        let head = || observe_all(start(), &lines, 0, first);
        let middle = || observe_all(later(), &lines, first, second);
        let last = || observe_all(later(), &lines, second, lines.len());
        let merged = |mut earlier: AnomaliesPartial, later| {
            earlier.merge(later);
            earlier
        };
        let whole = observe_all(head(), &lines, first, lines.len()).finish(Skipped::default());
        let left = merged(merged(head(), middle()), last()).finish(Skipped::default());
        let right = merged(head(), merged(middle(), last())).finish(Skipped::default());
        prop_assert_eq!(&left, &whole);
        prop_assert_eq!(&right, &whole);
    }
}

fn observe_all(
    mut partial: AnomaliesPartial,
    lines: &[String],
    from: usize,
    to: usize,
) -> AnomaliesPartial {
    for (index, line) in lines.iter().enumerate().take(to).skip(from) {
        partial.observe(&parse_record(line.trim().as_bytes()).unwrap(), index as u64);
    }
    partial
}

fn stall(id: &str, place: u32) -> String {
    let more = format!(
        r#""m", "event": "stall", "trace_id": "{id}", "stack": [{{"file": "a.py", "line": {place}, "function": "f"}}]"#
    );
    line("m").replace(r#""m""#, &more) + "\n"
}

/// An open action has the stack that was seen last since it began, wherever a log is split; one that
/// has ended, or begun anew, has none.
#[test]
fn stalls_belong_to_open_actions() {
    let enter = |id| action("enter", id, r#", "start_time": 5.0"#);
    let lines = [
        enter("open"),
        stall("open", 1),
        enter("over"),
        stall("over", 2),
        stall("open", 3),
        action("exit", "over", r#", "duration": 1"#),
        stall("over", 4),
        enter("anew"),
        stall("anew", 5),
        enter("anew"),
        stall("never", 6),
    ];
    let stacks = |found: &Anomalies| {
        let of = |action: &Action| {
            (action.trace_id.clone(), action.stack.clone().map(|s| String::from_utf8(s).unwrap()))
        };
        found.running.iter().map(of).collect::<Vec<_>>()
    };
    let stack = r#"[{"file": "a.py", "line": 3, "function": "f"}]"#.to_owned();
    let expected = [(b"open".to_vec(), Some(stack)), (b"anew".to_vec(), None)];
    assert_eq!(stacks(&scan(lines.concat())), expected);
    for split in 0..=lines.len() {
        let filter = Filter::default();
        let mut start = AnomaliesPartial::at_start(&filter);
        let mut rest = AnomaliesPartial::in_the_middle(&filter);
        for (index, text) in lines.iter().enumerate() {
            let part = if index < split { &mut start } else { &mut rest };
            part.observe(&parse_record(text.trim_end().as_bytes()).unwrap(), index as u64);
        }
        start.merge(rest);
        assert_eq!(stacks(&start.finish(Skipped::default())), expected, "split at {split}");
    }
}
