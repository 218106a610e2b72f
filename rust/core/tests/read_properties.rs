//! Reading, whatever comes: properties over generated input.
#![allow(clippy::unwrap_used)]

mod read_support;

use inspect_trace_core::read::{Block, Filter, LineCursor, Skipped};
use inspect_trace_core::record::{Reject, parse_record};
use inspect_trace_core::render::{DumpFormat, write_record};
use proptest::collection::vec;
use proptest::prelude::*;
use read_support::{Log, gzip, line};
use serde_json::Value;

/// JSON text with all that Python's parser takes, some of it not JSON by the book.
fn json_text() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        vec(
            prop_oneof![
                Just(r"\ud83d"),
                Just(r"\ude00"),
                Just(r"\u0041"),
                Just(r"\n"),
                Just(r"\/"),
                Just(r#"\""#),
                Just(r"\\"),
                Just("é"),
                Just("\u{7f}"),
                Just("\u{202e}"),
                Just("x"),
            ],
            0..6
        )
        .prop_map(|parts| format!("\"{}\"", parts.concat())),
    ];
    let scalar = prop_oneof![
        string,
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| if number.is_finite() {
            format!("{number:?}")
        } else {
            "NaN".to_owned()
        }),
        prop_oneof![
            Just("null"),
            Just("true"),
            Just("false"),
            Just("NaN"),
            Just("-Infinity"),
            Just("-0"),
            Just("1e999"),
            Just("1E+5"),
            Just("0.10"),
            Just("123456789012345678901234567890"),
        ]
        .prop_map(str::to_owned),
    ];
    let space = prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\t ")];
    scalar.prop_recursive(4, 30, 5, move |inner| {
        let key = "[a-c]{0,2}".prop_map(|key| serde_json::to_string(&key).unwrap());
        prop_oneof![
            (vec(inner.clone(), 0..4), space.clone())
                .prop_map(|(values, s)| format!("[{s}{}{s}]", values.join(&format!("{s},{s}")))),
            (vec((key, inner), 0..4), space.clone()).prop_map(|(members, s)| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("{key}{s}:{s}{value}")).collect();
                format!("{{{s}{}{s}}}", members.join(","))
            }),
        ]
    })
}

/// Pieces of JSON, strung together any way.
fn token_soup() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"a\""),
        Just("\""),
        Just("\\"),
        Just("1"),
        Just("0"),
        Just("-"),
        Just("."),
        Just("e"),
        Just("+"),
        Just("true"),
        Just("null"),
        Just("NaN"),
        Just("Infinity"),
        Just(" "),
        Just("\u{1}"),
        Just("\\u12"),
        Just("\"timestamp\": \"t\""),
        Just("\"level\": \"l\""),
        Just("\"message\": \"m\""),
    ];
    vec(token, 0..20).prop_map(|tokens| tokens.concat())
}

