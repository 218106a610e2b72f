"""`inspect-trace http`: the HTTP requests, or those that failed."""

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


@click.command("http")
@files_argument
@filter_options
@redact_option
@detail_option
@part_options("Only the last N of these requests of each log.", "No more than N requests in all.")
@click.option(
    "--failed",
    is_flag=True,
    help="Only requests that failed: a status of 400 or more, no answer, or a retry.",
)
@json_option("an object {trace_file, as_of, requests}")
def http_command(
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    tail: int | None,
    limit: int | None,
    redact: bool,
    no_detail: bool,
    failed: bool,
    as_json: bool,
) -> None:
    """Show the HTTP requests of trace logs.

    Of several logs, each request says which one it is from.
    """
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    paths = find_trace_files(files)
    terminal = stdout_terminal()
    write_report(
        _core.http_report(
            paths,
            filter=record_filter,
            tail=tail,
            limit=limit,
            redact=redact,
            no_detail=no_detail,
            failed=failed,
            json=as_json,
            as_of=time.time(),
            width=terminal.width,
            color=terminal.color,
        )
    )
