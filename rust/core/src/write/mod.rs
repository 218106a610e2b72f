//! The way in: one log record becomes one JSON line, appended to a log.

pub mod encode;
pub mod gzip;
mod gzip_parallel;
pub mod json;
pub mod writer;
