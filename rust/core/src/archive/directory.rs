//! The logs of a trace directory on their way into the archive, and the lock by which one archiver at a
//! time takes care of them.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{TraceDir, TraceFile, list};
use crate::sys::{self, ByteRange, LockKind};
use crate::{Error, Result};

use super::State;
use super::log::ArchivedLog;
use super::state::{self, Known};

const LOCK: &str = ".tmp/archive.lock";
const WHOLE: ByteRange = ByteRange { start: 0, length: 1 };

/// Whether an archiver is at work in a directory.
pub fn is_archiving(directory: &Path) -> bool {
    open_lock(directory, false)
        .and_then(|lock| sys::foreign_lock(&lock, WHOLE))
        .is_ok_and(|lock| lock.is_some())
}

fn open_lock(directory: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(directory.join(LOCK))
}

/// A trace directory whose logs are shipped. There is one at a time for each directory.
pub struct Archive {
    directory: PathBuf,
    host: String,
    lock: File,
    logs: Vec<Shared>,
    state: State,
}

type Shared = Arc<Mutex<ArchivedLog>>;

fn locked(log: &Shared) -> MutexGuard<'_, ArchivedLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Archive {
    /// Takes care of a directory, whose logs were written on `host` and go `to` that place. `None`: another
    /// process does already.
    ///
    /// # Errors
    /// The directory is not there, or cannot be written to.
    pub fn open(directory: &Path, host: &str, to: &str) -> Result<Option<Self>> {
        let directory = std::path::absolute(directory)
            .map_err(|error| Error::io("archive", directory, error))?;
        TraceDir::open(&directory)?;
        let path = directory.join(LOCK);
        let lock = open_lock(&directory, true).map_err(|error| Error::io("open", &path, error))?;
        let mut archive = Self {
            state: State::load(&directory, Some(&format!("{to} {host}"))),
            directory,
            host: host.to_owned(),
            lock,
            logs: Vec::new(),
        };
        Ok(archive.take()?.then_some(archive))
    }

    /// Takes care of the directory again, after [`Self::release`]. False: another process does by now.
    ///
    /// # Errors
    /// The file system has no locks.
    pub fn take(&mut self) -> Result<bool> {
        sys::try_lock_range(&self.lock, LockKind::Exclusive, WHOLE)
            .map_err(|error| Error::io("lock", self.directory.join(LOCK), error))
    }

    /// Lets another process take care of the directory. Who has opened a log before and found it taken care of
    /// relies on it: look once more after this.
    pub fn release(&self) {
        let _ = sys::unlock_range(&self.lock, WHOLE);
    }

    /// Looks at the directory. Gives the logs that are not settled yet, the least recently written first,
    /// and how many there are in all.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn look(&mut self) -> Result<(Vec<Shared>, usize)> {
        let mut files = list(&self.directory)?;
        files.reverse();
        let mut before = std::mem::take(&mut self.logs);
        let names: HashSet<String> = files.iter().map(name_of).collect();
        self.state.retain(|name| names.contains(name));
        let mut unsettled = Vec::new();
        for file in &files {
            let name = name_of(file);
            if file.alive == Some(false) && self.state.is_settled(&name, file.mtime_s) {
                continue;
            }
            // One of that name may be another log by now, and this log may have had another name.
            let Some(new) = ArchivedLog::of(file, &self.host) else { continue };
            let known = before.iter().position(|log| locked(log).identity() == new.identity());
            let log = match known {
                Some(at) => {
                    let log = before.swap_remove(at);
                    locked(&log).look_again(file);
                    log
                }
                None => Arc::new(Mutex::new(new)),
            };
            self.logs.push(Arc::clone(&log));
            if !locked(&log).is_settled() {
                unsettled.push(log);
            }
        }
        Ok((unsettled, files.len()))
    }

    /// Notes how far a log has been shipped, for [`Self::save`].
    pub fn note(&mut self, log: &ArchivedLog) {
        let known = Known {
            mtime_s: log.mtime_s(),
            bytes: log.shipped_bytes(),
            finished: log.is_settled(),
        };
        self.state.note(log.name(), known);
    }

    /// Puts what was noted beside the logs. It may fail: it only spares work.
    pub fn save(&self) {
        let _ = self.state.save(&self.directory);
    }

    /// The logs that a process has open, by their names.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn live_logs(&self) -> Result<Vec<String>> {
        let files = list(&self.directory)?;
        Ok(files.iter().filter(|file| file.alive == Some(true)).map(name_of).collect())
    }

    /// Whether no process has a log open, and nothing is left to be shipped, but of the logs at these paths.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn is_idle(&self, but: &[PathBuf]) -> Result<bool> {
        let is_at_rest = |file: &TraceFile| {
            if file.alive == Some(true) {
                return false;
            }
            let known = self.state.get(&name_of(file));
            let is_shipped = known.is_some_and(|known| {
                state::same_time(known.mtime_s, file.mtime_s)
                    && (known.finished || file.alive.is_none())
            });
            is_shipped || but.contains(&file.path) || ArchivedLog::of(file, &self.host).is_none()
        };
        Ok(list(&self.directory)?.iter().all(is_at_rest))
    }
}

/// Starts an archiver: `command` with `environment`, in the directory that it is to take care of. It is
/// nobody's child, and lives on when this process ends, however it does.
///
/// # Errors
/// It cannot be started.
pub fn spawn(directory: &Path, command: &[Vec<u8>], environment: &[Vec<u8>]) -> io::Result<()> {
    let text = |bytes: &Vec<u8>| CString::new(bytes.as_slice()).map_err(io::Error::other);
    let texts = |all: &[Vec<u8>]| all.iter().map(text).collect::<io::Result<Vec<_>>>();
    let (arguments, environment) = (texts(command)?, texts(environment)?);
    let directory = CString::new(directory.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let program = arguments.first().ok_or(io::ErrorKind::InvalidInput)?;
    sys::spawn::spawn_detached(program, &arguments, &environment, &directory)
}

/// Whether the log at `path`, which its writer has closed, is known to be in the archive.
pub fn is_archived(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(Path::new("."));
    let state = State::load(directory, None);
    // As it is listed: of a rotated log the newest file counts.
    list(directory).is_ok_and(|files| {
        let own = files.iter().find(|file| file.path == path);
        own.is_some_and(|file| state.is_settled(&name_of(file), file.mtime_s))
    })
}

fn name_of(file: &TraceFile) -> String {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".gz").unwrap_or(&name).to_owned()
}
