"""`inspect-trace verify`: what is wrong with a log."""

from __future__ import annotations

import time

import click

from inspect_trace.cli.options import files_argument, json_option
from inspect_trace.cli.output import write_report


@click.command("verify")
@files_argument
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    help="List no more than N problems of each log; all are counted.",
)
@json_option("an object {trace_file, as_of, logs}")
@click.pass_context
def verify_command(
    ctx: click.Context, files: tuple[str, ...], *, limit: int | None, as_json: bool
) -> None:
    """Tell what in trace logs cannot be used or has to be repaired.

    Each problem is told with its line and byte, and each log is summed up. The exit code is 1 if
    there is any problem, 0 if the logs are whole. A last line that is just being written is told,
    but is none.
    """
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    report = _core.verify_report(
        find_trace_files(files), limit=limit, json=as_json, as_of=time.time()
    )
    write_report(report)
    if report.found_problems:
        ctx.exit(1)
