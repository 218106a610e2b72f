"""What is asked of logs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inspect_trace import _core
from inspect_trace.filters import record_filter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

Analysis = Literal["anomalies", "stats", "http"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, with all that has a part in the answer; it can be pickled.

    Attributes:
        analysis: `anomalies`, `stats` or `http`, as the commands of these names.
        filter: The records and actions that count; `None`: all.
        as_of: Now, seconds since the epoch.
        show_all: Of `anomalies`: with errors and timeouts.
        by: Of `stats`: what actions are grouped by.
        slowest: Of `stats`: so many of the slowest actions are told.
        failed: Of `http`: only requests that failed.
        limit: Of `http`: no more than so many requests.
        redact: Whether keys, tokens and passwords are left out.
        no_detail: Whether what was said is left out.
    """

    analysis: Analysis
    filter: _core.Filter | None = None
    as_of: float
    show_all: bool = True
    by: str = "action"
    slowest: int = 0
    failed: bool = False
    limit: int | None = None
    redact: bool = True
    no_detail: bool = False

    def core(self) -> _core.Question:
        """The same as the core takes it.

        Raises:
            ValueError: There is no such analysis, or nothing to group by.
        """
        if self.analysis == "anomalies":
            return _core.Question.anomalies(
                filter=self.filter, as_of=self.as_of, show_all=self.show_all
            )
        if self.analysis == "stats":
            return _core.Question.stats(
                by=self.by,
                filter=self.filter,
                as_of=self.as_of,
                slowest=self.slowest,
                redact=self.redact,
                no_detail=self.no_detail,
            )
        if self.analysis == "http":
            return _core.Question.http(
                filter=self.filter,
                as_of=self.as_of,
                failed=self.failed,
                limit=self.limit,
                redact=self.redact,
                no_detail=self.no_detail,
            )
        raise ValueError(f"'{self.analysis}' is no analysis: ask for anomalies, stats or http")


def ask(
    analysis: Analysis,
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
    as_of: float | None = None,
    by: str = "action",
    slowest: int = 0,
    failed: bool = False,
    limit: int | None = None,
    redact: bool = True,
    no_detail: bool = False,
) -> Question:
    """A question about trace logs.

    Args:
        analysis: `anomalies`, `stats` or `http`: what the commands of these names tell.
        filter: Only records whose message contains this text; this and the next ones as in
            `inspect_trace.scan`. Times that are relative count from now, wherever logs are read.
        level: Only records of this level and those above.
        action: Only these kinds of action.
        event: Only actions that ended so.
        since: Only what was at this moment or later.
        until: Only what was before this moment.
        min_duration: Only actions that took so long, or longer.
        sample: Only samples with one of these ids.
        task: Only these tasks.
        as_of: When the question is asked, seconds since the epoch: until then what runs has lasted;
            default: now.
        by: Of `stats`: `action`, `task`, `sample`, `detail`, `model`, `host` or `run`.
        slowest: Of `stats`: so many of the slowest actions are told.
        failed: Of `http`: only requests that failed.
        limit: Of `http`: no more than so many requests.
        redact: Leave out keys, tokens and passwords.
        no_detail: Leave out what was said.

    Returns:
        The question.

    Raises:
        ValueError: There is no such analysis, or a value is none of its kind.
    """
    question = Question(
        analysis=analysis,
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
        as_of=time.time() if as_of is None else as_of,
        by=by,
        slowest=slowest,
        failed=failed,
        limit=limit,
        redact=redact,
        no_detail=no_detail,
    )
    question.core()  # tells what is wrong with it here, and not on some worker
    return question
