//! `logging` as it was loaded, and whether it is still as its authors made it.
//!
//! A record may go straight to the log only where nobody could tell: where `logging` itself, as it
//! stands at this moment, would hand it to `TraceHandler`s and to nobody else. Each record asks
//! anew (see `route`). Kept is only what the interpreter itself says is still true: its versions of
//! classes and dicts.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFunction, PyString, PyType};

use crate::checked::{Checked, CheckedDict};
use crate::raw;

/// The level of traced actions and messages.
pub(crate) const TRACE: i64 = 13;

static IS_FAST: AtomicBool = AtomicBool::new(true);

/// Whether records may go straight to the log; for tests of whether anybody can tell.
#[pyfunction]
pub(crate) fn use_fast_path(on: bool) {
    IS_FAST.store(on, Ordering::Relaxed);
}

static LOGGER: Checked = Checked::new();
static ROOT_LOGGER: Checked = Checked::new();
static LOG_RECORD: Checked = Checked::new();

/// `logging` and what it stands on, as loaded.
pub(crate) struct Env {
    /// The attributes of the modules.
    pub(crate) logging: Py<PyDict>,
    pub(crate) time: Py<PyDict>,
    logger: Py<PyType>,
    root_logger: Py<PyType>,
    pub(crate) log_record: Py<PyType>,
    get_level_name: Py<PyAny>,
    level_names: Py<PyDict>,
    /// `time.time` (or `time.time_ns`, where records use that) and `time.monotonic`, with the
    /// addresses of the C functions behind them.
    clocks: [(Py<PyString>, Py<PyAny>, Option<usize>); 2],
    pub(crate) logger_names: [Py<PyString>; 9],
    pub(crate) handler_names: [Py<PyString>; 3],
    pub(crate) trace_name: Py<PyString>,
    pub(crate) trace_level: Py<PyAny>,
    /// Whether a lock keeps other threads out while the interpreter is attached.
    has_lock: bool,
}

static ENV: PyOnceLock<Env> = PyOnceLock::new();

pub(crate) const LOGGER_NAMES: [&str; 9] = [
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
pub(crate) const FILTERS: usize = 0;
pub(crate) const NAME: usize = 1;
pub(crate) const PARENT: usize = 3;
pub(crate) const PROPAGATE: usize = 4;
pub(crate) const HANDLERS_OF: usize = 5;
pub(crate) const DISABLED: usize = 6;
pub(crate) const CACHE: usize = 7;
pub(crate) const HANDLER_NAMES: [&str; 3] = ["filters", "level", "_log"];

/// Attributes that change what happens to a record if an instance has them.
pub(crate) const GUARDED: [&str; 8] = [
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

    pub(crate) fn attribute<'py>(
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
    pub(crate) fn makes_plain_records(&self, py: Python<'_>) -> bool {
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
    pub(crate) fn are_loggings(&self, class: &Bound<'_, PyType>, names: &[&str]) -> bool {
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
    pub(crate) fn is_plain_logger(&self, logger: &Bound<'_, PyAny>) -> bool {
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
}

#[inline]
fn is_text(object: &Bound<'_, PyAny>, text: &Bound<'_, PyString>) -> bool {
    object.is(text)
        || object.cast_exact::<PyString>().is_ok_and(
            |object| matches!((object.to_str(), text.to_str()), (Ok(a), Ok(b)) if a == b),
        )
}

/// Whether attributes are looked up as `object` does.
pub(crate) fn has_plain_access(class: &Bound<'_, PyType>) -> bool {
    is_objects(class, "__getattribute__") && matches!(class.getattr_opt("__getattr__"), Ok(None))
}

fn is_objects(class: &Bound<'_, PyType>, name: &str) -> bool {
    let object = class.py().get_type::<PyAny>();
    match (class.getattr(name), object.getattr(name)) {
        (Ok(of_class), Ok(of_object)) => of_class.is(&of_object),
        _ => false,
    }
}
