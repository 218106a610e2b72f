//! The records that tracing itself writes into a log, about what is missing there.

use super::json::JsonWriter;
use crate::clock;

/// Appends to `text` a record of level TRACE, with how many records it tells of as `dropped`.
fn write_note(text: &mut Vec<u8>, message: &str, dropped: Option<u64>) {
    let mut timestamp = Vec::new();
    clock::write_local_iso(&mut timestamp, clock::now_s());
    let mut json = JsonWriter::new(text);
    json.begin_object();
    json.key(b"timestamp");
    json.string(&timestamp);
    json.key(b"level");
    json.string(b"TRACE");
    json.key(b"message");
    json.string(format!("[inspect-trace] {message}").as_bytes());
    if let Some(dropped) = dropped {
        json.key(b"dropped");
        json.integer(i64::try_from(dropped).unwrap_or(i64::MAX));
    }
    json.end_object();
    text.push(b'\n');
}

/// Appends to `text` a record that tells of missing records, and why they are missing.
pub(super) fn write_gap_note(text: &mut Vec<u8>, dropped: u64, why: &str) {
    let records = if dropped == 1 { "record" } else { "records" };
    write_note(text, &format!("{dropped} {records} could not be written: {why}"), Some(dropped));
}

/// Appends to `text` a record that tells that the log begins in the middle.
pub(super) fn write_removal_note(text: &mut Vec<u8>) {
    write_note(text, "the log was removed while it was written: it goes on here", None);
}
