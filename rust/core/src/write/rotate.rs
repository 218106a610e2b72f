//! A log that has become large goes on in a new file; what was written so far is a part of it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, Stat, renameat_with};
use rustix::io::Errno;

use super::open::open_next;
use super::open_log::OpenLog;
use crate::file_io::is_at;
use crate::store::{self, LogName, RunInfo, log_files, part_path};

/// Makes the open log at `path` the next part, and opens a new one in its place. Where another
/// process that writes the log has done so already, goes on in the new one.
pub(super) fn rotate(file: &OpenLog, path: &Path) -> io::Result<File> {
    let (old, stat) = file.get_checked()?;
    // One process at a time: what one of them has put in the place must not be moved by the next.
    if !store::lock_rotation(&old) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // Where it goes well the lock goes with the file, which nobody writes then.
    rotate_locked(path, &stat, RunInfo::read_open(&old).as_ref()).inspect_err(|_| {
        store::unlock_rotation(&old);
    })
}

fn rotate_locked(path: &Path, stat: &Stat, run: Option<&RunInfo>) -> io::Result<File> {
    if is_at(path, stat.st_dev, stat.st_ino) {
        // The one that is written has the number that it gets when it is over.
        let number = log_files(path).last().and_then(store::LogFile::part).unwrap_or(1);
        rename_new(path, &part_path(path, number))?;
    }
    open_next(path, run)
}

/// Has the parts of a log compressed, in the background, if it is one in a trace directory.
pub(super) fn compress_parts(path: &Path) {
    if path.file_name().and_then(LogName::parse).is_some()
        && let Some(directory) = path.parent()
    {
        store::spawn_compression(directory.to_owned());
    }
}

/// Renames a file to a name that is free.
fn rename_new(old: &Path, new: &Path) -> io::Result<()> {
    match renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Not a thing that this file system can do; a link does not replace either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(old, new)?;
            fs::remove_file(old)
        }
        Err(errno) => Err(errno.into()),
    }
}
