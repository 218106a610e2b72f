//! The table of logs: its columns, and which of them a terminal has room for.

use std::path::Path;

use crate::analyze::spans::Span;
use crate::analyze::totals::Totals;
use crate::redact::redact_json;

use super::fitted::{FittedColumn, fitted};
use super::list::ListRow;
use super::table::{Column, TableStyle};
use super::terminal::{cell, shell_quote};
use super::time::{local_day_and_minute, local_day_and_time};
use super::tree_rows::{cut, human_duration};
use super::units::human_bytes;

/// What columns the last one, the command, has at least, before others make room for it.
const MIN_COMMAND_COLUMNS: usize = 16;

/// A column of the table.
struct ListColumn {
    head: &'static str,
    align: Column,
    /// What goes first where there is no room for all; 0 never goes.
    rank: u32,
    /// Whether it is left out if no row has anything to show in it.
    only_if_any: bool,
    cell: fn(&ListRow, &Shown) -> Option<String>,
}

/// How the cells are shown.
struct Shown {
    as_of_s: f64,
    /// Names and times are shortened: a person looks.
    is_terminal: bool,
}

const fn column(
    head: &'static str,
    align: Column,
    rank: u32,
    cell: fn(&ListRow, &Shown) -> Option<String>,
) -> ListColumn {
    ListColumn { head, align, rank, only_if_any: false, cell }
}

/// A column that is left out if no row has anything to show in it.
const fn column_if_any(
    head: &'static str,
    align: Column,
    rank: u32,
    cell: fn(&ListRow, &Shown) -> Option<String>,
) -> ListColumn {
    ListColumn { head, align, rank, only_if_any: true, cell }
}

/// The first two are those of the reference.
fn columns(is_long: bool) -> Vec<ListColumn> {
    let mut columns = vec![
        column("Time", Column::Left, 0, |row, shown| time(row.file.mtime_s, shown)),
        column("Trace File", Column::Left, 0, |row, shown| Some(name(&row.file.path, shown))),
        column("State", Column::Left, 1, |row, _| {
            row.file.alive.map(|alive| if alive { "running" } else { "ended" }.to_owned())
        }),
        column("PID", Column::Right, 8, |row, _| row.file.pid.map(|pid| pid.to_string())),
        column("Started", Column::Left, 7, |row, shown| time(row.ends.first_s?, shown)),
        column("Duration", Column::Right, 3, |row, shown| {
            row.duration_s(shown.as_of_s).map(human_duration)
        }),
        column("Size", Column::Right, 6, |row, _| Some(human_bytes(row.file.size_bytes))),
        column_if_any("Parts", Column::Right, 9, |row, _| {
            (row.file.parts > 0).then(|| row.file.parts.to_string())
        }),
    ];
    if is_long {
        columns.extend([
            column("Records", Column::Right, 4, |row, _| {
                row.totals.as_ref().map(|totals| totals.records.to_string())
            }),
            column("Open", Column::Right, 0, |row, _| {
                row.totals.as_ref().map(|totals| totals.open().to_string())
            }),
            column("Failed", Column::Right, 0, |row, _| {
                row.totals.as_ref().map(|totals| (totals.errors + totals.timeouts).to_string())
            }),
            column_if_any("Tasks", Column::Left, 5, |row, _| row.totals.as_ref().and_then(tasks)),
        ]);
    }
    columns.push(column("Command", Column::Left, 0, |row, _| command(row)));
    columns
}

/// The table, ended by a newline. On a terminal, the directory stands above it and the names are short,
/// columns without room are left out, and what can be done next stands below. Elsewhere a row has all of
/// it, and paths that can be copied.
pub(super) fn write_table(
    directory: &Path,
    rows: &[ListRow],
    as_of_s: f64,
    style: TableStyle,
) -> String {
    if rows.is_empty() {
        return "No trace files.\n".to_owned();
    }
    let is_terminal = style.width.is_some();
    let shown = Shown { as_of_s, is_terminal };
    let is_long = rows.iter().any(|row| row.totals.is_some());
    let mut table = Vec::new();
    for column in columns(is_long) {
        let cells: Vec<_> = rows.iter().map(|row| (column.cell)(row, &shown)).collect();
        if column.only_if_any && cells.iter().all(Option::is_none) {
            continue;
        }
        table.push(FittedColumn::new(column.head, column.align, column.rank, cells));
    }
    let (head, rest) = fitted(table, MIN_COMMAND_COLUMNS, style);
    let mut out = String::new();
    if is_terminal {
        let path = directory.to_string_lossy();
        out = format!("Trace logs in {}\n\n", cell(shell_quote(&path).as_bytes()));
    }
    out.push_str(&head);
    out.push_str(&rest);
    if is_terminal {
        out.push_str(&next_step(rows, is_long, &shown));
    }
    out
}

