"""`inspect-trace list`: the logs there are."""

from __future__ import annotations

import click

from inspect_trace.cli.options import json_option
from inspect_trace.cli.output import stdout_terminal, write_report


@click.command("list")
@json_option("the listing")
def list_command(*, as_json: bool) -> None:
    """List the trace logs, newest first."""
    from inspect_trace import _core
    from inspect_trace.store import find_trace_dir

    terminal = stdout_terminal()
    write_report(
        _core.list_report(
            find_trace_dir(), json=as_json, width=terminal.width, color=terminal.color
        )
    )
