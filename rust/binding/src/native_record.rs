//! A `logging.LogRecord` made without `logging`: the same attributes, in the same order, with the
//! same values.

use std::sync::atomic::{AtomicU64, Ordering};

use inspect_trace_core::clock;
use inspect_trace_core::write::fork;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyString, PyTuple, PyType};

use crate::log_record;
use crate::logging::Env;
use crate::raw;
use crate::sites;

/// The attributes that records have, in their order.
pub(crate) const STANDARD_NAMES: [&str; 21] = [
    "name",
    "msg",
    "args",
    "levelname",
    "levelno",
    "pathname",
    "filename",
    "module",
    "exc_info",
    "exc_text",
    "stack_info",
    "lineno",
    "funcName",
    "created",
    "msecs",
    "relativeCreated",
    "thread",
    "threadName",
    "processName",
    "process",
    "taskName",
];

/// What making records stands on, as loaded.
struct Makers {
    /// A record's attributes, those of an action that begins, and those of one that ends.
    enter: Py<PyDict>,
    end: Py<PyDict>,
    /// `args`, `levelname` and `exc_info` of them all.
    arguments: Py<PyAny>,
    level_name: Py<PyAny>,
    none: Py<PyAny>,
    /// Where in `logging` it says what is recorded, and since when.
    switches: [Py<PyString>; 5],
    /// Whether times are counted in whole nanoseconds (Python 3.13).
    counts_ns: bool,
    has_task_name: bool,
    threading: Py<PyDict>,
    /// `current_thread`, `get_ident` and `_active` of `threading`, and the first two as loaded.
    threading_names: [Py<PyString>; 3],
    current_thread: Py<PyAny>,
    get_ident: Py<PyAny>,
    /// Whether that `get_ident` is the interpreter's.
    is_own_ident: bool,
    /// Where threads have their names.
    thread_names: [Py<PyString>; 1],
    plain_threads: [Py<PyType>; 2],
    modules: Py<PyDict>,
    main_process: Py<PyString>,
}

static MAKERS: PyOnceLock<Option<Makers>> = PyOnceLock::new();

