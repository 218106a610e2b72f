//! Statistics as tables for people.

use std::fmt::Write as _;
use std::path::Path;

use unicode_width::UnicodeWidthStr as _;

use crate::analyze::spans::Span;
use crate::analyze::{HttpTallies, SlowAction, Stats, Tally};
use crate::read::Log;

use super::stats::{StatsReportOptions, file_of, span_ms};
use super::table::{Column, TableStyle, layout, layout_with_notes};
use super::terminal::{cell, shell_quote};
use super::time::local_day_and_time;
use super::tree_rows::{cut, human_duration};

/// A column of numbers: its title, what it shows, and whether it is the first to go where there is no
/// room (1: the very first; 0: never).
struct Figure {
    title: &'static str,
    shows: fn(&Tally) -> String,
    goes: u8,
}

const FIGURES: [Figure; 12] = [
    Figure { title: "count", shows: |tally| tally.count().to_string(), goes: 0 },
    Figure { title: "open", shows: |tally| count(tally.open), goes: 6 },
    Figure { title: "failed", shows: |tally| percent(tally.error_rate()), goes: 0 },
    Figure { title: "errors", shows: |tally| count(tally.errors), goes: 3 },
    Figure { title: "timeouts", shows: |tally| count(tally.timeouts), goes: 2 },
    Figure { title: "cancels", shows: |tally| count(tally.cancels), goes: 1 },
    Figure { title: "total", shows: |tally| seconds(Some(tally.durations.total_s())), goes: 0 },
    Figure { title: "mean", shows: |tally| seconds(tally.durations.mean_s()), goes: 4 },
    Figure { title: "p50", shows: |tally| seconds(tally.durations.quantile_s(0.5)), goes: 0 },
    Figure { title: "p90", shows: |tally| seconds(tally.durations.quantile_s(0.9)), goes: 5 },
    Figure { title: "p99", shows: |tally| seconds(tally.durations.quantile_s(0.99)), goes: 0 },
    Figure { title: "max", shows: |tally| seconds(tally.durations.max_s()), goes: 0 },
];

/// The columns of a sparkline: at least, and at most where nothing else tells.
const MIN_SPARK: usize = "over time".len();
const MAX_SPARK: usize = 24;
/// The columns of a group's name that are worth more than another column.
const MIN_NAME: usize = 24;
const MAX_NAME: usize = 60;

fn count(count: u64) -> String {
    if count == 0 { "-".to_owned() } else { count.to_string() }
}

pub(super) fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), human_duration)
}

pub(super) fn percent(share: Option<f64>) -> String {
    match share.map(|share| share * 100.0) {
        None | Some(0.0) => "-".to_owned(),
        Some(percent) if percent < 0.1 => "<0.1%".to_owned(),
        Some(percent) if percent > 99.9 && percent < 100.0 => ">99.9%".to_owned(),
        Some(percent) => format!("{percent:.1}%"),
    }
}

/// What a group is called in a table.
pub(super) fn shown_name(name: Option<&[u8]>) -> String {
    name.map_or_else(|| "(none)".to_owned(), cell)
}

/// What a heading calls the logs.
pub(super) fn logs_name(logs: &[Log]) -> String {
    match logs {
        [log] => cell(shell_quote(&log.path.to_string_lossy()).as_bytes()),
        logs => format!("{} logs", logs.len()),
    }
}

/// What requests with an outcome are called.
pub(super) fn http_name(status: Option<u16>, retry: bool) -> String {
    match (status, retry) {
        (Some(status), _) => status.to_string(),
        (None, true) => "retries".to_owned(),
        (None, false) => "no status".to_owned(),
    }
}

/// How a table has to be laid out to fit.
struct Fitted {
    figures: Vec<usize>,
    name: usize,
    spark: usize,
    dropped: Vec<&'static str>,
}

