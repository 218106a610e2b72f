//! The trace directory (a stand-in until the real module is merged).

use std::path::{Path, PathBuf};

use crate::Result;

/// The process that writes, or wrote, a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Its id, where known.
    pub pid: Option<u32>,
    /// Whether it is alive, where that can be told.
    pub alive: Option<bool>,
}

/// One trace log of a trace directory.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceFile {
    /// Its path.
    pub path: PathBuf,
    /// When it was last written, seconds since the epoch.
    pub mtime_s: f64,
    /// Its size on disk.
    pub size_bytes: u64,
    /// The process that wrote it, where known.
    pub pid: Option<u32>,
    /// Whether that process is alive, where that can be told.
    pub alive: Option<bool>,
    /// The run it belongs to.
    pub run_id: Option<String>,
    /// Whether its process was started by another process of the run.
    pub is_child: bool,
}

/// The process of a log.
pub fn liveness(path: &Path) -> ProcessStatus {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let pid = name.strip_prefix("trace-").and_then(|rest| {
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
    });
    ProcessStatus { pid, alive: name.ends_with(".gz").then_some(false) }
}

/// The logs of a directory, newest first.
///
/// # Errors
/// The directory cannot be read.
pub fn list(_dir: &Path) -> Result<Vec<TraceFile>> {
    Ok(Vec::new())
}
