"""The choice of records that everything which reads a log offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date


def record_filter(
    *,
    message: str | None = None,
    level: str | None = None,
    action: str | Sequence[str] | None = None,
    event: str | Sequence[str] | None = None,
    since: str | date | float | None = None,
    until: str | date | float | None = None,
    min_duration: str | float | None = None,
    sample: str | float | Sequence[str | float] | None = None,
    task: str | float | Sequence[str | float] | None = None,
) -> _core.Filter | None:
    """The core's filter for what a caller of `scan` asks for; None where that is everything.

    Raises:
        ValueError: A value is none of its kind; the one line says what is.
    """
    if all(
        value is None
        for value in (message, level, action, event, since, until, min_duration, sample, task)
    ):
        return None
    return _core.Filter(
        message,
        level=level,
        actions=_texts(action),
        events=_texts(event),
        since=_moment(since),
        until=_moment(until),
        min_duration=min_duration,
        samples=_texts(sample),
        tasks=_texts(task),
    )


def _texts(values: str | float | Sequence[str | float] | None) -> list[str] | None:
    """One value or several, numbers and booleans as JSON has them."""
    if values is None:
        return None
    import json

    several = [values] if isinstance(values, (str, int, float)) else values
    return [json.dumps(value) if isinstance(value, (int, float)) else value for value in several]


def _moment(when: str | date | float | None) -> str | float | None:
    """A moment in a form that the core takes; what has no zone is local time."""
    if when is None or isinstance(when, (str, int, float)):
        return when
    from datetime import datetime  # not before it is needed: every start would take longer

    return when.timestamp() if isinstance(when, datetime) else when.isoformat()
