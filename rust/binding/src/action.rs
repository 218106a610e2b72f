//! `trace_action` and `trace_message`.

use inspect_trace_core::clock;
use inspect_trace_core::id::TraceId;
use inspect_trace_core::write::action::encode_message;
use inspect_trace_core::write::encode::with_line_buffer;
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::context;
use crate::guarded::Guarded;
use crate::handle::write_failed;
use crate::helpers::Helpers;
use crate::logging::Env;
use crate::percent;
use crate::route::{Route, Way};
use crate::span::ActionSpan;
use crate::writer::append_line;

/// How many arguments come before those of the format.
const FIRST: usize = 3;
const NAMES: [&str; FIRST] = ["logger", "action", "message"];

/// Traces an action: one record when it begins, one when it ends, with how and after how long.
///
/// As a context manager, or as a decorator of a function, a coroutine function, a generator function
/// or an async generator function, which traces each call.
#[pyclass(frozen, subclass, name = "trace_action", module = "inspect_trace.action")]
pub(crate) struct TraceAction {
    /// Nothing is held while Python code can run: values are copied out, or taken out.
    call: Guarded<Option<Call>>,
    entered: Guarded<Entered>,
}

/// What it was called with.
struct Call {
    /// Logger, action, message, and the arguments of the format.
    arguments: Py<PyTuple>,
    named: Option<Py<PyDict>>,
}

/// The `with` blocks that are open: the innermost one, mostly the only one, and those around it.
#[derive(Default)]
struct Entered {
    innermost: Block,
    around: Vec<Block>,
}

/// A `with` block.
#[derive(Default)]
enum Block {
    #[default]
    None,
    /// One in which nothing is traced.
    Untraced,
    /// With what takes back that the action is the current one.
    Traced(Py<ActionSpan>, Py<PyAny>),
}

#[pymethods]
impl TraceAction {
    #[new]
    #[pyo3(signature = (*_arguments, **_named))]
    fn new(_arguments: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> Self {
        Self { call: Guarded::new(None), entered: Guarded::default() }
    }

    #[pyo3(signature = (*arguments, **named))]
    fn __init__(
        &self,
        py: Python<'_>,
        arguments: &Bound<'_, PyTuple>,
        named: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let call = Call::new(arguments, named)?;
        let before = self.call.hold(py).replace(call);
        drop(before);
        Ok(())
    }

    /// Writes the enter record.
    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        let block = match self.start(py)? {
            Some(span) => {
                let token = ActionSpan::enter_at(&span, 0)?;
                Block::Traced(span.unbind(), token.unbind())
            }
            None => Block::Untraced,
        };
        self.entered.hold(py).push(block);
        Ok(())
    }

    /// Writes the closing record.
    #[pyo3(signature = (error_type, error, trace, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        error_type: &Bound<'_, PyAny>,
        error: Option<&Bound<'_, PyAny>>,
        trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (error_type, trace);
        let block = self.entered.hold(py).pop();
        match block {
            Block::Traced(span, token) => {
                ActionSpan::finish_at(span.bind(py), Some(token.bind(py)), error, 0)
            }
            Block::Untraced | Block::None => Ok(()),
        }
    }

    /// Decorates a function, so that each call of it is traced.
    #[pyo3(signature = (function, /))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Helpers::get(slf.py())?.decorated.bind(slf.py()).call1((slf, function))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(call) = self.call.hold_for_collector()
            && let Some(call) = &*call
        {
            visit.call(&call.arguments)?;
            visit.call(&call.named)?;
        }
        if let Some(entered) = self.entered.hold_for_collector() {
            for block in std::iter::once(&entered.innermost).chain(&entered.around) {
                if let Block::Traced(span, token) = block {
                    visit.call(span)?;
                    visit.call(token)?;
                }
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let call = self.call.hold_for_collector().and_then(|mut call| call.take());
        let entered =
            self.entered.hold_for_collector().map(|mut entered| std::mem::take(&mut *entered));
        drop((call, entered));
    }
}

impl TraceAction {
    /// The ids of the actions whose blocks are open.
    pub(crate) fn open_ids(slf: &Bound<'_, Self>) -> Vec<TraceId> {
        let entered = slf.get().entered.hold(slf.py());
        let blocks = std::iter::once(&entered.innermost).chain(&entered.around);
        blocks
            .filter_map(|block| match block {
                Block::Traced(span, _) => Some(span.get().trace_id),
                Block::None | Block::Untraced => None,
            })
            .collect()
    }

    fn start<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, ActionSpan>>> {
        let (arguments, named) = match &*self.call.hold(py) {
            Some(call) => {
                let named = call.named.as_ref().map(|named| named.clone_ref(py));
                (call.arguments.bind(py).clone(), named)
            }
            None => return Err(PyTypeError::new_err("trace_action.__init__() was not called")),
        };
        let logger = arguments.get_borrowed_item(0)?;
        if !is_enabled(&logger)? {
            return Ok(None);
        }
        let (action, message) = (arguments.get_borrowed_item(1)?, arguments.get_borrowed_item(2)?);
        match ActionSpan::begin(py, &logger, &action, &message, &arguments, FIRST, named.as_ref()) {
            Err(error) if error.is_instance_of::<PyException>(py) => {
                Helpers::get(py)?.warn(py, "tracing an action", error)?;
                Ok(None)
            }
            span => span.map(Some),
        }
    }
}

