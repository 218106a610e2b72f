//! What the actions of logs amount to, as tables or as JSON.

use std::path::Path;

use crate::Result;
use crate::analyze::durations::RELATIVE_ERROR;
use crate::analyze::stats::{MAX_GROUPS, Stats, StatsOptions};
use crate::analyze::{By, SlowAction, Tally};
use crate::read::{Filter, Log, ScanOptions};
use crate::store::LogFile;

use super::Report;
use super::http::write_trace_files;
use super::members::Members;
use super::report::told_by_scan;
use super::stats_scan::StatsScan;
use super::stats_table::write_tables;
use super::table::TableStyle;

/// What is shown of the statistics, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StatsReportOptions {
    /// What actions are grouped by.
    pub by: By,
    /// So many of the slowest actions are shown.
    pub slowest: usize,
    /// So many groups at most.
    pub limit: Option<u64>,
    /// Whether keys, tokens and passwords are left out.
    pub redact: bool,
    /// Without what was said, and with short names. Groups that it names are those without a name.
    pub no_detail: bool,
    /// JSON instead of tables.
    pub json: bool,
    /// Now, seconds since the epoch: until when running actions last.
    pub as_of_s: f64,
    /// How the tables are shown.
    pub style: TableStyle,
    /// So many groups are told apart.
    pub max_groups: usize,
    /// How the logs are read: which changes nothing in what is shown.
    pub scan: ScanOptions,
}

impl Default for StatsReportOptions {
    fn default() -> Self {
        Self {
            by: By::default(),
            slowest: 0,
            limit: None,
            redact: false,
            no_detail: false,
            json: false,
            as_of_s: 0.0,
            style: TableStyle::default(),
            max_groups: MAX_GROUPS,
            scan: scan_options(),
        }
    }
}

/// The larger a part, the less has to be merged; but each thread has its own in memory.
pub(super) fn scan_options() -> ScanOptions {
    let scan = ScanOptions::default();
    let block_bytes = ((32 << 20) / scan.threads as u64).clamp(1 << 20, 4 << 20);
    ScanOptions { block_bytes, ..scan }
}

/// What the actions of some logs that `filter` selects amount to.
///
/// # Errors
/// The one log cannot be opened.
pub fn stats_report(
    logs: &[Log],
    filter: &Filter,
    options: &StatsReportOptions,
) -> Result<Box<dyn Report>> {
    let &StatsReportOptions { by, slowest, max_groups, redact, no_detail, .. } = options;
    let filter = filter.clone();
    let counted = StatsOptions { by, filter, slowest, max_groups, redact, no_detail };
    let scan = StatsScan::new(logs, &counted, options.as_of_s, options.scan)?;
    Ok(Box::new(StatsReport { scan, counted, options: *options, is_done: false }))
}

struct StatsReport {
    scan: StatsScan,
    counted: StatsOptions,
    options: StatsReportOptions,
    is_done: bool,
}

impl Report for StatsReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        if self.is_done {
            return Ok(None);
        }
        let mut out = Vec::new();
        if !self.scan.step()? {
            self.is_done = true;
            let stats = self.scan.take_stats(&self.counted);
            write_stats(&mut out, &stats, self.scan.logs(), &self.options);
        }
        Ok(Some(out))
    }

    fn streams(&self) -> bool {
        false
    }

    told_by_scan!();
}

/// The first and the last moment that any of the actions ended at, milliseconds since the epoch.
pub(super) fn span_ms(stats: &Stats) -> Option<(i64, i64)> {
    let tallies = stats.groups.iter().map(|group| &group.tally).chain([&stats.others]);
    let spans = tallies.filter_map(|tally| tally.over_time.span_ms());
    spans.reduce(|(first, last), (since, until)| (first.min(since), last.max(until)))
}

/// So many stretches of time are told in JSON.
const STRETCHES: usize = 24;

/// What logs amount to, as tables or as JSON.
pub(crate) fn write_stats(
    out: &mut Vec<u8>,
    stats: &Stats,
    logs: &[Log],
    options: &StatsReportOptions,
) {
    if options.json {
        JsonStats { logs, options }.write(out, stats);
    } else {
        write_tables(out, stats, logs, options);
    }
}

