//! Any text, and any JSON: redacting takes secrets only, and once is enough. JSON stays JSON, and its
//! strings read as the texts redacted by themselves.
#![no_main]

use inspect_trace_core::redact::{REDACTED, redact, redact_json, redact_text};
use inspect_trace_fuzz::text_with_secrets;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let bytes = text_with_secrets(input);
    let once = redact(&bytes).into_owned();
    assert_eq!(redact(&once), &once[..], "of {:?}", String::from_utf8_lossy(&bytes));
    let _ = redact_json(&bytes);

    let Ok(text) = std::str::from_utf8(&bytes) else { return };
    let redacted = redact_text(text);
    let mut rest = text;
    for part in redacted.split(REDACTED) {
        let at = rest.find(part).expect("what is no secret stays");
        rest = &rest[at + part.len()..];
    }
    let line = serde_json::to_vec(&json!({"message": text, "line": 1})).expect("it is JSON");
    let line: Value = serde_json::from_slice(&redact_json(&line)).expect("it stays JSON");
    assert_eq!(line, json!({"message": redacted, "line": 1}));
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let json = redact_json(text.as_bytes()).into_owned();
        let redacted: Value = serde_json::from_slice(&json).expect("it stays JSON");
        assert_eq!(value.is_object(), redacted.is_object());
        assert_eq!(redact_json(&json), &json[..]);
    }
});
