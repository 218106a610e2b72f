//! What a reader could not use, or had to repair: counted, and told in one line.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Log, Problem};
use crate::analyze::is_few;
use crate::store::LogFile;

/// Why, in words of our own. (By this name, derived code does not take it for borrowed.)
type Reason = &'static str;

/// The place of the first line of its sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The line, from 1.
    pub line: u64,
    /// Where it begins in the (decompressed) log, in bytes.
    pub byte: u64,
    /// What was wrong, in words.
    #[serde(deserialize_with = "reason")]
    pub reason: Reason,
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, byte) = (thousands(self.line), thousands(self.byte));
        write!(f, "line {line}, byte {byte}: {}", self.reason)
    }
}

/// Counters of what was skipped or repaired. Those of consecutive parts of a log add up with
/// [`Self::merge`], however the log was split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Lines that are not JSON.
    pub not_json: u64,
    /// Lines that are JSON but no object.
    pub not_object: u64,
    /// Objects without timestamp, level or message.
    pub missing_fields: u64,
    /// Records with an `action` whose fields are not those of an action record; they are kept as
    /// plain records.
    pub invalid_actions: u64,
    /// Records in which invalid UTF-8 was replaced.
    pub repaired_utf8: u64,
    /// NUL bytes between records.
    pub nul_bytes: u64,
    /// Lines longer than [`super::MAX_LINE_BYTES`].
    pub too_long_lines: u64,
    /// Lines cut off by the end of the log, or by damage to the file.
    pub torn_lines: u64,
    /// Places where compressed data is damaged or missing.
    pub gzip_damaged: u64,
    /// Where the first of them is, in bytes of the compressed file, and what is wrong there.
    #[serde(deserialize_with = "damage")]
    pub first_damage: Option<(u64, &'static str)>,
    /// The first line that was skipped.
    pub first: Option<Example>,
    /// The first record counted in `invalid_actions`.
    pub first_invalid_action: Option<Example>,
    /// Newlines seen: what makes line numbers add up.
    pub lines: u64,
    /// One by one, what is wrong with the file itself (damage, overlong lines: there is not much of
    /// that), and with lines if `lists_lines` says so.
    #[serde(skip)]
    pub problems: Vec<Problem>,
    /// Whether `problems` is to have those of lines, too.
    #[serde(skip)]
    pub lists_lines: bool,
}

impl Skipped {
    /// Adds the counters of the part of the log that follows.
    pub fn merge(&mut self, later: &Self) {
        let shift = |example: Option<Example>| {
            example.map(|example| Example { line: example.line + self.lines, ..example })
        };
        self.problems.extend(later.problems.iter().map(|problem| Problem {
            line: problem.line.map(|line| line + self.lines),
            ..*problem
        }));
        self.first = self.first.or_else(|| shift(later.first));
        self.first_invalid_action =
            self.first_invalid_action.or_else(|| shift(later.first_invalid_action));
        self.first_damage = self.first_damage.or(later.first_damage);
        self.not_json += later.not_json;
        self.not_object += later.not_object;
        self.missing_fields += later.missing_fields;
        self.invalid_actions += later.invalid_actions;
        self.repaired_utf8 += later.repaired_utf8;
        self.nul_bytes += later.nul_bytes;
        self.too_long_lines += later.too_long_lines;
        self.torn_lines += later.torn_lines;
        self.gzip_damaged += later.gzip_damaged;
        self.lines += later.lines;
    }

    /// Whether it is one that can be.
    pub(crate) fn is_sound(&self) -> bool {
        let examples = [self.first, self.first_invalid_action];
        let counts = [
            self.not_json,
            self.not_object,
            self.missing_fields,
            self.invalid_actions,
            self.repaired_utf8,
            self.nul_bytes,
            self.too_long_lines,
            self.torn_lines,
            self.gzip_damaged,
            self.lines,
        ];
        counts.into_iter().all(is_few)
            && examples.iter().flatten().all(|example| is_few(example.line))
    }

    /// How many lines gave no record.
    pub fn lines_skipped(&self) -> u64 {
        self.not_json
            + self.not_object
            + self.missing_fields
            + self.too_long_lines
            + self.torn_lines
    }

