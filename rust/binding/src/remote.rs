//! Logs in object stores: Python asks the store, the core says for what, and when.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use inspect_trace_core::archive::{MANIFEST_NAME, Manifest, Origin};
use inspect_trace_core::read::Log;
use inspect_trace_core::remote::{Fetch, FetchOptions, ObjectInfo, Objects, log_of, logs_of};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

/// The logs of objects by their names, as long as somebody keeps their [`RemoteLogs`].
static BY_NAME: Mutex<Option<HashMap<PathBuf, Log>>> = Mutex::new(None);

fn by_name() -> MutexGuard<'static, Option<HashMap<PathBuf, Log>>> {
    BY_NAME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The log of that name, if that stands for an object.
pub(crate) fn remote_log(name: &Path) -> Option<Log> {
    by_name().as_ref()?.get(name).cloned()
}

/// Logs in object stores, which can be read by their names as long as this is kept.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct RemoteLogs {
    objects: Objects,
    logs: Vec<Log>,
    complaints: Vec<String>,
}

#[pymethods]
impl RemoteLogs {
    #[new]
    #[pyo3(signature = (
        objects, read, *, connections, grouped = false, logs = None, manifests = Vec::new()
    ))]
    fn new(
        objects: Vec<(String, u64, Option<f64>)>,
        read: Py<PyAny>,
        connections: usize,
        grouped: bool,
        logs: Option<Vec<(PathBuf, Vec<usize>)>>,
        manifests: Vec<(PathBuf, PyBackedBytes)>,
    ) -> Self {
        let info = |(name, size_bytes, modified_s)| ObjectInfo { name, size_bytes, modified_s };
        let infos = objects.into_iter().map(info).collect();
        let max_chunks = connections + connections / 2;
        let options = FetchOptions { connections, max_chunks, ..FetchOptions::default() };
        let objects = Objects::new(infos, Read(read), options);
        let all: Vec<_> = objects.iter().collect();
        let log_named = |(name, numbers): (PathBuf, Vec<usize>)| {
            let files: Vec<_> =
                numbers.iter().filter_map(|&number| all.get(number).cloned()).collect();
            log_of(&name, &files)
        };
        let logs: Vec<_> = if let Some(logs) = logs {
            logs.into_iter().map(log_named).collect()
        } else if grouped {
            logs_of(objects.iter())
        } else {
            objects.iter().map(|object| Log::object(&object)).collect()
        };
        let (logs, complaints) = with_origins(logs, &manifests);
        let mut names = by_name();
        let names = names.get_or_insert_default();
        names.extend(logs.iter().map(|log| (log.path.clone(), log.clone())));
        Self { objects, logs, complaints }
    }

    /// The names of the logs, in the order of the objects.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.logs.iter().map(|log| log.path.to_string_lossy().into_owned()).collect()
    }

    /// Of each log, the numbers of the objects that it is stored in.
    #[getter]
    fn parts(&self) -> Vec<Vec<usize>> {
        let numbers =
            |log: &Log| log.files.iter().filter_map(|file| Some(file.object()?.number())).collect();
        self.logs.iter().map(numbers).collect()
    }

    /// What is wrong with manifests: their logs are read without them.
    #[getter]
    fn complaints(&self) -> Vec<String> {
        self.complaints.clone()
    }

    /// How many requests were made, and how many bytes came.
    #[getter]
    fn traffic(&self) -> (u64, u64) {
        self.objects.traffic()
    }
}

/// Logs with what the manifests in their directories tell of them, and what is wrong with others.
fn with_origins(logs: Vec<Log>, manifests: &[(PathBuf, PyBackedBytes)]) -> (Vec<Log>, Vec<String>) {
    let mut origins = HashMap::new();
    let mut complaints = Vec::new();
    for (directory, text) in manifests {
        match Manifest::parse(text) {
            Ok(manifest) => drop(origins.insert(directory.as_path(), Origin::of(&manifest))),
            Err(reason) => {
                let name = directory.join(MANIFEST_NAME);
                complaints.push(format!("cannot use {}: {reason}", name.display()));
            }
        }
    }
    let of_log = |log: Log| match log.path.parent().and_then(|directory| origins.get(directory)) {
        Some(origin) => log.from(origin.clone()),
        None => log,
    };
    (logs.into_iter().map(of_log).collect(), complaints)
}

impl Drop for RemoteLogs {
    fn drop(&mut self) {
        self.objects.close();
        if let Some(names) = &mut *by_name() {
            for log in &self.logs {
                // Another may be known by that name by now.
                if names.get(&log.path) == Some(log) {
                    names.remove(&log.path);
                }
            }
        }
    }
}

/// A function that is given an object's number, and where to begin and end, and gives the bytes in pieces.
struct Read(Py<PyAny>);

impl Fetch for Read {
    fn fetch(&self, object: usize, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
        let mut read = |py: Python<'_>| {
            let pieces = self.0.bind(py).call1((object, range.start, range.end))?;
            for piece in pieces.try_iter()? {
                let piece = PyBuffer::<u8>::get(&piece?)?;
                let start = into.len();
                into.resize(start + piece.item_count(), 0);
                piece.copy_to_slice(py, &mut into[start..])?;
            }
            Ok(())
        };
        // None at the end of the interpreter.
        match Python::try_attach(|py| read(py).map_err(|error| to_io(py, &error))) {
            Some(outcome) => outcome,
            None => Err(io::Error::other("the interpreter has ended")),
        }
    }
}

/// An error of Python's with its message; of an `OSError` without the number.
fn to_io(py: Python<'_>, error: &PyErr) -> io::Error {
    let value = error.value(py);
    let text = if error.is_instance_of::<PyOSError>(py) {
        value.getattr("strerror").ok().and_then(|text| text.extract::<String>().ok())
    } else {
        None
    };
    io::Error::other(text.unwrap_or_else(|| value.to_string()))
}
