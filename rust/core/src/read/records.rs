//! The records of a log as a stream.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::record::{OwnedRecord, Record};

use super::{
    Block, BlockMap, Blocks, Filter, LineCursor, Log, Scan, ScanOptions, ScanStep, Skipped,
    SkippedFiles,
};

/// Calls `visit` with every record of the log, wanted or not, in the order of the log, on the
/// caller's own thread; tells what was skipped.
///
/// # Errors
/// The log cannot be opened or read.
pub fn for_each_record(path: &Path, mut visit: impl FnMut(&Record<'_>)) -> Result<Skipped> {
    let mut blocks = Blocks::open(path)?;
    let mut cursor = LineCursor::new();
    let mut skipped = Skipped::default();
    while let Some(block) = blocks.next_block()? {
        skipped.merge(&blocks.take_skipped());
        while let Some(record) = cursor.next(&block, &mut skipped) {
            visit(&record);
        }
        blocks.recycle(block);
    }
    skipped.merge(&blocks.take_skipped());
    Ok(skipped)
}

/// Which records of some logs are wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    filter: Filter,
    /// Of each file, the offset that records have to have at least.
    starts: Vec<u64>,
}

impl Wanted {
    /// Records that the filter wants, from the starts of the logs on.
    pub fn of(logs: &[Log], filter: &Filter) -> Self {
        Self { filter: filter.clone(), starts: logs.iter().flat_map(Log::starts).collect() }
    }

    /// Calls `visit` with those of a block, in their order.
    pub fn for_each(
        &self,
        file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        mut visit: impl FnMut(&Record<'_>),
    ) {
        let start = self.starts[file];
        while let Some(record) = cursor.next(block, skipped) {
            if record.offset() >= start && self.filter.matches(&record) {
                visit(&record);
            }
        }
    }
}

struct Collect(Wanted);

impl BlockMap for Collect {
    type Scratch = LineCursor;
    type Output = Vec<OwnedRecord>;

    fn map(
        &self,
        file: usize,
        cursor: &mut LineCursor,
        block: &Block,
        skipped: &mut Skipped,
        records: &mut Vec<OwnedRecord>,
    ) {
        self.0.for_each(file, cursor, block, skipped, |record| {
            records.push(record.clone().into_owned());
        });
    }
}

/// What [`Records::next_batch`] gives.
pub enum Batch {
    /// The next records; perhaps none.
    Records(Vec<OwnedRecord>),
    /// There are no more.
    End,
}

/// The records of a log that a filter wants, read as they are asked for and somewhat ahead, in
/// bounded memory.
pub struct Records {
    path: PathBuf,
    scan: Scan<Collect>,
    skipped: SkippedFiles,
}

impl Records {
    /// Opens a log.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path, filter: &Filter) -> Result<Self> {
        Self::open_log(&Log::with_parts(path), filter, ScanOptions::default())
    }

    /// Opens a log, not necessarily at its beginning.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_log(log: &Log, filter: &Filter, options: ScanOptions) -> Result<Self> {
        let logs = std::slice::from_ref(log);
        let scan = Scan::new(logs, Collect(Wanted::of(logs, filter)), options)?;
        Ok(Self { path: log.path.clone(), scan, skipped: SkippedFiles::of(log) })
    }

    /// The next records, waiting for them no longer than `wait`.
    ///
    /// # Errors
    /// The log cannot be read on.
    pub fn next_batch(&mut self, wait: Duration) -> Result<Batch> {
        Ok(match self.scan.next(wait)? {
            ScanStep::Part(part) => {
                self.skipped.merge(part.file, &part.skipped);
                if let Some(error) = part.error {
                    return Err(error);
                }
                Batch::Records(part.output)
            }
            ScanStep::Pending => Batch::Records(Vec::new()),
            ScanStep::End => Batch::End,
        })
    }

    /// What was skipped so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped.total()
    }

    /// What was skipped so far, in words: a line for each file of which there is something to tell.
    pub fn notes(&self) -> Vec<String> {
        self.skipped.notes()
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
