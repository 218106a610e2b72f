//! The iterator over the records of a log that is being written.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use inspect_trace_core::Result;
use inspect_trace_core::read;
use inspect_trace_core::record::OwnedRecord;
use pyo3::prelude::*;

use crate::error::to_python;
use crate::filter::Filter;
use crate::logs::log;
use crate::record::TraceRecord;

struct Stream {
    records: read::FollowedRecords,
    /// Records that are there already.
    batch: VecDeque<OwnedRecord>,
}

enum Next {
    Record(OwnedRecord),
    NotYet,
    End,
}

impl Stream {
    /// Waits a moment at most, so that the caller can look for signals.
    fn next(&mut self) -> Result<Next> {
        if let Some(record) = self.batch.pop_front() {
            return Ok(Next::Record(record));
        }
        let batch = &mut self.batch;
        let more = self.records.visit(|record| batch.push_back(record.clone().into_owned()))?;
        Ok(match self.batch.pop_front() {
            Some(record) => Next::Record(record),
            None if more => Next::NotYet,
            None => Next::End,
        })
    }
}

/// The records of a log, and those that are appended to it.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct FollowedRecords(Mutex<Stream>);

impl FollowedRecords {
    fn with<T: Send>(&self, py: Python<'_>, ask: impl FnOnce(&mut Stream) -> T + Send) -> T {
        // Off the interpreter first, then the lock: who holds it may be waiting.
        py.detach(|| ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[pymethods]
impl FollowedRecords {
    fn __iter__(records: Bound<'_, Self>) -> Bound<'_, Self> {
        records
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<TraceRecord>> {
        loop {
            py.check_signals()?;
            match self.with(py, Stream::next).map_err(|error| to_python(&error))? {
                Next::Record(record) => return Ok(Some(TraceRecord(record))),
                Next::NotYet => {}
                Next::End => return Ok(None),
            }
        }
    }

    fn take_notes(&self, py: Python<'_>) -> Vec<String> {
        self.with(py, |stream| stream.records.take_notes())
    }

    #[getter]
    fn skipped(&self, py: Python<'_>) -> Option<String> {
        self.with(py, |stream| stream.records.skipped())
    }
}

/// The records of the log at a path, and those that are appended to it.
#[pyfunction]
#[pyo3(signature = (path, *, filter = None, tail = None))]
pub(crate) fn follow(
    py: Python<'_>,
    path: PathBuf,
    filter: Option<&Bound<'_, Filter>>,
    tail: Option<usize>,
) -> PyResult<FollowedRecords> {
    let filter = Filter::of(filter);
    let log = log(py, path, tail, &filter)?;
    py.detach(|| read::FollowedRecords::open_log(&log, &filter))
        .map(|records| FollowedRecords(Mutex::new(Stream { records, batch: VecDeque::new() })))
        .map_err(|error| to_python(&error))
}
