//! Secrets in JSON text: in its strings, as they read decoded, and in the values of secret names. All
//! but the secrets stays as it is, to the byte, so JSON stays JSON.

use std::borrow::Cow;
use std::ops::Range;

use crate::read::json::string_end;
use crate::read::wtf8::unescape_with;

use super::{replaced, rules, secrets, settle, triggers};

/// The JSON text without secrets.
pub fn redact_json(json: &[u8]) -> Cow<'_, [u8]> {
    if !triggers::any(json) {
        return Cow::Borrowed(json);
    }
    let mut spans = Vec::new();
    collect(json, &mut spans);
    if spans.is_empty() { Cow::Borrowed(json) } else { Cow::Owned(replaced(json, &spans)) }
}

/// Takes the secrets out of the JSON text that `out` has from `start` on.
pub(crate) fn redact_from(out: &mut Vec<u8>, start: usize) {
    if let Cow::Owned(redacted) = redact_json(&out[start..]) {
        out.truncate(start);
        out.extend_from_slice(&redacted);
    }
}

fn collect(json: &[u8], spans: &mut Vec<Range<usize>>) {
    // The name that makes the next value, or values of a list, a secret.
    let mut secret_name: Option<Cow<'_, [u8]>> = None;
    // The same for the next item of a list only.
    let mut item_name: Option<Cow<'_, [u8]>> = None;
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b'"', b'{', b'}', &json[at..]) {
        let start = at + found;
        if json[start] != b'"' {
            secret_name = None;
            item_name = None;
            at = start + 1;
            continue;
        }
        let Ok((end, escaped)) = string_end(json, start) else {
            // No JSON: what is left is a text.
            let rest = secrets(&json[start..]);
            spans.extend(rest.into_iter().map(|span| start + span.start..start + span.end));
            return;
        };
        let string = Decoded::new(json, start + 1..end - 1, escaped);
        let text = &*string.text;
        let next = json[end..].iter().find(|byte| !byte.is_ascii_whitespace());
        let follows_item = json[..start].iter().rev().find(|byte| !byte.is_ascii_whitespace());
        if next == Some(&b':') {
            string.push_raw(secrets(text), spans);
            secret_name = rules::is_secret_name(text).then(|| string.text.clone());
            item_name = None;
        } else {
            let name = item_name.take().filter(|_| follows_item == Some(&b','));
            let of_name = name
                .as_deref()
                .or(secret_name.as_deref())
                .and_then(|name| rules::secret_of_name(name, text));
            let mut found = secrets(text);
            if let Some(secret) = of_name {
                found.push(secret);
                settle(text, &mut found);
            } else if next == Some(&b',') && rules::names_next_item(text) {
                item_name = Some(string.text.clone());
            }
            string.push_raw(found, spans);
        }
        at = end;
    }
}

/// The content of a string, and where its characters stand in the JSON text.
struct Decoded<'j> {
    text: Cow<'j, [u8]>,
    /// Where it begins in the JSON text.
    start: usize,
    /// Of each escape, where it stands: in the text, and in the JSON text from `start` on.
    escapes: Vec<(Range<usize>, Range<usize>)>,
}

impl<'j> Decoded<'j> {
    fn new(json: &'j [u8], content: Range<usize>, is_escaped: bool) -> Self {
        let start = content.start;
        let raw = &json[content];
        let mut escapes = Vec::new();
        let text = if is_escaped {
            Cow::Owned(unescape_with(raw, |text, raw| escapes.push((text, raw))))
        } else {
            Cow::Borrowed(raw)
        };
        Self { text, start, escapes }
    }

    /// Adds where spans of the text stand in the JSON text.
    fn push_raw(&self, found: Vec<Range<usize>>, spans: &mut Vec<Range<usize>>) {
        spans.extend(found.into_iter().map(|span| self.raw(span.start)..self.raw(span.end)));
    }

    /// Where the character that begins at `at` in the text begins in the JSON text.
    fn raw(&self, at: usize) -> usize {
        let before = self.escapes.partition_point(|(text, _)| text.end <= at);
        let (text_end, raw_end) = match before.checked_sub(1).map(|last| &self.escapes[last]) {
            Some((text, raw)) => (text.end, raw.end),
            None => (0, 0),
        };
        // No secret begins or ends within a character, see `rules`; if one did, the escape would stay.
        let within = self.escapes.get(before).filter(|(text, _)| text.start < at);
        self.start + within.map_or(raw_end + (at - text_end), |(_, raw)| raw.end)
    }
}
