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
/// Which of the records that a place was of no use to, one after the other, make a plan: not each, as it
/// may be in vain (there are filters, or somebody changes something all the time), or another logger's
/// plan may be of use.
const FIRST_TRY: u32 = 2;
const LATER_TRIES: u32 = 64;

struct Slot {
    plan: Option<Plan>,
    misses: u32,
}

/// A way that a logger's records take: the loggers that have them in turn.
type Plan = Vec<Turn>;

/// What a logger and its handlers make of a record.
struct Turn {
    /// The logger, with its name, its filters, what it knows of levels (the first one only), its handlers,
    /// and the logger that has the record next.
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
        let Some(mut slots) = PLANS.try_hold(logger.py()) else { return Self(None) };
        let slot = &mut slots[slot_of(logger)];
        slot.misses = slot.misses.wrapping_add(1);
        let is_tried = slot.misses == FIRST_TRY || slot.misses.is_multiple_of(LATER_TRIES);
        Self(is_tried.then(Vec::new))
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
        // That it is of use has to be seen.
        let before = match PLANS.try_hold(logger.py()) {
            Some(mut slots) => slots[slot_of(logger)].plan.replace(plan),
            None => return,
        };
        drop(before);
    }
}

/// The way that was found for the logger before, if it still is the one. None has filters on it.
#[inline]
pub(crate) fn planned<'py>(logger: &Bound<'py, PyAny>) -> Option<Way<'py>> {
    let mut slots = PLANS.try_hold(logger.py())?;
    let slot = &mut slots[slot_of(logger)];
    let (first, others) = slot.plan.as_ref()?.split_first()?;
    let mut next = Passed::of(first.begin(logger)?)?;
    let mut way = Way::new(next.name.clone());
    first.go_on(&next, &mut way)?;
    for turn in others {
        next = Passed::of(turn.logger.get(next.parent?.as_borrowed())?)?;
        turn.go_on(&next, &mut way)?;
    }
    slot.misses = 0;
    Some(way)
}

/// Whether there is a plan that says that the logger takes records at level TRACE.
#[inline]
pub(crate) fn is_planned(logger: &Bound<'_, PyAny>) -> bool {
    let begin =
        || PLANS.try_hold(logger.py())?[slot_of(logger)].plan.as_ref()?.first()?.begin(logger);
    begin().is_some()
}

type Found<'a, 'py> = [Option<Borrowed<'a, 'py, PyAny>>; 5];

/// A logger on the way.
struct Passed<'py> {
    name: Bound<'py, PyAny>,
    /// Our own references: Python makes some objects' attributes a dict only when it is asked for, and
    /// memory for that may be the collector's reason to run.
    handlers: Bound<'py, PyList>,
    parent: Option<Bound<'py, PyAny>>,
}

impl<'py> Passed<'py> {
    #[inline]
    fn of([name, _, _, handlers, parent]: Found<'_, 'py>) -> Option<Self> {
        Some(Self {
            name: name?.to_owned(),
            handlers: handlers?.cast_exact::<PyList>().ok()?.to_owned(),
            parent: parent.map(Borrowed::to_owned),
        })
    }
}

impl Turn {
    /// What the first logger has, if it is as it was, without filters and with level TRACE on.
    #[inline]
    fn begin<'a, 'py>(&self, logger: &'a Bound<'py, PyAny>) -> Option<Found<'a, 'py>> {
        let found = self.logger.get(logger.as_borrowed())?;
        let [_, filters, levels, _, _] = found;
        let version = raw::version_of_dict(&*levels?.cast_exact::<PyDict>().ok()?);
        let is_open = filters?.cast_exact::<PyList>().ok()?.is_empty();
        (is_open && version == self.cache_version).then_some(found)
    }

    /// Adds the handlers that write the record, if the logger still has the same ones.
    #[inline]
    fn go_on<'py>(&self, logger: &Passed<'py>, way: &mut Way<'py>) -> Option<()> {
        let handlers = &logger.handlers;
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
