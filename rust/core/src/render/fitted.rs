//! Tables of one line a row, of which a terminal shows the columns that it has room for.

use unicode_width::UnicodeWidthStr as _;

use super::table::{Column, TableStyle, layout};
use super::tree_rows::cut;

/// A column with its cells.
pub(super) struct FittedColumn {
    align: Column,
    /// What goes first where there is no room for all; 0 never goes.
    rank: u32,
    /// The heading, and a cell for each row.
    cells: Vec<String>,
}

impl FittedColumn {
    /// Cells are safe; those with nothing to show get a dash.
    pub(super) fn new(
        head: &str,
        align: Column,
        rank: u32,
        cells: impl IntoIterator<Item = Option<String>>,
    ) -> Self {
        let text = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
        let head = std::iter::once(head.to_owned());
        Self { align, rank, cells: head.chain(cells.into_iter().map(text)).collect() }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| cell.width()).max().unwrap_or(0)
    }
}

/// The line of headings, and the rows. On a terminal columns without room are left out, so that the last
/// one has so many columns at least, and it is cut to what is left; elsewhere a row has all of it.
pub(super) fn fitted(
    mut table: Vec<FittedColumn>,
    min_last: usize,
    style: TableStyle,
) -> (String, String) {
    if let Some(width) = style.width {
        fit(&mut table, min_last, width);
    }
    let aligned: Vec<Column> = table.iter().map(|column| column.align).collect();
    let rows = table.first().map_or(0, |column| column.cells.len());
    let lines: Vec<Vec<String>> = (0..rows)
        .map(|line| table.iter().map(|column| column.cells[line].clone()).collect())
        .collect();
    // Nothing wraps: a row is a line.
    let text = layout(&aligned, &lines, TableStyle { width: None, ..style });
    let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
    (format!("{}\n", style.bold(head)), rest.to_owned())
}

fn fit(table: &mut Vec<FittedColumn>, min_last: usize, terminal: usize) {
    loop {
        let Some((last, others)) = table.split_last() else { return };
        let taken: usize = others.iter().map(|column| column.width() + 2).sum();
        let room = terminal.saturating_sub(taken);
        if room < min_last.min(last.width())
            && let Some(least) =
                (0..table.len()).filter(|&at| table[at].rank > 0).max_by_key(|&at| table[at].rank)
        {
            table.remove(least);
            continue;
        }
        if let Some(FittedColumn { cells, .. }) = table.last_mut() {
            let room = room.max(cells.first().map_or(0, String::len));
            for cell in cells {
                cut(cell, room);
            }
        }
        return;
    }
}
