//! The unflushed tail of a log: lines that were acknowledged, but are not in the log yet.
//!
//! Whoever writes a log puts its lines into a ring in a file beside it, which is mapped into memory
//! (so they survive the process, without a system call), and appends them to the log a moment
//! later. Who reads the log reads both: [`snapshot`]. When the process has died, the next one to
//! come by appends what is left, and removes the file: [`join_finished`].
//!
//! How each line is met exactly once: `resolve` tells from the header of the tail file and the end
//! of the log where in the ring that begins which is not in the log.

mod append;
mod file;
mod join;
pub(crate) mod layout;
mod resolve;
mod snapshot;

pub(crate) use append::{append, ends_within_line_at};
pub(crate) use file::{OwnTail, create, is_beside, logs_with_tails, place_beside, remove_orphans};
pub(crate) use join::{join_finished, join_finished_at, join_finished_in_turn, remove_all};
pub(crate) use snapshot::{Snapshot, snapshot};

#[cfg(test)]
mod tests;
