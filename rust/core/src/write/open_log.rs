//! The open file of a log, and appending to it by a system call a line.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::Stat;

use super::guest::Stay;
use super::note::write_gap_note;
use crate::error::reason;
use crate::store::{self, TURN_PATIENCE, Turn};
use crate::sys::{self, FdUse, SharedFd};

/// The open file of a log. Threads share it without waiting for each other, and it survives a fork
/// at any moment.
#[derive(Debug)]
pub(super) struct OpenLog {
    path: PathBuf,
    fd: SharedFd,
    /// The device and the inode.
    identity: [AtomicU64; 2],
    is_readable: bool,
    /// Lines that could not be written.
    dropped: AtomicU64,
    /// Those of them that no note in the log tells of yet.
    unnoted: AtomicU64,
    /// The cause of the last failure; 0 after a success.
    last_errno: AtomicI32,
    /// Whether nobody was told of that cause yet.
    is_unreported: AtomicBool,
    /// Whether somebody was told that the disk is too slow.
    is_fullness_told: AtomicBool,
    /// Whether somebody has removed the file, and nobody was told.
    was_removed: AtomicBool,
    /// Whether somebody was told that the file gets removed.
    is_removal_told: AtomicBool,
    /// Whether the file ends within a line.
    is_torn: AtomicBool,
    /// Whether somebody has the turn to write and does not come to an end: nobody waits for that twice.
    is_turn_stuck: AtomicBool,
    stay: Stay,
}

impl OpenLog {
    pub(super) fn new(
        path: &Path,
        file: File,
        is_readable: bool,
        is_torn: bool,
        stay: Stay,
    ) -> Self {
        let (device, inode) =
            file.metadata().map_or((0, 0), |metadata| (metadata.dev(), metadata.ino()));
        Self {
            path: path.to_owned(),
            fd: SharedFd::new(above_standard(file.into())),
            identity: [AtomicU64::new(device), AtomicU64::new(inode)],
            is_readable,
            dropped: AtomicU64::new(0),
            unnoted: AtomicU64::new(0),
            last_errno: AtomicI32::new(0),
            is_unreported: AtomicBool::new(false),
            is_fullness_told: AtomicBool::new(false),
            was_removed: AtomicBool::new(false),
            is_removal_told: AtomicBool::new(false),
            is_torn: AtomicBool::new(is_torn),
            is_turn_stuck: AtomicBool::new(false),
            stay,
        }
    }

