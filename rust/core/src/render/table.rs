//! Text tables: columns aligned by the width of their characters on a terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How text is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableStyle {
    /// The width of the terminal in columns: long texts are wrapped to it. `None` for a pipe or a
    /// file: one row is one line, however long.
    pub width: Option<usize>,
    /// Whether headings are set off by ANSI codes.
    pub color: bool,
}

impl TableStyle {
    /// The text as a heading.
    pub(crate) fn bold(self, text: &str) -> String {
        if self.color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The narrowest that a wrapped column gets.
const MIN_WRAPPED_COLUMNS: usize = 20;
/// The widest that a column is padded to where nothing is wrapped: beyond it, alignment would
/// cost more than it gives.
const MAX_PADDED_COLUMNS: usize = 80;

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// As wide as its widest cell.
    Left,
    /// The same, cells flush right.
    Right,
    /// Takes what the others leave; wraps on a terminal.
    Wrapped,
}

/// Lays out rows of safe, one-line cells, two spaces between columns, each row ended by a newline.
pub(crate) fn layout(columns: &[Column], rows: &[Vec<String>], style: TableStyle) -> String {
    layout_with_notes(columns, rows, &[], style)
}

/// The same, with lines of safe text below each row, set in so that none can pass for a row.
pub(crate) fn layout_with_notes(
    columns: &[Column],
    rows: &[Vec<String>],
    notes: &[Vec<String>],
    style: TableStyle,
) -> String {
    let mut widths: Vec<usize> = (0..columns.len())
        .map(|index| rows.iter().map(|row| row[index].width()).max().unwrap_or(0))
        .collect();
    fit(columns, &mut widths, style.width);
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        write_row(&mut out, columns, &widths, row, style.width.is_some());
        for note in notes.get(index).into_iter().flatten() {
            write_note(&mut out, note, style.width);
        }
    }
    out
}

/// Appends a line below a row; several where it wraps.
fn write_note(out: &mut String, note: &str, terminal: Option<usize>) {
    let lines = match terminal {
        Some(width) => wrap(note, width.saturating_sub(NOTE_INDENT).max(MIN_WRAPPED_COLUMNS)),
        None => vec![note],
    };
    for line in lines {
        out.extend(std::iter::repeat_n(' ', NOTE_INDENT));
        out.push_str(line);
        out.push('\n');
    }
}

/// Makes the columns fit a terminal, as far as that makes sense.
pub(crate) fn fit(columns: &[Column], widths: &mut [usize], terminal: Option<usize>) {
    let Some(terminal) = terminal else {
        for (column, width) in columns.iter().zip(widths) {
            if *column == Column::Wrapped {
                *width = (*width).min(MAX_PADDED_COLUMNS);
            }
        }
        return;
    };
    let gaps = 2 * columns.len().saturating_sub(1);
    // A column that is wide without need (a program may call an action anything) wraps as well.
    let cap = (terminal / 4).max(MIN_WRAPPED_COLUMNS);
    for (column, width) in columns.iter().zip(widths.iter_mut()) {
        if *column == Column::Left {
            *width = (*width).min(cap);
        }
    }
    let fixed: usize = columns
        .iter()
        .zip(widths.iter())
        .filter(|(column, _)| **column != Column::Wrapped)
        .map(|(_, width)| *width)
        .sum();
    let room = terminal.saturating_sub(fixed + gaps).max(MIN_WRAPPED_COLUMNS);
    for (column, width) in columns.iter().zip(widths) {
        if *column == Column::Wrapped {
            *width = (*width).min(room);
        }
    }
}

/// How far the first column's further lines are set in, so that no text can start a line of its own
/// and pass for a heading or a row.
const HANGING_INDENT: usize = 2;

/// How far the lines below a row are set in.
const NOTE_INDENT: usize = 4;

/// Appends one row: several lines where cells wrap.
pub(crate) fn write_row(
    out: &mut String,
    columns: &[Column],
    widths: &[usize],
    row: &[String],
    wraps: bool,
) {
    let cells: Vec<Vec<&str>> = row
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(index, (cell, &width))| match index {
            _ if !wraps || cell.width() <= width => vec![cell.as_str()],
            0 => wrap(cell, width.saturating_sub(HANGING_INDENT)),
            _ => wrap(cell, width),
        })
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let line_start = out.len();
        for (index, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            if index > 0 {
                out.push_str("  ");
            }
            let text = cell.get(line).copied().unwrap_or("");
            let mut padding = width.saturating_sub(text.width());
            if index == 0 && line > 0 {
                let indent = padding.min(HANGING_INDENT);
                out.extend(std::iter::repeat_n(' ', indent));
                padding -= indent;
            }
            if columns[index] == Column::Right {
                out.extend(std::iter::repeat_n(' ', padding));
                out.push_str(text);
            } else {
                out.push_str(text);
                out.extend(std::iter::repeat_n(' ', padding));
            }
        }
        let end = out[line_start..].trim_end_matches(' ').len();
        out.truncate(line_start + end);
        out.push('\n');
    }
}

/// Cuts a text into lines of at most `width` columns, at spaces where there are some, else within paths and
/// URLs behind a `/`, so that their names stay whole; a character wider than that stands alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let Some(cut) = overflow(rest, width) else {
            lines.push(rest);
            return lines;
        };
        // At the last space that still fits, the one that would be the first to overflow included.
        let at_space = rest[..cut].rfind(' ').filter(|&at| at > 0);
        // Not where that would leave most of the line empty.
        let behind_slash = || rest[..cut].rfind('/').map(|at| at + 1).filter(|at| 2 * at >= cut);
        let (line, next) = if rest[cut..].starts_with(' ') {
            (&rest[..cut], &rest[cut..])
        } else {
            rest.split_at(at_space.or_else(behind_slash).unwrap_or(cut))
        };
        lines.push(line.trim_end_matches(' '));
        rest = next.trim_start_matches(' ');
        if rest.is_empty() {
            return lines;
        }
    }
}

/// The index of the first character that does not fit into `width` columns (never the first one).
fn overflow(text: &str, width: usize) -> Option<usize> {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > width && at > 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a program calls its actions, only the first line of a row starts at the margin.
    #[test]
    fn further_lines_of_a_row_are_set_in() {
        let rows = [vec!["x ".repeat(30) + "Cancelled Actions", "detail".to_owned()]];
        let style = TableStyle { width: Some(40), color: false };
        let text = layout(&[Column::Left, Column::Wrapped], &rows, style);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() > 2, "{text}");
        assert!(lines[1..].iter().all(|line| line.starts_with("  ")), "{text}");
        assert!(lines.iter().all(|line| line.width() <= 40), "{text}");
    }

    /// Paths that are too long for a line are cut between names; nothing but spaces is lost.
    #[test]
    fn long_words_are_cut_behind_slashes() {
        let text = "at get (/usr/lib/python3.11/asyncio/queues.py:158), waits";
        let lines = ["at get", "(/usr/lib/", "python3.11/asyncio/", "queues.py:158),", "waits"];
        assert_eq!(wrap(text, 20), lines);
        assert_eq!(wrap("(/a_name_that_is_very_long)", 20), ["(/a_name_that_is_ver", "y_long)"]);
    }
}
