//! The way out, first half: a file becomes blocks of whole lines, blocks become records.
//!
//! Nothing here gives up on a damaged log: every intact record is read, everything else is
//! counted in [`Skipped`].

mod blocks;
mod filter;
mod follow;
mod follow_records;
mod followed;
mod gzip;
pub(crate) mod json;
mod lines;
mod records;
mod skipped;
pub(crate) mod wtf8;

pub use blocks::{Block, Blocks, MAX_LINE_BYTES};
pub use filter::Filter;
pub use follow::{FollowEnd, FollowEvent, Follower, GONE_POLLS, Lines, Step};
pub use follow_records::FollowedRecords;
pub use json::Kind;
pub use lines::LineCursor;
pub use records::{Records, for_each_record};
pub use skipped::{Example, Skipped};
pub use wtf8::to_str_lossy;
