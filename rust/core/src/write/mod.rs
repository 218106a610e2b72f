//! The way in: one log record becomes one JSON line, appended to a log.

pub mod action;
pub mod encode;
pub mod fork;
pub mod gzip;
pub mod json;
pub mod writer;
