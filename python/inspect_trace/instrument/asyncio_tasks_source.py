"""Traces the tasks of asyncio, from when they are made until they are done.

Only for asking: programs may make tasks by the thousand. Not traced are the tasks that asyncio
makes of its own coroutines, and those of uvloop.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inspect_trace._report import warn_of_exception

from ._action import OpenAction
from ._redact import shown
from ._source import Source

if TYPE_CHECKING:
    import asyncio
    from types import ModuleType

    from ._source import Wrap

NAME_WIDTH: Final = 1000
"""How many characters of a task's name are shown."""


class _Own:
    """Where asyncio's own coroutines are; asyncio is not imported before the program does."""

    directory = ""


class _Given(threading.local):
    """The name that a task is about to get: before 3.12 it gets it when it has been made."""

    name: str | None = None


_given: Final = _Given()


def _named(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of those that make a task by `loop.create_task`, and name it."""
    before = _given.name
    _given.name = kwargs.get("name")
    try:
        return wrapped(*args, **kwargs)
    finally:
        _given.name = before


def _create(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of `loop.create_task`, by which all tasks are made."""
    coroutine = args[0] if args else kwargs.get("coro")
    name, _given.name = kwargs.get("name") or _given.name, None
    action = _opened(coroutine, name)
    if action is None:
        return wrapped(*args, **kwargs)
    # The task gets a copy of this context, in which the action is the current one.
    try:
        task = wrapped(*args, **kwargs)
    except BaseException as error:
        action.finish(error)
        raise
    action.detach()
    task.add_done_callback(_Done(action))
    return task


class _Done:
    """Ends the action of a task."""

    __slots__ = ("_action",)

    def __init__(self, action: OpenAction) -> None:
        self._action = action

    def __call__(self, task: asyncio.Task[Any]) -> None:
        """Called when it is done.

        `task.exception()` would count as somebody having looked: asyncio would no longer tell of an
        exception that nobody retrieves.
        """
        if task.cancelled():
            self._action.finish(GeneratorExit())  # as any that counts as a cancellation
        else:
            self._action.finish(getattr(task, "_exception", None))


def _opened(coroutine: Any, name: object) -> OpenAction | None:
    try:
        code = getattr(coroutine, "cr_code", None)
        if name is None and code is not None and code.co_filename.startswith(_Own.directory):
            return None
        if name is None:
            name = getattr(coroutine, "__qualname__", None) or type(coroutine).__name__
        action = OpenAction("Subtask", shown(str(name), NAME_WIDTH))
    except Exception as error:
        warn_of_exception("tracing a task", error)
        return None
    return action if action.is_open else None


def _patch_loops(module: ModuleType, wrap: Wrap) -> None:
    _Own.directory = str(Path(str(module.__file__)).parent) + "/"
    wrap(module, "BaseEventLoop.create_task", _create)


def _patch_asyncio(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "create_task", _named)
    if hasattr(module, "TaskGroup"):  # from 3.11 on
        wrap(module, "TaskGroup.create_task", _named)


SOURCE: Final = Source(
    "asyncio_tasks",
    {"asyncio.base_events": _patch_loops, "asyncio": _patch_asyncio},
    is_opt_in=True,
)
