//! Where a report is written to.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::sys;

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

    /// Writes all bytes, waiting for whoever reads them. After an interruption by a signal it goes on
    /// unless `may_go_on` says no; then false is returned.
    ///
    /// # Errors
    /// The system refuses to write.
    pub fn write_all(
        &self,
        mut bytes: &[u8],
        mut may_go_on: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.0, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {
                    if !may_go_on() {
                        return Ok(false);
                    }
                }
                // Whoever opened it for us may have set it not to wait.
                Err(Errno::AGAIN) => {
                    let mut polled = [PollFd::new(&self.0, PollFlags::OUT)];
                    match rustix::event::poll(&mut polled, None) {
                        Ok(_) => {}
                        Err(Errno::INTR) => {
                            if !may_go_on() {
                                return Ok(false);
                            }
                        }
                        Err(errno) => return Err(errno.into()),
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }
}
