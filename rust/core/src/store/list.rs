//! Listing the logs of a trace directory, ours and other tools'.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::command;
use super::part_name::split_part_name;
use super::parts::log_name;
use super::process::{ProcessStatus, liveness_of_log, modified_s};
use super::run::RunInfo;
use crate::error::{Error, Result};

const ENDINGS: [&[u8]; 4] = [b".log", b".log.gz", b".jsonl", b".jsonl.gz"];

/// A log in a trace directory.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceFile {
    /// Its path: the directory as given, and its name. Where only parts are left, that of the file
    /// that was written.
    pub path: PathBuf,
    /// When it, or its newest part, was last written, in seconds since the epoch.
    pub mtime_s: f64,
    /// Its size as it lies on the disk, that of its parts included.
    pub size_bytes: u64,
    /// How many parts it was rotated to; the file at `path` is none of them.
    pub parts: usize,
    /// The process that writes or wrote it, where that is known.
    pub pid: Option<u32>,
    /// Whether it is still being written; None where that can't be told.
    pub alive: Option<bool>,
    /// The run it belongs to; None for other tools' logs.
    pub run_id: Option<String>,
    /// Whether its process was started by another process of the run.
    pub is_child: bool,
    /// The command line of its process, without secrets: as noted on the log, or else, while it is
    /// written, as the system tells.
    pub command: Option<Vec<String>>,
}

/// The logs of a directory, the most recently written first. A directory that does not exist has
/// none.
///
/// Of a log that stands there plain and compressed only the plain one is listed: it is being
/// compressed right now, or was when the process that did it was killed. The parts of a log that was
/// rotated are one log.
pub fn list(directory: &Path) -> Result<Vec<TraceFile>> {
    Ok(newest_first(directory)?.into_iter().map(describe).collect())
}

/// Where the logs of a directory are, the least recently written first.
pub(crate) fn log_paths(directory: &Path) -> Result<Vec<PathBuf>> {
    Ok(newest_first(directory)?.into_iter().rev().map(|entry| entry.path).collect())
}

/// Where a log is, and what is known of its files.
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// Seconds and nanoseconds since the epoch.
    modified: (i64, i64),
    mtime_s: f64,
    size_bytes: u64,
    /// Its parts, the oldest first.
    parts: Vec<PathBuf>,
}

/// One file of a log.
struct FileEntry {
    path: PathBuf,
    metadata: fs::Metadata,
}

/// How often a directory is read again while it changes.
const MAX_READINGS: u32 = 20;

/// The logs of a directory, without looking at who writes them.
pub(super) fn newest_first(directory: &Path) -> Result<Vec<Entry>> {
    let read = || match log_names(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
        names => names.map_err(|error| Error::io("list", directory, error)),
    };
    // A log that is compressed or renamed while the directory is being read may be met under both
    // names, or under neither. It is met by the next reading, so two of them together miss none;
    // where a name of theirs leads nowhere by now, the directory is read once more.
    let mut before = read()?;
    let mut files = Vec::new();
    for _ in 0..MAX_READINGS {
        let now = read()?;
        before.extend(now.iter().cloned());
        files = look_at(directory, &before);
        if files.len() == before.len() {
            break;
        }
        before = now;
    }
    let mut entries = logs_of(directory, files);
    entries.sort_by(|one, other| {
        other.modified.cmp(&one.modified).then_with(|| one.path.cmp(&other.path))
    });
    Ok(entries)
}

/// Puts the files of a log together.
fn logs_of(directory: &Path, files: Vec<FileEntry>) -> Vec<Entry> {
    /// The file that is or was written, and the parts.
    type Files = (Option<FileEntry>, Vec<(u32, FileEntry)>);
    let mut logs: HashMap<OsString, Files> = HashMap::new();
    for file in files {
        let name = file.path.file_name().unwrap_or_default();
        if let Some((log, part)) = split_part_name(name) {
            logs.entry(log).or_default().1.push((part, file));
        } else {
            let name = log_name(name);
            logs.entry(name).or_default().0 = Some(file);
        }
    }
    let entry = |(name, (log, mut parts)): (OsString, Files)| {
        // While a log is rotated the file has both names for a moment.
        let identity = |file: &FileEntry| (file.metadata.dev(), file.metadata.ino());
        parts.retain(|(_, part)| log.as_ref().is_none_or(|log| identity(log) != identity(part)));
        parts.sort_by_key(|&(part, _)| part);
        let parts: Vec<FileEntry> = parts.into_iter().map(|(_, file)| file).collect();
        let files = || parts.iter().chain(&log).map(|file| &file.metadata);
        let modified = |metadata: &fs::Metadata| (metadata.mtime(), metadata.mtime_nsec());
        let newest = files().max_by_key(|metadata| modified(metadata));
        Entry {
            modified: newest.map(modified).unwrap_or_default(),
            mtime_s: newest.map(modified_s).unwrap_or_default(),
            size_bytes: files().map(fs::Metadata::len).sum(),
            path: log.map_or_else(|| directory.join(name), |log| log.path),
            parts: parts.into_iter().map(|part| part.path).collect(),
        }
    };
    logs.into_iter().map(entry).collect()
}

/// The names of the logs in a directory, those of compressed ones without the last ending: the
/// name that a log has before and after it is compressed.
fn log_names(directory: &Path) -> io::Result<HashSet<OsString>> {
    let mut names = HashSet::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        // The type is that of a symlink itself.
        if ENDINGS.iter().any(|ending| name.as_bytes().ends_with(ending))
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            names.insert(uncompressed(&name).unwrap_or(name));
        }
    }
    Ok(names)
}

/// The logs of those names that are still there. The plain one first: it goes only once the
/// compressed one has its name.
fn look_at(directory: &Path, names: &HashSet<OsString>) -> Vec<FileEntry> {
    let look = |path: PathBuf| {
        let metadata = fs::symlink_metadata(&path).ok()?;
        metadata.is_file().then_some(FileEntry { path, metadata })
    };
    let look_at_both = |name: &OsString| {
        let mut compressed = name.clone();
        compressed.push(".gz");
        look(directory.join(name)).or_else(|| look(directory.join(compressed)))
    };
    names.iter().filter_map(look_at_both).collect()
}

fn uncompressed(name: &OsStr) -> Option<OsString> {
    name.as_bytes().strip_suffix(b".gz").map(|plain| OsString::from_vec(plain.to_owned()))
}

fn describe(entry: Entry) -> TraceFile {
    let ProcessStatus { pid, alive } = liveness_of_log(&entry.path, &entry.parts);
    let files = || std::iter::once(&entry.path).chain(entry.parts.iter().rev());
    let run = files().find_map(|path| RunInfo::read(path));
    TraceFile {
        mtime_s: entry.mtime_s,
        size_bytes: entry.size_bytes,
        parts: entry.parts.len(),
        pid,
        alive,
        is_child: run.as_ref().is_some_and(|run| run.is_child),
        command: run
            .as_ref()
            .and_then(RunInfo::command)
            .or_else(|| command::of_process(pid.filter(|_| alive == Some(true))?)),
        run_id: run.map(|run| run.run_id),
        path: entry.path,
    }
}
