//! A live view as one screen of a plain terminal.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use crate::analyze::{Action, LiveAction, LiveCounter, LiveSnapshot};

use super::live::{CounterCells, counter_cells, live_cells};
use super::place::place_lines;
use super::table::TableStyle;
use super::terminal::{cell, shell_quote};
use super::time::local_clock;
use super::tree_rows::cut;

/// The kinds of actions that are counted on the screen.
const MAX_COUNTERS: usize = 6;
/// Where nothing tells how wide the terminal is.
const DEFAULT_COLUMNS: usize = 80;
/// What is smaller shows the beginning of a screen of so many lines.
const MIN_LINES: usize = 6;

/// A screen of at most `lines` lines, each no wider than the style says and ended by a newline: open
/// actions, the longest first, those of processes that have ended last; as far as there is room, where
/// they are; and counters. What does not fit is counted.
pub fn live_frame(snapshot: &LiveSnapshot, lines: usize, style: TableStyle) -> String {
    let width = style.width.unwrap_or(DEFAULT_COLUMNS);
    let (fits, lines) = (lines, lines.max(MIN_LINES));
    let mut head = head(snapshot, width);
    let counters = counter_lines(snapshot, lines / 3);
    let room = lines.saturating_sub(head.len() + counters.len());
    head.extend(open_lines(snapshot, room, width));
    head.extend(counters);
    head.truncate(fits);
    let mut out = String::new();
    for Line { mut text, bold } in head {
        cut(&mut text, width);
        let text = text.trim_end();
        out.push_str(&if bold { style.bold(text) } else { text.to_owned() });
        out.push('\n');
    }
    out
}

struct Line {
    text: String,
    bold: bool,
}

fn plain(text: impl Into<String>) -> Line {
    Line { text: text.into(), bold: false }
}

fn heading(text: impl Into<String>) -> Line {
    Line { text: text.into(), bold: true }
}

/// Which logs these are, and how many actions are open.
fn head(snapshot: &LiveSnapshot, width: usize) -> Vec<Line> {
    let clock = local_clock(snapshot.as_of_s).unwrap_or_default();
    let mut state = format!("{clock}  {} running", snapshot.running);
    if snapshot.interrupted > 0 {
        let _ = write!(state, ", {} interrupted", snapshot.interrupted);
    }
    let title = match &snapshot.logs[..] {
        [log] => {
            if let Some(pid) = log.process.pid {
                let ended = log.ended_at_s.and_then(local_clock);
                let ended = ended.map(|clock| format!(" ended at {clock}")).unwrap_or_default();
                let _ = write!(state, ", process {pid}{ended}");
            }
            let path = cell(shell_quote(&log.path.to_string_lossy()).as_bytes());
            cut_front(path, width.saturating_sub("TRACE: ".len()))
        }
        logs => {
            let live = logs.iter().filter(|log| log.is_written == Some(true)).count();
            let _ = write!(state, ", {live} of which are written");
            format!("{} logs", logs.len())
        }
    };
    vec![heading(format!("TRACE: {title}")), plain(state)]
}

/// Cuts a path to some columns: its end tells more than its beginning.
fn cut_front(path: String, columns: usize) -> String {
    if path.width() <= columns {
        return path;
    }
    let fits = |at: &usize| path[*at..].width() < columns;
    let starts = path.char_indices().map(|(at, _)| at);
    let start = starts.into_iter().find(fits).unwrap_or(path.len());
    format!("…{}", &path[start..])
}

/// A row, and what may stand below it.
struct Row {
    text: String,
    notes: Vec<String>,
}

