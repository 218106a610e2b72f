//! The logs of an archive, as their manifests tell: a table, JSON, or manifests one a line.

use serde::Serialize;

use crate::archive::{Catalog, Choice, Chosen, Entry, Manifest, Origin, Said, Status, last_s};
use crate::read::skipped::count;

use super::Report;
use super::fitted::{FittedColumn, fitted};
use super::json::{Escape, Layout, write_value};
use super::list_columns::command_line;
use super::report::Told;
use super::table::{Column, TableStyle};
use super::terminal::{cell, shell_quote, terminal_safe};
use super::time::{local_day_and_minute, local_day_and_time};
use super::units::human_bytes;

/// What columns the last one has at least, before others make room for it.
const MIN_TASK_COLUMNS: usize = 10;

/// How the logs of an archive are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveListFormat {
    /// A table.
    Table,
    /// One JSON object.
    Json,
    /// Manifests, one a line, each with its URL.
    JsonLines,
}

/// What is shown of the logs of an archive, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveListOptions {
    /// Which logs.
    pub choice: Choice,
    /// In which form.
    pub format: ArchiveListFormat,
    /// Now, seconds since the epoch: by what it is told who is silent.
    pub as_of_s: f64,
    /// How the table is shown.
    pub style: TableStyle,
}

/// A log, and what is known of it.
struct Row<'c> {
    url: String,
    entry: &'c Entry,
    manifest: &'c Manifest,
    status: Status,
}

/// The logs of an archive, the newest first. Those of which nothing is known are told, and counted.
pub fn archive_list_report(catalog: &Catalog, options: &ArchiveListOptions) -> Box<dyn Report> {
    let mut rows = Vec::new();
    let mut troubles = Vec::new();
    let mut told = Told::default();
    let mut maybe = 0;
    for (directory, entry) in catalog.logs() {
        let url = catalog.url_of(directory);
        let Some(manifest) = entry.manifest() else {
            // Of a log whose archiver is at work there may be none yet.
            told.has_failed |= entry.said != Said::Nothing;
            troubles.extend(entry.trouble().map(|reason| Trouble { url, reason }));
            continue;
        };
        let chosen = options.choice.of(manifest, options.as_of_s);
        maybe += u64::from(chosen == Chosen::Maybe);
        if chosen != Chosen::No {
            let status = Origin::of(manifest).status(options.as_of_s);
            rows.push(Row { url, entry, manifest, status });
        }
    }
    rows.sort_by(|one, other| {
        last_s(other.manifest).total_cmp(&last_s(one.manifest)).then(other.url.cmp(&one.url))
    });
    if maybe > 0 {
        let logs = count(maybe, "log names", "logs name");
        told.notes.push(format!(
            "{logs} as many tasks as a manifest has room for, and may have others: shown, too"
        ));
    }
    tell_troubles(&mut told, &troubles);
    told.chunk = Some(match options.format {
        ArchiveListFormat::Table => table(catalog, &rows, options.style).into_bytes(),
        ArchiveListFormat::Json => json(catalog, &rows, &troubles, options.as_of_s),
        ArchiveListFormat::JsonLines => lines(&rows),
    });
    Box::new(told)
}

fn tell_troubles(told: &mut Told, troubles: &[Trouble]) {
    let line = |Trouble { url, reason }: &Trouble| format!("{url}: {reason}");
    told.tell_some(troubles.iter().map(line).collect());
    if !troubles.is_empty() {
        let logs = count(troubles.len() as u64, "log is", "logs are");
        told.notes.push(format!("{logs} not shown: nothing is known of what is in there"));
    }
}

fn table(catalog: &Catalog, rows: &[Row<'_>], style: TableStyle) -> String {
    let is_terminal = style.width.is_some();
    if rows.is_empty() {
        return format!("No logs in {}.\n", terminal_safe(catalog.url().as_bytes()));
    }
    let time = if is_terminal { local_day_and_minute } else { local_day_and_time };
    let quoted = |url: &str| cell(shell_quote(&format!("{url}/")).as_bytes());
    let mut columns = vec![
        column("Started", Column::Left, 6, rows, |row| time(row.manifest.started_at)),
        column("Last Record", Column::Left, 0, rows, |row| time(row.manifest.last_record_at?)),
        column("Status", Column::Left, 0, rows, |row| Some(row.status.word().to_owned())),
        column("Host", Column::Left, 0, rows, |row| Some(cell(row.manifest.host.as_bytes()))),
        column("PID", Column::Right, 8, rows, |row| Some(row.manifest.pid?.to_string())),
        column("Run", Column::Left, 9, rows, |row| run(row, is_terminal)),
        column("Records", Column::Right, 7, rows, |row| {
            Some(row.manifest.counts.records.to_string())
        }),
        column("Open", Column::Right, 0, rows, |row| Some(row.manifest.counts.open.to_string())),
        column("Failed", Column::Right, 0, rows, |row| Some(failed(row.manifest).to_string())),
        column("Size", Column::Right, 5, rows, |row| Some(human_bytes(row.entry.size_bytes()))),
    ];
    if !is_terminal {
        columns.push(column("Log", Column::Left, 0, rows, |row| Some(quoted(&row.url))));
    }
    columns.push(column("Task", Column::Left, 0, rows, task));
    let (head, rest) = fitted(columns, MIN_TASK_COLUMNS, style);
    if !is_terminal {
        return head + &rest;
    }
    let place = cell(shell_quote(catalog.url()).as_bytes());
    format!("Logs in {place}\n\n{head}{rest}\n{}\n{}\n", sums(rows), next_step(rows, &quoted))
}

fn column<'r>(
    head: &str,
    align: Column,
    rank: u32,
    rows: &'r [Row<'r>],
    cell: impl Fn(&'r Row<'r>) -> Option<String>,
) -> FittedColumn {
    FittedColumn::new(head, align, rank, rows.iter().map(cell))
}

