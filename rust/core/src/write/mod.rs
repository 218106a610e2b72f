//! The way in: one log record becomes one JSON line, appended to a log.

pub mod action;
pub mod encode;
mod flusher;
pub mod fork;
pub mod gzip;
mod gzip_parallel;
pub mod json;
mod log_file;
mod moving_end;
mod note;
mod open;
pub mod options;
mod registry;
mod rotate;
mod signal;
pub mod writer;
