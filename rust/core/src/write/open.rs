//! Creating and opening logs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::guest::Stay;
use super::moving_end::settled_end;
use crate::error::{Error, Result};
use crate::file_io::is_at;
use crate::store::{self, LogName, MAX_NUMBER, RunInfo, Standing, TraceDir};
use crate::tail;

/// How often a file that is renamed or removed just while it is being opened is opened again.
const MAX_TRIES: u32 = 100;

/// A log that was opened.
pub(super) struct Opened {
    /// Its absolute path.
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) is_readable: bool,
    /// Whether it ends within a line, and nobody will look again.
    pub(super) is_torn: bool,
    /// Whether it is a file with locks: lines may wait beside it, as it can be told whether their
    /// process is gone, and those who write it do so in turn.
    pub(super) can_lock: bool,
    pub(super) stay: Stay,
}

/// See [`super::writer::LogWriter::create_in`]. The path of the log, the log, and whether lines may
/// wait beside it.
pub(super) fn create_in(directory: &Path, run: &RunInfo) -> Result<(PathBuf, File, bool)> {
    let directory =
        std::path::absolute(directory).map_err(|error| Error::io("create", directory, error))?;
    let directory = TraceDir::create(&directory)?;
    let pid = std::process::id();
    // A housekeeper may remove the temporary before it is locked.
    for _ in 0..MAX_TRIES {
        let mut log = directory.temporary(".log")?;
        let is_locked = store::hold(&log.file, true, pid);
        run.write(&log.file);
        if is_locked {
            store::mark_locked(&log.file);
        }
        let file = log
            .file
            .try_clone()
            .map_err(|error| Error::io("create a log in", directory.path(), error))?;
        if let Some(name) = name_log(&directory, pid, |name| log.publish(name))? {
            return Ok((directory.path_of(name), file, is_locked));
        }
    }
    Err(Error::io(
        "create a log in",
        directory.path(),
        io::Error::new(io::ErrorKind::NotFound, "new files vanish at once"),
    ))
}

/// See [`super::writer::LogWriter::open`].
pub(super) fn open(path: &Path) -> Result<Opened> {
    let path = std::path::absolute(path).map_err(|error| Error::io("open", path, error))?;
    let failed = |error| Error::io("open", &path, error);
    if let Some(parent) = path.parent() {
        store::create_private(parent).map_err(|error| Error::io("create", parent, error))?;
    }
    for _ in 0..MAX_TRIES {
        // Opening a FIFO would have effects on others, and writing to it could wait for them.
        match fs::metadata(&path) {
            Ok(metadata) => check_kind(&path, &metadata)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let (file, is_readable) = open_for_append(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        check_kind(&path, &metadata)?;
        let is_log = is_readable && metadata.is_file();
        let stay = if is_log { Stay::begin(&path, &file) } else { Stay::at_home() };
        let is_locked = store::hold(&file, is_readable, std::process::id());
        // A housekeeper that took it for finished may have compressed or removed it between
        // the opening and the lock.
        if !is_at(&path, metadata.dev(), metadata.ino()) {
            continue;
        }
        if is_log && has_gzip_magic(&file) {
            return Err(failed(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is gzip-compressed, nothing can be appended to it: give another name",
            )));
        }
        if is_locked && metadata.is_file() {
            store::mark_locked(&file);
        }
        if is_log {
            tail::join_finished(&file, &path);
        }
        let can_lock = is_log && is_locked;
        // Where there are turns the end is looked at in each.
        let is_torn = is_log
            && !is_locked
            && settled_end(&file, file.metadata().map_err(failed)?.len(), &path)
                .is_ok_and(|(_, is_torn)| is_torn);
        return Ok(Opened { path, file, is_readable, is_torn, can_lock, stay });
    }
    Err(failed(io::Error::new(io::ErrorKind::NotFound, "it vanishes as soon as it is opened")))
}

/// Opens the file in which the log at `path` goes on, which is created where it is missing.
pub(super) fn open_next(path: &Path, run: Option<&RunInfo>) -> io::Result<File> {
    for _ in 0..MAX_TRIES {
        let (file, is_readable) = open_for_append(path)?;
        let metadata = file.metadata()?;
        if store::hold(&file, is_readable, std::process::id()) {
            store::mark_locked(&file);
        }
        if let Some(run) = run {
            run.write(&file);
        }
        // Until it was locked somebody may have taken it for finished.
        if is_at(path, metadata.dev(), metadata.ino()) {
            return Ok(file);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "it vanishes as soon as it is opened"))
}

/// Gives a new log the name of this process, by `publish`, which says whether the name was free.
/// None: the file to be named is gone.
fn name_log(
    directory: &TraceDir,
    pid: u32,
    mut publish: impl FnMut(LogName) -> io::Result<bool>,
) -> Result<Option<LogName>> {
    let mut number = 0;
    // Each round ends with a log, uses up a number, or moves a finished log away.
    for _ in 0..MAX_NUMBER {
        let name = LogName::plain(pid, number);
        // They would be taken for parts of this log.
        if directory.has_parts(name) {
            number += 1;
            continue;
        }
        // In this order: a log that is being compressed has its new name before it loses the old.
        let plain = directory.standing(name)?;
        let compressed = directory.standing(name.compressed())?;
        let finished = match (plain, compressed) {
            (Standing::Free, Standing::Free) => match publish(name) {
                Ok(true) => return Ok(Some(name)),
                Ok(false) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io("create", directory.path_of(name), error)),
            },
            (Standing::File, Standing::Free) if number == 0 => name,
            (Standing::Free, Standing::File) if number == 0 => name.compressed(),
            // Both: a compression to be completed by a housekeeper.
            _ => {
                number += 1;
                continue;
            }
        };
        if !make_way(directory, finished) {
            number += 1;
        }
    }
    Err(Error::io(
        "create",
        directory.path_of(LogName::plain(pid, 0)),
        io::ErrorKind::AlreadyExists.into(),
    ))
}

/// Gives a log another name, if it is finished.
fn make_way(directory: &TraceDir, name: LogName) -> bool {
    // What can't be opened or renamed stays, whatever the reason: there are other names.
    let Ok(Some(file)) = directory.open_log(name) else { return false };
    let Some(right) = directory.take_over(&file, name) else { return false };
    // What is still beside it would not be found under another name.
    if tail::join_finished_at(&directory.path_of(name)) != 0 {
        return false;
    }
    matches!(directory.move_aside(name, &right), Ok(Some(_)))
}

/// A log is a regular file. A character device passes for one: /dev/null, a terminal.
fn check_kind(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_char_device() {
        return Ok(());
    }
    Err(Error::NotAFile { path: path.to_owned(), kind: store::kind_of(kind) })
}

/// Opens for appending, and for reading where that is allowed (shared locks ask for it). Opening
/// and writing never wait for anybody.
fn open_for_append(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.clone().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            options.open(path).map(|file| (file, false))
        }
        opened => opened.map(|file| (file, true)),
    }
}

fn has_gzip_magic(file: &File) -> bool {
    let mut head = [0; 2];
    file.read_exact_at(&mut head, 0).is_ok() && head == [0x1f, 0x8b]
}
