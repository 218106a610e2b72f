//! Whether this process writes to a log that is not named after it: then its actions have to name it, or
//! readers take them for those of the process in the name, and judge by that whether they run.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::{self, LogName};

static IS_GUEST: AtomicBool = AtomicBool::new(false);

/// Whether this process has opened a log that another one's name or lock is on. It stays so: an action
/// does not know which logs will have its records.
#[inline]
pub fn is_guest() -> bool {
    IS_GUEST.load(Ordering::Relaxed)
}

/// Takes note of a log that is about to be opened for writing, and not locked by us yet.
pub(super) fn note(path: &Path, file: &File) {
    let own = std::process::id();
    let is_others = if let Some(name) = path.file_name().and_then(LogName::parse) {
        name.pid != own
    } else {
        let writer = store::liveness_of_open(file, path);
        writer.alive == Some(true) && writer.pid != Some(own)
    };
    if is_others {
        IS_GUEST.store(true, Ordering::Relaxed);
    }
}
