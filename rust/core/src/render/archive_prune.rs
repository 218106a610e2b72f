//! What goes of an archive, or has gone: a table and a sum, or JSON.

use serde::Serialize;

use crate::archive::{Origin, Outcome, Pruning, Removal};
use crate::read::skipped::count;

use super::Report;
use super::archive_list::to_json;
use super::fitted::{FittedColumn, fitted};
use super::report::Told;
use super::table::{Column, TableStyle};
use super::terminal::{cell, shell_quote, terminal_safe};
use super::time::{local_day_and_minute, local_day_and_time};
use super::units::human_bytes;

/// What columns the directories have at least, before others make room for them.
const MIN_LOG_COLUMNS: usize = 44;

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivePruneOptions {
    /// Nothing was removed: it is shown what would be.
    pub dry_run: bool,
    /// JSON instead of text.
    pub json: bool,
    /// How the table is shown.
    pub style: TableStyle,
}

/// What goes, the oldest first, and how much that frees.
pub fn archive_prune_report(pruning: &Pruning, options: ArchivePruneOptions) -> Box<dyn Report> {
    let mut told = Told::default();
    let removals = || pruning.plan().removals.iter().zip(pruning.outcomes());
    let mut failed = Vec::new();
    let mut kept = Vec::new();
    for (removal, outcome) in removals() {
        let url = url_of(pruning, removal);
        match outcome {
            Outcome::Failed(reason) => failed.push(format!("cannot remove {url}: {reason}")),
            Outcome::Kept => kept.push(format!("{url} stays: something has come to it meanwhile")),
            Outcome::Planned | Outcome::Removed(_) => {}
        }
    }
    let troubles = pruning.troubles().iter();
    let troubles: Vec<_> = troubles.map(|(url, why)| format!("{url} stays: {why}")).collect();
    told.has_failed = !(failed.is_empty() && troubles.is_empty());
    for lines in [troubles, failed, kept] {
        told.tell_some(lines);
    }
    told.notes.extend(over(pruning, options.dry_run));
    told.chunk = Some(if options.json {
        json(pruning, options.dry_run)
    } else {
        text(pruning, options).into_bytes()
    });
    Box::new(told)
}

fn url_of(pruning: &Pruning, removal: &Removal) -> String {
    let url = pruning.url();
    let directory = &removal.directory;
    if directory.is_empty() { url.to_owned() } else { format!("{url}/{directory}") }
}

/// How much is gone, or would be.
fn freed_bytes(pruning: &Pruning, dry_run: bool) -> u64 {
    if dry_run { pruning.plan().removed_bytes() } else { pruning.freed_bytes() }
}

fn left_bytes(pruning: &Pruning, dry_run: bool) -> u64 {
    pruning.plan().size_bytes.saturating_sub(freed_bytes(pruning, dry_run))
}

/// That the limit does not hold.
fn over(pruning: &Pruning, dry_run: bool) -> Option<String> {
    let max_bytes = pruning.limits().max_bytes?;
    let left = left_bytes(pruning, dry_run);
    let over = left.checked_sub(max_bytes).filter(|&over| over > 0)?;
    Some(format!(
        "{} more than the limit {}: no other log is finished, or could be removed",
        human_bytes(over),
        if dry_run { "would be left" } else { "are left" },
    ))
}

fn text(pruning: &Pruning, options: ArchivePruneOptions) -> String {
    let ArchivePruneOptions { dry_run, style, .. } = options;
    let plan = pruning.plan();
    let place = terminal_safe(pruning.url().as_bytes());
    let all = count(plan.logs, "log", "logs");
    let left = human_bytes(left_bytes(pruning, dry_run));
    let freed = human_bytes(freed_bytes(pruning, dry_run));
    if plan.removals.is_empty() {
        return format!("nothing to remove of {all} ({left}) in {place}\n");
    }
    if dry_run {
        let logs = plan.removals.len();
        return format!(
            "{}\nwould remove {logs} of {all} in {place}: {freed} go, {left} stay\n\
             Nothing was removed: that is done without --dry-run.\n",
            table(pruning, style)
        );
    }
    let is_gone = |outcome: &&Outcome| matches!(outcome, Outcome::Removed(_));
    let gone = pruning.outcomes().iter().filter(is_gone).count();
    format!(
        "removed {gone} of {all} from {place}: {freed} freed, {left} left\n\
         inspect-trace archive-list {}   tells what is left\n",
        cell(shell_quote(pruning.url()).as_bytes())
    )
}

