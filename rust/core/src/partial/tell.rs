//! The answer as the commands print it: from all states together, as from one scan.

use std::path::PathBuf;

use crate::analyze::{Partial as _, Stats, StatsPartial};
use crate::read::{Log, SkippedFiles};
use crate::render::{
    self, AnomaliesOptions, DiffOptions, HttpOptions, HttpRequests, Report, StatsReportOptions,
    Told, write_diff, write_stats,
};
use crate::{Error, Result};

use super::piece::{Found, LogTold, Piece};
use super::{Analysis, State};

/// The anomalies of so many logs.
///
/// # Errors
/// Not all logs were looked at, or the only one could not be read.
pub fn tell_anomalies(
    state: State,
    logs: u64,
    options: &AnomaliesOptions,
) -> Result<Box<dyn Report>> {
    let question = state.question().clone();
    let Piece { logs: told, found, .. } = state.into_whole(logs)?;
    let Found::Anomalies(found) = found else { return Err(another()) };
    if let ([LogTold { error: Some(error), .. }], 1) = (&told[..], logs) {
        return Err(Error::Elsewhere(error.clone()));
    }
    let outcomes = told.into_iter().zip(found).map(|(log, found)| {
        let shown = log.log();
        if let Some(error) = log.error {
            return (shown, Err(error));
        }
        let files = log.files.into_iter().map(|file| (file.name.path(), file.skipped));
        let skipped = SkippedFiles::of_files(files.collect());
        let (filter, as_of_s) = (&question.filter, question.as_of_s);
        (shown, Ok(found.writers.judge(found.partial, &skipped, filter, as_of_s)))
    });
    Ok(Box::new(render::tell_anomalies(outcomes, options)))
}

/// What the actions of so many logs amount to.
///
/// # Errors
/// As [`tell_anomalies`].
pub fn tell_stats(
    found: State,
    logs: u64,
    options: &StatsReportOptions,
) -> Result<Box<dyn Report>> {
    let (stats, logs, mut told) = stats_of(found, logs)?;
    let mut out = Vec::new();
    write_stats(&mut out, &stats, &logs, options);
    told.chunk = Some(out);
    Ok(Box::new(told))
}

/// What has changed from so many logs to so many others.
///
/// # Errors
/// As [`tell_anomalies`].
pub fn tell_diff(
    before: (State, u64),
    after: (State, u64),
    options: &DiffOptions,
) -> Result<Box<dyn Report>> {
    let (stats_before, logs_before, mut told) = stats_of(before.0, before.1)?;
    let (stats_after, logs_after, told_after) = stats_of(after.0, after.1)?;
    told.notes.extend(told.summary.take());
    told.notes.extend(told_after.notes);
    told.notes.extend(told_after.summary);
    told.has_failed |= told_after.has_failed;
    let mut out = Vec::new();
    write_diff(&mut out, &[logs_before, logs_after], stats_before, stats_after, options);
    told.chunk = Some(out);
    Ok(Box::new(told))
}

/// The HTTP requests of so many logs.
///
/// # Errors
/// As [`tell_anomalies`].
pub fn tell_http(state: State, logs: u64, options: &HttpOptions) -> Result<Box<dyn Report>> {
    let Piece { logs: told, found, .. } = state.into_whole(logs)?;
    let Found::Http(found) = found else { return Err(another()) };
    let mut report = read_of(&told)?;
    let mut requests = HttpRequests::of(&logs_of(&told), options);
    let mut out = Vec::new();
    requests.begin(&mut out);
    for (log, of_log) in found.iter().enumerate() {
        for request in of_log {
            if requests.is_full() {
                break;
            }
            requests.write(&mut out, log, request);
        }
    }
    requests.end(&mut out);
    report.chunk = Some(out);
    Ok(Box::new(report))
}

/// What was counted, in which logs, and what is to be told of these.
fn stats_of(state: State, logs: u64) -> Result<(Stats, Vec<Log>, Told)> {
    let question = state.question().clone();
    let Analysis::Stats { max_groups, .. } = question.analysis else { return Err(another()) };
    let Piece { logs: told, found, .. } = state.into_whole(logs)?;
    let Found::Stats(partial) = found else { return Err(another()) };
    let report = read_of(&told)?;
    // Which groups are told apart depends on the order of the logs: here all are in it.
    let mut all = StatsPartial::at_start(&question.stats_options(max_groups));
    all.merge(*partial);
    Ok((all.finish(), logs_of(&told), report))
}

fn logs_of(told: &[LogTold]) -> Vec<Log> {
    told.iter().map(LogTold::log).collect()
}

/// What is to be told of the reading, file by file.
fn read_of(logs: &[LogTold]) -> Result<Told> {
    let mut told = Told::default();
    let files: Vec<_> = logs.iter().flat_map(|log| &log.files).collect();
    for file in &files {
        let path: PathBuf = file.name.path();
        if let Some(error) = &file.error {
            if files.len() == 1 {
                return Err(Error::Elsewhere(error.clone()));
            }
            told.has_failed = true;
            told.notes.push(error.clone());
        }
        let summary = file.skipped.summary(&path);
        if files.len() == 1 { told.summary = summary } else { told.notes.extend(summary) }
    }
    Ok(told)
}

fn another() -> Error {
    Error::Elsewhere("this is the answer to another question".to_owned())
}
