//! Appending lines to a log that others may append to at the same moment.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// What came of appending.
#[derive(Debug)]
pub(crate) struct Appended {
    /// How many bytes of the lines are in the log.
    pub(crate) written: usize,
    /// Where the last of them ends.
    pub(crate) end: u64,
    /// Why it is not all.
    pub(crate) error: Option<io::Error>,
    /// What was appended in one piece begins here.
    pub(crate) start: u64,
}

/// Appends `lines`, after a newline if `newline_first`, by one system call if the system takes all.
/// `log` is open for appending, and nobody else uses this description of it at the same time.
pub(crate) fn append(
    log: BorrowedFd<'_>,
    newline_first: bool,
    lines: [&[u8]; 2],
) -> io::Result<Appended> {
    let newline: &[u8] = if newline_first { b"\n" } else { b"" };
    let total = newline.len() + lines[0].len() + lines[1].len();
    let mut done = 0;
    let mut error = None;
    let mut start = None;
    let mut end = 0;
    while done < total {
        let mut skip = done;
        let pieces = [newline, lines[0], lines[1]].map(|piece| {
            let cut = skip.min(piece.len());
            skip -= cut;
            IoSlice::new(&piece[cut..])
        });
        match rustix::io::writev(log, &pieces) {
            Ok(0) => {
                error = Some(io::ErrorKind::WriteZero.into());
                break;
            }
            Ok(written) => {
                done += written;
                // A description that appends stands behind what it has written.
                end = rustix::fs::seek(log, SeekFrom::Current(0))?;
                start.get_or_insert(end - written as u64);
            }
            Err(Errno::INTR) => {}
            Err(errno) => {
                error = Some(errno.into());
                break;
            }
        }
    }
    let written = done.saturating_sub(newline.len());
    Ok(Appended { written, end, error, start: start.unwrap_or(0) })
}

/// Whether a line of the log goes on at `offset` that began before.
pub(crate) fn ends_within_line_at(log: impl AsFd, offset: u64) -> bool {
    let mut last = [0; 1];
    offset > 0
        && rustix::io::pread(log, &mut last, offset - 1)
            .is_ok_and(|read| read == 1 && last[0] != b'\n')
}
