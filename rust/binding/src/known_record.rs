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
        let names = known_names(py);
        let made = &self.made;
        let standard = if has_task_name(py) { STANDARD } else { STANDARD - 1 };
        let moment = if self.is_enter { START_TIME } else { DURATION };
        let mut extras = Extras { pairs: [const { None }; MAX_EXTRAS], count: 0, message: None };
        let mut index = 0;
        let mut is_known = true;
        raw::each_pair(&made.attributes, &made.template, |key, value, before| {
            let at = index;
            index += 1;
            if at > standard + SAID {
                is_known &= extras.add(key, value);
                return;
            }
            let name = match at {
                _ if at < standard => &names[at],
                _ if at < standard + SAID => &names[STANDARD + at - standard],
                _ => &names[STANDARD + moment],
            };
            let is_same = key.is(name)
                && match at {
                    _ if at >= standard => match at - standard {
                        0 => value.is(self.action),
                        1 => value.is(self.detail),
                        2 => value.is(self.event),
                        3 => value.is(self.trace_id),
                        _ => value.is(&made.moment),
                    },
                    MSG => value.is(&self.message) || extras.replace_message(value),
                    CREATED => value.is(&made.created),
                    ARGS | LEVEL_NAME | EXC_INFO | EXC_TEXT | STACK_INFO => {
                        before.is_some_and(|before| value.is(&*before))
                    }
                    // Nothing else is written of a record at this level.
                    _ => true,
                };
            is_known &= is_same;
        });
        (is_known && index > standard + SAID).then_some(extras)
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
