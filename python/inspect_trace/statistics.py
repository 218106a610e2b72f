"""What the actions of trace logs amount to: counts, outcomes, durations."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from . import _core
from .filters import record_filter
from .store import found_trace_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

__all__ = ["ActionStats", "HttpStats", "SlowAction", "Stats", "stats"]


@dataclass(frozen=True)
class ActionStats:
    """What the actions of one group amount to. Durations are in seconds."""

    name: str | None
    """What they have in common; None of those whose records do not say."""
    count: int
    """How many there are, open ones included."""
    open: int
    """How many had not ended by the end of their log."""
    exits: int
    """How many ended well."""
    errors: int
    """How many ended by an exception."""
    timeouts: int
    """How many timed out."""
    cancels: int
    """How many were cancelled."""
    error_rate: float | None
    """The share of those that ended by an exception or timed out; None where none ended."""
    total: float
    """The durations of those that ended, added up."""
    mean: float | None
    """Their mean; None where there are none, and so are the next ones."""
    p50: float | None
    """The duration that half of them did not exceed, within `Stats.quantile_error` of itself."""
    p90: float | None
    """The duration that nine in ten did not exceed, likewise."""
    p99: float | None
    """The duration that 99 in 100 did not exceed, likewise."""
    max: float | None
    """The longest duration."""
    over_time: list[int]
    """How many ended in each of 24 equal stretches from `Stats.since` to `Stats.until`."""


@dataclass(frozen=True)
class HttpStats:
    """HTTP requests with the same outcome."""

    status: int | None
    """The status of the response, where there is one."""
    retry: bool
    """Whether the records tell that a request is made again."""
    count: int
    """How many."""
    failed: int
    """How many of them failed."""


@dataclass(frozen=True)
class SlowAction:
    """One of the slowest actions that ended. Texts are cut after 1,000 bytes."""

    action: str
    """The kind of action."""
    detail: str
    """What it was at, in words."""
    event: Literal["exit", "cancel", "error", "timeout"]
    """How it ended."""
    duration: float
    """How long it took, in seconds."""
    trace_id: str
    """What joins its records."""
    task: Any
    """The evaluation task it belongs to, as recorded."""
    sample_id: Any
    """The sample it belongs to, as recorded."""
    epoch: Any
    """The epoch it belongs to, as recorded."""
    error: str | None
    """What the exception said."""
    error_type: str | None
    """The class of the exception."""
    trace_file: str
    """The file that its closing record is in."""
    offset: int
    """Where that record's line begins in the (decompressed) file, in bytes."""


@dataclass(frozen=True)
class Stats:
    """What the actions of some logs amount to."""

    trace_files: list[str]
    """The logs."""
    by: str
    """What actions are grouped by."""
    quantile_error: float
    """What quantiles are off by at most, of themselves."""
    since: float | None
    """When the first of the actions ended, in seconds since the epoch."""
    until: float | None
    """When the last of them ended."""
    actions: list[ActionStats]
    """The groups, those first that took the longest in all."""
    others: ActionStats | None
    """Actions of groups beyond the first 10,000, together."""
    http: list[HttpStats]
    """The HTTP requests by outcome."""
    slowest: list[SlowAction]
    """The slowest actions, the slowest first."""
    skipped: str | None
    """What was skipped or repaired while reading, or could not be read, in words; or None."""


def stats(
    *files: str | os.PathLike[str],
    by: Literal["action", "task", "sample", "detail", "model", "host", "run"] = "action",
    slowest: int = 0,
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
    as_of: float | None = None,
) -> Stats:
    """How many actions there were in some logs, how they ended, and how long they took.

    The conditions are those of `anomalies`, and choose actions as they do there.

    Args:
        *files: Paths or names as the commands take them, directories too; default: the most
            recent log.
        by: What actions are grouped by: their kind, their task, sample, detail, model (only
            `Model` actions count then), the machine (where a field `host` tells, or the archive
            that the log is from) or the run (as noted on the log, or in the archive).
        slowest: So many of the slowest actions are told.
        filter: Only records whose message contains this text, upper and lower case being equal.
        level: Only records of this level and of those above, or with a `=` of this level alone.
        action: Only these kinds of action, upper and lower case being equal.
        event: Only actions of which one of these is the last that is known.
        since: Only actions that ended at this moment or later, or still run (see `as_of`).
        until: Only actions that began before this moment.
        min_duration: Only actions whose duration is so long, or longer.
        sample: Only actions whose records have one of these values as `sample_id`.
        task: Only actions whose records have one of these values as `task`.
        tail: Look only at the last so many records of each log, of whatever kind.
        limit: No more than so many groups.
        as_of: The moment until which running actions last, in seconds since the epoch; default:
            now.

    Returns:
        Exact counts, totals and extremes, and quantiles within 1 %.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The one log cannot be read; of several, `Stats.skipped` tells.
        ValueError: A condition is none of its kind; the one line says what is.

    Example:
        ```python
        for model in inspect_trace.stats(by="model").actions:
            print(model.name, model.count, model.p50, model.error_rate)
        ```
    """
    with found_trace_files([os.fspath(file) for file in files]) as paths:
        report = _core.stats_report(
            paths,
            by=by,
            slowest=slowest,
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
            json=True,
            as_of=time.time() if as_of is None else as_of,
        )
    told = json.loads(b"".join(report))
    notes = [*report.take_notes(), *([report.skipped] if report.skipped else [])]

    def group(row: dict[str, Any], name: str | None) -> ActionStats:
        return ActionStats(name=name, **{key: row[key] for key in row if key != by})

    others = told["others"]
    return Stats(
        trace_files=told["trace_files"],
        by=by,
        quantile_error=told["quantile_error"],
        since=told["since"],
        until=told["until"],
        actions=[group(row, row[by]) for row in told["actions"]],
        others=None if others is None else group(others, None),
        http=[HttpStats(**row) for row in told["http"]],
        slowest=[
            SlowAction(**{field.name: row.get(field.name) for field in fields(SlowAction)})
            for row in told["slowest"]
        ],
        skipped="\n".join(notes) or None,
    )
