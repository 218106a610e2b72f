"""Begins to trace in a process, before its program runs."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any, Final

from inspect_trace._report import warn_of_exception

from . import Choice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from inspect_trace.instrument._source import Wrap

FIRST_DESCRIPTOR: Final = 64
"""Ours are above: a program may count on a low one being free, or put a file of its own there."""


def begin_or_tell(choice: str) -> None:
    """Begins to trace as `choice` says. Where that fails, a line on stderr says so."""
    try:
        begin(Choice.read(choice))
    except KeyboardInterrupt:  # the program has not begun: end as it would
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except Exception as error:
        warn_of_exception("beginning to trace", error)


def begin(choice: Choice) -> None:
    """Opens the log, and switches the sources on."""
    import logging

    from inspect_trace import instrument
    from inspect_trace.handler import TraceHandler
    from inspect_trace.instrument._action import LOGGER
    from inspect_trace.instrument._source import Source
    from inspect_trace.levels import register_levels
    from inspect_trace.setup import level_from_environment

    register_levels()
    level = level_from_environment()
    with _low_descriptors_taken():
        handler = TraceHandler(level=level, redact=choice.redact)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level)
    LOGGER.propagate = False
    # The program sets logging up yet: `dictConfig` disables the loggers that it finds.
    logging.root.manager.loggerDict.pop(LOGGER.name, None)
    if choice.level is not None:
        from .everything import trace_everything

        trace_everything(choice.level, redact=choice.redact)
    instrument.enable(*choice.sources)
    Source("multiprocessing", {"multiprocessing.spawn": _Children(choice).patch}).enable()


class _Children:
    """Has the processes that `multiprocessing` starts anew trace as this one does."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice

    def patch(self, module: ModuleType, wrap: Wrap) -> None:
        wrap(module, "get_preparation_data", self._prepare)

    def _prepare(
        self, wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Of what a child is told first. What it does not know of that it leaves alone."""
        data: dict[str, Any] = wrapped(*args, **kwargs)
        data["inspect_trace"] = _Beginning(str(self._choice))
        return data


class _Beginning:
    """To be unpickled begins to trace, if this package is there."""

    def __init__(self, choice: str) -> None:
        self._choice = choice

    def __reduce__(self) -> tuple[Any, ...]:
        code = (
            "try:\n"
            f"    from {__name__} import begin_or_tell\n"
            "except ImportError:\n"
            "    pass\n"
            "else:\n"
            f"    begin_or_tell({self._choice!r})\n"
        )
        return exec, (code, {})


@contextlib.contextmanager
def _low_descriptors_taken() -> Iterator[None]:
    """What is opened inside gets a descriptor that is not low, if the process may have so many."""
    taken: list[int] = []
    try:
        while not taken or taken[-1] < FIRST_DESCRIPTOR - 1:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        _close(taken)
    try:
        yield
    finally:
        _close(taken)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
