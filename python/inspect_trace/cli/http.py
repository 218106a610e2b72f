"""`inspect-trace http`: the HTTP requests, or those that failed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.options import file_argument, filter_options, json_option
from inspect_trace.cli.output import stdout_terminal, write_report

if TYPE_CHECKING:
    from inspect_trace._core import Filter


@click.command("http")
@file_argument
@filter_options
@click.option(
    "--failed",
    is_flag=True,
    help="Only requests that failed: a status of 400 or more, no answer, or a retry.",
)
@json_option("an object {trace_file, as_of, requests}")
def http_command(
    file: str | None, record_filter: Filter | None, *, failed: bool, as_json: bool
) -> None:
    """Show the HTTP requests of a trace log."""
    from inspect_trace import _core
    from inspect_trace.store import find_trace_file

    path = find_trace_file(file)
    terminal = stdout_terminal()
    write_report(
        _core.http_report(
            path,
            filter=record_filter,
            failed=failed,
            json=as_json,
            as_of=time.time(),
            width=terminal.width,
            color=terminal.color,
        )
    )
