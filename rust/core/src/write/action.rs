//! The line of an action's record, straight from what it says: to the byte the one that
//! [`encode`](super::encode::encode) writes for the log record that `logging` would make of it.

use super::encode::write_timestamp;
use super::json::{JsonWriter, write_escaped};
use crate::id::TraceId;

/// One record of an action. All texts are WTF-8.
#[derive(Debug, Clone, Copy)]
pub struct ActionRecord<'a> {
    /// When it was made, seconds since the epoch.
    pub created_s: f64,
    /// The kind of action.
    pub action: &'a [u8],
    /// What it is at.
    pub detail: &'a [u8],
    /// What the record tells of.
    pub event: Event<'a>,
    /// The action's id.
    pub trace_id: &'a TraceId,
    /// The id of the action around it.
    pub parent_id: Option<&'a TraceId>,
    /// The process, in a child of the one whose log it is.
    pub pid: Option<u32>,
    /// Why the detail could not be merged with its arguments.
    pub format_error: Option<&'a [u8]>,
}

/// The beginning of an action, or how it ended.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// It begins.
    Enter {
        /// When, seconds since the epoch.
        start_time_s: f64,
    },
    /// It has ended.
    End {
        /// How, in a word of plain ASCII: `exit`, `cancel`, `timeout` or `error`.
        outcome: &'a str,
        /// How long it took.
        duration_s: f64,
        /// What went wrong, of an error.
        failure: Option<Failure<'a>>,
    },
}

/// What an error says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// Its text.
    pub error: &'a [u8],
    /// Its class.
    pub error_type: &'a [u8],
    /// Its traceback.
    pub stacktrace: &'a [u8],
}

/// Appends the line of `record`, without a newline, to `line`.
pub fn encode_action(record: &ActionRecord<'_>, line: &mut Vec<u8>) {
    encode_action_with(record, None, line, |_| {});
}

