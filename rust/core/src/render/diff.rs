//! Two runs side by side, as a table or as JSON.

use crate::Result;
use crate::analyze::durations::RELATIVE_ERROR;
use crate::analyze::stats::{MAX_GROUPS, Stats, StatsOptions};
use crate::analyze::{By, HttpTallies, HttpTally, Tally, changes};
use crate::read::{Filter, Log, Progress, ScanOptions};

use super::Report;
use super::diff_table::write_tables;
use super::members::Members;
use super::stats::{scan_options, write_tally};
use super::stats_scan::StatsScan;
use super::table::TableStyle;

/// What is shown of the differences, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiffOptions {
    /// What actions are grouped by.
    pub by: By,
    /// So many groups at most.
    pub limit: Option<u64>,
    /// Whether keys, tokens and passwords are left out.
    pub redact: bool,
    /// Without what was said, and with short names, as in [`super::StatsReportOptions`].
    pub no_detail: bool,
    /// JSON instead of tables.
    pub json: bool,
    /// Now, seconds since the epoch: until when running actions last.
    pub as_of_s: f64,
    /// How the tables are shown.
    pub style: TableStyle,
    /// So many groups of each run are told apart.
    pub max_groups: usize,
    /// How the logs are read: which changes nothing in what is shown.
    pub scan: ScanOptions,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self {
            by: By::default(),
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

/// What has changed from the run that wrote the logs `before` to the one that wrote `after`, among the
/// actions that `filter` selects: see [`changes`].
///
/// # Errors
/// The one log cannot be opened.
pub fn diff_report(
    before: &[Log],
    after: &[Log],
    filter: &Filter,
    options: &DiffOptions,
) -> Result<Box<dyn Report>> {
    let &DiffOptions { by, max_groups, redact, no_detail, .. } = options;
    let filter = filter.clone();
    let counted = StatsOptions { by, filter, slowest: 0, max_groups, redact, no_detail };
    let scan = StatsScan::new(before, &counted, options.as_of_s, options.scan)?;
    let sizes_bytes = [before, after].map(|logs| logs.iter().map(Log::size_bytes).sum());
    Ok(Box::new(DiffReport {
        runs: [before.to_vec(), after.to_vec()],
        sizes_bytes,
        counted,
        options: *options,
        scan: Some(scan),
        before: None,
        notes: Vec::new(),
        has_failed: false,
    }))
}

struct DiffReport {
    runs: [Vec<Log>; 2],
    sizes_bytes: [u64; 2],
    counted: StatsOptions,
    options: DiffOptions,
    /// That of the first run, and then that of the second; `None` at the end.
    scan: Option<StatsScan>,
    /// What the first run amounts to, once it is read.
    before: Option<Stats>,
    notes: Vec<String>,
    has_failed: bool,
}

impl Report for DiffReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(mut scan) = self.scan.take() else { return Ok(None) };
        if scan.step()? {
            self.scan = Some(scan);
            return Ok(Some(Vec::new()));
        }
        let stats = scan.take_stats(&self.counted);
        self.notes.extend(scan.take_notes());
        self.notes.extend(scan.skipped());
        self.has_failed |= scan.has_failed();
        let mut out = Vec::new();
        if let Some(before) = self.before.take() {
            write_diff(&mut out, &self.runs, before, stats, &self.options);
        } else {
            self.before = Some(stats);
            let DiffOptions { as_of_s, scan, .. } = self.options;
            self.scan = Some(StatsScan::new(&self.runs[1], &self.counted, as_of_s, scan)?);
        }
        Ok(Some(out))
    }

    fn streams(&self) -> bool {
        false
    }

    fn progress(&self) -> Option<Progress> {
        let read = self.scan.as_ref()?.progress();
        let earlier_bytes = if self.before.is_some() { self.sizes_bytes[0] } else { 0 };
        let total_bytes = read.total_bytes.map(|_| self.sizes_bytes.iter().sum());
        Some(Progress { done_bytes: earlier_bytes + read.done_bytes, total_bytes })
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn skipped(&self) -> Option<String> {
        None
    }
}

/// The requests of two runs with the same outcome.
pub(super) type HttpRow = ((Option<u16>, bool), [HttpTally; 2]);

/// The requests of both runs by outcome, those with a status first.
pub(super) fn http_rows(before: &HttpTallies, after: &HttpTallies) -> Vec<HttpRow> {
    let mut outcomes: Vec<_> = before.keys().chain(after.keys()).copied().collect();
    outcomes.sort_by_key(|&(status, retry)| (status.is_none(), status, retry));
    outcomes.dedup();
    let of = |tallies: &HttpTallies, outcome| tallies.get(&outcome).copied().unwrap_or_default();
    outcomes
        .into_iter()
        .map(|outcome| (outcome, [of(before, outcome), of(after, outcome)]))
        .collect()
}

/// What has changed from one run to another, told of their logs, as tables or as JSON.
pub(crate) fn write_diff(
    out: &mut Vec<u8>,
    runs: &[Vec<Log>; 2],
    before: Stats,
    after: Stats,
    options: &DiffOptions,
) {
    let others = [before.others.clone(), after.others.clone()];
    let http = http_rows(&before.http, &after.http);
    let changed = changes(before, after);
    if !options.json {
        return write_tables(out, runs, &changed, &others, &http, options);
    }
    let by = options.by.as_str();
    let limit = options.limit.and_then(|limit| usize::try_from(limit).ok());
    let mut all = Members::new(out, 1);
    for (name, logs) in ["trace_files_a", "trace_files_b"].into_iter().zip(runs) {
        all.texts(name, logs.iter().map(|log| log.path.as_os_str().as_encoded_bytes()));
    }
    all.number("as_of", Some(options.as_of_s));
    all.text("by", Some(by.as_bytes()));
    all.number("quantile_error", Some(RELATIVE_ERROR));
    all.objects("actions", changed.iter().take(limit.unwrap_or(usize::MAX)), |row, change| {
        row.text(by, change.name.as_deref());
        row.number("change", Some(change.share));
        write_run(row, "a", change.before.as_ref());
        write_run(row, "b", change.after.as_ref());
    });
    let has_others = others.iter().any(|tally| tally.count() > 0);
    all.object(
        "others",
        has_others.then_some(|both: &mut Members<'_>| {
            write_run(both, "a", Some(&others[0]));
            write_run(both, "b", Some(&others[1]));
        }),
    );
    all.objects("http", http, |row, ((status, retry), tallies)| {
        row.number("status", status.map(f64::from));
        row.boolean("retry", retry);
        for (name, tally) in ["a", "b"].into_iter().zip(tallies) {
            row.object(
                name,
                Some(|run: &mut Members<'_>| {
                    run.count("count", tally.count);
                    run.count("failed", tally.failed);
                }),
            );
        }
    });
    all.end();
    out.push(b'\n');
}

fn write_run(members: &mut Members<'_>, name: &str, tally: Option<&Tally>) {
    members.object(name, tally.map(|tally| |run: &mut Members<'_>| write_tally(run, tally)));
}
