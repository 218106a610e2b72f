//! A `logging.LogRecord` made without `logging`: the same attributes, in the same order, with the
//! same values.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use inspect_trace_core::clock;
use inspect_trace_core::write::fork;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple, PyType};

use crate::logging::Env;
use crate::raw;

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
    /// Whether times are counted in whole nanoseconds (Python 3.13).
    counts_ns: bool,
    has_task_name: bool,
    threading: Py<PyDict>,
    /// `threading.current_thread` and `threading.get_ident`, as loaded.
    current_thread: Py<PyAny>,
    get_ident: Py<PyAny>,
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
        let template = |moment| {
            // Not a copy: one of an instance's attributes shares its keys with other instances, has
            // no room for more, and is slow to copy.
            let template = PyDict::new(py);
            for (name, value) in &sample {
                template.set_item(name, value)?;
            }
            for name in ["action", "detail", "event", "trace_id", moment] {
                template.set_item(PyString::intern(py, name), &none)?;
            }
            PyResult::Ok(template.unbind())
        };
        let threading = py.import("threading")?;
        let plain_thread = |class: Bound<'_, PyAny>| PyResult::Ok(class.cast_into()?.unbind());
        Ok(Some(Self {
            enter: template("start_time")?,
            end: template("duration")?,
            counts_ns: py.version_info() >= (3, 13),
            has_task_name,
            current_thread: threading.getattr("current_thread")?.unbind(),
            get_ident: threading.getattr("get_ident")?.unbind(),
            plain_threads: [
                plain_thread(threading.getattr("Thread")?)?,
                plain_thread(threading.getattr("main_thread")?.call0()?.get_type().into_any())?,
            ],
            threading: threading.dict().unbind(),
            modules: py.import("sys")?.getattr("modules")?.cast_into()?.unbind(),
            main_process: PyString::intern(py, "MainProcess").unbind(),
        }))
    }
}

/// What a record of an action says beside its place.
pub(crate) struct Said<'a, 'py> {
    pub(crate) logger_name: &'a Bound<'py, PyAny>,
    pub(crate) message: Bound<'py, PyAny>,
    pub(crate) action: Bound<'py, PyAny>,
    pub(crate) detail: Bound<'py, PyAny>,
    pub(crate) event: Bound<'py, PyAny>,
    pub(crate) trace_id: Bound<'py, PyAny>,
    /// Whether it begins or ends; when, or after how long, in seconds.
    pub(crate) is_enter: bool,
    pub(crate) moment_s: f64,
}

/// A record of an action, at the place in the program that is so many frames away. None where it
/// takes `logging` to make it. `rest` is what follows, in its order.
pub(crate) fn new_action_record<'py>(
    env: &Env,
    py: Python<'py>,
    said: &Said<'_, 'py>,
    rest: &[(Bound<'py, PyString>, Bound<'py, PyAny>)],
    frames_away: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(makers) = Makers::get(env, py) else { return Ok(None) };
    if !records_all(env, makers, py) {
        return Ok(None);
    }
    let template = if said.is_enter { &makers.enter } else { &makers.end };
    let attributes = template.bind(py).copy()?;
    macro_rules! set {
        ($name:literal, $value:expr) => {
            attributes.set_item(intern!(py, $name), $value)?
        };
    }

    let (created_s, msecs, relative_ms) = times(env, makers, py)?;
    set!("name", said.logger_name);
    set!("msg", &said.message);
    if let Some((code, line)) = raw::place(py, frames_away) {
        let path = code.getattr(intern!(py, "co_filename"))?;
        let (file, module) = names_of_file(&path)?;
        set!("pathname", path);
        set!("filename", file);
        set!("module", module);
        set!("lineno", line);
        set!("funcName", code.getattr(intern!(py, "co_name"))?);
    } else {
        // Run by the interpreter itself, as at its end.
        let path = intern!(py, "(unknown file)");
        set!("pathname", path);
        set!("filename", path);
        set!("module", path);
        set!("lineno", 0);
        set!("funcName", intern!(py, "(unknown function)"));
    }
    set!("created", created_s);
    set!("msecs", msecs);
    set!("relativeCreated", relative_ms);
    let (ident, thread_name) = thread(makers, py)?;
    set!("thread", ident);
    set!("threadName", thread_name);
    set!("processName", process_name(makers, py)?);
    set!("process", process_id());
    if makers.has_task_name {
        set!("taskName", task_name(makers, py)?);
    }
    set!("action", &said.action);
    set!("detail", &said.detail);
    set!("event", &said.event);
    set!("trace_id", &said.trace_id);
    if said.is_enter {
        set!("start_time", said.moment_s);
    } else {
        set!("duration", said.moment_s);
    }
    for (name, value) in rest {
        attributes.set_item(name, value)?;
    }
    raw::new_instance(env.log_record.bind(py), &attributes).map(Some)
}

