//! The records of an action on their way: straight to the logs, past filters, or through `logging`.

use std::sync::atomic::Ordering;

use inspect_trace_core::clock;
use inspect_trace_core::write::action::{ActionRecord, Event, encode_action};
use inspect_trace_core::write::encode::with_line_buffer;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::context;
use crate::handle;
use crate::helpers::{Helpers, clock_of_python};
use crate::known_record::KnownRecord;
use crate::logging::Env;
use crate::native_record::{Said, new_action_record};
use crate::route::{Route, Way};
use crate::span::ActionSpan;
use crate::words::{Detail, Outcome, Told, Words, plain_text};
use crate::writer::append_line;

impl ActionSpan {
    /// Writes the enter record, or with an outcome the closing one. Fails only with exceptions that
    /// are meant for the program.
    pub(crate) fn emit(
        &self,
        py: Python<'_>,
        outcome: Option<&Outcome<'_>>,
        frames_away: usize,
    ) -> PyResult<()> {
        // Taken for as long as it takes: whatever runs meanwhile finds no lock.
        let Some(mut words) = self.said.hold(py).take() else { return Ok(()) };
        let written = self.try_emit(py, &mut words, outcome, frames_away);
        let before = self.said.hold(py).replace(words);
        drop(before);
        match written {
            Err(error) if error.is_instance_of::<PyException>(py) => {
                Helpers::get(py)?.warn(py, "tracing an action", error)
            }
            written => written,
        }
    }

    fn try_emit(
        &self,
        py: Python<'_>,
        words: &mut Words,
        outcome: Option<&Outcome<'_>>,
        frames_away: usize,
    ) -> PyResult<()> {
        let env = Env::get(py)?;
        match env.route(words.logger.bind(py)) {
            Route::Off => Ok(()),
            Route::Straight(way) => {
                let done = if way.has_filters {
                    self.log_filtered(py, env, words, outcome, &way, frames_away)?
                } else {
                    self.write(py, words, outcome, &way)?
                };
                if done { Ok(()) } else { self.log(py, words, outcome, frames_away) }
            }
            Route::Logging => self.log(py, words, outcome, frames_away),
        }
    }

    /// Writes the record straight to the logs. False: something in it is not that simple.
    fn write(
        &self,
        py: Python<'_>,
        words: &Words,
        outcome: Option<&Outcome<'_>>,
        way: &Way<'_>,
    ) -> PyResult<bool> {
        let Some(action) = plain_text(words.action.bind(py)) else { return Ok(false) };
        let detail = match &words.detail {
            Detail::Native(text) => text,
            Detail::Python(text) => match plain_text(text.bind(py)) {
                Some(text) => text,
                None => return Ok(false),
            },
        };
        let format_error = match &words.format_error {
            None => None,
            Some(text) => match plain_text(text.bind(py)) {
                Some(text) => Some(text.as_bytes()),
                None => return Ok(false),
            },
        };
        let told = match outcome.and_then(|outcome| outcome.told.as_ref()) {
            None => None,
            Some(told) => match Told::of(told)? {
                Some(told) => Some(told),
                None => return Ok(false),
            },
        };
        let failure = match &told {
            None => None,
            Some(told) => match told.texts() {
                Some(failure) => Some(failure),
                None => return Ok(false),
            },
        };
        let created_s = clock::now_s();
        let event = match outcome {
            None => Event::Enter { start_time_s: created_s },
            Some(outcome) => Event::End {
                outcome: outcome.name.to_str()?,
                duration_s: clock::monotonic_s() - self.started_s(),
                failure,
            },
        };
        let record = ActionRecord {
            created_s,
            action: action.as_bytes(),
            detail: detail.as_bytes(),
            event,
            trace_id: &self.trace_id,
            parent_id: self.parent_id.as_ref(),
            pid: self.pid,
            format_error,
        };
        with_line_buffer(|line| {
            encode_action(&record, line);
            context::add_to(py, line, None)?;
            line.push(b'\n');
            for sink in way.sinks() {
                let writer = sink.writer.get();
                if let Err(error) = append_line(py, writer.core(), line) {
                    handle::write_failed(&sink.handler, error, None)?;
                }
                let watched = writer.watched();
                match outcome {
                    None => watched.open(py, &self.trace_id, self.started_s(), &words.action),
                    Some(_) => watched.close(py, &self.trace_id),
                }
            }
            Ok(true)
        })
    }