struct JsonStats<'a> {
    logs: &'a [Log],
    options: &'a StatsReportOptions,
}

impl JsonStats<'_> {
    fn write(&self, out: &mut Vec<u8>, stats: &Stats) {
        let by = self.options.by.as_str();
        let limit = self
            .options
            .limit
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let span_ms = span_ms(stats);
        let mut all = Members::new(out, 1);
        write_head(&mut all, self.logs, self.options.as_of_s, by);
        #[allow(clippy::cast_precision_loss)] // Years of four digits.
        let seconds = |ms: Option<i64>| ms.map(|ms| ms as f64 / 1000.0);
        all.number("since", seconds(span_ms.map(|span| span.0)));
        all.number("until", seconds(span_ms.map(|span| span.1)));
        all.objects("actions", stats.groups.iter().take(limit), |members, group| {
            members.text(by, group.name.as_deref());
            write_tally(members, &group.tally);
            write_over_time(members, &group.tally, span_ms);
        });
        let has_others = stats.others.count() > 0;
        all.object(
            "others",
            has_others.then_some(|members: &mut Members<'_>| {
                write_tally(members, &stats.others);
                write_over_time(members, &stats.others, span_ms);
            }),
        );
        all.objects("http", &stats.http, |members, (&(status, retry), tally)| {
            members.number("status", status.map(f64::from));
            members.boolean("retry", retry);
            members.count("count", tally.count);
            members.count("failed", tally.failed);
        });
        all.objects("slowest", &stats.slowest, |members, action| self.write_slow(members, action));
        all.end();
        out.push(b'\n');
    }

    fn write_slow(&self, members: &mut Members<'_>, action: &SlowAction) {
        members.text("action", Some(&action.action));
        if !self.options.no_detail {
            members.text("detail", Some(&action.detail));
        }
        members.text("event", Some(action.event.as_str().as_bytes()));
        members.number("duration", Some(action.duration_s));
        members.text("trace_id", Some(&action.trace_id));
        for (name, json) in
            [("task", &action.task), ("sample_id", &action.sample_id), ("epoch", &action.epoch)]
        {
            if json.is_some() {
                members.json(name, json.as_deref());
            }
        }
        for (name, text) in [("error", &action.error), ("error_type", &action.error_type)] {
            if text.is_some() {
                members.text(name, text.as_deref());
            }
        }
        let path = file_of(self.logs, action);
        members.text("trace_file", path.map(|path| path.as_os_str().as_encoded_bytes()));
        members.count("offset", action.offset);
    }
}

/// The file that tells of an action.
pub(super) fn file_of<'l>(logs: &'l [Log], action: &SlowAction) -> Option<&'l Path> {
    logs.iter().flat_map(|log| &log.files).nth(action.file).map(LogFile::path)
}

fn write_head(members: &mut Members<'_>, logs: &[Log], as_of_s: f64, by: &str) {
    members.raw(|out| write_trace_files(out, true, logs));
    members.number("as_of", Some(as_of_s));
    members.text("by", Some(by.as_bytes()));
    members.number("quantile_error", Some(RELATIVE_ERROR));
}

pub(super) fn write_tally(members: &mut Members<'_>, tally: &Tally) {
    members.count("count", tally.count());
    members.count("open", tally.open);
    members.count("exits", tally.exits);
    members.count("errors", tally.errors);
    members.count("timeouts", tally.timeouts);
    members.count("cancels", tally.cancels);
    members.number("error_rate", tally.error_rate());
    let durations = &tally.durations;
    members.number("total", Some(durations.total_s()));
    members.number("mean", durations.mean_s());
    members.number("p50", durations.quantile_s(0.5));
    members.number("p90", durations.quantile_s(0.9));
    members.number("p99", durations.quantile_s(0.99));
    members.number("max", durations.max_s());
}

fn write_over_time(members: &mut Members<'_>, tally: &Tally, span_ms: Option<(i64, i64)>) {
    let out = members.key("over_time");
    out.push(b'[');
    let counts = span_ms.map(|span_ms| tally.over_time.columns(span_ms, STRETCHES));
    for (index, count) in counts.into_iter().flatten().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(count.to_string().as_bytes());
    }
    out.push(b']');
}
