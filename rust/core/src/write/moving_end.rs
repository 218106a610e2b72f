//! The end of a log that others write at this moment.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use crate::store;
use crate::tail::{self, ends_within_line_at};

/// How long the end of a log that others write is watched for the end of their line. Should their
/// line take longer all the same, an empty line follows it, which readers pass over.
const MOVING_END_POLLS: u32 = 20;
const MOVING_END_POLL: Duration = Duration::from_millis(1);

/// The size of a log that had `size` bytes, and whether it ends within a line for good: of a writer
/// that was killed, not of one that is just writing it. What the killed one has left beside the log at
/// `path` completes its line.
pub(super) fn settled_end(fd: impl AsFd, mut size: u64, path: &Path) -> io::Result<(u64, bool)> {
    for _ in 0..MOVING_END_POLLS {
        if !ends_within_line_at(&fd, size) {
            return Ok((size, false));
        }
        let is_written = store::is_held_by_others(&fd);
        tail::join_finished_at(path);
        if is_written {
            std::thread::sleep(MOVING_END_POLL);
        }
        size = u64::try_from(rustix::fs::fstat(&fd)?.st_size).unwrap_or(0);
        if !is_written {
            break;
        }
    }
    let is_torn = ends_within_line_at(&fd, size);
    Ok((size, is_torn))
}
