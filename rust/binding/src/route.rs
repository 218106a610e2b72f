//! Where a record at level TRACE goes.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString};

use crate::checked::{Checked, LAST_RESORT_CLASS, TRACE_HANDLER_CLASS};
use crate::logging::{
    CACHE, DISABLED, Env, FILTERS, GUARDED, HANDLER_NAMES, HANDLERS_OF, LOGGER_NAMES, NAME, PARENT,
    PROPAGATE, TRACE, has_plain_access,
};
use crate::plan::{Planner, is_planned, planned};
use crate::raw;
use crate::writer::LogWriter;

/// Records to more handlers than these go through `logging`.
const MAX_SINKS: usize = 4;

static TRACE_HANDLER: Checked = Checked::new();
static LAST_RESORT: Checked = Checked::new();
/// Classes of other people's handlers, each in a place that its version tells.
static HANDLERS: [Checked; 64] = [const { Checked::new() }; 64];

impl Env {
    fn is_plain_trace_handler(&self, handler: &Bound<'_, PyAny>) -> bool {
        let py = handler.py();
        let Some(own) = TRACE_HANDLER_CLASS.get(py) else { return false };
        raw::is_exactly(handler, &own.class)
            && TRACE_HANDLER.holds(own.class.bind(py), |class| {
                own.has_its_methods(class)
                    && self.are_loggings(class, &["filter"])
                    && has_plain_access(class)
                    && HANDLER_NAMES.iter().all(|name| matches!(class.getattr_opt(*name), Ok(None)))
            })
    }

    /// The state of a handler that is a `TraceHandler` through and through.
    #[inline]
    pub(crate) fn trace_handler<'py>(
        &self,
        handler: &Bound<'py, PyAny>,
    ) -> Option<HandlerState<'py>> {
        if !self.is_plain_trace_handler(handler) {
            return None;
        }
        let attributes = raw::attributes_of(handler)?;
        raw::pick(&attributes, &self.handler_names, is_harmless, |[filters, level, log]| {
            Some(HandlerState {
                filters: filters?.cast_exact::<PyList>().ok()?.to_owned(),
                level: integer(level?)?,
                log: log?.to_owned(),
            })
        })?
    }

    /// Whether the handler would do nothing about a record at level TRACE that it is given.
    fn would_ignore_trace(&self, handler: &Bound<'_, PyAny>) -> bool {
        let py = handler.py();
        let Some(own) = LAST_RESORT_CLASS.get(py) else { return false };
        raw::is_exactly(handler, &own.class)
            && LAST_RESORT.holds(own.class.bind(py), |class| {
                own.has_its_methods(class) && has_plain_access(class)
            })
            && raw::attributes_of(handler)
                .and_then(|attributes| attributes.contains(intern!(py, "handle")).ok())
                == Some(false)
            && self.attribute(py, intern!(py, "lastResort")).is_some_and(|last_resort| {
                last_resort.is_none()
                    || plain_level(&last_resort).is_some_and(|level| level > TRACE)
            })
    }

    /// What becomes of a record at level TRACE.
    #[inline]
    pub(crate) fn route<'py>(&self, logger: &Bound<'py, PyAny>) -> Route<'py> {
        if !self.is_fast() {
            return Route::Logging;
        }
        if let Some(way) = planned(logger)
            && self.makes_plain_records(logger.py())
            && self.has_real_clocks(logger.py())
        {
            return Route::Straight(way);
        }
        self.find_route(logger).unwrap_or(Route::Logging)
    }

    /// Whether the logger takes records at level TRACE. None: ask it.
    #[inline]
    pub(crate) fn is_enabled(&self, logger: &Bound<'_, PyAny>) -> Option<bool> {
        if !self.is_fast() {
            return None;
        }
        if is_planned(logger) { Some(true) } else { self.find_enabled(logger) }
    }

    fn find_enabled(&self, logger: &Bound<'_, PyAny>) -> Option<bool> {
        if !self.is_plain_logger(logger) {
            return None;
        }
        let attributes = raw::attributes_of(logger)?;
        let switches =
            raw::pick(&attributes, &self.logger_names, is_harmless, |found| Switches::of(&found));
        switches??.is_enabled(self)
    }

    /// None: through `logging`.
    fn find_route<'py>(&self, logger: &Bound<'py, PyAny>) -> Option<Route<'py>> {
        let py = logger.py();
        if !self.is_plain_logger(logger) {
            return None;
        }
        let (switches, first) =
            raw::pick(&raw::attributes_of(logger)?, &self.logger_names, is_harmless, |found| {
                Some((Switches::of(&found)?, LoggerState::of(&found)?))
            })??;
        if !switches.is_enabled(self)? {
            return Some(Route::Off);
        }
        if !self.makes_plain_records(py) || !self.has_real_clocks(py) {
            return None;
        }
        let mut way = Way::new(first.name.clone());
        way.has_filters = !first.filters.is_empty();
        let mut planner = Planner::new(logger);
        planner.pass(logger, &first, Some(&switches.cache));
        let mut state = first;
        let mut has_handlers = false;
        loop {
            for index in 0..state.handlers.len() {
                has_handlers = true;
                self.add_sink(&state.handlers.get_item(index).ok()?, &mut way, &mut planner)?;
            }
            let Some(logger) = state.parent.take() else { break };
            state = self.logger_state(&logger)?;
            planner.pass(&logger, &state, None);
        }
        if has_handlers && !way.has_filters {
            planner.keep(logger);
        }
        has_handlers.then_some(Route::Straight(way))
    }

    /// The state of a logger of `logging`'s own class; None if there is anything odd about it.
    #[inline]
    pub(crate) fn logger_state<'py>(&self, logger: &Bound<'py, PyAny>) -> Option<LoggerState<'py>> {
        if !self.is_plain_logger(logger) {
            return None;
        }
        let attributes = raw::attributes_of(logger)?;
        raw::pick(&attributes, &self.logger_names, is_harmless, |found| LoggerState::of(&found))?
    }

    /// None: the handler is to have the record by way of `logging`.
    fn add_sink<'py>(
        &self,
        handler: &Bound<'py, PyAny>,
        way: &mut Way<'py>,
        planner: &mut Planner,
    ) -> Option<()> {
        if let Some(state) = self.trace_handler(handler) {
            if state.level > TRACE {
                planner.skip(handler);
                return Some(());
            }
            way.has_filters |= !state.filters.is_empty();
            let writer = state.writer()?;
            let sink = Sink { handler: handler.clone(), writer, log: state.log };
            planner.write(&sink, &state.filters);
            return way.add(sink);
        }
        if plain_level(handler).is_some_and(|level| level > TRACE) {
            planner.skip(handler);
            return Some(());
        }
        // That hangs on another handler, too.
        planner.give_up();
        self.would_ignore_trace(handler).then_some(())
    }
}

