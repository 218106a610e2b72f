//! Whatever comes from a worker: it is refused, or can be merged and told of.
#![no_main]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use inspect_trace_core::analyze::{By, Outcomes};
use inspect_trace_core::partial::{
    Analysis, Question, STATE_VERSION, State, tell_anomalies, tell_http, tell_stats,
};
use inspect_trace_core::read::Filter;
use inspect_trace_core::render::{
    AnomaliesOptions, HttpOptions, StatsReportOptions, TableStyle,
};
use libfuzzer_sys::fuzz_target;

/// The bytes as what is told in a state.
fn state(plain: &[u8]) -> Vec<u8> {
    let mut head = b"\x1aTRACE".to_vec();
    head.extend_from_slice(&STATE_VERSION.to_le_bytes());
    let mut encoder = GzEncoder::new(head, Compression::none());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

/// The analyses, with the bytes that they begin with.
fn analyses() -> [Analysis; 3] {
    let (by, slowest, max_groups, redact, no_detail) = (By::Action, 2, 3, true, false);
    [
        Analysis::Anomalies(Outcomes::All),
        Analysis::Stats { by, slowest, max_groups, redact, no_detail },
        Analysis::Http { failed: false, limit: None, redact, no_detail },
    ]
}

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (which, payloads) = input;
    let analysis = analyses()[usize::from(which) % 3];
    let question = Question { analysis, filter: Filter::default(), as_of_s: 1.9e9 };
    let mut known = State::new(&question);
    // An empty state has the analysis, and then the number of pieces.
    let empty = known.encode().expect("memory");
    let mut head = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&empty[8..]), &mut head)
        .expect("what was just written");
    head.pop();
    for payload in &payloads {
        let _ = known.add(&state(&[&head, &payload[..]].concat()));
    }
    let logs = known.logs();
    let again = State::new(&question).add(&known.encode().expect("memory"));
    assert!(again.is_ok(), "what was taken in can be passed on");
    let (json, as_of_s, style) = (which & 4 == 0, 1.9e9, TableStyle::default());
    let report = match analysis {
        Analysis::Anomalies(_) => {
            let (show_all, limit, redact, no_detail) = (true, None, true, false);
            let options =
                AnomaliesOptions { show_all, limit, redact, no_detail, json, as_of_s, style };
            tell_anomalies(known, logs, &options)
        }
        Analysis::Stats { .. } => {
            let options = StatsReportOptions { json, as_of_s, ..StatsReportOptions::default() };
            tell_stats(known, logs, &options)
        }
        Analysis::Http { .. } => {
            tell_http(known, logs, &HttpOptions { json, as_of_s, ..HttpOptions::default() })
        }
    };
    if let Ok(mut report) = report {
        while let Ok(Some(_)) = report.next_chunk() {}
    }
});
