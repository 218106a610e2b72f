//! A command's output as a stream of chunks.

use crate::Result;

/// What one command prints.
pub trait Report: Send {
    /// The next bytes for standard output; `None` at the end. Memory is bounded by what a command
    /// has to hold back, not by the log; between two chunks the caller can look for Ctrl-C.
    ///
    /// # Errors
    /// The log cannot be read on.
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>>;

    /// Lines for standard error on what has happened meanwhile, each once: to be asked for after
    /// each chunk, and after the end. Most reports have none.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// One line for standard error on what was skipped or repaired, once the chunks have ended.
    fn skipped(&self) -> Option<String>;
}
