//! What a secret looks like. Each rule has a group around the secret, or several of which one takes
//! part. Secrets begin and end beside ASCII characters, so no other character is cut.
//!
//! Each pattern needs either a bounded number of bytes behind its beginning, or takes what it has gone
//! through: so the time is linear, however often one nearly matches.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::REDACTED;
use super::triggers::{Groups, HEADER, PAIR, PEM, QUERY, TOKEN, USER};

/// Names whose values are secret, or their ends: `OPENAI_API_KEY`, `accessToken`.
const NAME: &str = r"(?: api[_-]?key
    | (?:access|private|account|subscription|secret)[_-]?key(?:[_-]?id)?
    | secret[_-]?access[_-]?key | (?P<secret>secret) | (?P<token>token) | passw(?:or)?d | passphrase | pwd
    | x-(?:amz|goog)-(?:signature|credential) )";

/// Names of headers whose whole values are secret.
const KEY_HEADER: &str =
    r"(?: (?:[a-z0-9-]*-)?(?:api-key|auth-token|access-token|security-token) )";

/// Names of headers that hold a secret.
const HEADER_NAME: &str = r"(?: (?:[a-z0-9-]*-)?(?:api-key|auth-token|access-token|security-token)
    | (?:proxy-)?authorization | (?:set-)?cookie )";

/// What a value without quotes is made of.
const BARE: &str = r#"[^\s"'\\&;,<>()\[\]{}|=`\#][^\s"'\\&;,<>()\[\]{}|`\#]*"#;

/// A value in quotes of whatever sort, without the closing one; `"` and `'` may be escaped, as
/// they are in JSON within a text.
const QUOTED: &str = r#"(?: "((?:[^"\\]|\\.)+) | '((?:[^'\\]|\\.)+) | \\+["']([^"'\\]+) )"#;