fn next_step(rows: &[ListRow], is_long: bool, shown: &Shown) -> String {
    let open = |row: &&ListRow| row.totals.as_ref().is_some_and(|totals| totals.open() > 0);
    if let Some(row) = rows.iter().find(open) {
        let name = name(&row.file.path, shown);
        return format!("\nSee what is open: inspect-trace anomalies {name}\n");
    }
    if is_long {
        return String::new();
    }
    "\nPass --long to count records, and actions that are open or failed.\n".to_owned()
}

fn time(epoch_s: f64, shown: &Shown) -> Option<String> {
    if shown.is_terminal { local_day_and_minute(epoch_s) } else { local_day_and_time(epoch_s) }
}

/// The name under which every command finds it.
fn name(path: &Path, shown: &Shown) -> String {
    let name = if shown.is_terminal { path.file_name() } else { None };
    let name = name.unwrap_or(path.as_os_str()).to_string_lossy();
    cell(shell_quote(&name).as_bytes())
}

/// What was run, or the task that is named in the log.
fn command(row: &ListRow) -> Option<String> {
    let text = match (&row.file.command, &row.ends.task) {
        (Some(words), _) => command_line(words),
        (None, Some(task)) => format!("task {}", task_text(task)),
        (None, None) => return row.file.is_child.then(|| "(child)".to_owned()),
    };
    Some(if row.file.is_child { format!("(child) {text}") } else { text })
}

/// A command line without what is the same for all: the place of the interpreter, and the interpreter
/// before a script.
pub(super) fn command_line(words: &[String]) -> String {
    let base = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let mut words: Vec<String> = words.to_vec();
    let is_python = words.first().is_some_and(|word| base(word).starts_with("python"));
    if is_python && words.get(1).is_some_and(|word| !word.starts_with('-')) {
        words.remove(0);
    }
    if let Some(first) = words.first_mut().filter(|word| word.starts_with('/')) {
        *first = base(first);
    }
    let quoted: Vec<_> = words.iter().map(|word| cell(shell_quote(word).as_bytes())).collect();
    quoted.join(" ")
}

fn task_text(task: &[u8]) -> String {
    cell(Span::json_as_text(&redact_json(task)).as_bytes())
}

/// The first tasks, and how many more there are.
fn tasks(totals: &Totals) -> Option<String> {
    const SHOWN: usize = 2;
    if totals.tasks.is_empty() {
        return None;
    }
    let mut text: Vec<_> = totals.tasks.iter().take(SHOWN).map(|task| task_text(task)).collect();
    if totals.tasks.len() > SHOWN {
        text.push(format!("+{}", totals.tasks.len() - SHOWN));
    }
    let mut text = text.join(", ");
    cut(&mut text, 40);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command line begins with what was run.
    #[test]
    fn command_lines_begin_with_the_program() {
        let line = |words: &[&str]| {
            command_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            line(&["/v/bin/python3", "/v/bin/inspect", "eval", "x.py"]),
            "inspect eval x.py"
        );
        assert_eq!(line(&["python", "app.py", "a b"]), "app.py 'a b'");
        assert_eq!(line(&["/usr/bin/python", "-m", "pytest"]), "python -m pytest");
        assert_eq!(line(&["/bin/sh"]), "sh");
        assert_eq!(line(&["python"]), "python");
        assert_eq!(line(&["python", "a\u{1b}[31m\nb.py"]), "'a\\x1b[31m ↵ b.py'");
        assert_eq!(line(&[]), "");
    }
}
