//! A record that was made here, and what is left of it after filters have seen it: mostly all, so that
//! its line is made from the action itself, without reading the record.

use inspect_trace_core::write::action::{ActionRecord, encode_action_with};
use inspect_trace_core::write::encode::is_extra_of_action;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::logging::Env;
use crate::native_record::{NewRecord, STANDARD_NAMES, has_task_name};
use crate::plain_record::{STANDARD, is_other, known_names};
use crate::raw;
use crate::value::{Encoding, write_value};

/// More than so many attributes of the program's are read in the ordinary way.
const MAX_EXTRAS: usize = 12;

/// An action's attributes that every such record has, up to the time or duration, among its keys.
const SAID: usize = 4;
const START_TIME: usize = 4;
const DURATION: usize = 5;

// The standard attributes that a line of this level is made of, by their places.
const MSG: usize = place_of("msg");
const ARGS: usize = place_of("args");
const LEVEL_NAME: usize = place_of("levelname");
const EXC_INFO: usize = place_of("exc_info");
const EXC_TEXT: usize = place_of("exc_text");
const STACK_INFO: usize = place_of("stack_info");
const CREATED: usize = place_of("created");

const fn place_of(name: &str) -> usize {
    let mut place = 0;
    while !is_equal(STANDARD_NAMES[place].as_bytes(), name.as_bytes()) {
        place += 1;
    }
    place
}

const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

/// A record of an action, and what its line says if nobody has changed it.
pub(crate) struct KnownRecord<'a, 'py> {
    pub(crate) made: NewRecord<'py>,
    /// As they were set, kept alive to be told by their addresses.
    pub(crate) message: Bound<'py, PyAny>,
    pub(crate) detail: &'a Bound<'py, PyAny>,
    pub(crate) trace_id: &'a Bound<'py, PyAny>,
    pub(crate) action: &'a Bound<'py, PyAny>,
    pub(crate) event: &'a Bound<'py, PyAny>,
    /// What follows the message; nothing of it comes from attributes beyond the first [`SAID`]
    /// and the time or duration.
    pub(crate) line: ActionRecord<'a>,
    pub(crate) is_enter: bool,
}

/// What the program has added to a record.
struct Extras<'py> {
    pairs: [Option<(Bound<'py, PyString>, Bound<'py, PyAny>)>; MAX_EXTRAS],
    count: usize,
    /// A message in the place of ours.
    message: Option<Bound<'py, PyString>>,
}

impl<'py> KnownRecord<'_, 'py> {
    /// Appends the line of `record`, without newline, if that is this one and as it was made but for
    /// its message and for attributes that were added. False: it has to be read.
    pub(crate) fn encode(
        &self,
        env: &Env,
        record: &Bound<'py, PyAny>,
        encoding: &Encoding,
        line: &mut Vec<u8>,
    ) -> bool {
        let py = record.py();
        let is_it = record.is(&self.made.record)
            && env.is_fast()
            && raw::is_exactly(record, &env.log_record)
            && env.has_plain_record_class(py)
            && raw::attributes_of(record).is_some_and(|found| found.is(&self.made.attributes));
        if !is_it {
            return false;
        }
        let Some(extras) = self.extras(py) else { return false };
        let message = match extras.message.as_ref().map(|message| message.to_str()) {
            None => None,
            Some(Ok(text)) => Some(text.as_bytes()),
            Some(Err(_)) => return false,
        };
        encode_action_with(&self.line, message, line, |json| {
            for (name, value) in extras.pairs[..extras.count].iter().flatten() {
                // `extras` has seen to it that each can be read.
                if let Ok(name) = name.to_str() {
                    json.key(name.as_bytes());
                    write_value(encoding, json, value);
                }
            }
        });
        true
    }

    /// What was added. None: something else has changed.
    fn extras(&self, py: Python<'py>) -> Option<Extras<'py>> {
        let attributes = &self.made.attributes;
        let standard = if has_task_name(py) { STANDARD } else { STANDARD - 1 };
        let said = standard + SAID + 1;
        let mut extras = Extras { pairs: [const { None }; MAX_EXTRAS], count: 0, message: None };
        let added = attributes.len().checked_sub(self.made.items)?;
        if !raw::was_added_to(attributes, self.made.version, added) {
            self.look_for_changes(standard, &mut extras)?;
        }
        let mut place = said;
        while let Some((key, value)) = raw::item_at(attributes, place) {
            if !extras.add(key, value) {
                return None;
            }
            place += 1;
        }
        (attributes.len() == place).then_some(extras)
    }

    /// None: there are others than another message.
    fn look_for_changes(&self, standard: usize, extras: &mut Extras<'py>) -> Option<()> {
        let made = &self.made;
        let attributes = &made.attributes;
        let py = attributes.py();
        let names = known_names(py);
        if raw::was_rebuilt(attributes, made.version, standard) {
            return None;
        }
        // What the line is made of stands where it was put, and what is behind all that was put there
        // is new. The other standard attributes are not written at this level.
        let is_at = |place, name: &Py<PyString>, expected: &Bound<'py, PyAny>| {
            raw::item_at(attributes, place)
                .is_some_and(|(key, value)| key.is(name) && value.is(expected))
        };
        let none = made.none.bind(py);
        let unchanged = is_at(ARGS, &names[ARGS], made.arguments.bind(py))
            && is_at(LEVEL_NAME, &names[LEVEL_NAME], made.level_name.bind(py))
            && is_at(EXC_INFO, &names[EXC_INFO], none)
            && is_at(EXC_TEXT, &names[EXC_TEXT], none)
            && is_at(STACK_INFO, &names[STACK_INFO], none)
            && is_at(CREATED, &names[CREATED], &made.created)
            && is_at(standard, &names[STANDARD], self.action)
            && is_at(standard + 1, &names[STANDARD + 1], self.detail)
            && is_at(standard + 2, &names[STANDARD + 2], self.event)
            && is_at(standard + 3, &names[STANDARD + 3], self.trace_id)
            && is_at(
                standard + SAID,
                &names[STANDARD + if self.is_enter { START_TIME } else { DURATION }],
                &made.moment,
            );
        if !unchanged {
            return None;
        }
        let (key, value) = raw::item_at(attributes, MSG)?;
        if !key.is(&names[MSG]) || !(value.is(&self.message) || extras.replace_message(value)) {
            return None;
        }
        Some(())
    }
}

impl<'py> Extras<'py> {
    /// False: it takes more than this to write it.
    fn add(&mut self, key: Borrowed<'_, 'py, PyAny>, value: Borrowed<'_, 'py, PyAny>) -> bool {
        if !is_other(key) {
            return false;
        }
        let (Some(slot), Ok(name)) = (self.pairs.get_mut(self.count), key.cast_exact::<PyString>())
        else {
            return false;
        };
        match name.to_str() {
            Ok(text) if is_extra_of_action(text.as_bytes()) => {
                *slot = Some((name.to_owned(), value.to_owned()));
                self.count += 1;
                true
            }
            // It is nowhere on the line.
            Ok(_) => true,
            Err(_) => false,
        }
    }

    fn replace_message(&mut self, value: Borrowed<'_, 'py, PyAny>) -> bool {
        let Ok(message) = value.cast_exact::<PyString>() else { return false };
        self.message = Some(message.to_owned());
        true
    }
}
