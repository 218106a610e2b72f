//! What is taken for a secret, what is not, and what never happens to a text.
#![allow(missing_docs, clippy::unwrap_used)]

use std::borrow::Cow;

use inspect_trace_core::redact::{REDACTED, redact, redact_json, redact_text};
use proptest::prelude::*;
use serde_json::Value;

/// Texts with a secret, which is between `«` and `»`.
const SECRETS: &[&str] = &[
    // Query strings
    "GET https://api.example.com/v1?api_key=«abc123»&x=1",
    "GET https://x.example/?key=«AIzaSyA-1234567890abcdefghijklmnopqrstu»&alt=json",
    "https://x.example/?access_token=«ya29.a0Af»#frag",
    "https://x.example/?a=1&token=«abc» (retry)",
    "https://x.example/?TOKEN=«abc%2Fdef»&y",
    "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=«AKIDEXAMPLE%2F20150830»&X-Amz-Date=20150830T123600Z&X-Amz-Security-Token=«IQoJb3JpZ2lu»&X-Amz-Signature=«5d672d79c15b13162d9279b0855cfba6»",
    "https://storage.googleapis.com/b/o?X-Goog-Credential=«a%40b.iam»&X-Goog-Signature=«247a2aa45f169»&X-Goog-Date=1",
    "https://a.blob.core.windows.net/c/b?sv=2022-11-02&sp=r&sig=«abc%3D»&se=2026",
    "?X-Goog-Signature=«ab»&AWSAccessKeyId=«x»",
    // Users in URLs
    "postgresql://user:«p@ss:w%21rd»@db.example:5432/x",
    "redis://:«hunter2»@localhost/0",
    "https://«0123456789abcdef0123456789abcdef»@sentry.example/1",
    // Headers
    "Authorization: Bearer «abc.def-ghi»",
    "authorization: Basic «dXNlcjpwYXNz» and more",
    "Authorization: «raw credentials of a kind»",
    "curl -H 'Authorization: Bearer «abc»' -H 'x-api-key: «k1»' https://x.example",
    "{'authorization': 'Bearer «abc»', 'accept': '*/*'}",
    "[(b'authorization', b'Bearer «abc»'), (b'x-api-key', b'«k1»')]",
    "[(\"x-goog-api-key\", \"«k 1»\"), (\"accept\", \"*/*\")]",
    "Cookie: «a=b; c=d»\r\nHost: x",
    "Set-Cookie: «id=1; HttpOnly»",
    "\"cookie\": \"«a=b»\", \"x\": 1",
    "Proxy-Authorization: «Digest username=bob»",
    "sent bearer «abcdefgh1234»",
    // Names and values
    "OPENAI_API_KEY=«sk» python x.py",
    "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG»",
    "aws_access_key_id=«x»",
    "AccountKey=«abc==»;EndpointSuffix=x",
    "password: «hunter2»",
    "PASSWORD='«two words»' x",
    "pwd=«x»",
    "{\"api_key\": \"«a \\\"b\\\" c»\", \"model\": \"m\"}",
    "{\\\"api_key\\\": \\\"«abc»\\\", \\\"model\\\": 1}",
    "{'apiKey': '«abc»'}",
    "client_secret=«abc», x",
    "clientSecret: «abcdefgh1»",
    "X-Auth-Token: «abcdefgh1234»",
    "passphrase=«é日本»",
    "headers[\"token\"] = \"«abc»\"",
    // Command lines
    "tool --api-key «X» --verbose",
    "tool --api-key=«X» --verbose",
    "tool --db-password '«a b»' x",
    "tool --token \"«abc»\"",
    "['tool', '--api-key', '«X»', '--verbose']",
    // Tokens known by how they begin
    "key «sk-abcdefghijkl1234» used",
    "(«sk-ant-api-abcdefghij_-x»)",
    "«AIzaSyA-1234567890abcdefghijklmnopqrstu»",
    "id «AKIAIOSFODNN7EXAMPLE», «ASIAIOSFODNN7EXAMPLE»",
    "«ghp_0123456789abcdefghij0123456789abcdef»",
    "«github_pat_0123456789abcdefghij_0123456789abcdef»",
    "«xoxb-1234567890-abcdef»",
    "«hf_abcdefghijklmnopqrstuvwxyz»",
    "«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_»",
    "-----BEGIN RSA PRIVATE KEY-----«\nMIIE\nabc=\n»-----END RSA PRIVATE KEY-----",
    "é«sk-abcdefghijkl1234»é",
];

