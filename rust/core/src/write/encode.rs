//! One log record becomes one JSON line, with the keys and the order of the reference's
//! `TraceFormatter` (`inspect_ai._util.trace`, version 0.3.285).
//!
//! What a record is made of is up to the caller: the binding implements [`LogRecord`] over Python's
//! `logging.LogRecord`, the tests here over plain values.

use std::borrow::Cow;
use std::cell::Cell;

use super::json::JsonWriter;
use crate::clock;

/// The level name that marks the records of traced actions and messages.
pub const TRACE_LEVEL_NAME: &[u8] = b"TRACE";

/// The keys of an action, in their order on the line.
pub const ACTION_KEYS: [&str; 9] = [
    "action",
    "detail",
    "event",
    "trace_id",
    "start_time",
    "duration",
    "error",
    "error_type",
    "stacktrace",
];

/// Attributes written under another name (key on the line, attribute) for levels other than TRACE.
const PLACE_KEYS: [(&str, &str); 3] =
    [("module", "module"), ("function", "funcName"), ("line", "lineno")];

/// A value that can write itself as JSON. Writing cannot fail: what has no JSON form is written
/// as a text that says so.
pub trait Value {
    /// Writes the value.
    fn write(&self, json: &mut JsonWriter<'_>);

    /// Whether the value is the string `wtf8`.
    fn is_string(&self, wtf8: &[u8]) -> bool;

    /// Whether the value stands for none: null, or an empty string.
    fn is_blank(&self) -> bool;
}

/// What the encoder needs to know of a log record.
pub trait LogRecord {
    /// The values of its attributes.
    type Value: Value;

    /// When it was made, seconds since the epoch; `None` when the record does not say.
    fn created_s(&self) -> Option<f64>;

    /// The message with its arguments merged in. When merging failed: the raw message, and the
    /// reason through [`Self::format_error`].
    fn message(&self) -> Self::Value;

    /// Why the message could not be merged with its arguments; asked for after [`Self::message`].
    fn format_error(&self) -> Option<Cow<'_, [u8]>>;

    /// An attribute by name, `None` where there is none.
    fn get(&self, name: &str) -> Option<Self::Value>;

    /// Calls `visit` with the name (WTF-8) and value of every instance attribute, in order.
    fn each_attribute(&self, visit: &mut dyn FnMut(&[u8], &Self::Value));

    /// The formatted traceback of the exception the record carries.
    fn exception_text(&self) -> Option<Cow<'_, [u8]>>;

    /// Whether `taskName` is a standard attribute of this interpreter's records (Python 3.12 and
    /// later), not an extra of the program's.
    fn has_standard_task_name(&self) -> bool;
}

/// Appends the line of `record`, without a newline, to `line`.
pub fn encode<R: LogRecord>(record: &R, line: &mut Vec<u8>) {
    write_timestamp(record.created_s(), line);
    let mut json = JsonWriter::in_object(line);
    let level = record.get("levelname");
    json.plain_key("level");
    match &level {
        Some(value) => value.write(&mut json),
        None => json.null(),
    }
    json.plain_key("message");
    record.message().write(&mut json);

    let is_trace = level.is_some_and(|value| value.is_string(TRACE_LEVEL_NAME));
    let is_action = is_trace && record.get("action").is_some();
    if !is_trace {
        for (key, attribute) in PLACE_KEYS {
            write_member(&mut json, key, record.get(attribute));
        }
    } else if is_action {
        for key in ACTION_KEYS {
            write_member(&mut json, key, record.get(key));
        }
    }

    let skips_task_name = record.has_standard_task_name();
    record.each_attribute(&mut |name, value| {
        let is_left_out = is_written_before(name, is_trace, is_action)
            || is_standard(name)
            || (skips_task_name && name == b"taskName");
        if !is_left_out {
            json.key(name);
            value.write(&mut json);
        }
    });

    if let Some(text) = record.exception_text() {
        json.key(b"exc_info");
        json.string(&text);
    }
    if let Some(value) = record.get("stack_info").filter(|value| !value.is_blank()) {
        json.key(b"stack_info");
        value.write(&mut json);
    }
    if let Some(text) = record.format_error() {
        json.key(b"format_error");
        json.string(&text);
    }
    json.end_object();
}

/// Opens the object and writes its first member. A record without a usable time is dated now rather
/// than lost.
pub(crate) fn write_timestamp(created_s: Option<f64>, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"timestamp\": \"");
    if !created_s.is_some_and(|s| clock::write_local_iso(line, s)) {
        clock::write_local_iso(line, clock::now_s());
    }
    line.push(b'"');
}

