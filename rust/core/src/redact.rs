//! Taking secrets out of texts: keys, tokens and passwords, by the names that stand before them or by
//! the shapes that their issuers give them.
//!
//! It works on plain text and on lines of JSON alike: what is replaced never contains a quote, nor cuts
//! through an escape, so that a line stays the object that it is. Time is linear in the text.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::record::Text;

/// What stands in the place of a secret.
pub const REDACTED: &str = "REDACTED";

/// The end of a name whose value is a secret. What comes before it is part of the name:
/// `OPENAI_API_KEY`, `x-amz-security-token`.
const SECRET_NAME: &str = r"[a-z0-9_.-]*(?:api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|account[_-]?key|secret[_-]?key|secret|password|passwd|passphrase|token|credential|signature)";

/// Names that are those of secrets only as a whole.
const SHORT_NAME: &str = r"key|sig|pwd|awsaccesskeyid";

/// Names of headers whose value, to the end of the line or of the string, is a secret.
const HEADER: &str = r"(?:proxy-)?authorization|(?:set-)?cookie|(?:x-goog-|x-)?api-key";

/// A value that ends where any syntax around it goes on. It does not begin with what can follow a quote
/// that closes a string, nor like another flag.
const VALUE: &str = r#"[^\s&"'\\<>,;:)}\]-][^\s&"'\\<>,;)}\]]*"#;

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    vec![
        // scheme://user:password@host
        Rule::new(r#"([a-z][a-z0-9+.-]*://[^\s/:@"'\\<>?#]*:)([^\s/@"'\\<>?#]+)(@)"#, None),
        Rule::new(
            r#"(-----BEGIN [A-Z ]*PRIVATE KEY-----)([^"']*?)(-----END [A-Z ]*PRIVATE KEY-----)"#,
            None,
        ),
        // Authorization: Bearer ...; 'Cookie': '...'
        Rule::new(&format!(r#"\b((?:{HEADER})\s*:\s*)([^\s"'\\][^\r\n"'\\]*)()"#), None),
        Rule::new(&quoted(HEADER), None),
        // api_key=..., &sig=..., PASSWORD='...'
        Rule::new(
            &format!(r#"(\b(?:{SECRET_NAME})=(?:\\*["'])?|[?&;](?:{SHORT_NAME})=)({VALUE})()"#),
            None,
        ),
        // "api_key": "..."
        Rule::new(&quoted(SECRET_NAME), None),
        // --api-key ...
        Rule::new(&format!(r#"(--(?:{SECRET_NAME})\s+(?:\\*["'])?)({VALUE})()"#), None),
        Rule::new(r"\b(bearer\s+)([a-z0-9._~+/=-]{12,})()", Some(has_digit)),
        Rule::new(
            r"\b()((?-i:sk-[A-Za-z0-9_-]{16,}|AIza[0-9A-Za-z_-]{30,}|(?:AKIA|ASIA)[A-Z0-9]{16}|gh[opsur]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}|hf_[A-Za-z0-9]{20,}|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+))()",
            Some(has_digit),
        ),
    ]
});

/// Something of each rule: a text without any of this has no secret. (`tokens` and `keyboard` are
/// common, so what follows those names is part of it.)
static TRIGGERS: LazyLock<Regex> = LazyLock::new(|| {
    let triggers = concat!(
        r#"://[^\s/@"]*:[^\s/@"]*@|key(?:[_-]?id)?(?:\\*["'])?[=:\s]|token(?:\\*["'])?[=:\s]|[?&;](?:sig|pwd)=|"#,
        "secret|passw|passphrase|credential|signature|authorization|cookie|bearer|PRIVATE|",
        "sk-|AIza|AKIA|ASIA|gh[opsur]_|github_pat_|glpat-|xox|hf_|gsk_|xai-|eyJ"
    );
    RegexBuilder::new(triggers).case_insensitive(true).unicode(false).build().expect("tested")
});

/// A name and its value as strings, with quotes of one kind: in JSON, in JSON within a string, in
/// Python. Of two kinds, one could be the end of a string, and the other the beginning of the next.
fn quoted(name: &str) -> String {
    let value = r#"[^"'\\\r\n]+"#;
    let plain = format!(r#""(?:{name})"\s*:\s*"|'(?:{name})'\s*:\s*'"#);
    let escaped = format!(r#"\\+"(?:{name})\\+"\s*:\s*\\+""#);
    format!("({plain}|{escaped})({value})()")
}

/// A secret, and what stands before and behind it and stays: the three groups of its pattern.
struct Rule {
    pattern: Regex,
    is_secret: Option<fn(&[u8]) -> bool>,
}

impl Rule {
    fn new(pattern: &str, is_secret: Option<fn(&[u8]) -> bool>) -> Self {
        let pattern = RegexBuilder::new(pattern).case_insensitive(true).unicode(false).build();
        Self { pattern: pattern.expect("each rule is tested"), is_secret }
    }

    fn apply<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        self.pattern.replace_all(text, |found: &Captures<'_>| {
            if self.is_secret.is_some_and(|is_secret| !is_secret(&found[2])) {
                return found[0].to_vec();
            }
            [&found[1], REDACTED.as_bytes(), &found[3]].concat()
        })
    }
}

/// Secrets are random: words that look alike, such as `sk-learn-with-a-long-name`, are not.
fn has_digit(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit)
}

/// The text (any bytes, or a line of JSON) without the secrets in it. Redacting again changes nothing.
pub fn redact(text: &[u8]) -> Cow<'_, [u8]> {
    if TRIGGERS.is_match(text) { redact_by_rules(text) } else { Cow::Borrowed(text) }
}

fn redact_by_rules(text: &[u8]) -> Cow<'_, [u8]> {
    let mut redacted = Cow::Borrowed(text);
    for rule in RULES.iter() {
        if let Cow::Owned(changed) = rule.apply(&redacted) {
            redacted = Cow::Owned(changed);
        }
    }
    redacted
}

/// Takes the secrets out of a text in its place.
pub(crate) fn redact_in(text: &mut Text) {
    if let Cow::Owned(redacted) = redact(text) {
        *text = redacted;
    }
}

/// Takes the secrets out of what was appended to a text from `start` on.
pub(crate) fn redact_from(text: &mut Vec<u8>, start: usize) {
    if let Cow::Owned(redacted) = redact(&text[start..]) {
        text.truncate(start);
        text.extend_from_slice(&redacted);
    }
}

/// [`redact`] for text.
pub fn redact_text(text: &str) -> Cow<'_, str> {
    match redact(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // What is replaced begins and ends with whole characters.
        Cow::Owned(changed) => Cow::Owned(String::from_utf8_lossy(&changed).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_go_and_their_names_stay() {
        for (text, expected) in [
            ("https://user:pa55@host/x", "https://user:REDACTED@host/x"),
            ("postgres://:pw@db", "postgres://:REDACTED@db"),
            ("https://h/p?key=AbC&x=1", "https://h/p?key=REDACTED&x=1"),
            ("https://h/p?a=1&sig=a%2Fb", "https://h/p?a=1&sig=REDACTED"),
            (
                "GET https://b.s3.amazonaws.com/k?X-Amz-Credential=A%2F1&X-Amz-Date=2&X-Amz-Security-Token=t&X-Amz-Signature=0f",
                "GET https://b.s3.amazonaws.com/k?X-Amz-Credential=REDACTED&X-Amz-Date=2&X-Amz-Security-Token=REDACTED&X-Amz-Signature=REDACTED",
            ),
            (
                "?X-Goog-Signature=ab&AWSAccessKeyId=x",
                "?X-Goog-Signature=REDACTED&AWSAccessKeyId=REDACTED",
            ),
            ("OPENAI_API_KEY=abc python x.py", "OPENAI_API_KEY=REDACTED python x.py"),
            ("token=abc, next", "token=REDACTED, next"),
            ("password='two words'", "password='REDACTED words'"),
            ("curl -H 'Authorization: Bearer abc' u", "curl -H 'Authorization: REDACTED' u"),
            ("{'x-api-key': 'abc', 'a': 1}", "{'x-api-key': 'REDACTED', 'a': 1}"),
            (r#"{"api_key": "abc d", "n": 1}"#, r#"{"api_key": "REDACTED", "n": 1}"#),
            (r#"{\"api_key\": \"abc\"}"#, r#"{\"api_key\": \"REDACTED\"}"#),
            ("run --api-key abc --n 1", "run --api-key REDACTED --n 1"),
            ("run --password=abc", "run --password=REDACTED"),
            ("sent bearer abcdef123456789", "sent bearer REDACTED"),
            ("key sk-proj-abcdefghij0123456789 used", "key REDACTED used"),
            ("AKIAIOSFODNN7EXAMPLE", "REDACTED"),
            ("ghp_0123456789abcdefghijklmn", "REDACTED"),
            ("Cookie: a=b; c=d\nnext", "Cookie: REDACTED\nnext"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
                "-----BEGIN RSA PRIVATE KEY-----REDACTED-----END RSA PRIVATE KEY-----",
            ),
        ] {
            assert_eq!(redact_text(text), expected);
        }
    }

    #[test]
    fn ordinary_text_stays() {
        for text in [
            "generate (openai/gpt-5-mini) max_tokens=100, tokens: 7, key=5, monkey=2",
            "token count = 5; a token; the secret of success; password reset sent",
            "pip install sk-learn-with-quite-a-long-name --key value",
            "https://host:8080/path?page=2#a@b",
            "bearer certificates are rare; basic understanding",
            "Subtask: task-0123456789abcdef0123",
            "{\"input_tokens\": 12, \"secretary\": \"Ann\"}",
        ] {
            assert_eq!(redact_text(text), text);
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => "\\PC{0,6}",
            1 => "[ =:&?'\"\\\\\n,{}@/-]{1,4}",
            2 => prop::sample::select(vec![
                "token", "api_key", "sk-abcdefghij0123456789", "Authorization", "Bearer ", "https://",
                "password", "access_key_id", "key", "pwd", "x-goog-api-key", "X-Amz-Signature", "--secret ", "AIza", "cookie", "sig", "0123456789abcdef",
                "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
            ]).prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// Redacting once is enough, and gives text.
        #[test]
        fn again_changes_nothing(text in texts()) {
            let once = redact(text.as_bytes()).into_owned();
            prop_assert!(std::str::from_utf8(&once).is_ok());
            prop_assert_eq!(redact(&once).into_owned(), once);
        }

        /// What has no trigger has no secret.
        #[test]
        fn triggers_miss_nothing(text in texts()) {
            prop_assert_eq!(redact(text.as_bytes()), redact_by_rules(text.as_bytes()));
        }

        /// A line of JSON stays one, with the same keys in the same order.
        #[test]
        fn lines_stay_json(texts in prop::collection::vec(texts(), 1..4)) {
            let mut line = serde_json::Map::new();
            for (number, text) in texts.iter().enumerate() {
                line.insert(format!("k{number}"), text.as_str().into());
            }
            line.insert("api_key".into(), "abc".into());
            let line = serde_json::Value::Object(line);
            let json = serde_json::to_vec(&line).unwrap();
            let redacted: serde_json::Value = serde_json::from_slice(&redact(&json)).unwrap();
            let keys = |value: &serde_json::Value| -> Vec<String> {
                value.as_object().unwrap().keys().cloned().collect()
            };
            prop_assert_eq!(keys(&redacted), keys(&line));
            prop_assert_eq!(&redacted["api_key"], REDACTED);
        }
    }
}
