//! Appending lines to a log: one system call a line, no locks, and no failure that reaches the
//! program more than once.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use super::json::JsonWriter;
use crate::clock;
use crate::error::{Error, Result, reason};
use crate::store::{self, LogName, MAX_NUMBER, RunInfo, Standing, TraceDir};
use crate::sys::SharedFd;

/// How often a file that is renamed or removed just while it is being opened is opened again.
const MAX_TRIES: u32 = 100;

/// How long the end of a log that others write is watched for the end of their line. Should their
/// line take longer all the same, an empty line follows it, which readers pass over.
const MOVING_END_POLLS: u32 = 20;
const MOVING_END_POLL: Duration = Duration::from_millis(1);

/// An open log.
///
/// Threads share it without waiting for each other, several processes may have the same file open,
/// and it survives a fork at any moment. There is no buffer: a line whose [`append`](Self::append)
/// returned is the operating system's.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: SharedFd,
    is_readable: bool,
    /// Lines that could not be written.
    dropped: AtomicU64,
    /// Those of them that no note in the log tells of yet.
    unnoted: AtomicU64,
    /// The cause of the last failure; 0 after a success.
    last_errno: AtomicI32,
    /// Whether the file ends within a line.
    is_torn: AtomicBool,
}

/// Why a line was not written.
#[derive(Debug)]
pub struct AppendError {
    /// What was the matter.
    pub cause: AppendCause,
    /// Whether it is the first failure of this cause since a line was written: the one to report.
    pub first: bool,
}

/// What can be the matter with appending.
#[derive(Debug)]
pub enum AppendCause {
    /// The writer is closed. (Never reported: it is the program's own doing.)
    Closed,
    /// The operating system refused.
    Os(io::Error),
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.cause {
            AppendCause::Closed => f.write_str("the log is closed"),
            AppendCause::Os(error) => f.write_str(&reason(error)),
        }
    }
}

impl std::error::Error for AppendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            AppendCause::Closed => None,
            AppendCause::Os(error) => Some(error),
        }
    }
}

