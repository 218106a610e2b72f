//! The core of inspect-trace: writing, keeping and reading JSON Lines trace logs.
//!
//! It knows no Python, no environment variables and no standard output: what it
//! needs comes in as arguments, what it finds goes out as values.

pub mod error;
pub(crate) mod fields;
pub mod record;

pub mod clock;
pub(crate) mod gzip_member;
pub mod id;
pub(crate) mod sys;
pub mod timestamp;

pub mod store;
pub mod write;

pub mod analyze;
pub mod read;
pub mod render;

pub use error::{Error, Result};
