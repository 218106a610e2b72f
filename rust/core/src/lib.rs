//! The core of inspect-trace: writing, keeping and reading JSON Lines trace logs.
//!
//! It knows no Python, no environment variables and no standard output: what it
//! needs comes in as arguments, what it finds goes out as values.

pub mod error;
pub(crate) mod fields;
pub(crate) mod file_io;
pub mod record;

pub mod clock;
pub(crate) mod gzip_member;
pub mod id;
pub(crate) mod sys;
pub(crate) mod tail;
pub mod timestamp;

pub mod store;
pub mod watch;
pub mod write;

pub mod analyze;
pub mod archive;
mod metadata;
pub mod partial;
pub mod read;
pub mod redact;
pub mod remote;
pub mod render;

pub use error::{Error, Result};