impl LogWriter {
    /// Creates this process's own log in a trace directory, which is created where it is missing.
    ///
    /// The log gets its name only after it is locked, so nobody ever takes it for a finished one.
    /// A finished log of an earlier process of the same id makes way; beside one that is still
    /// being written (containers that share a directory) this one gets a number.
    pub fn create_in(directory: &Path, run: &RunInfo) -> Result<Self> {
        let directory = std::path::absolute(directory)
            .map_err(|error| Error::io("create", directory, error))?;
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
                return Ok(Self::new(directory.path_of(name), file, true));
            }
        }
        Err(Error::io(
            "create a log in",
            directory.path(),
            io::Error::new(io::ErrorKind::NotFound, "new files vanish at once"),
        ))
    }

    /// Opens the log at `path` for appending; other processes may have it open too. It (0600) and
    /// its directory (0700) are created where they are missing. A symlink is followed.
    pub fn open(path: &Path) -> Result<Self> {
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
            let is_locked = store::hold(&file, is_readable, std::process::id());
            // A housekeeper that took it for finished may have compressed or removed it between
            // the opening and the lock.
            let is_still_there = fs::metadata(&path)
                .is_ok_and(|now| (now.dev(), now.ino()) == (metadata.dev(), metadata.ino()));
            if !is_still_there {
                continue;
            }
            if is_readable && metadata.is_file() && has_gzip_magic(&file) {
                return Err(failed(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "it is gzip-compressed, nothing can be appended to it: give another name",
                )));
            }
            if is_locked && metadata.is_file() {
                store::mark_locked(&file);
            }
            let is_torn = is_readable && metadata.is_file() && is_torn(&file);
            let writer = Self::new(path, file, is_readable);
            writer.is_torn.store(is_torn, Ordering::Relaxed);
            return Ok(writer);
        }
        Err(failed(io::Error::new(io::ErrorKind::NotFound, "it vanishes as soon as it is opened")))
    }

    fn new(path: PathBuf, file: File, is_readable: bool) -> Self {
        Self {
            path,
            file: SharedFd::new(file.into()),
            is_readable,
            dropped: AtomicU64::new(0),
            unnoted: AtomicU64::new(0),
            last_errno: AtomicI32::new(0),
            is_torn: AtomicBool::new(false),
        }
    }

    /// The absolute path of the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many lines could not be written, from the start (in a forked child: from the fork).
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Appends a line, which ends in a newline.
    ///
    /// After failures the next line that can be written again is preceded by a record that tells
    /// how many are missing.
    pub fn append(&self, line: &[u8]) -> std::result::Result<(), AppendError> {
        debug_assert!(line.ends_with(b"\n"), "a line ends in a newline");
        let Some(file) = self.file.get() else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Err(AppendError { cause: AppendCause::Closed, first: false });
        };
        match self.write(file.as_fd(), line) {
            Ok(()) => {
                // Only written when it changes: the threads share this cache line.
                if self.last_errno.load(Ordering::Relaxed) != 0 {
                    self.last_errno.store(0, Ordering::Relaxed);
                }
                Ok(())
            }
            Err(error) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                self.unnoted.fetch_add(1, Ordering::Relaxed);
                let errno = errno_of(&error);
                let first = self.last_errno.swap(errno, Ordering::Relaxed) != errno;
                Err(AppendError { cause: AppendCause::Os(error), first })
            }
        }
    }

    /// Makes the writer the forked child's own: the child says by a lock of its own that it has the
    /// log open, and no longer keeps its parent's lock alive. To be called in the child right after
    /// the fork, while it has a single thread.
    pub fn after_fork_in_child(&self) {
        self.file.forget_uses_after_fork();
        // What is missing of the parent's lines, the parent notes.
        self.dropped.store(0, Ordering::Relaxed);
        self.unnoted.store(0, Ordering::Relaxed);
        self.last_errno.store(0, Ordering::Relaxed);
        let Some(inherited) = self.file.get() else { return };
        // Where the file can't be opened again the child goes on with the inherited description.
        if let Ok(own) = reopen(inherited.as_fd(), &self.path, self.is_readable) {
            store::hold(&own, self.is_readable, std::process::id());
            let _ = self.file.replace(&own.into());
        }
    }

    /// Closes the log, as soon as threads that are writing right now are done. Nobody waits, and
    /// closing again does nothing.
    pub fn close(&self) {
        if let Some(file) = self.file.get() {
            if self.unnoted.load(Ordering::Relaxed) != 0 {
                // The last chance to tell of the gap. If it fails, there is nobody left to tell.
                let _ = self.write(file.as_fd(), b"");
            }
            if let Ok(stat) = rustix::fs::fstat(&file)
                && let Ok(size_bytes) = u64::try_from(stat.st_size)
            {
                store::mark_closed(&file, size_bytes);
            }
        }
        self.file.close();
    }

    /// Writes what has to go before the line, and the line, by one system call.
    fn write(&self, file: BorrowedFd<'_>, line: &[u8]) -> io::Result<()> {
        let is_torn =
            self.is_torn.load(Ordering::Relaxed) && self.is_torn.swap(false, Ordering::Relaxed);
        let unnoted = match self.unnoted.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.unnoted.swap(0, Ordering::Relaxed),
        };
        if !is_torn && unnoted == 0 {
            let Err(failure) = write_all(file, line) else { return Ok(()) };
            return self.settle(line, failure);
        }
        let mut text = Vec::with_capacity(line.len() + 256);
        if is_torn {
            text.push(b'\n');
        }
        if unnoted != 0 {
            write_note(&mut text, unnoted, self.last_errno.load(Ordering::Relaxed));
        }
        let note_end = text.len();
        text.extend_from_slice(line);
        let Err(failure) = write_all(file, &text) else { return Ok(()) };
        if !is_complete(&text[..note_end], &failure) {
            self.unnoted.fetch_add(unnoted, Ordering::Relaxed);
        }
        if failure.written == 0 && is_torn {
            self.is_torn.store(true, Ordering::Relaxed);
        }
        self.settle(&text, failure)
    }

    /// Remembers how a failure left the file, and decides whether it is one.
    fn settle(&self, text: &[u8], failure: WriteFailure) -> io::Result<()> {
        if text[..failure.written].last().is_some_and(|&last| last != b'\n') {
            self.is_torn.store(true, Ordering::Relaxed);
        }
        if is_complete(text, &failure) { Ok(()) } else { Err(failure.error) }
    }
}

