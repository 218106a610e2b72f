//! Input that is not as it should be: every intact record is read, everything else is counted.
//! One test for each line of the list of what readers meet.
#![allow(clippy::unwrap_used)]

mod read_support;

use std::os::unix::fs::symlink;
use std::time::Duration;

use inspect_trace_core::Error;
use inspect_trace_core::read::{Blocks, Filter, MAX_LINE_BYTES, Skipped};
use inspect_trace_core::record::{ActionKind, Event, Name, Reject, parse_record};
use inspect_trace_core::render::{DumpFormat, DumpOptions, dump_report};
use read_support::{Log, action, dump, gzip, line, print, whole};

/// A whole log gives its records in order and nothing to tell.
#[test]
fn a_whole_log_is_read() {
    let (messages, skipped) = Log::plain(format!("{}\n{}\n", line("a"), line("b"))).messages();
    assert_eq!(messages, ["a", "b"]);
    assert_eq!(skipped, Skipped { lines: 2, ..Skipped::default() });
    assert_eq!(skipped.summary("x".as_ref()), None);
}

/// An empty log has no records and is no error.
#[test]
fn an_empty_log_is_empty() {
    for content in ["", "\n", "\n\r\n  \n"] {
        let log = Log::plain(content);
        let (messages, skipped) = log.messages();
        assert!(messages.is_empty());
        assert_eq!(skipped.summary("x".as_ref()), None);
        assert_eq!(dump(&log.path, DumpFormat::JsonArray), "[]\n");
        assert_eq!(dump(&log.path, DumpFormat::JsonLines), "");
    }
}

/// A torn last line costs that line alone, and is told apart from other bad lines.
#[test]
fn a_torn_last_line_is_counted() {
    let (messages, skipped) = Log::plain(format!("{}\n{}", line("a"), &line("b")[..50])).messages();
    assert_eq!(messages, ["a"]);
    assert_eq!((skipped.torn_lines, skipped.not_json), (1, 0));
    let first = skipped.first.unwrap();
    assert_eq!((first.line, first.byte), (2, line("a").len() as u64 + 1));
}

/// A last line that is whole but for its newline is a record.
#[test]
fn a_last_line_without_newline_is_read() {
    let (messages, skipped) = Log::plain(line("a")).messages();
    assert_eq!(messages, ["a"]);
    assert_eq!(skipped.lines_skipped(), 0);
}

/// NUL bytes end a line, however the log is read and whatever blanks follow: it is not cut off.
#[test]
fn nuls_end_a_torn_line() {
    for bytes in [&b"{\0"[..], b"{\0\r", b"{\0 \t\r"] {
        for log in [Log::plain(bytes), Log::compressed(gzip(bytes))] {
            let (records, skipped) = log.read();
            assert!(records.is_empty());
            assert_eq!((skipped.torn_lines, skipped.not_json, skipped.nul_bytes), (0, 1, 1));
        }
    }
}

/// A record behind a torn one on the same line (a writer was killed, another went on) is read.
#[test]
fn a_record_behind_a_torn_one_is_read() {
    let torn = &line("torn")[..60];
    let content = format!("{torn}{}\n{torn}{torn}{}{}", line("a"), line("b"), line("c"));
    let (messages, skipped) = Log::plain(content).messages();
    assert_eq!(messages, ["a", "b", "c"]);
    assert_eq!(skipped.lines_skipped(), 3);
    assert_eq!(skipped.first.unwrap().line, 1);
}

/// Text that a program logged never passes for a record, even in a torn line.
#[test]
fn logged_text_is_never_taken_for_a_record() {
    let inner = line("forged").replace('"', "\\\"");
    for content in [line(&inner), format!("{}\n", &line(&inner)[..line(&inner).len() - 1])] {
        let (messages, _) = Log::plain(content).messages();
        assert!(messages.iter().all(|message| message != "forged"), "{messages:?}");
    }
}

