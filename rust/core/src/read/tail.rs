//! Where the last records of a log begin.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::record::Record;
use crate::store::LogFile;
use crate::{Error, Result};

use super::blocks::{self, Opened};
use super::plain::PlainLog;
use super::ranges::{Lines, read_range};
use super::{Block, BlockMap, LineCursor, Log, Scan, ScanOptions, ScanStep, Skipped};

/// Which records count.
pub type Wants = Arc<dyn Fn(&Record<'_>) -> bool + Send + Sync>;

/// A search for the place where the last records of a log begin, a step at a time. Of a plain file
/// no more is read than has to be, of a compressed one all.
pub struct TailSearch {
    log: Log,
    /// The file of the log that is searched.
    file: usize,
    /// How many records are still to be found.
    count: usize,
    wants: Wants,
    source: Source,
}

enum Source {
    /// Read from its end: up to this place, nothing has been read.
    Plain {
        file: Box<PlainLog>,
        end: u64,
        cursor: Box<LineCursor>,
        block: Block,
        is_last: bool,
    },
    Whole {
        scan: Box<Scan<Offsets>>,
        last: VecDeque<u64>,
    },
}

/// Nobody stops a step: it is short.
static NEVER: AtomicBool = AtomicBool::new(false);

/// How much is read at a time.
const STEP_BYTES: u64 = 256 << 10;

impl TailSearch {
    /// Looks for the last `count` records that `wants` wants.
    ///
    /// # Errors
    /// The log cannot be opened, or is a pipe, which cannot be read twice.
    pub fn open(path: &Path, count: usize, wants: Wants) -> Result<Self> {
        Self::of_log(Log::with_parts(path), count, wants)
    }

    /// The same, of a log that has been looked for.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_log(log: Log, count: usize, wants: Wants) -> Result<Self> {
        let file = log.files.len() - 1;
        let source = Source::open(&log.files[file], count, &wants)?;
        Ok(Self { log, file, count, wants, source })
    }

    /// Goes on a bit; gives the log from there on once that is known.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn step(&mut self, wait: Duration) -> Result<Option<Log>> {
        match self.search(wait)? {
            Found::Start(start) => {
                let files = self.log.files[self.file..].to_vec();
                Ok(Some(Log { start, files, ..self.log.clone() }))
            }
            Found::TooFew if self.file == 0 => Ok(Some(self.log.clone())),
            Found::TooFew => {
                self.file -= 1;
                self.source = Source::open(&self.log.files[self.file], self.count, &self.wants)?;
                Ok(None)
            }
            Found::NothingYet => Ok(None),
        }
    }

    fn search(&mut self, wait: Duration) -> Result<Found> {
        let path = self.log.files[self.file].path();
        Ok(match &mut self.source {
            Source::Plain { end, .. } if self.count == 0 => Found::Start(*end),
            Source::Plain { end: 0, .. } => Found::TooFew,
            Source::Plain { file, end, cursor, block, is_last } => {
                let range = end.saturating_sub(STEP_BYTES)..*end;
                let lines = Lines { range, from_start: false, to_end: *is_last };
                read_range(file, &lines, block, &NEVER).map_err(|e| Error::io("read", path, e))?;
                let offsets = offsets(cursor, block, &mut Skipped::default(), &self.wants);
                *end = lines.range.start;
                *is_last = false;
                if offsets.len() >= self.count {
                    Found::Start(offsets[offsets.len() - self.count])
                } else {
                    self.count -= offsets.len();
                    Found::NothingYet
                }
            }
            Source::Whole { scan, last } => match scan.next(wait)? {
                ScanStep::Part(part) => {
                    if let Some(error) = part.error {
                        return Err(error);
                    }
                    last.extend(part.output);
                    last.drain(..last.len().saturating_sub(self.count));
                    Found::NothingYet
                }
                ScanStep::Pending => Found::NothingYet,
                ScanStep::End if self.count == 0 => Found::Start(u64::MAX),
                ScanStep::End if last.len() == self.count => Found::Start(last[0]),
                ScanStep::End => {
                    self.count -= last.len();
                    Found::TooFew
                }
            },
        })
    }
}

/// What a bit of searching gave.
enum Found {
    /// Where the last records begin.
    Start(u64),
    /// They begin before this file.
    TooFew,
    NothingYet,
}

impl Source {
    fn open(file: &LogFile, count: usize, wants: &Wants) -> Result<Self> {
        let path = file.path();
        Ok(match blocks::open_file(file)? {
            Opened::Plain(file) => {
                let end = file.length().map_err(|e| Error::io("look at", path, e))?;
                let file = Box::new(file);
                let (cursor, block) = (Box::new(LineCursor::new()), Block::default());
                Source::Plain { file, end, cursor, block, is_last: true }
            }
            Opened::Gzip(_) => {
                let map = Offsets { wants: Arc::clone(wants), count };
                let files = vec![file.clone()];
                let log = Log::of_files(path, files);
                let scan = Scan::new(std::slice::from_ref(&log), map, ScanOptions::default())?;
                Source::Whole { scan: Box::new(scan), last: VecDeque::new() }
            }
            Opened::Pipe(_) => return Err(Error::NotSeekable { path: path.to_owned() }),
        })
    }
}

fn offsets(
    cursor: &mut LineCursor,
    block: &Block,
    skipped: &mut Skipped,
    wants: &Wants,
) -> Vec<u64> {
    let mut offsets = Vec::new();
    while let Some(record) = cursor.next(block, skipped) {
        if wants(&record) {
            offsets.push(record.offset());
        }
    }
    offsets
}

/// The offsets of the last records of a block.
struct Offsets {
    wants: Wants,
    count: usize,
}

impl BlockMap for Offsets {
    type Scratch = LineCursor;
    type Output = Vec<u64>;

    fn map(
        &self,
        _log: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        output: &mut Vec<u64>,
    ) {
        output.extend(offsets(cursor, block, skipped, &self.wants));
        output.drain(..output.len().saturating_sub(self.count));
    }
}
