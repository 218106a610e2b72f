//! What is in an archive: Python lists and reads, the core knows what it means.

use std::sync::{Mutex, MutexGuard, PoisonError};

use inspect_trace_core::archive::{self, Choice, Limits, Stored};
use inspect_trace_core::read::{parse_size_bytes, parse_when};
use inspect_trace_core::render::{
    ArchiveListFormat, ArchiveListOptions, ArchivePruneOptions, TableStyle, archive_check_report,
    archive_list_report, archive_prune_report,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::report::{Report, open};

/// A path or name, a size, and when it was put there.
type Listed = (String, u64, Option<f64>);

fn stored(listed: Vec<Listed>) -> Vec<Stored> {
    let stored = |(name, size_bytes, modified_s)| Stored { name, size_bytes, modified_s };
    listed.into_iter().map(stored).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is in an archive.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ArchiveCatalog(Mutex<archive::Catalog>);

#[pymethods]
impl ArchiveCatalog {
    #[new]
    fn new(url: &str) -> Self {
        Self(Mutex::new(archive::Catalog::new(url)))
    }

    fn add(&self, listed: Vec<Listed>) {
        let mut catalog = locked(&self.0);
        for (path, size_bytes, modified_s) in listed {
            catalog.add(&path, size_bytes, modified_s);
        }
    }

    fn to_read(&self) -> Vec<String> {
        locked(&self.0).to_read()
    }

    #[pyo3(signature = (directory, manifest))]
    fn read(&self, py: Python<'_>, directory: &str, manifest: Option<PyBackedBytes>) {
        py.detach(|| locked(&self.0).read(directory, manifest.as_deref()));
    }

    fn unread(&self, directory: &str, reason: &str) {
        locked(&self.0).unread(directory, reason);
    }

    #[allow(clippy::fn_params_excessive_bools, clippy::too_many_arguments)] // Each is an option's name.
    #[pyo3(signature = (*, since, until, hosts, tasks, open, failed, format, as_of, width, color))]
    fn report(
        &self,
        py: Python<'_>,
        since: Option<f64>,
        until: Option<f64>,
        hosts: Vec<String>,
        tasks: Vec<String>,
        open: bool,
        failed: bool,
        format: &str,
        as_of: f64,
        width: Option<usize>,
        color: bool,
    ) -> PyResult<Report> {
        let format = match format {
            "table" => ArchiveListFormat::Table,
            "json" => ArchiveListFormat::Json,
            "jsonl" => ArchiveListFormat::JsonLines,
            _ => return Err(PyValueError::new_err(format!("there is no format {format:?}"))),
        };
        let choice = Choice { since_s: since, until_s: until, hosts, tasks, open, failed };
        let style = TableStyle { width, color };
        let options = ArchiveListOptions { choice, format, as_of_s: as_of, style };
        self::open(py, || Ok(archive_list_report(&locked(&self.0), &options)))
    }
}

/// An archive that is looked at for what is wrong with it.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ArchiveCheck {
    check: Mutex<archive::Check>,
    as_of_s: f64,
}

#[pymethods]
impl ArchiveCheck {
    #[new]
    #[pyo3(signature = (catalog, *, as_of))]
    fn new(py: Python<'_>, catalog: &ArchiveCatalog, as_of: f64) -> Self {
        let catalog = py.detach(|| locked(&catalog.0).clone());
        Self { check: Mutex::new(archive::Check::new(catalog, as_of)), as_of_s: as_of }
    }

    fn in_doubt(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| locked(&self.check).in_doubt())
    }

    #[pyo3(signature = (directory, manifest, listed))]
    fn look_again(&self, directory: &str, manifest: Option<PyBackedBytes>, listed: Vec<Listed>) {
        let mut check = locked(&self.check);
        check.catalog_mut().look_again(directory, manifest.as_deref(), stored(listed));
    }

    fn to_read(&self, py: Python<'_>) -> Vec<(String, String)> {
        py.detach(|| locked(&self.check).to_read())
    }

    fn read(&self, directory: &str, name: &str, sha256: String) {
        locked(&self.check).tell(directory, name, Ok(sha256));
    }

    fn unread(&self, directory: &str, name: &str, reason: String) {
        locked(&self.check).tell(directory, name, Err(reason));
    }

    #[pyo3(signature = (*, checksums, json))]
    fn report(&self, py: Python<'_>, checksums: bool, json: bool) -> PyResult<Report> {
        open(py, || Ok(archive_check_report(&locked(&self.check), checksums, json, self.as_of_s)))
    }
}

/// An archive that is being pruned.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct ArchivePruning(Mutex<archive::Pruning>);

#[pymethods]
impl ArchivePruning {
    #[new]
    #[pyo3(signature = (catalog, *, older_than, max_bytes, as_of))]
    fn new(
        py: Python<'_>,
        catalog: &ArchiveCatalog,
        older_than: Option<f64>,
        max_bytes: Option<u64>,
        as_of: f64,
    ) -> Self {
        let limits = Limits { older_than_s: older_than, max_bytes };
        let catalog = &catalog.0;
        let pruning = py.detach(|| archive::Pruning::new(&locked(catalog), limits, as_of));
        Self(Mutex::new(pruning))
    }

    #[getter]
    fn directories(&self) -> Vec<String> {
        let pruning = locked(&self.0);
        pruning.plan().removals.iter().map(|removal| removal.directory.clone()).collect()
    }

    #[pyo3(signature = (number, manifest, listed))]
    fn confirm(
        &self,
        number: usize,
        manifest: Option<PyBackedBytes>,
        listed: Vec<Listed>,
    ) -> Option<Vec<String>> {
        locked(&self.0).confirm(number, manifest.as_deref(), stored(listed))
    }

    fn removed(&self, number: usize) {
        locked(&self.0).removed(number);
    }

    fn failed(&self, number: usize, reason: &str) {
        locked(&self.0).failed(number, reason);
    }

    #[pyo3(signature = (*, dry_run, json, width, color))]
    fn report(
        &self,
        py: Python<'_>,
        dry_run: bool,
        json: bool,
        width: Option<usize>,
        color: bool,
    ) -> PyResult<Report> {
        let style = TableStyle { width, color };
        let options = ArchivePruneOptions { dry_run, json, style };
        open(py, || Ok(archive_prune_report(&locked(&self.0), options)))
    }
}

/// Bytes, of a size as people type it.
#[pyfunction]
pub(crate) fn parse_size(text: &str) -> PyResult<u64> {
    parse_size_bytes(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Seconds since the epoch, of a moment as people type it.
#[pyfunction]
#[pyo3(signature = (text, *, now))]
pub(crate) fn parse_moment(text: &str, now: f64) -> PyResult<f64> {
    parse_when(text, now).map_err(|error| PyValueError::new_err(error.to_string()))
}