impl Makers {
    /// None where this interpreter's records are not those that are known here.
    fn get(env: &Env, py: Python<'_>) -> Option<&'static Self> {
        MAKERS.get_or_init(py, || Self::load(env, py).ok().flatten()).as_ref()
    }

    fn load(env: &Env, py: Python<'_>) -> PyResult<Option<Self>> {
        sites::prepare(py)?;
        let none = py.None();
        let arguments = ("x", 13, "x", 0, "x", PyTuple::empty(py), &none, "x");
        let record = env.log_record.bind(py).call1(arguments)?;
        let Some(sample) = raw::attributes_of(&record) else { return Ok(None) };
        let has_task_name = py.version_info() >= (3, 12);
        let expected = &STANDARD_NAMES[..if has_task_name { 21 } else { 20 }];
        let names: Vec<String> =
            sample.keys().iter().map(|name| name.extract()).collect::<PyResult<_>>()?;
        if names != expected {
            return Ok(None);
        }
        let sample_of = |name: &str| PyResult::Ok(sample.as_any().get_item(name)?.unbind());
        let template = |moment| {
            // Not a copy: one of an instance's attributes shares its keys with other instances, has
            // no room for more, and is slow to copy.
            let template = PyDict::new(py);
            for (name, value) in &sample {
                template.set_item(name, value)?;
            }
            // Whatever the level was called when this was loaded.
            template.set_item(intern!(py, "levelname"), &env.trace_name)?;
            for name in ["action", "detail", "event", "trace_id", moment] {
                template.set_item(PyString::intern(py, name), &none)?;
            }
            PyResult::Ok(template.unbind())
        };
        let threading = py.import("threading")?;
        let get_ident = threading.getattr("get_ident")?;
        let intern = |name: &str| PyString::intern(py, name).unbind();
        let plain_thread = |class: Bound<'_, PyAny>| PyResult::Ok(class.cast_into()?.unbind());
        Ok(Some(Self {
            arguments: sample_of("args")?,
            level_name: env.trace_name.clone_ref(py).into_any(),
            none: py.None(),
            enter: template("start_time")?,
            end: template("duration")?,
            switches: SWITCHES.map(intern),
            counts_ns: py.version_info() >= (3, 13),
            has_task_name,
            current_thread: threading.getattr("current_thread")?.unbind(),
            threading_names: ["current_thread", "get_ident", "_active"].map(intern),
            thread_names: [intern("_name")],
            is_own_ident: raw::function_address(&get_ident).is_some()
                && get_ident.call0()?.extract::<u64>()? == raw::thread_ident(),
            get_ident: get_ident.unbind(),
            plain_threads: [
                plain_thread(threading.getattr("Thread")?)?,
                plain_thread(threading.getattr("main_thread")?.call0()?.get_type().into_any())?,
            ],
            threading: threading.dict().unbind(),
            modules: py.import("sys")?.getattr("modules")?.cast_into()?.unbind(),
            main_process: intern("MainProcess"),
        }))
    }
}

/// Loads what records are made and read with, so that the first one can come when nothing can be
/// imported any more. What cannot be loaded now is tried again when it is needed.
pub(crate) fn prepare(py: Python<'_>) {
    if let Ok(env) = Env::get(py) {
        let _ = Makers::get(env, py);
    }
    let _ = log_record::prepare(py);
}

/// What a record of an action says beside its place.
pub(crate) struct Said<'a, 'py> {
    pub(crate) logger_name: &'a Bound<'py, PyAny>,
    pub(crate) message: Bound<'py, PyAny>,
    pub(crate) action: &'a Bound<'py, PyAny>,
    pub(crate) detail: &'a Bound<'py, PyAny>,
    pub(crate) event: &'a Bound<'py, PyAny>,
    pub(crate) trace_id: &'a Bound<'py, PyAny>,
    /// How long it took, in seconds, if it has ended.
    pub(crate) duration_s: Option<f64>,
}

/// A record that was made here.
pub(crate) struct NewRecord<'py> {
    pub(crate) record: Bound<'py, PyAny>,
    pub(crate) attributes: Bound<'py, PyDict>,
    /// The version of its attributes, and how many they are.
    pub(crate) version: u64,
    pub(crate) items: usize,
    // What is in them.
    pub(crate) arguments: &'static Py<PyAny>,
    pub(crate) level_name: &'static Py<PyAny>,
    pub(crate) none: &'static Py<PyAny>,
    pub(crate) created_s: f64,
    /// As they are in the attributes: the time, and when it began or how long it took.
    pub(crate) created: Bound<'py, PyAny>,
    pub(crate) moment: Bound<'py, PyAny>,
}

