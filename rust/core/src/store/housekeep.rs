//! Keeping the trace directory small: finished logs are compressed, those of old runs removed.
//!
//! Whatever moment a housekeeper is killed at, every record is in exactly one file that readers
//! see, and the next housekeeping carries on.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::dir::{Standing, Temporary, TraceDir};
use super::name::LogName;
use super::parts::second_name;
use super::process;
use super::run::RunInfo;
use crate::archive::State;
use crate::error::{Error, Result};
use crate::file_io::set_times;
use crate::sys;
use crate::tail;
use crate::write::gzip::{self, Overlap};

/// The finished logs of a run's children that are kept; a run may start thousands.
pub const KEPT_CHILD_LOGS: usize = 100;

/// Seconds and nanoseconds since the epoch.
type Moment = (i64, i64);

/// What one housekeeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HousekeepingReport {
    /// Finished logs, and parts of logs, that are compressed now.
    pub compressed: usize,
    /// Logs of old runs, or of too many children, that were removed with their parts.
    pub removed: usize,
    /// Temporary files of killed processes that were removed.
    pub stale_temporaries: usize,
    /// Logs that could not be compressed or removed, and stay as they were.
    pub failed: usize,
    /// Another process was at it, so nothing was done.
    pub skipped_because_busy: bool,
}

/// A file in the directory: a log, or a part of one.
struct LogFile {
    name: LogName,
    modified: Moment,
    /// None where the system won't tell; then it is left alone.
    alive: Option<bool>,
    run: Option<RunInfo>,
}

impl LogFile {
    fn look(directory: &TraceDir, name: LogName) -> Option<Self> {
        let path = directory.path_of(name);
        let metadata = std::fs::symlink_metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self {
            name,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            alive: process::liveness(&path).alive,
            run: RunInfo::read(&path),
        })
    }

    fn is_finished(&self) -> bool {
        self.alive == Some(false)
    }
}

/// A log: the file that is or was written, plain, compressed or both, and the parts before it.
struct Log {
    name: LogName,
    /// The oldest first.
    files: Vec<LogFile>,
}

impl Log {
    fn modified(&self) -> Moment {
        self.files.iter().map(|file| file.modified).max().unwrap_or_default()
    }

    /// Whether nobody writes it. A part that is over says nothing of the log.
    fn is_finished(&self) -> bool {
        self.files.iter().all(LogFile::is_finished)
    }

    /// Whether all of it is known to be in the archive, if there is one.
    fn is_in(&self, archived: Option<&State>) -> bool {
        let (seconds, nanoseconds) = self.modified();
        // As of a log that is listed.
        #[allow(clippy::cast_precision_loss)]
        let modified_s = seconds as f64 + nanoseconds as f64 / 1e9;
        archived.is_none_or(|state| state.is_settled(&self.name.to_string(), modified_s))
    }

    fn is_child(&self) -> bool {
        self.files.iter().any(|file| file.run.as_ref().is_some_and(|run| run.is_child))
    }
}

/// The logs of a run. Those of other tools are runs of one log each.
struct Run {
    logs: Vec<Log>,
}

impl Run {
    fn modified(&self) -> Moment {
        self.logs.iter().map(Log::modified).max().unwrap_or_default()
    }

    fn is_finished(&self) -> bool {
        self.logs.iter().all(Log::is_finished)
    }
}

/// Removes stale temporaries, removes the finished logs of all but the newest `keep_runs` runs, and
/// compresses the finished logs of all but the newest run.
///
/// The parts that a log was rotated to are compressed as soon as they are over, those of a log that
/// is still written, too. They stay as long as their log does, and go with it.
///
/// A run is the log of a top-level process with the logs of its children; its age is the last
/// change of any of them. Runs with a live process count, but lose nothing, except that of more
/// than [`KEPT_CHILD_LOGS`] finished children the oldest go. Files of other names, and what is not
/// a regular file, are not touched. One process at a time does it, the others do nothing.
pub fn housekeep(directory: &Path, keep_runs: usize) -> HousekeepingReport {
    housekeep_archived(directory, keep_runs, false)
}

/// The same; where the logs are shipped to an archive, none is removed that is not known to be there.
pub fn housekeep_archived(
    directory: &Path,
    keep_runs: usize,
    is_archived: bool,
) -> HousekeepingReport {
    let mut report = HousekeepingReport::default();
    let archived = is_archived.then(|| State::load(directory, None));
    let archived = archived.as_ref();
    if directory.is_dir() && try_housekeep(directory, keep_runs, archived, &mut report).is_err() {
        report.failed += 1;
    }
    report
}

