//! The members of a record's object: where they stand in the line, found by name at once.

use crate::read::Kind;
use crate::record::Name;

/// Where a part of a line stands. Lines are shorter than 4 GiB, see `MAX_LINE_BYTES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        // A line has at most `MAX_LINE_BYTES`; a caller's longer one would be an error of ours.
        let narrow = |at| u32::try_from(at).expect("lines are shorter than 4 GiB");
        Self { start: narrow(start), end: narrow(end) }
    }

    pub(crate) fn of(self, line: &[u8]) -> &[u8] {
        &line[self.start as usize..self.end as usize]
    }
}

/// One member of the record's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    /// The key without its quotes, escapes and all.
    pub(crate) key: Span,
    pub(crate) key_escaped: bool,
    pub(crate) name: Name,
    /// The value; a string with its quotes.
    pub(crate) value: Span,
    pub(crate) kind: Kind,
}

/// A name that no field has yet.
const ABSENT: u32 = u32::MAX;

/// All members, in the order of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    list: Vec<Field>,
    /// Where in the list the last field of each name is: of repeated keys the last one counts.
    last: [u32; Name::COUNT],
    /// Whether two fields have the same name, be it that of all keys that the format does not know.
    may_repeat: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self { list: Vec::new(), last: [ABSENT; Name::COUNT], may_repeat: false }
    }
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.last = [ABSENT; Name::COUNT];
        self.may_repeat = false;
    }

    #[inline]
    pub(crate) fn push(&mut self, field: Field) {
        let last = &mut self.last[field.name as usize];
        self.may_repeat |= *last != ABSENT;
        // A line has fewer fields than bytes.
        *last = u32::try_from(self.list.len()).unwrap_or(ABSENT);
        self.list.push(field);
    }

    /// The last field of a name; of [`Name::Extra`], the last one.
    #[inline]
    pub(crate) fn find(&self, name: Name) -> Option<&Field> {
        self.list.get(self.last[name as usize] as usize)
    }

    pub(crate) fn list(&self) -> &[Field] {
        &self.list
    }

    /// Whether a key may be there twice: if not, it surely is not.
    pub(crate) fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    /// The same, in no more memory than it takes.
    pub(crate) fn into_compact(mut self) -> Self {
        self.list.shrink_to_fit();
        self
    }
}
