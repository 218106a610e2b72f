//! The end of a log that others write, too.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::tail::{self, ends_within_line_at};

/// The size of a log that had `size_bytes`, and whether it ends within a line for good. What a writer
/// that was killed has left beside the log at `path` completes its line. To be called by the one who
/// has the turn.
pub(super) fn settled_end(fd: impl AsFd, size_bytes: u64, path: &Path) -> io::Result<(u64, bool)> {
    if !ends_within_line_at(&fd, size_bytes) {
        return Ok((size_bytes, false));
    }
    tail::join_finished_in_turn(path);
    let size_bytes = u64::try_from(rustix::fs::fstat(&fd)?.st_size).unwrap_or(0);
    Ok((size_bytes, ends_within_line_at(&fd, size_bytes)))
}
