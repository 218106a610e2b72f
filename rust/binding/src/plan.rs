//! Ways that were found for loggers (see `route`), kept until something on them changes.
//!
//! A plan is asked anew for each record: every logger and handler on the way must be of a class, and
//! have attributes, that the interpreter itself says have not changed, and lists, which have no
//! versions, must hold what they held. Where anything differs, the way is looked for as if there
//! had been none.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::guarded::Guarded;
use crate::raw::{self, Seen};
use crate::route::{LoggerState, Sink, Way};
use crate::writer::LogWriter;

/// Plans, each in a place that its logger's address tells.
static PLANS: Guarded<[Slot; SLOTS]> =
    Guarded::new([const { Slot { plan: None, misses: 0 } }; SLOTS]);
const SLOTS: usize = 64;
/// A plan gives way to another when it was asked so many times in turn and was of no use: where two
/// loggers share a place, or somebody changes one all the time, plans must not be made for each record.
const MOST_MISSES: u32 = 8;

struct Slot {
    plan: Option<Plan>,
    misses: u32,
}

/// A way that a logger's records take: the loggers that have them in turn.
type Plan = Vec<Turn>;

/// What a logger and its handlers make of a record.
struct Turn {
    /// The logger, with its name, filters, cache of levels (the first one's), handlers and the logger that is next.
    logger: Seen<5>,
    /// The version of the first logger's cache, in which level TRACE is on.
    cache_version: u64,
    handlers: Vec<Listener>,
}

enum Listener {
    /// A handler that writes the record, with its filters and its log, and the log's writer: which
    /// is the same for as long as the log is.
    Sink(Seen<2>, Py<LogWriter>),
    /// One that does nothing about it.
    Deaf(Seen<0>),
}

/// A plan in the making. None as soon as there is something on the way that no version tells of.
pub(crate) struct Planner(Option<Plan>);

impl Planner {
    /// For a logger without a plan. Mostly there is none to be made yet.
    #[inline]
    pub(crate) fn new(logger: &Bound<'_, PyAny>) -> Self {
        let mut slots = PLANS.hold(logger.py());
        let slot = &mut slots[slot_of(logger)];
        slot.misses += 1;
        Self((slot.plan.is_none() || slot.misses > MOST_MISSES).then(Vec::new))
    }

    /// The way goes past a logger. Of the first one also what it knows of levels is told.
    pub(crate) fn pass(
        &mut self,
        logger: &Bound<'_, PyAny>,
        state: &LoggerState<'_>,
        levels: Option<&Bound<'_, PyDict>>,
    ) {
        let LoggerState { name, filters, handlers, parent } = state;
        let levels_as_any = levels.map(Bound::as_any);
        self.note(|plan| {
            let values = [
                Some(name),
                Some(filters.as_any()),
                levels_as_any,
                Some(handlers.as_any()),
                parent.as_ref(),
            ];
            let logger = Seen::of(logger, values)?;
            let cache_version = levels.map_or(0, raw::version_of_dict);
            plan.push(Turn { logger, cache_version, handlers: Vec::new() });
            Some(())
        });
    }

    /// A handler of that logger writes the record.
    pub(crate) fn write(&mut self, sink: &Sink<'_>, filters: &Bound<'_, PyList>) {
        self.note(|plan| {
            let seen = Seen::of(&sink.handler, [Some(filters.as_any()), Some(&sink.log)])?;
            let listener = Listener::Sink(seen, sink.writer.clone().unbind());
            plan.last_mut()?.handlers.push(listener);
            Some(())
        });
    }

    /// A handler of that logger does nothing, for as long as its class and its attributes stay.
    pub(crate) fn skip(&mut self, handler: &Bound<'_, PyAny>) {
        self.note(|plan| {
            let listener = Listener::Deaf(Seen::of(handler, [])?);
            plan.last_mut()?.handlers.push(listener);
            Some(())
        });
    }

    /// There is something on the way that has to be looked at each time.
    pub(crate) fn give_up(&mut self) {
        self.0 = None;
    }

