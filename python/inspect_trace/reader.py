"""Reading trace logs: the records of one, and the actions that went wrong in it."""

from __future__ import annotations

import os

from . import _core
from ._core import Action, Anomalies, FollowedRecords, Records, TraceRecord
from .store import resolve_trace_file

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


def scan(file: str | os.PathLike[str] | None = None, *, filter: str | None = None) -> Records:  # noqa: A002
    """The records of a trace log, one after the other.

    The log is read as the records are asked for, in constant memory. Lines that are no records
    are skipped and counted: see `Records.skipped`, once the records have ended.

    Args:
        file: A path or a name as `resolve_trace_file` takes it; default: the most recent log.
            Plain and gzip-compressed logs are told apart by their content.
        filter: Only records whose message contains this text, upper and lower case being equal.

    Returns:
        An iterator of `TraceRecord`.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The log cannot be read.

    Example:
        ```python
        for record in inspect_trace.scan("trace-4242.log"):
            print(record.timestamp, record.message)
        ```
    """
    return _core.scan(os.fspath(resolve_trace_file(file)), filter=filter)


def follow(
    file: str | os.PathLike[str] | None = None,
    *,
    filter: str | None = None,  # noqa: A002
) -> FollowedRecords:
    """The records of a trace log, and then those that are appended to it, as they are written.

    Asking for the next record waits for it, other threads go on meanwhile, and Ctrl-C is heard.
    The iterator ends when nothing more can come: the log is a compressed one, or its process has
    ended. A log that is replaced, truncated or compressed meanwhile is followed on without a
    record being missed or given twice: see `FollowedRecords.take_notes`.

    Args:
        file: A path or a name as `resolve_trace_file` takes it; default: the most recent log.
        filter: Only records whose message contains this text, upper and lower case being equal.

    Returns:
        An iterator of `TraceRecord`.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The log cannot be read.

    Example:
        ```python
        for record in inspect_trace.follow("trace-4242.log", filter="retry"):
            print(record.timestamp, record.message)
        ```
    """
    return _core.follow(os.fspath(resolve_trace_file(file)), filter=filter)


def anomalies(
    file: str | os.PathLike[str] | None = None,
    *,
    filter: str | None = None,  # noqa: A002
    as_of: float | None = None,
) -> Anomalies:
    """The actions of a trace log that still run, were cut off, cancelled, failed or timed out.

    Args:
        file: A path or a name as `resolve_trace_file` takes it; default: the most recent log.
        filter: Only records whose message contains this text, upper and lower case being equal.
        as_of: The moment that the durations of running actions are dated to, in seconds since
            the epoch; default: now. Those of interrupted actions are dated to the last record
            that their process wrote.

    Returns:
        The actions by outcome, the most recently finished first.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The log cannot be read.

    Example:
        ```python
        found = inspect_trace.anomalies()
        for action in found.running + found.interrupted:
            print(action.action, action.detail, action.duration)
        ```
    """
    return _core.anomalies(os.fspath(resolve_trace_file(file)), filter=filter, as_of=as_of)