impl Fitted {
    /// `widths` are those that the name and the figures would take.
    fn of(name: usize, widths: &[usize], terminal: Option<usize>) -> Self {
        let mut figures: Vec<usize> = (0..FIGURES.len()).collect();
        let Some(terminal) = terminal else {
            return Self { figures, name: usize::MAX, spark: MAX_SPARK, dropped: Vec::new() };
        };
        let mut dropped = Vec::new();
        let fixed = |figures: &[usize]| -> usize { figures.iter().map(|&at| widths[at] + 2).sum() };
        let least = name.min(MIN_NAME) + 2 + MIN_SPARK;
        for goes in 1..=6 {
            if fixed(&figures) + least <= terminal {
                break;
            }
            figures.retain(|&at| FIGURES[at].goes != goes);
            dropped.extend(FIGURES.iter().filter(|f| f.goes == goes).map(|f| f.title));
        }
        let mut room = terminal.saturating_sub(fixed(&figures));
        let has_spark = room >= least;
        if has_spark {
            room -= MIN_SPARK + 2;
        }
        let name = name.min(room.max(12)).min(MAX_NAME);
        let more = room.saturating_sub(name);
        let spark = if has_spark { (MIN_SPARK + more).min(MAX_SPARK.min(terminal / 4)) } else { 0 };
        Self { figures, name, spark, dropped }
    }
}

pub(super) fn write_tables(
    out: &mut Vec<u8>,
    stats: &Stats,
    logs: &[Log],
    options: &StatsReportOptions,
) {
    let style = options.style;
    let heading = style.bold(&format!("TRACE: {}", logs_name(logs)));
    let mut text = format!("{heading}\n\n");
    if stats.groups.is_empty() && stats.others.count() == 0 {
        text.push_str("No actions");
        text.push_str(if options.by.as_str() == "model" { " of models.\n" } else { ".\n" });
    } else {
        push_groups(&mut text, stats, options);
    }
    push_http(&mut text, &stats.http, style);
    push_slowest(&mut text, &stats.slowest, logs, style);
    out.extend_from_slice(text.as_bytes());
}

fn push_groups(text: &mut String, stats: &Stats, options: &StatsReportOptions) {
    let style = options.style;
    let limit = options.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut named: Vec<_> = stats
        .groups
        .iter()
        .take(limit)
        .map(|group| (shown_name(group.name.as_deref()), &group.tally))
        .collect();
    if stats.others.count() > 0 {
        named.push((format!("(beyond {} others)", options.max_groups), &stats.others));
    }
    let figures: Vec<Vec<String>> = named
        .iter()
        .map(|(_, tally)| FIGURES.iter().map(|figure| (figure.shows)(tally)).collect())
        .collect();
    let width_of = |at: usize| figures.iter().map(|row| row[at].width()).max().unwrap_or(0);
    let widths: Vec<_> =
        (0..FIGURES.len()).map(|at| width_of(at).max(FIGURES[at].title.len())).collect();
    let by = options.by.as_str();
    let name_width = named.iter().map(|(name, _)| name.width()).max().unwrap_or(0).max(by.len());
    let fitted = Fitted::of(name_width, &widths, style.width);
    let span_ms = span_ms(stats);
    let mut columns = vec![Column::Wrapped];
    columns.extend(fitted.figures.iter().map(|_| Column::Right));
    let mut head = vec![by.to_owned()];
    head.extend(fitted.figures.iter().map(|&at| FIGURES[at].title.to_owned()));
    if fitted.spark > 0 {
        columns.push(Column::Left);
        head.push("over time".to_owned());
    }
    let mut rows = vec![head];
    for ((mut name, tally), cells) in named.into_iter().zip(figures) {
        cut(&mut name, fitted.name);
        let mut row = vec![name];
        row.extend(fitted.figures.iter().map(|&at| cells[at].clone()));
        if fitted.spark > 0 {
            let counts = span_ms.map(|span_ms| tally.over_time.columns(span_ms, fitted.spark));
            row.push(sparkline(&counts.unwrap_or_default()));
        }
        rows.push(row);
    }
    let laid_out = layout(&columns, &rows, style);
    let (head, body) = laid_out.split_once('\n').unwrap_or((&laid_out, ""));
    text.push_str(&style.bold(head));
    text.push('\n');
    text.push_str(body);
    push_notes(text, stats, options, limit, &fitted.dropped);
}

