//! One thing in a log that a reader cannot use, or has to repair.

use std::fmt;

use crate::fields::Fields;
use crate::record::Name;

use super::Kind;
use super::skipped::{count, thousands};

/// What is wrong at one place of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// The line it is in, from 1; it is not known of damage to the compressed file.
    pub line: Option<u64>,
    /// Where it begins in the (decompressed) log, in bytes.
    pub byte: u64,
    /// How many bytes of the (decompressed) log it takes up: none where something is missing.
    pub length: u64,
    /// What it is.
    pub kind: ProblemKind,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A line, or a part of one, is not JSON.
    NotJson,
    /// A line is cut off by the end of the log, or by damage to the file.
    CutOff,
    /// The last line has no end yet, but whoever writes the log is alive: no failure.
    Unfinished,
    /// A line is JSON but no object.
    NotObject,
    /// An object has no timestamp, level or message.
    MissingFields(MissingFields),
    /// The `action` of a record is not understood, for this reason; the record is kept.
    InvalidAction(&'static str),
    /// Invalid UTF-8 in a record, from this byte on, was replaced; the record is kept.
    InvalidUtf8,
    /// NUL bytes one behind the other.
    NulBytes,
    /// A line is longer than [`super::MAX_LINE_BYTES`].
    TooLong {
        /// Whether a newline ends it, and not a NUL byte, the end of the log or damage.
        newline: bool,
    },
    /// The compressed file is damaged, or something is missing.
    GzipDamage {
        /// Where this was noticed, in bytes of the compressed file.
        compressed_byte: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}

impl ProblemKind {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// The names of all kinds, by [`Self::index`], and how they are counted in words.
    pub(crate) const NAMES: [(&'static str, &'static str); Self::COUNT] = [
        ("not_json", "not JSON"),
        ("cut_off", "cut off"),
        ("unfinished", "unfinished"),
        ("not_object", "not a JSON object"),
        ("missing_fields", "without timestamp, level or message"),
        ("invalid_action", "with an action not understood"),
        ("invalid_utf8", "with invalid UTF-8"),
        ("nul_bytes", "with NUL bytes"),
        ("too_long", "too long"),
        ("gzip_damage", "in the compressed data"),
    ];

    /// Its number among the kinds.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::NotJson => 0,
            Self::CutOff => 1,
            Self::Unfinished => 2,
            Self::NotObject => 3,
            Self::MissingFields(_) => 4,
            Self::InvalidAction(_) => 5,
            Self::InvalidUtf8 => 6,
            Self::NulBytes => 7,
            Self::TooLong { .. } => 8,
            Self::GzipDamage { .. } => 9,
        }
    }

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        Self::NAMES[self.index()].0
    }
}

impl Problem {
    /// What is wrong, in words of our own: nothing of the log's text.
    pub fn reason(&self) -> String {
        let bytes = count(self.length, "byte", "bytes");
        match self.kind {
            ProblemKind::NotJson => format!("not JSON ({bytes})"),
            ProblemKind::CutOff => format!("cut off after {bytes}"),
            ProblemKind::Unfinished => {
                format!("unfinished after {bytes}, and may be being written: its process lives")
            }
            ProblemKind::NotObject => format!("not a JSON object ({bytes})"),
            ProblemKind::MissingFields(missing) => missing.to_string(),
            ProblemKind::InvalidAction(reason) => {
                format!("action not understood: {reason} (the record is kept)")
            }
            ProblemKind::InvalidUtf8 => {
                "invalid UTF-8 (the record is kept, with U+FFFD in its place)".to_owned()
            }
            ProblemKind::NulBytes => count(self.length, "NUL byte", "NUL bytes"),
            ProblemKind::TooLong { .. } => {
                format!("longer than 32 MiB ({} bytes)", thousands(self.length))
            }
            ProblemKind::GzipDamage { reason, .. } => reason.to_owned(),
        }
    }

    /// Where the next byte is that it does not take up.
    pub(crate) fn end(&self) -> u64 {
        self.byte + self.length
    }
}

/// How many problems there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProblemCounts([u64; ProblemKind::COUNT]);

impl ProblemCounts {
    /// Counts one more.
    pub fn add(&mut self, kind: ProblemKind) {
        self.0[kind.index()] += 1;
    }

    /// How many there are of a kind, whatever else is told of it.
    pub fn of(&self, kind: ProblemKind) -> u64 {
        self.0[kind.index()]
    }

    /// How many there are at all.
    pub fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many count as a failure: all but a line that is just being written.
    pub fn failures(&self) -> u64 {
        self.all() - self.of(ProblemKind::Unfinished)
    }

    pub(crate) fn has_damage(&self) -> bool {
        self.of(ProblemKind::GzipDamage { compressed_byte: 0, reason: "" }) > 0
    }

    /// Name, words and number of each kind.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        ProblemKind::NAMES.iter().zip(self.0).map(|(&(name, words), count)| (name, words, count))
    }
}

/// What is wrong with a field that each record has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Nothing,
    Missing,
    NotText,
}

/// Which of the fields that each record has to have are missing, or no texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingFields([Want; 3]);

impl MissingFields {
    const NAMES: [(&'static str, Name); 3] =
        [("timestamp", Name::Timestamp), ("level", Name::Level), ("message", Name::Message)];

    pub(crate) fn of(fields: &Fields) -> Self {
        Self(Self::NAMES.map(|(_, name)| match fields.find(name).map(|field| field.kind) {
            Some(Kind::String { .. }) => Want::Nothing,
            Some(_) => Want::NotText,
            None => Want::Missing,
        }))
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let wants = Self::NAMES.into_iter().zip(self.0);
        wants.filter(|(_, want)| *want != Want::Nothing).map(|((name, _), _)| name)
    }
}

impl fmt::Display for MissingFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for ((name, _), want) in Self::NAMES.into_iter().zip(self.0) {
            match want {
                Want::Nothing => continue,
                Want::Missing => write!(f, "{separator}no {name}")?,
                Want::NotText => write!(f, "{separator}{name} is not a text")?,
            }
            separator = ", ";
        }
        Ok(())
    }
}