/// Whether what was written has all of `lines`. The last newline may be missing: the next line
/// brings it, and readers do without it.
fn is_complete(lines: &[u8], failure: &WriteFailure) -> bool {
    failure.written + 1 >= lines.len()
}

struct WriteFailure {
    /// How many bytes are in the file all the same.
    written: usize,
    error: io::Error,
}

/// Writes all of `text`: by one call, unless the system takes only a part of it.
fn write_all(file: BorrowedFd<'_>, text: &[u8]) -> std::result::Result<(), WriteFailure> {
    let mut written = 0;
    while written < text.len() {
        match rustix::io::write(file, &text[written..]) {
            Ok(0) => return Err(WriteFailure { written, error: io::ErrorKind::WriteZero.into() }),
            Ok(taken) => written += taken,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(WriteFailure { written, error: error.into() }),
        }
    }
    Ok(())
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
    matches!(directory.move_aside(name, &right), Ok(Some(_)))
}

/// Appends to `text` a record that tells of missing records.
fn write_note(text: &mut Vec<u8>, dropped: u64, errno: i32) {
    let why = reason(&io::Error::from_raw_os_error(errno));
    let records = if dropped == 1 { "record" } else { "records" };
    let message = format!("[inspect-trace] {dropped} {records} could not be written: {why}");
    let mut timestamp = Vec::new();
    clock::write_local_iso(&mut timestamp, clock::now_s());
    let mut json = JsonWriter::new(text);
    json.begin_object();
    json.key(b"timestamp");
    json.string(&timestamp);
    json.key(b"level");
    json.string(b"TRACE");
    json.key(b"message");
    json.string(message.as_bytes());
    json.key(b"dropped");
    json.integer(i64::try_from(dropped).unwrap_or(i64::MAX));
    json.end_object();
    text.push(b'\n');
}

fn errno_of(error: &io::Error) -> i32 {
    // The one failure without a number is a write that writes nothing.
    error.raw_os_error().unwrap_or(libc::EIO)
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

/// Another file description of an open file, whatever became of its name.
fn reopen(file: BorrowedFd<'_>, path: &Path, is_readable: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).read(is_readable).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(file) => Ok(file),
        // No /proc: by name, if the name still stands for the file.
        Err(error) => {
            let again = options.open(path)?;
            let (own, inherited) = (rustix::fs::fstat(&again)?, rustix::fs::fstat(file)?);
            let is_same = (own.st_dev, own.st_ino) == (inherited.st_dev, inherited.st_ino);
            if is_same { Ok(again) } else { Err(error) }
        }
    }
}

fn has_gzip_magic(file: &File) -> bool {
    let mut head = [0; 2];
    file.read_exact_at(&mut head, 0).is_ok() && head == [0x1f, 0x8b]
}

/// Whether the last line lacks its end because its writer was killed, or the disk was full. A line
/// that another process is writing this very moment is not torn.
fn is_torn(file: &File) -> bool {
    for _ in 0..MOVING_END_POLLS {
        if !ends_within_line(file) {
            return false;
        }
        if !store::is_held_by_others(file) {
            break;
        }
        std::thread::sleep(MOVING_END_POLL);
    }
    true
}

fn ends_within_line(file: &File) -> bool {
    let mut last = [0];
    let Ok(metadata) = file.metadata() else { return false };
    let Some(offset) = metadata.len().checked_sub(1) else { return false };
    file.read_exact_at(&mut last, offset).is_ok() && last[0] != b'\n'
}
