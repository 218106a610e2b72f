//! All that is wrong with logs, in order, in bounded memory, found on all cores.
//!
//! What is found does not depend on how a log is parted. Each part tells what is wrong in its own
//! lines, with line numbers of its own; here they are shifted, runs of NUL bytes that a border parted
//! are joined, and damage to a compressed file, which is noticed before the text in front of it has
//! been looked at, waits for that.

use std::path::Path;
use std::time::Duration;

use crate::store::{self, LogFile};
use crate::{Error, Result};

use super::{
    Block, BlockMap, LineCursor, Log, Part, Problem, ProblemCounts, ProblemKind, Progress, Scan,
    ScanOptions, ScanStep, Skipped,
};

/// The problems of one part are all in memory at a time, and those of a line take several times as
/// much as the line, if that is short.
const BLOCK_BYTES: u64 = 256 << 10;

/// What is known of a log once all of it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogTotals {
    /// Records that readers get.
    pub records: u64,
    /// Lines, the last one also without a newline.
    pub lines: u64,
    /// Problems by kind.
    pub counts: ProblemCounts,
}

/// What some consecutive blocks of a log gave.
#[derive(Debug)]
pub struct Verified {
    /// Which of the logs.
    pub log: usize,
    /// The next problems, in the order of the log.
    pub problems: Vec<Problem>,
    /// Where this was the last of the log.
    pub end: Option<LogTotals>,
    /// Why the log could not be read on, at its end.
    pub error: Option<Error>,
}

/// What [`VerifyScan::next`] gives.
#[derive(Debug)]
pub enum VerifyStep {
    /// The next problems.
    Verified(Verified),
    /// Nothing yet.
    Pending,
    /// That was all.
    End,
}

/// Looks for all that is wrong with some logs.
pub struct VerifyScan {
    scan: Scan<VerifyMap>,
    logs: Vec<Log>,
    /// Of each log, whether it was being written when this began.
    live: Vec<bool>,
    state: LogState,
}

impl VerifyScan {
    /// Begins to verify the logs at `paths`, in this order. The parts of a log that was rotated are
    /// verified one by one: see [`Self::logs`].
    ///
    /// # Errors
    /// There is just one log, and it cannot be opened.
    pub fn new(paths: &[impl AsRef<Path>]) -> Result<Self> {
        Self::with_options(paths, Self::options())
    }

    /// How logs are read by default.
    pub fn options() -> ScanOptions {
        ScanOptions { block_bytes: BLOCK_BYTES, ..ScanOptions::default() }
    }

    /// The same, reading in another way.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_options(paths: &[impl AsRef<Path>], options: ScanOptions) -> Result<Self> {
        Self::of_logs(&Log::all_with_parts(paths), options)
    }

    /// The same, of logs that have been looked for.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_logs(logs: &[Log], options: ScanOptions) -> Result<Self> {
        let one_file = |file: &LogFile| Log::of_files(file.path(), vec![file.clone()]);
        let logs: Vec<_> = logs.iter().flat_map(|log| log.files.iter().map(one_file)).collect();
        // Before anything is read: a writer that goes away while we read finishes its line.
        let live = |log: &Log| !log.is_remote() && store::liveness(&log.path).alive == Some(true);
        let live = logs.iter().map(live).collect();
        let scan = Scan::new(&logs, VerifyMap, options)?;
        Ok(Self { scan, logs, live, state: LogState::default() })
    }

    /// What is verified, each file by itself: what [`Verified::log`] counts.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The next problems, waiting for them no longer than `wait`.
    ///
    /// # Errors
    /// As [`Scan::next`].
    pub fn next(&mut self, wait: Duration) -> Result<VerifyStep> {
        let part = match self.scan.next(wait)? {
            ScanStep::Part(part) => *part,
            ScanStep::Pending => return Ok(VerifyStep::Pending),
            ScanStep::End => return Ok(VerifyStep::End),
        };
        let Part { log, output, skipped, last, error, .. } = part;
        let is_live = self.live[log];
        let mut problems = Vec::with_capacity(skipped.problems.len());
        self.state.take(&output, skipped, last, is_live, &mut problems);
        let end = last.then(|| std::mem::take(&mut self.state).totals());
        Ok(VerifyStep::Verified(Verified { log, problems, end, error }))
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.scan.progress()
    }
}

/// Finds what is wrong with the lines of a block.
struct VerifyMap;

/// What some blocks have, beside problems.
#[derive(Debug, Default)]
struct Seen {
    records: u64,
    /// Where the last block ends.
    end: u64,
    /// Whether it ends without a newline.
    open: Option<bool>,
}

impl BlockMap for VerifyMap {
    type Scratch = LineCursor;
    type Output = Seen;

