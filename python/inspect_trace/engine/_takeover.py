"""Takes inspect_ai's trace log over: from the next `LogHandler` on, and from those that exist.

A `LogHandler` of inspect_ai has its trace file in the attribute `trace_logger`, a `FileHandler`
whose `emit` it calls. That is replaced; everything else about it stays. What it has written by then
is in the file, which goes on under its name.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import threading
import weakref
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inspect_trace._lowering import all_handlers
from inspect_trace._report import warn, warn_of_exception

from . import _shape
from ._choice import ENGINE_VARIABLE, THEIRS, chosen_engine
from ._handler import EngineHandler, make_process_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

LOGGER_MODULE: Final = "inspect_ai._util.logger"
TRACE_MODULE: Final = "inspect_ai._util.trace"
SAMPLES_MODULE: Final = "inspect_ai.log._samples"

_active: Takeover | None = None
_refused: str | None = None
_lock = threading.RLock()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class ChangedError(Exception):
    """inspect_ai is not as we know it."""


def activate() -> bool:
    """Has this package write inspect_ai's trace log in this process, from now on.

    inspect_ai calls it through its entry point. It imports inspect_ai; calling again does nothing.
    Where inspect_ai is not built as we know it, one line on stderr says so and all stays as it is.

    Returns:
        Whether the log is, or will be, ours.
    """
    global _active, _refused
    with _lock:
        if _active is not None:
            return True
        if _refused is not None:
            return False
        engine, complaint = chosen_engine()
        if complaint is not None:
            warn(complaint)
        if engine == THEIRS:
            return False
        try:
            takeover = Takeover(import_module(LOGGER_MODULE))
            takeover.install()
        except ChangedError as error:
            _refuse(str(error))
        except Exception as error:
            _refuse(f"{type(error).__name__}: {error}")
        else:
            _active = takeover
        return _active is not None


def state() -> tuple[bool, str | None]:
    """Whether this process has taken the log over, and if it tried in vain, why."""
    return _active is not None, _refused


def logs() -> list[str]:
    """The logs that are written for inspect_ai in this process."""
    return [] if _active is None else _active.logs()


class Takeover:
    """The hooks in inspect_ai, which are put there and taken back together."""

    def __init__(self, module: ModuleType) -> None:
        self._module: Any = module
        self._check()
        self._log_handler: type[logging.Handler] = self._module.LogHandler
        self._original_init: Callable[..., None] = self._module.LogHandler.__init__
        self._signature = inspect.signature(self._original_init)
        self._original_file: Callable[..., Path] = self._module.inspect_trace_file
        self._original_rotate: Callable[..., None] = self._module.rotate_trace_files
        self._opened = threading.local()
        self._handlers: weakref.WeakSet[EngineHandler] = weakref.WeakSet()
        self._sample = self._find_sample()

    def install(self) -> None:
        """Puts the hooks in, and takes over what is there already.

        Raises:
            ChangedError: Something is not as expected; nothing is changed.
        """
        existing = [
            handler
            for handler in {
                **dict.fromkeys(all_handlers()),
                self._module._logHandler["handler"]: None,  # noqa: SLF001
            }
            if isinstance(handler, self._log_handler)
            and type(getattr(handler, "trace_logger", None)) is not EngineHandler
        ]
        for handler in existing:
            self._file_handler_of(handler)
        try:
            self._put_in()
            for handler in existing:
                self._hand_over(handler, None)
        except BaseException:
            self._take_out()
            raise

    def logs(self) -> list[str]:
        """The logs of those that were taken over."""
        return sorted({handler.baseFilename for handler in self._handlers if handler.has_log})

    def _check(self) -> None:
        module = self._module
        changed = _shape.changes(_shape.loaded_codes(module))
        if changed is not None:
            raise ChangedError(changed)
        if not (
            isinstance(module.LogHandler, type) and issubclass(module.LogHandler, logging.Handler)
        ):
            raise ChangedError("LogHandler is no logging.Handler")
        if module.__dict__.get("FileHandler") is not logging.FileHandler:
            raise ChangedError("FileHandler is not that of logging")
        if not isinstance(getattr(module, "_logHandler", None), dict) or (
            "handler" not in module._logHandler  # noqa: SLF001
        ):
            raise ChangedError("_logHandler has no handler")
        if not isinstance(getattr(module, "TraceFormatter", None), type):
            raise ChangedError("there is no TraceFormatter")

    def _put_in(self) -> None:
        @functools.wraps(self._original_init)
        def init(handler: Any, *args: Any, **kwargs: Any) -> None:
            self._init(handler, args, kwargs)

        @functools.wraps(self._original_file)
        def trace_file(trace_dir: Any = None) -> Path:
            return self._trace_file(trace_dir)

        @functools.wraps(self._original_rotate)
        def rotate(trace_dir: Any = None) -> None:
            """Nothing: what is kept is up to our housekeeping, which spares live logs."""

        self._module.LogHandler.__init__ = init
        self._module.inspect_trace_file = trace_file
        self._module.rotate_trace_files = rotate

    def _take_out(self) -> None:
        self._module.LogHandler.__init__ = self._original_init
        self._module.inspect_trace_file = self._original_file
        self._module.rotate_trace_files = self._original_rotate

    def _init(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """`LogHandler.__init__`: the log is opened by us, and then once more by inspect_ai.

        What inspect_ai opens it closes again unused, so our name and our lock are there first.
        """
        self._opened.handler, self._opened.is_wanted = None, True
        try:
            named = self._named_file(handler, args, kwargs)
            if named is not None:
                self._opened.handler = self._open(path=named)
            self._original_init(handler, *args, **kwargs)
        except BaseException:
            self._give_up_opened()
            raise
        finally:
            self._opened.is_wanted = False
        opened, self._opened.handler = self._opened.handler, None
        try:
            self._hand_over(handler, opened)
        except ChangedError as error:
            if opened is not None:
                opened.close()
            self._take_out()
            _step_aside(str(error))
        except Exception as error:
            warn_of_exception("taking over inspect_ai's trace log", error)

    def _give_up_opened(self) -> None:
        opened, self._opened.handler = self._opened.handler, None
        if opened is not None:
            opened.close()

    def _named_file(
        self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> str | None:
        """The trace file that the environment names to this `LogHandler`."""
        try:
            bound = self._signature.bind(handler, *args, **kwargs)
        except TypeError:  # the original is going to say so
            return None
        bound.apply_defaults()
        return os.environ.get(f"{bound.arguments['env_prefix']}_TRACE_FILE") or None

    def _trace_file(self, trace_dir: Any) -> Path:
        """`inspect_trace_file`: opens the log, as far as a `LogHandler` is being made."""
        if getattr(self._opened, "is_wanted", False) and self._opened.handler is None:
            opened = self._opened.handler = self._open(directory=trace_dir)
            if opened is not None:
                return opened.path
        return self._original_file(trace_dir)

    def _open(self, path: str | None = None, directory: Any = None) -> EngineHandler | None:
        """Opens a log; None where that fails, which has been told: then it is inspect_ai's turn."""
        try:
            handler = EngineHandler(path, directory, self._sample)
        except Exception as error:
            warn_of_exception("opening inspect_ai's trace log", error)
            return None
        if handler.has_log:
            return handler
        handler.close()
        return None

    def _hand_over(self, handler: Any, opened: EngineHandler | None) -> None:
        """Puts ours in the place of a `LogHandler`'s trace file handler."""
        theirs = self._file_handler_of(handler)
        with _Locked(handler):  # no record is under way to the old one
            ours = opened
            if ours is not None and not _is_same_file(ours.baseFilename, theirs.baseFilename):
                ours.close()
                ours = None
            if ours is None:
                ours = self._open(path=theirs.baseFilename)
                if ours is None:
                    return
                make_process_log(ours)
            ours.log_handler = weakref.ref(handler)
            handler.trace_logger = ours
        self._handlers.add(ours)
        _retire(theirs)

    def _file_handler_of(self, handler: Any) -> logging.FileHandler:
        theirs = getattr(handler, "trace_logger", None)
        if type(theirs) is not logging.FileHandler:
            raise ChangedError("LogHandler.trace_logger is no FileHandler")
        if type(theirs.formatter) is not self._module.TraceFormatter:
            raise ChangedError("the trace file has no TraceFormatter")
        return theirs

    def _find_sample(self) -> Callable[[], Any] | None:
        """What tells the current sample, where inspect_ai does not put it into its records."""
        if self._module.__dict__.get("install_sample_context_filter") is not None:
            return None

        def sample_active() -> Any:
            samples = sys.modules.get(SAMPLES_MODULE)
            return None if samples is None else samples.sample_active()

        return sample_active


