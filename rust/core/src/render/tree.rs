//! Actions within actions, as text or as JSON.

use crate::Result;
use crate::analyze::spans::Shown;
use crate::analyze::tree::{MAX_HELD_BYTES, Tree, Visit};
use crate::read::{Filter, Log, ScanOptions};

use super::Report;
use super::http::write_trace_files;
use super::json::{new_line, write_number};
use super::parents::ParentsLook;
use super::report::told_by_scan;
use super::spans::{SpanNext, SpanScan};
use super::table::TableStyle;
use super::terminal::{cell, shell_quote};
use super::tree_rows::{write_folded, write_json_row, write_text_row};

/// What is shown of the tree of actions, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // each is an option of the command
pub struct TreeOptions {
    /// Only actions that have not ended, and those that they are in.
    pub running: bool,
    /// So many outermost actions that ended at most. Unfinished ones are always shown.
    pub limit: Option<u64>,
    /// Whether keys, tokens and passwords are left out.
    pub redact: bool,
    /// Whether texts are left out: only what happened when, and how it ended.
    pub no_detail: bool,
    /// JSON instead of text.
    pub json: bool,
    /// Now, seconds since the epoch: what the durations of running actions are dated to.
    pub as_of_s: f64,
    /// How the text is shown.
    pub style: TableStyle,
    /// How much memory actions that have ended may take while those around them are open: beyond it,
    /// they are only counted.
    pub max_held_bytes: usize,
    /// How the logs are read: which changes nothing in what is shown.
    pub scan: ScanOptions,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            running: false,
            limit: None,
            redact: false,
            no_detail: false,
            json: false,
            as_of_s: 0.0,
            style: TableStyle::default(),
            max_held_bytes: MAX_HELD_BYTES,
            scan: ScanOptions::default(),
        }
    }
}

/// The actions of some logs as a tree: those that `filter` selects (by one of their records, and by
/// what is known of them at last), and those that they are in. What has ended comes as soon as all
/// that it is in has; what has not, last.
///
/// Where no action of a log names the one that it is in, and the log is not known to be of this
/// package, they are nested by sample and time.
///
/// # Errors
/// The one log cannot be opened.
pub fn tree_report(
    logs: &[Log],
    filter: &Filter,
    options: &TreeOptions,
) -> Result<Box<dyn Report>> {
    // Asks for the processes, so it comes before anything is read.
    let shown = Shown {
        stacks: false,
        stalls: false,
        redact: options.redact,
        no_detail: options.no_detail,
    };
    let scan = SpanScan::new(logs, filter, options.as_of_s, shown, options.scan)?;
    Ok(Box::new(TreeReport {
        scan,
        filter: filter.clone(),
        options: *options,
        parents: ParentsLook::default(),
        tree: None,
        rows: 0,
        finished_roots: 0,
        unfinished: 0,
        left_out: 0,
        state: State::Start,
    }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Rows,
    End,
}

struct TreeReport {
    scan: SpanScan,
    filter: Filter,
    options: TreeOptions,
    parents: ParentsLook,
    /// The tree of the current log.
    tree: Option<Tree>,
    rows: u64,
    finished_roots: u64,
    unfinished: u64,
    /// Outermost actions beyond the limit.
    left_out: u64,
    state: State,
}

impl Report for TreeReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        match self.state {
            State::Start => {
                if self.parents.looks_further(self.scan.logs(), self.options.scan) {
                    return Ok(Some(out));
                }
                self.write_head(&mut out);
                self.state = State::Rows;
                return Ok(Some(out));
            }
            State::Rows => {}
            State::End => return Ok(None),
        }
        match self.scan.next()? {
            SpanNext::Records { log, records, .. } => {
                let by_time = self.parents.by_time(log);
                let options = self.options;
                let mut tree = self.tree.take().unwrap_or_else(|| {
                    self.write_log_head(&mut out, log);
                    Tree::new(&self.filter, options.running, by_time, options.max_held_bytes)
                });
                for record in records {
                    let Some(root) = tree.observe(record) else { continue };
                    if options.limit.is_some_and(|limit| self.finished_roots >= limit) {
                        self.left_out += 1;
                    } else {
                        self.finished_roots += 1;
                        self.write_root(&mut out, log, &tree, root);
                    }
                    tree.drop_root(root);
                }
                self.tree = Some(tree);
            }
            SpanNext::LogEnd { log, mut end } => {
                if let Some(mut tree) = self.tree.take() {
                    for root in tree.finish(&mut end) {
                        self.write_root(&mut out, log, &tree, root);
                        tree.drop_root(root);
                    }
                }
            }
            SpanNext::Pending => {}
            SpanNext::End => {
                self.state = State::End;
                self.write_end(&mut out);
            }
        }
        Ok(Some(out))
    }

    told_by_scan!();
}

impl TreeReport {
    fn has_several(&self) -> bool {
        self.scan.logs().len() != 1
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        if !self.options.json {
            return;
        }
        out.extend_from_slice(b"{\n  ");
        write_trace_files(out, self.has_several(), self.scan.logs());
        out.extend_from_slice(b",\n  \"as_of\": ");
        write_number(out, self.options.as_of_s);
        out.extend_from_slice(b",\n  \"actions\": [");
    }

    fn write_log_head(&self, out: &mut Vec<u8>, log: usize) {
        if self.options.json {
            return;
        }
        if log > 0 {
            out.push(b'\n');
        }
        let path = self.scan.logs()[log].path.to_string_lossy().into_owned();
        let name = cell(shell_quote(&path).as_bytes());
        let heading = self.options.style.bold(&format!("TRACE: {name}"));
        out.extend_from_slice(heading.as_bytes());
        out.push(b'\n');
        if self.parents.by_time(log) {
            out.extend_from_slice(
                b"No action of this log names the one that it is in: they are nested by sample and \
                  time,\nas far as that is certain, and marked by ~.\n",
            );
        }
        out.push(b'\n');
    }

    fn write_root(&mut self, out: &mut Vec<u8>, log: usize, tree: &Tree, root: usize) {
        let label = self.has_several().then(|| &self.scan.logs()[log]);
        let (options, filter) = (&self.options, &self.filter);
        tree.walk(root, |visit| match visit {
            Visit::Action(row) => {
                self.unfinished += u64::from(row.node.span.is_open());
                if options.json {
                    let is_first = self.rows == 0;
                    write_json_row(out, label, &row, filter, is_first, options.no_detail);
                } else {
                    write_text_row(out, &row, options.style);
                }
                self.rows += 1;
            }
            Visit::Folded(folded, depth) => {
                if !options.json {
                    write_folded(out, folded, depth);
                }
            }
        });
    }

    fn write_end(&mut self, out: &mut Vec<u8>) {
        if self.options.json {
            if self.rows > 0 {
                new_line(out, 1);
            }
            out.extend_from_slice(b"]\n}\n");
            return;
        }
        let logs = if self.has_several() { "these logs" } else { "this log" };
        if self.left_out > 0 {
            let text = format!("... and {} more that ended (--limit).\n", self.left_out);
            out.extend_from_slice(text.as_bytes());
        }
        if self.rows == 0 && self.left_out == 0 {
            let which = if self.options.running { "unfinished actions" } else { "actions" };
            let chosen = if self.filter.is_empty() { "" } else { " of those chosen" };
            out.extend_from_slice(format!("No {which}{chosen} in {logs}.\n").as_bytes());
        } else if self.unfinished > 0 && !self.options.running {
            let count = self.unfinished;
            let text = format!("\n{count} unfinished; --running shows only what leads to them.\n");
            out.extend_from_slice(text.as_bytes());
        }
    }
}
