"""`inspect-trace list`: the logs there are."""

from __future__ import annotations

import click

from inspect_trace.cli.options import detail_option, json_option
from inspect_trace.cli.output import stdout_terminal, write_report


@click.command("list")
@click.option(
    "--long",
    is_flag=True,
    help="Also count the records, and the actions that are open or failed, and name the tasks: for "
    "that all of the logs is read.",
)
@detail_option
@json_option("the listing")
def list_command(*, long: bool, no_detail: bool, as_json: bool) -> None:
    """List the trace logs, newest first.

    With who writes them, since when and for how long, and what was run.

    \b
    Examples:
      inspect-trace list
      inspect-trace list --long
      inspect-trace list --json | jq -r '.[] | select(.alive).file'
    """  # noqa: D301 - click wants the character itself
    from time import time

    from inspect_trace import _core
    from inspect_trace.store import find_trace_dir

    terminal = stdout_terminal()
    write_report(
        _core.list_report(
            find_trace_dir(),
            long=long,
            no_detail=no_detail,
            json=as_json,
            as_of=time(),
            width=terminal.width,
            color=terminal.color,
        )
    )
