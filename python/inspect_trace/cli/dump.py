"""`inspect-trace dump`: the records themselves."""

from __future__ import annotations

import click

from inspect_trace.cli.follow import write_followed
from inspect_trace.cli.options import file_argument, filter_option
from inspect_trace.cli.output import write_report


@click.command("dump")
@file_argument
@filter_option
@click.option("--jsonl", is_flag=True, help="One record a line (JSON Lines), not one array.")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Go on with what is appended to the log, until it is finished (with --jsonl).",
)
def dump_command(file: str | None, filter_text: str | None, *, jsonl: bool, follow: bool) -> None:
    """Print the records of a trace log as a JSON array."""
    from inspect_trace import _core
    from inspect_trace.store import resolve_trace_file

    if follow and not jsonl:
        raise click.UsageError("--follow needs --jsonl")
    path = str(resolve_trace_file(file))
    if follow:
        write_followed(_core.follow_report(path, filter=filter_text))
        return
    write_report(_core.dump_report(path, filter=filter_text, jsonl=jsonl))
