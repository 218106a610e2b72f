//! The search in messages, against its plain definition: decode, lower case, contains.
#![allow(clippy::unwrap_used)]

mod read_support;

use inspect_trace_core::read::Filter;
use inspect_trace_core::record::parse_record;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use read_support::line;

/// Parts of messages as JSON has them, and what they decode to: `None` is a lone surrogate.
const PIECES: &[(&str, Option<&str>)] = &[
    ("a", Some("a")),
    ("K", Some("K")),
    ("k", Some("k")),
    ("i", Some("i")),
    ("I", Some("I")),
    ("n", Some("n")),
    ("u", Some("u")),
    ("0", Some("0")),
    ("4", Some("4")),
    ("/", Some("/")),
    (" ", Some(" ")),
    ("x=", Some("x=")),
    ("Tool Call", Some("Tool Call")),
    ("é", Some("é")),
    ("É", Some("É")),
    ("ß", Some("ß")),
    ("\u{212a}", Some("\u{212a}")),
    ("\u{130}", Some("\u{130}")),
    ("\u{307}", Some("\u{307}")),
    ("Σ", Some("Σ")),
    ("日", Some("日")),
    ("\u{7f}", Some("\u{7f}")),
    (r"\n", Some("\n")),
    (r"\t", Some("\t")),
    (r"\b", Some("\u{8}")),
    (r"\\", Some("\\")),
    (r#"\""#, Some("\"")),
    (r"\/", Some("/")),
    (r"\u0041", Some("A")),
    (r"\u006b", Some("k")),
    (r"\u004E", Some("N")),
    (r"\u000a", Some("\n")),
    (r"\u005c", Some("\\")),
    (r"\u001b", Some("\u{1b}")),
    (r"\u001B", Some("\u{1b}")),
    (r"\u00e9", Some("é")),
    (r"\u00C9", Some("É")),
    (r"\u212a", Some("\u{212a}")),
    (r"\u212A", Some("\u{212a}")),
    (r"\u0130", Some("\u{130}")),
    (r"\ud83d\ude00", Some("\u{1f600}")),
    (r"\udc00", None),
];

/// Which pieces are put together.
fn message() -> impl Strategy<Value = Vec<(&'static str, Option<&'static str>)>> {
    vec(select(PIECES), 0..14)
}

/// The definition. Nothing that can be typed contains or joins the sides of a lone surrogate.
fn is_in(needle: &str, pieces: &[(&str, Option<&str>)]) -> bool {
    let needle = needle.to_lowercase();
    let parts = pieces.split(|(_, decoded)| decoded.is_none());
    needle.is_empty()
        || parts
            .map(|part| part.iter().filter_map(|&(_, decoded)| decoded).collect::<String>())
            .any(|text| text.to_lowercase().contains(&needle))
}

fn finds(needle: &str, pieces: &[(&str, Option<&str>)]) -> bool {
    let json: String = pieces.iter().map(|&(json, _)| json).collect();
    let line = line(&json);
    Filter::new(Some(needle)).matches(&parse_record(line.as_bytes()).unwrap())
}

fn with_case(text: &str, upper: bool) -> String {
    if upper { text.to_uppercase() } else { text.to_lowercase() }
}

proptest! {
    // At least so many: what goes wrong here goes wrong with rare combinations.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(4000),
        ..ProptestConfig::default()
    })]

    /// Any text is found where the definition finds it: texts made of the same parts as messages.
    #[test]
    fn texts_are_found_where_they_are(pieces in message(), parts in vec(select(PIECES), 0..4)) {
        let needle: String = parts.iter().filter_map(|&(_, decoded)| decoded).collect();
        prop_assert_eq!(finds(&needle, &pieces), is_in(&needle, &pieces), "{:?} {:?}", needle, pieces);
    }

    /// A part of a message is found in it; what its JSON text looks like is not, unless it is there.
    #[test]
    fn parts_are_found(
        pieces in message(),
        from in any::<Index>(),
        to in any::<Index>(),
        upper in any::<bool>(),
    ) {
        let decoded: String = pieces.iter().filter_map(|&(_, decoded)| decoded).collect();
        let json: String = pieces.iter().map(|&(json, _)| json).collect();
        for text in [decoded, json] {
            let characters: Vec<_> = text.chars().collect();
            let (from, to) = (from.index(characters.len() + 1), to.index(characters.len() + 1));
            let part: String = characters[from.min(to)..from.max(to)].iter().collect();
            for needle in [part.clone(), with_case(&part, upper)] {
                prop_assert_eq!(
                    finds(&needle, &pieces), is_in(&needle, &pieces), "{:?} {:?}", needle, pieces
                );
            }
        }
    }

    /// Any two texts at all, escaped as a JSON library does it.
    #[test]
    fn any_texts_agree(message in any::<String>(), needle in "\\PC{0,2}|[ -~]{0,2}|\\p{Lu}") {
        let json = serde_json::to_string(&message).unwrap();
        let pieces = [(&json[1..json.len() - 1], Some(message.as_str()))];
        prop_assert_eq!(finds(&needle, &pieces), is_in(&needle, &pieces));
    }
}

/// The letters of an escape are not text; text that looks like an escape is.
#[test]
fn escapes_are_no_text() {
    for (json, needle, expected) in [
        (r"a\nfoo", "nfoo", false),
        (r"a\\nfoo", "nfoo", true),
        (r"a\\\nfoo", "nfoo", false),
        (r"\u00e9t\u00e9", "00e9", false),
        (r"\u00e9t\u00e9", "ÉTÉ", true),
        (r"\\u00e9", "\\u00E9", true),
        (r"\u0066oo", "foo", true),
        (r"http:\/\/h", "http://", true),
        (r"273 \u212a", "3 k", true),
        (r"say \u0022hi\u0022", "\"HI\"", true),
        (r#"say \"hi\""#, "\"HI\"", true),
        (r"\u001B[31m", "\u{1b}[31", true),
    ] {
        let line = line(json);
        let record = parse_record(line.as_bytes()).unwrap();
        assert_eq!(Filter::new(Some(needle)).matches(&record), expected, "{json} {needle}");
    }
}