fn run(row: &Row<'_>, is_terminal: bool) -> Option<String> {
    const SHOWN: usize = 8;
    let run = row.manifest.run.as_deref()?;
    let short: String = run.chars().take(if is_terminal { SHOWN } else { usize::MAX }).collect();
    Some(cell(short.as_bytes()))
}

fn failed(manifest: &Manifest) -> u64 {
    manifest.counts.errors.saturating_add(manifest.counts.timeouts)
}

/// The first task and how many more there are, or what was run.
fn task(row: &Row<'_>) -> Option<String> {
    let Manifest { tasks, command, .. } = row.manifest;
    match (tasks.as_slice(), command) {
        ([task], _) => Some(cell(task.as_bytes())),
        ([task, more @ ..], _) => Some(format!("{} +{}", cell(task.as_bytes()), more.len())),
        ([], Some(words)) => Some(command_line(words)),
        ([], None) => None,
    }
}

/// How many logs there are, how large, and how they stand.
fn sums(rows: &[Row<'_>]) -> String {
    let bytes = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.entry.size_bytes()));
    let of = |status: Status| {
        let number = rows.iter().filter(|row| row.status == status).count();
        (number > 0).then(|| format!("{number} {}", status.word()))
    };
    let others = [Status::Running, Status::Silent, Status::Unfinished].into_iter().filter_map(of);
    let others: Vec<_> = others.collect();
    let logs = count(rows.len() as u64, "log", "logs");
    let separator = if others.is_empty() { "" } else { "; " };
    format!("{logs}, {}{separator}{}.", human_bytes(bytes), others.join(", "))
}

fn next_step(rows: &[Row<'_>], quoted: &impl Fn(&str) -> String) -> String {
    let open = rows.iter().find(|row| row.manifest.counts.open > 0);
    let failed = rows.iter().find(|row| failed(row.manifest) > 0);
    match (open, failed) {
        (Some(row), _) => format!("See what is open: inspect-trace anomalies {}", quoted(&row.url)),
        (None, Some(row)) => {
            format!("See what failed: inspect-trace anomalies --all {}", quoted(&row.url))
        }
        (None, None) => {
            let newest = rows.first().map_or_else(String::new, |row| quoted(&row.url));
            format!("Read one: inspect-trace dump {newest}")
        }
    }
}

/// A log of which nothing is known.
#[derive(Serialize)]
struct Trouble {
    url: String,
    reason: String,
}

#[derive(Serialize)]
struct Listed<'r> {
    url: &'r str,
    host: &'r str,
    pid: Option<u32>,
    run: Option<&'r str>,
    is_child: bool,
    command: Option<&'r [String]>,
    tasks: &'r [String],
    started_at: f64,
    last_record_at: Option<f64>,
    shipped_at: f64,
    status: &'r str,
    records: u64,
    open: u64,
    failed: u64,
    errors: u64,
    timeouts: u64,
    cancels: u64,
    size: u64,
    plain_size: u64,
}

#[derive(Serialize)]
struct Listing<'r> {
    as_of: f64,
    url: &'r str,
    logs: Vec<Listed<'r>>,
    unusable: &'r [Trouble],
}

fn json(catalog: &Catalog, rows: &[Row<'_>], unusable: &[Trouble], as_of: f64) -> Vec<u8> {
    let logs = rows.iter().map(Listed::of).collect();
    to_json(&Listing { as_of, url: catalog.url(), logs, unusable })
}

impl<'r> Listed<'r> {
    fn of(row: &'r Row<'_>) -> Self {
        let Row { url, entry, manifest, status } = row;
        Self {
            url,
            host: &manifest.host,
            pid: manifest.pid,
            run: manifest.run.as_deref(),
            is_child: manifest.is_child,
            command: manifest.command.as_deref(),
            tasks: &manifest.tasks,
            started_at: manifest.started_at,
            last_record_at: manifest.last_record_at,
            shipped_at: manifest.shipped_at,
            status: status.word(),
            records: manifest.counts.records,
            open: manifest.counts.open,
            failed: failed(manifest),
            errors: manifest.counts.errors,
            timeouts: manifest.counts.timeouts,
            cancels: manifest.counts.cancels,
            size: entry.size_bytes(),
            plain_size: manifest.bytes,
        }
    }
}

/// One value, laid out, ended by a newline.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut out = Vec::with_capacity(text.len() * 2);
    write_value(&mut out, &text, Layout::Indented(0), Escape::NonAscii);
    out.push(b'\n');
    out
}

/// A line for each log: its manifest, with the URL of its directory in front.
fn lines(rows: &[Row<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows {
        let url = serde_json::to_string(&row.url).unwrap_or_default();
        let manifest = row.manifest.to_json();
        let text = [b"{\"url\":", url.as_bytes(), b",", manifest.get(1..).unwrap_or_default()];
        write_value(&mut out, &text.concat(), Layout::Compact, Escape::NonAscii);
        out.push(b'\n');
    }
    out
}
