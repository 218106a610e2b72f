//! One run of an action, from its enter record to its closing record, and what encloses others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use inspect_trace_core::clock;
use inspect_trace_core::id::TraceId;
use inspect_trace_core::write::action::{ActionRecord, Event, Failure, encode_action};
use inspect_trace_core::write::encode::with_line_buffer;
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::handle;
use crate::helpers::{Helpers, clock_of_python};
use crate::known_record::KnownRecord;
use crate::logging::Env;
use crate::native_record::{Said, new_action_record, process_id};
use crate::percent;
use crate::raw;
use crate::route::{Route, Way};
use crate::writer::append_line;

/// One run of an action, and, while it is current, what encloses the actions that start.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ActionSpan {
    trace_id: TraceId,
    parent_id: Option<TraceId>,
    /// How many forks lie between this module's first process and the one that it began in.
    forks: u64,
    pid: Option<u32>,
    /// When, by the monotonic clock: the bits of a float.
    started_s: AtomicU64,
    closed: AtomicBool,
    /// No lock is held while Python code can run: values are taken out, and put back.
    outer: Mutex<Option<Py<ActionSpan>>>,
    said: Mutex<Option<Words>>,
}

/// What both records of an action say.
struct Words {
    logger: Py<PyAny>,
    action: Py<PyAny>,
    detail: Detail,
    format_error: Option<Py<PyAny>>,
    /// As a string of Python's, once a record has needed one.
    trace_id: Option<Py<PyAny>>,
}

enum Detail {
    /// A string of Python's, or something derived from one.
    Python(Py<PyAny>),
    /// One that Python has not seen yet.
    Native(String),
}

/// How an action ended, and what an error says of itself: `error`, `error_type`, `stacktrace`.
struct Outcome<'py> {
    name: Bound<'py, PyString>,
    told: Option<Bound<'py, PyDict>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ActionSpan {
    /// An action that is about to begin in the current context.
    pub(crate) fn begin<'py>(
        py: Python<'py>,
        logger: &Bound<'py, PyAny>,
        action: &Bound<'py, PyAny>,
        message: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyTuple>,
        first_argument: usize,
        named: Option<&Py<PyDict>>,
    ) -> PyResult<Bound<'py, Self>> {
        let helpers = Helpers::get(py)?;
        let action = if action.is_instance_of::<PyString>() {
            action.clone()
        } else {
            helpers.text_of.bind(py).call1((action,))?
        };
        let (detail, format_error) = merge(py, helpers, message, arguments, first_argument, named)?;
        let outer = current(helpers, py)?;
        let forks = helpers.forks();
        let span = Self {
            trace_id: TraceId::new(),
            parent_id: outer.as_ref().map(|outer| outer.get().trace_id),
            forks,
            // The child writes to the log of its parent, which is named after the parent.
            pid: (forks != 0).then(process_id),
            closed: AtomicBool::new(false),
            outer: Mutex::new(outer.map(Bound::unbind)),
            said: Mutex::new(Some(Words {
                logger: logger.clone().unbind(),
                action: action.unbind(),
                detail,
                format_error,
                trace_id: None,
            })),
            started_s: AtomicU64::new(clock::monotonic_s().to_bits()),
        };
        Bound::new(py, span)
    }

    /// Writes the enter record, and makes the action the current one.
    pub(crate) fn enter_at(slf: &Bound<'_, Self>, frames_away: usize) -> PyResult<()> {
        let py = slf.py();
        if let Err(interrupt) = slf.get().emit(py, None, frames_away) {
            // Ctrl-C while the record was written: the action does not begin.
            slf.get().emit(py, Some(&Outcome::named(intern!(py, "cancel"))), frames_away)?;
            return Err(interrupt);
        }
        raw::set_context_value(Helpers::get(py)?.current.bind(py), slf.as_any())
    }

    /// Writes the closing record, and gives back what was current before.
    pub(crate) fn finish_at(
        slf: &Bound<'_, Self>,
        error: Option<&Bound<'_, PyAny>>,
        frames_away: usize,
    ) -> PyResult<()> {
        let py = slf.py();
        let helpers = Helpers::get(py)?;
        Self::close_scope(slf, helpers)?;
        let span = slf.get();
        if span.forks != helpers.forks() {
            // A child leaves the block in which it was forked: the action goes on in the parent.
            return Ok(());
        }
        let outcome = match error {
            None => Outcome::named(intern!(py, "exit")),
            Some(error) => Outcome::of(helpers, error)?,
        };
        let written = span.emit(py, Some(&outcome), frames_away);
        if written.is_err() {
            // Ctrl-C fell into the writing. Once more, as an action without a closing record would
            // seem to run for ever; a second one harms no reader.
            span.emit(py, Some(&outcome), frames_away)?;
        }
        // Whatever context still has this has no use for the words any more.
        let words = lock(&span.said).take();
        drop(words);
        written
    }

    fn close_scope(slf: &Bound<'_, Self>, helpers: &Helpers) -> PyResult<()> {
        let py = slf.py();
        let span = slf.get();
        span.closed.store(true, Ordering::Relaxed);
        // Actions inside a generator or a task may end in any order: go back to what is still open.
        // Cutting the closed ones out also keeps a chain of tasks, each started inside an action of
        // the one before, from growing without end.
        let mut outer = span.outer(py);
        if outer.as_ref().is_some_and(|outer| outer.get().closed.load(Ordering::Relaxed)) {
            while let Some(closed) =
                outer.as_ref().filter(|outer| outer.get().closed.load(Ordering::Relaxed))
            {
                outer = closed.get().outer(py);
            }
            let open = outer.as_ref().map(|outer| outer.clone().unbind());
            let cut = std::mem::replace(&mut *lock(&span.outer), open);
            drop(cut);
        }
        let variable = helpers.current.bind(py);
        if !raw::context_value(variable)?.is(slf) {
            return Ok(());
        }
        match outer {
            Some(outer) => raw::set_context_value(variable, outer.as_any()),
            None => raw::set_context_value(variable, &py.None().into_bound(py)),
        }
    }

    fn outer<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Self>> {
        lock(&self.outer).as_ref().map(|outer| outer.bind(py).clone())
    }

    /// Writes the enter record, or with an outcome the closing one. Fails only with exceptions that
    /// are meant for the program.
    fn emit(
        &self,
        py: Python<'_>,
        outcome: Option<&Outcome<'_>>,
        frames_away: usize,
    ) -> PyResult<()> {
        // Taken for as long as it takes: whatever runs meanwhile finds no lock.
        let Some(mut words) = lock(&self.said).take() else { return Ok(()) };
        let written = self.try_emit(py, &mut words, outcome, frames_away);
        *lock(&self.said) = Some(words);
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
            line.push(b'\n');
            for sink in way.sinks() {
                if let Err(error) = append_line(py, sink.writer.get().core(), line) {
                    handle::write_failed(&sink.handler, error, None)?;
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
        let detail = words.detail.to_python(py);
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

#[pymethods]
impl ActionSpan {
    /// Begins, for a wrapper: the program is one frame further out.
    fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::enter_at(slf, 1)
    }

    /// Ends, for a wrapper.
    fn finish(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Self::finish_at(slf, error, 1)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(outer) = self.outer.try_lock() {
            visit.call(&*outer)?;
        }
        if let Ok(said) = self.said.try_lock()
            && let Some(words) = &*said
        {
            visit.call(&words.logger)?;
            visit.call(&words.action)?;
            visit.call(&words.format_error)?;
            if let Detail::Python(detail) = &words.detail {
                visit.call(detail)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let outer = lock(&self.outer).take();
        let words = lock(&self.said).take();
        drop((outer, words));
    }
}

impl Words {
    fn trace_id<'py>(&mut self, py: Python<'py>, id: &TraceId) -> Bound<'py, PyAny> {
        let text = || PyString::new(py, id.as_str()).into_any().unbind();
        self.trace_id.get_or_insert_with(text).bind(py).clone()
    }
}

impl Detail {
    /// Makes it a string of Python's for good.
    fn to_python<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyAny> {
        let text = self.object(py);
        if matches!(self, Self::Native(_)) {
            *self = Self::Python(text.clone().unbind());
        }
        text
    }

    fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Python(text) => text.bind(py).clone(),
            Self::Native(text) => PyString::new(py, text).into_any(),
        }
    }
}

