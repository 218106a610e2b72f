//! One run of an action, from its enter record to its closing record, and what encloses others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use inspect_trace_core::clock;
use inspect_trace_core::id::TraceId;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::guarded::Guarded;
use crate::helpers::Helpers;
use crate::percent;
use crate::raw;
use crate::watch;
use crate::words::{Detail, Outcome, Words, merge};

/// One run of an action, and, while it is current, what encloses the actions that start.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ActionSpan {
    pub(crate) trace_id: TraceId,
    pub(crate) parent_id: Option<TraceId>,
    /// How many forks lie between this module's first process and the one that it began in.
    forks: u64,
    pub(crate) pid: Option<u32>,
    /// When, by the monotonic clock: the bits of a float.
    pub(crate) started_s: AtomicU64,
    closed: AtomicBool,
    /// Nothing is held while Python code can run: values are taken out, and put back.
    outer: Guarded<Option<Py<ActionSpan>>>,
    pub(crate) said: Guarded<Option<Words>>,
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
            pid: helpers.pid_to_name(),
            closed: AtomicBool::new(false),
            outer: Guarded::new(outer.map(Bound::unbind)),
            said: Guarded::new(Some(Words {
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

    /// An action that somebody else has written the enter record of: it encloses what starts from
    /// now on in the current context.
    fn foreign(py: Python<'_>, trace_id: TraceId) -> PyResult<Bound<'_, Self>> {
        let helpers = Helpers::get(py)?;
        let outer = current(helpers, py)?;
        let forks = helpers.forks();
        let span = Self {
            trace_id,
            parent_id: outer.as_ref().and_then(|outer| open_id(py, outer)),
            forks,
            pid: helpers.pid_to_name(),
            closed: AtomicBool::new(false),
            outer: Guarded::new(outer.map(Bound::unbind)),
            said: Guarded::new(None),
            started_s: AtomicU64::new(clock::monotonic_s().to_bits()),
        };
        let span = Bound::new(py, span)?;
        raw::set_context_value(helpers.current.bind(py), span.as_any())?;
        Ok(span)
    }

    /// Writes the enter record, and makes the action the current one. What is returned takes that back
    /// again. It has hold of the context, which has hold of the action: the action must not have it.
    pub(crate) fn enter_at<'py>(
        slf: &Bound<'py, Self>,
        frames_away: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Err(interrupt) = slf.get().emit(py, None, frames_away) {
            // Ctrl-C while the record was written: the action does not begin.
            slf.get().emit(py, Some(&Outcome::named(intern!(py, "cancel"))), frames_away)?;
            return Err(interrupt);
        }
        raw::set_context_value(Helpers::get(py)?.current.bind(py), slf.as_any())
    }

    /// Writes the closing record, and gives back what was current before: by `token`, where there is
    /// one.
    pub(crate) fn finish_at(
        slf: &Bound<'_, Self>,
        token: Option<&Bound<'_, PyAny>>,
        error: Option<&Bound<'_, PyAny>>,
        frames_away: usize,
    ) -> PyResult<()> {
        let py = slf.py();
        let helpers = Helpers::get(py)?;
        Self::close_scope(slf, token, helpers)?;
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
        let words = span.said.hold(py).take();
        if let Some(Words { detail: Detail::Native(text), .. }) = words {
            percent::give_back(py, text);
        }
        written
    }

    fn close_scope(
        slf: &Bound<'_, Self>,
        token: Option<&Bound<'_, PyAny>>,
        helpers: &Helpers,
    ) -> PyResult<()> {
        let py = slf.py();
        let span = slf.get();
        span.closed.store(true, Ordering::Relaxed);
        // Actions inside a generator or a task may end in any order: go back to what is still open.
        // Cutting the closed ones out also keeps a chain of tasks, each started inside an action of
        // the one before, from growing without end.
        let mut outer = span.outer(py);
        let has_open_outer =
            outer.as_ref().is_none_or(|outer| !outer.get().closed.load(Ordering::Relaxed));
        if outer.as_ref().is_some_and(|outer| outer.get().closed.load(Ordering::Relaxed)) {
            while let Some(closed) =
                outer.as_ref().filter(|outer| outer.get().closed.load(Ordering::Relaxed))
            {
                outer = closed.get().outer(py);
            }
            let open = outer.as_ref().map(|outer| outer.clone().unbind());
            let cut = std::mem::replace(&mut *span.outer.hold(py), open);
            drop(cut);
        }
        let variable = helpers.current.bind(py);
        if !raw::context_value(variable)?.is(slf) {
            return Ok(());
        }
        // What was current before is what is around it: taking that back takes less than setting it.
        if has_open_outer && token.is_some_and(|token| raw::reset_context_value(variable, token)) {
            return Ok(());
        }
        match outer {
            Some(outer) => raw::set_context_value(variable, outer.as_any()).map(drop),
            None => raw::set_context_value(variable, &py.None().into_bound(py)).map(drop),
        }
    }

    /// Its id; None: it has ended.
    pub(crate) fn open_id(&self) -> Option<TraceId> {
        (!self.closed.load(Ordering::Relaxed)).then_some(self.trace_id)
    }

    fn outer<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Self>> {
        self.outer.hold(py).as_ref().map(|outer| outer.bind(py).clone())
    }
}

#[pymethods]
impl ActionSpan {
    /// Begins, for a wrapper: the program is one frame further out.
    fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::enter_at(slf, 1).map(drop)
    }

    /// See [`Self::foreign`]; None for what is no trace id.
    #[staticmethod]
    fn enter_foreign<'py>(py: Python<'py>, trace_id: &str) -> PyResult<Option<Bound<'py, Self>>> {
        TraceId::parse(trace_id).map(|id| Self::foreign(py, id)).transpose()
    }

    /// Somebody else has written the closing record.
    fn leave(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::close_scope(slf, None, Helpers::get(slf.py())?)
    }

    #[getter]
    fn parent_id(&self) -> Option<&str> {
        self.parent_id.as_ref().map(TraceId::as_str)
    }

    #[getter]
    fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The ids of this action and those around it, as far as they are open, the innermost first.
    fn open_ids(slf: &Bound<'_, Self>) -> Vec<String> {
        let mut ids = Vec::new();
        let mut span = Some(slf.clone());
        while let Some(inner) = span {
            ids.extend(inner.get().open_id().map(|id| id.as_str().to_owned()));
            span = inner.get().outer(slf.py());
        }
        ids
    }

    /// Ends, for a wrapper.
    fn finish(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Self::finish_at(slf, None, error, 1)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(outer) = self.outer.hold_for_collector() {
            visit.call(&*outer)?;
        }
        if let Some(said) = self.said.hold_for_collector()
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
        let outer = self.outer.hold_for_collector().and_then(|mut outer| outer.take());
        let words = self.said.hold_for_collector().and_then(|mut said| said.take());
        if words.is_some() {
            // Its death will not tell any more that it was open.
            watch::forget_action(&self.trace_id);
        }
        drop((outer, words));
    }
}

impl Drop for ActionSpan {
    fn drop(&mut self) {
        // One that ended has no words left. Nobody can have hold of what is about to go.
        if self.said.hold_for_collector().is_some_and(|said| said.is_some()) {
            watch::forget_action(&self.trace_id);
        }
    }
}

/// The id of the innermost action that is still open: the closing record of one that somebody else
/// wrote may have come in another context.
fn open_id(py: Python<'_>, span: &Bound<'_, ActionSpan>) -> Option<TraceId> {
    let mut span = span.clone();
    while span.get().closed.load(Ordering::Relaxed) {
        span = span.get().outer(py)?;
    }
    Some(span.get().trace_id)
}

/// The span that is current.
pub(crate) fn current<'py>(
    helpers: &Helpers,
    py: Python<'py>,
) -> PyResult<Option<Bound<'py, ActionSpan>>> {
    Ok(raw::context_value(helpers.current.bind(py))?.cast_into().ok())
}
