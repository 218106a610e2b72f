//! HTTP requests: the records of level HTTP.

use serde::{Deserialize, Serialize};

use crate::read::to_str_lossy;
use crate::record::{Record, Text};

/// The level that requests are logged at.
const LEVEL: &[u8] = b"HTTP";

/// A record of level HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// When it was made: ISO 8601 with offset.
    pub timestamp: Text,
    /// The message.
    pub message: Text,
    /// The status of the response, where the message tells one.
    pub status: Option<u16>,
    /// Whether the request failed: its status is 400 or above; or there is none, and the message
    /// tells of a failure or a retry.
    pub failed: bool,
}

/// The HTTP request that a record tells of, if it is of level HTTP.
pub fn http_request(record: &Record<'_>) -> Option<HttpRequest> {
    if *record.level() != *LEVEL {
        return None;
    }
    let message = record.message().into_owned();
    let HttpOutcome { status, failed, .. } = HttpOutcome::of(&message);
    let timestamp = record.timestamp().into_owned();
    Some(HttpRequest { timestamp, message, status, failed })
}

/// What a record of level HTTP tells of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HttpOutcome {
    /// The status of the response, where the message tells one.
    pub(crate) status: Option<u16>,
    /// As [`HttpRequest::failed`].
    pub(crate) failed: bool,
    /// Whether there is no status, and the message tells that a request is made again.
    pub(crate) retry: bool,
}

impl HttpOutcome {
    fn of(message: &[u8]) -> Self {
        let text = to_str_lossy(message);
        let status = status(&text);
        match status {
            Some(code) => Self { status, failed: code >= 400, retry: false },
            None => Self {
                status,
                failed: tells_of(&text, is_failure),
                retry: tells_of(&text, is_retry),
            },
        }
    }

    /// Whether it tells of a request at all, and not of the state of things.
    pub(crate) fn is_request(self) -> bool {
        self.status.is_some() || self.failed
    }
}

/// What a record tells of a request, if it is of level HTTP.
pub(crate) fn http_outcome(record: &Record<'_>) -> Option<HttpOutcome> {
    (*record.level() == *LEVEL).then(|| HttpOutcome::of(&record.message()))
}

/// The status in `... "HTTP/1.1 429 Too Many Requests"` or in `... - 429`.
fn status(text: &str) -> Option<u16> {
    status_line(text).or_else(|| trailing_status(text))
}

/// The status of the last quoted status line: what stands before it is a URL, which may hold
/// anything.
fn status_line(text: &str) -> Option<u16> {
    text.rmatch_indices("\"HTTP").find_map(|(at, _)| {
        let mut words = text[at + 1..].split(' ');
        let version = words.next()?.strip_prefix("HTTP")?;
        let is_version = version.is_empty()
            || version.strip_prefix('/').is_some_and(|version| {
                version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            });
        let code = words.next()?.split('"').next()?;
        if is_version { status_code(code) } else { None }
    })
}

fn trailing_status(text: &str) -> Option<u16> {
    let (_, code) = text.trim_end().rsplit_once(" - ")?;
    status_code(code)
}

fn status_code(text: &str) -> Option<u16> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|code| is_code && (100..600).contains(code))
}

/// Whether one of the words of a message without a status is one of those, told with the word before.
/// Reports on the state of things, which begin with one word in brackets (`[Throughput] ...`), tell of
/// nothing, whatever they mention; brackets with several words in them name the sample.
fn tells_of(text: &str, is_it: impl Fn(&str, &str) -> bool) -> bool {
    let mut body = without_context(text);
    if let Some((bracket, rest)) = body.strip_prefix('[').and_then(|text| text.split_once(']')) {
        if !bracket.contains(char::is_whitespace) {
            return false;
        }
        body = rest;
    }
    // A URL that speaks of errors is no error.
    let words = body
        .split_whitespace()
        .filter(|word| !word.contains("://"))
        .flat_map(|word| word.split(|c: char| !c.is_ascii_alphabetic()))
        .map(str::to_ascii_lowercase);
    let mut before = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if is_it(&word, &before) {
            return true;
        }
        before = word;
    }
    false
}

fn is_retry(word: &str, _before: &str) -> bool {
    matches!(word, "retry" | "retries" | "retried" | "retrying")
}

fn is_failure(word: &str, before: &str) -> bool {
    let is_one = matches!(
        word,
        "error"
            | "errors"
            | "fail"
            | "fails"
            | "failed"
            | "failure"
            | "failing"
            | "timeout"
            | "timeouts"
    );
    is_one
        || is_retry(word, before)
        || (word == "out" && before == "timed")
        || word.ends_with("error")
        || word.ends_with("timeout")
}

/// The message without the line that says which sample it belongs to.
fn without_context(text: &str) -> &str {
    let is_context = |line: &str| {
        line.split(' ').any(|word| word.starts_with("sample=") || word.starts_with("task="))
    };
    match text.split_once('\n') {
        Some((line, rest)) if is_context(line) => rest.trim_start(),
        _ => text.trim_start(),
    }
}
