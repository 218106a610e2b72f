//! Which objects are one log: those that it was rotated to, and the last one.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::read::Log;
use crate::store::{LogFile, split_part_name};

use super::Object;

/// The logs that some objects are, each where its first object is. The parts of a log that was
/// rotated are one with it, also where the log itself is not among them.
pub fn logs_of(objects: impl IntoIterator<Item = Object>) -> Vec<Log> {
    let mut logs: Vec<(PathBuf, BTreeMap<u32, Object>)> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for object in objects {
        let (path, number) = path_of_log(&object);
        // Plain and compressed, it is the same log.
        let name = path.as_os_str().as_bytes();
        let name = name.strip_suffix(b".gz").unwrap_or(name).to_owned();
        let place = *places.entry(name).or_insert(logs.len());
        if place == logs.len() {
            logs.push((path.clone(), BTreeMap::new()));
        }
        let (known, files) = &mut logs[place];
        if number == u32::MAX && !files.contains_key(&number) {
            *known = path;
        }
        files.entry(number).or_insert(object);
    }
    let log = |(path, files): (PathBuf, BTreeMap<u32, Object>)| {
        Log::of_files(&path, files.values().map(LogFile::of_object).collect())
    };
    logs.into_iter().map(log).collect()
}

/// The log that is called so, and has these objects as its files.
pub fn log_of(name: &Path, objects: &[Object]) -> Log {
    Log::of_files(name, objects.iter().map(LogFile::of_object).collect())
}

/// The path of the log that an object belongs to, and the number of its part; the last one has the
/// greatest.
fn path_of_log(object: &Object) -> (PathBuf, u32) {
    let path = object.path();
    let part = path.file_name().and_then(split_part_name);
    match part {
        Some((log, number)) => (path.with_file_name::<OsString>(log), number),
        None => (path.to_owned(), u32::MAX),
    }
}