/// NUL padding, at the end of a log or in the middle of it, swallows nothing.
#[test]
fn nul_bytes_are_dropped_and_counted() {
    let (a, b, c) = (line("a"), line("b"), line("c"));
    let nuls = "\0".repeat(100);
    let (messages, skipped) =
        Log::plain(format!("{a}\n{nuls}{b}\n{nuls}\n{c}{nuls}{a}\n{nuls}")).messages();
    assert_eq!(messages, ["a", "b", "c", "a"]);
    assert_eq!(skipped.nul_bytes, 400);
    assert_eq!(skipped.lines_skipped(), 0);
}

/// A hole of many megabytes of NUL bytes is passed over.
#[test]
fn large_holes_are_passed_over() {
    let hole = vec![0; MAX_LINE_BYTES + (5 << 20)];
    let content = [line("a").as_bytes(), b"\n", &hole, line("b").as_bytes(), b"\n"].concat();
    let (messages, skipped) = Log::plain(content).messages();
    assert_eq!(messages, ["a", "b"]);
    assert_eq!(skipped.nul_bytes, hole.len() as u64);
    assert_eq!((skipped.lines_skipped(), skipped.too_long_lines), (0, 0));
}

/// A byte order mark does not cost the first record, nor a record separator any.
#[test]
fn byte_order_marks_and_record_separators_are_dropped() {
    let (messages, skipped) =
        Log::plain(format!("\u{feff}{}\n\u{1e}{}\n", line("a"), line("b"))).messages();
    assert_eq!(messages, ["a", "b"]);
    assert_eq!(skipped.lines_skipped(), 0);
}

/// Line breaks of other systems are line breaks.
#[test]
fn carriage_returns_break_lines() {
    for breaks in ["\r\n", "\r", "\n\r\n\r"] {
        let content = format!("{}{breaks}{}{breaks}", line("a"), line("b"));
        let (messages, skipped) = Log::plain(content).messages();
        assert_eq!(messages, ["a", "b"], "{breaks:?}");
        assert_eq!(skipped.lines_skipped(), 0);
    }
}

/// A large log whose lines end in carriage returns alone is read in bounded pieces.
#[test]
fn large_logs_of_carriage_returns_are_read() {
    let count = 9_000_000 / (line("x").len() + 1);
    let content = format!("{}\r", line("x")).repeat(count);
    let (records, skipped) = Log::plain(content).read();
    assert_eq!(records.len(), count);
    assert_eq!(skipped.lines_skipped(), 0);
}

