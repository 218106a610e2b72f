//! A live view that is driven by hand, and the fresh reading that it is held against.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use inspect_trace_core::analyze::{
    Durations, LiveChoice, LiveOptions, LivePlace, LiveSnapshot, LiveView, diagnose,
};
use inspect_trace_core::read::{Filter, Log, ScanOptions, for_each_record};
use inspect_trace_core::record::{Event, Name};

/// The moment that everything is looked at, seconds since the epoch.
pub const AS_OF_S: f64 = 2e9;

pub fn view(place: LivePlace) -> LiveView {
    view_with(place, &Filter::default(), ScanOptions::default())
}

pub fn view_with(place: LivePlace, filter: &Filter, scan: ScanOptions) -> LiveView {
    let options = LiveOptions { redact: false, no_detail: false, min_ended_s: Some(0.0), scan };
    LiveView::open(vec![place], filter, options).unwrap()
}

/// Reads all there is.
pub fn read(view: &mut LiveView) {
    while view.step(Duration::from_millis(50)).unwrap() {}
}

/// Reads all there is, and looks.
pub fn look(view: &mut LiveView) -> LiveSnapshot {
    read(view);
    view.snapshot(AS_OF_S, &LiveChoice::default())
}

/// Open actions as texts, in an order of their own: which they are, how long they take, whether they
/// were interrupted, and where they wait.
pub fn open_texts(snapshot: &LiveSnapshot) -> Vec<String> {
    let mut texts: Vec<_> = snapshot
        .open
        .iter()
        .map(|open| {
            let stack = open.action.stack.as_deref().map(String::from_utf8_lossy);
            let id = String::from_utf8_lossy(&open.action.trace_id);
            format!("{id:?} {:?} {:?} {stack:?}", open.action.start_time_s, open.interrupted)
        })
        .collect();
    texts.sort_unstable();
    texts
}

/// The same of logs that are read as a whole.
pub fn open_texts_afresh(paths: &[&Path], filter: &Filter) -> Vec<String> {
    let mut texts = Vec::new();
    for path in paths {
        texts.extend(diagnose(path, filter, AS_OF_S).unwrap().open.iter().map(|open| {
            let stack = open.action.stack.as_deref().map(String::from_utf8_lossy);
            let id = String::from_utf8_lossy(&open.action.trace_id);
            format!("{id:?} {:?} {:?} {stack:?}", open.action.start_time_s, open.interrupted)
        }));
    }
    texts.sort_unstable();
    texts
}

/// Of each kind of action: how many are done, failed, and cancelled, and their durations.
pub type Counts = BTreeMap<Vec<u8>, (u64, u64, u64, Durations)>;

pub fn counts(snapshot: &LiveSnapshot) -> Counts {
    let of = |counter: &inspect_trace_core::analyze::LiveCounter| {
        let ended = counter.done + counter.failed + counter.cancelled;
        let counts = (counter.done, counter.failed, counter.cancelled, counter.durations.clone());
        (ended > 0).then(|| (counter.action.clone(), counts))
    };
    snapshot.counters.iter().filter_map(of).collect()
}

/// The same of logs that are read record by record.
pub fn counts_afresh(paths: &[&Path], filter: &Filter) -> Counts {
    let mut counts = Counts::new();
    for path in paths {
        for file in &Log::with_parts(path).files {
            let visit = |record: &inspect_trace_core::record::Record<'_>| {
                let Some(event) = record.event().filter(|_| filter.matches_action_record(record))
                else {
                    return;
                };
                if event == Event::Enter {
                    return;
                }
                let action = record.text(Name::Action).unwrap().into_owned();
                let (done, failed, cancelled, durations) = counts.entry(action).or_default();
                match event {
                    Event::Enter => {}
                    Event::Exit => *done += 1,
                    Event::Error | Event::Timeout => *failed += 1,
                    Event::Cancel => *cancelled += 1,
                }
                durations.observe(record.duration_s().unwrap_or(f64::NAN));
            };
            for_each_record(file.path(), visit).unwrap();
        }
    }
    counts
}

/// Holds a view against fresh readings of the logs that it has to show.
pub fn check(view: &mut LiveView, paths: &[&Path]) -> LiveSnapshot {
    let snapshot = look(view);
    let filter = Filter::default();
    assert_eq!(open_texts(&snapshot), open_texts_afresh(paths, &filter));
    assert_eq!(counts(&snapshot), counts_afresh(paths, &filter));
    assert_eq!(snapshot.running + snapshot.interrupted, snapshot.open.len());
    snapshot
}
