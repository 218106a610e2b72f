"""A write to remote storage, as an action."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from inspect_trace._report import warn_of_exception
from inspect_trace.levels import TRACE

from ._action import LOGGER, OpenAction
from ._redact import shown

if TYPE_CHECKING:
    from collections.abc import Callable

ACTION: Final = "Log Write"

URL_WIDTH: Final = 1000
"""How many characters of a URL are shown."""


def write_begun(url_of: Callable[[], str | None], size_bytes: int | None) -> OpenAction | None:
    """The action of a write, unless nothing is traced, or the storage is not a remote one.

    Args:
        url_of: Tells where it goes to; None if that is not remote.
        size_bytes: How much it is, as far as that is known.
    """
    try:
        if not LOGGER.isEnabledFor(TRACE):
            return None
        url = url_of()
        if url is None:
            return None
        fields = {} if size_bytes is None else {"size_bytes": size_bytes}
        action = OpenAction(ACTION, shown(url, URL_WIDTH), **fields)
    except Exception as error:
        warn_of_exception("tracing a write", error)
        return None
    return action if action.is_open else None


def write_ended(
    action: OpenAction | None, error: BaseException | None = None, size_bytes: int | None = None
) -> None:
    """Ends the action of a write, if there is one."""
    if action is not None:
        fields = {} if size_bytes is None else {"size_bytes": size_bytes}
        action.finish(_as_outcome(error), **fields)


def _as_outcome(error: BaseException | None) -> BaseException | None:
    """The error, or the one that stands for it: each library has its own for time that is up."""
    names = [] if error is None else [class_.__name__ for class_ in type(error).__mro__]
    if any(name.endswith(("Timeout", "TimeoutError")) for name in names):
        return TimeoutError()
    if "CancelledError" in names:
        return GeneratorExit()
    return error


def size_of(data: object) -> int | None:
    """How many bytes what is written has, as far as that can be told without reading it."""
    if isinstance(data, (bytes, bytearray)):
        return len(data)
    if isinstance(data, memoryview):
        return data.nbytes
    return None


def size_of_file(path: object) -> int | None:
    """The size of a local file, if the path is one's."""
    try:
        return os.stat(path).st_size if isinstance(path, (str, os.PathLike)) else None  # noqa: PTH116
    except OSError:
        return None
