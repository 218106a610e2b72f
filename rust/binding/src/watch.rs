//! Where actions wait that stay open for long: who finds out, and who is told.

use std::sync::{Arc, Weak};
use std::time::Duration;

use inspect_trace_core::clock;
use inspect_trace_core::id::TraceId;
use inspect_trace_core::watch::{Frame, OpenActions, StallRecord, Stalled, Timer, encode_stall};
use inspect_trace_core::write::writer::LogWriter as CoreWriter;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::action::TraceAction;
use crate::guarded::Guarded;
use crate::helpers::Helpers;
use crate::raw;
use crate::span::ActionSpan;
use crate::value::wtf8;
use crate::words::plain_text;
use crate::writer::append_line_soon;

static TIMER: Timer = Timer::new();
static LOGS: Guarded<Vec<Weak<WatchedLog>>> = Guarded::new(Vec::new());

/// So many actions are looked at in one go: finding out where they wait takes the interpreter.
const MOST_AT_ONCE: usize = 32;
/// Of the processor's time no more than the share of one in so many is spent on it.
const SHARE: u32 = 20;
/// Actions that are due within this part of the threshold are looked at together.
const GRAIN: f64 = 64.0;
/// How long the end of the interpreter waits for the last look.
const PATIENCE: Duration = Duration::from_secs(1);

/// An open log, and the actions that are open in it.
pub(crate) struct WatchedLog {
    core: CoreWriter,
    /// With the name of each. None: nobody wants to know.
    open: Option<Guarded<OpenActions<Py<PyAny>>>>,
}

impl WatchedLog {
    /// Its actions are looked at when they have been open for `stall_s` seconds; 0 and less: never.
    pub(crate) fn new(py: Python<'_>, core: CoreWriter, stall_s: f64) -> Arc<Self> {
        let is_watched = stall_s > 0.0 && stall_s.is_finite();
        let open = is_watched.then(|| Guarded::new(OpenActions::new(stall_s)));
        let log = Arc::new(Self { core, open });
        if is_watched {
            TIMER.limit(seconds(stall_s));
            let mut logs = LOGS.hold(py);
            logs.retain(|log| log.strong_count() > 0);
            logs.push(Arc::downgrade(&log));
            drop(logs);
            // Not when it is wanted: a child that is forked in the middle of an import finds the
            // module locked for ever. If it fails it will again, and is told then.
            drop(py.import("inspect_trace._stall"));
        }
        log
    }

    #[inline]
    pub(crate) fn core(&self) -> &CoreWriter {
        &self.core
    }

    /// The record of an action's beginning has been written.
    #[inline]
    pub(crate) fn open(&self, py: Python<'_>, id: &TraceId, started_s: f64, action: &Py<PyAny>) {
        let Some(open) = &self.open else { return };
        let action = action.clone_ref(py);
        let before = open.hold(py).open(id, started_s, raw::thread_ident(), action);
        drop(before);
        if !TIMER.is_on() {
            TIMER.start(look);
        }
    }

    /// The record of an action's end has been written.
    #[inline]
    pub(crate) fn close(&self, py: Python<'_>, id: &TraceId) {
        let Some(open) = &self.open else { return };
        let before = open.hold(py).close(id);
        drop(before);
    }

    /// A record has been written that somebody else has made.
    pub(crate) fn follow(&self, step: &ActionStep<'_>) {
        let py = step.action.py();
        if step.is_enter {
            self.open(py, &step.id, clock::monotonic_s(), step.action.as_any().as_unbound());
        } else {
            self.close(py, &step.id);
        }
    }

    /// None of its actions are watched any more.
    pub(crate) fn forget(&self, py: Python<'_>) {
        let Some(open) = &self.open else { return };
        let before = open.hold(py).clear();
        drop(before);
    }

    fn write(&self, py: Python<'_>, stalled: &Stalled<Py<PyAny>>, stack: &[Frame]) -> PyResult<()> {
        let Some(open) = &self.open else { return Ok(()) };
        // Finding out has taken its time.
        let is_open = open.hold(py).contains(&stalled.trace_id);
        if !is_open {
            return Ok(());
        }
        let pid = Helpers::get(py)?.pid_to_name();
        let mut line = Vec::with_capacity(4096);
        encode_stall(
            &StallRecord {
                created_s: clock::now_s(),
                action: plain_text(stalled.of_caller.bind(py)).unwrap_or_default().as_bytes(),
                trace_id: &stalled.trace_id,
                duration_s: stalled.duration_s,
                stack,
                pid,
            },
            &mut line,
        );
        line.push(b'\n');
        append_line_soon(py, &self.core, &line)
    }
}

/// What a record of somebody else's tells of an action.
pub(crate) struct ActionStep<'py> {
    action: Bound<'py, PyString>,
    id: TraceId,
    is_enter: bool,
}