    #[inline]
    fn note(&mut self, put: impl FnOnce(&mut Plan) -> Option<()>) {
        if let Some(plan) = &mut self.0
            && put(plan).is_none()
        {
            self.0 = None;
        }
    }

    /// Keeps the plan for later records.
    pub(crate) fn keep(self, logger: &Bound<'_, PyAny>) {
        let Some(plan) = self.0 else { return };
        let kept = Slot { plan: Some(plan), misses: 0 };
        let before = std::mem::replace(&mut PLANS.hold(logger.py())[slot_of(logger)], kept);
        drop(before);
    }
}

/// The way that was found for the logger before, if it still is the one. None has filters on it.
#[inline]
pub(crate) fn planned<'py>(logger: &Bound<'py, PyAny>) -> Option<Way<'py>> {
    let py = logger.py();
    let mut slots = PLANS.hold(py);
    let slot = &mut slots[slot_of(logger)];
    let (first, others) = slot.plan.as_ref()?.split_first()?;
    let (name, mut next) = first.begin(logger)?;
    let mut way = Way::new(name.to_owned());
    first.go_on(next.handlers, &mut way)?;
    for turn in others {
        let logger = next.parent?;
        let [_, _, _, handlers, parent] = turn.logger.get(logger)?;
        next = Next { handlers: handlers?, parent };
        turn.go_on(next.handlers, &mut way)?;
    }
    slot.misses = 0;
    Some(way)
}

/// Whether there is a plan that says that the logger takes records at level TRACE.
#[inline]
pub(crate) fn is_planned(logger: &Bound<'_, PyAny>) -> bool {
    let slots = PLANS.hold(logger.py());
    let plan = slots[slot_of(logger)].plan.as_ref();
    plan.and_then(|plan| plan.first()?.begin(logger)).is_some()
}

/// Who has the record next.
struct Next<'a, 'py> {
    handlers: Borrowed<'a, 'py, PyAny>,
    parent: Option<Borrowed<'a, 'py, PyAny>>,
}

impl Turn {
    /// The first logger's name, if it is as it was, and level TRACE on.
    #[inline]
    fn begin<'a, 'py>(
        &self,
        logger: &'a Bound<'py, PyAny>,
    ) -> Option<(Borrowed<'a, 'py, PyAny>, Next<'a, 'py>)> {
        let [name, filters, levels, handlers, parent] = self.logger.get(logger.as_borrowed())?;
        let is_on =
            raw::version_of_dict(&*levels?.cast_exact::<PyDict>().ok()?) == self.cache_version;
        let is_open = is_on && filters?.cast_exact::<PyList>().ok()?.is_empty();
        let next = Next { handlers: handlers?, parent };
        if is_open { Some((name?, next)) } else { None }
    }

    /// Adds the handlers that write the record, if the logger still has the same ones.
    #[inline]
    fn go_on<'py>(&self, handlers: Borrowed<'_, 'py, PyAny>, way: &mut Way<'py>) -> Option<()> {
        let handlers = handlers.cast_exact::<PyList>().ok()?;
        if handlers.len() != self.handlers.len() {
            return None;
        }
        for (index, listener) in self.handlers.iter().enumerate() {
            let handler = handlers.get_item(index).ok()?;
            match listener {
                Listener::Deaf(seen) => {
                    seen.get(handler.as_borrowed())?;
                }
                Listener::Sink(seen, writer) => {
                    let [filters, log] = seen.get(handler.as_borrowed())?;
                    if !filters?.cast_exact::<PyList>().ok()?.is_empty() {
                        return None;
                    }
                    let (writer, log) = (writer.bind(handler.py()).clone(), log?.to_owned());
                    way.add(Sink { handler, writer, log })?;
                }
            }
        }
        Some(())
    }
}

#[inline]
fn slot_of(logger: &Bound<'_, PyAny>) -> usize {
    (logger.as_ptr() as usize >> 4) % SLOTS
}
