//! Which part of which logs is read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use inspect_trace_core::read::{Filter, Log, TailSearch};
use inspect_trace_core::record::Record;
use pyo3::prelude::*;

use crate::error::to_python;

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
        return Ok(paths.iter().map(|path| Log::whole(path)).collect());
    };
    let wants = Arc::new(wants);
    let mut logs = Vec::with_capacity(paths.len());
    for path in paths {
        let wants = Arc::clone(&wants);
        let failed = |error| to_python(&error);
        let mut search = py.detach(|| TailSearch::open(&path, count, wants)).map_err(failed)?;
        logs.push(loop {
            if let Some(log) = py.detach(|| search.step(WAIT)).map_err(failed)? {
                break log;
            }
            py.check_signals()?;
        });
    }
    Ok(logs)
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