fn open_lines(snapshot: &LiveSnapshot, room: usize, width: usize) -> Vec<Line> {
    if snapshot.open.is_empty() {
        let nothing = if snapshot.logs.is_empty() { "No logs yet." } else { "No open actions." };
        return vec![plain(""), plain(nothing)];
    }
    let (interrupted, running): (Vec<_>, Vec<_>) =
        snapshot.open.iter().partition(|open| open.interrupted);
    let sections = [("Running Actions", running), ("Interrupted Actions", interrupted)];
    let used = sections.iter().filter(|(_, actions)| !actions.is_empty()).count();
    // Each section has an empty line and a heading, and what does not fit is told in one.
    let mut room = room.saturating_sub(2 * used + 1).max(1);
    let mut shown = Vec::new();
    for (title, actions) in &sections {
        let rows = rows(snapshot, &actions[..actions.len().min(room)], width);
        room -= rows.len();
        shown.push((*title, rows));
    }
    let mut lines = Vec::new();
    let mut shown_rows = 0;
    for (title, rows) in shown {
        if rows.is_empty() {
            continue;
        }
        shown_rows += rows.len();
        lines.extend([plain(""), heading(title)]);
        for Row { text, notes } in rows {
            lines.push(plain(text));
            if notes.len() <= room {
                room -= notes.len();
                lines.extend(notes.into_iter().map(|note| plain(format!("    {note}"))));
            }
        }
    }
    let all = snapshot.running + snapshot.interrupted;
    if all > shown_rows {
        lines.push(plain(format!("... and {} more", all - shown_rows)));
    }
    lines
}

fn rows(snapshot: &LiveSnapshot, actions: &[&LiveAction], width: usize) -> Vec<Row> {
    let cells: Vec<_> = actions.iter().map(|open| live_cells(snapshot, open)).collect();
    let several = snapshot.logs.len() > 1;
    let widest = (width / 4).max(12);
    let fit = |text: &str| {
        let mut text = text.to_owned();
        cut(&mut text, widest);
        text
    };
    let column = |of: &dyn Fn(usize) -> String| {
        let texts: Vec<_> = (0..cells.len()).map(|index| fit(&of(index))).collect();
        let columns = texts.iter().map(|text| text.width()).max().unwrap_or(0);
        let pad = |text: String| format!("{text}{}", " ".repeat(columns - text.width()));
        texts.into_iter().map(pad).collect::<Vec<_>>()
    };
    let action = column(&|index| cells[index].action.clone());
    let log = column(&|index| cells[index].log.clone());
    let row = |(index, open): (usize, &&LiveAction)| {
        let around = open.enclosing.iter().map(AsRef::<Action>::as_ref);
        let cells = &cells[index];
        let log = if several { format!("{}  ", log[index]) } else { String::new() };
        // What is empty at the margin would be no row.
        let action = if action[index].trim().is_empty() { "-" } else { &action[index] };
        Row {
            text: format!("{log}{action}  {:>8}  {}", cells.age, cells.detail),
            notes: place_lines(&open.action, around),
        }
    };
    actions.iter().enumerate().map(row).collect()
}

fn counter_lines(snapshot: &LiveSnapshot, room: usize) -> Vec<Line> {
    // An empty line and the names of the columns, and two rows at least.
    let Some(room) = room.checked_sub(2).filter(|room| *room >= 2) else { return Vec::new() };
    let mut counters: Vec<&LiveCounter> = snapshot.counters.iter().collect();
    if counters.is_empty() {
        return Vec::new();
    }
    let ended = |counter: &LiveCounter| counter.done + counter.failed + counter.cancelled;
    counters.sort_by_key(|counter| std::cmp::Reverse((counter.open, ended(counter))));
    let all = counters.len();
    let fits = room.min(MAX_COUNTERS);
    counters.truncate(if all > fits { fits - 1 } else { fits });
    let names = CounterCells {
        action: "Action".to_owned(),
        open: "open".to_owned(),
        done: "done".to_owned(),
        failed: "failed".to_owned(),
        cancelled: "cancelled".to_owned(),
        rate: "per s".to_owned(),
        p50: "p50".to_owned(),
        p99: "p99".to_owned(),
    };
    let mut rows = vec![names];
    rows.extend(counters.iter().map(|counter| counter_cells(counter)));
    let mut lines = vec![plain("")];
    let columns = rows.iter().map(|row| row.action.width()).max().unwrap_or(0).min(24);
    for (index, row) in rows.into_iter().enumerate() {
        let CounterCells { mut action, open, done, failed, cancelled, rate, p50, p99 } = row;
        cut(&mut action, columns);
        let padding = " ".repeat(columns.saturating_sub(action.width()));
        let text = format!(
            "{action}{padding} {open:>6} {done:>8} {failed:>6} {cancelled:>9} {rate:>6} {p50:>7} {p99:>7}"
        );
        lines.push(Line { text, bold: index == 0 });
    }
    if all > fits {
        lines.push(plain(format!("... and {} more kinds", all - (fits - 1))));
    }
    lines
}
