//! The trace directory itself: creating it, looking at what is in it without following anything,
//! and putting files under their names without ever replacing another.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use uuid::Uuid;

use super::lock::{HousekeepingLock, Takeover};
use super::name::LogName;
use super::parts::has_parts;
use super::process;
use crate::error::{Error, Result};

/// Where files are before they have their name: what stands in the directory itself is complete.
const TEMPORARY: &str = ".tmp";
/// Locked by the one who does the housekeeping.
const HOUSEKEEPING_LOCK: &str = "housekeeping.lock";

const PRIVATE_FILE: Mode = Mode::from_raw_mode(0o600);
const PRIVATE_DIRECTORY: u32 = 0o700;

/// More logs of one process id than anybody has; an end for loops that look for a free name.
pub(crate) const MAX_NUMBER: u32 = 100_000;

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Free,
    /// A regular file.
    File,
    /// A symlink, FIFO, directory, ...: not ours, and not touched.
    Foreign,
}

/// An open trace directory.
#[derive(Debug)]
pub(crate) struct TraceDir {
    path: PathBuf,
    directory: OwnedFd,
    temporary: OwnedFd,
}

/// A file in `.tmp`. It is removed again unless it gets a name.
#[derive(Debug)]
pub(crate) struct Temporary<'a> {
    directory: &'a TraceDir,
    name: Option<String>,
    pub(crate) file: File,
}

