//! Actions over time as a page for a browser: one file, which loads nothing else.
//!
//! Memory: the open actions, and those that get onto the page: of more than fit, the ones that tell
//! most.

mod data;
mod kept;
mod page;

use crate::Result;
use crate::analyze::nesting::{Nested, Nesting};
use crate::analyze::spans::{LogEnd, Shown};
use crate::read::{Filter, Log, Progress, ScanOptions};

use super::Report;
use super::parents::ParentsLook;
use super::spans::{SpanNext, SpanScan};
use data::Data;
use kept::{Action, Kept, LogTold};

/// So many actions are on a page, unless another number is asked for.
pub const DEFAULT_TIMELINE_LIMIT: u64 = 200_000;

/// How much memory the actions on a page may take: beyond it, fewer are on it than were asked for.
pub const MAX_TIMELINE_BYTES: usize = 256 << 20;

/// What is on a timeline, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimelineOptions {
    /// So many actions at most. Unfinished ones come first, then those that did not end well and what
    /// leads to them, then the longest. What is left out is counted.
    pub limit: u64,
    /// Whether keys, tokens and passwords are left out.
    pub redact: bool,
    /// Whether what was said is left out: details, errors and stacks.
    pub no_detail: bool,
    /// Now, seconds since the epoch: until when running actions last.
    pub as_of_s: f64,
    /// How much memory the actions on the page may take.
    pub max_bytes: usize,
    /// How the logs are read: which changes nothing in what is shown.
    pub scan: ScanOptions,
}

impl Default for TimelineOptions {
    fn default() -> Self {
        Self {
            limit: DEFAULT_TIMELINE_LIMIT,
            redact: false,
            no_detail: false,
            as_of_s: 0.0,
            max_bytes: MAX_TIMELINE_BYTES,
            scan: ScanOptions::default(),
        }
    }
}

/// The actions of some logs that `filter` selects, and those that they are in, as an HTML page.
///
/// # Errors
/// The one log cannot be opened.
pub fn timeline_report(
    logs: &[Log],
    filter: &Filter,
    options: &TimelineOptions,
) -> Result<Box<dyn Report>> {
    let &TimelineOptions { redact, no_detail, .. } = options;
    // Where an action waits is said, too.
    let shown = Shown { stacks: !no_detail, stalls: !no_detail, redact, no_detail };
    // Asks for the processes, so it comes before anything is read.
    let scan = SpanScan::new(logs, filter, options.as_of_s, shown, options.scan)?;
    let pids = scan.pids();
    Ok(Box::new(TimelineReport {
        scan,
        pids,
        filter: filter.clone(),
        options: *options,
        parents: ParentsLook::default(),
        nesting: None,
        next_number: 0,
        kept: Kept::new(options.limit, options.max_bytes),
        logs: Vec::new(),
        notes: Vec::new(),
        state: State::Look,
    }))
}

enum State {
    Look,
    Read,
    Write(Box<Data>),
    End,
}

struct TimelineReport {
    scan: SpanScan,
    pids: Vec<Option<u32>>,
    filter: Filter,
    options: TimelineOptions,
    parents: ParentsLook,
    /// The open actions of the current log.
    nesting: Option<Nesting>,
    next_number: usize,
    kept: Kept,
    logs: Vec<LogTold>,
    notes: Vec<String>,
    state: State,
}

impl Report for TimelineReport {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        match &mut self.state {
            State::Look => {
                if !self.parents.looks_further(self.scan.logs(), self.options.scan) {
                    self.state = State::Read;
                }
            }
            State::Read => self.read()?,
            State::Write(data) => {
                if !data.write_next(&mut out) {
                    self.state = State::End;
                }
            }
            State::End => return Ok(None),
        }
        Ok(Some(out))
    }

    fn streams(&self) -> bool {
        false
    }

    fn progress(&self) -> Option<Progress> {
        Some(self.scan.progress())
    }

    fn take_notes(&mut self) -> Vec<String> {
        let mut notes = self.scan.take_notes();
        notes.append(&mut self.notes);
        notes
    }

    fn has_failed(&self) -> bool {
        self.scan.has_failed()
    }

    fn skipped(&self) -> Option<String> {
        self.scan.skipped()
    }
}

impl TimelineReport {
    fn read(&mut self) -> Result<()> {
        match self.scan.next()? {
            SpanNext::Records { log, records, stalls } => {
                let (filter, by_time) = (&self.filter, self.parents.by_time(log));
                let next_number = self.next_number;
                let mut nesting = self
                    .nesting
                    .take()
                    .unwrap_or_else(|| Nesting::new(filter, by_time, next_number));
                let mut stalls = stalls.into_iter().peekable();
                for (at, record) in records.into_iter().enumerate() {
                    while let Some(stall) = stalls.next_if(|stall| stall.at <= at) {
                        nesting.observe_stall(stall);
                    }
                    if let Some(ended) = nesting.observe(record) {
                        self.keep(log, ended);
                    }
                }
                stalls.for_each(|stall| nesting.observe_stall(stall));
                self.nesting = Some(nesting);
            }
            SpanNext::LogEnd { log, mut end } => self.end_log(log, &mut end),
            SpanNext::Pending => {}
            SpanNext::End => {
                let kept = std::mem::take(&mut self.kept);
                self.notes.extend(kept.left_out().note());
                let logs = std::mem::take(&mut self.logs);
                let is_filtered = !self.filter.is_empty();
                let data = Data::new(kept, logs, is_filtered, self.options.as_of_s);
                self.state = State::Write(Box::new(data));
            }
        }
        Ok(())
    }

    fn keep(&mut self, log: usize, ended: Nested) {
        if ended.wanted || ended.leads.to_wanted {
            self.kept.add(Box::new(Action::of(ended, log, self.pids[log])));
        }
    }

    fn end_log(&mut self, log: usize, end: &mut LogEnd) {
        if let Some(mut nesting) = self.nesting.take() {
            for ended in nesting.finish(end) {
                self.keep(log, ended);
            }
            self.next_number = nesting.next_number();
        }
        self.logs.push(LogTold {
            path: self.scan.logs()[log].path.as_os_str().as_encoded_bytes().into(),
            pid: self.pids[log],
            is_alive: end.is_alive(),
            by_time: self.parents.by_time(log),
        });
    }
}
