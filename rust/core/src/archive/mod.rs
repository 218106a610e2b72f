//! The archive: logs are shipped to an object store, piece by piece while they are written, by a process
//! of their own. Who moves the bytes is the caller's business; what is moved, whereto, and what is there
//! already, is decided here.
//!
//! What is in the store is known from the store itself: each log has a directory there, with the pieces
//! and a [`Manifest`]. A piece that was put there and not noted in the manifest, because the archiver died
//! in between, is found by the listing and taken in if it is what follows in the log. A file beside the
//! logs only spares asking for those that are finished.

mod catalog;
mod check;
mod choice;
mod directory;
mod key;
mod log;
mod manifest;
mod origin;
mod piece;
mod prune;
mod pruning;
mod source;
mod state;
#[cfg(test)]
mod test_support;

pub(crate) use catalog::last_s;
pub use catalog::{Catalog, Entry, Said, Stored};
pub use check::{Check, Fault, FaultKind, Read};
pub use choice::{Choice, Chosen};
pub use directory::{Archive, is_archived, is_archiving, spawn};
pub use key::Identity;
pub use log::{ArchivedLog, Resumed};
pub use manifest::{Counts, MANIFEST_NAME, Manifest, ShippedObject};
pub use origin::{Origin, Status};
pub use piece::{MAX_PIECE_BYTES, Piece};
pub use prune::{Limits, Plan, Removal, Why};
pub use pruning::{Outcome, Pruning};

pub(crate) use state::State;