/// A record of an action, at the place in the program that is so many frames away. None where it
/// takes `logging` to make it. `rest` is what follows, in its order.
pub(crate) fn new_action_record<'py>(
    env: &Env,
    py: Python<'py>,
    said: &Said<'_, 'py>,
    rest: &[(Bound<'py, PyString>, Bound<'py, PyAny>)],
    frames_away: usize,
) -> PyResult<Option<NewRecord<'py>>> {
    let Some(makers) = Makers::get(env, py) else { return Ok(None) };
    let Some(start) = start_if_all_recorded(env, makers, py) else { return Ok(None) };
    let is_enter = said.duration_s.is_none();
    let general = if is_enter { &makers.enter } else { &makers.end };
    let site = sites::site_at(general.bind(py), said, frames_away)?;
    let template = site.template.bind(py);
    let attributes = template.copy()?;
    macro_rules! set {
        ($name:literal, $value:expr) => {
            attributes.set_item(intern!(py, $name), $value)?
        };
    }
    // What is as in the template is there already.
    macro_rules! change {
        ($name:literal, $known:ident, $value:expr) => {
            let value = $value;
            if !value.is(&site.$known) {
                set!($name, value);
            }
        };
    }

    let (created_s, msecs, relative_ms) = times(makers, &start)?;
    let created = PyFloat::new(py, created_s).into_any();
    change!("name", logger_name, said.logger_name);
    set!("msg", &said.message);
    set!("created", &created);
    set!("msecs", msecs);
    set!("relativeCreated", relative_ms);
    let (ident, thread_name) = thread(makers, py)?;
    if let Ident::Object(ident) = ident {
        set!("thread", ident);
    } else if site.ident != raw::thread_ident() {
        set!("thread", raw::thread_ident());
    }
    change!("threadName", thread_name, thread_name);
    change!("processName", process_name, process_name(makers, py)?);
    if site.process_id != process_id() {
        set!("process", process_id());
    }
    if makers.has_task_name {
        let task_name = task_name(makers, py)?;
        if !task_name.is_none() {
            set!("taskName", task_name);
        }
    }
    change!("action", action, said.action);
    set!("detail", said.detail);
    change!("event", event, said.event);
    set!("trace_id", said.trace_id);
    let moment = match said.duration_s {
        None => {
            set!("start_time", &created);
            created.clone()
        }
        Some(duration_s) => {
            let duration = PyFloat::new(py, duration_s).into_any();
            set!("duration", &duration);
            duration
        }
    };
    for (name, value) in rest {
        attributes.set_item(name, value)?;
    }
    let record = raw::new_instance(env.log_record.bind(py), &attributes)?;
    Ok(Some(NewRecord {
        record,
        version: raw::version_of_dict(&attributes),
        items: attributes.len(),
        arguments: &makers.arguments,
        level_name: &makers.level_name,
        none: &makers.none,
        attributes,
        created_s,
        created,
        moment,
    }))
}

/// What tells whether attributes are recorded, the last one where there are tasks; and the start.
const SWITCHES: [&str; 5] =
    ["_startTime", "logThreads", "logMultiprocessing", "logProcesses", "logAsyncioTasks"];

/// When `logging` was loaded, unless an attribute has been switched off.
#[inline]
fn start_if_all_recorded<'py>(
    env: &Env,
    makers: &Makers,
    py: Python<'py>,
) -> Option<Bound<'py, PyAny>> {
    let switches = if makers.has_task_name { 4 } else { 3 };
    let start = raw::look_up(env.logging.bind(py), &makers.switches, |[start, flags @ ..]| {
        let is_on = |flag: &Option<Borrowed<'_, '_, PyAny>>| {
            flag.is_some_and(|flag| flag.cast::<PyBool>().is_ok_and(|flag| flag.is_true()))
        };
        if flags[..switches].iter().all(is_on) { start.map(Borrowed::to_owned) } else { None }
    });
    start.flatten()
}

/// `created`, `msecs` and `relativeCreated`, each as this version of Python computes it.
#[inline]
fn times(makers: &Makers, start: &Bound<'_, PyAny>) -> PyResult<(f64, f64, f64)> {
    // The conversions are those that Python's own arithmetic makes.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    if makers.counts_ns {
        let now_ns = clock::now_ns();
        let start_ns: i64 = start.extract()?;
        let created_s = now_ns as f64 / 1e9;
        let mut msecs = now_ns % 1_000_000_000 / 1_000_000;
        if msecs == 999 && created_s as i64 != now_ns / 1_000_000_000 {
            msecs = 0; // rounded up to the next second
        }
        Ok((created_s, msecs as f64, (now_ns - start_ns) as f64 / 1e6))
    } else {
        let created_s = clock::now_s();
        let start_s: f64 = start.extract()?;
        let msecs = ((created_s - created_s.trunc()) * 1000.0).trunc();
        Ok((created_s, msecs, (created_s - start_s) * 1000.0))
    }
}

/// The number of a thread: this one's, or what a patched `threading` takes for it.
enum Ident<'py> {
    Own,
    Object(Bound<'py, PyAny>),
}

