//! A task being done: a step at a time, so that the caller can look for Ctrl-C in between.

use std::time::Duration;

use crate::Result;
use crate::analyze::diagnosis::{Writers, main_process, writer_alive};
use crate::analyze::spans::LogEnd;
use crate::analyze::stats::StatsMap;
use crate::analyze::{
    AnomaliesPartial, AnomaliesScanOptions, DiagnosisScan, HttpRequest, Outcomes, Partial as _,
    StatsPartial,
};
use crate::read::{Log, Part, Scan, ScanStep};
use crate::render::{HttpMap, HttpOptions};

use super::piece::{FileTold, Found, LogAnomalies, LogTold, Name, Piece, RangeTold};
use super::{Analysis, Question, State, Task};

/// A task being done.
pub struct Work {
    question: Question,
    task: Task,
    /// Of each log, what is to be told.
    told: Vec<LogTold>,
    /// Of the first log, as it was before anything was read.
    writers: Writers,
    doing: Doing,
}

enum Doing {
    /// One log after the other.
    Anomalies {
        outcomes: Outcomes,
        scan: Option<Box<DiagnosisScan>>,
        found: Vec<LogAnomalies>,
    },
    Stats {
        scan: Scan<StatsMap>,
        ends: Vec<LogEnd>,
        partial: Box<StatsPartial>,
    },
    Http {
        scan: Scan<HttpMap>,
        found: Vec<Vec<HttpRequest>>,
        most: usize,
    },
    /// There is nothing left to read.
    Done(Found),
}

impl Work {
    /// Begins a task. What cannot be read is told of in the state.
    pub fn new(question: &Question, mut task: Task) -> Self {
        for log in &mut task.logs {
            *log = question.needed(log);
        }
        let is_range = task.range.is_some();
        let writers = match task.logs.first() {
            Some(log) if is_range => Writers { process: main_process(log), ..Writers::default() },
            _ => Writers::default(),
        };
        let mut told: Vec<_> = task.logs.iter().map(LogTold::of).collect();
        let doing = begin(question, &task).unwrap_or_else(|error| {
            // Only what is about the one file comes as an error.
            if let Some(file) = told.first_mut().and_then(|log| log.files.first_mut()) {
                file.error = Some(error.to_string());
            }
            Doing::Done(nothing(question, &task))
        });
        Self { question: question.clone(), task, told, writers, doing }
    }

    /// Goes on a bit, waiting no longer than `wait`; false once all is done.
    ///
    /// # Errors
    /// It is a forked child that asks.
    pub fn step(&mut self, wait: Duration) -> Result<bool> {
        match &mut self.doing {
            Doing::Anomalies { outcomes, scan, found } => {
                let Some(log) = self.task.logs.get(found.len()) else { return Ok(false) };
                let how = AnomaliesScanOptions { outcomes: *outcomes, scan: self.task.scan };
                let outcome = step_diagnosis(&self.question, log, how, scan, wait);
                match outcome {
                    Ok(None) => {}
                    Ok(Some((log, files))) => {
                        self.told[found.len()].files = files;
                        found.push(log);
                    }
                    Err(error) => {
                        self.told[found.len()].error = Some(error.to_string());
                        *scan = None;
                        found.push(no_anomalies(&self.question));
                    }
                }
                Ok(true)
            }
            Doing::Stats { scan, ends, partial } => match scan.next(wait)? {
                ScanStep::Part(part) => {
                    let Part { log, last, .. } = *part;
                    if let Some(later) = take_in(&mut self.told, *part) {
                        partial.merge(later);
                    }
                    if last && self.task.range.is_none() {
                        partial.end_log(&mut ends[log]);
                    }
                    Ok(true)
                }
                ScanStep::Pending => Ok(true),
                ScanStep::End => Ok(false),
            },
            Doing::Http { scan, found, most } => match scan.next(wait)? {
                ScanStep::Part(part) => {
                    let log = part.log;
                    let mut requests = take_in(&mut self.told, *part);
                    requests.truncate(*most);
                    *most -= requests.len();
                    found[log].append(&mut requests);
                    Ok(*most > 0)
                }
                ScanStep::Pending => Ok(true),
                ScanStep::End => Ok(false),
            },
            Doing::Done(_) => Ok(false),
        }
    }

