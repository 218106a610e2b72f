//! What records of one place in the program have in common, kept from one record to the next.

use std::sync::{Arc, Mutex};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::native_record::{Said, process_id};
use crate::raw::{self, Place};

/// The record of an action that begins, or ends, at some place.
pub(crate) struct Site {
    /// Kept alive, so that no other code has its address.
    code: Option<Py<PyAny>>,
    position: i32,
    is_enter: bool,
    /// All attributes, of which those that differ from record to record are to be set.
    pub(crate) template: Py<PyDict>,
    // What is in the template.
    pub(crate) logger_name: Py<PyAny>,
    pub(crate) action: Py<PyAny>,
    pub(crate) event: Py<PyAny>,
    pub(crate) ident: u64,
    pub(crate) process_id: u32,
    pub(crate) thread_name: Py<PyAny>,
    pub(crate) process_name: Py<PyAny>,
}

/// So many places are remembered, one for each value of a hash.
const MAX_SITES: usize = 256;
static SITES: [Mutex<Option<Arc<Site>>>; MAX_SITES] = [const { Mutex::new(None) }; MAX_SITES];

/// Texts longer than this are not kept alive.
const MAX_KEPT_CHARACTERS: usize = 256;

/// What is known of the place that is so many frames away. `general`: the attributes of any record.
#[inline]
pub(crate) fn site_at(
    general: &Bound<'_, PyDict>,
    said: &Said<'_, '_>,
    frames_away: usize,
) -> PyResult<Arc<Site>> {
    let py = general.py();
    let is_enter = said.duration_s.is_none();
    let Some(place) = raw::place(py, frames_away) else {
        return Site::new(general, said, None).map(Arc::new);
    };
    let position = place.position.unwrap_or_else(|| place.line());
    let slot = &SITES[slot_of(&place.code, position, is_enter)];
    // Whoever has the lock is interrupted by nobody, but for a fork.
    if let Ok(known) = slot.try_lock()
        && let Some(site) = &*known
        && site.code.as_ref().is_some_and(|code| code.is(&place.code))
        && site.position == position
        && site.is_enter == is_enter
    {
        return Ok(Arc::clone(site));
    }
    let site = Arc::new(Site::new(general, said, Some((&place, position)))?);
    let before = match slot.try_lock() {
        Ok(mut known) => known.replace(Arc::clone(&site)),
        Err(_) => None,
    };
    drop(before); // with the lock given back
    Ok(site)
}

#[inline]
fn slot_of(code: &Bound<'_, PyAny>, position: i32, is_enter: bool) -> usize {
    let address = code.as_ptr() as usize >> 4;
    (address ^ address >> 8 ^ (position.unsigned_abs() as usize) << 1 ^ usize::from(is_enter))
        % MAX_SITES
}

impl Site {
    #[cold]
    fn new(
        general: &Bound<'_, PyDict>,
        said: &Said<'_, '_>,
        place: Option<(&Place<'_>, i32)>,
    ) -> PyResult<Self> {
        let py = general.py();
        let template = general.copy()?;
        macro_rules! set {
            ($name:literal, $value:expr) => {
                template.set_item(intern!(py, $name), $value)?
            };
        }
        if let Some((place, _)) = place {
            let path = place.code.getattr(intern!(py, "co_filename"))?;
            let (file, module) = names_of_file(&path);
            set!("pathname", path);
            set!("filename", file);
            set!("module", module);
            set!("lineno", place.line());
            set!("funcName", place.code.getattr(intern!(py, "co_name"))?);
        } else {
            // Run by the interpreter itself, as at its end.
            let path = intern!(py, "(unknown file)");
            set!("pathname", path);
            set!("filename", path);
            set!("module", path);
            set!("lineno", 0);
            set!("funcName", intern!(py, "(unknown function)"));
        }
        let action = match said.action.cast_exact::<PyString>() {
            Ok(action) if action.len()? <= MAX_KEPT_CHARACTERS => said.action.clone(),
            _ => py.None().into_bound(py),
        };
        set!("name", said.logger_name);
        set!("action", &action);
        set!("event", said.event);
        let (ident, process_id) = (raw::thread_ident(), process_id());
        set!("thread", ident);
        set!("process", process_id);
        let kept = |name| -> PyResult<Py<PyAny>> {
            let value: Option<Bound<'_, PyAny>> = template.get_item(name)?;
            Ok(value.map_or_else(|| py.None(), Bound::unbind))
        };
        Ok(Self {
            code: place.map(|(place, _)| place.code.clone().unbind()),
            position: place.map_or(0, |(_, position)| position),
            is_enter: said.duration_s.is_none(),
            logger_name: said.logger_name.clone().unbind(),
            action: action.unbind(),
            event: said.event.clone().unbind(),
            ident,
            process_id,
            thread_name: kept(intern!(py, "threadName"))?,
            process_name: kept(intern!(py, "processName"))?,
            template: template.unbind(),
        })
    }
}

/// `os.path.basename` and `os.path.splitext`.
static PATH_FUNCTIONS: PyOnceLock<[Py<PyAny>; 2]> = PyOnceLock::new();

/// Loads what is needed of Python, while modules can still be imported.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    let paths = py.import("os")?.getattr("path")?;
    let functions = [paths.getattr("basename")?.unbind(), paths.getattr("splitext")?.unbind()];
    let _ = PATH_FUNCTIONS.set(py, functions);
    Ok(())
}

/// The names that `logging` derives from the path of a file: that of the file, and of its module.
fn names_of_file<'py>(path: &Bound<'py, PyAny>) -> (Bound<'py, PyAny>, Bound<'py, PyAny>) {
    let py = path.py();
    let names = || {
        let [basename, splitext] = PATH_FUNCTIONS.get(py)?;
        let file = basename.bind(py).call1((path,)).ok()?;
        let module = splitext.bind(py).call1((&file,)).ok()?.get_item(0).ok()?;
        Some((file, module))
    };
    // What `logging` says where it cannot tell.
    names().unwrap_or_else(|| (path.clone(), intern!(py, "Unknown module").clone().into_any()))
}
