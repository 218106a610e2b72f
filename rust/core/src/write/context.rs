//! Fields that stand at the end of every line of a context: what task, what sample.

use super::encode::{ACTION_KEYS, is_standard};
use super::json::JsonWriter;

/// Names that a line has for itself.
const TAKEN: [&[u8]; 9] = [
    b"timestamp",
    b"level",
    b"message",
    b"function",
    b"line",
    b"parent_id",
    b"pid",
    b"format_error",
    b"event",
];

/// The fields of a context, ready to be written.
#[derive(Debug, Clone, Default)]
pub struct ContextFields {
    /// Each with what stands before it, in one piece.
    members: Vec<u8>,
    /// Where in `members` each ends.
    ends: Vec<usize>,
}

impl ContextFields {
    /// Whether a field may have this name (WTF-8): none that a line or a log record has for itself.
    pub fn is_free_name(name: &[u8]) -> bool {
        !TAKEN.contains(&name)
            && !is_standard(name)
            && !ACTION_KEYS.iter().any(|key| key.as_bytes() == name)
    }

    /// Adds a field, behind those that are there.
    pub fn push(&mut self, name: &[u8], write_value: impl FnOnce(&mut JsonWriter<'_>)) {
        let mut json = JsonWriter::in_object(&mut self.members);
        json.key(name);
        write_value(&mut json);
        self.ends.push(self.members.len());
    }

    /// Puts the fields into a line, an object with members and no newline yet.
    pub fn add_to(&self, line: &mut Vec<u8>) {
        self.add_some_to(line, |_| true);
    }

    /// [`add_to`](Self::add_to), but of the fields, by their number, only those that are wanted.
    pub fn add_some_to(&self, line: &mut Vec<u8>, is_wanted: impl Fn(usize) -> bool) {
        debug_assert!(line.ends_with(b"}"), "a line is an object");
        line.pop();
        let mut start = 0;
        for (number, &end) in self.ends.iter().enumerate() {
            if is_wanted(number) {
                line.extend_from_slice(&self.members[start..end]);
            }
            start = end;
        }
        line.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fields() -> ContextFields {
        let mut fields = ContextFields::default();
        fields.push(b"task", |json| json.string(b"a \"b\""));
        fields.push(b"epoch", |json| json.integer(2));
        fields
    }

    /// The fields follow what is on the line, in their order.
    #[test]
    fn fields_end_the_line() {
        let mut line = b"{\"message\": \"m\"}".to_vec();
        fields().add_to(&mut line);
        assert_eq!(line, br#"{"message": "m", "task": "a \"b\"", "epoch": 2}"#);
    }

    /// What the record says itself is left to it.
    #[test]
    fn fields_give_way() {
        let mut line = b"{\"message\": \"m\", \"task\": 1}".to_vec();
        fields().add_some_to(&mut line, |number| number != 0);
        assert_eq!(line, br#"{"message": "m", "task": 1, "epoch": 2}"#);
    }

    /// No field may stand for what a line has already.
    #[test]
    fn names() {
        for taken in ["message", "trace_id", "start_time", "pid", "levelname", "exc_info", "module"]
        {
            assert!(!ContextFields::is_free_name(taken.as_bytes()), "{taken}");
        }
        assert!(ContextFields::is_free_name(b"task"));
    }
}
