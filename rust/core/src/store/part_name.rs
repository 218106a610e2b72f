//! The names of the parts of a log that was rotated: `x.log` becomes `x.part0001.log`, the next one
//! `x.part0002.log`, and so on; each with `.gz` once compressed. Any name can be that of a log.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// The endings that stay at the end. What has another one gets the number behind it.
const ENDINGS: [&[u8]; 2] = [b".log", b".jsonl"];
const MARK: &[u8] = b".part";
const MIN_DIGITS: usize = 4;

/// The number of a part as it stands in a name, from `.part0001` on.
pub(super) struct PartNumber(pub(super) u32);

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".part{:0width$}", self.0, width = MIN_DIGITS)
    }
}

/// The path of part `part` (from 1) of the log at `log`, before it is compressed.
pub fn part_path(log: &Path, part: u32) -> PathBuf {
    let name = log.file_name().unwrap_or_default().as_bytes();
    let (stem, ending) = split_ending(name);
    let mut bytes = stem.to_vec();
    bytes.extend_from_slice(PartNumber(part).to_string().as_bytes());
    bytes.extend_from_slice(ending);
    log.with_file_name(OsString::from_vec(bytes))
}

/// The name of the log that a file is a part of, and the number of the part, compressed or not;
/// `None` for any name that is not that of a part.
pub fn split_part_name(name: &OsStr) -> Option<(OsString, u32)> {
    let name = name.as_bytes();
    let name = name.strip_suffix(b".gz").unwrap_or(name);
    let (rest, ending) = split_ending(name);
    let (stem, part) = split_stem(rest)?;
    // With the ending behind the number, the name would be another one's.
    if stem.is_empty() || (ending.is_empty() && !split_ending(stem).1.is_empty()) {
        return None;
    }
    let log = OsString::from_vec([stem, ending].concat());
    // `.` and `..` are no names of files.
    (Path::new(&log).file_name() == Some(&log)).then_some((log, part))
}

/// What stands before the number of a part at the end of `stem`, and that number.
pub(super) fn split_stem(stem: &[u8]) -> Option<(&[u8], u32)> {
    let at = memchr::memmem::rfind(stem, MARK)?;
    let digits = std::str::from_utf8(&stem[at + MARK.len()..]).ok()?;
    let part: u32 = digits.parse().ok().filter(|&part| part != 0)?;
    (PartNumber(part).to_string().as_bytes() == &stem[at..]).then_some((&stem[..at], part))
}

/// A name without its ending, and the ending, which is empty where it is none of those known.
fn split_ending(name: &[u8]) -> (&[u8], &[u8]) {
    for ending in ENDINGS {
        if let Some(stem) = name.strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            return (stem, &name[stem.len()..]);
        }
    }
    (name, &[])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn part_name(log: &str, part: u32) -> String {
        part_path(Path::new(log), part).to_str().unwrap().to_owned()
    }

    /// The number stands before an ending that is known, and else at the end.
    #[test]
    fn the_number_stands_before_the_ending() {
        assert_eq!(part_name("a.d/x.log", 1), "a.d/x.part0001.log");
        assert_eq!(part_name("/x.y.jsonl", 12345), "/x.y.part12345.jsonl");
        assert_eq!(part_name("x.txt", 2), "x.txt.part0002");
        assert_eq!(part_name("trace", 3), "trace.part0003");
        assert_eq!(part_name(".log", 3), ".log.part0003");
    }

    /// Names that merely resemble those of parts are logs of their own.
    #[test]
    fn lookalikes_are_no_parts() {
        for name in [
            "x.part1.log",
            "x.part0000.log",
            "x.part00001.log",
            "x.part+001.log",
            "x.part0001.log.1",
            "x.log.part0001",
            "x.part.log",
            "x.part99999999999.log",
            ".part0001.log",
            ".part0001",
            "part0001.log",
            "x.PART0001.log",
            "",
        ] {
            assert_eq!(split_part_name(OsStr::new(name)), None, "{name}");
        }
    }

    proptest! {
        /// The name of a part leads back to its log, compressed or not.
        #[test]
        fn parts_lead_back(
            stem in "[a-z][a-z.0-9]{0,5}([.]part0001)?", ending in "([.]log|[.]jsonl|[.]txt)?",
            part in 1u32.., gz in "([.]gz)?",
        ) {
            let log = stem + &ending;
            let name = part_name(&log, part) + &gz;
            prop_assert_eq!(split_part_name(OsStr::new(&name)), Some((log.into(), part)));
        }

        /// What is taken for a part has the name that the part of that log has.
        #[test]
        fn part_names_are_canonical(name in "[ax.]{0,3}([.]part[0-9]{3,5}){0,2}([.]log|[.]txt)?") {
            if let Some((log, part)) = split_part_name(OsStr::new(&name)) {
                prop_assert_eq!(part_name(log.to_str().unwrap(), part), name);
            }
        }
    }
}
