//! The answer that many machines give together is the one of a single scan, however the logs are dealt
//! out, in whatever order what they found comes, and through whatever hands it goes.
#![allow(clippy::unwrap_used)]

mod scan_support;

use std::time::Duration;

use inspect_trace_core::analyze::{By, Outcomes};
use inspect_trace_core::partial::{
    Analysis, PlanOptions, Question, State, Task, Work, plan, tell_anomalies, tell_diff, tell_http,
    tell_stats,
};
use inspect_trace_core::read::{Filter, FilterOptions, Log, ScanOptions};
use inspect_trace_core::render::{
    AnomaliesOptions, DiffOptions, HttpOptions, Report, StatsReportOptions, TableStyle,
    anomalies_report, diff_report, http_report, stats_report,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use scan_support::*;

const AS_OF_S: f64 = 1.9e9;

/// What a report prints and notes, and whether it failed; or why there is none.
type Printed = Result<(String, Vec<String>, Option<String>, bool), String>;

fn printed(report: inspect_trace_core::Result<Box<dyn Report>>) -> Printed {
    let mut report = report.map_err(|error| error.to_string())?;
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    while let Some(chunk) = report.next_chunk().map_err(|error| error.to_string())? {
        out.extend_from_slice(&chunk);
        notes.extend(report.take_notes());
    }
    notes.extend(report.take_notes());
    Ok((String::from_utf8(out).unwrap(), notes, report.skipped(), report.has_failed()))
}

/// How logs are dealt out.
#[derive(Debug, Clone)]
struct Dealing {
    /// Where a new task begins, among the logs.
    cuts: Vec<Index>,
    /// Which logs are read in parts, and where these begin.
    ranges: Vec<(Index, Vec<Index>)>,
    /// Which of the states comes next.
    order: Vec<Index>,
    /// How many are merged by somebody else first.
    hands: usize,
    /// As the commands deal out, for so many workers and tasks so large.
    planned: Option<(usize, u64)>,
    scan: ScanOptions,
}

fn any_dealing() -> impl Strategy<Value = Dealing> {
    let ranges = vec((any::<Index>(), vec(any::<Index>(), 0..4)), 0..3);
    let planned = prop::option::of((1_usize..5, 1_u64..3000));
    let order = vec(any::<Index>(), 40);
    let parts = (vec(any::<Index>(), 0..4), ranges, order, 1_usize..4, planned, any_way());
    parts.prop_map(|(cuts, ranges, order, hands, planned, scan)| Dealing {
        cuts,
        ranges,
        order,
        hands,
        planned,
        scan,
    })
}

fn tasks(question: &Question, logs: &[Log], dealing: &Dealing) -> Vec<Task> {
    let scan = dealing.scan;
    if let Some((workers, max_bytes)) = dealing.planned {
        return plan(
            question,
            logs,
            PlanOptions { workers, min_bytes: 1, max_bytes, in_parts: true },
            scan,
        );
    }
    let mut tasks: Vec<Task> = Vec::new();
    for (number, log) in logs.iter().enumerate() {
        let first_log = number as u64;
        let range = dealing.ranges.iter().find(|(at, _)| at.index(logs.len()) == number);
        if let Some((_, cuts)) = range {
            let length = std::fs::metadata(&log.path).map_or(0, |found| found.len());
            let mut starts: Vec<_> = cuts
                .iter()
                .map(|at| at.index(usize::try_from(length).unwrap() + 1) as u64)
                .collect();
            starts.push(0);
            starts.sort_unstable();
            let of = u32::try_from(starts.len()).unwrap();
            let ends = starts[1..].iter().map(|&end| Some(end)).chain([None]);
            for (part, (&start, end)) in (0..).zip(starts.iter().zip(ends)) {
                let part_of_log = Log { start, end, continues: part > 0, ..log.clone() };
                tasks.push(Task {
                    first_log,
                    logs: vec![part_of_log],
                    range: Some((part, of)),
                    scan,
                });
            }
            continue;
        }
        let begins = dealing.cuts.iter().any(|cut| cut.index(logs.len()) == number);
        match tasks.last_mut().filter(|task| !begins && task.range.is_none()) {
            Some(task) => task.logs.push(log.clone()),
            None => tasks.push(Task { first_log, logs: vec![log.clone()], range: None, scan }),
        }
    }
    tasks
}

fn done(question: &Question, task: Task) -> Vec<u8> {
    let mut work = Work::new(question, task);
    while work.step(Duration::from_secs(9)).unwrap() {}
    work.finish().encode().unwrap()
}

/// What all tasks together found.
fn answer(logs: &[Log], question: &Question, dealing: &Dealing) -> State {
    let mut states: Vec<_> =
        tasks(question, logs, dealing).into_iter().map(|task| done(question, task)).collect();
    let twice = states.first().cloned();
    let mut all = State::new(question);
    let mut order = dealing.order.iter().cycle();
    while !states.is_empty() {
        let mut some = State::new(question);
        for _ in 0..dealing.hands.min(states.len()) {
            let next = order.next().unwrap().index(states.len());
            some.add(&states.swap_remove(next)).unwrap();
        }
        all.add(&some.encode().unwrap()).unwrap();
    }
    // What comes again counts once.
    if let Some(state) = twice {
        all.add(&state).unwrap();
    }
    all
}

fn question(analysis: Analysis, filter: &Filter) -> Question {
    Question { analysis, filter: filter.clone(), as_of_s: AS_OF_S }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let needle = prop::option::of("[em]");
    let least_s = prop::option::of(prop::sample::select(vec![0.0, 1.0, 1e9]));
    (needle, least_s).prop_map(|(message, min_duration_s)| {
        Filter::of(FilterOptions { message, min_duration_s, ..FilterOptions::default() }).unwrap()
    })
}

fn check_anomalies(logs: &[Log], filter: &Filter, dealing: &Dealing, json: bool, show_all: bool) {
    let options = AnomaliesOptions {
        show_all,
        limit: None,
        redact: true,
        no_detail: false,
        json,
        as_of_s: AS_OF_S,
        style: TableStyle::default(),
    };
    let outcomes = if show_all || json { Outcomes::All } else { Outcomes::OpenAndCancelled };
    let asked = question(Analysis::Anomalies(outcomes), filter);
    let state = answer(logs, &asked, dealing);
    let told = printed(tell_anomalies(state, logs.len() as u64, &options));
    assert_eq!(told, printed(anomalies_report(logs, filter, &options)));
}

fn stats_question(by: By, max_groups: usize, slowest: usize, filter: &Filter) -> Question {
    let (redact, no_detail) = (true, false);
    question(Analysis::Stats { by, slowest, max_groups, redact, no_detail }, filter)
}

fn check_stats(logs: &[Log], filter: &Filter, dealing: &Dealing, json: bool, by: By, most: usize) {
    let options = StatsReportOptions {
        by,
        slowest: 3,
        max_groups: most,
        redact: true,
        json,
        as_of_s: AS_OF_S,
        ..StatsReportOptions::default()
    };
    let state = answer(logs, &stats_question(by, most, 3, filter), dealing);
    let told = printed(tell_stats(state, logs.len() as u64, &options));
    assert_eq!(told, printed(stats_report(logs, filter, &options)));
}

fn check_diff(logs: [&[Log]; 2], filter: &Filter, dealing: &Dealing, json: bool) {
    let by = By::Action;
    let options =
        DiffOptions { by, redact: true, json, as_of_s: AS_OF_S, ..DiffOptions::default() };
    let asked = stats_question(by, options.max_groups, 0, filter);
    let [before, after] = logs.map(|logs| (answer(logs, &asked, dealing), logs.len() as u64));
    let told = printed(tell_diff(before, after, &options));
    assert_eq!(told, printed(diff_report(logs[0], logs[1], filter, &options)));
}

fn check_http(logs: &[Log], filter: &Filter, dealing: &Dealing, json: bool, limit: Option<u64>) {
    let options =
        HttpOptions { redact: true, json, limit, as_of_s: AS_OF_S, ..HttpOptions::default() };
    let analysis = Analysis::Http { failed: false, limit, redact: true, no_detail: false };
    let state = answer(logs, &question(analysis, filter), dealing);
    let told = printed(tell_http(state, logs.len() as u64, &options));
    let expected = printed(http_report(logs, filter, &options));
    if limit.is_none() {
        assert_eq!(told, expected);
    } else if let (Ok(told), Ok(expected)) = (told, expected) {
        // A single scan stops where it has enough, and has not seen what is wrong behind that.
        assert_eq!(told.0, expected.0);
    }
}

/// Each case asks many questions: fewer of them do.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.div_ceil(10), ..config }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever is asked of whatever logs.
    #[test]
    fn answers_are_those_of_one_scan(
        texts in vec(any_log(), 1..5), packed in prop::option::of(any_gzip()),
        missing: Option<Index>, dealing in any_dealing(), filter in any_filter(),
        json: bool, show_all: bool, by in prop::sample::select(By::ALL.to_vec()), most in 1_usize..4,
        limit in prop::option::of(0_u64..5),
    ) {
        let mut files: Vec<_> = texts.iter().map(TempLog::plain).collect();
        files.extend(packed.map(|(file, _)| TempLog::compressed(file)));
        if let Some(missing) = missing {
            std::fs::remove_file(&files[missing.index(files.len())].path).unwrap();
        }
        let logs: Vec<_> = files.iter().map(TempLog::whole).collect();
        check_anomalies(&logs, &filter, &dealing, json, show_all);
        check_stats(&logs, &filter, &dealing, json, by, most);
        check_http(&logs, &filter, &dealing, json, limit);
        check_diff([&logs[..1], &logs], &filter, &dealing, json);
    }
}
