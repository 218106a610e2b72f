//! A log to read, made without Python: the shapes of lines that an evaluation
//! writes, repeated with other ids. `benches/corpus.py` makes the realistic mix.

use std::fmt::Write as _;

/// Actions that are open at the same time.
const CONCURRENT: usize = 40;

/// One in so many actions is never closed.
const NEVER_CLOSED: usize = 2500;

/// A log of at least `size_bytes`, ending with a whole line.
pub(crate) fn log(size_bytes: usize) -> Vec<u8> {
    let mut text = String::with_capacity(size_bytes + 1024);
    let mut number = 0;
    while text.len() < size_bytes {
        number += 1;
        push_action(&mut text, number, "enter", "\"start_time\": 1772440200.25");
        if number.is_multiple_of(8) {
            push_http(&mut text, number);
        }
        // Closing lags behind, so that many actions are open at any time.
        if let Some(closed) = number.checked_sub(CONCURRENT)
            && !closed.is_multiple_of(NEVER_CLOSED)
        {
            push_action(&mut text, closed, event_of(closed), "\"duration\": 2.5043210983");
        }
    }
    text.into_bytes()
}

fn event_of(number: usize) -> &'static str {
    match number % 200 {
        0 | 100 => "cancel",
        50 => "timeout",
        _ => "exit",
    }
}

fn push_action(text: &mut String, number: usize, event: &str, time: &str) {
    let sample = number % CONCURRENT;
    let detail = "python3 -m pytest -x -q tests/test_parser.py ; Où est passé \\\"x\\\"";
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "{{\"timestamp\": \"2026-03-02T08:30:{:02}.{:06}+01:00\", \"level\": \"TRACE\", \
         \"message\": \"sample=s-{sample}\\nSubprocess: {detail} ({event})\", \
         \"action\": \"Subprocess\", \"detail\": \"{detail}\", \"event\": \"{event}\", \
         \"trace_id\": \"{number:022}\", {time}, \"task\": \"swe_bench_like\", \
         \"sample_id\": \"s-{sample}\", \"epoch\": 1}}",
        number / 1000 % 60,
        number % 1000 * 1000 + 1,
    );
}

fn push_http(text: &mut String, number: usize) {
    let sample = number % CONCURRENT;
    let _ = writeln!(
        text,
        "{{\"timestamp\": \"2026-03-02T08:30:{:02}.000001+01:00\", \"level\": \"HTTP\", \
         \"message\": \"sample=s-{sample}\\nPOST https://api.example.com/v1/responses \
         \\\"HTTP/1.1 200 OK\\\" \", \"module\": \"hooks\", \"function\": \"response_hook\", \
         \"line\": 429, \"task\": \"swe_bench_like\", \"sample_id\": \"s-{sample}\", \"epoch\": 1}}",
        number / 1000 % 60,
    );
}