type Found<'a, 'py> = [Option<Borrowed<'a, 'py, PyAny>>; LOGGER_NAMES.len()];

/// Whether a logger is on.
struct Switches<'py> {
    is_disabled: bool,
    /// What the logger knows of the levels that it takes.
    cache: Bound<'py, PyDict>,
}

impl<'py> Switches<'py> {
    #[inline]
    fn of(found: &Found<'_, 'py>) -> Option<Self> {
        let cache = found[CACHE]?.cast_exact::<PyDict>().ok()?.to_owned();
        Some(Self { is_disabled: truth(found[DISABLED]?)?, cache })
    }

    /// Whether records at level TRACE are taken. None: the logger has not thought about it yet.
    #[inline]
    fn is_enabled(&self, env: &Env) -> Option<bool> {
        /// Versions of such dicts that say yes.
        static ENABLED: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
        if self.is_disabled {
            return Some(false);
        }
        let version = raw::version_of_dict(&self.cache);
        let slot = &ENABLED[raw::slot_of(version, ENABLED.len())];
        if version != 0 && slot.load(Ordering::Relaxed) == version {
            return Some(true);
        }
        let answer = self.cache.get_item(&env.trace_level).ok()??;
        let is_enabled = answer.cast::<PyBool>().ok()?.is_true();
        if is_enabled {
            slot.store(version, Ordering::Relaxed);
        }
        Some(is_enabled)
    }
}

/// What a plain logger does with a record.
pub(crate) struct LoggerState<'py> {
    pub(crate) name: Bound<'py, PyAny>,
    pub(crate) filters: Bound<'py, PyList>,
    pub(crate) handlers: Bound<'py, PyList>,
    /// The logger that is to have the record next.
    pub(crate) parent: Option<Bound<'py, PyAny>>,
}

impl<'py> LoggerState<'py> {
    #[inline]
    fn of(found: &Found<'_, 'py>) -> Option<Self> {
        let list = |index: usize| Some(found[index]?.cast_exact::<PyList>().ok()?.to_owned());
        let parent = if truth(found[PROPAGATE]?)? { Some(found[PARENT]?) } else { None };
        Some(Self {
            name: found[NAME]?.to_owned(),
            filters: list(FILTERS)?,
            handlers: list(HANDLERS_OF)?,
            parent: parent.filter(|parent| !parent.is_none()).map(Borrowed::to_owned),
        })
    }
}

impl<'py> LoggerState<'py> {
    /// That of a logger of whatever kind, as far as `Logger.handle` looks at it.
    #[cold]
    pub(crate) fn read(logger: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = logger.py();
        let list = |name| -> PyResult<_> {
            let found: Bound<'py, PyAny> = logger.getattr(name)?;
            match found.cast_into::<PyList>() {
                Ok(list) => Ok(list),
                Err(other) => {
                    PyList::new(py, other.into_inner().try_iter()?.collect::<PyResult<Vec<_>>>()?)
                }
            }
        };
        let propagates = logger.getattr(intern!(py, "propagate"))?.is_truthy()?;
        let parent = if propagates { Some(logger.getattr(intern!(py, "parent"))?) } else { None };
        Ok(Self {
            name: logger.getattr(intern!(py, "name"))?,
            filters: list(intern!(py, "filters"))?,
            handlers: list(intern!(py, "handlers"))?,
            parent: parent.filter(|parent| !parent.is_none()),
        })
    }
}

