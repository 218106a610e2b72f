"""`trace_action` and `trace_message`: what a program calls to be traced.

Tracing is a guest in the program: nothing here raises into it, and an exception that passes through
an action passes unchanged.
"""

from __future__ import annotations

import builtins
import functools
import logging
import os
import sys
import time
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

from . import _core
from ._report import text_of, warn_of_exception
from .levels import TRACE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
    from types import TracebackType

    _AnyLogger: TypeAlias = logging.Logger | logging.LoggerAdapter[Any]

Function = TypeVar("Function", bound="Callable[..., Any]")
_Outcome: TypeAlias = Literal["exit", "cancel", "timeout", "error"]

# From `_emit` back to the program: the method of `_Span`, what called that, the program.
_FRAMES_AWAY: Final = 3

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
)
_LOG_KEYWORDS: Final = ("exc_info", "extra", "stack_info")

_MISSING: Final = object()

# How many forks lie between this process and the one that loaded this module.
_forks = 0


def _after_fork_in_child() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class _Scope:
    """What encloses the actions that start while it is current."""

    __slots__ = ("closed", "outer", "trace_id")

    def __init__(self, trace_id: str, outer: _Scope | None) -> None:
        self.trace_id = trace_id
        self.outer = outer
        self.closed = False

    def close(self) -> None:
        self.closed = True
        # Actions inside a generator or a task may end in any order: go back to what is still open.
        # Cutting the closed ones out also keeps a chain of tasks, each started inside an action of
        # the one before, from growing without end.
        outer = self.outer
        while outer is not None and outer.closed:
            outer = outer.outer
        self.outer = outer
        if _current.get() is self:
            _current.set(outer)


_current: ContextVar[_Scope | None] = ContextVar("inspect_trace_action", default=None)


