//! A scan that counts the actions of some logs, for all reports that do.

use crate::Result;
use crate::analyze::spans::LogEnd;
use crate::analyze::stats::StatsMap;
use crate::analyze::{Partial as _, Stats, StatsOptions, StatsPartial};
use crate::read::{Log, Progress, ScanOptions};

use super::logs::{LogScan, Next};

pub(super) struct StatsScan {
    scan: LogScan<StatsMap>,
    /// Of each log, what is known of its processes.
    ends: Vec<LogEnd>,
    log: usize,
    partial: StatsPartial,
}

impl StatsScan {
    pub(super) fn new(
        logs: &[Log],
        options: &StatsOptions,
        as_of_s: f64,
        scan: ScanOptions,
    ) -> Result<Self> {
        let logs: Vec<_> = logs.iter().map(|log| log.as_far_as_wanted(&options.filter)).collect();
        // Asks for the processes, so it comes before anything is read.
        let ends = logs.iter().map(|log| LogEnd::before(log, as_of_s)).collect();
        let scan = LogScan::new(&logs, StatsMap::new(&logs, options), scan)?;
        Ok(Self { scan, ends, log: 0, partial: StatsPartial::at_start(options) })
    }

    /// Reads on a bit; false at the end.
    pub(super) fn step(&mut self) -> Result<bool> {
        match self.scan.next()? {
            Next::Output { log, output } => {
                self.end_logs_before(log);
                if let Some(later) = output {
                    self.partial.merge(later);
                }
            }
            Next::Pending => {}
            Next::End => {
                self.end_logs_before(self.ends.len());
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end_logs_before(&mut self, next: usize) {
        for end in &mut self.ends[self.log..next] {
            self.partial.end_log(end);
        }
        self.log = next;
    }

    /// What was counted, once all is read.
    pub(super) fn take_stats(&mut self, options: &StatsOptions) -> Stats {
        std::mem::replace(&mut self.partial, StatsPartial::at_start(options)).finish()
    }

    pub(super) fn logs(&self) -> &[Log] {
        self.scan.logs()
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
