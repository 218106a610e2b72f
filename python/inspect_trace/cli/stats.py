"""`inspect-trace stats`: how many actions there were, how they ended, how long they took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

import click

from inspect_trace.cli.options import (
    by_option,
    check_engine,
    check_groups,
    detail_option,
    engine_options,
    files_argument,
    filter_options,
    json_option,
    part_options,
    redact_option,
)
from inspect_trace.cli.output import stdout_terminal, write_report

if TYPE_CHECKING:
    from inspect_trace._core import Filter


@click.command(
    "stats",
    epilog="Examples: `inspect-trace stats` tells what the newest log's actions amount to; "
    "`inspect-trace stats --by model --since -1h` which model is slow, or fails, in the last "
    "hour; `inspect-trace stats --slowest 10 --action Subprocess` which commands took longest.",
)
@files_argument
@by_option
@click.option(
    "--slowest",
    metavar="N",
    type=click.IntRange(0, 10_000),
    default=0,
    help="Also show the N slowest actions that ended, and where in the log.",
)
@filter_options
@redact_option
@detail_option
@part_options("Look only at the last N records of each log.", "No more than N groups.")
@engine_options
@json_option("an object {trace_files, as_of, actions, http, ...}")
def stats_command(
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    by: str,
    slowest: int,
    tail: int | None,
    limit: int | None,
    redact: bool,
    no_detail: bool,
    engine: Literal["local", "dask", "ray"],
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Show what the actions of trace logs amount to.

    For each kind of action: how many there were, how many are open, the share that failed or timed
    out, how long they took in all and each, and how many ended when. Then the HTTP requests by
    status. Those that took the longest in all come first.

    The quantiles (p50, p90, p99) are within 1 %; all else is exact. Open actions have no
    duration yet: `inspect-trace anomalies` shows them.

    The filters choose actions as they do for `anomalies`.
    """
    check_groups(by, no_detail=no_detail)
    check_engine(engine, scheduler)
    shown: dict[str, Any] = {"json": as_json, "limit": limit, **stdout_terminal()._asdict()}
    if engine != "local":
        from inspect_trace.fleet.command import report_of
        from inspect_trace.fleet.question import Question

        question = Question(
            analysis="stats",
            filter=record_filter,
            as_of=time.time(),
            by=by,
            slowest=slowest,
            redact=redact,
            no_detail=no_detail,
        )
        write_report(report_of(engine, scheduler, question, files, tail=tail, **shown))
        return
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    write_report(
        _core.stats_report(
            find_trace_files(files),
            by=by,
            filter=record_filter,
            slowest=slowest,
            tail=tail,
            as_of=time.time(),
            redact=redact,
            no_detail=no_detail,
            **shown,
        )
    )