    /// Makes the record and does with it what `logging` would. False: it takes `logging` to make it.
    fn log_filtered(
        &self,
        py: Python<'_>,
        env: &Env,
        words: &mut Words,
        outcome: Option<&Outcome<'_>>,
        way: &Way<'_>,
        frames_away: usize,
    ) -> PyResult<bool> {
        let detail = words.detail.made_object(py);
        let trace_id = words.trace_id(py, &self.trace_id);
        let action = words.action.bind(py);
        let (Some(action_text), Some(detail_text)) = (plain_text(action), plain_text(&detail))
        else {
            return Ok(false);
        };
        let event = outcome.map_or(intern!(py, "enter"), |outcome| &outcome.name);
        let event_text = event.to_str()?;
        let message = with_line_buffer(|message| {
            for part in [action_text, ": ", detail_text, " (", event_text, ")"] {
                message.extend_from_slice(part.as_bytes());
            }
            PyString::from_bytes(py, message)
        })?;
        let duration_s = outcome.map(|_| clock::monotonic_s() - self.started_s());
        let told = outcome.and_then(|outcome| outcome.told.as_ref());
        let said = Said {
            logger_name: &way.name,
            message: message.into_any(),
            action,
            detail: &detail,
            event: event.as_any(),
            trace_id: &trace_id,
            duration_s,
        };
        let mut rest = Vec::new();
        if let Some(told) = told {
            for (name, value) in told {
                rest.push((name.cast_into::<PyString>()?, value));
            }
        }
        self.add_tail(py, words, &mut rest)?;
        let Some(made) = new_action_record(env, py, &said, &rest, frames_away)? else {
            return Ok(false);
        };
        let created_s = made.created_s;
        let line = ActionRecord {
            created_s,
            action: action_text.as_bytes(),
            detail: detail_text.as_bytes(),
            event: match duration_s {
                None => Event::Enter { start_time_s: created_s },
                Some(duration_s) => Event::End { outcome: event_text, duration_s, failure: None },
            },
            trace_id: &self.trace_id,
            // The rest is read from the record, as filters may have changed it.
            parent_id: None,
            pid: None,
            format_error: None,
        };
        let known = KnownRecord {
            made,
            message: said.message,
            action,
            detail: &detail,
            event: event.as_any(),
            trace_id: &trace_id,
            is_enter: duration_s.is_none(),
            line,
        };
        handle::log(env, words.logger.bind(py), &known).map(|()| true)
    }

    /// The long way round, as `logging` itself goes.
    #[cold]
    fn log(
        &self,
        py: Python<'_>,
        words: &Words,
        outcome: Option<&Outcome<'_>>,
        frames_away: usize,
    ) -> PyResult<()> {
        let event = outcome.map_or(intern!(py, "enter"), |outcome| &outcome.name);
        let detail = words.detail.object(py);
        let action = words.action.bind(py);
        let extra = PyDict::new(py);
        extra.set_item(intern!(py, "action"), action)?;
        extra.set_item(intern!(py, "detail"), &detail)?;
        extra.set_item(intern!(py, "event"), event)?;
        extra.set_item(intern!(py, "trace_id"), self.trace_id.as_str())?;
        let helpers = Helpers::get(py)?;
        let moment_s = if Env::get(py)?.has_real_clocks(py) {
            self.moment_s(outcome)
        } else if outcome.is_none() {
            let started_s = clock_of_python(py, "monotonic")?;
            self.started_s.store(started_s.to_bits(), Ordering::Relaxed);
            clock_of_python(py, "time")?
        } else {
            clock_of_python(py, "monotonic")? - self.started_s()
        };
        let moment = if outcome.is_none() { "start_time" } else { "duration" };
        extra.set_item(moment, moment_s)?;
        if let Some(told) = outcome.and_then(|outcome| outcome.told.as_ref()) {
            extra.update(told.as_mapping())?;
        }
        let mut tail = Vec::new();
        self.add_tail(py, words, &mut tail)?;
        for (name, value) in tail {
            extra.set_item(name, value)?;
        }
        let arguments = (words.logger.bind(py), action, detail, event, extra, frames_away);
        helpers.emit.bind(py).call1(arguments).map(drop)
    }

    /// The keys that follow those of the reference, on both records.
    fn add_tail<'py>(
        &self,
        py: Python<'py>,
        words: &Words,
        pairs: &mut Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>,
    ) -> PyResult<()> {
        if let Some(id) = &self.parent_id {
            let id = PyString::new(py, id.as_str()).into_any();
            pairs.push((intern!(py, "parent_id").clone(), id));
        }
        if let Some(pid) = self.pid {
            pairs.push((intern!(py, "pid").clone(), pid.into_pyobject(py)?.into_any()));
        }
        if let Some(text) = &words.format_error {
            pairs.push((intern!(py, "format_error").clone(), text.bind(py).clone()));
        }
        Ok(())
    }

    fn started_s(&self) -> f64 {
        f64::from_bits(self.started_s.load(Ordering::Relaxed))
    }

    fn moment_s(&self, outcome: Option<&Outcome<'_>>) -> f64 {
        match outcome {
            None => clock::now_s(),
            Some(_) => clock::monotonic_s() - self.started_s(),
        }
    }
}
