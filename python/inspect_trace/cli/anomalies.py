"""`inspect-trace anomalies`: the actions that did not simply end."""

from __future__ import annotations

import time

import click

from inspect_trace.cli.options import file_argument, filter_option, json_option
from inspect_trace.cli.output import stdout_terminal, write_report


@click.command("anomalies")
@file_argument
@filter_option
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help="In the tables also show actions that failed or timed out (JSON always has them).",
)
@json_option("an object {trace_file, as_of, process, running, cancelled, errors, timeouts}")
def anomalies_command(
    file: str | None, filter_text: str | None, *, show_all: bool, as_json: bool
) -> None:
    """Show the actions that did not simply end.

    These are actions that still run (or that the process died in), that were cancelled and, on
    demand, that failed or timed out.
    """
    from inspect_trace import _core
    from inspect_trace.store import find_trace_file

    path = find_trace_file(file)
    terminal = stdout_terminal()
    write_report(
        _core.anomalies_report(
            path,
            filter=filter_text,
            show_all=show_all,
            json=as_json,
            as_of=time.time(),
            width=terminal.width,
            color=terminal.color,
        )
    )
