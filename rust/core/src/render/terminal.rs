//! Text that cannot steer a terminal, and file names that can be pasted into a shell.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::read::to_str_lossy;

/// The text with everything that could steer a terminal, or hide or reorder what it shows, made
/// visible as an escape: control characters (`\x1b`, `\n`), directional overrides, other
/// invisible format characters, lone surrogates (`\u202e`). Letters, marks and emoji stay.
pub fn terminal_safe(wtf8: &[u8]) -> String {
    let mut out = String::with_capacity(wtf8.len());
    push_safe(&mut out, wtf8);
    out
}

fn push_safe(out: &mut String, wtf8: &[u8]) {
    let mut rest = wtf8;
    while !rest.is_empty() {
        let (text, after) = split_at_surrogate(rest);
        for character in to_str_lossy(text).chars() {
            match character {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                hidden if is_unsafe(hidden) => push_escape(out, u32::from(hidden)),
                plain => out.push(plain),
            }
        }
        if let Some(surrogate) = after.get(..3) {
            let low_six = |index: usize| u32::from(surrogate[index] & 0x3f);
            push_escape(out, 0xd000 | low_six(1) << 6 | low_six(2));
        }
        rest = after.get(3..).unwrap_or_default();
    }
}

fn split_at_surrogate(wtf8: &[u8]) -> (&[u8], &[u8]) {
    let at = memchr::memchr_iter(0xed, wtf8).find(|&at| {
        matches!(wtf8.get(at + 1), Some(0xa0..=0xbf))
            && matches!(wtf8.get(at + 2), Some(0x80..=0xbf))
    });
    wtf8.split_at(at.unwrap_or(wtf8.len()))
}

fn push_escape(out: &mut String, code_point: u32) {
    // Writing into a String cannot fail.
    let _ = match code_point {
        0..=0xff => write!(out, "\\x{code_point:02x}"),
        0x100..=0xffff => write!(out, "\\u{code_point:04x}"),
        _ => write!(out, "\\U{code_point:08x}"),
    };
}

/// Characters that steer, reorder or hide instead of showing something, as ranges in order. The
/// joiners (U+200C, U+200D) and the variation selectors are not among them: several scripts and
/// most emoji need them, and they cannot forge a line.
const UNSAFE: &[(char, char)] = &[
    ('\0', '\u{1f}'),           // C0 controls
    ('\u{7f}', '\u{9f}'),       // DEL, C1 controls
    ('\u{ad}', '\u{ad}'),       // soft hyphen
    ('\u{34f}', '\u{34f}'),     // combining grapheme joiner
    ('\u{600}', '\u{605}'),     // Arabic number signs
    ('\u{61c}', '\u{61c}'),     // Arabic letter mark
    ('\u{6dd}', '\u{6dd}'),     // Arabic end of ayah
    ('\u{70f}', '\u{70f}'),     // Syriac abbreviation mark
    ('\u{115f}', '\u{1160}'),   // Hangul fillers
    ('\u{17b4}', '\u{17b5}'),   // Khmer inherent vowels
    ('\u{180e}', '\u{180e}'),   // Mongolian vowel separator
    ('\u{200b}', '\u{200b}'),   // zero width space
    ('\u{200e}', '\u{200f}'),   // directional marks
    ('\u{2028}', '\u{202e}'),   // line and paragraph separators, embeddings, overrides
    ('\u{2060}', '\u{206f}'),   // word joiner, invisible operators, isolates
    ('\u{3164}', '\u{3164}'),   // Hangul filler
    ('\u{feff}', '\u{feff}'),   // byte order mark
    ('\u{ffa0}', '\u{ffa0}'),   // halfwidth Hangul filler
    ('\u{fff9}', '\u{fffb}'),   // interlinear annotation
    ('\u{1bca0}', '\u{1bca3}'), // shorthand format controls
    ('\u{1d173}', '\u{1d17a}'), // musical format controls
    ('\u{e0000}', '\u{e0fff}'), // tags
];

/// Whether a character steers, reorders or hides instead of showing something.
pub(crate) fn is_unsafe(character: char) -> bool {
    if matches!(character, ' '..='~') {
        return false;
    }
    let after = UNSAFE.partition_point(|&(first, _)| first <= character);
    after > 0 && character <= UNSAFE[after - 1].1
}

