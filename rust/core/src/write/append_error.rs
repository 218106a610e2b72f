//! What can be the matter with appending a line.

use std::io;

use crate::error::reason;

/// Why a line was not written, or what is to be reported with it.
#[derive(Debug)]
pub struct AppendError {
    /// What was the matter.
    pub cause: AppendCause,
    /// Whether it is the first failure of this cause since writing last worked: the one to report.
    pub first: bool,
}

/// What can be the matter with appending.
#[derive(Debug)]
pub enum AppendCause {
    /// The writer is closed. (Never reported: it is the program's own doing.)
    Closed,
    /// The operating system refused.
    Os(io::Error),
    /// The disk is too slow, and the buffer full.
    Full,
    /// Somebody has removed the log; it goes on in a new file. (The line is kept.)
    Removed,
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.cause {
            AppendCause::Closed => f.write_str("the log is closed"),
            AppendCause::Os(error) => f.write_str(&reason(error)),
            AppendCause::Full => f.write_str("the disk is too slow, and the buffer is full"),
            AppendCause::Removed => {
                f.write_str("it was removed while it was written, and goes on in a new file")
            }
        }
    }
}

impl std::error::Error for AppendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            AppendCause::Closed | AppendCause::Full | AppendCause::Removed => None,
            AppendCause::Os(error) => Some(error),
        }
    }
}