    /// The descriptor, kept open for as long as the answer lives; None once it is closed.
    pub(super) fn get(&self) -> Option<FdUse<'_>> {
        self.fd.get()
    }

    /// The descriptor, and what the system says of the file. The program may have closed it, as
    /// those do that become daemons, and the number be another file's by now: then it is opened
    /// again.
    pub(super) fn get_checked(&self) -> io::Result<(FdUse<'_>, Stat)> {
        let fd = self.get().ok_or(io::ErrorKind::NotFound)?;
        if let Ok(stat) = rustix::fs::fstat(&fd)
            && self.is_identity(stat.st_dev, stat.st_ino)
        {
            return Ok((fd, stat));
        }
        drop(fd);
        let mut options = OpenOptions::new();
        options.append(true).read(self.is_readable);
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let again = options.open(&self.path)?;
        let metadata = again.metadata()?;
        if !self.is_identity(metadata.dev(), metadata.ino()) {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        store::hold(&again, self.is_readable, std::process::id());
        self.fd.abandon_for(above_standard(again.into()));
        let fd = self.get().ok_or(io::ErrorKind::NotFound)?;
        let stat = rustix::fs::fstat(&fd)?;
        Ok((fd, stat))
    }

    /// Waits for the turn to write among those that write the same file. Lines go on without it where
    /// another process was stopped in its own.
    pub(super) fn wait_for_turn<'a>(&self, fd: FdUse<'a>) -> Turn<FdUse<'a>> {
        let was_stuck = self.is_turn_stuck.load(Ordering::Relaxed);
        let turn = Turn::wait(fd, if was_stuck { Duration::ZERO } else { TURN_PATIENCE });
        if turn.is_had() == was_stuck {
            self.is_turn_stuck.store(!was_stuck, Ordering::Relaxed);
        }
        turn
    }

    fn is_identity(&self, device: u64, inode: u64) -> bool {
        let [own_device, own_inode] = &self.identity;
        own_device.load(Ordering::Relaxed) == device && own_inode.load(Ordering::Relaxed) == inode
    }

    /// A description of the file of the caller's own, for reading and appending.
    pub(super) fn reopen(&self) -> io::Result<File> {
        let (fd, _) = self.get_checked()?;
        reopen(fd.as_fd(), &self.path, self.is_readable)
    }

    /// Notes that somebody has removed the file, to be reported.
    pub(super) fn was_removed(&self) {
        self.was_removed.store(true, Ordering::Relaxed);
    }

    /// Goes on in another file.
    pub(super) fn replace(&self, file: File) -> io::Result<()> {
        self.is_torn.store(false, Ordering::Relaxed);
        let metadata = file.metadata()?;
        self.fd.replace(&file.into())?;
        self.identity[0].store(metadata.dev(), Ordering::Relaxed);
        self.identity[1].store(metadata.ino(), Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn close(&self) {
        // A number that is another file's by now is not ours to close.
        if self.get_checked().is_err()
            && self.get().is_some()
            && let Ok(null) = File::open("/dev/null")
        {
            self.fd.abandon_for(null.into());
        }
        self.fd.close();
        self.stay.end();
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether lines are missing that no note tells of.
    pub(super) fn has_unnoted(&self) -> bool {
        self.unnoted.load(Ordering::Relaxed) != 0
    }

    /// Counts a line that is not kept.
    pub(super) fn count_dropped(&self, is_to_be_noted: bool) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        if is_to_be_noted {
            self.unnoted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Why writing fails; None: it works.
    pub(super) fn failure(&self) -> Option<io::Error> {
        match self.last_errno.load(Ordering::Relaxed) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Notes that writing fails.
    pub(super) fn fails(&self, error: &io::Error) {
        let errno = errno_of(error);
        if self.last_errno.swap(errno, Ordering::Relaxed) != errno {
            self.is_unreported.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that writing works.
    pub(super) fn works(&self) {
        // Only written when it changes: the threads share this cache line.
        if self.last_errno.load(Ordering::Relaxed) != 0 {
            self.last_errno.store(0, Ordering::Relaxed);
            self.is_unreported.store(false, Ordering::Relaxed);
        }
    }

    /// Whether there is a failure that nobody was told of yet; the caller will tell.
    pub(super) fn take_unreported(&self) -> bool {
        self.is_unreported.load(Ordering::Relaxed)
            && self.is_unreported.swap(false, Ordering::Relaxed)
    }

    /// Whether nobody was told yet that the disk is too slow; the caller will tell. A slow disk stays
    /// one: it is told once, and each gap is noted.
    pub(super) fn take_fullness(&self) -> bool {
        !self.is_fullness_told.swap(true, Ordering::Relaxed)
    }

    /// Says whether the file ends within a line.
    pub(super) fn set_torn(&self, is_torn: bool) {
        self.is_torn.store(is_torn, Ordering::Relaxed);
    }

    /// Whether the file was removed without anybody being told; the caller will tell. It is told
    /// once, however often somebody does it: each new file begins with a note.
    pub(super) fn take_removal(&self) -> bool {
        self.was_removed.load(Ordering::Relaxed)
            && self.was_removed.swap(false, Ordering::Relaxed)
            && !self.is_removal_told.swap(true, Ordering::Relaxed)
    }

    /// Makes the file the forked child's own: the child says by a lock of its own that it has the
    /// log open, and no longer keeps its parent's lock alive. To be called in the child right after
    /// the fork, while it has a single thread.
    pub(super) fn after_fork_in_child(&self) {
        self.fd.forget_uses_after_fork();
        // What is missing of the parent's lines, the parent notes.
        self.dropped.store(0, Ordering::Relaxed);
        self.unnoted.store(0, Ordering::Relaxed);
        self.last_errno.store(0, Ordering::Relaxed);
        self.is_unreported.store(false, Ordering::Relaxed);
        let Ok((inherited, _)) = self.get_checked() else { return };
        // Where the file can't be opened again the child goes on with the inherited description.
        if let Ok(own) = reopen(inherited.as_fd(), &self.path, self.is_readable) {
            store::hold(&own, self.is_readable, std::process::id());
            let _ = self.fd.replace(&own.into());
        }
    }

    /// Writes a line (or none: only what has to go before it), and remembers how that went.
    pub(super) fn write_line(&self, line: &[u8]) -> io::Result<()> {
        let outcome = self
            .get_checked()
            .and_then(|(file, _)| with_no_size_signal(|| self.write(file.as_fd(), line)));
        match &outcome {
            Ok(()) => self.works(),
            Err(error) => self.fails(error),
        }
        outcome
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
            let errno = self.last_errno.load(Ordering::Relaxed);
            let why = match errno {
                0 => "the buffer was full, or somebody has taken it away".to_owned(),
                errno => reason(&io::Error::from_raw_os_error(errno)),
            };
            write_gap_note(&mut text, unnoted, &why);
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

/// The same description by a number that is none of the standard streams': to those others write.
fn above_standard(fd: OwnedFd) -> OwnedFd {
    match fd.as_raw_fd() {
        0..=2 => rustix::io::fcntl_dupfd_cloexec(&fd, 3).unwrap_or(fd),
        _ => fd,
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
fn write_all(file: BorrowedFd<'_>, text: &[u8]) -> Result<(), WriteFailure> {
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

/// Runs `write` such that a limit on the size of files is an error, not a signal that kills.
fn with_no_size_signal<T>(write: impl FnOnce() -> T) -> T {
    use rustix::process::{Resource, getrlimit};
    match getrlimit(Resource::Fsize).current {
        None => write(),
        Some(_) => sys::without_size_signal(write),
    }
}

fn errno_of(error: &io::Error) -> i32 {
    // The one failure without a number is a write that writes nothing.
    error.raw_os_error().unwrap_or(libc::EIO)
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
