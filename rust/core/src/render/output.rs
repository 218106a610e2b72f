//! Where a report is written to.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::sys;

/// How long it waits before it asks again whether it may go on.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// An open file, pipe or terminal.
pub struct Output(OwnedFd);

impl Output {
    /// What the descriptor stands for: it may be closed afterwards.
    ///
    /// # Errors
    /// It is no open descriptor.
    pub fn of_fd(raw_fd: RawFd) -> io::Result<Self> {
        sys::duplicate_fd(raw_fd).map(Self)
    }

    /// Writes all bytes, waiting for whoever reads them. Before each attempt, and so after each
    /// interruption by a signal, it asks whether it may go on; if not, false is returned.
    ///
    /// # Errors
    /// The system refuses to write.
    pub fn write_all(
        &self,
        mut bytes: &[u8],
        mut may_go_on: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        while !bytes.is_empty() {
            // Not only where nothing was written: a signal also ends the waiting of a write that
            // had begun, which then tells how far it came.
            if !may_go_on() {
                return Ok(false);
            }
            match rustix::io::write(&self.0, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                // Whoever opened it for us may have set it not to wait.
                Err(Errno::AGAIN) => self.wait()?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    /// Waits until it takes more, or a moment.
    fn wait(&self) -> io::Result<()> {
        let mut polled = [PollFd::new(&self.0, PollFlags::OUT)];
        match rustix::event::poll(&mut polled, Some(&MOMENT)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}
