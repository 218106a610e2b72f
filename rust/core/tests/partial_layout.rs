//! States of this version can be read by every build of it, and no others: `tests/data/` has some that
//! an earlier build wrote. Whoever changes the layout raises `STATE_VERSION` and has them written anew, by
//! `UPDATE_STATES=1 cargo test --test partial_layout`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use inspect_trace_core::Result;
use inspect_trace_core::analyze::stats::MAX_GROUPS;
use inspect_trace_core::analyze::{By, Outcomes};
use inspect_trace_core::partial::{
    Analysis, Question, STATE_VERSION, State, Task, Work, tell_anomalies, tell_http, tell_stats,
};
use inspect_trace_core::read::{Filter, Log, ScanOptions};
use inspect_trace_core::render::{
    AnomaliesOptions, HttpOptions, Report, StatsReportOptions, TableStyle,
};

const AS_OF_S: f64 = 1.9e9;
/// The mark of a state and its version.
const HEAD_BYTES: usize = 8;

fn questions() -> [(&'static str, Analysis); 3] {
    let (redact, no_detail) = (true, false);
    let (by, slowest, max_groups) = (By::Action, 2, MAX_GROUPS);
    [
        ("anomalies", Analysis::Anomalies(Outcomes::All)),
        ("stats", Analysis::Stats { by, slowest, max_groups, redact, no_detail }),
        ("http", Analysis::Http { failed: false, limit: None, redact, no_detail }),
    ]
}

fn question(analysis: Analysis) -> Question {
    Question { analysis, filter: Filter::default(), as_of_s: AS_OF_S }
}

fn print(analysis: Analysis, state: State) -> String {
    let (json, as_of_s) = (true, AS_OF_S);
    let report: Result<Box<dyn Report>> = match analysis {
        Analysis::Anomalies(_) => {
            let (show_all, limit, redact, no_detail) = (true, None, true, false);
            let style = TableStyle::default();
            let options =
                AnomaliesOptions { show_all, limit, redact, no_detail, json, as_of_s, style };
            tell_anomalies(state, 2, &options)
        }
        Analysis::Stats { by, slowest, .. } => {
            let options =
                StatsReportOptions { by, slowest, json, as_of_s, ..StatsReportOptions::default() };
            tell_stats(state, 2, &options)
        }
        Analysis::Http { .. } => {
            tell_http(state, 2, &HttpOptions { json, as_of_s, ..HttpOptions::default() })
        }
    };
    let mut report = report.unwrap();
    let mut out = Vec::new();
    while let Some(chunk) = report.next_chunk().unwrap() {
        out.extend(chunk);
    }
    String::from_utf8(out).unwrap()
}

/// The log as a whole and, as another one, in two parts.
fn tasks() -> [Task; 3] {
    let log = Log::whole(Path::new("tests/data/partial.log"));
    let scan = ScanOptions::default();
    let part = |number: u32, start, end| Task {
        first_log: 1,
        logs: vec![Log { start, end, continues: number > 0, ..log.clone() }],
        range: Some((number, 2)),
        scan,
    };
    let whole = Task { first_log: 0, logs: vec![log.clone()], range: None, scan };
    [whole, part(0, 0, Some(900)), part(1, 900, None)]
}

/// What the tasks give, the parts of the one log not joined.
fn states(question: &Question) -> Vec<Vec<u8>> {
    let done = |task| {
        let mut work = Work::new(question, task);
        while work.step(Duration::from_secs(9)).unwrap() {}
        work.finish().encode().unwrap()
    };
    tasks().map(done).to_vec()
}

fn data(name: &str) -> PathBuf {
    let file = format!("tests/data/{name}.v{STATE_VERSION}");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn inflated(state: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(&state[HEAD_BYTES..]).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn states_of_earlier_builds_are_read() {
    for (name, analysis) in questions() {
        let question = question(analysis);
        let files = (0..3).map(|number| data(&format!("{name}.{number}.state")));
        let answer = data(&format!("{name}.json"));
        if std::env::var_os("UPDATE_STATES").is_some() {
            let mut all = State::new(&question);
            for (file, state) in files.clone().zip(states(&question)) {
                all.add(&state).unwrap();
                fs::write(file, state).unwrap();
            }
            fs::write(&answer, print(analysis, all)).unwrap();
        }
        let mut all = State::new(&question);
        for file in files {
            let state = fs::read(&file).unwrap();
            let mut one = State::new(&question);
            one.add(&state).unwrap();
            // What is read is written likewise: nothing in it is passed over.
            assert_eq!(inflated(&one.encode().unwrap()), inflated(&state), "{}", file.display());
            all.add(&state).unwrap();
        }
        assert_eq!(all.logs(), 2);
        assert_eq!(print(analysis, all), fs::read_to_string(&answer).unwrap());
    }
}

/// The answer of today's build is that of the earlier ones, too.
#[test]
fn answers_are_those_of_earlier_builds() {
    for (name, analysis) in questions() {
        let question = question(analysis);
        let mut all = State::new(&question);
        for state in states(&question) {
            all.add(&state).unwrap();
        }
        let answer = fs::read_to_string(data(&format!("{name}.json"))).unwrap();
        assert_eq!(print(analysis, all), answer);
    }
}

fn refused(question: &Question, state: &[u8]) -> String {
    State::new(question).add(state).unwrap_err().to_string()
}

/// Anything else is refused, and it is told why.
#[test]
fn other_bytes_are_refused() {
    let [(_, anomalies), (_, stats), _] = questions();
    let (anomalies, stats) = (question(anomalies), question(stats));
    let written = states(&anomalies).remove(0);
    assert!(refused(&stats, &written).contains("it answers another question"));
    assert!(refused(&anomalies, b"").contains("these are other bytes"));
    let mut newer = written.clone();
    newer[6] += 1;
    let told = refused(&anomalies, &newer);
    assert!(told.contains("it has version 2, and 1 is understood: install the same"), "{told}");
    for length in 0..written.len() {
        refused(&anomalies, &written[..length]);
    }
    // The checksum of the gzip member finds whatever is changed in what is told.
    for (at, bit) in (0..written.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut damaged = written.clone();
        damaged[at] ^= 1 << bit;
        let mut known = State::new(&anomalies);
        if known.add(&damaged).is_ok() {
            assert_eq!(inflated(&known.encode().unwrap()), inflated(&written), "byte {at}");
        }
    }
}

/// An answer is not told before all logs have been looked at.
#[test]
fn missing_logs_are_told() {
    let (_, analysis) = questions()[1];
    let question = question(analysis);
    let states = states(&question);
    let mut some = State::new(&question);
    some.add(&states[0]).unwrap();
    some.add(&states[2]).unwrap();
    let error = tell_stats(some, 2, &StatsReportOptions::default()).err().unwrap().to_string();
    assert_eq!(error, "of 2 logs, 1 were looked at: the answer is not complete");
}