/// Does what [`housekeep_archived`] does on a thread of its own that nobody waits for, at the lowest
/// priority. When the process ends meanwhile, another one's housekeeping carries on.
pub fn spawn_housekeeping(directory: PathBuf, keep_runs: usize, is_archived: bool) {
    // Where there can be no thread, there is no housekeeping this time.
    let _ = spawn_unobtrusive(move || {
        housekeep_archived(&directory, keep_runs, is_archived);
    });
}

/// Runs `work` on a thread that nobody waits for, at the lowest priority, without signals.
fn spawn_unobtrusive(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("trace-housekeeping".to_owned());
    thread.spawn(move || {
        sys::block_signals();
        // On Linux this is the priority of the calling thread.
        let _ = rustix::process::setpriority_process(None, 19);
        work();
    })?;
    Ok(())
}

/// How often compression was asked for since a thread for it was started; 0: there is none.
static COMPRESSIONS_WANTED: AtomicU32 = AtomicU32::new(0);

/// Compresses what is finished in a directory, and removes nothing, on a thread like that of
/// [`spawn_housekeeping`]; one at a time in a process, which looks again if it was asked again.
pub(crate) fn spawn_compression(directory: PathBuf) {
    if COMPRESSIONS_WANTED.fetch_add(1, Ordering::AcqRel) != 0 {
        return;
    }
    let spawned = spawn_unobtrusive(move || {
        loop {
            let wanted = COMPRESSIONS_WANTED.load(Ordering::Acquire);
            // How much is kept is up to those who start a run.
            housekeep(&directory, usize::MAX);
            let is_done = COMPRESSIONS_WANTED
                .compare_exchange(wanted, 0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
            if is_done {
                return;
            }
        }
    });
    if spawned.is_err() {
        COMPRESSIONS_WANTED.store(0, Ordering::Release);
    }
}

/// The thread of the parent is not there in a forked child.
pub(crate) fn forget_compression_after_fork() {
    COMPRESSIONS_WANTED.store(0, Ordering::Release);
}

fn try_housekeep(
    path: &Path,
    keep_runs: usize,
    archived: Option<&State>,
    report: &mut HousekeepingReport,
) -> Result<()> {
    let directory = TraceDir::open(path)?;
    let Some(_lock) = directory.lock_housekeeping()? else {
        report.skipped_because_busy = true;
        return Ok(());
    };
    report.stale_temporaries = directory.remove_stale_temporaries()?;

    let mut runs = runs(&directory)?;
    runs.sort_by_key(|run| std::cmp::Reverse(run.modified()));
    for (rank, run) in runs.iter_mut().enumerate() {
        if rank >= keep_runs && run.is_finished() {
            let may_go = |log: &mut Log| log.is_in(archived);
            remove(&directory, run.logs.extract_if(.., may_go), report);
        } else {
            let surplus: Vec<_> = surplus_children(&mut run.logs).collect();
            let (gone, kept): (Vec<_>, _) =
                surplus.into_iter().partition(|log| log.is_in(archived));
            remove(&directory, gone.into_iter(), report);
            run.logs.extend::<Vec<_>>(kept);
        }
    }
    tail::remove_orphans(directory.path());
    let with_tails = tail::logs_with_tails(directory.path());
    for file in runs.iter().flat_map(|run| &run.logs).flat_map(|log| &log.files) {
        if file.is_finished() && with_tails.contains(OsStr::new(&file.name.to_string())) {
            report.failed += tail::join_finished_at(&directory.path_of(file.name));
        }
    }
    for (rank, log) in
        runs.iter().enumerate().flat_map(|(rank, run)| run.logs.iter().map(move |log| (rank, log)))
    {
        for file in log.files.iter().filter(|file| !file.name.is_compressed) {
            // A process that has not logged since the log was rotated has the part open only.
            let is_over = if file.name.part > 0 { file.is_finished() } else { log.is_finished() };
            let is_due = file.name.part > 0 || rank > 0;
            if is_due && is_over {
                match compress(&directory, file) {
                    Ok(true) => report.compressed += 1,
                    Ok(false) => {}
                    Err(_) => report.failed += 1,
                }
            }
        }
    }
    Ok(())
}

fn runs(directory: &TraceDir) -> Result<Vec<Run>> {
    /// What the logs of a run have in common: its id, or the name but for the ending.
    #[derive(PartialEq, Eq, Hash)]
    enum Key {
        RunId(String),
        Name(LogName),
    }
    let mut logs: HashMap<LogName, Log> = HashMap::new();
    let mut names = directory.logs()?;
    // The file that is written after its parts, as it is the last one.
    names.sort_by_key(|name| (name.log(), name.part == 0, name.part, name.is_compressed));
    for file in names.into_iter().filter_map(|name| LogFile::look(directory, name)) {
        let name = file.name.log();
        logs.entry(name).or_insert_with(|| Log { name, files: Vec::new() }).files.push(file);
    }
    let mut runs: HashMap<Key, Run> = HashMap::new();
    for log in logs.into_values() {
        for log in split_by_run(log) {
            let key = match log.files.iter().rev().find_map(|file| file.run.as_ref()) {
                Some(run) => Key::RunId(run.run_id.clone()),
                None => Key::Name(log.name),
            };
            runs.entry(key).or_insert_with(|| Run { logs: Vec::new() }).logs.push(log);
        }
    }
    Ok(runs.into_values().collect())
}

/// Usually the log itself. But of two runs, one may have left a plain and one a compressed file under
/// the same name. Parts go with the file of their run, or where there is none with what is there.
fn split_by_run(log: Log) -> Vec<Log> {
    let name = log.name;
    let run_id = |file: &LogFile| file.run.as_ref().map(|run| run.run_id.clone());
    let (whole, parts): (Vec<_>, Vec<_>) = log.files.into_iter().partition(|f| f.name.part == 0);
    let mut logs: Vec<Log> = Vec::new();
    for file in whole {
        match logs.iter_mut().find(|log| run_id(&log.files[0]) == run_id(&file)) {
            Some(log) => log.files.push(file),
            None => logs.push(Log { name, files: vec![file] }),
        }
    }
    if logs.is_empty() {
        return vec![Log { name, files: parts }];
    }
    let mut ends: Vec<_> = logs.iter_mut().map(|log| std::mem::take(&mut log.files)).collect();
    for part in parts {
        let own = ends.iter().position(|files| run_id(&files[0]) == run_id(&part));
        logs[own.unwrap_or(0)].files.push(part);
    }
    for (log, end) in logs.iter_mut().zip(&mut ends) {
        log.files.append(end);
    }
    logs
}

/// Takes the finished child logs that are too many out of the logs of a run, oldest first.
fn surplus_children(logs: &mut Vec<Log>) -> impl Iterator<Item = Log> {
    logs.sort_by_key(|log| (std::cmp::Reverse(log.modified()), log.name));
    let mut children = 0;
    logs.extract_if(.., move |log| {
        let is_finished_child = log.is_child() && log.is_finished();
        children += usize::from(is_finished_child);
        is_finished_child && children > KEPT_CHILD_LOGS
    })
}

/// Removes logs with their parts.
fn remove(directory: &TraceDir, logs: impl Iterator<Item = Log>, report: &mut HousekeepingReport) {
    for log in logs {
        // The oldest part first: what is left when this is cut short is the end of the log, not
        // something with a gap.
        let mut is_removed = true;
        for file in &log.files {
            match remove_finished(directory, file.name) {
                Ok(true) => {}
                Ok(false) => is_removed = false,
                Err(_) => {
                    is_removed = false;
                    report.failed += 1;
                }
            }
            if !is_removed {
                break;
            }
        }
        report.removed += usize::from(is_removed);
    }
}

/// False: gone, or in use again.
fn remove_finished(directory: &TraceDir, name: LogName) -> Result<bool> {
    let Some(file) = directory.open_log(name)? else { return Ok(false) };
    let Some(right) = directory.take_over(&file, name) else { return Ok(false) };
    tail::remove_all(&directory.path_of(name));
    directory.remove(name, &right)?;
    Ok(true)
}

/// The name that the file which is written of a log has as a part already.
fn second_name_of(directory: &TraceDir, name: LogName) -> Option<PathBuf> {
    let log = directory.path_of(name.log());
    let second = second_name(&log)?;
    (name.part == 0 || second == directory.path_of(name)).then_some(second)
}

/// Compresses one finished log. False: it is gone, changed or in use meanwhile; the next
/// housekeeping looks at it again.
fn compress(directory: &TraceDir, log: &LogFile) -> Result<bool> {
    let Some(source) = directory.open_log(log.name)? else { return Ok(false) };
    let mut name = log.name;
    let failed = |error| Error::io("compress", directory.path_of(log.name), error);
    // Killed in the middle of a rotation, the writer has left the file with two names.
    if let Some(second) = second_name_of(directory, name) {
        if name.part > 0 {
            return Ok(false); // the other name's turn comes
        }
        let Some(_right) = directory.take_over(&source, name) else { return Ok(false) };
        std::fs::remove_file(second).map_err(failed)?;
    }
    // What is still beside it would not be found beside a compressed log.
    if tail::join_finished_at(&directory.path_of(name)) != 0 {
        return Ok(false);
    }

    // A file under the compressed name is an earlier try of this log, or another run.
    let has_earlier_try = match directory.standing(name.compressed())? {
        Standing::Free => false,
        Standing::File => match compare(directory, log, &source).map_err(failed)? {
            Overlap::All => {
                // Killed between the last two steps of what follows below.
                let Some(right) = directory.take_over(&source, name) else { return Ok(false) };
                directory.remove(name, &right)?;
                return Ok(true);
            }
            Overlap::Beginning => true,
            Overlap::Different => {
                let Some(moved) = make_way(directory, name, &source)? else { return Ok(false) };
                name = moved;
                false
            }
        },
        Standing::Foreign => {
            let Some(moved) = make_way(directory, name, &source)? else { return Ok(false) };
            name = moved;
            false
        }
    };

    let before = source.metadata().map_err(failed)?;
    let (mut compressed, read_bytes) =
        compressed_copy(directory, &source, &before).map_err(failed)?;
    let Some(right) = directory.take_over(&source, name) else { return Ok(false) };
    let after = source.metadata().map_err(failed)?;
    if version(&before) != version(&after) || read_bytes != after.len() {
        return Ok(false);
    }
    let is_published = if has_earlier_try {
        compressed.publish_over(name.compressed()).map(|()| true)
    } else {
        compressed.publish(name.compressed())
    };
    if is_published.map_err(failed)? {
        directory.remove(name, &right)?;
        return Ok(true);
    }
    Ok(false)
}

/// The compressed name belongs to another run, so the log gets a name with a free one first:
/// readers would see the log twice if it were compressed to a name that is not its own.
fn make_way(directory: &TraceDir, name: LogName, source: &File) -> Result<Option<LogName>> {
    // Files of a log with parts stay together.
    if directory.has_parts(name.log()) {
        return Ok(None);
    }
    let Some(right) = directory.take_over(source, name) else { return Ok(None) };
    directory.move_aside(name, &right)
}

/// What the file under the compressed name has of the log.
fn compare(directory: &TraceDir, log: &LogFile, source: &File) -> io::Result<Overlap> {
    let path = directory.path_of(log.name.compressed());
    if let (Some(run), Some(other)) = (&log.run, RunInfo::read(&path))
        && (&run.run_id, run.is_child) != (&other.run_id, other.is_child)
    {
        return Ok(Overlap::Different);
    }
    match directory.open_log(log.name.compressed()) {
        Ok(Some(compressed)) => gzip::overlap(compressed, FromStart::of(source)),
        _ => Ok(Overlap::Different),
    }
}

/// A verified compressed copy, with the times and the run of the log, and how much was read of it.
fn compressed_copy<'a>(
    directory: &'a TraceDir,
    source: &File,
    metadata: &std::fs::Metadata,
) -> io::Result<(Temporary<'a>, u64)> {
    let copy = directory.temporary(".gz").map_err(io::Error::other)?;
    let modified_s = u32::try_from(metadata.mtime()).unwrap_or(0);
    let threads = gzip::compression_threads();
    let read = gzip::compress_file(FromStart::of(source), &copy.file, modified_s, threads)?;
    if let Some(run) = RunInfo::read_open(source) {
        run.write(&copy.file);
    }
    set_times(&copy.file, metadata)?;
    Ok((copy, read.bytes))
}

fn version(metadata: &std::fs::Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Reads a file from its start, wherever others have read to.
struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl<'a> FromStart<'a> {
    fn of(file: &'a File) -> Self {
        Self { file, offset: 0 }
    }
}

impl io::Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
