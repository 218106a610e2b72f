"""`inspect-trace dump`: the records themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inspect_trace.cli.options import file_argument, filter_options
from inspect_trace.cli.output import write_report

if TYPE_CHECKING:
    from inspect_trace._core import Filter


@click.command("dump")
@file_argument
@filter_options
@click.option("--jsonl", is_flag=True, help="One record a line (JSON Lines), not one array.")
def dump_command(file: str | None, record_filter: Filter | None, *, jsonl: bool) -> None:
    """Print the records of a trace log as a JSON array."""
    from inspect_trace import _core
    from inspect_trace.store import find_trace_file

    path = find_trace_file(file)
    write_report(_core.dump_report(path, filter=record_filter, jsonl=jsonl))
