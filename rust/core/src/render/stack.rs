//! Where an open action waits, for people.

use super::terminal::cell;
use crate::watch::Frame;

/// So many frames are shown: the innermost one, and the program's own around it.
const MAX_SHOWN: usize = 5;

/// Frames, given as JSON, as lines: the innermost first, then those that called it, but for what
/// libraries call among themselves. A frame of a library counts where it waits for another task.
pub(super) fn stack_lines(json: &[u8]) -> Vec<String> {
    let frames = Frame::read_list(json);
    let Some((innermost, outer)) = frames.split_last() else { return Vec::new() };
    let has_own = outer.iter().any(|frame| !is_of_library(frame));
    // From one task to another is worth a line wherever it happens.
    let tells = |frame: &&Frame| !has_own || !is_of_library(frame) || frame.awaits.is_some();
    let callers = outer.iter().rev().filter(tells);
    std::iter::once(line("at", innermost))
        .chain(callers.take(MAX_SHOWN - 1).map(|frame| line("from", frame)))
        .collect()
}

/// All frames, given as JSON, as lines: the innermost first.
pub(super) fn all_lines(json: &[u8]) -> Vec<String> {
    let frames = Frame::read_list(json);
    let words = std::iter::once("at").chain(std::iter::repeat("from"));
    words.zip(frames.iter().rev()).map(|(word, frame)| line(word, frame)).collect()
}

fn line(word: &str, frame: &Frame) -> String {
    let (function, file) = (cell(&frame.function), cell(&frame.file));
    let mut text = format!("{word} {function} ({file}:{})", frame.line);
    if let Some(awaits) = &frame.awaits {
        text.push_str(", waits for ");
        text.push_str(&cell(awaits));
    }
    text
}

/// Whether code is of a library, or of Python itself, by where it is installed.
fn is_of_library(frame: &Frame) -> bool {
    let file = &frame.file;
    let has = |part: &[u8]| memchr::memmem::find(file, part).is_some();
    file.starts_with(b"<frozen ")
        || [&b"/site-packages/"[..], b"/dist-packages/", b"/lib/python3."].into_iter().any(has)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lines(places: &[(&str, &str)]) -> Vec<String> {
        let frames: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(line, (file, function))| {
                serde_json::json!({"file": file, "line": line, "function": function})
            })
            .collect();
        stack_lines(&serde_json::to_vec(&frames).unwrap())
    }

    /// The innermost frame is shown wherever it is, and the program's own around it.
    #[test]
    fn what_is_shown() {
        let library = "/usr/lib/python3.11/site-packages/x.py";
        assert_eq!(
            lines(&[
                ("m.py", "main"),
                (library, "a"),
                ("m.py", "f"),
                (library, "b"),
                (library, "c")
            ]),
            [
                "at c (/usr/lib/python3.11/site-packages/x.py:4)",
                "from f (m.py:2)",
                "from main (m.py:0)"
            ]
        );
        let own = [("m.py", "f"); 20];
        assert_eq!(lines(&own).len(), MAX_SHOWN);
        assert_eq!(lines(&own)[1], "from f (m.py:18)");
    }

    /// Where libraries are all there is, they are shown.
    #[test]
    fn nothing_but_libraries() {
        let frames = [("<frozen runpy>", "r"), ("/usr/lib/python3.11/a.py", "a"), ("b.py", "b")];
        assert_eq!(
            lines(&frames),
            ["at b (b.py:2)", "from a (/usr/lib/python3.11/a.py:1)", "from r (<frozen runpy>:0)"]
        );
        assert!(lines(&[]).is_empty());
    }

    /// What is waited for is told, also of a library's frame, and no text steers the terminal.
    #[test]
    fn what_is_awaited() {
        let json = br#"[{"file": "a", "line": 2, "function": "h"},
            {"file": "/lib/python3.11/g", "line": 3, "function": "g", "awaits": "task 'u'"},
            {"file": "f\u001b", "line": 1, "function": "g", "awaits": "task 't'"}]"#;
        assert_eq!(
            stack_lines(json),
            [
                "at g (f\\x1b:1), waits for task 't'",
                "from g (/lib/python3.11/g:3), waits for task 'u'",
                "from h (a:2)",
            ]
        );
    }
}