/// Texts without any.
const ORDINARY: &[&str] = &[
    "token count = 5",
    "generate (openai/gpt-5-mini), --key value, key=5",
    "Subtask: task-0123456789abcdef0123; {\"input_tokens\": 12, \"secretary\": \"Ann\"}",
    "a token; the secret of success; password reset sent",
    "sk-learn, sk-learn-contrib-extra, scikit-learn",
    "task-abcdefghijkl1234, risk-abcdefghijkl1234",
    "max_tokens=100, tokens: 7, total tokens: 12345678",
    "tokens=12345678901234",
    "--max-tokens 100 --tokenizer gpt2 --token-limit 5",
    "Unexpected token: foo",
    "Unexpected token } in JSON at position 5",
    "pad_token='<pad>', eos_token=\"[EOS]\", bos_token=None, first_token=0.35s, token=5",
    "the secret: the agent found it",
    "secretary = Ann",
    "password == other, password != None, password=None",
    "api_key=null, \"api_key\": null, 'token': '', password=",
    "bearer of good news, Bearer authentication is needed",
    "the authorization of users, authorization, \"cookies\": 3, cookies = 3",
    "key=value, keyboard=1, monkey=2, sort_key=name",
    "user@example.com, mailto:a@b.example, git@github.com:x/y.git",
    "https://x.example:8080/a@b?c=d:e@f",
    "https://x.example/?signed=1&design=2",
    "ssh://git@github.com/x",
    "hf_hub_download, hf_token_count",
    "AKIA, Asia, asia, ghp_, xoxb-",
    "REDACTED token=REDACTED password='REDACTED' https://a:REDACTED@b",
    "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
    "tests/test_token.py::test_password PASSED",
    "token\n= 5, password\nabc",
];

fn with_marks(marked: &str) -> (String, String) {
    let text = marked.replace(['«', '»'], "");
    let mut redacted = String::new();
    for (index, part) in marked.split('«').enumerate() {
        match part.split_once('»') {
            Some((_, rest)) if index > 0 => redacted.extend([REDACTED, rest]),
            _ => redacted.push_str(part),
        }
    }
    (text, redacted)
}

/// Each kind of secret is replaced by the mark, and nothing else is.
#[test]
fn secrets_are_found() {
    for marked in SECRETS {
        let (text, redacted) = with_marks(marked);
        assert_eq!(redact_text(&text), redacted, "{text}");
    }
}

/// Words that look a little like it stay, and the text is not even copied.
#[test]
fn ordinary_text_stays() {
    for text in ORDINARY {
        assert!(
            matches!(redact_text(text), Cow::Borrowed(same) if same == *text),
            "{}",
            redact_text(text)
        );
    }
}

