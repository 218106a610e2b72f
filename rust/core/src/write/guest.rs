//! Whether this process writes to a log that is not named after it: then its actions have to name it, or
//! readers take them for those of the process in the name, and judge by that whether they run.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::store::{self, LogName};

static STAYS: AtomicUsize = AtomicUsize::new(0);

/// Whether this process has a log open that another one's name or lock is on: an action does not know
/// which logs will have its records.
#[inline]
pub fn is_guest() -> bool {
    STAYS.load(Ordering::Relaxed) != 0
}

/// That a log is open which may be another process's, until it is closed.
#[derive(Debug)]
pub(super) struct Stay {
    is_guest: AtomicBool,
}

impl Stay {
    /// In a log of this process's own.
    pub(super) fn at_home() -> Self {
        Self { is_guest: AtomicBool::new(false) }
    }

    /// In a log that is about to be opened for writing, and not locked by us yet.
    pub(super) fn begin(path: &Path, file: &File) -> Self {
        let own = std::process::id();
        let is_others = if let Some(name) = path.file_name().and_then(LogName::parse) {
            name.pid != own
        } else {
            let writer = store::liveness_of_open(file, path);
            writer.alive == Some(true) && writer.pid != Some(own)
        };
        if is_others {
            STAYS.fetch_add(1, Ordering::Relaxed);
        }
        Self { is_guest: AtomicBool::new(is_others) }
    }

    pub(super) fn end(&self) {
        if self.is_guest.swap(false, Ordering::Relaxed) {
            STAYS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.end();
    }
}