/// The texts of a failure, kept alive while they are read.
struct Told<'py>([Bound<'py, PyAny>; 3]);

impl<'py> Told<'py> {
    fn of(told: &Bound<'py, PyDict>) -> PyResult<Option<Self>> {
        let py = told.py();
        let texts = (
            told.get_item(intern!(py, "error"))?,
            told.get_item(intern!(py, "error_type"))?,
            told.get_item(intern!(py, "stacktrace"))?,
        );
        Ok(match texts {
            (Some(error), Some(error_type), Some(trace)) => Some(Self([error, error_type, trace])),
            _ => None,
        })
    }

    fn texts(&self) -> Option<Failure<'_>> {
        let [error, error_type, stacktrace] = &self.0;
        Some(Failure {
            error: plain_text(error)?.as_bytes(),
            error_type: plain_text(error_type)?.as_bytes(),
            stacktrace: plain_text(stacktrace)?.as_bytes(),
        })
    }
}

impl<'py> Outcome<'py> {
    fn named(name: &Bound<'py, PyString>) -> Self {
        Self { name: name.clone(), told: None }
    }

    fn of(helpers: &Helpers, error: &Bound<'py, PyAny>) -> PyResult<Self> {
        let (name, told) = helpers.outcome_of.bind(error.py()).call1((error,))?.extract()?;
        Ok(Self { name, told })
    }
}

/// The span that is current.
pub(crate) fn current<'py>(
    helpers: &Helpers,
    py: Python<'py>,
) -> PyResult<Option<Bound<'py, ActionSpan>>> {
    Ok(raw::context_value(helpers.current.bind(py))?.cast_into().ok())
}

/// The text of a string that is nothing but one, and has no lone surrogates.
#[inline]
fn plain_text<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    object.cast_exact::<PyString>().ok()?.to_str().ok()
}

/// The message with its arguments, and what went wrong with merging them, if anything.
fn merge(
    py: Python<'_>,
    helpers: &Helpers,
    message: &Bound<'_, PyAny>,
    arguments: &Bound<'_, PyTuple>,
    first_argument: usize,
    named: Option<&Py<PyDict>>,
) -> PyResult<(Detail, Option<Py<PyAny>>)> {
    let has_arguments = arguments.len() > first_argument;
    if let Ok(format) = message.cast_exact::<PyString>() {
        if !has_arguments && named.is_none_or(|named| named.bind(py).is_empty()) {
            return Ok((Detail::Python(format.clone().into_any().unbind()), None));
        }
        if has_arguments
            && let Ok(format) = format.to_str()
            && let Some(text) = percent::merged(format, arguments, first_argument)
        {
            return Ok((Detail::Native(text), None));
        }
    }
    let arguments = arguments.get_slice(first_argument, arguments.len());
    let named = named.map_or_else(|| PyDict::new(py), |named| named.bind(py).clone());
    let merged = helpers.merged.bind(py).call1((message, arguments, named))?;
    let (detail, format_error): (Py<PyAny>, Option<Py<PyAny>>) = merged.extract()?;
    Ok((Detail::Python(detail), format_error))
}
