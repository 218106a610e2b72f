"""`inspect-trace diff`: what has changed from one run to another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.options import (
    by_option,
    check_groups,
    detail_option,
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
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    paths_before, paths_after = find_trace_files((before,)), find_trace_files((after,))
    terminal = stdout_terminal()
    write_report(
        _core.diff_report(
            paths_before,
            paths_after,
            by=by,
            filter=record_filter,
            tail=tail,
            limit=limit,
            json=as_json,
            as_of=time.time(),
            width=terminal.width,
            color=terminal.color,
            redact=redact,
            no_detail=no_detail,
        )
    )