/// In JSON, the strings are redacted as they read, and the values of secret names whole.
#[test]
fn secrets_in_json() {
    for (json, expected) in [
        (r#"{"message": "token=abc\n", "x": 1}"#, r#"{"message": "token=REDACTED\n", "x": 1}"#),
        (
            r#"{"message": "tok\u0065n\u003da\u00e9b c"}"#,
            r#"{"message": "tok\u0065n\u003dREDACTED c"}"#,
        ),
        (
            r#"{"m": "\u00e9sk-abcdefghijkl1234\ud83d\ude00"}"#,
            r#"{"m": "\u00e9REDACTED\ud83d\ude00"}"#,
        ),
        (r#"{"m": "password='a\\'b\u0027 c"}"#, r#"{"m": "password='REDACTED\u0027 c"}"#),
        (
            r#"{"m": "{\"api_key\": \"x y\", \"b\": 1}"}"#,
            r#"{"m": "{\"api_key\": \"REDACTED\", \"b\": 1}"}"#,
        ),
        (
            r#"{"headers": {"Authorization": "Bearer a b", "X-Api-Key" : "k", "Accept": "a"}}"#,
            r#"{"headers": {"Authorization": "Bearer REDACTED b", "X-Api-Key" : "REDACTED", "Accept": "a"}}"#,
        ),
        (
            r#"{"cookie": ["a=b", "c\u00e9"], "d": "e"}"#,
            r#"{"cookie": ["REDACTED", "REDACTED"], "d": "e"}"#,
        ),
        (
            r#"{"h": [["authorization", "Basic a"], ["accept", "b"]]}"#,
            r#"{"h": [["authorization", "Basic REDACTED"], ["accept", "b"]]}"#,
        ),
        (
            r#"{"argv": ["t", "--api-key", "X", "Y"]}"#,
            r#"{"argv": ["t", "--api-key", "REDACTED", "Y"]}"#,
        ),
        (
            r#"{"token": 5, "password": null, "secret": {"a": "b"}, "api_key": "", "eos_token": "<eos>"}"#,
            r#"{"token": 5, "password": null, "secret": {"a": "b"}, "api_key": "", "eos_token": "<eos>"}"#,
        ),
        (r#"{"token=abc": "x"}"#, r#"{"token=REDACTED": "x"}"#),
    ] {
        let redacted = redact_json(json.as_bytes());
        assert_eq!(String::from_utf8_lossy(&redacted), expected);
    }
}

/// What is no JSON is redacted as a text from there on.
#[test]
fn what_is_no_json() {
    let torn = br#"{"message": "x", "detail": "password=abc"#;
    let redacted = redact_json(torn);
    assert_eq!(&*redacted, br#"{"message": "x", "detail": "password=REDACTED"#);
}

/// A secret is found wherever it stands in a long text.
#[test]
fn long_texts() {
    for before in (0..9000).step_by(7).chain(4070..4110) {
        let text = format!("{} token=abc {}", "x".repeat(before), "y".repeat(5000));
        assert_eq!(redact_text(&text), text.replace("abc", REDACTED));
    }
}

/// Texts made of what secrets are made of.
fn suspicious() -> impl Strategy<Value = String> {
    let pieces = [
        "token",
        "Token",
        "api_key",
        "apiKey",
        "--api-key",
        "password",
        "secret",
        "PASSWORD",
        "secret_access_key",
        "authorization",
        "Authorization",
        "cookie",
        "Bearer ",
        "Basic ",
        "sk-",
        "sk-ant-",
        "AIza",
        "AKIA",
        "hf_",
        "ghp_",
        "xoxb-",
        "eyJh",
        "://",
        "@",
        ":",
        ": ",
        "=",
        " = ",
        " ",
        "  ",
        "\t",
        "\"",
        "'",
        "\\",
        "\\\"",
        "\\'",
        ",",
        ", ",
        "&",
        "?",
        "?key=",
        "&sig=",
        "X-Amz-Signature=",
        "x-api-key",
        "b'",
        "(",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "-",
        "_",
        ".",
        "/",
        "abc",
        "x1",
        "0123456789abcdef",
        "ABCDEFGHIJKLMNOP",
        "é",
        "日本",
        "😀",
        "REDACTED",
        "REDAC",
        "None",
        "https://",
        "-----BEGIN PRIVATE KEY-----",
        "%20",
        "=>",
        ";",
        "<",
        "|",
        "\u{0}",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..24).prop_map(|all| all.concat())
}

fn json_of(text: &str, ascii: bool) -> String {
    let plain = serde_json::to_string(text).unwrap();
    if !ascii {
        return plain;
    }
    let mut out = String::new();
    for character in plain.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend(["\\u".to_owned(), format!("{unit:04x}")]);
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// What has been redacted stays as it is.
    #[test]
    fn redacting_twice_changes_nothing_more(text in suspicious()) {
        let once = redact_text(&text).into_owned();
        prop_assert_eq!(redact_text(&once), once.clone(), "of {:?}", text);
    }

    /// Only secrets go: the rest of the text is there, in its order.
    #[test]
    fn the_rest_stays(text in suspicious()) {
        let redacted = redact_text(&text).into_owned();
        let mut rest = &text[..];
        for part in redacted.split(REDACTED) {
            let at = rest.find(part);
            prop_assert!(at.is_some(), "{:?} of {:?}", part, redacted);
            rest = &rest[at.unwrap_or(0) + part.len()..];
        }
    }

    /// A string in JSON reads as the text redacted by itself, in whatever way it is escaped.
    #[test]
    fn json_reads_as_the_text(text in suspicious(), ascii: bool) {
        let json = format!("{{\"message\": {}, \"line\": 1}}", json_of(&text, ascii));
        let redacted = redact_json(json.as_bytes());
        let value: Value = serde_json::from_slice(&redacted).unwrap();
        prop_assert_eq!(value["message"].as_str().unwrap(), redact_text(&text));
        prop_assert_eq!(&value["line"], 1);
    }

    /// JSON stays JSON of the same shape, and redacting it again changes nothing more.
    #[test]
    fn json_stays_json(key in suspicious(), first in suspicious(), second in suspicious()) {
        let value = serde_json::json!({"a": [first, second, {"b": key.clone()}], "c": {key: second}});
        let json = serde_json::to_vec(&value).unwrap();
        let once = redact_json(&json).into_owned();
        let shape = |json: &[u8]| {
            let value: Value = serde_json::from_slice(json).unwrap();
            (value["a"].as_array().unwrap().len(), value["c"].as_object().unwrap().len())
        };
        prop_assert_eq!(shape(&json), shape(&once));
        let twice = redact_json(&once).into_owned();
        prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
    }

    /// Any bytes are taken, and those without what secrets have in them stay.
    #[test]
    fn any_bytes(bytes in any::<Vec<u8>>()) {
        let once = redact(&bytes).into_owned();
        prop_assert_eq!(redact(&once), &once[..]);
        let _ = redact_json(&bytes);
    }

    /// Words, numbers and punctuation that are no secret's stay.
    #[test]
    fn ordinary_words_stay(words in prop::collection::vec("[a-z]{1,8}[ .,:=]|[0-9]{1,6} ", 0..40)) {
        let text = words.concat();
        let suspicious = ["token", "secret", "passw", "pwd", "key", "sig", "cookie", "authorization"];
        prop_assume!(!suspicious.iter().any(|word| text.contains(word)));
        prop_assert_eq!(redact_text(&text), text.clone());
    }
}
