"""`inspect-trace tree`: actions within actions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.options import (
    detail_option,
    files_argument,
    filter_options,
    json_option,
    part_options,
    redact_option,
)
from inspect_trace.cli.output import stdout_terminal, write_report

if TYPE_CHECKING:
    from inspect_trace._core import Filter


@click.command("tree")
@files_argument
@filter_options
@redact_option
@detail_option
@part_options(
    "Look only at the last N records of each log.",
    "No more than N outermost actions that ended; unfinished ones are always shown.",
)
@click.option(
    "--running",
    is_flag=True,
    help="Only actions that have not ended, and those that they are in.",
)
@json_option("an object {trace_file, as_of, actions}")
def tree_command(
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    tail: int | None,
    limit: int | None,
    redact: bool,
    no_detail: bool,
    running: bool,
    as_json: bool,
) -> None:
    """Show the actions of trace logs within those that they are part of.

    Each has its duration and how it ended. What has not ended comes last.

    The filters choose actions: by one of their records, and (--event, --since, --until,
    --min-duration) by how they ended, when they ran, and how long they took. Those that they are
    in are shown too.

    Logs of inspect_ai do not tell what an action is in: there it is nested by sample and time, as
    far as that is certain.
    """
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    paths = find_trace_files(files)
    terminal = stdout_terminal()
    write_report(
        _core.tree_report(
            paths,
            filter=record_filter,
            tail=tail,
            limit=limit,
            running=running,
            json=as_json,
            as_of=time.time(),
            width=terminal.width,
            color=terminal.color,
            redact=redact,
            no_detail=no_detail,
        )
    )
