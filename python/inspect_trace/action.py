"""`trace_action` and `trace_message`: what a program calls to be traced.

Tracing is a guest in the program: nothing here raises into it, and an exception that passes through
an action passes unchanged.

Both are compiled (`_core`), and write straight to the log where `logging` would hand the record to
nobody but `TraceHandler`s. Here is what they need of Python: the wrappers of decorated functions,
the way through `logging`, and what an exception says of itself.
"""

from __future__ import annotations

import builtins
import functools
import logging
import sys
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from . import _core
from ._core import ActionSpan, start_action, trace_action, trace_message
from ._report import text_of, warn_of_exception
from .levels import TRACE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

    _AnyLogger: TypeAlias = logging.Logger | logging.LoggerAdapter[Any]
    _ActionOfCall: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], trace_action]

__all__ = ["trace_action", "trace_message"]

_Outcome: TypeAlias = Literal["exit", "cancel", "timeout", "error"]

# Exceptions are looked up in modules that are loaded anyway, as an exception's own module always
# is: tracing must not be the reason to import asyncio.
_CANCELLATIONS: Final = (
    ("asyncio.exceptions", "CancelledError"),
    ("concurrent.futures._base", "CancelledError"),
    ("trio", "Cancelled"),
)
_TIMEOUTS: Final = (
    ("subprocess", "TimeoutExpired"),
    ("multiprocessing.context", "TimeoutError"),
    ("trio", "TooSlowError"),
    # On 3.10 these two are not yet the built-in TimeoutError.
    ("asyncio.exceptions", "TimeoutError"),
    ("concurrent.futures._base", "TimeoutError"),
    ("httpx._exceptions", "TimeoutException"),
    ("httpx2._exceptions", "TimeoutException"),
    ("requests.exceptions", "Timeout"),
    ("urllib3.exceptions", "TimeoutError"),
    ("openai._exceptions", "APITimeoutError"),
    ("anthropic._exceptions", "APITimeoutError"),
)
_LOG_KEYWORDS: Final = ("exc_info", "extra", "stack_info")

_MISSING: Final = object()

_current: ContextVar[ActionSpan | None] = ContextVar("inspect_trace_action", default=None)


def _decorated(
    action: trace_action | None, function: Any, of_call: _ActionOfCall | None = None
) -> Any:
    """A function of the same kind, each call of which is traced: as the action, or one of its own.

    Args:
        action: What all calls are traced as.
        function: The function.
        of_call: What a call is traced as, if that depends on its arguments.
    """
    import inspect  # slow to load, and needed only for decorating

    wrap: Callable[[Any, Callable[..., Any], _ActionOfCall | None], Callable[..., Any]]
    if isinstance(function, (staticmethod, classmethod)):
        inner = function.__func__
        return type(function)(_decorated(None, inner, of_call) if action is None else action(inner))
    kinds: tuple[Any, ...] = (function, getattr(type(function), "__call__", None))  # noqa: B004
    if any(inspect.isasyncgenfunction(kind) for kind in kinds):
        wrap = _wrap_async_generator
    elif any(inspect.iscoroutinefunction(kind) or _is_awaitable(kind) for kind in kinds):
        wrap = _wrap_coroutine
    elif any(inspect.isgeneratorfunction(kind) for kind in kinds):
        wrap = _wrap_generator
    else:
        wrap = _wrap_function
    return functools.wraps(function)(wrap(action, function, of_call))


def _wrap_function(
    action: Any, function: Callable[..., Any], of_call: _ActionOfCall | None
) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        span = start_action(action if of_call is None else of_call(args, kwargs))
        if span is None:
            return function(*args, **kwargs)
        span.enter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            span.finish(error)
            raise
        span.finish(None)
        return result

    return traced


def _wrap_coroutine(
    action: Any, function: Callable[..., Any], of_call: _ActionOfCall | None
) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        span = start_action(action if of_call is None else of_call(args, kwargs))
        if span is None:
            return await function(*args, **kwargs)
        span.enter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            span.finish(error)
            raise
        span.finish(None)
        return result

    return traced


