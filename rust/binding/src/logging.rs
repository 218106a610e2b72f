//! What `logging` would do with a record, found out without asking it.
//!
//! A record may go straight to the log only where nobody could tell: where `logging` itself, as it
//! stands at this moment, would hand it to `TraceHandler`s and to nobody else. Each record asks
//! anew. Kept is only what the interpreter itself says is still true: its versions of classes.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFunction, PyInt, PyList, PyString, PyType};

use crate::raw;
use crate::writer::LogWriter;

/// The level of traced actions and messages.
const TRACE: i64 = 13;

/// Records to more handlers than these go through `logging`.
const MAX_SINKS: usize = 4;

static IS_FAST: AtomicBool = AtomicBool::new(true);

/// Whether records may go straight to the log; for tests of whether anybody can tell.
#[pyfunction]
pub(crate) fn use_fast_path(on: bool) {
    IS_FAST.store(on, Ordering::Relaxed);
}

/// A class that has been looked at, and the version it was found to be in order in.
struct Checked(AtomicU32);

impl Checked {
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether the class is in order: what `is_in_order` has said, for as long as it cannot have
    /// changed.
    #[inline]
    fn holds(
        &self,
        class: &Bound<'_, PyType>,
        is_in_order: impl FnOnce(&Bound<'_, PyType>) -> bool,
    ) -> bool {
        let version = raw::version_of(class);
        if version != 0 && version == self.0.load(Ordering::Relaxed) {
            return true;
        }
        // Looking for attributes gives the class a version, where it has none.
        let is_in_order = is_in_order(class);
        if is_in_order {
            self.0.store(raw::version_of(class), Ordering::Relaxed);
        }
        is_in_order
    }
}

/// A dict that has been looked at, and the version it was found to be in order in.
struct CheckedDict(AtomicU64);

impl CheckedDict {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    fn holds(
        &self,
        dict: &Bound<'_, PyDict>,
        is_in_order: impl FnOnce(&Bound<'_, PyDict>) -> bool,
    ) -> bool {
        let version = raw::version_of_dict(dict);
        if version != 0 && version == self.0.load(Ordering::Relaxed) {
            return true;
        }
        let is_in_order = is_in_order(dict);
        if is_in_order {
            self.0.store(version, Ordering::Relaxed);
        }
        is_in_order
    }
}

static LOGGER: Checked = Checked::new();
static ROOT_LOGGER: Checked = Checked::new();
static LOG_RECORD: Checked = Checked::new();
static TRACE_HANDLER: Checked = Checked::new();
static LAST_RESORT: Checked = Checked::new();
/// Classes of other people's handlers, each in a place that its version tells.
static HANDLERS: [Checked; 64] = [const { Checked::new() }; 64];

/// A class of ours with the methods that it was made with.
struct OwnClass {
    class: Py<PyType>,
    methods: Vec<(Py<PyString>, Py<PyAny>)>,
}

static TRACE_HANDLER_CLASS: PyOnceLock<OwnClass> = PyOnceLock::new();
static LAST_RESORT_CLASS: PyOnceLock<OwnClass> = PyOnceLock::new();

/// Makes `TraceHandler` known, with its methods as they are.
#[pyfunction]
#[pyo3(signature = (class, /), text_signature = "(class_, /)")]
pub(crate) fn know_trace_handler(class: &Bound<'_, PyType>) -> PyResult<()> {
    know(&TRACE_HANDLER_CLASS, class, &["handle", "emit", "handleError"])
}

/// Makes the handler known that stands in for `logging.lastResort`.
#[pyfunction]
#[pyo3(signature = (class, /), text_signature = "(class_, /)")]
pub(crate) fn know_last_resort(class: &Bound<'_, PyType>) -> PyResult<()> {
    know(&LAST_RESORT_CLASS, class, &["handle"])
}

fn know(slot: &PyOnceLock<OwnClass>, class: &Bound<'_, PyType>, names: &[&str]) -> PyResult<()> {
    let py = class.py();
    let methods = names
        .iter()
        .map(|name| {
            let name = PyString::intern(py, name);
            let method = class.getattr(&name)?;
            Ok((name.unbind(), method.unbind()))
        })
        .collect::<PyResult<_>>()?;
    let _ = slot.set(py, OwnClass { class: class.clone().unbind(), methods });
    Ok(())
}

impl OwnClass {
    fn has_its_methods(&self, class: &Bound<'_, PyType>) -> bool {
        self.methods.iter().all(|(name, method)| {
            class.getattr(name.bind(class.py())).is_ok_and(|found| found.is(method))
        })
    }
}

/// `logging` and what it stands on, as loaded.
pub(crate) struct Env {
    /// The attributes of the modules.
    pub(crate) logging: Py<PyDict>,
    time: Py<PyDict>,
    logger: Py<PyType>,
    root_logger: Py<PyType>,
    pub(crate) log_record: Py<PyType>,
    get_level_name: Py<PyAny>,
    level_names: Py<PyDict>,
    /// `time.time` (or `time.time_ns`, where records use that) and `time.monotonic`, with the
    /// addresses of the C functions behind them.
    clocks: [(Py<PyString>, Py<PyAny>, Option<usize>); 2],
    logger_names: [Py<PyString>; 9],
    handler_names: [Py<PyString>; 3],
    trace_name: Py<PyString>,
    trace_level: Py<PyAny>,
    /// Whether a lock keeps other threads out while the interpreter is attached.
    has_lock: bool,
}

static ENV: PyOnceLock<Env> = PyOnceLock::new();

const LOGGER_NAMES: [&str; 9] = [
    "filters",
    "name",
    "level",
    "parent",
    "propagate",
    "handlers",
    "disabled",
    "_cache",
    "manager",
];
// Where they are in the list.
const FILTERS: usize = 0;
const NAME: usize = 1;
const PARENT: usize = 3;
const PROPAGATE: usize = 4;
const HANDLERS_OF: usize = 5;
const DISABLED: usize = 6;
const CACHE: usize = 7;
const HANDLER_NAMES: [&str; 3] = ["filters", "level", "_log"];

/// Attributes that change what happens to a record if an instance has them.
const GUARDED: [&str; 8] = [
    "handle",
    "makeRecord",
    "callHandlers",
    "filter",
    "isEnabledFor",
    "getEffectiveLevel",
    "emit",
    "handleError",
];

impl Env {
    /// What is loaded, looked up once.
    #[inline]
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Self> {
        match ENV.get(py) {
            Some(env) => Ok(env),
            None => ENV.get_or_try_init(py, || Self::load(py)),
        }
    }

