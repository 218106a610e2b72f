"""`init_tracing`: sets a program up for tracing in one call, and takes it back."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, final

from . import _core
from ._lowering import chain_of, guard, logger_of, lower, restore
from ._report import warn
from .handler import DEFAULT_BUFFER_BYTES, DEFAULT_KEEP_RUNS, TraceHandler, check_level
from .levels import TRACE, level_from, register_levels

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from .handler import Durability, OnFull

LEVEL_VARIABLE: Final = "INSPECT_TRACE_LEVEL"

_lock = threading.RLock()
_active: Tracing | None = None


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@final
class Tracing:
    """Tracing as `init_tracing` has set it up; also a context manager that closes at its end."""

    def __init__(
        self,
        handler: TraceHandler,
        asked: dict[str, object],
        levels: dict[logging.Logger, int],
    ) -> None:
        self._handler = handler
        self._last_resort = _LastResort()
        self._asked = asked
        self._attached: list[logging.Logger] = []
        self._lowered: list[tuple[logging.Logger, int]] = []

        self._attach_to(logging.root)
        for logger in levels:
            end = list(chain_of(logger))[-1]
            if end not in self._attached:  # it does not propagate to the root logger
                self._attach_to(end)
        for logger, level in levels.items():
            if lower(logger, level):
                self._lowered.append((logger, level))

    @property
    def handler(self) -> TraceHandler:
        """The handler that writes the log."""
        return self._handler

    @property
    def path(self) -> Path:
        """The log."""
        return self._handler.path

    @property
    def in_place(self) -> bool:
        """Whether the handler still stands where it was put (`dictConfig` clears handlers away)."""
        return self._handler.is_open and self._handler in logging.root.handlers

    def differences(self, asked: dict[str, object]) -> list[str]:
        """The arguments of a later `init_tracing` that ask for something else."""
        return [
            name
            for name, value in asked.items()
            if value is not None and value != self._asked[name]
        ]

    def close(self) -> None:
        """Takes back what `init_tracing` did, and closes the log. Closing again does nothing.

        The levels' names stay known to `logging`, which has no means to forget them.
        """
        global _active
        with _lock:
            if _active is self:
                _active = None
            attached, self._attached = self._attached, []
            for logger in attached:
                logger.removeHandler(self._handler)
                logger.removeHandler(self._last_resort)
            lowered, self._lowered = self._lowered, []
            for logger, level in lowered:
                restore(logger, level)
            self._handler.close()
            self._last_resort.close()

    def __enter__(self) -> Tracing:
        """Returns itself: tracing has begun already."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes."""
        self.close()

    def __repr__(self) -> str:
        """Names the log."""
        return f"<{type(self).__name__} {self.path}>"

    def _attach_to(self, logger: logging.Logger) -> None:
        logger.addHandler(self._handler)
        logger.addHandler(self._last_resort)
        self._attached.append(logger)


class _LastResort(logging.Handler):
    """Shows warnings on stderr in a program that has no handlers but those of tracing.

    Without tracing `logging` does this itself, but only as long as there is no handler at all.
    """

    def __init__(self) -> None:
        super().__init__()
        guard(self)

    def handle(self, record: logging.LogRecord) -> bool:
        """Passes a record on if nobody else would show it; takes no lock for that."""
        shown_by = logging.lastResort
        if shown_by is None or record.levelno < shown_by.level or not self.filter(record):
            return False
        for logger in chain_of(logger_of(record)):
            if any(not isinstance(h, (TraceHandler, _LastResort)) for h in logger.handlers):
                return False
        shown_by.handle(record)
        return True


_core.know_last_resort(_LastResort)


