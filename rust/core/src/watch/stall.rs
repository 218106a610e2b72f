//! The record that tells where an open action waits.

use super::frame::{Frame, cut};
use crate::id::TraceId;
use crate::write::encode::{TRACE_LEVEL_NAME, write_timestamp};
use crate::write::json::JsonWriter;

/// Of a deeper stack the innermost so many frames are kept.
pub const MAX_FRAMES: usize = 50;

/// Where an open action waits.
#[derive(Debug, Clone, Copy)]
pub struct StallRecord<'a> {
    /// When it was looked at, seconds since the epoch.
    pub created_s: f64,
    /// The kind of action (WTF-8).
    pub action: &'a [u8],
    /// The action's id.
    pub trace_id: &'a TraceId,
    /// For how long it has been open.
    pub duration_s: f64,
    /// The innermost frame is the last one.
    pub stack: &'a [Frame],
    /// The process, in a child of the one whose log it is.
    pub pid: Option<u32>,
}

/// Appends the line of `record`, without a newline, to `line`.
///
/// It is no record of an action: it has no key `action`. Readers that do not know it take it for a
/// message.
pub fn encode_stall(record: &StallRecord<'_>, line: &mut Vec<u8>) {
    write_timestamp(Some(record.created_s), line);
    let mut json = JsonWriter::in_object(line);
    json.key(b"level");
    json.string(TRACE_LEVEL_NAME);
    json.key(b"message");
    json.string(&message(record));
    json.key(b"event");
    json.string(b"stall");
    json.key(b"trace_id");
    json.string(record.trace_id.as_bytes());
    json.key(b"duration");
    json.float(record.duration_s);
    json.key(b"stack");
    json.begin_array();
    for frame in &record.stack[record.stack.len().saturating_sub(MAX_FRAMES)..] {
        json.element();
        frame.write(&mut json);
    }
    json.end_array();
    if let Some(pid) = record.pid {
        json.key(b"pid");
        json.integer(pid.into());
    }
    json.end_object();
}

fn message(record: &StallRecord<'_>) -> Vec<u8> {
    let mut text = b"[inspect-trace] ".to_vec();
    text.extend_from_slice(cut(record.action));
    text.extend_from_slice(format!(": open for {:.1} s", record.duration_s).as_bytes());
    if let Some(frame) = record.stack.last() {
        text.extend_from_slice(b", in ");
        text.extend_from_slice(cut(&frame.function));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::frame::MAX_TEXT_BYTES;
    use super::*;
    use crate::record::{ActionKind, parse_record};

    fn frame(line: u32) -> Frame {
        Frame { file: b"/a/b.py".to_vec(), line, function: b"f".to_vec(), awaits: None }
    }

    fn encoded(stack: &[Frame], pid: Option<u32>) -> Vec<u8> {
        let mut line = Vec::new();
        let record = StallRecord {
            created_s: 1.5,
            action: "Mödel".as_bytes(),
            trace_id: &TraceId::parse(&"A".repeat(22)).unwrap(),
            duration_s: 61.25,
            stack,
            pid,
        };
        encode_stall(&record, &mut line);
        line
    }

    fn object(line: &[u8]) -> serde_json::Value {
        serde_json::from_slice(line).unwrap()
    }

    /// A record has what readers look for, and is none of an action.
    #[test]
    fn a_stall() {
        let inner = Frame { awaits: Some(b"task \"t\"".to_vec()), ..frame(2) };
        let line = encoded(&[frame(1), inner], Some(7));
        let record = parse_record(&line).unwrap();
        assert!(record.is_stall());
        assert_eq!(record.action_kind(), ActionKind::None);
        assert_eq!(record.pid(), Some(7));
        let object = object(&line);
        assert_eq!(object["message"], "[inspect-trace] Mödel: open for 61.2 s, in f");
        assert_eq!(object["duration"], 61.25);
        assert_eq!(
            object["stack"],
            serde_json::json!([
                {"file": "/a/b.py", "line": 1, "function": "f"},
                {"file": "/a/b.py", "line": 2, "function": "f", "awaits": "task \"t\""},
            ])
        );
        assert!(object.get("action").is_none());
    }

    /// Where nobody knows where it waits, the record says how long it has been open.
    #[test]
    fn nothing_is_known() {
        let object = object(&encoded(&[], None));
        assert_eq!(object["message"], "[inspect-trace] Mödel: open for 61.2 s");
        assert_eq!(object["stack"], serde_json::json!([]));
        assert!(object.get("pid").is_none());
    }

    /// Of a deep recursion the innermost frames are left, and long names are cut between characters.
    #[test]
    fn records_are_short() {
        let mut frames: Vec<_> = (0..1000).map(frame).collect();
        frames[999].function = "é".repeat(MAX_TEXT_BYTES).into_bytes();
        let object = object(&encoded(&frames, None));
        let stack = object["stack"].as_array().unwrap();
        assert_eq!(stack.len(), MAX_FRAMES);
        assert_eq!(stack[0]["line"], 950);
        assert_eq!(stack[49]["function"].as_str().unwrap(), "é".repeat(MAX_TEXT_BYTES / 2));
    }
}
