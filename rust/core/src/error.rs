//! The one error type of the core. Every variant renders as one line that says
//! what went wrong, where, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong in the core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}: {}", path.display(), reason(source))]
    Io {
        /// What was tried, as a verb phrase ("open", "read", "compress").
        action: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The path names something that is not a regular file.
    #[error("{} is a {kind}, not a trace file: give a .log or .log.gz file", path.display())]
    NotAFile {
        /// The path as given.
        path: PathBuf,
        /// What it is instead ("directory", "FIFO", "socket", "device").
        kind: &'static str,
    },
    /// What has to be read twice, or from its end, is a pipe.
    #[error("cannot look for the last records of {}: it is a pipe: give a file", path.display())]
    NotSeekable {
        /// The path as given.
        path: PathBuf,
    },
    /// Something went wrong on another machine, or in what came from there: this.
    #[error("{0}")]
    Elsewhere(String),
    /// A forked child goes on with what its parent began.
    #[error("a forked child cannot go on reading what its parent began to read: begin anew there")]
    Forked,
    /// What the archive has is not what it should have.
    #[error("cannot archive {}: {what}", log.display())]
    Archive {
        /// The log here.
        log: PathBuf,
        /// The object, and what is wrong with it.
        what: String,
    },
    /// No file of that name.
    #[error("no trace file '{name}' in {searched} (the list command shows what there is)")]
    NotFound {
        /// The name as given.
        name: String,
        /// The places that were searched, for people.
        searched: String,
    },
    /// The directory holds no trace file.
    #[error("no trace files in {} (a traced program has not run yet, or writes elsewhere)", dir.display())]
    NoTraceFiles {
        /// The trace directory.
        dir: PathBuf,
    },
}

/// The core's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Wraps an operating system error with what was tried on which path.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_owned(), source }
    }

    /// Whether the operating system found no file of that name.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The operating system's reason without Rust's ` (os error 28)` tail.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
