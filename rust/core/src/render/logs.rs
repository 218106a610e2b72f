//! What all reports share that read logs: the scan, and the notes on what was skipped.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::read::{BlockMap, Log, Progress, Scan, ScanOptions, ScanStep, Skipped};

/// How long a report waits for its next chunk before it gives an empty one.
const WAIT: Duration = Duration::from_millis(50);

/// A scan over some logs, for one report.
pub(super) struct LogScan<M: BlockMap> {
    logs: Vec<Log>,
    /// The files of all logs.
    files: Vec<PathBuf>,
    scan: Scan<M>,
    /// The current file, and what was skipped in it.
    file: usize,
    skipped: Skipped,
    /// What was skipped, in words, where there is but one file.
    summary: Option<String>,
    notes: Vec<String>,
    has_failed: bool,
    /// The logs with a file that could not be read, or not to its end.
    failed: Vec<usize>,
}

/// What comes next.
pub(super) enum Next<O> {
    /// What some blocks of a log gave.
    Output { log: usize, output: O },
    /// Nothing yet.
    Pending,
    /// Nothing more.
    End,
}

impl<M: BlockMap> LogScan<M> {
    pub(super) fn new(logs: &[Log], map: M, options: ScanOptions) -> Result<Self> {
        let files = logs.iter().flat_map(|log| &log.files);
        Ok(Self {
            logs: logs.to_vec(),
            files: files.map(|file| file.path().to_owned()).collect(),
            file: 0,
            scan: Scan::new(logs, map, options)?,
            skipped: Skipped::default(),
            summary: None,
            notes: Vec::new(),
            has_failed: false,
            failed: Vec::new(),
        })
    }

    /// What comes next. One file of several that cannot be read is told of in the notes.
    pub(super) fn next(&mut self) -> Result<Next<M::Output>> {
        let part = match self.scan.next(WAIT)? {
            ScanStep::Part(part) => *part,
            ScanStep::Pending => return Ok(Next::Pending),
            ScanStep::End => return Ok(Next::End),
        };
        self.file = part.file;
        self.skipped.merge(&part.skipped);
        if let Some(error) = part.error {
            if self.files.len() == 1 {
                return Err(error);
            }
            self.has_failed = true;
            self.failed.push(part.log);
            self.notes.push(error.to_string());
        }
        if part.ends_file {
            self.stop();
        }
        Ok(Next::Output { log: part.log, output: part.output })
    }

    /// The end of the file, or all that is read of it: what was skipped is told.
    pub(super) fn stop(&mut self) {
        let summary = std::mem::take(&mut self.skipped).summary(&self.files[self.file]);
        if self.files.len() == 1 {
            self.summary = self.summary.take().or(summary);
        } else {
            self.notes.extend(summary);
        }
    }

    pub(super) fn recycle(&mut self, output: M::Output) {
        self.scan.recycle(output);
    }

    pub(super) fn logs(&self) -> &[Log] {
        &self.logs
    }

    pub(super) fn progress(&self) -> Progress {
        self.scan.progress()
    }

    pub(super) fn skipped(&self) -> Option<String> {
        self.summary.clone()
    }

    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Whether all of a log could be read so far.
    pub(super) fn is_whole(&self, log: usize) -> bool {
        !self.failed.contains(&log)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }
}
