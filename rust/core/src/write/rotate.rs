//! A log that has become large goes on in a new file; what was written so far is a part of it.
//!
//! Several processes may have the log open. One of them, which nobody else is at the same time, gives
//! the file its name as a part, and then puts a new file in its place, so that at every moment there
//! is one by the name of the log. The others find out before they append the next time: what is a
//! part has all its lines. Killed in between, the writer leaves the file with both names, which
//! readers take for the file that is written, and the next rotation completes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, Stat, renameat_with};

use super::open::open_next;
use super::open_log::OpenLog;
use crate::file_io::is_at;
use crate::store::{self, LogName, RunInfo, Turn, log_files, part_path};
use crate::tail;

/// How long a rotation waits for others' turns, while all lines wait for it.
const ROTATION_PATIENCE: Duration = Duration::from_millis(10);

/// Makes the open log at `path` the next part, and opens a new one in its place. Where another
/// process that writes the log has done so already, goes on in the new one.
pub(super) fn rotate(file: &OpenLog, path: &Path) -> io::Result<File> {
    let (old, stat) = file.get_checked()?;
    // One process at a time: what one of them has put in the place must not be moved by the next. And
    // none while another one appends: who reads the part must find all of it.
    let turn = Turn::wait(&old, ROTATION_PATIENCE);
    if !turn.is_had() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let is_alone = !store::is_held_by_others(&old);
    rotate_in_turn(path, &stat, RunInfo::read_open(&old).as_ref(), is_alone)
}

fn rotate_in_turn(
    path: &Path,
    stat: &Stat,
    run: Option<&RunInfo>,
    is_alone: bool,
) -> io::Result<File> {
    if !is_at(path, stat.st_dev, stat.st_ino) {
        return open_next(path, run);
    }
    // The one that is written has the number that it gets when it is over.
    let number = log_files(path).last().and_then(store::LogFile::part).unwrap_or(1);
    let part = part_path(path, number);
    let mut next = NextFile::create(path, run)?;
    match fs::hard_link(path, &part) {
        Ok(()) => {}
        // Somebody was killed right here.
        Err(error)
            if error.kind() == io::ErrorKind::AlreadyExists
                && is_at(&part, stat.st_dev, stat.st_ino) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Not a thing that this file system can do. For a moment there is no file by the name of the
        // log then.
        Err(_) if is_alone => rename_new(path, &part)?,
        Err(error) => return Err(error),
    }
    next.put_at(path).inspect_err(|_| {
        // In this order: the other name is gone only where that file has its own.
        if is_at(path, stat.st_dev, stat.st_ino) {
            let _ = fs::remove_file(&part);
        }
    })
}

/// A new file that is about to take the place of a log.
struct NextFile {
    path: PathBuf,
    file: Option<File>,
}

impl NextFile {
    /// One at a time: who rotates has the right to.
    fn create(log: &Path, run: Option<&RunInfo>) -> io::Result<Self> {
        let path = tail::place_beside(log, "next")?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o600);
        let file = match options.open(&path) {
            // Left by one that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&path)?;
                options.open(&path)?
            }
            opened => opened?,
        };
        if store::hold(&file, true, std::process::id()) {
            store::mark_locked(&file);
        }
        if let Some(run) = run {
            run.write(&file);
        }
        Ok(Self { path, file: Some(file) })
    }

    fn put_at(&mut self, log: &Path) -> io::Result<File> {
        fs::rename(&self.path, log)?;
        self.file.take().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for NextFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the open log is a part of the log at `path` by now.
pub(super) fn is_part_of(path: &Path, stat: &Stat) -> bool {
    log_files(path)
        .iter()
        .rev()
        .any(|file| file.is_finished_part() && is_at(file.path(), stat.st_dev, stat.st_ino))
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
    renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE).map_err(io::Error::from)
}
