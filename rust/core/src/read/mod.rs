//! The way out, first half: a file becomes blocks of whole lines, blocks become records.
//!
//! Nothing here gives up on a damaged log: every intact record is read, everything else is
//! counted in [`Skipped`].

mod blocks;
mod dealer;
mod ends;
mod fast;
mod filter;
mod follow;
mod follow_records;
mod followed;
#[doc(hidden)]
pub mod fuzzing;
mod gzip;
mod index;
mod input;
pub(crate) mod json;
mod level;
mod lines;
mod members;
mod parallel;
mod plain;
mod problem;
mod ranges;
mod records;
mod search;
mod size;
pub(crate) mod skipped;
mod stored;
mod tail;
mod text;
mod verify;
mod when;
mod worker;
pub(crate) mod wtf8;
mod zeros;

pub use blocks::{Block, Blocks, MAX_LINE_BYTES};
pub use ends::{LogEnds, log_ends};
pub use filter::{ActionSpan, Filter, FilterOptions, WrongValue, parse_event};
pub use follow::{FollowEnd, FollowEvent, Follower, GONE_POLLS, Lines, Step};
pub use follow_records::FollowedRecords;
pub use json::Kind;
pub use lines::LineCursor;
pub use parallel::{BlockMap, Log, Part, Progress, Scan, ScanOptions, ScanStep};
pub use problem::{MissingFields, Problem, ProblemCounts, ProblemKind};
pub use records::{Batch, Records, Wanted, for_each_record};
pub use size::parse_size_bytes;
pub use skipped::{Example, Skipped, SkippedFiles};
pub use tail::{TailSearch, Wants};
pub use verify::{LogTotals, Verified, VerifyScan, VerifyStep};
pub use when::{parse_duration_s, parse_when};
pub use wtf8::to_str_lossy;
