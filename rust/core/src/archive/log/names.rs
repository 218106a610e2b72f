//! The names of logs and of their pieces.

use std::path::{Path, PathBuf};

use crate::archive::key::safe;
use crate::store::{LogName, split_part_name};

const MAX_NAME_CHARS: usize = 100;

pub(super) fn name_of(path: &Path) -> Option<LogName> {
    LogName::parse(path.file_name()?)
}

/// The name of a log before it is compressed.
pub(super) fn plain_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".gz").unwrap_or(&name).to_owned()
}

/// What the names of the objects of a log begin with.
pub(super) fn stem_of(log: &str) -> String {
    let stem = log.strip_suffix(".log").or_else(|| log.strip_suffix(".jsonl")).unwrap_or(log);
    // What stands for a part would be taken for one.
    safe(&stem.replace(".part", "-part"), MAX_NAME_CHARS, "log")
}

/// The number of the piece that an object of that name is, the last of all for a whole log; `None` for
/// what is no piece.
pub(in crate::archive) fn piece_number(name: &str) -> Option<u32> {
    if !name.ends_with(".log.gz") {
        return None;
    }
    Some(split_part_name(name.as_ref()).map_or(u32::MAX, |(_, number)| number))
}

/// The name of the log that a piece is of.
pub(super) fn log_of_piece(name: &str) -> PathBuf {
    split_part_name(name.as_ref())
        .map_or_else(|| PathBuf::from(name), |(log, _)| PathBuf::from(log))
}
