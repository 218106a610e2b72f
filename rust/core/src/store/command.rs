//! The command line of the process that writes a log, as it is noted on the log: a JSON array of its
//! words, without secrets, and cut to a length that every file system with extended attributes takes.

use std::fs;

use crate::read::json::string_end;
use crate::read::{to_str_lossy, wtf8};
use crate::redact::redact_json;
use crate::write::json::write_string;

/// Longer words are cut.
const MAX_WORD_CHARS: usize = 200;
/// Words beyond that are left out: an extended attribute shares a block of the disk with others.
const MAX_NOTE_BYTES: usize = 1500;
/// What stands for what is cut or left out.
const CUT: &str = "…";

/// What is noted of a command line; `None` where there is none.
pub(super) fn note_of(words: &[Vec<u8>]) -> Option<String> {
    if words.is_empty() {
        return None;
    }
    // A secret is told by the word before it, too, and is not known any more once it is cut.
    let mut json = Vec::new();
    for word in words {
        json.push(if json.is_empty() { b'[' } else { b',' });
        write_string(&mut json, to_str_lossy(word).as_bytes());
    }
    json.push(b']');
    let mut note = Vec::new();
    for word in words_of(&redact_json(&json)) {
        let mut encoded = Vec::new();
        write_string(&mut encoded, cut(word).as_bytes());
        let is_too_long = note.len() + encoded.len() > MAX_NOTE_BYTES;
        if is_too_long {
            encoded.clear();
            write_string(&mut encoded, CUT.as_bytes());
        }
        note.push(if note.is_empty() { b'[' } else { b',' });
        note.append(&mut encoded);
        if is_too_long {
            break;
        }
    }
    note.push(b']');
    String::from_utf8(note).ok()
}

/// The words of a note, or of any JSON array of strings; what is no string is passed over.
pub(super) fn words_of(json: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(start) = memchr::memchr(b'"', &json[at..]).map(|found| at + found) {
        let Ok((end, _)) = string_end(json, start) else { break };
        let text = wtf8::unescape(&json[start + 1..end - 1]);
        words.push(to_str_lossy(&text).into_owned());
        at = end;
    }
    words
}

/// The command line of a process that runs, as it would be noted; `None` where that can't be told.
pub(super) fn of_process(pid: u32) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    if line.is_empty() {
        return None;
    }
    let words: Vec<Vec<u8>> = line.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    note_of(&words).map(|note| words_of(note.as_bytes()))
}

fn cut(mut word: String) -> String {
    if let Some((at, _)) = word.char_indices().nth(MAX_WORD_CHARS) {
        word.truncate(at);
        word.push_str(CUT);
    }
    word
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::run::MAX_COMMAND_BYTES;
    use super::*;

    fn noted(words: &[&str]) -> Vec<String> {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        words_of(note_of(&words).unwrap().as_bytes())
    }

    /// What is noted are the words, whatever is in them.
    #[test]
    fn words_are_kept() {
        let words = ["python", "a b.py", "", "--x=\"y\"", "é\n\u{1b}[31m", "\\"];
        assert_eq!(noted(&words), words);
        assert_eq!(note_of(&[]), None);
        assert_eq!(words_of(note_of(&[b"a\xff".to_vec()]).unwrap().as_bytes()), ["a\u{fffd}"]);
    }

    /// A secret in a word, after a word that names one, or in a word that is cut is not noted.
    #[test]
    fn secrets_are_not_noted() {
        let key = format!("sk-proj-{}", "a1B2".repeat(12));
        let long = format!("{}{key}", "x ".repeat(MAX_WORD_CHARS / 2 - 4));
        for words in [vec!["python", "--api-key", "hunter2-9"], vec!["a.py", &key], vec![&long]] {
            let note = noted(&words).join(" ");
            assert!(!note.contains("hunter2") && !note.contains("a1B2"), "{note}");
        }
        assert_eq!(noted(&["run", "--password", "hunter2-9"])[2], "REDACTED");
    }

    /// Long words, and many of them, are cut, and it can be seen that they were.
    #[test]
    fn long_command_lines_are_cut() {
        let words = noted(&["python", "-c", &"é".repeat(5000), "end"]);
        assert_eq!(words[2].chars().count(), MAX_WORD_CHARS + 1);
        assert!(words[2].ends_with(CUT) && words[3] == "end");
        let many = noted(&["file.txt"; 1000]);
        assert_eq!(many.last().unwrap(), CUT);
        assert!(many.len() > 100);
    }

    /// A process of that id that runs has a command line; one that does not has none.
    #[test]
    fn own_command_line_is_told() {
        let first = std::env::args().next().unwrap();
        assert_eq!(of_process(std::process::id()).unwrap()[0], first);
        assert_eq!(of_process(u32::MAX), None);
    }

    proptest! {
        /// A note is read back whole, whatever the words.
        #[test]
        fn notes_fit(words in prop::collection::vec(any::<Vec<u8>>(), 0..300)) {
            if let Some(note) = note_of(&words) {
                prop_assert!(note.len() <= MAX_COMMAND_BYTES, "{}", note.len());
                prop_assert!(words_of(note.as_bytes()).len() <= words.len());
            }
        }
    }
}