impl<'py> ActionStep<'py> {
    /// None: it tells of none, or of none that has an id like ours.
    #[inline]
    pub(crate) fn of(attribute: impl Fn(&str) -> Option<Bound<'py, PyAny>>) -> Option<Self> {
        let text = |name| attribute(name)?.cast_into_exact::<PyString>().ok();
        let action = text("action")?;
        let event = text("event")?;
        let id = TraceId::parse(text("trace_id")?.to_str().ok()?)?;
        Some(Self { action, id, is_enter: event.to_str().ok()? == "enter" })
    }
}

/// What the thread does when it is time.
fn look() -> Option<Duration> {
    let before_s = clock::thread_cpu_s();
    // None at the end of the interpreter, when there is nothing to look at any more.
    let next = Python::try_attach(|py| {
        report(py).unwrap_or_else(|error| {
            let warned = Helpers::get(py)
                .and_then(|helpers| helpers.warn(py, "finding out where an action waits", error));
            drop(warned);
        });
        next_look(py)
    })??;
    Some(next.max(seconds(clock::thread_cpu_s() - before_s) * SHARE))
}

/// When to look again.
fn next_look(py: Python<'_>) -> Option<Duration> {
    let mut due_s = f64::INFINITY;
    let mut grain_s = f64::INFINITY;
    for log in logs(py) {
        let Some(open) = &log.open else { continue };
        let open = open.hold(py);
        if let Some(next_s) = open.next_due_s() {
            due_s = due_s.min(next_s);
            grain_s = grain_s.min(open.threshold_s() / GRAIN);
        }
    }
    if due_s.is_infinite() {
        // Whoever begins an action needs the interpreter for it, which is ours.
        TIMER.rest();
        return None;
    }
    Some(seconds((due_s - clock::monotonic_s()).max(grain_s)))
}

/// Writes down where those actions wait that are due.
fn report(py: Python<'_>) -> PyResult<()> {
    let mut due = Vec::new();
    for log in logs(py) {
        let Some(open) = &log.open else { continue };
        let most = MOST_AT_ONCE - due.len();
        let now_s = clock::monotonic_s();
        let stalled = open.hold(py).take_due(now_s, most, |action| action.clone_ref(py));
        due.extend(stalled.into_iter().map(|stalled| (Arc::clone(&log), stalled)));
    }
    if due.is_empty() {
        return Ok(());
    }
    let asked: Vec<_> =
        due.iter().map(|(_, stalled)| (stalled.trace_id.as_str(), stalled.thread)).collect();
    let found = py
        .import("inspect_trace._stall")
        .and_then(|module| module.call_method1(intern!(py, "stacks"), (asked,)))
        .and_then(|found| found.extract::<Vec<Vec<PyFrame<'_>>>>());
    let (found, error) = match found {
        Ok(found) => (found, None),
        // That it has been open for so long is worth a record, too.
        Err(error) => (Vec::new(), Some(error)),
    };
    let mut found = found.into_iter();
    for (log, stalled) in &due {
        if TIMER.is_stopping() {
            break;
        }
        let frames = found.next().unwrap_or_default();
        let stack: Vec<_> = frames.into_iter().map(PyFrame::into_core).collect();
        log.write(py, stalled, &stack)?;
    }
    error.map_or(Ok(()), Err)
}

/// A frame as `_stall.py` gives it: file, line, function, and what it waits for.
#[derive(FromPyObject)]
struct PyFrame<'py>(Bound<'py, PyString>, u32, Bound<'py, PyString>, Option<Bound<'py, PyString>>);

impl PyFrame<'_> {
    fn into_core(self) -> Frame {
        Frame {
            file: wtf8(&self.0),
            line: self.1,
            function: wtf8(&self.2),
            awaits: self.3.as_ref().map(wtf8),
        }
    }
}

fn logs(py: Python<'_>) -> Vec<Arc<WatchedLog>> {
    LOGS.hold(py).iter().filter_map(Weak::upgrade).collect()
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// An action will never end whose object is gone.
#[cold]
pub(crate) fn forget_action(id: &TraceId) {
    // Not at the end of the interpreter.
    Python::try_attach(|py| logs(py).iter().for_each(|log| log.close(py, id)));
}

/// The ids of the open actions that an object stands for.
#[pyfunction]
#[pyo3(signature = (holder, /))]
pub(crate) fn open_action_ids(holder: &Bound<'_, PyAny>) -> Vec<String> {
    let ids = if let Ok(action) = holder.cast::<TraceAction>() {
        TraceAction::open_ids(action)
    } else if let Ok(span) = holder.cast_exact::<ActionSpan>() {
        span.get().open_id().into_iter().collect()
    } else {
        Vec::new()
    };
    ids.iter().map(|id| id.as_str().to_owned()).collect()
}

/// Nobody looks any more: the end of the interpreter has come.
#[pyfunction]
pub(crate) fn stop_watching(py: Python<'_>) {
    py.detach(|| TIMER.stop(PATIENCE));
}

/// To be called in a forked child: its parent's actions are its parent's, and so is the thread.
#[pyfunction]
pub(crate) fn watch_after_fork(py: Python<'_>) {
    TIMER.forget_after_fork();
    for log in logs(py) {
        log.forget(py);
    }
}
