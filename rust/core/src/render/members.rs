//! JSON objects, member by member.

use super::json::{Escape, Layout, new_line, write_number, write_text, write_value};

/// An object that is being written, each member on a line of its own.
pub(super) struct Members<'o> {
    out: &'o mut Vec<u8>,
    depth: usize,
    is_empty: bool,
}

impl<'o> Members<'o> {
    /// Begins an object, whose members are set in by `depth` containers.
    pub(super) fn new(out: &'o mut Vec<u8>, depth: usize) -> Self {
        out.push(b'{');
        Self { out, depth, is_empty: true }
    }

    /// A member, name and all.
    pub(super) fn raw(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        new_line(self.out, self.depth);
        write(self.out);
    }

    /// Begins a member, whose value is for the caller to write.
    pub(super) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.raw(|out| out.push(b'"'));
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\": ");
        self.out
    }

    pub(super) fn count(&mut self, name: &str, count: u64) {
        self.key(name).extend_from_slice(count.to_string().as_bytes());
    }

    /// A number, or null.
    pub(super) fn number(&mut self, name: &str, number: Option<f64>) {
        write_number(self.key(name), number.unwrap_or(f64::NAN));
    }

    pub(super) fn boolean(&mut self, name: &str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A text, or null.
    pub(super) fn text(&mut self, name: &str, text: Option<&[u8]>) {
        let out = self.key(name);
        match text {
            Some(text) => write_text(out, text),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// A value that is JSON already, or null.
    pub(super) fn json(&mut self, name: &str, json: Option<&[u8]>) {
        let layout = Layout::Indented(self.depth);
        write_value(self.key(name), json.unwrap_or(b"null"), layout, Escape::NonAscii);
    }

    /// A list of objects.
    pub(super) fn objects<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Members<'_>, T),
    ) {
        let depth = self.depth;
        let out = self.key(name);
        out.push(b'[');
        let mut is_empty = true;
        for item in items {
            if !is_empty {
                out.push(b',');
            }
            is_empty = false;
            new_line(out, depth + 1);
            let mut members = Members::new(out, depth + 2);
            write(&mut members, item);
            members.end();
        }
        if !is_empty {
            new_line(out, depth);
        }
        out.push(b']');
    }

    /// A list of texts.
    pub(super) fn texts<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t [u8]>) {
        let depth = self.depth;
        let out = self.key(name);
        out.push(b'[');
        let mut is_empty = true;
        for text in texts {
            if !is_empty {
                out.push(b',');
            }
            is_empty = false;
            new_line(out, depth + 1);
            write_text(out, text);
        }
        if !is_empty {
            new_line(out, depth);
        }
        out.push(b']');
    }

    /// An object, or null.
    pub(super) fn object(&mut self, name: &str, write: Option<impl FnOnce(&mut Members<'_>)>) {
        let depth = self.depth;
        let out = self.key(name);
        let Some(write) = write else { return out.extend_from_slice(b"null") };
        let mut members = Members::new(out, depth + 1);
        write(&mut members);
        members.end();
    }

    pub(super) fn end(self) {
        if !self.is_empty {
            new_line(self.out, self.depth - 1);
        }
        self.out.push(b'}');
    }
}
