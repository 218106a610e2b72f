"""`inspect-trace dump`: the records themselves."""

from __future__ import annotations

import click

from inspect_trace.cli.options import file_argument, filter_option
from inspect_trace.cli.output import write_report


@click.command("dump")
@file_argument
@filter_option
@click.option("--jsonl", is_flag=True, help="One record a line (JSON Lines), not one array.")
def dump_command(file: str | None, filter_text: str | None, *, jsonl: bool) -> None:
    """Print the records of a trace log as a JSON array."""
    from inspect_trace import _core
    from inspect_trace.store import find_trace_file

    path = find_trace_file(file)
    write_report(_core.dump_report(path, filter=filter_text, jsonl=jsonl))
