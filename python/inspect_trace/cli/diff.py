"""`inspect-trace diff`: what has changed from one run to another."""

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
    filter_options,
    json_option,
    part_options,
    redact_option,
)
from inspect_trace.cli.output import stdout_terminal, write_report

if TYPE_CHECKING:
    from inspect_trace._core import Filter


@click.command(
    "diff",
    epilog="Examples: `inspect-trace diff trace.log.1.gz trace.log` compares the newest log with "
    "the one before; `inspect-trace diff --by model runs/monday runs/tuesday` compares two "
    "directories of logs by model.",
)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@by_option
@filter_options
@redact_option
@detail_option
@part_options("Look only at the last N records of each log.", "No more than N groups.")
@engine_options
@json_option("an object {trace_files_a, trace_files_b, as_of, actions, http, ...}")
def diff_command(
    before: str,
    after: str,
    record_filter: Filter | None,
    *,
    by: str,
    tail: int | None,
    limit: int | None,
    redact: bool,
    no_detail: bool,
    engine: Literal["local", "dask", "ray"],
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Show what has changed from one run to another: from the logs A to the logs B.

    A and B are logs, or directories of them. For each kind of action: how many there were, the
    share that failed or timed out, and how long they took, in A and in B.

    What changed most comes first: what there is more or less of, of all actions, of their time or
    of the failed ones. `new` is what only B has, `gone` what only A has.

    The filters choose actions as they do for `anomalies`.
    """
    check_groups(by, no_detail=no_detail)
    check_engine(engine, scheduler)
    shown: dict[str, Any] = {"json": as_json, "limit": limit, **stdout_terminal()._asdict()}
    if engine != "local":
        from inspect_trace.fleet.command import diff_report_of
        from inspect_trace.fleet.question import Question

        question = Question(
            analysis="stats",
            filter=record_filter,
            as_of=time.time(),
            by=by,
            redact=redact,
            no_detail=no_detail,
        )
        asked = diff_report_of(engine, scheduler, question, before, after, tail=tail, **shown)
        write_report(asked)
        return
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    write_report(
        _core.diff_report(
            find_trace_files((before,)),
            find_trace_files((after,)),
            by=by,
            filter=record_filter,
            tail=tail,
            as_of=time.time(),
            redact=redact,
            no_detail=no_detail,
            **shown,
        )
    )
