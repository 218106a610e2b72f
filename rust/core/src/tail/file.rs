//! Tail files: their names, making them, finding those of a log, reading them.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::IntoRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FallocateFlags, Mode, OFlags};
use rustix::process::{Resource, getrlimit};
use uuid::Uuid;

use super::layout::{HEADER_BYTES, State, word};
use crate::file_io::is_at;
use crate::sys::ring::{self, Consumer, Owner, Producer};
use crate::sys::{self, ByteRange, LockKind};

const ENDING: &[u8] = b".tail";

/// A trace directory has this directory for what is no log of its own, and tails are kept there: the
/// reference takes every file of a trace directory for a log, shows it and removes it in time.
const ASIDE: &str = ".tmp";

/// Where the tails of the logs of a directory are: in it, or aside.
fn places(directory: &Path) -> [PathBuf; 2] {
    [directory.to_owned(), directory.join(ASIDE)]
}

/// Where the tails of new logs of a directory belong.
fn place_for(directory: &Path) -> PathBuf {
    let aside = directory.join(ASIDE);
    let is_ours = fs::symlink_metadata(&aside).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw()
    });
    if is_ours { aside } else { directory.to_owned() }
}

/// The beginning of the names of a log's tail files: hidden, and beside the log or aside.
fn prefix_of(log_name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(log_name);
    prefix.push(".");
    prefix
}

/// The file itself, where its path is that of a symlink: tails lie beside the file.
fn real_path(log: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(log) {
        Ok(metadata) if !metadata.is_symlink() => Ok(log.to_owned()),
        _ => fs::canonicalize(log),
    }
}

/// The path of a further file that belongs to the log at `path`: hidden, and where its tails are.
pub(crate) fn place_beside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    let mut name = prefix_of(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(ending);
    Ok(place_for(path.parent().unwrap_or(Path::new("."))).join(name))
}

