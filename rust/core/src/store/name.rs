//! The names of logs in a trace directory: `trace-<pid>.log`, and `trace-<pid>-<n>.log` where
//! another run of the same process id has the plain name; with `.gz` once compressed. The parts of a
//! log that was rotated have `.part<nnnn>` before the ending.

use std::ffi::OsStr;
use std::fmt;

use super::part_name::{self, PartNumber};

/// The name of a process's log. Only files of such names are ever renamed, compressed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogName {
    /// The process id in the name.
    pub pid: u32,
    /// What tells it from other runs of the same process id; 0 is not written.
    pub number: u32,
    /// Which part of the log it is, from 1; 0 is not written: the part that is being written, or was
    /// last.
    pub part: u32,
    /// Whether it ends in `.gz`.
    pub is_compressed: bool,
}

impl LogName {
    /// The name of a log that is being written.
    pub fn plain(pid: u32, number: u32) -> Self {
        Self { pid, number, part: 0, is_compressed: false }
    }

    /// Reads a file name; None for any that [`fmt::Display`] would not write just so.
    pub fn parse(name: &OsStr) -> Option<Self> {
        let rest = name.to_str()?.strip_prefix("trace-")?;
        let (rest, is_compressed) =
            rest.strip_suffix(".gz").map_or((rest, false), |rest| (rest, true));
        let rest = rest.strip_suffix(".log")?;
        let (rest, part) = match part_name::split_stem(rest.as_bytes()) {
            Some((stem, part)) => (&rest[..stem.len()], part),
            None => (rest, 0),
        };
        let (pid, number) = match rest.split_once('-') {
            Some((pid, number)) => (pid, positive(number)?),
            None => (rest, 0),
        };
        Some(Self { pid: positive(pid)?, number, part, is_compressed })
    }

    /// The same log's name before it was compressed.
    #[must_use]
    pub fn uncompressed(self) -> Self {
        Self { is_compressed: false, ..self }
    }

    /// The same log's name once it is compressed.
    #[must_use]
    pub fn compressed(self) -> Self {
        Self { is_compressed: true, ..self }
    }

    /// The name of the log that it is, or is a part of, before it was compressed.
    #[must_use]
    pub fn log(self) -> Self {
        Self { part: 0, is_compressed: false, ..self }
    }

    /// The name with another number.
    #[must_use]
    pub fn numbered(self, number: u32) -> Self {
        Self { number, ..self }
    }
}

/// A number from 1 up, written without sign or leading zeroes.
fn positive(digits: &str) -> Option<u32> {
    let is_canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if is_canonical { digits.parse().ok() } else { None }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trace-{}", self.pid)?;
        if self.number != 0 {
            write!(f, "-{}", self.number)?;
        }
        if self.part != 0 {
            write!(f, "{}", PartNumber(self.part))?;
        }
        f.write_str(if self.is_compressed { ".log.gz" } else { ".log" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Names that merely resemble ours are nobody's: they would not read back as written.
    #[test]
    fn lookalikes_are_foreign() {
        for name in [
            "trace-.log",
            "trace-0.log",
            "trace-01.log",
            "trace-+1.log",
            "trace-1-0.log",
            "trace-1-.log",
            "trace-1-2-3.log",
            "trace-1.part1.log",
            "trace-1.part0000.log",
            "trace-1.part00001.log",
            "trace-1.part0001",
            "trace-1.part0001.part0002.log",
            "trace-1.part0001-2.log",
            "trace-.part0001.log",
            "trace-1.log.1.gz",
            "trace-1.jsonl",
            "trace-1.gz",
            "trace-1",
            "trace-1.LOG",
            "xtrace-1.log",
            "trace.log",
            "trace-99999999999.log",
            "trace-1.log.gz.gz",
            "",
        ] {
            assert_eq!(LogName::parse(OsStr::new(name)), None, "{name}");
        }
    }

    proptest! {
        /// What is written reads back.
        #[test]
        fn names_read_back(pid in 1u32.., number: u32, part: u32, is_compressed: bool) {
            let name = LogName { pid, number, part, is_compressed };
            prop_assert_eq!(LogName::parse(OsStr::new(&name.to_string())), Some(name));
        }

        /// Whatever text is taken for a name of ours is written back unchanged.
        #[test]
        fn readable_names_are_canonical(
            text in "trace-[0-9+]{1,11}(-[0-9]{0,3})?([.]part[0-9]{3,6})?[.]log([.]gz)?"
        ) {
            if let Some(name) = LogName::parse(OsStr::new(&text)) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