/// The text as one line of a table: safe, and with a mark where its lines broke, so that no text
/// can look like a row of its own.
pub(crate) fn cell(wtf8: &[u8]) -> String {
    let mut out = String::with_capacity(wtf8.len());
    let trimmed = wtf8.trim_ascii();
    for (index, line) in trimmed.split(|&byte| byte == b'\n').enumerate() {
        if index > 0 {
            out.push_str(" ↵ ");
        }
        // Tabs are for layout, and so are spaces here.
        for (index, part) in line.trim_ascii_end().split(|&byte| byte == b'\t').enumerate() {
            if index > 0 {
                out.push(' ');
            }
            push_safe(&mut out, part);
        }
    }
    out
}

/// The text with its lines and tabs as they are, and everything else that steers, hides or reorders made
/// visible.
pub(super) fn safe_lines(wtf8: &[u8]) -> String {
    let mut out = String::with_capacity(wtf8.len());
    for (index, line) in wtf8.split(|&byte| byte == b'\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        for (index, part) in line.split(|&byte| byte == b'\t').enumerate() {
            if index > 0 {
                out.push('\t');
            }
            push_safe(&mut out, part);
        }
    }
    out
}

/// A path or word as a POSIX shell takes it: quoted only where it must be.
pub fn shell_quote(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', "'\"'\"'")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthChar as _;

    use super::*;

    /// Escape sequences, hyperlinks, overrides and tags lose their effect and stay visible.
    #[test]
    fn steering_characters_are_shown() {
        for (text, expected) in [
            ("\u{1b}[31mred", "\\x1b[31mred"),
            ("\u{1b}]8;;http://x\u{7}y", "\\x1b]8;;http://x\\x07y"),
            ("a\u{9b}1m", "a\\x9b1m"),
            ("\u{202e}gnp.exe", "\\u202egnp.exe"),
            ("a\u{2066}b\u{2069}", "a\\u2066b\\u2069"),
            ("a\rb\nc\td", "a\\rb\\nc\\td"),
            ("\u{e0041}", "\\U000e0041"),
            ("\u{200b}\u{feff}\u{ad}\u{2028}", "\\u200b\\ufeff\\xad\\u2028"),
            ("[bold]é日本👩\u{200d}💻", "[bold]é日本👩\u{200d}💻"),
        ] {
            assert_eq!(terminal_safe(text.as_bytes()), expected);
        }
    }

    /// Lone surrogates and bytes that are no text are shown, too.
    #[test]
    fn what_is_no_text_is_shown() {
        assert_eq!(terminal_safe(b"a\xed\xa0\x80b\xed\xbf\xbf"), "a\\ud800b\\udfff");
        assert_eq!(terminal_safe(b"a\xffb\xed\xa0"), "a\u{fffd}b\u{fffd}\u{fffd}");
    }

    /// A cell is one line, whatever the text.
    #[test]
    fn cells_are_one_line() {
        assert_eq!(cell(b" a\r\n  b\tc\n"), "a ↵   b c");
        assert_eq!(cell(b"\n\n"), "");
    }

    /// Lines and tabs stay, and nothing else that is invisible.
    #[test]
    fn lines_stay() {
        assert_eq!(safe_lines(b"a\r\n\tb\rc\x1b\n"), "a\n\tb\\rc\\x1b\n");
        assert_eq!(safe_lines("\u{202e}</script>".as_bytes()), "\\u202e</script>");
    }

    /// What needs no quotes gets none; a quote cannot end the quoting.
    #[test]
    fn names_are_quoted_for_the_shell() {
        assert_eq!(shell_quote("/tmp/trace-1.log"), "/tmp/trace-1.log");
        assert_eq!(shell_quote(""), "''");
        assert_eq!(shell_quote("a b'c"), "'a b'\"'\"'c'");
    }

    proptest! {
        /// Nothing that comes out has a character without a width, joiners and marks apart.
        #[test]
        fn nothing_unsafe_comes_out(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            for wtf8 in [&bytes[..], text.as_bytes()] {
                for character in terminal_safe(wtf8).chars().chain(cell(wtf8).chars()) {
                    prop_assert!(!is_unsafe(character), "{character:?}");
                    prop_assert!(character.width().is_some());
                }
            }
        }
    }
}