fn push_notes(
    text: &mut String,
    stats: &Stats,
    options: &StatsReportOptions,
    limit: usize,
    dropped: &[&str],
) {
    if stats.groups.len() > limit {
        let _ = writeln!(text, "... and {} more (--limit)", stats.groups.len() - limit);
    }
    text.push_str(
        "\np50, p90, p99 are within 1%; failed: of those that ended, by error or timeout.\n",
    );
    #[allow(clippy::cast_precision_loss)] // Years of four digits.
    let moment = |ms: i64| local_day_and_time(ms as f64 / 1000.0);
    if let Some((since_ms, until_ms)) = span_ms(stats)
        && let (Some(since), Some(until)) = (moment(since_ms), moment(until_ms))
    {
        let _ = writeln!(text, "Over time: those that ended, from {since}\nto {until}.");
    }
    if !dropped.is_empty() {
        let dropped = dropped.join(", ");
        let _ = writeln!(text, "No room for {dropped}: see them with --json.");
    }
    let open: u64 =
        stats.groups.iter().map(|group| group.tally.open).sum::<u64>() + stats.others.open;
    if open > 0 {
        let _ = writeln!(text, "{open} open: inspect-trace anomalies shows them.");
    }
    if options.slowest == 0 && open == 0 {
        text.push_str("--slowest 10 shows the slowest.\n");
    }
}

/// A bar for each count, as high as its share of the greatest.
fn sparkline(counts: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |&count: &u64| {
        // From 1 to 8; 0 only for none.
        let height = (u128::from(count) * 8).div_ceil(u128::from(most));
        usize::try_from(height).ok().and_then(|height| BARS.get(height.wrapping_sub(1)).copied())
    };
    counts.iter().map(|count| bar(count).unwrap_or(' ')).collect()
}

fn push_http(text: &mut String, http: &HttpTallies, style: TableStyle) {
    if http.is_empty() {
        return;
    }
    let mut rows = vec![["HTTP".to_owned(), "requests".to_owned(), "failed".to_owned()].to_vec()];
    for (&(status, retry), tally) in http {
        let name = http_name(status, retry);
        // A retry is no request of its own, and always follows a failure.
        let failed = if retry { String::new() } else { count(tally.failed) };
        rows.push(vec![name, tally.count.to_string(), failed]);
    }
    // Statuses first: what has none stands first in the map.
    let without = http.keys().take_while(|(status, _)| status.is_none()).count();
    rows[1..].rotate_left(without);
    let laid_out = layout(&[Column::Left, Column::Right, Column::Right], &rows, style);
    let (head, body) = laid_out.split_once('\n').unwrap_or((&laid_out, ""));
    let _ = write!(text, "\n{}\n{body}", style.bold(head));
    if http.values().any(|tally| tally.failed > 0) {
        text.push_str("inspect-trace http --failed shows those that failed.\n");
    }
}

fn push_slowest(text: &mut String, slowest: &[SlowAction], logs: &[Log], style: TableStyle) {
    if slowest.is_empty() {
        return;
    }
    let has_several = logs.iter().map(|log| log.files.len()).sum::<usize>() > 1;
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for action in slowest {
        let (mut name, mut detail) = (cell(&action.action), cell(&action.detail));
        if let Some(width) = style.width {
            cut(&mut name, MIN_NAME - 4);
            // About two lines.
            cut(&mut detail, (2 * width).saturating_sub(60).max(40));
        }
        rows.push(vec![human_duration(action.duration_s), name, detail]);
        let mut told = Vec::new();
        let outcome = match action.event.as_str() {
            "error" => Some("failed"),
            "timeout" => Some("timed out"),
            "cancel" => Some("cancelled"),
            _ => None,
        };
        told.extend(outcome.map(str::to_owned));
        for (name, json) in
            [("task", &action.task), ("sample", &action.sample_id), ("epoch", &action.epoch)]
        {
            told.extend(
                json.as_ref()
                    .map(|json| format!("{name} {}", cell(Span::json_as_text(json).as_bytes()))),
            );
        }
        let of_file = file_of(logs, action).filter(|_| has_several).and_then(Path::file_name);
        let of_file = of_file.map(|name| format!(" of {}", cell(name.as_encoded_bytes())));
        told.push(format!("ended at byte {}{}", action.offset, of_file.unwrap_or_default()));
        notes.push(vec![told.join(", ")]);
    }
    let columns = [Column::Right, Column::Left, Column::Wrapped];
    let _ = writeln!(text, "\n{}", style.bold("Slowest Actions"));
    text.push_str(&layout_with_notes(&columns, &rows, &notes, style));
}