fn record_with(json: &str) -> String {
    line("m").replace(r#""m"}"#, &format!(r#""m", "x": {json}, "y": [{json}]}}"#))
}

fn dump(text: &str, format: DumpFormat) -> String {
    let mut out = Vec::new();
    write_record(&mut out, &parse_record(text.as_bytes()).unwrap(), format);
    String::from_utf8(out).unwrap()
}

/// What strict JSON makes of a value: what it cannot say is gone.
fn strict(json: &str) -> String {
    let mut out = String::new();
    let mut rest = json;
    while !rest.is_empty() {
        if rest.starts_with('"') {
            let bytes = rest.as_bytes();
            let mut end = 1;
            while bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            out.push_str(&without_lone_surrogates(&rest[..=end]));
            rest = &rest[end + 1..];
        } else if let Some(word) =
            ["NaN", "-Infinity", "1e999"].into_iter().find(|word| rest.starts_with(word))
        {
            out.push_str("null");
            rest = &rest[word.len()..];
        } else {
            let first = rest.chars().next().unwrap();
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn without_lone_surrogates(string: &str) -> String {
    // Escaped backslashes out of the way, so that every escape begins where it seems to.
    let hidden = string.replace(r"\\", "\u{1}");
    let pairs = hidden.replace(r"\ud83d\ude00", "😀");
    pairs.replace(r"\ud83d", r"\ufffd").replace(r"\ude00", r"\ufffd").replace('\u{1}', r"\\")
}

proptest! {
    /// What is written out is strict JSON with the values that were read; both layouts alike.
    #[test]
    fn dumps_are_strict_and_equal(json in json_text()) {
        let text = record_with(&json);
        let compact = dump(&text, DumpFormat::JsonLines);
        prop_assert!(!compact.contains('\n'));
        let expected: Value = serde_json::from_str(&strict(&text)).unwrap();
        let mut expected = expected.as_object().unwrap().clone();
        expected.retain(|_, value| !value.is_null());
        let mut got: Value = serde_json::from_str(&compact).unwrap();
        // A bare NaN becomes a null that stays where a null of the log goes: the name was given a
        // value, after all.
        if got["x"].is_null() {
            got.as_object_mut().unwrap().shift_remove("x");
        }
        prop_assert_eq!(&got, &Value::Object(expected), "{}", compact);
        let indented = dump(&text, DumpFormat::JsonArray);
        let mut same: Value = serde_json::from_str(&indented).unwrap();
        if same["x"].is_null() {
            same.as_object_mut().unwrap().shift_remove("x");
        }
        prop_assert_eq!(&same, &got);
    }

    /// Where the book's JSON parser and ours both have a say, they say the same.
    #[test]
    fn agrees_with_a_json_parser(text in prop_oneof![json_text(), token_soup()], cut in any::<prop::sample::Index>()) {
        for text in [text.as_str(), text.get(..cut.index(text.len() + 1)).unwrap_or("")] {
            let ours = parse_record(text.as_bytes()).map(|_| ());
            let theirs: Result<Value, _> = serde_json::from_str(text);
            match (ours, theirs) {
                (Ok(()) | Err(Reject::MissingFields), Ok(value)) => prop_assert!(value.is_object()),
                (Err(Reject::NotObject), Ok(value)) => prop_assert!(!value.is_object()),
                (Err(Reject::NotJson), Ok(value)) => prop_assert!(false, "{text:?} is {value}"),
                (Err(Reject::NotJson), Err(_)) => {}
                (_, Err(error)) => {
                    let by_the_book: Result<Value, _> = serde_json::from_str(&strict(text).replace("Infinity", "null"));
                    prop_assert!(by_the_book.is_ok(), "{text:?}: {error}");
                }
            }
        }
    }

    /// Every prefix of a log gives a prefix of its records, and at most one line is told of.
    #[test]
    fn prefixes_give_prefixes(messages in vec("[a-zé\\\\]{0,5}", 0..6), crlf in any::<bool>()) {
        let end = if crlf { "\r\n" } else { "\n" };
        let messages: Vec<_> = messages.iter().map(|m| m.replace('\\', "\\\\")).collect();
        let text: String = messages.iter().map(|message| line(message) + end).collect();
        for length in 0..=text.len() {
            let mut cursor = LineCursor::new();
            let block = Block { offset: 0, bytes: text.as_bytes()[..length].to_vec() };
            let mut skipped = Skipped::default();
            let mut count = 0;
            while let Some(record) = cursor.next(&block, &mut skipped) {
                let expected = messages[count].replace("\\\\", "\\");
                prop_assert_eq!(&*record.message(), expected.as_bytes());
                count += 1;
            }
            let whole = text[..].char_indices().map(|(at, _)| at).filter(|&at| at < length)
                .filter(|&at| text.as_bytes()[at] == b'}').count();
            prop_assert_eq!(count, whole);
            prop_assert!(skipped.lines_skipped() <= 1 && skipped.lines_skipped() == skipped.torn_lines);
        }
    }

    /// No bytes make the reader panic, and every line is either read or told of.
    #[test]
    fn any_bytes_are_read(bytes in vec(prop_oneof![
        4 => vec(any::<u8>(), 0..20),
        2 => vec(prop_oneof![Just(0_u8), Just(b'\r'), Just(b' '), Just(0x1e), Just(0xff)], 0..5),
        4 => json_text().prop_map(|json| record_with(&json).into_bytes()),
        2 => token_soup().prop_map(String::into_bytes),
        4 => Just(b"\n".to_vec()),
    ], 0..12)) {
        let bytes = bytes.concat();
        let (records, skipped) = Log::plain(&bytes).read();
        let told = skipped.summary("x".as_ref()).is_some();
        let is_blank = |byte: &u8| b" \t\r\n\x1e".contains(byte);
        prop_assert!(told || !records.is_empty() || bytes.iter().all(is_blank));
        prop_assert_eq!(skipped.lines, memchr::memchr_iter(b'\n', &bytes).count() as u64);
        let compressed = Log::compressed(gzip(&bytes)).read();
        prop_assert_eq!(compressed.0.len(), records.len());
        prop_assert_eq!(compressed.1, skipped);
    }

    /// Damage to a compressed file never makes the reader panic or hang.
    #[test]
    fn any_damage_is_read(
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        twice in any::<bool>(),
    ) {
        let mut file = gzip(format!("{}\n{}\n", line("a"), line("b")));
        if twice {
            file.extend(gzip(line("c")));
        }
        for (at, byte) in edits {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len() + 1));
        let (records, _) = Log::compressed(file).read();
        prop_assert!(records.len() <= 3);
    }

    /// Splitting a block at newlines changes neither the records nor what is told.
    #[test]
    fn splits_change_nothing(
        lines in vec(prop_oneof![
            json_text().prop_map(|json| record_with(&json)),
            token_soup(),
            Just("\0\0".to_owned()),
            Just(format!("{}\r{}", line("a"), line("b"))),
        ], 0..8),
        split in any::<prop::sample::Index>(),
    ) {
        let text = lines.join("\n");
        let breaks: Vec<_> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let at = breaks[split.index(breaks.len())];
        let read = |offset: usize, bytes: &str| {
            let block = Block { offset: offset as u64, bytes: bytes.as_bytes().to_vec() };
            let (mut cursor, mut skipped) = (LineCursor::new(), Skipped::default());
            let mut found = Vec::new();
            while let Some(record) = cursor.next(&block, &mut skipped) {
                found.push((record.offset(), record.json().to_vec()));
            }
            (found, skipped)
        };
        let (whole, whole_skipped) = read(0, &text);
        let (mut parts, mut skipped) = read(0, &text[..at]);
        let (later, later_skipped) = read(at, &text[at..]);
        parts.extend(later);
        skipped.merge(&later_skipped);
        prop_assert_eq!(parts, whole);
        prop_assert_eq!(skipped, whole_skipped);
    }

    /// The filter finds what Python's `lower` finds, wherever case has no special rules.
    #[test]
    fn filters_ignore_case(message in "[a-zA-Z é日ß]{0,12}", needle in "[a-zA-Zé]{1,3}") {
        let record = line(&message);
        let record = parse_record(record.as_bytes()).unwrap();
        let expected = message.to_lowercase().contains(&needle.to_lowercase());
        prop_assert_eq!(Filter::new(Some(&needle)).matches(&record), expected);
    }
}

/// Cases of case: characters whose lower case is ASCII, or longer; surrogates; the empty filter.
#[test]
fn filters_follow_unicode() {
    for (message, needle, expected) in [
        ("273 \u{212a}", "k", true),
        ("İstanbul", "i̇s", true),
        ("ΟΔΟΣ", "οδος", true),
        ("STRASSE", "straße", false),
        (r"a\ud800B", "ab", false),
        (r"a\ud800B", "B", true),
        (r"a\ud800B", "\u{fffd}", false),
        ("line\\nbreak", "LINE\nB", true),
        ("anything", "", true),
        ("short", "longer than the message", false),
    ] {
        let text = line(message);
        let record = parse_record(text.as_bytes()).unwrap();
        assert_eq!(Filter::new(Some(needle)).matches(&record), expected, "{message} {needle}");
    }
}