fn write_member<V: Value>(json: &mut JsonWriter<'_>, key: &str, value: Option<V>) {
    if let Some(value) = value {
        json.plain_key(key);
        value.write(json);
    }
}

/// Whether every `logging.LogRecord` has an attribute of this name, or formatters leave it there:
/// these are never written as extras.
pub fn is_standard(name: &[u8]) -> bool {
    matches!(
        name,
        b"args"
            | b"asctime"
            | b"created"
            | b"exc_info"
            | b"exc_text"
            | b"filename"
            | b"funcName"
            | b"levelname"
            | b"levelno"
            | b"lineno"
            | b"module"
            | b"msecs"
            | b"msg"
            | b"name"
            | b"pathname"
            | b"process"
            | b"processName"
            | b"relativeCreated"
            | b"stack_info"
            | b"thread"
            | b"threadName"
    )
}

/// Whether an attribute of this name stands behind those of an action, as an extra of the program's.
/// (`taskName` does not, where it is a standard attribute.)
pub fn is_extra_of_action(name: &[u8]) -> bool {
    !is_written_before(name, true, true) && !is_standard(name)
}

/// Whether the head of the line holds a key of this name already.
fn is_written_before(name: &[u8], is_trace: bool, is_action: bool) -> bool {
    matches!(name, b"timestamp" | b"level" | b"message")
        || (!is_trace && matches!(name, b"module" | b"function" | b"line"))
        || (is_action && ACTION_KEYS.iter().any(|key| key.as_bytes() == name))
}

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Buffers larger than this are given back instead of kept for the thread's next record.
const KEPT_CAPACITY_BYTES: usize = 64 * 1024;