    /// What was found, once all is done.
    pub fn finish(self) -> State {
        let Self { question, task, told: logs, mut writers, doing } = self;
        let found = match doing {
            Doing::Anomalies { found, .. } => Found::Anomalies(found),
            Doing::Stats { partial, .. } => Found::Stats(partial),
            Doing::Http { found, .. } => Found::Http(found),
            Doing::Done(found) => found,
        };
        let range = task.range.map(|(number, of)| {
            match (&found, task.logs.first()) {
                (Found::Anomalies(found), _) => {
                    writers = found.first().map(|log| log.writers.clone()).unwrap_or_default();
                }
                (Found::Stats(partial), Some(log)) => {
                    let alive = |pid| (pid, writer_alive(log, pid));
                    writers.children = partial.open_pids().into_iter().map(alive).collect();
                }
                _ => {}
            }
            RangeTold { first: number, end: number + 1, of, writers }
        });
        State::of(&question, Piece { first_log: task.first_log, logs, range, found })
    }

    /// What is told of a task that could not be done, for this reason.
    pub fn failed(question: &Question, task: &Task, reason: &str) -> State {
        let mut logs: Vec<_> = task.logs.iter().map(LogTold::of).collect();
        for log in &mut logs {
            let name = log.name.path();
            let error = format!("cannot read {}: {reason}", name.display());
            match question.analysis {
                Analysis::Anomalies(_) => log.error = Some(error),
                _ => log.files.iter_mut().take(1).for_each(|file| file.error = Some(error.clone())),
            }
        }
        let range = task.range.map(|(first, of)| {
            let writers = Writers::default();
            RangeTold { first, end: first + 1, of, writers }
        });
        let found = nothing(question, task);
        State::of(question, Piece { first_log: task.first_log, logs, range, found })
    }
}

fn begin(question: &Question, task: &Task) -> Result<Doing> {
    let logs = &task.logs;
    Ok(match question.analysis {
        Analysis::Anomalies(outcomes) => {
            Doing::Anomalies { outcomes, scan: None, found: Vec::new() }
        }
        Analysis::Stats { .. } => {
            let options = question.stats_options(usize::MAX);
            // Asks for the processes, so it comes before anything is read.
            let ends = logs.iter().map(|log| LogEnd::before(log, question.as_of_s)).collect();
            let scan = Scan::new(logs, StatsMap::new(logs, &options), task.scan)?;
            let partial = no_stats(question, task);
            Doing::Stats { scan, ends, partial }
        }
        Analysis::Http { failed, limit, redact, no_detail } => {
            let shown = HttpOptions { failed, redact, no_detail, ..HttpOptions::default() };
            let map = HttpMap::new(logs, &question.filter, &shown);
            let most = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
            let found = logs.iter().map(|_| Vec::new()).collect();
            Doing::Http { scan: Scan::new(logs, map, task.scan)?, found, most }
        }
    })
}

/// What there is where nothing could be read.
fn nothing(question: &Question, task: &Task) -> Found {
    let logs = task.logs.iter();
    match question.analysis {
        Analysis::Anomalies(_) => Found::Anomalies(logs.map(|_| no_anomalies(question)).collect()),
        Analysis::Stats { .. } => Found::Stats(no_stats(question, task)),
        Analysis::Http { .. } => Found::Http(logs.map(|_| Vec::new()).collect()),
    }
}

fn no_anomalies(question: &Question) -> LogAnomalies {
    let partial = AnomaliesPartial::at_start(&question.filter);
    LogAnomalies { partial, writers: Writers::default() }
}

fn no_stats(question: &Question, task: &Task) -> Box<StatsPartial> {
    let options = question.stats_options(usize::MAX);
    Box::new(if task.range.is_some() {
        StatsPartial::in_the_middle(&options, 0)
    } else {
        StatsPartial::at_start(&options)
    })
}

/// Goes on with a log; at its end, what was found.
fn step_diagnosis(
    question: &Question,
    log: &Log,
    how: AnomaliesScanOptions,
    scan: &mut Option<Box<DiagnosisScan>>,
    wait: Duration,
) -> Result<Option<(LogAnomalies, Vec<FileTold>)>> {
    let mut doing = match scan.take() {
        Some(doing) => doing,
        None => Box::new(DiagnosisScan::open(log, &question.filter, how)?),
    };
    if doing.step(wait)? {
        *scan = Some(doing);
        return Ok(None);
    }
    let (partial, skipped, writers) = doing.into_parts();
    let files = skipped.into_files().into_iter().map(|(path, skipped)| FileTold {
        name: Name::of(&path),
        skipped,
        error: None,
    });
    Ok(Some((LogAnomalies { partial, writers }, files.collect())))
}

/// What a part gave; what is to be told of its file is noted.
fn take_in<O>(told: &mut [LogTold], part: Part<O>) -> O {
    // The files are numbered through.
    let mut files = told.iter_mut().flat_map(|log| &mut log.files);
    if let Some(file) = files.nth(part.file) {
        file.skipped.merge(&part.skipped);
        file.error = file.error.take().or(part.error.map(|error| error.to_string()));
    }
    part.output
}
