//! The trace directory: names, liveness, listing, finding, housekeeping.
//!
//! The directory is shared by processes that know nothing of each other, ours and other tools'. What
//! they agree on: a log has its name from the moment it exists until it is finished; who writes it
//! holds a lock on it ([`liveness`]); nothing is ever moved onto a name that is taken; and a
//! finished log is renamed or removed only by one who made sure that nobody has it open.

mod command;
mod dir;
mod housekeep;
mod list;
mod lock;
mod name;
mod part_name;
mod parts;
mod process;
mod resolve;
mod run;

pub use housekeep::{
    HousekeepingReport, KEPT_CHILD_LOGS, housekeep, housekeep_archived, spawn_housekeeping,
};
pub use list::{TraceFile, list};
pub use name::LogName;
pub use part_name::{part_path, split_part_name};
pub use parts::{LogFile, PartSearch, log_files};
pub use process::{ProcessStatus, liveness, writer_alive};
pub use resolve::{resolve, resolve_all};
pub use run::RunInfo;

pub(crate) use dir::{MAX_NUMBER, Standing, TraceDir, create_private};
pub(crate) use housekeep::{forget_compression_after_fork, spawn_compression};
pub(crate) use list::log_paths;
pub(crate) use lock::{TURN_PATIENCE, Turn, hold, holds, is_held_by_others};
pub(crate) use parts::part_after;
pub(crate) use process::{far_process, liveness_of_log, liveness_of_open};
pub(crate) use resolve::kind_of;
pub(crate) use run::{closed_size_bytes, is_closed, mark_closed, mark_locked, unmark_closed};