/// A call of a decorated function, about to begin; None where nothing is traced.
#[pyfunction]
#[pyo3(signature = (action, /))]
pub(crate) fn start_action<'py>(
    action: &Bound<'py, TraceAction>,
) -> PyResult<Option<Bound<'py, ActionSpan>>> {
    action.get().start(action.py())
}

impl Call {
    fn new(arguments: &Bound<'_, PyTuple>, named: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        if named.is_none() && arguments.len() >= FIRST {
            return Ok(Self { arguments: arguments.clone().unbind(), named: None });
        }
        let (arguments, named) = take_names(arguments, named, NAMES, "trace_action.__init__")?;
        Ok(Self { arguments: arguments.unbind(), named: named.map(Bound::unbind) })
    }
}

/// The arguments with those of the first ones that were given by name in their places, and the other
/// named ones.
fn take_names<'py>(
    arguments: &Bound<'py, PyTuple>,
    named: Option<&Bound<'py, PyDict>>,
    first: [&str; FIRST],
    function: &str,
) -> PyResult<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
    let py = arguments.py();
    let rest = match named {
        Some(named) => named.copy()?,
        None => PyDict::new(py),
    };
    let mut places: Vec<Bound<'py, PyAny>> = arguments.iter().collect();
    for (index, name) in first.into_iter().enumerate() {
        let by_name = rest.get_item(name)?;
        if by_name.is_some() {
            rest.del_item(name)?;
        }
        match (by_name, index < places.len()) {
            (Some(_), true) => {
                return Err(PyTypeError::new_err(format!(
                    "{function}() got multiple values for argument '{name}'"
                )));
            }
            (Some(value), false) => places.push(value),
            (None, true) => {}
            (None, false) => {
                return Err(PyTypeError::new_err(format!(
                    "{function}() missing required argument: '{name}'"
                )));
            }
        }
    }
    let rest = (!rest.is_empty()).then_some(rest);
    Ok((PyTuple::new(py, places)?, rest))
}

impl Entered {
    fn push(&mut self, block: Block) {
        match std::mem::replace(&mut self.innermost, block) {
            Block::None => {}
            around => self.around.push(around),
        }
    }

    fn pop(&mut self) -> Block {
        std::mem::replace(&mut self.innermost, self.around.pop().unwrap_or_default())
    }
}

/// Whether the logger takes records at level TRACE.
fn is_enabled(logger: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = logger.py();
    match Env::get(py)?.is_enabled(logger) {
        Some(is_enabled) => Ok(is_enabled),
        None => logger.call_method1(intern!(py, "isEnabledFor"), (13,))?.is_truthy(),
    }
}

/// Logs `[<category>] <message>` at level TRACE.
#[pyfunction]
#[pyo3(
    signature = (*arguments, **named),
    text_signature = "(logger, category, message, *args, **kwargs)"
)]
pub(crate) fn trace_message(
    arguments: &Bound<'_, PyTuple>,
    named: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let py = arguments.py();
    let (arguments, named) = if named.is_none() && arguments.len() >= FIRST {
        (arguments.clone(), None)
    } else {
        take_names(arguments, named, ["logger", "category", "message"], "trace_message")?
    };
    let logger = arguments.get_item(0)?;
    if !is_enabled(&logger)? {
        return Ok(());
    }
    let written = if named.is_none() { write_message(&logger, &arguments) } else { Ok(false) };
    match written {
        Ok(true) => Ok(()),
        Ok(false) => {
            let [category, message] = [1, 2].map(|index| arguments.get_item(index));
            let format = arguments.get_slice(FIRST, arguments.len());
            let named = named.unwrap_or_else(|| PyDict::new(py));
            let call = (logger, category?, message?, format, named);
            Helpers::get(py)?.log_message.bind(py).call1(call).map(drop)
        }
        Err(error) if error.is_instance_of::<PyException>(py) => {
            Helpers::get(py)?.warn(py, "tracing a message", error)
        }
        Err(error) => Err(error),
    }
}

/// Writes a message straight to the logs. False: it has to go through `logging`.
fn write_message(logger: &Bound<'_, PyAny>, arguments: &Bound<'_, PyTuple>) -> PyResult<bool> {
    let py = logger.py();
    let way = match Env::get(py)?.route(logger) {
        Route::Straight(way) if !way.has_filters => way,
        Route::Off => return Ok(true),
        Route::Straight(_) | Route::Logging => return Ok(false),
    };
    let (category, format) = (arguments.get_item(1)?, arguments.get_item(2)?);
    let (Ok(category), Ok(format)) =
        (category.cast_exact::<PyString>(), format.cast_exact::<PyString>())
    else {
        return Ok(false);
    };
    let (Ok(category), Ok(format)) = (category.to_str(), format.to_str()) else {
        return Ok(false);
    };
    if arguments.len() == FIRST {
        return append_message(py, &way, category, format);
    }
    match percent::merged(format, arguments, FIRST) {
        Some(message) => {
            let written = append_message(py, &way, category, &message);
            percent::give_back(py, message);
            written
        }
        None => Ok(false),
    }
}

fn append_message(py: Python<'_>, way: &Way<'_>, category: &str, message: &str) -> PyResult<bool> {
    with_line_buffer(|line| {
        encode_message(clock::now_s(), category.as_bytes(), message.as_bytes(), line);
        context::add_to(py, line, None)?;
        line.push(b'\n');
        for sink in way.sinks() {
            if let Err(error) = append_line(py, sink.writer.get().core(), line) {
                write_failed(&sink.handler, error, None)?;
            }
        }
        Ok(true)
    })
}