class _Locked:
    """Holds the lock under which a handler emits."""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler

    def __enter__(self) -> None:
        self._handler.acquire()

    def __exit__(self, *_: object) -> None:
        self._handler.release()


def _retire(theirs: logging.FileHandler) -> None:
    """Closes inspect_ai's handler, and keeps its exit hook from the log.

    The hook compresses and removes what the handler says is its file, if there is such a file.
    Nothing can be below a log, which is no directory.
    """
    theirs.close()
    theirs.baseFilename = str(Path(theirs.baseFilename, "is written by inspect-trace"))


def _is_same_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _refuse(reason: str) -> None:
    global _refused
    _refused = reason
    _warn_of_step_aside(reason)


def _step_aside(reason: str) -> None:
    """Leaves it to inspect_ai after all."""
    global _active, _refused
    with _lock:
        _active, _refused = None, reason
    _warn_of_step_aside(reason)


def _warn_of_step_aside(reason: str) -> None:
    try:
        which = f"inspect_ai {version('inspect_ai')}"
    except PackageNotFoundError:
        which = "inspect_ai"
    warn(
        f"{which} is not as this version knows it ({reason}): it goes on with its own trace writer "
        f"(upgrade inspect-trace, or set {ENGINE_VARIABLE}={THEIRS} to be spared this line)"
    )
