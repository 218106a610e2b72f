//! The files of one log: the parts that it was rotated to, and the file that is, or was, written.
//!
//! Between the moment that the files are looked for and the moment that one of them is opened, the
//! log may be rotated (`x.log` becomes the next part, and a new `x.log` begins), and parts may be
//! compressed (`x.part0001.log.gz` has its name before `x.part0001.log` goes). So what is remembered
//! of a file is its number. A part of some number never changes, under whatever name it stands. The
//! file that is written has the number that it will get; whether it has got it is looked for *after*
//! it was opened by the plain name. If there is no such part then, it was the right file; else the
//! part is.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::part_name::{part_path, split_part_name};
use crate::error::Result;
use crate::remote::Object;

/// One file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    path: PathBuf,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Where the path says.
    Fixed,
    /// In no file system.
    Object(Object),
    /// It has, or gets once the log is rotated, the number in the log with that path.
    Part { log: PathBuf, number: u32, is_finished: bool },
}

impl LogFile {
    /// The file at a path, whatever it is.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), place: Place::Fixed }
    }

    /// An object, which is no file.
    pub fn of_object(object: &Object) -> Self {
        Self { path: object.path().to_owned(), place: Place::Object(object.clone()) }
    }

    /// The object that it is, if it is one.
    pub fn object(&self) -> Option<&Object> {
        match &self.place {
            Place::Object(object) => Some(object),
            _ => None,
        }
    }

    /// When it was last written, seconds since the epoch.
    pub(crate) fn modified_s(&self) -> Option<f64> {
        if let Some(object) = self.object() {
            return object.info().modified_s;
        }
        let modified = fs::metadata(&self.path).ok()?.modified().ok()?;
        Some(modified.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
    }

    /// Part `number` of the log at `log`.
    pub(crate) fn finished_part(log: &Path, number: u32) -> Self {
        part(log, number, part_path(log, number))
    }

    /// Whether there is such a file.
    pub(crate) fn is_there(&self) -> bool {
        match &self.place {
            Place::Fixed => self.path.is_file(),
            Place::Object(_) => true,
            Place::Part { log, number, .. } => standing_part(log, *number).is_some(),
        }
    }

    /// Where it was when it was looked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number that it has among the parts of its log, or will get; `None` for a file that is
    /// looked for by its path alone.
    pub fn part(&self) -> Option<u32> {
        match &self.place {
            Place::Fixed | Place::Object(_) => None,
            Place::Part { number, .. } => Some(*number),
        }
    }

    /// Whether it is a part that is over: it never changes, but for its name when it is compressed.
    pub fn is_finished_part(&self) -> bool {
        matches!(self.place, Place::Part { is_finished: true, .. })
    }

    /// Whether the log has been rotated since it was looked for, so that this file is a part now, and
    /// not the last of the log.
    pub(crate) fn has_become_part(&self) -> bool {
        match &self.place {
            Place::Part { log, number, is_finished: false } => {
                standing_part(log, *number).is_some()
            }
            _ => false,
        }
    }

    /// The files of its log that follow it by now.
    pub(crate) fn files_after(&self) -> Vec<Self> {
        let Place::Part { log, number, .. } = &self.place else { return Vec::new() };
        let files = PartSearch::default().files(log);
        files.into_iter().filter(|file| file.part() > Some(*number)).collect()
    }

    /// Opens the file by the path that it has now.
    ///
    /// # Errors
    /// As `open`; of the paths that it may have, none is there.
    pub fn open_by<T>(&self, mut open: impl FnMut(&Path) -> Result<T>) -> Result<T> {
        let Place::Part { log, number, is_finished } = &self.place else {
            return open(&self.path);
        };
        let plain = part_path(log, *number);
        if *is_finished {
            return open_forms(&plain, &mut open);
        }
        // In this order: see the top of the file.
        let opened = match open(&self.path) {
            Err(error) if self.path == *log && error.is_not_found() => open_forms(log, &mut open),
            opened => opened,
        };
        // By that name the lines beside it would not be found.
        if opened.is_ok() && is_written(log, &plain) {
            return opened;
        }
        match open_forms(&plain, &mut open) {
            Err(error) if error.is_not_found() => opened,
            part => part,
        }
    }
}

