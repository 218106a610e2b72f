"""Lowers the levels of loggers for tracing, without a change in what other handlers show.

A logger's level decides for all its handlers at once. So while a level is lowered, the handlers
that were there before get a filter which lets pass what the levels let pass before.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING

from .handler import TraceHandler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Lowered:
    """What is known of one logger whose level is lowered."""

    __slots__ = ("original", "set_to", "wanted")

    def __init__(self, original: int) -> None:
        self.original = original
        self.set_to = original
        self.wanted: list[int] = []


_lowered: dict[logging.Logger, _Lowered] = {}
_guarded: weakref.WeakSet[logging.Handler] = weakref.WeakSet()
_lock = threading.RLock()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class LevelGuard(logging.Filter):
    """Lets pass what would pass if no level were lowered."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record would have been made with the levels as the program set them."""
        if record.process is not None and record.process != os.getpid():
            return True  # it comes from another process, whose levels it has passed
        return record.levelno >= level_without_lowering(logger_of(record))


_guard = LevelGuard()


def guard(handler: logging.Handler) -> None:
    """Keeps a handler from showing more while levels are lowered."""
    handler.addFilter(_guard)
    _guarded.add(handler)


def lower(logger: logging.Logger, level: int) -> bool:
    """Lowers the level of a logger, if it takes that for records of `level` to pass.

    Returns:
        Whether it did; then `restore` is due with the same arguments.
    """
    with _lock:
        if level_without_lowering(logger) <= level:
            return False
        state = _lowered.get(logger)
        if state is None or logger.level != state.set_to:  # set by the program meanwhile
            wanted = state.wanted if state is not None else []
            state = _lowered[logger] = _Lowered(logger.level)
            state.wanted = wanted
        for handler in all_handlers():
            if not isinstance(handler, TraceHandler) and handler not in _guarded:
                guard(handler)
        state.wanted.append(level)
        state.set_to = min(state.wanted)
        logger.setLevel(state.set_to)
        return True


def restore(logger: logging.Logger, level: int) -> None:
    """Takes one `lower` back; a level that the program has set since stays."""
    with _lock:
        state = _lowered.get(logger)
        if state is None or level not in state.wanted:
            return
        state.wanted.remove(level)
        is_ours = logger.level == state.set_to
        if state.wanted:
            state.set_to = min(state.wanted)
            if is_ours:
                logger.setLevel(state.set_to)
        else:
            del _lowered[logger]
            if is_ours:
                logger.setLevel(state.original)
        if not _lowered:
            for handler in list(_guarded):
                handler.removeFilter(_guard)
            _guarded.clear()


def level_without_lowering(logger: logging.Logger | None) -> int:
    """The effective level of a logger as the program has set it."""
    while logger is not None:
        level = logger.level
        state = _lowered.get(logger)
        if state is not None and level == state.set_to:
            level = state.original
        if level:
            return level
        logger = logger.parent
    return logging.NOTSET


def logger_of(record: logging.LogRecord) -> logging.Logger:
    """The logger that a record's name stands for, or its nearest ancestor that exists."""
    name = record.name
    while name:
        found = logging.root.manager.loggerDict.get(name)
        if isinstance(found, logging.Logger):
            return found
        name = name.rpartition(".")[0]
    return logging.root


def chain_of(logger: logging.Logger) -> Iterator[logging.Logger]:
    """The loggers whose handlers a record of `logger` reaches."""
    current: logging.Logger | None = logger
    while current is not None:
        yield current
        current = current.parent if current.propagate else None


def all_handlers() -> Iterable[logging.Handler]:
    """The handlers that stand on any logger, each once."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    return {
        handler: None
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
    }