impl TraceDir {
    /// Opens the directory at `path`; it and its parents are created (0700) where they are missing.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        create_private(path).map_err(|error| Error::io("create", path, error))?;
        Self::open(path)
    }

    /// Opens the directory at `path`, which must exist.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let directory = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| Error::io("open", path, error.into()))?;
        let temporary = open_temporary(directory.as_fd())
            .map_err(|error| Error::io("create", path.join(TEMPORARY), error))?;
        Ok(Self { path: path.to_owned(), directory, temporary })
    }

    /// Its path, as it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a log in the directory.
    pub(crate) fn path_of(&self, name: LogName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// What stands under a name.
    pub(crate) fn standing(&self, name: LogName) -> Result<Standing> {
        match rustix::fs::statat(&self.directory, name.to_string(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(Standing::File)
            }
            Ok(_) => Ok(Standing::Foreign),
            Err(Errno::NOENT) => Ok(Standing::Free),
            Err(error) => Err(Error::io("look at", self.path_of(name), error.into())),
        }
    }

    /// The first numbered name that neither a plain nor a compressed log has.
    pub(crate) fn free_number(&self, name: LogName, from: u32) -> Result<Option<u32>> {
        for number in from..MAX_NUMBER {
            let name = name.numbered(number);
            if self.standing(name.uncompressed())? == Standing::Free
                && self.standing(name.compressed())? == Standing::Free
                && !self.has_parts(name.log())
            {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Whether there are parts of the log of that name: then the name is not free, even if no file has
    /// it, and the log is not renamed.
    pub(crate) fn has_parts(&self, name: LogName) -> bool {
        has_parts(&self.path_of(name))
    }

    /// The regular files of log names.
    pub(crate) fn logs(&self) -> Result<Vec<LogName>> {
        let entries =
            fs::read_dir(&self.path).map_err(|error| Error::io("list", &self.path, error))?;
        let mut logs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io("list", &self.path, error))?;
            // The type comes with the entry, of a symlink itself.
            if let Some(name) = LogName::parse(&entry.file_name())
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                logs.push(name);
            }
        }
        Ok(logs)
    }

    /// Opens a finished log for renaming or removing it; None where it is gone, or not a regular
    /// file.
    pub(crate) fn open_log(&self, name: LogName) -> Result<Option<File>> {
        // Locks that exclude others need a file open for writing. Nothing is written.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.directory, name.to_string(), flags, Mode::empty()) {
            Ok(file) => {
                let file = File::from(file);
                Ok(file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file))
            }
            // Gone, a symlink, a directory, a FIFO or a socket.
            Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => Ok(None),
            Err(error) => Err(Error::io("open", self.path_of(name), error.into())),
        }
    }

    /// The right to rename or remove the log `file`, provided that it still stands under `name`
    /// and no process writes it.
    pub(crate) fn take_over<'a>(
        &self,
        file: &'a File,
        name: LogName,
    ) -> Option<Takeover<&'a File>> {
        let takeover = Takeover::try_of(file)?;
        let is_finished = process::liveness_of_open(file, &self.path_of(name)).alive == Some(false);
        (is_finished && self.is_under_name(file, name)).then_some(takeover)
    }

    fn is_under_name(&self, file: &File, name: LogName) -> bool {
        let Ok(metadata) = file.metadata() else { return false };
        rustix::fs::statat(&self.directory, name.to_string(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| stat.st_ino == metadata.ino() && stat.st_dev == metadata.dev())
    }

    /// Gives a log of another run, which this process has taken over, the first free number.
    /// None where there is none.
    pub(crate) fn move_aside(
        &self,
        name: LogName,
        _right: &Takeover<&File>,
    ) -> Result<Option<LogName>> {
        let mut from = 1;
        while let Some(number) = self.free_number(name, from)? {
            let aside = name.numbered(number);
            let (old, new) = (name.to_string(), aside.to_string());
            match rename_new(self.directory.as_fd(), &old, self.directory.as_fd(), &new) {
                Ok(true) => return Ok(Some(aside)),
                Ok(false) => from = number + 1,
                Err(error) => return Err(Error::io("rename", self.path_of(name), error)),
            }
        }
        Ok(None)
    }

    /// Removes a log that this process has taken over.
    pub(crate) fn remove(&self, name: LogName, _right: &Takeover<&File>) -> Result<()> {
        rustix::fs::unlinkat(&self.directory, name.to_string(), AtFlags::empty())
            .map_err(|error| Error::io("remove", self.path_of(name), error.into()))
    }

    /// A new, empty, private file without a name in the directory, for appending and reading.
    pub(crate) fn temporary(&self, extension: &str) -> Result<Temporary<'_>> {
        let name = format!("{}{extension}", Uuid::new_v4().simple());
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(&self.temporary, &name, flags, PRIVATE_FILE).map_err(|error| {
                Error::io("create a file in", self.path.join(TEMPORARY), error.into())
            })?;
        Ok(Temporary { directory: self, name: Some(name), file: File::from(file) })
    }

    /// The right to do the housekeeping; None where another process is at it.
    pub(crate) fn lock_housekeeping(&self) -> Result<Option<HousekeepingLock<File>>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.temporary, HOUSEKEEPING_LOCK, flags, PRIVATE_FILE)
            .map_err(|error| Error::io("open", self.path.join(TEMPORARY), error.into()))?;
        Ok(HousekeepingLock::try_of(File::from(file)))
    }

    /// Removes temporaries that killed processes left. Only for the one who does the housekeeping:
    /// of compressions there is no other, and logs about to be named are locked. (One that is not
    /// locked yet may be hit; its process makes another.)
    pub(crate) fn remove_stale_temporaries(&self) -> Result<usize> {
        let path = self.path.join(TEMPORARY);
        let entries = rustix::fs::Dir::read_from(&self.temporary)
            .map_err(|error| Error::io("list", &path, error.into()))?;
        let mut removed = 0;
        for entry in entries {
            let entry = entry.map_err(|error| Error::io("list", &path, error.into()))?;
            let name = OsStr::new(entry.file_name().to_str().unwrap_or_default());
            if is_temporary_name(name)
                && self.is_stale(name)
                && rustix::fs::unlinkat(&self.temporary, name, AtFlags::empty()).is_ok()
            {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn is_stale(&self, name: &OsStr) -> bool {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.temporary, name, flags, Mode::empty()).is_ok_and(|file| {
            let file = File::from(file);
            file.metadata().is_ok_and(|metadata| metadata.is_file())
                && Takeover::try_of(&file).is_some()
        })
    }
}

impl Temporary<'_> {
    /// Moves the file to its name. False: the name is taken. `NotFound`: somebody removed the file.
    pub(crate) fn publish(&mut self, name: LogName) -> io::Result<bool> {
        let Some(own) = &self.name else { return Ok(false) };
        let directory = self.directory;
        let is_published = rename_new(
            directory.temporary.as_fd(),
            own,
            directory.directory.as_fd(),
            &name.to_string(),
        )?;
        if is_published {
            self.name = None;
        }
        Ok(is_published)
    }

    /// Moves the file to its name, in place of what stands there.
    pub(crate) fn publish_over(&mut self, name: LogName) -> io::Result<()> {
        let Some(own) = &self.name else { return Ok(()) };
        rustix::fs::renameat(
            &self.directory.temporary,
            own,
            &self.directory.directory,
            name.to_string(),
        )?;
        self.name = None;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = rustix::fs::unlinkat(&self.directory.temporary, name, AtFlags::empty());
        }
    }
}