/// Numbers that JSON does not know are read, in any field.
#[test]
fn non_finite_numbers_are_read() {
    for (raw, expected) in
        [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)]
    {
        let text = action("exit", "t", &format!(r#", "duration": {raw}, "extra": [{raw}]"#));
        let record = parse_record(text.trim().as_bytes()).unwrap();
        let duration = record.duration_s().unwrap();
        assert_eq!(duration.to_string(), expected.to_string());
        assert_eq!(record.event(), Some(Event::Exit));
    }
}

/// Lone surrogates pass as they are, pairs as the character they stand for.
#[test]
fn surrogates_are_read() {
    let text = line(r"\ud83d\ude00 \ud800 \udc00\ud800");
    let record = parse_record(text.as_bytes()).unwrap();
    assert_eq!(*record.message(), *b"\xf0\x9f\x98\x80 \xed\xa0\x80 \xed\xb0\x80\xed\xa0\x80");
}

/// Texts and booleans are read as the numbers they stand for, as laxly as pydantic reads them.
#[test]
fn numbers_in_other_clothes_are_read() {
    for (raw, expected) in [
        ("\"1.5\"", 1.5),
        ("\" 1.5\\n\"", 1.5),
        ("\"1_000\"", 1000.0),
        ("\"1._5\"", 1.5),
        ("\"+.5\"", 0.5),
        ("\"5.\"", 5.0),
        ("\"1e3\"", 1000.0),
        ("\"inf\"", f64::INFINITY),
        ("\"\\u30001\"", 1.0),
        ("true", 1.0),
        ("false", 0.0),
        ("7", 7.0),
        ("1e400", f64::INFINITY),
        ("1000000000000000000000000000000", 1e30),
    ] {
        let text = action("enter", "t", &format!(r#", "start_time": {raw}"#));
        let record = parse_record(text.trim().as_bytes()).unwrap();
        assert_eq!(record.start_time_s(), Some(expected), "{raw}");
        assert_eq!(record.event(), Some(Event::Enter), "{raw}");
    }
}

/// What is no number makes an action record invalid, not unreadable.
#[test]
fn what_is_no_number_is_refused() {
    let huge = "9".repeat(400);
    for raw in ["\"\"", "\"1__0\"", "\"_1\"", "\"0x10\"", "\"１\"", "\"x\"", "[]", "{}", &huge] {
        let text = action("enter", "t", &format!(r#", "start_time": {raw}"#));
        let record = parse_record(text.trim().as_bytes()).unwrap();
        let invalid = ActionKind::Invalid("start_time is not a number");
        assert_eq!(record.action_kind(), invalid, "{raw}");
    }
}

/// Of a repeated key the last value counts, escaped spellings of the key included.
#[test]
fn the_last_of_repeated_keys_counts() {
    let text = r#"{"message": 1, "timestamp": "t", "level": "A", "le\u0076el": "B", "message": "m", "x": 1, "x": 2}"#;
    let record = parse_record(text.as_bytes()).unwrap();
    assert_eq!((&*record.level(), &*record.message()), (&b"B"[..], &b"m"[..]));
    assert_eq!(record.get(b"x").unwrap().raw(), b"2");
    assert_eq!(
        dump(&Log::plain(text).path, DumpFormat::JsonLines),
        "{\"message\":\"m\",\"timestamp\":\"t\",\"level\":\"B\",\"x\":2}\n"
    );
}

/// Repeated keys among very many are found just as well, and fast.
#[test]
fn repeated_keys_among_many_are_found() {
    let many: Vec<_> = (0..100_000).map(|i| format!(r#", "k{}": {i}"#, i % 50_000)).collect();
    let many = many.concat();
    let text = line("a").replace(r#""a""#, &format!(r#""a"{many}"#));
    let dumped = dump(&Log::plain(text).path, DumpFormat::JsonLines);
    let value: serde_json::Value = serde_json::from_str(&dumped).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 50_003);
    assert_eq!(value["k7"], 50_007);
}

/// Blank lines are nothing to tell of.
#[test]
fn blank_lines_are_ignored() {
    let (messages, skipped) =
        Log::plain(format!("\n\n{}\n \t\n\n{}\n\n", line("a"), line("b"))).messages();
    assert_eq!(messages, ["a", "b"]);
    assert_eq!(skipped.summary("x".as_ref()), None);
}

/// Lines that are no records are counted by what they are.
#[test]
fn what_is_no_record_is_counted() {
    let content = format!(
        "[1]\nnull\n\"text\"\n12\nhello\n{{\"a\": 1}}\n{{}}\n{}\n{{\"timestamp\": 1, \"level\": \"A\", \"message\": \"m\"}}\n",
        line("a")
    );
    let (messages, skipped) = Log::plain(content).messages();
    assert_eq!(messages, ["a"]);
    assert_eq!((skipped.not_object, skipped.not_json, skipped.missing_fields), (4, 1, 3));
    assert_eq!(
        skipped.summary("/x/trace-1.log".as_ref()).unwrap(),
        "trace-1.log: skipped 8 lines (first: line 1, byte 0: not a JSON object)"
    );
}

/// Action records of another version are kept as plain records, and counted.
#[test]
fn unknown_actions_are_kept_as_records() {
    for (text, reason) in [
        (action("pause", "t", ""), "unknown event"),
        (action("enter", "t", "").replace(r#""t""#, "12"), "trace_id is not a text"),
        (action("enter", "t", "").replace(r#""Model""#, "null"), "action is not a text"),
        (action("enter", "t", r#", "detail": null"#), "detail is not a text"),
        (action("enter", "t", r#", "error": 1"#), "error is not a text"),
    ] {
        let (records, skipped) = Log::plain(format!("{}\n{text}", line("a"))).read();
        assert_eq!(records.len(), 2);
        assert_eq!(records[1].action_kind(), ActionKind::Invalid(reason));
        assert_eq!((skipped.invalid_actions, skipped.lines_skipped()), (1, 0));
        let note = skipped.summary("t.log".as_ref()).unwrap();
        assert!(note.starts_with("t.log: 1 action not understood (line 2, byte "), "{note}");
        assert!(note.ends_with(&format!(": {reason})")), "{note}");
    }
}

/// Null is as good as absent where an action record may lack a field.
#[test]
fn null_fields_of_actions_are_absent() {
    let text = action(
        "exit",
        "t",
        r#", "start_time": null, "duration": null, "error": null, "error_type": null"#,
    );
    let record = parse_record(text.trim().as_bytes()).unwrap();
    assert_eq!(record.event(), Some(Event::Exit));
    assert_eq!((record.duration_s(), record.error()), (None, None));
}

/// One byte of invalid UTF-8 costs that byte.
#[test]
fn invalid_utf8_is_repaired() {
    let content = [line("a\u{e9}").as_bytes(), b"\n", line("x#y").as_bytes(), b"\n"].concat();
    let content: Vec<u8> = content.iter().map(|&b| if b == b'#' { 0xff } else { b }).collect();
    let log = Log::plain(content);
    let (messages, skipped) = log.messages();
    assert_eq!(messages, ["aé", "x\u{fffd}y"]);
    assert_eq!((skipped.repaired_utf8, skipped.lines_skipped()), (1, 0));
    assert_eq!(
        skipped.summary("t.log".as_ref()).unwrap(),
        "t.log: 1 record with invalid UTF-8 repaired"
    );
    assert!(dump(&log.path, DumpFormat::JsonLines).contains("x\u{fffd}y"));
}

/// Nesting of any depth is read, and written out again, without recursion.
#[test]
fn deep_nesting_is_read() {
    let depth = 1_000_000;
    let nested = format!("{}{}", "[{\"a\":".repeat(depth / 2) + "1", "}]".repeat(depth / 2));
    let text = line("a").replace(r#""a""#, &format!(r#""a", "deep": {nested}"#));
    let log = Log::plain(format!("{text}\n"));
    let (records, skipped) = log.read();
    assert_eq!((records.len(), skipped.lines_skipped()), (1, 0));
    assert!(dump(&log.path, DumpFormat::JsonLines).contains(&nested));
    let array = dump(&log.path, DumpFormat::JsonArray);
    assert!(array.len() < 3 * text.len(), "indentation does not multiply the log");
    let unclosed = line("a").replace(r#""a""#, &format!(r#""a", "deep": {}"#, "[".repeat(depth)));
    assert_eq!(parse_record(unclosed.as_bytes()).unwrap_err(), Reject::NotJson);
}

/// A line beyond all measure is skipped, in bounded memory, and the next one read.
#[test]
fn overlong_lines_are_skipped() {
    let long = line(&"x".repeat(MAX_LINE_BYTES + (3 << 20)));
    let content = format!("{}\n{long}\n{}\n{}", line("a"), line("b"), &line("c")[..10]);
    let (messages, skipped) = Log::plain(content).messages();
    assert_eq!(messages, ["a", "b"]);
    assert_eq!((skipped.too_long_lines, skipped.torn_lines), (1, 1));
    assert_eq!(skipped.lines, 3);
    let first = skipped.first.unwrap();
    let long_starts = line("a").len() as u64 + 1;
    assert_eq!((first.line, first.byte), (2, long_starts), "of the overlong line");
}

/// A line of several blocks' length is a record like any other.
#[test]
fn long_lines_are_read() {
    let text = "y".repeat(5 << 20);
    let content = format!("{}\n{}\n{}\n", line("a"), line(&text), line("b"));
    let (messages, skipped) = Log::plain(content).messages();
    assert_eq!(messages.len(), 3);
    assert!(messages[1] == text && messages[2] == "b");
    assert_eq!(skipped.lines_skipped(), 0);
}

/// The content tells whether a log is compressed; its name does not matter.
#[test]
fn the_content_tells_the_kind() {
    let content = format!("{}\n", line("a"));
    for log in [
        Log::plain(gzip(&content)),
        Log::compressed(&content),
        Log::compressed(gzip(&content)),
        Log::new("x", gzip(&content)),
    ] {
        let (messages, skipped) = log.messages();
        assert_eq!(messages, ["a"]);
        assert_eq!(skipped.summary("x".as_ref()), None);
    }
}

/// What is neither a regular file nor a pipe is refused with one line; opening waits for nobody.
#[test]
fn only_files_and_pipes_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo.log");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let socket = dir.path().join("socket.log");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let link = dir.path().join("link.log");
    symlink(&fifo, &link).unwrap();
    for (path, expected) in [
        (dir.path(), Some("directory")),
        (&fifo, None),
        (&link, None),
        (&socket, Some("socket")),
        ("/dev/null".as_ref(), Some("device")),
    ] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let opened = path.to_owned();
        std::thread::spawn(move || sender.send(Blocks::open(&opened).map(|_| ())));
        let outcome = receiver.recv_timeout(Duration::from_secs(20)).expect("it does not wait");
        match outcome {
            Ok(()) => assert_eq!(expected, None),
            Err(Error::NotAFile { kind, .. }) => assert_eq!(Some(kind), expected),
            Err(other) => panic!("{other}"),
        }
    }
    let missing = Blocks::open(&dir.path().join("none.log")).map(|_| ()).unwrap_err();
    assert!(missing.to_string().ends_with("none.log: No such file or directory"), "{missing}");
}

/// A log is read through a symbolic link that names it.
#[test]
fn links_to_logs_are_followed() {
    let log = Log::plain(line("a"));
    let link = log.path.with_file_name("link");
    symlink(&log.path, &link).unwrap();
    assert_eq!(read_support::read(&link).0.len(), 1);
}

/// The note on a report says what its scan skipped.
#[test]
fn reports_tell_what_was_skipped() {
    let log = Log::plain(format!("nonsense\n{}\n", line("a")));
    let options =
        DumpOptions { redact: false, no_detail: false, format: DumpFormat::JsonLines, limit: None };
    let report = dump_report(&[whole(&log.path)], &Filter::default(), options).unwrap();
    let (text, note) = print(report);
    assert_eq!(text.lines().count(), 1);
    assert_eq!(note.unwrap(), "trace-1.log: skipped 1 line (line 1, byte 0: not JSON)");
}

/// A file name cannot steer the terminal through the note.
#[test]
fn notes_are_safe() {
    let skipped = Skipped { torn_lines: 1, ..Skipped::default() };
    assert_eq!(skipped.summary("\u{1b}[2J.log".as_ref()).unwrap(), "\\x1b[2J.log: skipped 1 line");
}

/// Accessors give what the log has; what it does not have is absent.
#[test]
fn accessors_give_the_fields() {
    let text = r#"{"timestamp": "t", "level": "INFO", "message": "m", "module": "mod", "function": "f\t", "line": 12, "pid": 77, "task": {"a": [1]}, "k\u00e9y": null}"#;
    let record = parse_record(text.as_bytes()).unwrap();
    assert_eq!(record.module().as_deref(), Some(&b"mod"[..]));
    assert_eq!(record.function().as_deref(), Some(&b"f\t"[..]));
    assert_eq!((record.line(), record.pid()), (Some(12), Some(77)));
    assert_eq!(record.value(Name::Task).unwrap().raw(), br#"{"a": [1]}"#);
    assert_eq!(record.get("kéy".as_bytes()).unwrap().raw(), b"null");
    assert!(record.get(b"none").is_none() && record.action().is_none());
    let keys: Vec<_> = record.fields().map(|(key, _)| key.into_owned()).collect();
    assert_eq!(keys.len(), 9);
    assert_eq!(keys[8], "kéy".as_bytes());
}