/// The number and the name of the thread.
#[inline]
fn thread<'py>(makers: &Makers, py: Python<'py>) -> PyResult<(Ident<'py>, Bound<'py, PyAny>)> {
    let threading = makers.threading.bind(py);
    let active =
        raw::look_up(threading, &makers.threading_names, |[current_thread, get_ident, active]| {
            let is_as_loaded = current_thread.is_some_and(|found| found.is(&makers.current_thread))
                && get_ident.is_some_and(|found| found.is(&makers.get_ident));
            if !is_as_loaded || !makers.is_own_ident {
                return None;
            }
            Some(active?.cast_exact::<PyDict>().ok()?.to_owned())
        });
    if let Some(active) = active.flatten()
        && let Some(thread) = active.get_item(raw::thread_ident())?
        && makers.plain_threads.iter().any(|class| raw::is_exactly(&thread, class))
        && let Some(attributes) = raw::attributes_of(&thread)
        && let Some(name) =
            raw::look_up(&attributes, &makers.thread_names, |[name]| name.map(Borrowed::to_owned))
        && let Some(name) = name
    {
        return Ok((Ident::Own, name));
    }
    let missing = || pyo3::exceptions::PyRuntimeError::new_err("threading is being torn down");
    let get_ident = threading.get_item(intern!(py, "get_ident"))?.ok_or_else(missing)?;
    let current = threading.get_item(intern!(py, "current_thread"))?.ok_or_else(missing)?;
    let ident = get_ident.call0()?;
    let name = current.call0()?.getattr(intern!(py, "name"))?;
    Ok((Ident::Object(ident), name))
}

fn process_name<'py>(makers: &Makers, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    let main = || makers.main_process.bind(py).clone().into_any();
    let loaded = makers.modules.bind(py).get_item(intern!(py, "multiprocessing"))?;
    let Some(module) = loaded.filter(|module| !module.is_none()) else { return Ok(main()) };
    let name = module
        .call_method0(intern!(py, "current_process"))
        .and_then(|process| process.getattr(intern!(py, "name")));
    unless_exception(py, name, main)
}

fn task_name<'py>(makers: &Makers, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    let none = || py.None().into_bound(py);
    let loaded = makers.modules.bind(py).get_item(intern!(py, "asyncio"))?;
    let Some(module) = loaded.filter(|module| module.is_truthy().unwrap_or(false)) else {
        return Ok(none());
    };
    let task = module.call_method0(intern!(py, "current_task"));
    // Outside of tasks and of event loops `logging` comes to the same by an exception.
    if task.as_ref().is_ok_and(PyAnyMethods::is_none) {
        return Ok(none());
    }
    unless_exception(py, task.and_then(|task| task.call_method0(intern!(py, "get_name"))), none)
}

fn unless_exception<'py>(
    py: Python<'py>,
    found: PyResult<Bound<'py, PyAny>>,
    otherwise: impl FnOnce() -> Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    match found {
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(otherwise()),
        found => found,
    }
}

/// The number of this process, asked for once.
pub(crate) fn process_id() -> u32 {
    // Masked where it is cast.
    #![allow(clippy::cast_possible_truncation)]
    // Both halves in one word, so that they belong together: the generation and the number. Both
    // fit, as a process has few ancestors that traced.
    static KNOWN: AtomicU64 = AtomicU64::new(0);
    let generation = fork::generation() << 32;
    let known = KNOWN.load(Ordering::Relaxed);
    if known != 0 && known & (u64::MAX << 32) == generation {
        return (known & u64::from(u32::MAX)) as u32;
    }
    let id = std::process::id();
    KNOWN.store(generation | u64::from(id), Ordering::Relaxed);
    id
}

/// Whether attributes of this interpreter's records include `taskName`.
pub(crate) fn has_task_name(py: Python<'_>) -> bool {
    static KNOWN: PyOnceLock<bool> = PyOnceLock::new();
    *KNOWN.get_or_init(py, || py.version_info() >= (3, 12))
}