/// Whether no attribute has been switched off.
fn records_all(env: &Env, makers: &Makers, py: Python<'_>) -> bool {
    let logging = env.logging.bind(py);
    let is_on = |name: &Bound<'_, PyString>| {
        logging.get_item(name).is_ok_and(|flag| {
            flag.is_some_and(|flag| flag.cast::<PyBool>().is_ok_and(PyBoolMethods::is_true))
        })
    };
    is_on(intern!(py, "logThreads"))
        && is_on(intern!(py, "logMultiprocessing"))
        && is_on(intern!(py, "logProcesses"))
        && (!makers.has_task_name || is_on(intern!(py, "logAsyncioTasks")))
}

/// `created`, `msecs` and `relativeCreated`, each as this version of Python computes it.
fn times(env: &Env, makers: &Makers, py: Python<'_>) -> PyResult<(f64, f64, f64)> {
    let start = env.logging.bind(py).get_item(intern!(py, "_startTime"))?;
    // The conversions are those that Python's own arithmetic makes.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    if makers.counts_ns {
        let now_ns = clock::now_ns();
        let start_ns: i64 = start.map_or(Ok(0), |start| start.extract())?;
        let created_s = now_ns as f64 / 1e9;
        let mut msecs = now_ns % 1_000_000_000 / 1_000_000;
        if msecs == 999 && created_s as i64 != now_ns / 1_000_000_000 {
            msecs = 0; // rounded up to the next second
        }
        Ok((created_s, msecs as f64, (now_ns - start_ns) as f64 / 1e6))
    } else {
        let created_s = clock::now_s();
        let start_s: f64 = start.map_or(Ok(0.0), |start| start.extract())?;
        let msecs = ((created_s - created_s.trunc()) * 1000.0).trunc();
        Ok((created_s, msecs, (created_s - start_s) * 1000.0))
    }
}

/// The names that `logging` derives from the path of a file, by that path (a text that never
/// changes and is kept alive here, so that no other has its address).
static FILES: Mutex<Vec<(usize, [Py<PyAny>; 3])>> = Mutex::new(Vec::new());
const MAX_FILES: usize = 32;

fn names_of_file<'py>(
    path: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let py = path.py();
    let address = path.as_ptr() as usize;
    if let Ok(files) = FILES.try_lock()
        && let Some((_, [_, file, module])) = files.iter().find(|(known, _)| *known == address)
    {
        return Ok((file.bind(py).clone(), module.bind(py).clone()));
    }
    let paths = py.import("os")?.getattr("path")?;
    let file = paths.call_method1("basename", (path,))?;
    let module = paths.call_method1("splitext", (&file,))?.get_item(0)?;
    let kept = [path.clone().unbind(), file.clone().unbind(), module.clone().unbind()];
    let evicted = match FILES.try_lock() {
        Ok(mut files) => {
            files.insert(0, (address, kept));
            files.get(MAX_FILES).is_some().then(|| files.pop())
        }
        Err(_) => None,
    };
    drop(evicted); // with the lock given back
    Ok((file, module))
}

/// The number and the name of the thread.
fn thread<'py>(
    makers: &Makers,
    py: Python<'py>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let threading = makers.threading.bind(py);
    let missing = || pyo3::exceptions::PyRuntimeError::new_err("threading is being torn down");
    let get_ident = threading.get_item(intern!(py, "get_ident"))?.ok_or_else(missing)?;
    let current = threading.get_item(intern!(py, "current_thread"))?.ok_or_else(missing)?;
    let ident = get_ident.call0()?;
    if get_ident.is(&makers.get_ident)
        && current.is(&makers.current_thread)
        && let Some(active) = threading.get_item(intern!(py, "_active"))?
        && let Ok(active) = active.cast_into_exact::<PyDict>()
        && let Some(thread) = active.get_item(&ident)?
        && makers.plain_threads.iter().any(|class| raw::is_exactly(&thread, class))
        && let Some(attributes) = raw::attributes_of(&thread)
        && let Some(name) = attributes.get_item(intern!(py, "_name"))?
    {
        return Ok((ident, name));
    }
    let name = current.call0()?.getattr(intern!(py, "name"))?;
    Ok((ident, name))
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