    #[cold]
    fn load(py: Python<'_>) -> PyResult<Self> {
        let logging = py.import("logging")?;
        let time = py.import("time")?;
        let class = |name| PyResult::Ok(logging.getattr(name)?.cast_into::<PyType>()?.unbind());
        let clock = |name| {
            let function = time.getattr(name)?;
            let address = raw::function_address(&function);
            PyResult::Ok((PyString::intern(py, name).unbind(), function.unbind(), address))
        };
        let has_lock = match py.import("sys")?.getattr_opt("_is_gil_enabled")? {
            Some(asked) => asked.call0()?.is_truthy()?,
            None => true,
        };
        Ok(Self {
            logging: logging.dict().unbind(),
            time: time.dict().unbind(),
            logger: class("Logger")?,
            root_logger: class("RootLogger")?,
            log_record: class("LogRecord")?,
            get_level_name: logging.getattr("getLevelName")?.unbind(),
            level_names: logging.getattr("_levelToName")?.cast_into::<PyDict>()?.unbind(),
            clocks: [
                clock(if py.version_info() >= (3, 13) { "time_ns" } else { "time" })?,
                clock("monotonic")?,
            ],
            logger_names: LOGGER_NAMES.map(|name| PyString::intern(py, name).unbind()),
            handler_names: HANDLER_NAMES.map(|name| PyString::intern(py, name).unbind()),
            trace_name: PyString::intern(py, "TRACE").unbind(),
            trace_level: TRACE.into_pyobject(py)?.into_any().unbind(),
            has_lock,
        })
    }

    /// Whether anything may go past `logging` at all.
    #[inline]
    pub(crate) fn is_fast(&self) -> bool {
        IS_FAST.load(Ordering::Relaxed) && self.has_lock && !cfg!(feature = "abi3")
    }

    fn attribute<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> Option<Bound<'py, PyAny>> {
        self.logging.bind(py).get_item(name).ok().flatten()
    }

    /// Whether the clocks are the system's: libraries for tests put others in their place.
    #[inline]
    pub(crate) fn has_real_clocks(&self, py: Python<'_>) -> bool {
        static TIME: CheckedDict = CheckedDict::new();
        let time = self.time.bind(py);
        let are_where_they_were = TIME.holds(time, |time| {
            self.clocks.iter().all(|(name, clock, _)| {
                let found = time.get_item(name.bind(py));
                found.is_ok_and(|found| found.is_some_and(|found| found.is(clock)))
            })
        });
        are_where_they_were
            && self.clocks.iter().all(|(_, clock, address)| {
                address.is_some() && raw::function_address(clock.bind(py)) == *address
            })
    }