/// Makes a tail file for the open log at `path` and maps it; its path comes with it.
///
/// An error means that there can be none here: the file system has no room, cannot keep room, or
/// has no shared mappings; or the process may not write that much.
pub(crate) fn create(
    log: &File,
    path: &Path,
    capacity: usize,
    pid: u32,
) -> io::Result<(Producer, Consumer, OwnTail)> {
    let bytes = (HEADER_BYTES + capacity) as u64;
    // Reserving more than the limit would be answered by a signal.
    if getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < bytes) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let metadata = log.metadata()?;
    let path = real_path(path)?;
    let mut name = prefix_of(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    let (number, ..) = Uuid::new_v4().as_fields();
    name.push(format!("{pid}-{number:08x}.tail"));
    let tail_path = place_for(path.parent().unwrap_or(Path::new("."))).join(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(CWD, &tail_path, flags, Mode::from_raw_mode(0o600))?);
    let owner = Owner { device: metadata.dev(), inode: metadata.ino(), pid };
    let tail_metadata = file.metadata()?;
    // Locked first: who comes by sees that it is being made, and that it is not any more.
    let made = sys::try_lock_range(&file, LockKind::Exclusive, OWNED).and_then(|is_locked| {
        // Removed, if it took that long.
        if !is_locked || !is_at(&tail_path, tail_metadata.dev(), tail_metadata.ino()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
        ring::create(&file, capacity, owner)
    });
    let own = OwnTail::new(tail_path, file);
    match made {
        Ok((producer, consumer)) => Ok((producer, consumer, own)),
        Err(error) => {
            own.remove();
            Err(error)
        }
    }
}

/// The writer of a tail holds this byte of it as long as it lives.
pub(super) const OWNED: ByteRange = ByteRange { start: 1, length: 1 };

/// The tail file of a writer.
#[derive(Debug)]
pub(crate) struct OwnTail {
    path: PathBuf,
    /// None: it is given up.
    lock: Option<File>,
    /// The device and the inode.
    identity: Option<(u64, u64)>,
}

impl Drop for OwnTail {
    fn drop(&mut self) {
        // The program may have closed it, as those do that become daemons, and the number be another
        // file's by now: that is not ours to close.
        let Some(lock) = self.lock.take() else { return };
        if self.identity.is_none() || self.identity != identity_of(&lock) {
            let _ = lock.into_raw_fd();
        }
    }
}

fn identity_of(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl OwnTail {
    fn new(path: PathBuf, lock: File) -> Self {
        let identity = identity_of(&lock);
        Self { path, lock: Some(lock), identity }
    }

    /// Whether somebody has removed the file.
    pub(crate) fn is_gone(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Removes the file: it is empty, or of no use.
    pub(crate) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The names of the logs in a directory that have tail files beside them.
pub(crate) fn logs_with_tails(directory: &Path) -> HashSet<OsString> {
    tail_paths(directory).filter_map(|path| log_of(&path).map(OsStr::to_owned)).collect()
}

/// Tail files whose log somebody has removed are kept for so long: their writer may live, and make
/// the log anew.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes old tail files that stand beside no log.
pub(crate) fn remove_orphans(directory: &Path) {
    for path in tail_paths(directory) {
        let Some(log) = log_of(&path) else { continue };
        let is_old = fs::symlink_metadata(&path)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > ORPHAN_AGE));
        if is_old && fs::symlink_metadata(directory.join(log)).is_err() {
            let _ = fs::remove_file(&path);
        }
    }
}

/// The tail files of the logs of a directory.
fn tail_paths(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = places(directory).into_iter().filter_map(|place| fs::read_dir(place).ok());
    let paths = entries.flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.as_os_str().as_bytes().ends_with(ENDING))
}

/// The name of the log in that of a tail file.
fn log_of(tail_path: &Path) -> Option<&OsStr> {
    let rest = tail_path.file_name()?.as_bytes().strip_prefix(b".")?.strip_suffix(ENDING)?;
    let dot = memchr::memrchr(b'.', rest)?;
    Some(OsStr::from_bytes(&rest[..dot]))
}

/// Whether there is a tail file beside the log at `path`.
pub(crate) fn is_beside(path: &Path) -> bool {
    !TailFile::all_of(path, false).is_empty()
}

/// A tail file, open for reading or joining.
#[derive(Debug)]
pub(crate) struct TailFile {
    pub(crate) path: PathBuf,
    file: File,
}

impl TailFile {
    /// The tail files beside the log at `path`, open for reading or, to be joined, also for
    /// writing. What cannot be opened is left out.
    pub(crate) fn all_of(path: &Path, to_join: bool) -> Vec<Self> {
        let Ok(path) = real_path(path) else { return Vec::new() };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Vec::new();
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let prefix = prefix_of(name);
        let access = if to_join { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut paths: Vec<_> = tail_paths(parent)
            .filter(|path| path.file_name().is_some_and(|name| is_tail_name(name, &prefix)))
            .collect();
        paths.sort();
        let open = |path: PathBuf| {
            let file = File::from(rustix::fs::open(&path, flags, Mode::empty()).ok()?);
            file.metadata().ok()?.is_file().then_some(Self { path, file })
        };
        paths.into_iter().filter_map(open).collect()
    }

    /// Whether its writer lives, as far as its own lock tells.
    pub(super) fn is_owned(&self) -> io::Result<bool> {
        Ok(sys::foreign_lock(&self.file, OWNED)?.is_some())
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The header, as it is at this moment.
    pub(super) fn state(&self) -> io::Result<State> {
        let mut before = [0; word::END];
        self.file.read_exact_at(&mut before, 0)?;
        loop {
            // One reading could meet a word half written.
            let mut now = [0; word::END];
            self.file.read_exact_at(&mut now, 0)?;
            if now == before {
                return State::parse(&now);
            }
            before = now;
        }
    }

    /// The bytes between two positions.
    pub(super) fn read(&self, state: &State, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(to - from).map_err(io::Error::other)?;
        let at = from & (state.capacity - 1);
        let first = usize::try_from(state.capacity - at).map_err(io::Error::other)?.min(length);
        let mut bytes = vec![0; length];
        let (one, two) = bytes.split_at_mut(first);
        self.file.read_exact_at(one, HEADER_BYTES as u64 + at)?;
        self.file.read_exact_at(two, HEADER_BYTES as u64)?;
        Ok(bytes)
    }

    /// Changes a word of the header of a file that nobody has mapped any more.
    pub(super) fn set(&self, offset: usize, value: u64) -> io::Result<()> {
        self.file.write_all_at(&value.to_le_bytes(), offset as u64)
    }
}

/// Whether a tail is that of this very file: what is being appended from it goes there.
pub(super) fn belongs_to(state: &State, file: &fs::Metadata) -> bool {
    (state.device, state.inode) == (file.dev(), file.ino())
}

fn is_tail_name(name: &OsStr, prefix: &OsStr) -> bool {
    let Some(rest) = name.as_bytes().strip_prefix(prefix.as_bytes()) else { return false };
    let Some(id) = rest.strip_suffix(ENDING) else { return false };
    // Not a name of a tail of a log whose own name begins like this one's.
    id.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}
