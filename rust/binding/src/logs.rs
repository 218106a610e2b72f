//! Which part of which logs is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use inspect_trace_core::Error;
use inspect_trace_core::read::{Filter, Log, TailSearch, Wants};
use inspect_trace_core::record::Record;
use pyo3::prelude::*;

use crate::error::to_python;
use crate::remote::remote_log;

/// How long the core may wait before Ctrl-C is looked for.
pub(crate) const WAIT: Duration = Duration::from_millis(50);

/// The logs at some paths; with `tail`, only the last so many records that `wants` wants of each.
pub(crate) fn logs(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    tail: Option<usize>,
    wants: impl Fn(&Record<'_>) -> bool + Send + Sync + 'static,
) -> PyResult<Vec<Log>> {
    let Some(count) = tail else {
        return Ok(py.detach(|| with_parts(&paths)));
    };
    let wants: Wants = Arc::new(wants);
    let several = paths.len() > 1;
    let mut logs = Vec::with_capacity(paths.len());
    for path in paths {
        logs.push(match tail_of(py, &path, count, &wants)? {
            Ok(log) => log,
            // As without `tail`, one of several that cannot be read is told of where it is read.
            Err(Error::Io { .. }) if several => with_parts(&[path]).remove(0),
            Err(error) => return Err(to_python(&error)),
        });
    }
    Ok(logs)
}

/// The whole of the logs at some paths, or of those names.
pub(crate) fn with_parts(paths: &[PathBuf]) -> Vec<Log> {
    let remote: Vec<_> = paths.iter().map(|path| remote_log(path)).collect();
    let here: Vec<_> =
        paths.iter().zip(&remote).filter(|(_, log)| log.is_none()).map(|(path, _)| path).collect();
    let mut here = Log::all_with_parts(&here).into_iter();
    remote.into_iter().filter_map(|log| log.or_else(|| here.next())).collect()
}

/// Notes on several files as one text; `None` where there are none.
pub(crate) fn lines(notes: &[String]) -> Option<String> {
    (!notes.is_empty()).then(|| notes.join("\n"))
}

/// The log at a path from its last `count` records on. Python's own error is Ctrl-C.
fn tail_of(
    py: Python<'_>,
    path: &Path,
    count: usize,
    wants: &Wants,
) -> PyResult<inspect_trace_core::Result<Log>> {
    let open = || {
        let log = remote_log(path).unwrap_or_else(|| Log::with_parts(path));
        TailSearch::of_log(log, count, Arc::clone(wants))
    };
    let mut search = match py.detach(open) {
        Ok(search) => search,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        match py.detach(|| search.step(WAIT)) {
            Ok(Some(log)) => return Ok(Ok(log)),
            Ok(None) => py.check_signals()?,
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// The log at a path; with `tail`, only the last so many records that `filter` wants.
pub(crate) fn log(
    py: Python<'_>,
    path: PathBuf,
    tail: Option<usize>,
    filter: &Filter,
) -> PyResult<Log> {
    let wants = filter.clone();
    let mut logs = logs(py, vec![path], tail, move |record| wants.matches(record))?;
    Ok(logs.remove(0))
}
