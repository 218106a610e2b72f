//! The open logs of the process, to be finished at its end.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::writer::Shared;
use crate::sys::exit::at_exit;
use crate::sys::fork_lock::ForkLock;

static OPEN: ForkLock<Vec<Weak<Shared>>> = ForkLock::new(Vec::new());
static IS_CALLED_AT_EXIT: OnceLock<bool> = OnceLock::new();

/// Held for a moment only, unless a fork left it locked.
const PATIENCE: Duration = Duration::from_millis(200);

/// Has a log finished at the end of the process, unless it is closed before.
pub(super) fn remember(log: &Arc<Shared>) {
    // Where this fails, what is in the ring at the end stays there, to be joined by the next start.
    IS_CALLED_AT_EXIT.get_or_init(|| at_exit(finish_all).is_ok());
    if let Some(mut open) = OPEN.lock_within(PATIENCE) {
        open.retain(|log| log.strong_count() > 0);
        open.push(Arc::downgrade(log));
    }
}

/// Nothing is left to finish of a log.
pub(super) fn forget(log: &Shared) {
    if let Some(mut open) = OPEN.lock_within(PATIENCE) {
        open.retain(|other| !std::ptr::eq(other.as_ptr(), log));
    }
}

extern "C" fn finish_all() {
    let open = OPEN.lock_within(PATIENCE).map(|mut open| std::mem::take(&mut *open));
    for log in open.into_iter().flatten().filter_map(|log| log.upgrade()) {
        log.finish_at_exit();
    }
}
