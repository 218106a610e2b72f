//! `Filter`, the choice of records that everything which reads takes.

use inspect_trace_core::clock;
use inspect_trace_core::read::{
    self, FilterOptions, WrongValue, parse_duration_s, parse_event, parse_when,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// A choice of records, or of actions.
#[pyclass(frozen, module = "inspect_trace._core")]
pub(crate) struct Filter {
    filter: read::Filter,
    /// What it was made of, with moments as numbers: for a copy elsewhere.
    options: FilterOptions,
}

impl Filter {
    /// The core's filter; that of everything where none is given.
    pub(crate) fn of(filter: Option<&Bound<'_, Self>>) -> read::Filter {
        filter.map(|filter| filter.get().filter.clone()).unwrap_or_default()
    }
}

/// A number of seconds, or what `parse` makes of a text.
pub(crate) fn seconds(
    value: Option<Bound<'_, PyAny>>,
    parse: impl Fn(&str) -> Result<f64, WrongValue>,
) -> PyResult<Option<f64>> {
    let Some(value) = value else { return Ok(None) };
    match value.cast::<PyString>() {
        Ok(text) => parse(text.to_str()?).map(Some).map_err(|wrong| to_python(&wrong)),
        Err(_) => value.extract().map(Some),
    }
}

fn to_python(wrong: &WrongValue) -> PyErr {
    PyValueError::new_err(wrong.to_string())
}

#[pymethods]
impl Filter {
    #[new]
    #[pyo3(signature = (
        message = None, *, level = None, actions = None, events = None, since = None, until = None,
        min_duration = None, samples = None, tasks = None
    ))]
    #[allow(clippy::too_many_arguments)] // the Python signature
    fn new(
        message: Option<String>,
        level: Option<String>,
        actions: Option<Vec<String>>,
        events: Option<Vec<String>>,
        since: Option<Bound<'_, PyAny>>,
        until: Option<Bound<'_, PyAny>>,
        min_duration: Option<Bound<'_, PyAny>>,
        samples: Option<Vec<String>>,
        tasks: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let now_s = clock::now_s();
        let moment = |text: &str| parse_when(text, now_s);
        let events = events.unwrap_or_default();
        let events: Result<_, _> = events.iter().map(|event| parse_event(event)).collect();
        let options = FilterOptions {
            message,
            level,
            actions: actions.unwrap_or_default(),
            events: events.map_err(|wrong| to_python(&wrong))?,
            since_s: seconds(since, moment)?,
            until_s: seconds(until, moment)?,
            min_duration_s: seconds(min_duration, parse_duration_s)?,
            samples: samples.unwrap_or_default(),
            tasks: tasks.unwrap_or_default(),
            ..FilterOptions::default()
        };
        let filter = read::Filter::of(options.clone()).map_err(|wrong| to_python(&wrong))?;
        Ok(Self { filter, options })
    }

    /// What `copy` and `pickle` make the same filter of, whatever the time then.
    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<((Option<&str>,), Bound<'py, PyDict>)> {
        let options = &self.options;
        let events: Vec<_> = options.events.iter().map(|event| event.as_str()).collect();
        let named = PyDict::new(py);
        named.set_item("level", options.level.as_deref())?;
        named.set_item("actions", &options.actions)?;
        named.set_item("events", events)?;
        named.set_item("since", options.since_s)?;
        named.set_item("until", options.until_s)?;
        named.set_item("min_duration", options.min_duration_s)?;
        named.set_item("samples", &options.samples)?;
        named.set_item("tasks", &options.tasks)?;
        Ok(((options.message.as_deref(),), named))
    }
}
