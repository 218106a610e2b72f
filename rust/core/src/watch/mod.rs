//! Actions that stay open for long: which they are, when somebody has to look where they wait, and what
//! the log is told about it.
//!
//! How a thread or a task can be asked where it waits is the caller's to know.

mod frame;
mod open_actions;
mod stall;
mod timer;

pub use frame::Frame;
pub use open_actions::{MAX_OPEN_ACTIONS, OpenActions, Stalled};
pub use stall::{MAX_FRAMES, StallRecord, encode_stall};
pub use timer::Timer;
