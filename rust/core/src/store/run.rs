//! What is noted on a log about its run, in extended attributes: the log itself holds records only.
//!
//! On file systems without them nothing is noted, and every log counts as a run of its own.

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr, lgetxattr};
use rustix::io::Result;

use super::command;

const RUN: &CStr = c"user.inspect_trace.run";
const CHILD: &CStr = c"user.inspect_trace.child";
const COMMAND: &CStr = c"user.inspect_trace.command";
const LOCKED: &CStr = c"user.inspect_trace.locked";
const CLOSED: &CStr = c"user.inspect_trace.closed";

/// Longer run ids than this are not read back: they are nobody's.
const MAX_VALUE_BYTES: usize = 256;

/// No command line that is noted takes more.
pub(super) const MAX_COMMAND_BYTES: usize = 2048;

/// Which run a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// What the processes of a run have in common.
    pub run_id: String,
    /// Whether the process was started by another process of the run.
    pub is_child: bool,
    /// The command line of the process, without secrets, as a JSON array of its words.
    command: Option<String>,
}

impl RunInfo {
    /// A run, and whether the process was started by another process of it.
    pub fn new(run_id: impl Into<String>, is_child: bool) -> Self {
        Self { run_id: run_id.into(), is_child, command: None }
    }

    /// The same with the command line of the process, from which secrets are taken out, and which is cut
    /// if it is long.
    #[must_use]
    pub fn with_command(self, words: &[Vec<u8>]) -> Self {
        Self { command: command::note_of(words), ..self }
    }

    /// The words of the command line, as far as it was noted.
    pub fn command(&self) -> Option<Vec<String>> {
        self.command.as_ref().map(|note| command::words_of(note.as_bytes()))
    }

    /// Notes the run on an open log; where that is impossible, the log has none.
    pub(crate) fn write(&self, log: impl AsFd) {
        if !set(&log, RUN, self.run_id.as_bytes()) {
            return;
        }
        if self.is_child {
            set(&log, CHILD, b"1");
        }
        if let Some(command) = &self.command {
            set(&log, COMMAND, command.as_bytes());
        }
    }

    /// The run of the log at `path`, which is not followed when it is a symlink.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        Self::from_attributes(|name, buffer| lgetxattr(path, name, buffer))
    }

    /// The run of an open log.
    pub(crate) fn read_open(log: impl AsFd) -> Option<Self> {
        Self::from_attributes(|name, buffer| fgetxattr(&log, name, buffer))
    }

    fn from_attributes(get: impl Fn(&CStr, &mut [u8]) -> Result<usize>) -> Option<Self> {
        let mut buffer = [0; MAX_VALUE_BYTES];
        let length = get(RUN, &mut buffer).ok()?;
        let run_id = std::str::from_utf8(buffer.get(..length)?).ok()?.to_owned();
        let is_child = get(CHILD, &mut buffer).is_ok();
        let mut buffer = [0; MAX_COMMAND_BYTES];
        let command = get(COMMAND, &mut buffer).ok().and_then(|length| {
            let note = std::str::from_utf8(buffer.get(..length)?).ok()?;
            Some(note.to_owned())
        });
        Some(Self { run_id, is_child, command })
    }
}

/// Notes that the writers of a log lock it: without a lock it has no writer.
pub(crate) fn mark_locked(log: impl AsFd) {
    set(log, LOCKED, b"1");
}

/// Whether the writers of an open log lock it.
pub(crate) fn is_marked_locked(log: impl AsFd) -> bool {
    fgetxattr(log, LOCKED, &mut [0; 8]).is_ok()
}

/// Notes that a log was closed by its writer when it had this size.
pub(crate) fn mark_closed(log: impl AsFd, size_bytes: u64) {
    set(log, CLOSED, size_bytes.to_string().as_bytes());
}

/// Takes [`mark_closed`] back: something may stand beside the log again.
pub(crate) fn unmark_closed(log: impl AsFd) {
    let _ = fremovexattr(log, CLOSED);
}

/// The size of an open log when its writer closed it.
pub(crate) fn closed_size_bytes(log: impl AsFd) -> Option<u64> {
    let mut buffer = [0; 24];
    let length = fgetxattr(log, CLOSED, &mut buffer).ok()?;
    std::str::from_utf8(buffer.get(..length)?).ok()?.parse().ok()
}

/// Whether the log at `path` was closed by its writer, and has not changed since.
pub(crate) fn is_closed(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
        && std::fs::File::open(path).is_ok_and(|log| {
            closed_size_bytes(&log)
                .is_some_and(|size| log.metadata().is_ok_and(|found| found.len() == size))
        })
}

fn set(log: impl AsFd, name: &CStr, value: &[u8]) -> bool {
    fsetxattr(log, name, value, XattrFlags::empty()).is_ok()
}
