//! The way in: one log record becomes one JSON line, appended to a log.

pub mod action;
mod append_error;
pub mod context;
pub mod encode;
pub mod float;
mod flusher;
pub mod fork;
pub mod guest;
pub mod gzip;
pub(crate) mod gzip_parallel;
pub mod json;
mod moving_end;
mod note;
mod open;
mod open_log;
pub mod options;
mod registry;
mod rotate;
mod signal;
mod upkeep;
pub mod writer;
