"""Reading trace logs: the records of one, and the actions that went wrong in it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from . import _core
from ._core import Action, Anomalies, FollowedRecords, Records, TraceRecord
from .filters import record_filter
from .store import resolve_trace_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

__all__ = [
    "Action",
    "Anomalies",
    "FollowedRecords",
    "Records",
    "TraceRecord",
    "anomalies",
    "follow",
    "scan",
]


def scan(
    file: str | os.PathLike[str] | None = None,
    *,
    filter: str | None = None,  # noqa: A002
    level: str | None = None,
    action: str | Sequence[str] | None = None,
    event: str | Sequence[str] | None = None,
    since: str | date | float | None = None,
    until: str | date | float | None = None,
    min_duration: str | float | None = None,
    sample: str | float | Sequence[str | float] | None = None,
    task: str | float | Sequence[str | float] | None = None,
    tail: int | None = None,
    limit: int | None = None,
) -> Records:
    """The records of a trace log, one after the other.

    The log is read as the records are asked for, and a few megabytes ahead, on all cores and in
    constant memory. Lines that are no records
    are skipped and counted: see `Records.skipped`, once the records have ended.

    Every condition that is given has to hold; of several values for one, any may.

    Args:
        file: A path or a name as `resolve_trace_file` takes it, or the URL of an object
            (`s3://bucket/trace-4242.log.gz`; needs the extra `remote`); default: the most recent
            log. Plain and gzip-compressed logs are told apart by their content.
        filter: Only records whose message contains this text, upper and lower case being equal.
        level: Only records of this level (`"WARNING"`, `"30"`) and of those above; with a `=`
            before it, of this level alone. A level without a number that is known stands for
            itself alone.
        action: Only records of these kinds of action, upper and lower case being equal.
        event: Only action records that tell of one of these: `enter`, `exit`, `cancel`, `error`,
            `timeout`.
        since: Only records made at this moment or later: seconds since the epoch, a `datetime`
            (without a zone: local time), a `date` (its start), or a text as the commands take it:
            `"2026-11-23T10:22"`, `"14:30"`, `"-1h30m"`, `"now"`.
        until: Only records made before this moment.
        min_duration: Only records of actions that took so long, or longer: seconds, or a text
            (`"1h30m"`).
        sample: Only records whose field `sample_id` is one of these values, exactly; a number
            also finds the text that it is written as, and the reverse.
        task: Only records whose field `task` is one of these values, exactly.
        tail: Only the last so many of these records. Of a plain log, no more is read than has to
            be; a compressed one is read twice.
        limit: No more than so many of these records.

    Returns:
        An iterator of `TraceRecord`.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The log cannot be read.
        ValueError: A condition is none of its kind; the one line says what is.

    Example:
        ```python
        for record in inspect_trace.scan("trace-4242.log", level="WARNING", since="-3h"):
            print(record.timestamp, record.message)
        ```
    """
    with _found(file) as path:
        return _core.scan(
            path,
            filter=record_filter(
                message=filter,
                level=level,
                action=action,
                event=event,
                since=since,
                until=until,
                min_duration=min_duration,
                sample=sample,
                task=task,
            ),
            tail=tail,
            limit=limit,
        )


def follow(
    file: str | os.PathLike[str] | None = None,
    *,
    filter: str | None = None,  # noqa: A002
    level: str | None = None,
    action: str | Sequence[str] | None = None,
    event: str | Sequence[str] | None = None,
    since: str | date | float | None = None,
    until: str | date | float | None = None,
    min_duration: str | float | None = None,
    sample: str | float | Sequence[str | float] | None = None,
    task: str | float | Sequence[str | float] | None = None,
    tail: int | None = None,
) -> FollowedRecords:
    """The records of a trace log, and then those that are appended to it, as they are written.

    Asking for the next record waits for it, other threads go on meanwhile, and Ctrl-C is heard.
    The iterator ends when nothing more can come: the log is a compressed one, or its process has
    ended. A log that is replaced, truncated or compressed meanwhile is followed on without a
    record being missed or given twice: see `FollowedRecords.take_notes`.

    Args:
        file: A path or a name as `resolve_trace_file` takes it; default: the most recent log.
        filter: Only records whose message contains this text, upper and lower case being equal.
        level: As in `scan`, and so are the next ones.
        action: Only records of these kinds of action.
        event: Only action records that tell of one of these.
        since: Only records made at this moment or later.
        until: Only records made before this moment.
        min_duration: Only records of actions that took so long, or longer.
        sample: Only records with one of these values as `sample_id`.
        task: Only records with one of these values as `task`.
        tail: Of the records that are there already, only the last so many.

    Returns:
        An iterator of `TraceRecord`.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The log cannot be read.
        ValueError: A condition is none of its kind; the one line says what is.

    Example:
        ```python
        for record in inspect_trace.follow("trace-4242.log", filter="retry"):
            print(record.timestamp, record.message)
        ```
    """
    return _core.follow(
        os.fspath(resolve_trace_file(file)),
        filter=record_filter(
            message=filter,
            level=level,
            action=action,
            event=event,
            since=since,
            until=until,
            min_duration=min_duration,
            sample=sample,
            task=task,
        ),
        tail=tail,
    )


def anomalies(
    file: str | os.PathLike[str] | None = None,
    *,
    filter: str | None = None,  # noqa: A002
    level: str | None = None,
    action: str | Sequence[str] | None = None,
    event: str | Sequence[str] | None = None,
    since: str | date | float | None = None,
    until: str | date | float | None = None,
    min_duration: str | float | None = None,
    sample: str | float | Sequence[str | float] | None = None,
    task: str | float | Sequence[str | float] | None = None,
    tail: int | None = None,
    as_of: float | None = None,
) -> Anomalies:
    """The actions of a trace log that still run, were cut off, cancelled, failed or timed out.

    The conditions are those of `scan`. `filter`, `level`, `action`, `sample` and `task` choose the
    records that count; the others choose actions, once all is known of them.

    Args:
        file: A path or a name as `resolve_trace_file` takes it, or the URL of an object; default:
            the most recent log.
        filter: Only records whose message contains this text, upper and lower case being equal.
        level: Only records of this level and of those above, or with a `=` of this level alone.
        action: Only these kinds of action, upper and lower case being equal.
        event: Only actions of which one of these is the last that is known: `enter` of those that
            still run or were cut off, `cancel`, `error`, `timeout`.
        since: Only actions that ended at this moment or later, or still run (see `as_of`).
        until: Only actions that began before this moment. Of an action whose start is not known
            the end counts.
        min_duration: Only actions whose `duration` is so long, or longer.
        sample: Only actions whose records have one of these values as `sample_id`.
        task: Only actions whose records have one of these values as `task`.
        tail: Look only at the last so many records of the log, of whatever kind.
        as_of: The moment that the durations of running actions are dated to, in seconds since
            the epoch; default: now. Those of interrupted actions are dated to the last record
            that their process wrote.

    Returns:
        The actions by outcome, the most recently finished first.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The log cannot be read.
        ValueError: A condition is none of its kind; the one line says what is.

    Example:
        ```python
        found = inspect_trace.anomalies()
        for action in found.running + found.interrupted:
            print(action.action, action.detail, action.duration)
        ```
    """
    with _found(file) as path:
        return _core.anomalies(
            path,
            filter=record_filter(
                message=filter,
                level=level,
                action=action,
                event=event,
                since=since,
                until=until,
                min_duration=min_duration,
                sample=sample,
                task=task,
            ),
            tail=tail,
            as_of=as_of,
        )


@contextlib.contextmanager
def _found(file: str | os.PathLike[str] | None) -> Iterator[str]:
    """The path of a log, or the name by which one elsewhere can be opened now."""
    name = None if file is None else os.fspath(file)
    if name is not None and "://" in name:
        from . import remote

        if remote.is_url(name):
            with remote.opened(name) as path:
                yield path
            return
    yield os.fspath(resolve_trace_file(name))