/// Opens the file of that name, or what it was compressed to.
fn open_forms<T>(plain: &Path, open: &mut impl FnMut(&Path) -> Result<T>) -> Result<T> {
    // In this order: the compressed one has its name before the plain one goes.
    match open(plain) {
        Err(error) if error.is_not_found() => match open(&compressed(plain)) {
            Err(again) if again.is_not_found() => Err(error),
            opened => opened,
        },
        opened => opened,
    }
}

fn compressed(plain: &Path) -> PathBuf {
    let mut name = plain.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// Part `number` of a log, in either form; None also while it is still the file that is written.
fn standing_part(log: &Path, number: u32) -> Option<PathBuf> {
    let plain = part_path(log, number);
    if is_written(log, &plain) { None } else { standing(&plain) }
}

/// Whether a part is the very file that is written. For a moment it is, when a log is rotated: the file
/// gets its second name before a new one takes the first. Where the writer is killed then, it stays so.
fn is_written(log: &Path, part: &Path) -> bool {
    let has_names = |found: &fs::Metadata| found.is_file() && found.nlink() > 1;
    fs::symlink_metadata(part).is_ok_and(|part| {
        has_names(&part)
            && fs::symlink_metadata(log)
                .is_ok_and(|log| (log.dev(), log.ino()) == (part.dev(), part.ino()))
    })
}

/// The name that the file which is written has as a part already; see [`is_written`].
pub(crate) fn second_name(log: &Path) -> Option<PathBuf> {
    let is_named_twice =
        fs::symlink_metadata(log).is_ok_and(|log| log.is_file() && log.nlink() > 1);
    if !is_named_twice {
        return None;
    }
    // It is the newest one.
    let number = PartSearch::default().numbers(log).last().copied()?;
    Some(part_path(log, number)).filter(|part| is_written(log, part))
}

/// Where a file stands, plain or compressed.
fn standing(plain: &Path) -> Option<PathBuf> {
    standing_by(plain, |path| fs::symlink_metadata(path).is_ok_and(|found| found.is_file()))
}

fn standing_by(plain: &Path, mut is_there: impl FnMut(&Path) -> bool) -> Option<PathBuf> {
    // In this order, as above.
    if is_there(plain) {
        return Some(plain.to_owned());
    }
    Some(compressed(plain)).filter(|path| is_there(path))
}

/// Looks for the files of logs. Each directory is read once, or as often as a part seems to be
/// missing there.
#[derive(Debug, Default)]
pub struct PartSearch {
    directories: HashMap<PathBuf, HashMap<OsString, BTreeSet<u32>>>,
}

impl PartSearch {
    /// The files of the log at `path`, in the order in which they were written. The name of a part
    /// stands for that part alone, and so does what is no regular file.
    ///
    /// Of a log that is rotated at this moment no file is missing, and none there twice.
    pub fn files(&mut self, path: &Path) -> Vec<LogFile> {
        let alone = || vec![LogFile::at(path)];
        let Some(name) = path.file_name() else { return alone() };
        if let Some((log, number)) = split_part_name(name) {
            let place = Place::Part { log: path.with_file_name(log), number, is_finished: true };
            return vec![LogFile { path: path.to_owned(), place }];
        }
        let is_other = |metadata: fs::Metadata| !metadata.is_file();
        if fs::metadata(path).is_ok_and(is_other) {
            return alone();
        }
        let log = path.with_file_name(log_name(name));
        let mut files: Vec<_> =
            self.parts(&log).into_iter().map(|(number, path)| part(&log, number, path)).collect();
        let mut number = files.last().and_then(LogFile::part).unwrap_or(0) + 1;
        loop {
            // The newest ones may be newer than what was read of the directory.
            while let Some(path) = standing_part(&log, number) {
                files.push(part(&log, number, path));
                number += 1;
            }
            // The one that is written may be missing for a moment, or for good; it does not have to
            // be there where there are parts.
            if files.is_empty() || fs::metadata(path).is_ok() || standing(&log).is_some() {
                let place = Place::Part { log, number, is_finished: false };
                files.push(LogFile { path: path.to_owned(), place });
                break;
            }
            // It may have become a part between the two looks.
            if standing_part(&log, number).is_none() {
                break;
            }
        }
        files
    }

    /// The parts of a log that are there, by their numbers.
    fn parts(&mut self, log: &Path) -> Vec<(u32, PathBuf)> {
        let mut numbers = self.numbers(log);
        // A part that is compressed while the directory is being read may be met under both of its
        // names or under neither; it is met by the next reading.
        if numbers.last().is_some_and(|&last| last as usize != numbers.len()) {
            self.directories.remove(directory_of(log));
            numbers.extend(self.numbers(log));
        }
        let found = |number| Some((number, standing_part(log, number)?));
        numbers.into_iter().filter_map(found).collect()
    }

    fn numbers(&mut self, log: &Path) -> BTreeSet<u32> {
        let directory = directory_of(log);
        let logs = self
            .directories
            .entry(directory.to_owned())
            .or_insert_with(|| parts_in(directory).unwrap_or_default());
        log.file_name().and_then(|name| logs.get(name)).cloned().unwrap_or_default()
    }
}

fn part(log: &Path, number: u32, path: PathBuf) -> LogFile {
    LogFile { path, place: Place::Part { log: log.to_owned(), number, is_finished: true } }
}

fn directory_of(log: &Path) -> &Path {
    log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name of a log before it was compressed.
pub(super) fn log_name(name: &OsStr) -> OsString {
    let name = name.as_bytes();
    OsString::from_vec(name.strip_suffix(b".gz").unwrap_or(name).to_vec())
}

/// The numbers of the parts in a directory, by the names of their logs.
fn parts_in(directory: &Path) -> io::Result<HashMap<OsString, BTreeSet<u32>>> {
    let mut logs: HashMap<_, BTreeSet<_>> = HashMap::new();
    for entry in fs::read_dir(directory)? {
        if let Some((log, number)) = split_part_name(&entry?.file_name()) {
            logs.entry(log).or_default().insert(number);
        }
    }
    Ok(logs)
}

/// The files of the log at `path`: see [`PartSearch::files`].
pub fn log_files(path: &Path) -> Vec<LogFile> {
    PartSearch::default().files(path)
}

/// The number of the part of the log at `log` that comes next after part `number`; parts in between
/// that are missing were removed.
pub(crate) fn part_after(log: &Path, number: u32) -> Option<u32> {
    let is_there = |number: &u32| standing_part(log, *number).is_some();
    let next = number.checked_add(1)?;
    if is_there(&next) {
        return Some(next);
    }
    let found = PartSearch::default().numbers(log).range(next..).copied().find(is_there)?;
    // It may have come since it was looked for, and the other one after it.
    Some(if is_there(&next) { next } else { found })
}

/// Whether there are parts of the log at `path`, which is no part itself.
pub(super) fn has_parts(path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    let log = path.with_file_name(log_name(name));
    // Also one that is still written: whoever takes its first name leaves it with the second.
    split_part_name(name).is_none()
        && PartSearch::default()
            .numbers(&log)
            .iter()
            .any(|&number| standing(&part_path(&log, number)).is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A part that is compressed at any step of looking for it is there.
    #[test]
    fn compression_at_any_step_of_looking_changes_nothing() {
        for step in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let plain = dir.path().join("x.part0001.log");
            fs::write(&plain, "").unwrap();
            let mut steps = 0;
            let found = standing_by(&plain, |path| {
                if steps == step {
                    fs::rename(&plain, compressed(&plain)).unwrap();
                }
                steps += 1;
                path.is_file()
            });
            assert!(found.is_some(), "{step}");
        }
    }

    /// The next part is found behind those that were removed; what is no file is none.
    #[test]
    fn the_next_part_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("x.log");
        assert_eq!(part_after(&log, 0), None);
        for number in [2, 3, 7] {
            fs::write(compressed(&part_path(&log, number)), "").unwrap();
        }
        fs::create_dir(part_path(&log, 5)).unwrap();
        let found = [0, 1, 2, 3, 6, 7, u32::MAX].map(|number| part_after(&log, number));
        assert_eq!(found, [Some(2), Some(2), Some(3), Some(7), Some(7), None, None]);
    }
}
