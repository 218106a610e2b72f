"""How tracing speaks to the person: one line on stderr, and never an exception."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

_reported: set[Hashable] = set()

# A program could make new causes without end (code made by exec); the memory of them stays small.
_MAX_CAUSES = 200


def warn(text: str) -> None:
    """Writes one line to stderr; where that cannot be done, nothing happens.

    Args:
        text: What, where and what to do. Line breaks become spaces: the line stays one line.
    """
    stream = sys.stderr
    if stream is None:  # pythonw, daemons
        return
    with contextlib.suppress(Exception):  # a broken stderr is no reason to stop the program
        stream.write(f"inspect-trace: {' '.join(text.split())}\n")


def warn_of_failure(text: str) -> None:
    """Like `warn`, but silent where the program has set `logging.raiseExceptions` to False."""
    if logging.raiseExceptions:
        warn(text)


def warn_of_exception(doing: str, error: BaseException) -> None:
    """Reports an exception that tracing has kept from the program, once for each place it rises.

    Args:
        doing: What failed, as the beginning of a sentence.
        error: The exception.
    """
    place = _innermost_place(error)
    cause = (doing, type(error), place)
    if not logging.raiseExceptions or cause in _reported or len(_reported) >= _MAX_CAUSES:
        return
    _reported.add(cause)
    warn(
        f"{doing} failed{place}: {type(error).__name__}: {text_of(error)} "
        "(the program goes on; reported once)"
    )


def text_of(value: object) -> str:
    """`str(value)`, or a placeholder where that raises."""
    try:
        return str(value)
    except Exception:
        return f"<unprintable {type(value).__name__} object>"


def _innermost_place(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
