//! Two runs side by side, for people.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use crate::analyze::{Change, Tally};
use crate::read::Log;

use super::diff::{DiffOptions, HttpRow};
use super::stats_table::{http_name, logs_name, percent, seconds, shown_name};
use super::table::{Column, TableStyle, layout};
use super::tree_rows::cut;

/// What is shown of both runs: its title, and how it goes where there is no room (as of statistics).
struct Figure {
    title: &'static str,
    shows: fn(&Tally) -> String,
    goes: u8,
}

const FIGURES: [Figure; 6] = [
    Figure { title: "count", shows: |tally| tally.count().to_string(), goes: 0 },
    Figure { title: "failed", shows: |tally| percent(tally.error_rate()), goes: 0 },
    Figure { title: "total", shows: |tally| seconds(Some(tally.durations.total_s())), goes: 3 },
    Figure { title: "p50", shows: |tally| seconds(tally.durations.quantile_s(0.5)), goes: 0 },
    Figure { title: "p90", shows: |tally| seconds(tally.durations.quantile_s(0.9)), goes: 1 },
    Figure { title: "p99", shows: |tally| seconds(tally.durations.quantile_s(0.99)), goes: 2 },
];

/// The columns of a group's name: where there are more of them, and where there are not.
const MAX_NAME: usize = 60;
const MIN_NAME: usize = 28;

pub(super) fn write_tables(
    out: &mut Vec<u8>,
    runs: &[Vec<Log>; 2],
    changed: &[Change],
    others: &[Tally; 2],
    http: &[HttpRow],
    options: &DiffOptions,
) {
    let style = options.style;
    let mut text = String::new();
    for (name, logs) in ["A", "B"].into_iter().zip(runs) {
        let _ = writeln!(text, "{}", style.bold(&format!("{name}: {}", logs_name(logs))));
    }
    text.push('\n');
    if changed.is_empty() {
        text.push_str("No actions in either.\n");
    } else {
        push_changes(&mut text, changed, others, options);
    }
    push_http(&mut text, http, style);
    out.extend_from_slice(text.as_bytes());
}

/// What changed is shown as both, what did not as one.
fn both(pairs: &[[String; 2]]) -> Vec<String> {
    let width = |side: usize| pairs.iter().map(|pair| pair[side].width()).max().unwrap_or(0);
    let (left, right) = (width(0), width(1));
    let shown = |[before, after]: &[String; 2]| {
        if before == after {
            format!("{after:>right$}")
        } else {
            format!("{before:>left$} → {after:>right$}")
        }
    };
    pairs.iter().map(shown).collect()
}

fn push_changes(text: &mut String, changed: &[Change], others: &[Tally; 2], options: &DiffOptions) {
    let style = options.style;
    let limit = options.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut rows: Vec<_> = changed
        .iter()
        .take(limit)
        .map(|change| {
            let how = match (&change.before, &change.after) {
                (None, _) => "new".to_owned(),
                (_, None) => "gone".to_owned(),
                _ => percent(Some(change.share)),
            };
            let name = shown_name(change.name.as_deref());
            (name, how, [change.before.as_ref(), change.after.as_ref()])
        })
        .collect();
    if others.iter().any(|tally| tally.count() > 0) {
        let name = format!("(beyond {} others)", options.max_groups);
        rows.push((name, "-".to_owned(), [Some(&others[0]), Some(&others[1])]));
    }
    let figures = FIGURES.map(|figure| {
        let shows = |tally: Option<&Tally>| tally.map_or_else(|| "-".to_owned(), figure.shows);
        both(&rows.iter().map(|(_, _, tallies)| tallies.map(shows)).collect::<Vec<_>>())
    });
    let by = options.by.as_str();
    let name = rows.iter().map(|(name, ..)| name.width()).max().unwrap_or(0).max(by.len());
    let (shown, name) = fit(&figures, name, style.width);
    let mut columns = vec![Column::Wrapped, Column::Right];
    columns.extend(shown.iter().map(|_| Column::Right));
    let mut head = vec![by.to_owned(), "change".to_owned()];
    head.extend(shown.iter().map(|&at| FIGURES[at].title.to_owned()));
    let mut table = vec![head];
    for (row, (mut group, how, _)) in rows.into_iter().enumerate() {
        cut(&mut group, name);
        let mut cells = vec![group, how];
        cells.extend(shown.iter().map(|&at| figures[at][row].clone()));
        table.push(cells);
    }
    push_table(text, &columns, &table, style);
    if changed.len() > limit {
        let _ = writeln!(text, "... and {} more (--limit)", changed.len() - limit);
    }
    text.push_str(
        "\nchange: what there is more or less of in B, as a share of all actions, of their\n\
         time or of the failed ones, whichever is most. p50, p90, p99 are within 1%.\n",
    );
    let dropped: Vec<_> =
        (0..FIGURES.len()).filter(|at| !shown.contains(at)).map(|at| FIGURES[at].title).collect();
    if !dropped.is_empty() {
        let _ = writeln!(text, "No room for {}: see them with --json.", dropped.join(", "));
    }
}

/// The figures that there is room for, and the columns of the name.
fn fit(figures: &[Vec<String>; 6], name: usize, terminal: Option<usize>) -> (Vec<usize>, usize) {
    let mut shown: Vec<usize> = (0..FIGURES.len()).collect();
    let Some(terminal) = terminal else { return (shown, usize::MAX) };
    let width = |at: &usize| {
        let cells = figures[*at].iter().map(|cell| cell.width());
        cells.max().unwrap_or(0).max(FIGURES[*at].title.len()) + 2
    };
    let change = "  change".len();
    let rest =
        |shown: &[usize]| terminal.saturating_sub(change + shown.iter().map(width).sum::<usize>());
    for goes in 1..=3 {
        if rest(&shown) >= name.min(MIN_NAME) {
            break;
        }
        shown.retain(|&at| FIGURES[at].goes != goes);
    }
    let name = name.min(MAX_NAME).min(rest(&shown).max(12));
    (shown, name)
}

fn push_http(text: &mut String, http: &[HttpRow], style: TableStyle) {
    if http.is_empty() {
        return;
    }
    let shows = |count: u64| if count == 0 { "-".to_owned() } else { count.to_string() };
    let requests: Vec<_> =
        http.iter().map(|(_, tallies)| tallies.map(|tally| shows(tally.count))).collect();
    let mut rows = vec![vec!["HTTP".to_owned(), "requests".to_owned()]];
    let names = http.iter().map(|&((status, retry), _)| http_name(status, retry));
    rows.extend(names.zip(both(&requests)).map(|(name, requests)| vec![name, requests]));
    text.push('\n');
    push_table(text, &[Column::Left, Column::Right], &rows, style);
}

fn push_table(text: &mut String, columns: &[Column], rows: &[Vec<String>], style: TableStyle) {
    let laid_out = layout(columns, rows, style);
    let (head, body) = laid_out.split_once('\n').unwrap_or((&laid_out, ""));
    let _ = write!(text, "{}\n{body}", style.bold(head));
}
