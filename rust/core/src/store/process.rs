//! Whether the process that writes a log is alive.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::lock::{self, Holder};
use super::name::LogName;
use super::part_name::split_part_name;
use super::run;
use crate::{clock, sys};

/// A process that started less than this after a file's last change counts as started before it:
/// the kernel dates files to the tick before, up to a hundredth of a second.
const START_TOLERANCE_S: f64 = 0.02;

/// What is known about the process that writes a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its id: of the one that has the log open, else the one in the name of the log.
    pub pid: Option<u32>,
    /// Whether it has, or may have, the log open. None: there is no telling.
    pub alive: Option<bool>,
}

/// Who writes the log at `path`, and whether they still do.
///
/// Certain for logs that are locked while they are written. Of other tools' logs the process id in
/// the name tells: as long as a process of that id runs that is older than the last change of the
/// file, it may be the writer.
pub fn liveness(path: &Path) -> ProcessStatus {
    let pid = pid_in_name(path);
    let unknown = ProcessStatus { pid, alive: None };
    match open_for_probe(path) {
        Some(log) => liveness_of_open(&log, path),
        None if is_compressed_name(path) => ProcessStatus { pid, alive: Some(false) },
        None => unknown,
    }
}

/// [`liveness`] of a log that has these parts, the oldest first: of the file that is written; of a part
/// that somebody has open who has not logged since; or where there is no file that is written, of the
/// newest part.
pub(crate) fn liveness_of_log(path: &Path, parts: &[PathBuf]) -> ProcessStatus {
    let status = liveness(path);
    if status.alive == Some(true) {
        return status;
    }
    let of_parts = parts.iter().rev().map(|part| liveness(part));
    if let Some(held) = of_parts.clone().find(|status| status.alive == Some(true)) {
        return held;
    }
    let is_missing = status.alive.is_none() && fs::symlink_metadata(path).is_err();
    of_parts.into_iter().next().filter(|_| is_missing).unwrap_or(status)
}

/// [`liveness`] for a log that is open already, but not by a writer.
pub(crate) fn liveness_of_open(log: &File, path: &Path) -> ProcessStatus {
    let pid = pid_in_name(path);
    // A holder that can't be probed (no such locks here) is none.
    match lock::holder(log.as_fd(), pid).unwrap_or(Holder::Nobody) {
        Holder::Process(holder) => ProcessStatus { pid: Some(holder), alive: Some(true) },
        Holder::Someone => ProcessStatus { pid, alive: Some(true) },
        Holder::Nobody => ProcessStatus { pid, alive: unlocked_alive(log, path, pid) },
    }
}

/// Who writes the log of that name on a machine that cannot be asked: it is over if it is compressed.
pub(crate) fn far_process(path: &Path) -> ProcessStatus {
    let alive = if is_compressed_name(path) { Some(false) } else { None };
    ProcessStatus { pid: pid_in_name(path), alive }
}

/// Whether process `pid` still writes to the log at `path`: one of several, such as a forked child.
pub fn writer_alive(path: &Path, pid: u32) -> Option<bool> {
    let Some(log) = open_for_probe(path) else {
        return if is_compressed_name(path) { Some(false) } else { None };
    };
    if lock::holds(&log, pid).unwrap_or(false) {
        return Some(true);
    }
    if run::is_marked_locked(&log) {
        return Some(false);
    }
    unlocked_alive(&log, path, Some(pid))
}

/// Whether a log that nobody locks is still being written.
fn unlocked_alive(log: &File, path: &Path, pid: Option<u32>) -> Option<bool> {
    if is_compressed_name(path) {
        return Some(false);
    }
    let metadata = log.metadata().ok()?;
    if run::closed_size_bytes(log) == Some(metadata.len()) {
        return Some(false);
    }
    // Nobody writes to a part, whatever lives.
    if path.file_name().is_some_and(|name| split_part_name(name).is_some()) {
        return Some(false);
    }
    match pid {
        Some(pid) => Some(is_older_process(pid, modified_s(&metadata))),
        // Our mark on the file says that its writers lock it.
        None if run::is_marked_locked(log) => Some(false),
        None => None,
    }
}

fn pid_in_name(path: &Path) -> Option<u32> {
    LogName::parse(path.file_name()?).map(|name| name.pid)
}

fn is_compressed_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// Opens a regular file for looking at its locks; a FIFO is not even opened for a moment, as that
/// would release a writer that waits for a reader.
fn open_for_probe(path: &Path) -> Option<File> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    file.metadata().ok()?.is_file().then_some(file)
}

/// When a file was last written, in seconds since the epoch.
pub(crate) fn modified_s(metadata: &fs::Metadata) -> f64 {
    // Good to a microsecond until the year 2255.
    #[allow(clippy::cast_precision_loss)]
    let seconds = metadata.mtime() as f64 + metadata.mtime_nsec() as f64 / 1e9;
    seconds
}

/// Whether a process of that id runs that started no later than `moment_s`.
fn is_older_process(pid: u32, moment_s: f64) -> bool {
    match start_s(pid) {
        Start::At(start_s) => start_s <= moment_s + START_TOLERANCE_S,
        Start::Unknown => true,
        Start::NoProcess => false,
    }
}

enum Start {
    /// In seconds since the epoch.
    At(f64),
    /// It runs; since when can't be told.
    Unknown,
    NoProcess,
}

fn start_s(pid: u32) -> Start {
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else {
        // Not all of /proc is always there (hidepid, no /proc at all), so ask once more.
        let exists = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH));
        return if exists { Start::Unknown } else { Start::NoProcess };
    };
    // This clock first: if we are held up between the two, the process seems older than it is, which
    // is the safe side.
    let now_s = clock::now_s();
    match (parse_stat(&stat), sys::seconds_since_boot(), sys::clock_ticks_per_second()) {
        (Some(stat), ..) if stat.is_dead => Start::NoProcess,
        (Some(stat), Some(uptime_s), Some(ticks_per_s)) => {
            Start::At(now_s - (uptime_s - stat.start_ticks / ticks_per_s))
        }
        _ => Start::Unknown,
    }
}

#[derive(Debug, PartialEq)]
struct Stat {
    /// Since boot.
    start_ticks: f64,
    /// A zombie writes no more.
    is_dead: bool,
}

/// Fields 3 and 22 of /proc/<pid>/stat. The second field, the name of the program in parentheses,
/// may hold anything, parentheses and spaces too.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let after_name = memchr::memrchr(b')', stat)? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some(Stat { start_ticks, is_dead: matches!(state, "Z" | "X" | "x") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A program named to look like the rest of the line does not fool the parser.
    #[test]
    fn names_with_parentheses_are_parsed() {
        let fields = "4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 777 23 24";
        for name in ["(cat)", "(a) Z 1)", "(\u{1F600} ( )", "())"] {
            let stat = format!("12 {name} S {fields}");
            assert_eq!(
                parse_stat(stat.as_bytes()),
                Some(Stat { start_ticks: 777.0, is_dead: false }),
                "{name}"
            );
        }
        assert!(parse_stat(format!("12 (x) Z {fields}").as_bytes()).unwrap().is_dead);
        assert_eq!(parse_stat(b"12 (x) S 4"), None);
        assert_eq!(parse_stat(b""), None);
    }

    /// This process started before now, and not before it started.
    #[test]
    fn own_start_is_told() {
        let own = std::process::id();
        assert!(is_older_process(own, clock::now_s()));
        assert!(!is_older_process(own, clock::now_s() - 3600.0));
        // Larger than any process id Linux gives out.
        assert!(!is_older_process(u32::MAX, clock::now_s()));
    }
}
