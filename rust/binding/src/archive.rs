//! The archive: Python talks to the store, the core says what is moved, and whereto.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inspect_trace_core::archive::{self, ArchivedLog, Resumed};
use inspect_trace_core::read::parse_duration_s;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::error::{io_to_python, to_python};
use crate::value::path_text;

/// A trace directory whose logs are shipped.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct Archive(Mutex<archive::Archive>);

impl Archive {
    fn lock(&self) -> MutexGuard<'_, archive::Archive> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Archive {
    /// None where another process takes care of the directory.
    #[staticmethod]
    fn open(py: Python<'_>, directory: PathBuf, host: &str, to: &str) -> PyResult<Option<Self>> {
        py.detach(|| archive::Archive::open(&directory, host, to))
            .map(|found| found.map(|archive| Self(Mutex::new(archive))))
            .map_err(|error| to_python(&error))
    }

    fn take(&self) -> PyResult<bool> {
        self.lock().take().map_err(|error| to_python(&error))
    }

    fn release(&self) {
        self.lock().release();
    }

    fn look(&self, py: Python<'_>) -> PyResult<(Vec<ArchiveLog>, usize)> {
        py.detach(|| self.lock().look())
            .map(|(logs, count)| (logs.into_iter().map(ArchiveLog).collect(), count))
            .map_err(|error| to_python(&error))
    }

    fn note(&self, log: &ArchiveLog) {
        self.lock().note(&log.lock());
    }

    fn save(&self, py: Python<'_>) {
        py.detach(|| self.lock().save());
    }

    fn live_logs(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.lock().live_logs()).map_err(|error| to_python(&error))
    }

    fn is_idle(&self, py: Python<'_>, but: Vec<PathBuf>) -> PyResult<bool> {
        py.detach(|| self.lock().is_idle(&but)).map_err(|error| to_python(&error))
    }
}

/// A log on its way into the archive.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ArchiveLog(Arc<Mutex<ArchivedLog>>);

impl ArchiveLog {
    fn lock(&self) -> MutexGuard<'_, ArchivedLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn to_adopt(resumed: Resumed) -> Option<Vec<String>> {
    match resumed {
        Resumed::Adopt(names) => Some(names),
        Resumed::Taken => None,
    }
}

#[pymethods]
impl ArchiveLog {
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        path_text(py, self.lock().path())
    }

    #[getter]
    fn size_bytes(&self) -> u64 {
        self.lock().size_bytes()
    }

    #[getter]
    fn directory(&self) -> String {
        self.lock().directory()
    }

    #[getter]
    fn is_live(&self) -> bool {
        self.lock().is_live()
    }

    #[getter]
    fn is_resumed(&self) -> bool {
        self.lock().is_resumed()
    }

    #[getter]
    fn is_settled(&self) -> bool {
        self.lock().is_settled()
    }

    fn forget(&self) {
        self.lock().forget();
    }

    #[pyo3(signature = (manifest, listed))]
    fn resume(
        &self,
        py: Python<'_>,
        manifest: Option<PyBackedBytes>,
        listed: Vec<(String, u64)>,
    ) -> PyResult<Option<Vec<String>>> {
        py.detach(|| self.lock().resume(manifest.as_deref(), &listed))
            .map(to_adopt)
            .map_err(|error| to_python(&error))
    }

    fn adopt(&self, py: Python<'_>, name: &str, content: PyBackedBytes) -> PyResult<bool> {
        py.detach(|| self.lock().adopt(name, &content))
            .map(|resumed| to_adopt(resumed).is_some())
            .map_err(|error| to_python(&error))
    }

    fn look(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.lock().look()).map_err(|error| to_python(&error))
    }

    fn next_piece(&self, py: Python<'_>) -> PyResult<Option<ArchivePiece>> {
        py.detach(|| {
            let mut log = self.lock();
            let piece = log.next_piece()?;
            Ok(piece.map(|piece| ArchivePiece { labels: log.labels(&piece), piece }))
        })
        .map_err(|error| to_python(&error))
    }

    fn acknowledge(&self, piece: &ArchivePiece) {
        self.lock().acknowledge(&piece.piece);
    }

    #[pyo3(signature = (*, now, interval))]
    fn manifest(&self, now: f64, interval: Option<f64>) -> PyResult<ArchiveManifest> {
        let manifest = self.lock().manifest(now, interval);
        manifest
            .map(ArchiveManifest)
            .ok_or_else(|| PyRuntimeError::new_err("the store has not been asked about this log"))
    }

    fn manifest_written(&self, manifest: &ArchiveManifest) {
        self.lock().manifest_written(&manifest.0);
    }
}

/// A piece of a log, ready to be shipped.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ArchivePiece {
    piece: archive::Piece,
    labels: BTreeMap<&'static str, String>,
}

#[pymethods]
impl ArchivePiece {
    #[getter]
    fn name(&self) -> &str {
        &self.piece.name
    }

    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.piece.bytes)
    }

    #[getter]
    fn size(&self) -> usize {
        self.piece.bytes.len()
    }

    #[getter]
    fn labels(&self) -> BTreeMap<&'static str, String> {
        self.labels.clone()
    }
}

/// What a manifest says.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ArchiveManifest(archive::Manifest);

#[pymethods]
impl ArchiveManifest {
    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_json())
    }
}

/// Whether an archiver is at work in a directory.
#[pyfunction]
pub(crate) fn is_archiving(directory: PathBuf) -> bool {
    archive::is_archiving(&directory)
}

/// Whether a log that its writer has closed is known to be in the archive.
#[pyfunction]
pub(crate) fn is_archived(path: PathBuf) -> bool {
    archive::is_archived(&path)
}

/// Seconds, of a duration as people type it.
#[pyfunction]
pub(crate) fn parse_duration(text: &str) -> PyResult<f64> {
    parse_duration_s(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Starts an archiver, which is nobody's child.
#[pyfunction]
pub(crate) fn spawn_archiver(
    py: Python<'_>,
    directory: PathBuf,
    command: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
) -> PyResult<()> {
    py.detach(|| archive::spawn(&directory, &command, &environment))
        .map_err(|error| io_to_python(&error, inspect_trace_core::error::reason(&error)))
}
