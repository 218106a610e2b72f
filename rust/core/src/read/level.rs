//! Levels, as a record names them and as a person asks for them.

use crate::record::RawValue;

use super::WrongValue;
use super::text::Caseless;

/// Which levels are wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LevelChoice {
    AtLeast(i64),
    Exactly(i64),
    /// One whose number is not known.
    Named(Caseless),
}

impl LevelChoice {
    /// `LEVEL` for that level and those above, `=LEVEL` for that level alone. One whose number is
    /// not known stands for itself alone.
    pub(crate) fn parse(text: &str) -> Result<Self, WrongValue> {
        let (name, alone) = match text.trim().strip_prefix('=') {
            Some(name) => (name.trim(), true),
            None => (text.trim(), false),
        };
        if name.is_empty() {
            return Err(WrongValue::Level(text.to_owned()));
        }
        Ok(match number(name.as_bytes()) {
            Some(number) if alone => Self::Exactly(number),
            Some(number) => Self::AtLeast(number),
            None => Self::Named(Caseless::new(name)),
        })
    }

    pub(crate) fn matches(&self, level: RawValue<'_>) -> bool {
        let has_number = |wanted: &dyn Fn(i64) -> bool| {
            level.text().and_then(|name| number(&name)).is_some_and(wanted)
        };
        match self {
            Self::AtLeast(least) => has_number(&|number| number >= *least),
            Self::Exactly(wanted) => has_number(&|number| number == *wanted),
            Self::Named(name) => name.matches(level),
        }
    }
}

/// The number of a level: of Python's own and the format's two by name, of others as Python names
/// them where a program did not (`Level 25`), or as the number itself.
fn number(name: &[u8]) -> Option<i64> {
    const NAMES: [(&[u8], i64); 10] = [
        (b"TRACE", 13),
        (b"HTTP", 15),
        (b"INFO", 20),
        (b"WARNING", 30),
        (b"ERROR", 40),
        (b"CRITICAL", 50),
        (b"DEBUG", 10),
        (b"WARN", 30),
        (b"FATAL", 50),
        (b"NOTSET", 0),
    ];
    // Nearly every record has one of these as it stands here.
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
        return Some(*number);
    }
    let digits = match name.split_at_checked(6) {
        Some((prefix, digits)) if prefix.eq_ignore_ascii_case(b"Level ") => digits,
        _ => name,
    };
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    /// The levels are in the order of their numbers, whatever case they are written in.
    #[test]
    fn levels_have_numbers() {
        let names = [
            "NOTSET", "Level 5", "debug", "Trace", "HTTP", "info", "25", "warn", "Level 35",
            "error", "fatal", "level 99",
        ];
        let numbers: Vec<_> = names.iter().map(|name| number(name.as_bytes())).collect();
        let expected = [0, 5, 10, 13, 15, 20, 25, 30, 35, 40, 50, 99].map(Some);
        assert_eq!(numbers, expected);
        assert_eq!(number(b"WARNING"), number(b"WARN"));
        assert_eq!(number(b"CRITICAL"), number(b"FATAL"));
        for unknown in ["", "SUCCESS", "Level", "Level x", "INFOS", "Level  5"] {
            assert_eq!(number(unknown.as_bytes()), None, "{unknown}");
        }
    }
}