/// Creates a directory and its missing parents, for this user only.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path) {
        // Something else stands there; "exists" would be a strange complaint.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Errno::NOTDIR.into()),
        created => created,
    }
}

fn open_temporary(directory: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(directory, TEMPORARY, Mode::from_raw_mode(PRIVATE_DIRECTORY)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, TEMPORARY, flags, Mode::empty())?)
}

fn is_temporary_name(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let Some((id, extension)) = name.split_once('.') else { return false };
    Uuid::try_parse(id).is_ok_and(|uuid| uuid.simple().to_string() == id)
        && matches!(extension, "log" | "gz")
}

/// Renames a file to a name that is free. False: it is not.
fn rename_new(
    old_directory: BorrowedFd<'_>,
    old: &str,
    new_directory: BorrowedFd<'_>,
    new: &str,
) -> io::Result<bool> {
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(old_directory, old, new_directory, new, flags) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // Not a thing that this file system can do.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rename_new_by_link(old_directory, old, new_directory, new)
        }
        Err(error) => Err(error.into()),
    }
}

/// [`rename_new`] where the system has no such call: a link does not replace either.
fn rename_new_by_link(
    old_directory: BorrowedFd<'_>,
    old: &str,
    new_directory: BorrowedFd<'_>,
    new: &str,
) -> io::Result<bool> {
    match rustix::fs::linkat(old_directory, old, new_directory, new, AtFlags::empty()) {
        Ok(()) => {
            rustix::fs::unlinkat(old_directory, old, AtFlags::empty())?;
            Ok(true)
        }
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP | Errno::MLINK) => {
            rename_new_by_claim(old_directory, old, new_directory, new)
        }
        Err(error) => Err(error.into()),
    }
}

/// [`rename_new`] where there are no links either: an empty file claims the name, then is replaced.
fn rename_new_by_claim(
    old_directory: BorrowedFd<'_>,
    old: &str,
    new_directory: BorrowedFd<'_>,
    new: &str,
) -> io::Result<bool> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::openat(new_directory, new, flags, PRIVATE_FILE) {
        Ok(_claim) => match rustix::fs::renameat(old_directory, old, new_directory, new) {
            Ok(()) => Ok(true),
            Err(error) => {
                let _ = rustix::fs::unlinkat(new_directory, new, AtFlags::empty());
                Err(error.into())
            }
        },
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rustix::fs::CWD;

    type Rename = fn(BorrowedFd<'_>, &str, BorrowedFd<'_>, &str) -> io::Result<bool>;

    /// Each way of renaming moves the file to a free name, leaves a taken one alone, and fails on a
    /// file that is gone without leaving anything.
    #[test]
    fn every_way_of_renaming_replaces_nothing() {
        let ways: [(&str, Rename); 3] = [
            ("NOREPLACE", rename_new),
            ("link", rename_new_by_link),
            ("claim", rename_new_by_claim),
        ];
        for (way, rename) in ways {
            let root = tempfile::tempdir().unwrap();
            let at = |name: &str| root.path().join(name);
            let directory = rustix::fs::openat(CWD, root.path(), OFlags::DIRECTORY, Mode::empty());
            let directory = directory.unwrap();
            let directory = directory.as_fd();
            fs::write(at("a"), "a").unwrap();
            fs::write(at("b"), "b").unwrap();
            std::os::unix::fs::symlink("nowhere", at("link")).unwrap();

            assert!(!rename(directory, "a", directory, "b").unwrap(), "{way}");
            assert!(!rename(directory, "a", directory, "link").unwrap(), "{way}");
            assert_eq!(fs::read(at("b")).unwrap(), b"b", "{way}");
            assert!(rename(directory, "a", directory, "c").unwrap(), "{way}");
            assert_eq!(fs::read(at("c")).unwrap(), b"a", "{way}");
            assert!(!at("a").exists(), "{way}");
            let gone = rename(directory, "a", directory, "d").unwrap_err();
            assert_eq!(gone.kind(), io::ErrorKind::NotFound, "{way}");
            assert!(!at("d").exists(), "{way}");
        }
    }

    /// Only names that this module gives are taken for temporaries.
    #[test]
    fn foreign_temporaries_are_told_apart() {
        let own = format!("{}.gz", Uuid::new_v4().simple());
        assert!(is_temporary_name(OsStr::new(&own)));
        for name in ["notes.log", HOUSEKEEPING_LOCK, &own.to_uppercase(), &format!("{own}~")] {
            assert!(!is_temporary_name(OsStr::new(name)), "{name}");
        }
    }
}