def _wrap_generator(
    action: Any, function: Callable[..., Any], of_call: _ActionOfCall | None
) -> Callable[..., Generator[Any, Any, Any]]:
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = start_action(action if of_call is None else of_call(args, kwargs))
        if span is None:
            return (yield from function(*args, **kwargs))
        outside = _current.get()
        span.enter()
        inside = _current.get()
        _current.set(outside)
        try:
            generator = function(*args, **kwargs)
            step, argument = generator.send, None
            while True:
                outside = _current.get()
                _current.set(inside)
                try:
                    value = step(argument)
                except StopIteration as stop:
                    result = stop.value
                    break
                finally:
                    inside = _current.get()
                    _current.set(outside)
                    argument = None  # an exception kept here would be a reference cycle
                try:
                    step, argument = generator.send, (yield value)
                except BaseException as error:  # also the GeneratorExit of `close`
                    step, argument = generator.throw, error
        except BaseException as error:
            span.finish(error)
            raise
        span.finish(None)
        return result

    return traced


def _wrap_async_generator(
    action: Any, function: Callable[..., Any], of_call: _ActionOfCall | None
) -> Callable[..., AsyncGenerator[Any, Any]]:
    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span = start_action(action if of_call is None else of_call(args, kwargs))
        outside = _current.get()
        if span is not None:
            span.enter()
        inside = _current.get()
        _current.set(outside)
        try:
            generator = function(*args, **kwargs)
            step = _first_step(generator)
            while True:
                outside = _current.get()
                _current.set(inside)
                try:
                    value = await step
                except StopAsyncIteration:
                    break
                finally:
                    inside = _current.get()
                    _current.set(outside)
                try:
                    argument = yield value
                except BaseException as error:  # also the GeneratorExit of `aclose`
                    step = generator.athrow(error)
                else:
                    step = generator.asend(argument)
        except BaseException as error:
            if span is not None:
                span.finish(error)
            raise
        if span is not None:
            span.finish(None)

    return traced