/// Whether a value that was found is a secret; else it stays.
type Check = fn(found: &Captures<'_>, value: &[u8]) -> bool;

struct Rule {
    group: Groups,
    regex: LazyLock<Regex>,
    check: Check,
}

fn compile(pattern: &str) -> Regex {
    RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(true)
        .ignore_whitespace(true)
        .dot_matches_new_line(true)
        .build()
        .expect("the patterns are ours, and tested")
}

static RULES: [Rule; 10] = [
    // name=value, name = value, name: value
    Rule {
        group: PAIR,
        regex: LazyLock::new(|| {
            compile(&format!(
                r#"{NAME} \\*["']?\]? [\x20\t]{{0,8}} (?: => | = | (?P<colon>:) ) [\x20\t]{{0,8}} ({BARE})"#
            ))
        }),
        check: |found, value| {
            // What follows a colon in prose is no secret: `Unexpected token: foo`.
            let may_be_prose = found.name("colon").is_some()
                && (found.name("token").is_some() || found.name("secret").is_some());
            is_value_of(found, value) && (!may_be_prose || looks_random(value))
        },
    },
    // name="value", "name": "value", \"name\": \"value\"
    Rule {
        group: PAIR,
        regex: LazyLock::new(|| {
            compile(&format!(
                r#"{NAME} \\*["']?\]? [\x20\t]{{0,8}} (?: => | = | : ) [\x20\t]{{0,8}} b? {QUOTED}"#
            ))
        }),
        check: is_value_of,
    },
    // --name value, '--name', 'value'
    Rule {
        group: PAIR,
        regex: LazyLock::new(|| {
            compile(&format!(
                r#"(?: ^ | [\s"'\[(,=] ) --? (?:[a-z0-9_-]*[-_])? {NAME}
                (?: [\x20\t]{{1,8}} | \\*["'] \x20? , \x20? \\*["'] )
                (?: {QUOTED} | ([^\s"'\\\-,;][^\s"'\\,;]*) )"#
            ))
        }),
        check: is_value_of,
    },
    // Authorization: Bearer value
    Rule {
        group: HEADER,
        regex: LazyLock::new(|| {
            compile(&format!(
                r#"authorization (?: \\*["']? [\x20\t]{{0,8}} [:=] [\x20\t]{{0,8}} | \\*["'] \x20? , \x20? )
                (?: b?\\*["'] )? {CREDENTIALS}"#
            ))
        }),
        check: |_, value| is_value(value),
    },
    // Cookie: a=b; c=d
    Rule {
        group: HEADER,
        regex: LazyLock::new(|| {
            compile(&format!(
                r#"cookie (?: \\*["']? [\x20\t]{{0,8}} : [\x20\t]{{0,8}} | \\*["'] \x20? , \x20? )
                (?: b?\\*["'] )? ([^\r\n"'\\]+)
                | cookie \\*["']? = ({BARE})"#
            ))
        }),
        check: |_, value| is_value(value),
    },
    // ("x-api-key", "value")
    Rule {
        group: PAIR,
        regex: LazyLock::new(|| {
            compile(&format!(r#"["'] {KEY_HEADER} \\*["'] \x20? , \x20? b? \\*["'] ([^"'\\]+)"#))
        }),
        check: |_, value| is_value(value),
    },
    // ?sig=value
    Rule {
        group: QUERY,
        regex: LazyLock::new(|| {
            compile(
                r#"[?&;] (?:amp;)? (?: x-(?:amz|goog)-(?:signature|credential) | signature | sig | key )
                = ([^\s"'\\&<>]+)"#,
            )
        }),
        check: |_, value| is_value(value),
    },
    // Tokens that are known by how they begin
    Rule {
        group: TOKEN,
        regex: LazyLock::new(|| {
            compile(
                r"(?-i) \b (?:
                (?P<sk> sk-[A-Za-z0-9_-]{12,} )
                | (AIza[A-Za-z0-9_-]{20,}) | ((?:AKIA|ASIA)[A-Z0-9]{16}\b)
                | (gh[pousr]_[A-Za-z0-9]{20,}) | (github_pat_[A-Za-z0-9_]{20,})
                | (xox[abeoprs][.-][A-Za-z0-9.-]{10,}) | (hf_[A-Za-z0-9]{20,})
                | (gsk_[A-Za-z0-9]{20,}) | (xai-[A-Za-z0-9]{20,}) | (glpat-[A-Za-z0-9_-]{16,})
                | (eyJ[h0rlj4][A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*)
                | (?P<bearer> (?i:bearer) (?:[\x20+]|%20){1,4} ([A-Za-z0-9._\~+/=-]{8,}) ) )",
            )
        }),
        check: |found, value| match (found.name("sk"), found.name("bearer")) {
            (Some(_), _) => {
                ["sk-ant-", "sk-proj-", "sk-or-"]
                    .iter()
                    .any(|head| value.starts_with(head.as_bytes()))
                    || value.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            }
            (_, Some(_)) => looks_random(value),
            _ => true,
        },
    },
    // //user:password@host, //token@host
    Rule {
        group: USER,
        regex: LazyLock::new(|| {
            compile(
                r#":// (?: [^\s/?\#"'<>\\@:]* : ([^\s/?\#"'<>\\]+) | (?P<user>[^\s/?\#"'<>\\@:]+) ) @"#,
            )
        }),
        check: |found, value| {
            found.name("user").is_none() || (value.len() >= 20 && looks_random(value))
        },
    },
    Rule {
        group: PEM,
        regex: LazyLock::new(|| compile(r"PRIVATE\x20KEY-----([^-]+)")),
        check: |_, value| !value.trim_ascii().is_empty(),
    },
];

/// What follows the name of an `Authorization` header; of what a scheme takes, to the end of the line
/// where it may hold spaces.
const CREDENTIALS: &str = r#"(?: (?:bearer|basic|token|apikey|key|negotiate)(?:[\x20+]|%20){1,4}
    ([^\s"'\\,;<>]+) | ([^\r\n"'\\]+) )"#;

/// Adds where the rules of some groups find secrets.
pub(super) fn find(text: &[u8], groups: Groups, spans: &mut Vec<Range<usize>>) {
    for rule in RULES.iter().filter(|rule| groups & rule.group != 0) {
        for found in rule.regex.captures_iter(text) {
            if let Some(value) = secret_of(&found)
                && value.as_bytes() != REDACTED.as_bytes()
                && (rule.check)(&found, value.as_bytes())
            {
                spans.push(value.range());
            }
        }
    }
}

/// The last of the groups that took part: the secret.
fn secret_of<'t>(found: &Captures<'t>) -> Option<regex::bytes::Match<'t>> {
    (1..found.len()).rev().find_map(|group| found.get(group))
}

fn is_value_of(found: &Captures<'_>, value: &[u8]) -> bool {
    if found.name("token").is_some() { is_token_value(value) } else { is_value(value) }
}

/// Words of a program, and not a value.
fn is_value(value: &[u8]) -> bool {
    const WORDS: [&str; 7] = ["none", "null", "nil", "true", "false", "undefined", "***"];
    !WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// Models have tokens, too: numbers of them, and `<eos>`.
fn is_token_value(value: &[u8]) -> bool {
    let is_short_number = value.len() < 12
        && value.first().is_some_and(u8::is_ascii_digit)
        && value.iter().filter(|byte| byte.is_ascii_alphabetic()).count() <= 2;
    is_value(value) && !is_short_number && !matches!(value.first(), Some(b'<' | b'[' | b'|'))
}

/// Whether it is no word of a language.
fn looks_random(value: &[u8]) -> bool {
    let has_digit = value.iter().any(u8::is_ascii_digit);
    (value.len() >= 8 && has_digit) || value.len() >= 20
}

static SECRET_NAME: LazyLock<Regex> =
    LazyLock::new(|| compile(&format!("(?:{NAME} | {HEADER_NAME}) $")));

static NAMING_ITEM: LazyLock<Regex> = LazyLock::new(|| {
    compile(&format!("^ (?: --? (?:[a-z0-9_-]*[-_])? {NAME} | {HEADER_NAME} ) $"))
});

static CREDENTIALS_REGEX: LazyLock<Regex> = LazyLock::new(|| compile(&format!("^{CREDENTIALS}")));

/// Whether the value of a key is a secret.
pub(super) fn is_secret_name(name: &[u8]) -> bool {
    SECRET_NAME.is_match(name)
}

/// Whether the item after this one in a list is a secret: after `--api-key`, or `x-api-key`.
pub(super) fn names_next_item(item: &[u8]) -> bool {
    item.len() <= 128 && NAMING_ITEM.is_match(item)
}

/// Where the secret is in the value of a secret name.
pub(super) fn secret_of_name(name: &[u8], value: &[u8]) -> Option<Range<usize>> {
    let ends_with = |end: &[u8]| {
        name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
    };
    let is_secret = if ends_with(b"token") { is_token_value(value) } else { is_value(value) };
    if value.is_empty() || !is_secret || value == REDACTED.as_bytes() {
        return None;
    }
    if ends_with(b"authorization")
        && let Some(found) = CREDENTIALS_REGEX.captures(value)
        && let Some(secret) = found.get(1)
    {
        return (secret.as_bytes() != REDACTED.as_bytes()).then(|| secret.range());
    }
    Some(0..value.len())
}
