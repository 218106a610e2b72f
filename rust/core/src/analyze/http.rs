//! HTTP requests: the records of level HTTP.

use crate::read::to_str_lossy;
use crate::record::{Record, Text};

/// The level that requests are logged at.
const LEVEL: &[u8] = b"HTTP";

/// A record of level HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    let text = to_str_lossy(&message);
    let status = status(&text);
    let failed = match status {
        Some(status) => status >= 400,
        None => tells_of_failure(&text),
    };
    let timestamp = record.timestamp().into_owned();
    Some(HttpRequest { timestamp, message: message.clone(), status, failed })
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

/// Whether a message without a status tells of a failure. Reports on the state of things, which
/// begin with one word in brackets (`[Throughput] ...`), do not, whatever they mention; brackets
/// with several words in them name the sample.
fn tells_of_failure(text: &str) -> bool {
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
    let mut timed = false;
    for word in words.filter(|word| !word.is_empty()) {
        match word.as_str() {
            "retry" | "retries" | "retried" | "retrying" | "error" | "errors" | "fail"
            | "fails" | "failed" | "failure" | "failing" | "timeout" | "timeouts" => return true,
            "out" if timed => return true,
            other if other.ends_with("error") || other.ends_with("timeout") => return true,
            other => timed = other == "timed",
        }
    }
    false
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
