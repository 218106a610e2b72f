//! From what a person types to the log that is meant.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use super::list::newest_first;
use super::parts::has_parts;
use crate::error::{Error, Result};

/// The log that `name` stands for; without a name the most recently written one.
///
/// A path is looked for as given: an absolute one there, one that begins with `./` or `../` from
/// the current directory `cwd` and then from the trace directory, any other from the trace
/// directory and then from `cwd`. In the trace directory `trace.log` means the most recently
/// written log and `trace.log.<n>.gz` (or `trace.log.<n>`) the n-th before it, unless there are
/// files of those names. A log that is compressed by now is found under its former name, and the
/// reverse.
///
/// A log that was rotated is found by its own name, even if only its parts are left: see
/// [`super::log_files`] for all of its files. The name of a part stands for that part.
pub fn resolve(name: Option<&Path>, directory: &Path, cwd: &Path) -> Result<PathBuf> {
    let Some(name) = name else {
        return nth_newest(directory, 0)?.ok_or_else(|| none_in(directory));
    };
    let mut search = Search::default();
    let alias = name.to_str().and_then(age_in_alias);
    let places = match name.components().next() {
        Some(Component::RootDir) => {
            return match search.at(name.to_owned())?.or(search.pipe.take()) {
                Some(found) => Ok(found),
                None => Err(search.failure(name)),
            };
        }
        Some(Component::CurDir | Component::ParentDir) => [cwd, directory],
        _ => [directory, cwd],
    };
    for place in places {
        if let Some(found) = search.at(place.join(name))? {
            return Ok(found);
        }
        if place == directory
            && let Some(age) = alias
            && let Some(found) = nth_newest(directory, age)?
        {
            return Ok(found);
        }
        if !search.searched.contains(&place) {
            search.searched.push(place);
        }
    }
    if let Some(pipe) = search.pipe {
        return Ok(pipe);
    }
    if alias == Some(0) {
        return Err(none_in(directory));
    }
    Err(search.failure(name))
}

/// The logs that several names stand for, in the order of the names. A directory stands for all logs
/// in it, the least recently written first.
pub fn resolve_all(names: &[PathBuf], directory: &Path, cwd: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for name in names {
        match resolve(Some(name), directory, cwd) {
            Ok(path) => paths.push(path),
            Err(Error::NotAFile { path, kind: "directory" }) => {
                let logs = newest_first(&path)?;
                if logs.is_empty() {
                    return Err(none_in(&path));
                }
                paths.extend(logs.into_iter().rev().map(|entry| entry.path));
            }
            Err(error) => return Err(error),
        }
    }
    if names.is_empty() {
        paths.push(resolve(None, directory, cwd)?);
    }
    Ok(paths)
}

fn none_in(directory: &Path) -> Error {
    Error::NoTraceFiles { dir: directory.to_owned() }
}

fn nth_newest(directory: &Path, age: usize) -> Result<Option<PathBuf>> {
    Ok(newest_first(directory)?.into_iter().nth(age).map(|entry| entry.path))
}

/// How many logs before the newest a name of the older documentation stands for.
fn age_in_alias(name: &str) -> Option<usize> {
    match name.strip_prefix("trace.log")? {
        "" => Some(0),
        rest => {
            let digits = rest.strip_prefix('.')?;
            let digits = digits.strip_suffix(".gz").unwrap_or(digits);
            let is_number =
                digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
            if is_number { digits.parse().ok() } else { None }
        }
    }
}

/// What has been looked at so far.
#[derive(Default)]
struct Search<'a> {
    searched: Vec<&'a Path>,
    /// The first pipe of that name (a FIFO, or a shell's process substitution): who asks for it by name
    /// wants to read what comes through it, unless there is a file of that name elsewhere.
    pipe: Option<PathBuf>,
    /// The first thing of that name that is no file; it is told if there is nothing better.
    not_a_file: Option<Error>,
}

impl Search<'_> {
    /// The file at `path`, or the one that it was compressed to or from, or the log that has parts.
    fn at(&mut self, path: PathBuf) -> Result<Option<PathBuf>> {
        let other = other_form(&path);
        let plain = other.as_ref().filter(|_| is_compressed(&path)).unwrap_or(&path).clone();
        for path in [Some(path), other].into_iter().flatten() {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => return Ok(Some(path)),
                Ok(metadata) if metadata.file_type().is_fifo() => {
                    self.pipe.get_or_insert(path);
                }
                Ok(metadata) => {
                    let kind = kind_of(metadata.file_type());
                    self.not_a_file.get_or_insert(Error::NotAFile { path, kind });
                }
                Err(error) if is_absence(&error) => {}
                Err(error) => return Err(Error::io("look at", path, error)),
            }
        }
        Ok(has_parts(&plain).then_some(plain))
    }

    fn failure(self, name: &Path) -> Error {
        if let Some(error) = self.not_a_file {
            return error;
        }
        if self.searched.is_empty() {
            let searched = name.parent().unwrap_or(name).display().to_string();
            let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Error::NotFound { name, searched };
        }
        let places: Vec<_> =
            self.searched.iter().map(|place| place.display().to_string()).collect();
        Error::NotFound { name: name.to_string_lossy().into_owned(), searched: places.join(" or ") }
    }
}

/// `X.gz` for `X` and `X` for `X.gz`.
fn other_form(path: &Path) -> Option<PathBuf> {
    if is_compressed(path) {
        return Some(path.with_extension(""));
    }
    let mut name = OsString::from(path.file_name()?);
    name.push(".gz");
    Some(path.with_file_name(name))
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// What a file that is no regular file is, in one word.
pub(crate) fn kind_of(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    // InvalidInput: a NUL in the name, which no file has.
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the older documentation, and their neighbours that are just names.
    #[test]
    fn aliases_are_told_from_names() {
        assert_eq!(age_in_alias("trace.log"), Some(0));
        assert_eq!(age_in_alias("trace.log.1"), Some(1));
        assert_eq!(age_in_alias("trace.log.12.gz"), Some(12));
        for name in ["trace.log.gz", "trace.log.0", "trace.log.01.gz", "trace.log.", "trace.log.x"]
        {
            assert_eq!(age_in_alias(name), None, "{name}");
        }
        assert_eq!(age_in_alias("trace.log.99999999999999999999999"), None);
        assert_eq!(age_in_alias("trace-1.log"), None);
    }

    /// Going to the other form and back gives the name again.
    #[test]
    fn forms_are_each_others() {
        assert_eq!(other_form(Path::new("a/x.log")), Some("a/x.log.gz".into()));
        assert_eq!(other_form(Path::new("a/x.log.gz")), Some("a/x.log".into()));
        assert_eq!(other_form(Path::new("/")), None);
    }
}