/// Runs `use_buffer` with an empty buffer that the thread reuses from record to record. A nested
/// call (a record logged while another is being encoded) gets a buffer of its own.
pub fn with_line_buffer<T>(use_buffer: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut use_buffer = Some(use_buffer);
    let outcome = LINE.try_with(|cell| {
        let use_buffer = use_buffer.take()?;
        let mut line = cell.take();
        line.clear();
        let result = use_buffer(&mut line);
        if line.capacity() <= KEPT_CAPACITY_BYTES {
            cell.set(line);
        }
        Some(result)
    });
    match (outcome, use_buffer) {
        (Ok(Some(result)), _) => result,
        // During the thread's own teardown there is no buffer to reuse.
        (_, Some(use_buffer)) => use_buffer(&mut Vec::new()),
        (_, None) => unreachable!("it was used, or there was no buffer"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Clone)]
    struct Json(serde_json::Value);

    impl Value for Json {
        fn write(&self, json: &mut JsonWriter<'_>) {
            json.raw(self.0.to_string().as_bytes());
        }

        fn is_string(&self, wtf8: &[u8]) -> bool {
            self.0.as_str().is_some_and(|text| text.as_bytes() == wtf8)
        }

        fn is_blank(&self) -> bool {
            self.0.is_null() || self.0 == ""
        }
    }

    struct Fake {
        attributes: serde_json::Map<String, serde_json::Value>,
        exception: Option<&'static str>,
        task_name_is_standard: bool,
    }

    impl Fake {
        fn new(attributes: serde_json::Value) -> Self {
            let serde_json::Value::Object(attributes) = attributes else { panic!("an object") };
            Self { attributes, exception: None, task_name_is_standard: false }
        }

        fn line(&self) -> String {
            let mut line = Vec::new();
            encode(self, &mut line);
            let text = String::from_utf8(line).unwrap();
            // The timestamp depends on the machine's zone; the clock's own tests look at it.
            let (_, rest) = text.split_once("\", \"level\"").unwrap();
            format!("{{\"level\"{rest}")
        }
    }

    impl LogRecord for Fake {
        type Value = Json;

        fn created_s(&self) -> Option<f64> {
            self.attributes.get("created").and_then(serde_json::Value::as_f64)
        }
        fn message(&self) -> Json {
            Json(self.attributes["msg"].clone())
        }
        fn format_error(&self) -> Option<Cow<'_, [u8]>> {
            None
        }
        fn get(&self, name: &str) -> Option<Json> {
            self.attributes.get(name).cloned().map(Json)
        }
        fn each_attribute(&self, visit: &mut dyn FnMut(&[u8], &Json)) {
            for (name, value) in &self.attributes {
                visit(name.as_bytes(), &Json(value.clone()));
            }
        }
        fn exception_text(&self) -> Option<Cow<'_, [u8]>> {
            self.exception.map(|text| Cow::Borrowed(text.as_bytes()))
        }
        fn has_standard_task_name(&self) -> bool {
            self.task_name_is_standard
        }
    }

    /// Levels other than TRACE carry their place in the program; standard attributes are left out.
    #[test]
    fn info_record() {
        let record = Fake::new(serde_json::json!({
            "name": "x", "msg": "hello", "args": null, "levelname": "INFO", "levelno": 20,
            "module": "m", "funcName": "f", "lineno": 7, "created": 1.5, "stack_info": null,
            "model": "gpt", "function": "dropped", "timestamp": "dropped",
        }));
        assert_eq!(
            record.line(),
            r#"{"level": "INFO", "message": "hello", "module": "m", "function": "f", "line": 7, "model": "gpt"}"#
        );
    }

    /// An action's keys come in the reference's order, then the extras in theirs.
    #[test]
    fn action_record() {
        let record = Fake::new(serde_json::json!({
            "levelname": "TRACE", "msg": "m", "sample_id": 3, "duration": 0.5, "event": "exit",
            "action": "Model", "detail": "d", "trace_id": "t", "parent_id": "p", "module": "m",
        }));
        assert_eq!(
            record.line(),
            r#"{"level": "TRACE", "message": "m", "action": "Model", "detail": "d", "event": "exit", "trace_id": "t", "duration": 0.5, "sample_id": 3, "parent_id": "p"}"#
        );
    }

    /// A TRACE record without an action keeps attributes named like an action's as extras.
    #[test]
    fn trace_message_record() {
        let record = Fake::new(
            serde_json::json!({"levelname": "TRACE", "msg": "m", "event": "e", "line": 1}),
        );
        assert_eq!(record.line(), r#"{"level": "TRACE", "message": "m", "event": "e", "line": 1}"#);
    }

    /// `taskName` is an extra like any other before Python 3.12, and left out from there on.
    #[test]
    fn task_name() {
        let mut record =
            Fake::new(serde_json::json!({"levelname": "TRACE", "msg": "m", "taskName": "T"}));
        assert_eq!(record.line(), r#"{"level": "TRACE", "message": "m", "taskName": "T"}"#);
        record.task_name_is_standard = true;
        assert_eq!(record.line(), r#"{"level": "TRACE", "message": "m"}"#);
    }

    /// The traceback and the stack come last.
    #[test]
    fn traceback_and_stack_are_kept() {
        let mut record = Fake::new(serde_json::json!({
            "levelname": "TRACE", "msg": "m", "stack_info": "Stack", "x": 1
        }));
        record.exception = Some("Traceback\n");
        assert_eq!(
            record.line(),
            r#"{"level": "TRACE", "message": "m", "x": 1, "exc_info": "Traceback\n", "stack_info": "Stack"}"#
        );
    }

    /// A record without a usable time is dated, not lost.
    #[test]
    fn unusable_time_is_replaced() {
        for created in [serde_json::json!(null), serde_json::json!(1e300)] {
            let record = Fake::new(
                serde_json::json!({"levelname": "TRACE", "msg": "m", "created": created}),
            );
            let mut line = Vec::new();
            encode(&record, &mut line);
            assert!(line.starts_with(b"{\"timestamp\": \"20"));
        }
    }

    /// Behind an action's own keys stands what neither they nor every record have.
    #[test]
    fn extras_of_an_action() {
        for name in ["sample_id", "module_", "function", "line", "parent_id"] {
            assert!(is_extra_of_action(name.as_bytes()), "{name}");
        }
        for name in ["timestamp", "message", "asctime", "module", "duration", "stacktrace"] {
            assert!(!is_extra_of_action(name.as_bytes()), "{name}");
        }
    }

    /// A record logged while another one is encoded gets a buffer of its own.
    #[test]
    fn nested_buffers_are_apart() {
        with_line_buffer(|outer| {
            outer.extend_from_slice(b"outer");
            with_line_buffer(|inner| {
                assert!(inner.is_empty());
                inner.extend_from_slice(b"inner");
            });
            assert_eq!(outer, b"outer");
        });
    }
}
