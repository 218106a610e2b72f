//! HTTP requests: which records are, and which of them failed.
#![allow(clippy::unwrap_used)]

mod read_support;

use inspect_trace_core::analyze::http_request;
use inspect_trace_core::read::Filter;
use inspect_trace_core::record::parse_record;
use inspect_trace_core::render::{HttpOptions, TableStyle, http_report};
use read_support::{Log, line, print, whole};

fn http(message: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    line("#").replace("INFO", "HTTP").replace("\"#\"", &message) + "\n"
}

fn outcome(message: &str) -> (Option<u16>, bool) {
    let text = http(message);
    let request = http_request(&parse_record(text.trim().as_bytes()).unwrap()).unwrap();
    (request.status, request.failed)
}

/// The status is found in each form that messages have.
#[test]
fn statuses_are_found() {
    for (message, status) in [
        (r#"POST https://api.x.com/v1 "HTTP/1.1 200 OK" "#, 200),
        (r#"HTTP Request: POST https://api.x.com/v1 "HTTP/1.1 201 Created""#, 201),
        (r#"GET https://api.x.com/v1 "HTTP/2 204 ""#, 204),
        (r#"GET https://api.x.com/v1 "HTTP/1.1 302 Found" "#, 302),
        (r#"POST https://api.x.com/v1 "HTTP/1.1 429 Too Many Requests" "#, 429),
        (r#"POST https://api.x.com/v1 "HTTP/1.1 529 " "#, 529),
        (r#"POST https://api.x.com/v1 "HTTP/1.1 503""#, 503),
        ("POST https://bedrock.x.com/model/a/converse - 200", 200),
        ("POST https://bedrock.x.com/model/a/converse - 400", 400),
        ("sample=s-1\nPOST https://api.x.com/v1 - 500\n", 500),
        ("task=t sample=7 epoch=2\nPOST https://x \"HTTP/1.1 404 Not Found\" ", 404),
        (r#"GET https://x/?q="HTTP/1.1%20500" "HTTP/1.1 200 OK" "#, 200),
    ] {
        assert_eq!(outcome(message), (Some(status), status >= 400), "{message}");
    }
}

/// Without a status, a message that tells of a retry or a failure is one.
#[test]
fn retries_and_failures_without_status_failed() {
    for message in [
        "openai/gpt-5 connection retry 3 (retrying in 24 seconds)",
        "[Abc12xY mmlu/42/1 openai/gpt-5] openai/gpt-5 connection retry 1 (retrying in 3 seconds)",
        "sample=s-1\n[Abc12xY mmlu/42/1 openai/gpt-5] x connection retry 1 (retrying in 3 seconds)",
        "S3 write to s3://b/k hit RequestTimeTooSkewed on attempt 2; retrying in 5s (request id 9)",
        "POST https://x failed: connection reset by peer",
        "POST https://x: ReadTimeout",
        "POST https://x: ConnectError",
        "request to https://x timed out",
        "Error: no route to host",
    ] {
        assert_eq!(outcome(message), (None, true), "{message}");
    }
}

/// Reports on the state of things are no failures, whatever words they use.
#[test]
fn reports_are_no_failures() {
    for message in [
        "[Throughput] openai/gpt-5: 812.3 out-tok/s, 12.0 req/min, 3.0 retries/min, 1 in backoff (window 60s)",
        "sample=s-1\n[connections] openai/gpt-5 20 -> 10 (rate limit retry)",
        "[connections] error 1 -> 2 (failed)",
        "GET https://x/errors/failed?retry=timeout",
        "POST https://api.x.com/v1 streaming",
        "POST https://api.x.com/v1 - ok",
        "timed by hand: 3, out of 4",
        "POST https://x/a - 1234",
        "POST https://x/a - 999",
        "",
    ] {
        assert_eq!(outcome(message), (None, false), "{message}");
    }
}

/// Records of other levels are no requests.
#[test]
fn other_levels_are_no_requests() {
    let text = line(r#"POST https://x \"HTTP/1.1 200 OK\""#);
    assert_eq!(http_request(&parse_record(text.as_bytes()).unwrap()), None);
}

fn options(json: bool, failed: bool, width: Option<usize>) -> HttpOptions {
    HttpOptions {
        redact: false,
        no_detail: false,
        failed,
        limit: None,
        json,
        as_of_s: 1.5,
        style: TableStyle { width, color: false },
    }
}

fn log() -> Log {
    let text = [
        line("not http") + "\n",
        http("GET https://x/a \"HTTP/1.1 200 OK\" "),
        http("sample=1\nGET https://x/b \"HTTP/1.1 500 Oh no\" "),
        http("é\u{1b}[31m forged\r\n[2026-11-23T10:22:25] GET https://x/c - 429"),
    ];
    Log::plain(text.concat() + "torn")
}

fn report(log: &Log, filter: Option<&str>, options: &HttpOptions) -> (String, Option<String>) {
    print(http_report(&[whole(&log.path)], &Filter::new(filter), options).unwrap())
}

/// The JSON has the reference's envelope and rows, with status and failure added, in ASCII.
#[test]
fn json_is_an_envelope() {
    let log = log();
    let (text, note) = report(&log, None, &options(true, false, None));
    assert!(text.is_ascii() && text.ends_with("  ]\n}\n"));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["trace_file", "as_of", "requests"]);
    assert_eq!(value["trace_file"], log.path.to_str().unwrap());
    assert_eq!(value["as_of"], 1.5);
    let requests = value["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0]["message"], "GET https://x/a \"HTTP/1.1 200 OK\" ");
    assert_eq!(requests[0]["timestamp"], "2026-11-23T10:22:25.5+00:00");
    assert_eq!((&requests[0]["status"], &requests[0]["failed"]), (&200.into(), &false.into()));
    assert!(note.unwrap().contains("skipped 1 line"));
    // serde's pretty layout is the one of json.dumps(indent=2), escapes apart.
    let (plain, _) = report(&log, Some("x/a"), &options(true, false, None));
    let value: serde_json::Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(plain, serde_json::to_string_pretty(&value).unwrap() + "\n");
}

/// No requests are an empty list in JSON, and a sentence for people.
#[test]
fn nothing_is_said_so() {
    let log = Log::plain("");
    let (json, _) = report(&log, None, &options(true, false, None));
    assert!(json.ends_with("  \"requests\": []\n}\n"), "{json}");
    let (text, _) = report(&log, None, &options(false, true, None));
    assert_eq!(text, "No failed HTTP requests found in trace log.\n");
}

/// Only failed requests, and only those with the text, are shown when asked for.
#[test]
fn failed_and_filter_choose() {
    let (text, _) = report(&log(), Some("SAMPLE=1"), &options(false, true, None));
    assert_eq!(text, "[2026-11-23T10:22:25]  sample=1 ↵ GET https://x/b \"HTTP/1.1 500 Oh no\"\n");
}

/// In a pipe each request is one line with its time, and none can forge another or steer.
#[test]
fn pipes_get_one_line_each() {
    let (text, _) = report(&log(), None, &options(false, false, None));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.starts_with("[2026-11-23T10:22:25]  ")));
    assert!(lines[2].contains("é\\x1b[31m forged ↵ [2026"));
    assert!(!text.contains('\u{1b}'));
}

/// On a terminal, long messages wrap within their column and a repeated time is left out.
#[test]
fn terminals_get_wrapped_lines() {
    let text = [http(&"word ".repeat(30)), http("next"), http("later").replace(":25.5", ":26.5")];
    let (text, _) = report(&Log::plain(text.concat()), None, &options(false, false, Some(60)));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 7);
    assert!(lines.iter().all(|line| line.chars().count() <= 60), "{text}");
    assert!(lines[1].starts_with(&" ".repeat(23)) && lines[1].trim().starts_with("word"));
    assert_eq!(lines[5], format!("{}next", " ".repeat(23)));
    assert_eq!(lines[6], "[2026-11-23T10:22:26]  later");
}
