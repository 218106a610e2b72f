//! What all reports share that show actions as spans: their records log by log, and at the end of each
//! log what is known of its processes.

use std::collections::VecDeque;

use crate::Result;
use crate::analyze::spans::{ActionRecord, LogEnd, Shown, SpanMap, Stall};
use crate::read::{Filter, Log, Progress, ScanOptions};

use super::logs::{LogScan, Next};

/// A scan for the action records of some logs.
pub(super) struct SpanScan {
    scan: LogScan<SpanMap>,
    /// Of each log, until it ends.
    ends: Vec<Option<Box<LogEnd>>>,
    log: usize,
    next: VecDeque<SpanNext>,
}

/// What comes next.
pub(super) enum SpanNext {
    /// The next records of a log, and where actions wait, if that is to be shown.
    Records { log: usize, records: Vec<ActionRecord>, stalls: Vec<Stall> },
    /// The end of a log.
    LogEnd { log: usize, end: Box<LogEnd> },
    /// Nothing yet.
    Pending,
    /// Nothing more.
    End,
}

impl SpanScan {
    pub(super) fn new(
        logs: &[Log],
        filter: &Filter,
        as_of_s: f64,
        shown: Shown,
        options: ScanOptions,
    ) -> Result<Self> {
        let ends = logs.iter().map(|log| Some(Box::new(LogEnd::before(log, as_of_s)))).collect();
        let scan = LogScan::new(logs, SpanMap::new(logs, filter, shown), options)?;
        Ok(Self { scan, ends, log: 0, next: VecDeque::new() })
    }

    pub(super) fn next(&mut self) -> Result<SpanNext> {
        if let Some(next) = self.next.pop_front() {
            return Ok(next);
        }
        match self.scan.next()? {
            Next::Output { log, output } => {
                self.end_logs_before(log);
                if let Some(Some(end)) = self.ends.get_mut(log) {
                    end.take_in(output.times);
                }
                let (records, stalls) = (output.records, output.stalls);
                self.next.push_back(SpanNext::Records { log, records, stalls });
            }
            Next::Pending => return Ok(SpanNext::Pending),
            Next::End => {
                self.end_logs_before(self.ends.len());
                self.next.push_back(SpanNext::End);
            }
        }
        Ok(self.next.pop_front().unwrap_or(SpanNext::Pending))
    }

    fn end_logs_before(&mut self, next: usize) {
        while self.log < next {
            if let Some(end) = self.ends[self.log].take() {
                self.next.push_back(SpanNext::LogEnd { log: self.log, end });
            }
            self.log += 1;
        }
    }

    pub(super) fn logs(&self) -> &[Log] {
        self.scan.logs()
    }

    /// The process that each log is named after, as far as that is known.
    pub(super) fn pids(&self) -> Vec<Option<u32>> {
        self.ends.iter().map(|end| end.as_ref().and_then(|end| end.pid())).collect()
    }

    pub(super) fn progress(&self) -> Progress {
        self.scan.progress()
    }

    pub(super) fn skipped(&self) -> Option<String> {
        self.scan.skipped()
    }

    pub(super) fn take_notes(&mut self) -> Vec<String> {
        self.scan.take_notes()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.scan.has_failed()
    }
}