    /// Whether records are made as `logging` makes them, and 13 is called TRACE.
    #[inline]
    fn makes_plain_records(&self, py: Python<'_>) -> bool {
        static LOGGING: CheckedDict = CheckedDict::new();
        static LEVELS: CheckedDict = CheckedDict::new();
        let is_same = |name, expected: &Py<PyAny>| {
            self.attribute(py, name).is_some_and(|found| found.is(expected))
        };
        let is_as_loaded = LOGGING.holds(self.logging.bind(py), |_| {
            is_same(intern!(py, "_logRecordFactory"), self.log_record.as_any())
                && is_same(intern!(py, "getLevelName"), &self.get_level_name)
                && is_same(intern!(py, "_levelToName"), self.level_names.as_any())
        });
        is_as_loaded
            && LEVELS.holds(self.level_names.bind(py), |names| {
                names
                    .get_item(&self.trace_level)
                    .ok()
                    .flatten()
                    .is_some_and(|name| is_text(&name, self.trace_name.bind(py)))
            })
            && self.has_plain_record_class(py)
    }

    /// Whether `LogRecord` is the class that `logging` defines.
    #[inline]
    pub(crate) fn has_plain_record_class(&self, py: Python<'_>) -> bool {
        LOG_RECORD.holds(self.log_record.bind(py), |class| {
            self.are_loggings(class, &["__init__", "getMessage"])
                && has_plain_access(class)
                && ["__new__", "__setattr__"].iter().all(|name| is_objects(class, name))
                && crate::native_record::STANDARD_NAMES
                    .iter()
                    .all(|name| matches!(class.getattr_opt(*name), Ok(None)))
        })
    }

    /// Whether the class has these methods from `logging` itself. Those that others put in their
    /// place, however well wrapped, come from modules of theirs.
    fn are_loggings(&self, class: &Bound<'_, PyType>, names: &[&str]) -> bool {
        names.iter().all(|name| {
            class.getattr(*name).is_ok_and(|function| self.is_loggings(&function, name))
        })
    }

    fn is_loggings(&self, function: &Bound<'_, PyAny>, name: &str) -> bool {
        let py = function.py();
        function.is_exact_instance_of::<PyFunction>()
            && function
                .getattr(intern!(py, "__globals__"))
                .is_ok_and(|globals| globals.is(&self.logging))
            && function
                .getattr(intern!(py, "__code__"))
                .and_then(|code| code.getattr(intern!(py, "co_name")))
                .and_then(|found| found.extract::<String>())
                .is_ok_and(|found| found == name)
    }