/// [`encode_action`] for a record that somebody has changed since: with another message, perhaps, and
/// with more behind it, which `write_more` writes.
pub fn encode_action_with(
    record: &ActionRecord<'_>,
    message: Option<&[u8]>,
    line: &mut Vec<u8>,
    write_more: impl FnOnce(&mut JsonWriter<'_>),
) {
    let (event, moment_s) = match record.event {
        Event::Enter { start_time_s } => ("enter", start_time_s),
        Event::End { outcome, duration_s, .. } => (outcome, duration_s),
    };
    line.reserve(2 * (record.action.len() + record.detail.len()) + 320);
    write_head(record.created_s, line);
    // Both texts stand in the message and once more after it: they are escaped once.
    if let Some(message) = message {
        write_escaped(line, message);
        line.extend_from_slice(b"\", \"action\": \"");
        write_escaped(line, record.action);
        line.extend_from_slice(b"\", \"detail\": \"");
        write_escaped(line, record.detail);
    } else {
        let action = span(line, |line| write_escaped(line, record.action));
        line.extend_from_slice(b": ");
        let detail = span(line, |line| write_escaped(line, record.detail));
        // Pieces whose length is known are copied without a call.
        match event {
            "enter" => line.extend_from_slice(b" (enter)\", \"action\": \""),
            "exit" => line.extend_from_slice(b" (exit)\", \"action\": \""),
            event => {
                line.extend_from_slice(b" (");
                line.extend_from_slice(event.as_bytes());
                line.extend_from_slice(b")\", \"action\": \"");
            }
        }
        line.extend_from_within(action);
        line.extend_from_slice(b"\", \"detail\": \"");
        line.extend_from_within(detail);
    }
    match event {
        "enter" => line.extend_from_slice(b"\", \"event\": \"enter\", \"trace_id\": \""),
        "exit" => line.extend_from_slice(b"\", \"event\": \"exit\", \"trace_id\": \""),
        event => {
            line.extend_from_slice(b"\", \"event\": \"");
            line.extend_from_slice(event.as_bytes());
            line.extend_from_slice(b"\", \"trace_id\": \"");
        }
    }
    line.extend_from_slice(record.trace_id.as_bytes());
    line.extend_from_slice(match record.event {
        Event::Enter { .. } => b"\", \"start_time\": ",
        Event::End { .. } => b"\", \"duration\": ",
    });

    let mut json = JsonWriter::in_object(line);
    json.float(moment_s);
    if let Event::End { failure: Some(failure), .. } = record.event {
        json.plain_key("error");
        json.string(failure.error);
        json.plain_key("error_type");
        json.string(failure.error_type);
        json.plain_key("stacktrace");
        json.string(failure.stacktrace);
    }
    if let Some(parent_id) = record.parent_id {
        json.plain_key("parent_id");
        json.string(parent_id.as_bytes());
    }
    if let Some(pid) = record.pid {
        json.plain_key("pid");
        json.integer(pid.into());
    }
    if let Some(text) = record.format_error {
        json.plain_key("format_error");
        json.string(text);
    }
    write_more(&mut json);
    json.end_object();
}

/// Appends the line of a message at level TRACE that comes from no action, without a newline.
pub fn encode_message(created_s: f64, category: &[u8], message: &[u8], line: &mut Vec<u8>) {
    line.reserve(category.len() + message.len() + 96);
    write_head(created_s, line);
    line.push(b'[');
    write_escaped(line, category);
    line.extend_from_slice(b"] ");
    write_escaped(line, message);
    line.extend_from_slice(b"\"}");
}

/// All up to where the text of the message begins.
fn write_head(created_s: f64, line: &mut Vec<u8>) {
    const LEVEL_AND_MESSAGE: &[u8] = b", \"level\": \"TRACE\", \"message\": \"";
    write_timestamp(Some(created_s), line);
    line.extend_from_slice(LEVEL_AND_MESSAGE);
}

fn span(line: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> std::ops::Range<usize> {
    let start = line.len();
    write(line);
    start..line.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn json(record: &ActionRecord<'_>) -> serde_json::Map<String, serde_json::Value> {
        let mut line = Vec::new();
        encode_action(record, &mut line);
        assert!(line.is_ascii());
        serde_json::from_slice(&line).unwrap()
    }

    /// A message that somebody has changed stands in the place of ours, and what was added at the end.
    #[test]
    fn a_record_that_was_changed() {
        let id = TraceId::new();
        let record = ActionRecord {
            created_s: 1.5,
            action: b"A",
            detail: b"d",
            event: Event::Enter { start_time_s: 1.5 },
            trace_id: &id,
            parent_id: None,
            pid: None,
            format_error: None,
        };
        let mut line = Vec::new();
        encode_action_with(&record, Some(b"\"other\""), &mut line, |json| {
            json.key(b"epoch");
            json.integer(1);
        });
        let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(object["message"], "\"other\"");
        let said = ["action", "detail", "event"].map(|key| object[key].as_str().unwrap());
        assert_eq!(said, ["A", "d", "enter"]);
        assert!(line.ends_with(b"\"start_time\": 1.5, \"epoch\": 1}"));
    }

    /// A record that tells all there is to tell has its keys in the order of the format.
    #[test]
    fn a_full_record() {
        let (id, parent) = (TraceId::new(), TraceId::new());
        let object = json(&ActionRecord {
            created_s: 1.5,
            action: "Mödel".as_bytes(),
            detail: b"a \"b\"",
            event: Event::End {
                outcome: "error",
                duration_s: 0.25,
                failure: Some(Failure {
                    error: b"no\n",
                    error_type: b"ValueError",
                    stacktrace: b"Traceback",
                }),
            },
            trace_id: &id,
            parent_id: Some(&parent),
            pid: Some(7),
            format_error: Some(b"TypeError: x"),
        });
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        assert_eq!(
            keys[1..],
            [
                "level",
                "message",
                "action",
                "detail",
                "event",
                "trace_id",
                "duration",
                "error",
                "error_type",
                "stacktrace",
                "parent_id",
                "pid",
                "format_error",
            ]
        );
        assert_eq!(object["level"], "TRACE");
        assert_eq!(object["message"], "Mödel: a \"b\" (error)");
        assert_eq!(object["action"], "Mödel");
        assert_eq!(object["detail"], "a \"b\"");
        assert_eq!(object["trace_id"], id.as_str());
        assert_eq!(object["duration"], 0.25);
        assert_eq!(object["error"], "no\n");
        assert_eq!(object["parent_id"], parent.as_str());
        assert_eq!(object["pid"], 7);
    }

    /// The beginning of an action has a start and no duration, and no key without a value.
    #[test]
    fn an_enter_record() {
        let object = json(&ActionRecord {
            created_s: 1.5,
            action: b"A",
            detail: b"d",
            event: Event::Enter { start_time_s: 1.25 },
            trace_id: &TraceId::new(),
            parent_id: None,
            pid: None,
            format_error: None,
        });
        assert_eq!(object.len(), 8);
        assert_eq!(object["message"], "A: d (enter)");
        assert_eq!(object["start_time"], 1.25);
    }

    /// A message is its category in brackets and its text.
    #[test]
    fn a_message() {
        let mut line = Vec::new();
        encode_message(1.5, b"Ca\"t", "hé".as_bytes(), &mut line);
        let object: serde_json::Map<_, serde_json::Value> = serde_json::from_slice(&line).unwrap();
        assert_eq!(object.len(), 3);
        assert_eq!(object["message"], "[Ca\"t] hé");
    }
}
