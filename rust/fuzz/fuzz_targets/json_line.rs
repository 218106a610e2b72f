//! Any line: our parser accepts all that a parser by the book accepts, and what it accepts is
//! written out as JSON by the book.
#![no_main]

use inspect_trace_core::record::{Reject, parse_record};
use inspect_trace_core::render::{DumpFormat, write_record};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|line: &[u8]| {
    let by_the_book: Result<Value, _> = serde_json::from_slice(line);
    match parse_record(line) {
        Ok(record) => {
            for format in [DumpFormat::JsonArray, DumpFormat::JsonLines] {
                let mut out = Vec::new();
                write_record(&mut out, &record, format);
                match serde_json::from_slice::<Value>(&out) {
                    Ok(Value::Object(_)) => {}
                    Ok(other) => panic!("{other} is no object"),
                    // Its limits are not ours: depth, and integers beyond the range of a float.
                    Err(error) => {
                        let text = error.to_string();
                        let is_limit = text.starts_with("recursion limit")
                            || text.starts_with("number out of range");
                        assert!(is_limit, "{text}: {}", String::from_utf8_lossy(&out));
                    }
                }
            }
            if let Ok(value) = by_the_book {
                let text = |key: &str| value[key].as_str().map(str::as_bytes).map(<[u8]>::to_vec);
                assert_eq!(text("message").as_deref(), Some(&*record.message()));
                assert_eq!(text("level").as_deref(), Some(&*record.level()));
            }
        }
        Err(Reject::NotJson) => assert!(by_the_book.is_err()),
        Err(Reject::NotObject) => assert!(by_the_book.map_or(true, |value| !value.is_object())),
        Err(Reject::MissingFields) => {
            let is_record = |value: Value| {
                ["timestamp", "level", "message"].iter().all(|key| value[key].is_string())
            };
            assert!(by_the_book.map_or(true, |value| !is_record(value)));
        }
    }
});