    /// Whether it is a logger of `logging`'s own class, and that as `logging` defines it.
    #[inline]
    fn is_plain_logger(&self, logger: &Bound<'_, PyAny>) -> bool {
        let (class, checked) = if raw::is_exactly(logger, &self.logger) {
            (&self.logger, &LOGGER)
        } else if raw::is_exactly(logger, &self.root_logger) {
            (&self.root_logger, &ROOT_LOGGER)
        } else {
            return false;
        };
        checked.holds(class.bind(logger.py()), |class| {
            self.are_loggings(class, &GUARDED[..6])
                && has_plain_access(class)
                && LOGGER_NAMES[..8]
                    .iter()
                    .chain(&["__bool__", "__len__"])
                    .all(|name| matches!(class.getattr_opt(*name), Ok(None)))
        })
    }

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
        let [filters, level, log] = raw::pick(&attributes, &self.handler_names, is_harmless)?;
        let filters = filters?.cast_into_exact::<PyList>().ok()?;
        Some(HandlerState { filters, level: level?, log: log? })
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
    pub(crate) fn route<'py>(&self, logger: &Bound<'py, PyAny>) -> Route<'py> {
        self.try_route(logger).unwrap_or(Route::Logging)
    }

    /// Whether the logger takes records at level TRACE. None: ask it.
    #[inline]
    pub(crate) fn is_enabled(&self, logger: &Bound<'_, PyAny>) -> Option<bool> {
        if !self.is_fast() || !self.is_plain_logger(logger) {
            return None;
        }
        let attributes = raw::attributes_of(logger)?;
        let found = raw::pick(&attributes, &self.logger_names, is_harmless)?;
        self.is_enabled_by(&found)
    }

    #[inline]
    fn is_enabled_by(&self, found: &[Option<Bound<'_, PyAny>>; 9]) -> Option<bool> {
        if truth(found[DISABLED].as_ref()?)? {
            return Some(false);
        }
        let cache = found[CACHE].as_ref()?.cast_exact::<PyDict>().ok()?;
        Some(cache.get_item(&self.trace_level).ok()??.cast::<PyBool>().ok()?.is_true())
    }

    /// None: through `logging`.
    fn try_route<'py>(&self, logger: &Bound<'py, PyAny>) -> Option<Route<'py>> {
        let py = logger.py();
        if !self.is_fast() || !self.is_plain_logger(logger) {
            return None;
        }
        let found = raw::pick(&raw::attributes_of(logger)?, &self.logger_names, is_harmless)?;
        if !self.is_enabled_by(&found)? {
            return Some(Route::Off);
        }
        if !self.makes_plain_records(py) || !self.has_real_clocks(py) {
            return None;
        }
        let mut way = Way {
            name: found[NAME].clone()?,
            sinks: [const { None }; MAX_SINKS],
            count: 0,
            has_filters: !found[FILTERS].as_ref()?.cast_exact::<PyList>().ok()?.is_empty(),
        };
        let mut has_handlers = false;
        let mut current = found;
        loop {
            let handlers = current[HANDLERS_OF].as_ref()?.cast_exact::<PyList>().ok()?;
            for index in 0..handlers.len() {
                has_handlers = true;
                self.add_sink(&handlers.get_item(index).ok()?, &mut way)?;
            }
            let parent = current[PARENT].as_ref()?;
            if !truth(current[PROPAGATE].as_ref()?)? || parent.is_none() {
                break;
            }
            if !self.is_plain_logger(parent) {
                return None;
            }
            current = raw::pick(&raw::attributes_of(parent)?, &self.logger_names, is_harmless)?;
        }
        has_handlers.then_some(Route::Straight(way))
    }

    /// None: the handler is to have the record by way of `logging`.
    fn add_sink<'py>(&self, handler: &Bound<'py, PyAny>, way: &mut Way<'py>) -> Option<()> {
        if let Some(state) = self.trace_handler(handler) {
            if integer(&state.level)? > TRACE {
                return Some(());
            }
            way.has_filters |= !state.filters.is_empty();
            let writer = state.writer()?;
            *way.sinks.get_mut(way.count)? =
                Some(Sink { handler: handler.clone(), writer, _log: state.log });
            way.count += 1;
            return Some(());
        }
        if plain_level(handler).is_some_and(|level| level > TRACE)
            || self.would_ignore_trace(handler)
        {
            return Some(());
        }
        None
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
    sinks: [Option<Sink<'py>>; MAX_SINKS],
    count: usize,
    /// Whether a filter of the logger or of a `TraceHandler` has to see the record.
    pub(crate) has_filters: bool,
}

impl<'py> Way<'py> {
    pub(crate) fn sinks(&self) -> impl Iterator<Item = &Sink<'py>> {
        self.sinks[..self.count].iter().flatten()
    }
}

/// A log that a handler writes to.
pub(crate) struct Sink<'py> {
    pub(crate) handler: Bound<'py, PyAny>,
    pub(crate) writer: Bound<'py, LogWriter>,
    /// Keeps the log open while it is written to.
    _log: Bound<'py, PyAny>,
}

/// What a `TraceHandler` has to do with a record.
pub(crate) struct HandlerState<'py> {
    pub(crate) filters: Bound<'py, PyList>,
    level: Bound<'py, PyAny>,
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
    integer(&level)
}

#[inline]
fn integer(object: &Bound<'_, PyAny>) -> Option<i64> {
    object.cast_exact::<PyInt>().ok()?.extract().ok()
}

/// The truth of a flag that is a bool or an integer.
#[inline]
fn truth(flag: &Bound<'_, PyAny>) -> Option<bool> {
    match flag.cast::<PyBool>() {
        Ok(flag) => Some(flag.is_true()),
        Err(_) => integer(flag).map(|number| number != 0),
    }
}

#[inline]
fn is_text(object: &Bound<'_, PyAny>, text: &Bound<'_, PyString>) -> bool {
    object.is(text)
        || object.cast_exact::<PyString>().is_ok_and(
            |object| matches!((object.to_str(), text.to_str()), (Ok(a), Ok(b)) if a == b),
        )
}

/// Whether attributes are looked up as `object` does.
fn has_plain_access(class: &Bound<'_, PyType>) -> bool {
    is_objects(class, "__getattribute__") && matches!(class.getattr_opt("__getattr__"), Ok(None))
}

fn is_objects(class: &Bound<'_, PyType>, name: &str) -> bool {
    let object = class.py().get_type::<PyAny>();
    match (class.getattr(name), object.getattr(name)) {
        (Ok(of_class), Ok(of_object)) => of_class.is(&of_object),
        _ => false,
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