    fn map(
        &self,
        _log: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        seen: &mut Seen,
    ) {
        let known = skipped.problems.len();
        let lines_before = skipped.lines;
        skipped.lists_lines = true;
        while cursor.next(block, skipped).is_some() {
            seen.records += 1;
        }
        let lines_known = skipped.problems.len();
        list_nul_runs(block, lines_before + 1, &mut skipped.problems);
        if skipped.problems.len() > lines_known {
            skipped.problems[known..].sort_by_key(|problem| problem.byte);
        }
        // Where no line begins, an overlong one may go on that was told of before.
        if let Some(&byte) = block.bytes.last() {
            seen.end = block.offset + block.bytes.len() as u64;
            seen.open = Some(byte != b'\n');
        }
    }
}

/// Lists the runs of NUL bytes in a block, whose first line is `line`.
fn list_nul_runs(block: &Block, mut line: u64, problems: &mut Vec<Problem>) {
    let bytes = &block.bytes[..];
    let mut at = 0;
    while let Some(start) = memchr::memchr(0, &bytes[at..]).map(|nul| at + nul) {
        line += memchr::memchr_iter(b'\n', &bytes[at..start]).count() as u64;
        let length = bytes[start..].iter().take_while(|&&byte| byte == 0).count();
        problems.push(Problem {
            line: Some(line),
            byte: block.offset + start as u64,
            length: length as u64,
            kind: ProblemKind::NulBytes,
        });
        at = start + length;
    }
}

/// What is known of the log that is being read.
#[derive(Debug, Default)]
struct LogState {
    records: u64,
    /// Newlines so far.
    newlines: u64,
    /// Whether there is text behind the last newline.
    open: bool,
    counts: ProblemCounts,
    /// Damage behind the text that was looked at.
    damage: Vec<Problem>,
    /// A run of NUL bytes that may go on, or a line that is cut off and may be the last; and the damage
    /// within and right behind it.
    held: Vec<Problem>,
}

impl LogState {
    /// Takes what the next part gave, and appends the problems whose turn it is.
    fn take(
        &mut self,
        seen: &Seen,
        skipped: Skipped,
        last: bool,
        is_live: bool,
        out: &mut Vec<Problem>,
    ) {
        let (damage, mut problems): (Vec<_>, Vec<_>) =
            skipped.problems.into_iter().partition(is_damage);
        for problem in &mut problems {
            problem.line = problem.line.map(|line| line + self.newlines);
        }
        self.records += seen.records;
        self.newlines += skipped.lines;
        self.open = seen.open.unwrap_or(self.open);
        // An overlong line is no part of a block.
        for problem in &problems {
            if let ProblemKind::TooLong { newline } = problem.kind
                && problem.byte >= seen.end
            {
                self.open = !newline;
            }
        }
        self.damage.extend(damage);
        if !self.damage.is_empty() {
            let due = |damage: &Problem| last || damage.byte <= seen.end;
            let (now, later) = std::mem::take(&mut self.damage).into_iter().partition(due);
            self.damage = later;
            problems.extend::<Vec<_>>(now);
            // What comes behind missing text is behind what tells that it is missing.
            problems.sort_by_key(|problem| (problem.byte, !is_damage(problem)));
        }
        for problem in problems {
            self.hold(problem, out);
        }
        if last {
            self.release(out);
            let is_plain = !self.counts.has_damage() && !out.iter().any(is_damage);
            if let Some(problem) = out.last_mut()
                && problem.kind == ProblemKind::CutOff
                && is_live
                && is_plain
            {
                problem.kind = ProblemKind::Unfinished;
            }
        }
        for problem in out {
            self.counts.add(problem.kind);
        }
    }

    /// Appends a problem, or holds it back.
    fn hold(&mut self, problem: Problem, out: &mut Vec<Problem>) {
        let is_nuls = problem.kind == ProblemKind::NulBytes;
        if let Some(held) = self.held.first_mut() {
            if is_nuls && held.kind == problem.kind && held.end() == problem.byte {
                held.length += problem.length;
                return;
            }
            if is_damage(&problem) && problem.byte <= held.end() {
                self.held.push(problem);
                return;
            }
        }
        self.release(out);
        if is_nuls || problem.kind == ProblemKind::CutOff {
            self.held.push(problem);
        } else {
            out.push(problem);
        }
    }

    fn release(&mut self, out: &mut Vec<Problem>) {
        out.append(&mut self.held);
    }

    fn totals(self) -> LogTotals {
        let lines = self.newlines + u64::from(self.open);
        LogTotals { records: self.records, lines, counts: self.counts }
    }
}

fn is_damage(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::GzipDamage { .. })
}