class _Span:
    """One run of an action, from its enter record to its closing record."""

    __slots__ = ("action", "detail", "forks", "logger", "scope", "started_s", "tail")

    def __init__(
        self,
        logger: _AnyLogger,
        action: object,
        message: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.logger = logger
        self.action = action if isinstance(action, str) else text_of(action)
        self.detail, format_error = _merged(message, args, kwargs)
        trace_id = _core.new_trace_id()
        outer = _current.get()
        self.scope = _Scope(trace_id, outer)
        # The keys that follow those of the reference, on both records.
        self.tail: dict[str, object] = {}
        if outer is not None:
            self.tail["parent_id"] = outer.trace_id
        self.forks = _forks
        if _forks:
            # The child writes to the log of its parent, which is named after the parent.
            self.tail["pid"] = os.getpid()
        if format_error is not None:
            self.tail["format_error"] = format_error
        self.started_s = time.monotonic()

    def enter(self) -> None:
        extra: dict[str, object] = {
            "action": self.action,
            "detail": self.detail,
            "event": "enter",
            "trace_id": self.scope.trace_id,
            "start_time": time.time(),
        }
        extra.update(self.tail)
        try:
            _emit(self.logger, f"{self.action}: {self.detail} (enter)", extra)
        except BaseException:  # Ctrl-C while the record was written: the action does not begin
            self._close("cancel", {})
            raise
        _current.set(self.scope)

    def finish(self, error: BaseException | None) -> None:
        self.scope.close()
        if self.forks != _forks:
            # A child leaves the block in which it was forked: the action goes on in the parent.
            return
        outcome: _Outcome = "exit"
        told: dict[str, object] = {}
        if error is not None:
            outcome = _outcome(error)
            if outcome == "error":
                told = {
                    "error": _error_text(error),
                    "error_type": type(error).__name__,
                    "stacktrace": _stacktrace(error),
                }
        try:
            self._close(outcome, told)
        except BaseException:
            # Ctrl-C fell into the writing. Once more, as an action without a closing record would
            # seem to run for ever; a second one harms no reader.
            self._close(outcome, told)
            raise

    def _close(self, outcome: _Outcome, told: dict[str, object]) -> None:
        extra: dict[str, object] = {
            "action": self.action,
            "detail": self.detail,
            "event": outcome,
            "trace_id": self.scope.trace_id,
            "duration": time.monotonic() - self.started_s,
        }
        extra.update(told)
        extra.update(self.tail)
        _emit(self.logger, f"{self.action}: {self.detail} ({outcome})", extra, _FRAMES_AWAY + 1)


class trace_action:  # noqa: N801 (used like a function)
    """Traces an action: one record when it begins, one when it ends, with how and after how long.

    As a context manager:

        with trace_action(logger, "Model", "generate (%s)", model):
            ...

    or as a decorator of a function, a coroutine function, a generator function or an async
    generator function, which traces each call (a generator from its first step to its last):

        @trace_action(logger, "Subtask", "summarise")
        async def summarise(text: str) -> str: ...

    The closing record tells the outcome: `exit`; `timeout` for timeouts, also those of
    `subprocess`, `concurrent.futures` and trio; `cancel` for Ctrl-C, interpreter exit, closed
    generators and cancellation by asyncio, anyio, trio or `concurrent.futures`; `error` for
    everything else. An exception group is judged by what it holds: only cancellations are a
    `cancel`, a timeout among them makes it a `timeout`, anything else an `error`. The exception
    itself passes unchanged.

    An action inside another names it as `parent_id`, also across tasks, and across threads that
    run in a copy of the context. Inside a traced generator the generator's own action is the parent
    only while its code runs, not while its consumer's does.

    Args:
        logger: The logger to trace with; nothing happens while its level is above TRACE.
        action: The kind of action, such as `Model` or `Subprocess`.
        message: What it is at: a %-format if arguments follow. Where formatting fails, the message
            is recorded as it stands, and the reason as `format_error`.
        *args: Positional arguments of the format.
        **kwargs: Named arguments of the format, used if there are no positional ones.
    """

    __slots__ = ("_action", "_args", "_entered", "_kwargs", "_logger", "_message")

    def __init__(
        self, /, logger: _AnyLogger, action: str, message: str, *args: Any, **kwargs: Any
    ) -> None:
        self._logger = logger
        self._action = action
        self._message = message
        self._args = args
        self._kwargs = kwargs
        # The spans of `with` blocks that are open, the innermost first: (span, the ones around it).
        self._entered: tuple[_Span | None, Any] | None = None

    def __enter__(self) -> None:
        """Writes the enter record."""
        span = self._start()
        if span is not None:
            span.enter()
        self._entered = (span, self._entered)

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes the closing record."""
        if self._entered is None:
            return
        span, self._entered = self._entered
        if span is not None:
            span.finish(error)

    def __call__(self, function: Function) -> Function:
        """Decorates a function, so that each call of it is traced.

        Returns:
            A function of the same kind: what is a coroutine, generator or async generator function
            stays one.
        """
        import inspect  # slow to load, and needed only for decorating

        wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
        if isinstance(function, (staticmethod, classmethod)):
            return cast("Function", type(function)(self(function.__func__)))
        kinds: tuple[Any, ...] = (function, getattr(type(function), "__call__", None))  # noqa: B004
        if any(inspect.isasyncgenfunction(kind) for kind in kinds):
            wrap = self._wrap_async_generator
        elif any(inspect.iscoroutinefunction(kind) or _is_awaitable(kind) for kind in kinds):
            wrap = self._wrap_coroutine
        elif any(inspect.isgeneratorfunction(kind) for kind in kinds):
            wrap = self._wrap_generator
        else:
            wrap = self._wrap_function
        return cast("Function", functools.wraps(function)(wrap(function)))

    def _start(self) -> _Span | None:
        if not self._logger.isEnabledFor(TRACE):
            return None
        try:
            return _Span(self._logger, self._action, self._message, self._args, self._kwargs)
        except Exception as error:
            warn_of_exception("tracing an action", error)
            return None

    def _wrap_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def traced(*args: Any, **kwargs: Any) -> Any:
            span = self._start()
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
        self, function: Callable[..., Any]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def traced(*args: Any, **kwargs: Any) -> Any:
            span = self._start()
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
        self, function: Callable[..., Any]
    ) -> Callable[..., Generator[Any, Any, Any]]:
        def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            span = self._start()
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
        self, function: Callable[..., Any]
    ) -> Callable[..., AsyncGenerator[Any, Any]]:
        async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            span = self._start()
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


def trace_message(
    logger: _AnyLogger, category: str, message: str, *args: Any, **kwargs: Any
) -> None:
    """Logs `[<category>] <message>` at level TRACE.

    Args:
        logger: The logger to trace with; nothing happens while its level is above TRACE.
        category: What the message is about, such as `Sandbox`.
        message: The message: a %-format if arguments follow.
        *args: Positional arguments of the format.
        **kwargs: Named arguments of the format, used if there are no positional ones. `exc_info`,
            `extra`, `stack_info` and `stacklevel` mean what they mean to `Logger.log`.
    """
    if not logger.isEnabledFor(TRACE):
        return
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
    logger: _AnyLogger, message: str, extra: dict[str, object], frames_away: int = _FRAMES_AWAY
) -> None:
    """Logs a record of an action; whatever handlers and filters raise stays here.

    It does what `Logger.log` does, but for two things: finding the program's line is a step up the
    stack instead of a search, and a field of an action also replaces one of the same name that the
    program's record factory sets (some set a `trace_id`), where `Logger.log` would raise.
    """
    try:
        adapters = []
        while isinstance(logger, logging.LoggerAdapter):
            adapters.append(logger)
            logger = logger.logger
        if not logger.isEnabledFor(TRACE):
            return
        file, line, function = _place(frames_away)
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
