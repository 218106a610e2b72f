//! The records of a log as a stream.

use std::path::Path;

use crate::Result;
use crate::record::{OwnedRecord, Record};

use super::{Block, Blocks, Filter, LineCursor, Skipped};

/// Calls `visit` with every record of the log, wanted or not, in the order of the log; tells what
/// was skipped.
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

/// The records of a log that a filter wants, read as they are asked for, in constant memory.
pub struct Records {
    blocks: Blocks,
    filter: Filter,
    cursor: LineCursor,
    block: Option<Block>,
    skipped: Skipped,
}

impl Records {
    /// Opens a log.
    ///
    /// # Errors
    /// As [`Blocks::open`].
    pub fn open(path: &Path, filter: &Filter) -> Result<Self> {
        Ok(Self {
            blocks: Blocks::open(path)?,
            filter: filter.clone(),
            cursor: LineCursor::new(),
            block: None,
            skipped: Skipped::default(),
        })
    }

    /// Calls `visit` with the wanted records of the rest of the current block, reading one where
    /// there is none, until `visit` returns false. Returns false at the end of the log.
    ///
    /// # Errors
    /// The log cannot be read on.
    pub fn visit(&mut self, mut visit: impl FnMut(&Record<'_>) -> bool) -> Result<bool> {
        let block = if let Some(block) = self.block.take() {
            block
        } else {
            let next = self.blocks.next_block()?;
            self.skipped.merge(&self.blocks.take_skipped());
            let Some(block) = next else { return Ok(false) };
            block
        };
        while let Some(record) = self.cursor.next(&block, &mut self.skipped) {
            if self.filter.matches(&record) && !visit(&record) {
                self.block = Some(block);
                return Ok(true);
            }
        }
        self.blocks.recycle(block);
        Ok(true)
    }

    /// Up to `max` (at least one) of the next records; `None` at the end.
    ///
    /// # Errors
    /// The log cannot be read on.
    pub fn next_batch(&mut self, max: usize) -> Result<Option<Vec<OwnedRecord>>> {
        let mut batch = Vec::new();
        while batch.is_empty() {
            let more = self.visit(|record| {
                batch.push(record.clone().into_owned());
                batch.len() < max
            })?;
            if !more {
                return Ok(None);
            }
        }
        Ok(Some(batch))
    }

    /// What was skipped so far.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        self.blocks.path()
    }
}