def _log_message(
    logger: _AnyLogger,
    category: object,
    message: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """Has `logging` log a message; whatever handlers and filters raise stays here."""
    try:
        options = {key: kwargs.pop(key) for key in _LOG_KEYWORDS if key in kwargs}
        stack_level = kwargs.pop("stacklevel", 1)
        if kwargs and not args:
            args = (kwargs,)
        prefix = f"[{category}]"
        if args:
            prefix = prefix.replace("%", "%%")  # only the message is a format
        logger.log(TRACE, f"{prefix} {message}", *args, stacklevel=stack_level + 1, **options)
    except Exception as error:
        warn_of_exception("tracing a message", error)


def _emit(
    logger: _AnyLogger,
    action: str,
    detail: str,
    event: str,
    extra: dict[str, object],
    frames_away: int,
) -> None:
    """Has `logging` log a record of an action; whatever handlers and filters raise stays here.

    It does what `Logger.log` does, but for two things: finding the program's line is a step up the
    stack instead of a search, and a field of an action also replaces one of the same name that the
    program's record factory sets (some set a `trace_id`), where `Logger.log` would raise.
    """
    try:
        message = f"{action}: {detail} ({event})"
        adapters = []
        while isinstance(logger, logging.LoggerAdapter):
            adapters.append(logger)
            logger = logger.logger
        if not logger.isEnabledFor(TRACE):
            return
        file, line, function = _place(frames_away + 1)
        record = logger.makeRecord(logger.name, TRACE, file, line, message, (), None, function)
        record.__dict__.update(extra)
        for adapter in adapters:
            for key, value in (adapter.extra or {}).items():
                record.__dict__.setdefault(key, value)
        logger.handle(record)
    except Exception as error:
        warn_of_exception("tracing an action", error)


def _place(frames_away: int) -> tuple[str, int, str]:
    """File, line and function of the code that many frames above the caller."""
    try:
        frame = sys._getframe(frames_away + 1)  # noqa: SLF001 (as logging itself does)
    except ValueError:  # run by the interpreter itself, as at its end
        return "(unknown file)", 0, "(unknown function)"
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name


def _merged(
    message: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, str | None]:
    """The message with its arguments, and what went wrong with merging them, if anything."""
    try:
        merged = message
        if args:
            merged = message % args  # type: ignore[operator]
        elif kwargs:
            merged = message % kwargs  # type: ignore[operator]
        return merged if isinstance(merged, str) else str(merged), None
    except Exception as error:
        return text_of(message), f"{type(error).__name__}: {text_of(error)}"


class Redacted(BaseException):
    """Stands for an exception of which nothing is told that looks like a secret."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _outcome_of(error: BaseException) -> tuple[_Outcome, dict[str, str] | None]:
    """How an action ended that an exception left, and what an error says of itself."""
    if isinstance(error, Redacted):
        outcome, told = _outcome_of(error.error)
        return outcome, told and {key: _core.redact(text) for key, text in told.items()}
    outcome = _outcome(error)
    if outcome != "error":
        return outcome, None
    return outcome, {
        "error": _error_text(error),
        "error_type": type(error).__name__,
        "stacktrace": _stacktrace(error),
    }


def _outcome(error: BaseException) -> _Outcome:
    """How an action ended that an exception left."""
    group_type = _exception_group_type()
    seen: set[_Outcome] = set()
    pending = [error]
    while pending:
        leaf = pending.pop()
        if group_type is not None and isinstance(leaf, group_type):
            pending.extend(leaf.exceptions)
            continue
        outcome = _leaf_outcome(leaf)
        if outcome == "error":
            return "error"
        seen.add(outcome)
    return "timeout" if "timeout" in seen else "cancel"


def _leaf_outcome(error: BaseException) -> _Outcome:
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        return "cancel"
    if _is_one_of(error, _CANCELLATIONS):
        return "cancel"
    if isinstance(error, TimeoutError) or _is_one_of(error, _TIMEOUTS):
        return "timeout"
    return "error"


def _is_one_of(error: BaseException, names: tuple[tuple[str, str], ...]) -> bool:
    for module_name, class_name in names:
        kind = getattr(sys.modules.get(module_name), class_name, None)
        if isinstance(kind, type) and isinstance(error, kind):
            return True
    return False


def _exception_group_type() -> Any:
    built_in = getattr(builtins, "BaseExceptionGroup", None)  # from 3.11 on
    if built_in is not None:
        return built_in
    return getattr(sys.modules.get("exceptiongroup"), "BaseExceptionGroup", None)


def _error_text(error: BaseException) -> str:
    """What the exception says: its `message`, its text, or what it looks like."""
    try:
        said = getattr(error, "message", _MISSING)
    except Exception:  # a property that raises
        said = _MISSING
    try:
        # Always a text: readers take a record with any other `error` for damaged.
        text = str(error) if said is _MISSING else str(said) if said else ""
        return text or repr(error)
    except Exception:
        return f"<unprintable {type(error).__name__} object>"


def _stacktrace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as failure:
        return f"<unprintable traceback: {type(failure).__name__}>"


def _is_awaitable(function: object) -> bool:
    """Whether it is a generator function that `types.coroutine` has made awaitable."""
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & 0x100)  # inspect.CO_ITERABLE_COROUTINE


def _first_step(generator: AsyncGenerator[Any, Any]) -> Any:
    """Starts an async generator without making it known to the event loop.

    Its wrapper is known, and closes it. Were both, then at the end of the loop both would be
    closed at once, which Python refuses.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


_core.know_action_helpers(
    current=_current,
    text_of=text_of,
    merged=_merged,
    outcome_of=_outcome_of,
    emit=_emit,
    log_message=_log_message,
    decorated=_decorated,
    warn_of_exception=warn_of_exception,
)
