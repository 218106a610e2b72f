//! A command's output as a stream of chunks.

use crate::Result;
use crate::read::Progress;

/// What a report tells of its reading where its scan tells all of it.
macro_rules! told_by_scan {
    () => {
        fn progress(&self) -> Option<$crate::read::Progress> {
            Some(self.scan.progress())
        }

        fn take_notes(&mut self) -> Vec<String> {
            self.scan.take_notes()
        }

        fn has_failed(&self) -> bool {
            self.scan.has_failed()
        }

        fn skipped(&self) -> Option<String> {
            self.scan.skipped()
        }
    };
}
pub(super) use told_by_scan;

/// What one command prints.
pub trait Report: Send {
    /// The next bytes for standard output, perhaps none; `None` at the end. Memory is bounded by
    /// what a command has to hold back, not by the log; between two chunks, of which there are
    /// several a second, the caller can look for Ctrl-C.
    ///
    /// # Errors
    /// The log cannot be read on.
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>>;

    /// Gives back a chunk that has been written, for its memory to be used again.
    fn recycle(&mut self, _chunk: Vec<u8>) {}

    /// Whether there is output from the beginning on, not only at the end.
    fn streams(&self) -> bool {
        true
    }

    /// How far the reading has come.
    fn progress(&self) -> Option<Progress> {
        None
    }

    /// Lines for standard error on what has happened meanwhile, each told once.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether something failed that is told in a note, and did not keep the rest from being shown.
    fn has_failed(&self) -> bool {
        false
    }

    /// Whether what was asked about is not as it should be.
    fn found_problems(&self) -> bool {
        false
    }

    /// One line for standard error on what was skipped or repaired, once the chunks have ended.
    fn skipped(&self) -> Option<String>;
}

/// All that a report has to tell, once it is known.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What is printed, until it is.
    pub(crate) chunk: Option<Vec<u8>>,
    /// Lines for standard error.
    pub(crate) notes: Vec<String>,
    /// What was skipped in the one file.
    pub(crate) summary: Option<String>,
    /// Whether a log could not be read.
    pub(crate) has_failed: bool,
}

/// So many lines of a kind are told, where there may be one for each log.
const MAX_TOLD: usize = 10;

impl Told {
    /// Tells some lines of a kind, and how many more there are.
    pub(crate) fn tell_some(&mut self, lines: Vec<String>) {
        let more = lines.len().saturating_sub(MAX_TOLD);
        self.notes.extend(lines.into_iter().take(MAX_TOLD));
        if more > 0 {
            self.notes.push(format!("... and {more} more like that"));
        }
    }
}

impl Report for Told {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.chunk.take())
    }

    fn streams(&self) -> bool {
        false
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn skipped(&self) -> Option<String> {
        self.summary.clone()
    }
}