fn table(pruning: &Pruning, style: TableStyle) -> String {
    let is_terminal = style.width.is_some();
    let time = if is_terminal { local_day_and_minute } else { local_day_and_time };
    let removals = &pruning.plan().removals;
    let place = |removal: &Removal| {
        if is_terminal {
            return cell(removal.directory.as_bytes());
        }
        cell(shell_quote(&format!("{}/", url_of(pruning, removal))).as_bytes())
    };
    let column = |head, align, rank, cell: &dyn Fn(&Removal) -> Option<String>| {
        FittedColumn::new(head, align, rank, removals.iter().map(cell))
    };
    let columns = vec![
        column("Last Record", Column::Left, 0, &|removal| {
            time(removal.entry.manifest()?.last_record_at?)
        }),
        column("Status", Column::Left, 2, &|removal| {
            Some(status(removal, pruning.now_s())?.to_owned())
        }),
        column("Size", Column::Right, 1, &|removal| Some(human_bytes(removal.entry.size_bytes()))),
        column("Why", Column::Left, 0, &|removal| Some(removal.why.word().to_owned())),
        column("Log", Column::Left, 0, &|removal| Some(place(removal))),
    ];
    let (head, rest) = fitted(columns, MIN_LOG_COLUMNS, style);
    head + &rest
}

fn status(removal: &Removal, now_s: f64) -> Option<&'static str> {
    Some(Origin::of(removal.entry.manifest()?).status(now_s).word())
}

#[derive(Serialize)]
struct Removed<'p> {
    url: String,
    host: Option<&'p str>,
    pid: Option<u32>,
    run: Option<&'p str>,
    started_at: Option<f64>,
    last_record_at: Option<f64>,
    status: Option<&'p str>,
    size: u64,
    why: &'p str,
    outcome: &'p str,
    error: Option<&'p str>,
}

#[derive(Serialize)]
struct Kept<'p> {
    url: &'p str,
    reason: &'p str,
}

#[derive(Serialize)]
struct Pruned<'p> {
    as_of: f64,
    url: &'p str,
    dry_run: bool,
    older_than_s: Option<f64>,
    max_bytes: Option<u64>,
    logs: u64,
    size: u64,
    removals: Vec<Removed<'p>>,
    unusable: Vec<Kept<'p>>,
    freed: u64,
    left: u64,
}

fn json(pruning: &Pruning, dry_run: bool) -> Vec<u8> {
    let plan = pruning.plan();
    let limits = pruning.limits();
    let each = plan.removals.iter().zip(pruning.outcomes());
    let unusable = pruning.troubles().iter().map(|(url, reason)| Kept { url, reason });
    to_json(&Pruned {
        as_of: pruning.now_s(),
        url: pruning.url(),
        dry_run,
        older_than_s: limits.older_than_s,
        max_bytes: limits.max_bytes,
        logs: plan.logs,
        size: plan.size_bytes,
        removals: each.map(|(removal, outcome)| row(pruning, removal, outcome)).collect(),
        unusable: unusable.collect(),
        freed: freed_bytes(pruning, dry_run),
        left: left_bytes(pruning, dry_run),
    })
}

fn row<'p>(pruning: &Pruning, removal: &'p Removal, outcome: &'p Outcome) -> Removed<'p> {
    let manifest = removal.entry.manifest();
    let (word, error) = match outcome {
        Outcome::Planned => ("planned", None),
        Outcome::Removed(_) => ("removed", None),
        Outcome::Kept => ("kept", None),
        Outcome::Failed(reason) => ("failed", Some(reason.as_str())),
    };
    Removed {
        url: url_of(pruning, removal),
        host: manifest.map(|manifest| manifest.host.as_str()),
        pid: manifest.and_then(|manifest| manifest.pid),
        run: manifest.and_then(|manifest| manifest.run.as_deref()),
        started_at: manifest.map(|manifest| manifest.started_at),
        last_record_at: manifest.and_then(|manifest| manifest.last_record_at),
        status: status(removal, pruning.now_s()),
        size: removal.entry.size_bytes(),
        why: removal.why.word(),
        outcome: word,
        error,
    }
}