/// Where a record at level TRACE goes.
pub(crate) enum Route<'py> {
    /// Nowhere: the level is off.
    Off,
    /// Through `logging`.
    Logging,
    /// Straight to logs.
    Straight(Way<'py>),
}

/// The logs that a record goes to.
pub(crate) struct Way<'py> {
    /// The logger's name.
    pub(crate) name: Bound<'py, PyAny>,
    /// Mostly the only one: it takes no memory of its own.
    first: Option<Sink<'py>>,
    others: Vec<Sink<'py>>,
    /// Whether a filter of the logger or of a `TraceHandler` has to see the record.
    pub(crate) has_filters: bool,
}

impl<'py> Way<'py> {
    /// One to nowhere yet.
    #[inline]
    pub(crate) fn new(name: Bound<'py, PyAny>) -> Self {
        Self { name, first: None, others: Vec::new(), has_filters: false }
    }

    /// Another log. None: there are too many.
    #[inline]
    pub(crate) fn add(&mut self, sink: Sink<'py>) -> Option<()> {
        if self.first.is_none() {
            self.first = Some(sink);
            return Some(());
        }
        self.others.push(sink);
        (self.others.len() < MAX_SINKS).then_some(())
    }

    pub(crate) fn sinks(&self) -> impl Iterator<Item = &Sink<'py>> {
        self.first.iter().chain(&self.others)
    }
}

/// A log that a handler writes to.
pub(crate) struct Sink<'py> {
    pub(crate) handler: Bound<'py, PyAny>,
    pub(crate) writer: Bound<'py, LogWriter>,
    /// Keeps the log open while it is written to.
    pub(crate) log: Bound<'py, PyAny>,
}

/// What a `TraceHandler` has to do with a record.
pub(crate) struct HandlerState<'py> {
    pub(crate) filters: Bound<'py, PyList>,
    pub(crate) level: i64,
    /// The log, which stays open for as long as somebody has it.
    pub(crate) log: Bound<'py, PyAny>,
}

impl<'py> HandlerState<'py> {
    /// The open log; None where there is none.
    #[inline]
    pub(crate) fn writer(&self) -> Option<Bound<'py, LogWriter>> {
        if self.log.is_none() {
            return None;
        }
        self.log.getattr(intern!(self.log.py(), "writer")).ok()?.cast_into().ok()
    }
}

/// The level of a handler of any class whose instances keep it in the ordinary way.
fn plain_level(handler: &Bound<'_, PyAny>) -> Option<i64> {
    let class = handler.get_type();
    let version = raw::version_of(&class);
    let is_plain = HANDLERS[version as usize % HANDLERS.len()].holds(&class, |class| {
        raw::has_plain_attributes(class)
            && matches!(class.getattr_opt(intern!(class.py(), "level")), Ok(None))
    });
    if !is_plain {
        return None;
    }
    let level = raw::attributes_of(handler)?.get_item(intern!(handler.py(), "level")).ok()??;
    integer(level.as_borrowed())
}

#[inline]
pub(crate) fn integer(object: Borrowed<'_, '_, PyAny>) -> Option<i64> {
    object.cast_exact::<PyInt>().ok()?.extract().ok()
}

/// The truth of a flag that is a bool or an integer.
#[inline]
fn truth(flag: Borrowed<'_, '_, PyAny>) -> Option<bool> {
    match flag.cast::<PyBool>() {
        Ok(flag) => Some(flag.is_true()),
        Err(_) => integer(flag).map(|number| number != 0),
    }
}

/// Names of attributes that have been found to have no meaning here. They are kept alive, so that no
/// other name gets their address.
static HARMLESS: [PyOnceLock<Py<PyString>>; 64] = [const { PyOnceLock::new() }; 64];

/// Whether an instance may have an attribute of this name and still be handled as any other.
#[inline]
fn is_harmless(name: Borrowed<'_, '_, PyAny>) -> bool {
    let py = name.py();
    let slot = &HARMLESS[(name.as_ptr() as usize >> 4) % HARMLESS.len()];
    slot.get(py).is_some_and(|known| known.as_ptr() == name.as_ptr())
        || is_harmless_text(name, slot)
}

#[cold]
fn is_harmless_text(name: Borrowed<'_, '_, PyAny>, slot: &PyOnceLock<Py<PyString>>) -> bool {
    let Ok(name) = name.cast_exact::<PyString>() else { return false };
    let Ok(text) = name.to_str() else { return false };
    let has_meaning =
        GUARDED.contains(&text) || LOGGER_NAMES.contains(&text) || HANDLER_NAMES.contains(&text);
    if !has_meaning {
        let _ = slot.set(name.py(), name.to_owned().unbind());
    }
    !has_meaning
}