    /// One line for stderr on all of this, without a newline; `None` when there is nothing to
    /// tell. Only the name of the file is shown, not its directory.
    pub fn summary(&self, path: &Path) -> Option<String> {
        let mut parts = Vec::new();
        if let Some((offset, reason)) = self.first_damage {
            let more = match self.gzip_damaged {
                0 | 1 => String::new(),
                places => format!(" and in {}", count(places - 1, "more place", "more places")),
            };
            let offset = thousands(offset);
            parts.push(format!("compressed data damaged at byte {offset} ({reason}){more}"));
        }
        let skipped = self.lines_skipped();
        if skipped > 0 {
            let mut part = format!("skipped {}", count(skipped, "line", "lines"));
            if let Some(first) = self.first {
                let which = if skipped == 1 { "" } else { "first: " };
                let _ = write!(part, " ({which}{first})");
            }
            parts.push(part);
        }
        if self.invalid_actions > 0 {
            let mut part =
                format!("{} not understood", count(self.invalid_actions, "action", "actions"));
            if let Some(first) = self.first_invalid_action {
                let which = if self.invalid_actions == 1 { "" } else { "first: " };
                let _ = write!(part, " ({which}{first})");
            }
            parts.push(part);
        }
        if self.repaired_utf8 > 0 {
            let records = count(self.repaired_utf8, "record", "records");
            parts.push(format!("{records} with invalid UTF-8 repaired"));
        }
        if self.nul_bytes > 0 {
            parts.push(format!("{} ignored", count(self.nul_bytes, "NUL byte", "NUL bytes")));
        }
        if parts.is_empty() {
            return None;
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Some(format!("{}: {}", crate::render::terminal_safe(name.as_bytes()), parts.join("; ")))
    }
}

/// What was skipped in the files of a log.
#[derive(Debug, Clone)]
pub struct SkippedFiles {
    files: Vec<(PathBuf, Skipped)>,
}

impl SkippedFiles {
    /// Nothing so far.
    pub fn of(log: &Log) -> Self {
        let file = |file: &LogFile| (file.path().to_owned(), Skipped::default());
        Self { files: log.files.iter().map(file).collect() }
    }

    /// Adds the counters of what follows in the file of that number.
    pub fn merge(&mut self, file: usize, later: &Skipped) {
        self.files[file].1.merge(later);
    }

    /// What was skipped in these files.
    pub(crate) fn of_files(files: Vec<(PathBuf, Skipped)>) -> Self {
        Self { files }
    }

    /// Each file, and what was skipped in it.
    pub(crate) fn into_files(self) -> Vec<(PathBuf, Skipped)> {
        self.files
    }

    /// All of it. Of several files, lines are counted through, and bytes are those of each file.
    pub fn total(&self) -> Skipped {
        let mut total = Skipped::default();
        for (_, skipped) in &self.files {
            total.merge(skipped);
        }
        total
    }

    /// One line for each file of which there is something to tell: see [`Skipped::summary`].
    pub fn notes(&self) -> Vec<String> {
        self.files.iter().filter_map(|(path, skipped)| skipped.summary(path)).collect()
    }
}

/// So many reasons that come from elsewhere are kept, for ever: those of one version are fewer.
const MAX_REASONS: usize = 200;
/// None is longer.
const MAX_REASON_BYTES: usize = 200;

/// A reason that somebody else wrote down.
fn kept_reason(reason: &str) -> &'static str {
    static REASONS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut reasons = REASONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = reasons.get(reason) {
        return known;
    }
    if reasons.len() >= MAX_REASONS || reason.len() > MAX_REASON_BYTES {
        return "for another reason";
    }
    let kept: &'static str = Box::leak(reason.into());
    reasons.insert(kept);
    kept
}

fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
    String::deserialize(deserializer).map(|reason| kept_reason(&reason))
}

fn damage<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<(u64, &'static str)>, D::Error> {
    let told = Option::<(u64, String)>::deserialize(deserializer)?;
    Ok(told.map(|(at, reason)| (at, kept_reason(&reason))))
}

pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// The number with a comma between thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