def init_tracing(
    *,
    path: str | os.PathLike[str] | None = None,
    directory: str | os.PathLike[str] | None = None,
    level: int | str | None = None,
    packages: Iterable[str] | Mapping[str, int | str] | None = None,
    keep_runs: int = DEFAULT_KEEP_RUNS,
    buffer_bytes: int = DEFAULT_BUFFER_BYTES,
    on_full: OnFull = "block",
    durability: Durability = "process",
    max_bytes: int | None = None,
    redact: bool | None = None,
    stall_s: float | None = None,
) -> Tracing:
    """Sets the program up for tracing: a `TraceHandler` on the root logger, and levels to match.

    Call it once logging is configured; what the handlers that exist by then show does not change.
    Nobody's handlers are removed. A program without any goes on to have its warnings on stderr.
    While tracing is set up, calling again returns the same `Tracing` (and says so on stderr if
    different arguments are given).

    Args:
        path: The log; see `TraceHandler`. None honours `INSPECT_TRACE_FILE`.
        directory: The trace directory; see `TraceHandler`. None honours `INSPECT_TRACE_DIR`.
        level: What to trace: records of this level and above. None means `INSPECT_TRACE_LEVEL`, a
            name (in any case) or a number, and without it TRACE.
        packages: Loggers to trace: names, or a mapping of names to a level for each. Only their
            levels are lowered (never raised), and the handler also goes where their records do not
            reach the root logger. None lowers the level of the root logger, and so that of every
            logger without a level of its own.
        keep_runs: How many runs stay in the trace directory.
        buffer_bytes: The size of the buffer; see `TraceHandler`, also for the next three.
        on_full: What happens when it is full.
        durability: What a record survives.
        max_bytes: The size at which a new file is begun.
        redact: Whether secrets are taken out; see `TraceHandler`. None honours
            `INSPECT_TRACE_REDACT`.
        stall_s: After how many seconds the log is told where an action waits; see `TraceHandler`.
            None honours `INSPECT_TRACE_STALL_S`.

    Returns:
        What was set up; its `close` takes it back.

    Raises:
        ValueError: There is no such level, or no such choice.
    """
    global _active
    asked: dict[str, object] = {
        "path": None if path is None else os.path.abspath(os.fspath(path)),  # noqa: PTH100
        "directory": None if directory is None else os.path.abspath(os.fspath(directory)),  # noqa: PTH100
        "level": level,
        "packages": None if packages is None else _package_levels(packages, 0),
        "keep_runs": None if keep_runs == DEFAULT_KEEP_RUNS else keep_runs,
        "buffer_bytes": None if buffer_bytes == DEFAULT_BUFFER_BYTES else buffer_bytes,
        "on_full": None if on_full == "block" else on_full,
        "durability": None if durability == "process" else durability,
        "max_bytes": max_bytes,
        "redact": redact or None,
        "stall_s": stall_s,
    }
    with _lock:
        if _active is not None and _active.in_place:
            different = _active.differences(asked)
            if different:
                warn(
                    f"init_tracing: tracing to {_active.path} is set up already; ignored the "
                    f"different {', '.join(different)} (close the first one to change it)"
                )
            return _active
        if _active is not None:
            _active.close()
        register_levels()
        trace_level = level_from_environment() if level is None else check_level(level)
        trace_level = max(trace_level, 1)  # on a logger, 0 means "as the parent"
        if packages is None:
            levels: dict[logging.Logger, int] = {logging.root: trace_level}
        else:
            levels = {
                logging.getLogger(name): max(of_package, 1)
                for name, of_package in _package_levels(packages, trace_level).items()
            }
            # What is traced of libraries is only traced when the program asks for it.
            levels.setdefault(logging.getLogger("inspect_trace.instrument"), trace_level)
        handler = TraceHandler(
            path,
            level=min([trace_level, *levels.values()]),
            directory=directory,
            keep_runs=keep_runs,
            buffer_bytes=buffer_bytes,
            on_full=on_full,
            durability=durability,
            max_bytes=max_bytes,
            redact=redact,
            stall_s=stall_s,
        )
        _active = Tracing(handler, asked, levels)
        return _active


def _package_levels(
    packages: Iterable[str] | Mapping[str, int | str], default: int
) -> dict[str, int]:
    """Each package's level, however they were given."""
    if isinstance(packages, str):
        packages = [packages]
    if isinstance(packages, Mapping):
        register_levels()
        return {name: check_level(level) for name, level in packages.items()}
    return dict.fromkeys(packages, default)


def level_from_environment() -> int:
    """The level that `INSPECT_TRACE_LEVEL` names, or TRACE."""
    value = os.environ.get(LEVEL_VARIABLE, "")
    if not value:
        return TRACE
    level = level_from(value)
    if level is None:
        warn(
            f"{LEVEL_VARIABLE}={value}: there is no such log level (use a name such as TRACE or "
            "INFO, or a number); using TRACE"
        )
        return TRACE
    return level
