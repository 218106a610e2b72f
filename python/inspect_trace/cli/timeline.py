"""`inspect-trace timeline`: actions over time, as a page for a browser."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.options import (
    detail_option,
    files_argument,
    filter_options,
    part_options,
    redact_option,
)
from inspect_trace.cli.output import write_report

if TYPE_CHECKING:
    from inspect_trace._core import Filter


@click.command("timeline")
@files_argument
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    required=True,
    help="The HTML file to write; - for standard output.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@filter_options
@redact_option
@detail_option
@part_options(
    "Only the last N records of each log.",
    "No more than N actions; 200,000 by default. Unfinished ones come first, then those that did "
    "not end well and what they are in, then the longest.",
)
def timeline_command(
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    output: str,
    force: bool,
    redact: bool,
    no_detail: bool,
    tail: int | None,
    limit: int | None,
) -> None:
    """Write a page that shows the actions of trace logs over time, for any browser.

    The page is one file and loads nothing else. Actions are in lanes by task and sample, or by
    process, within those that they are part of, coloured by how they ended. Zoom with + and -, or
    Ctrl and the wheel; drag to move; / searches; ? tells the other keys.

    The filters choose actions; those that they are in are shown too.

    \b
    Examples:
      inspect-trace timeline -o trace.html
      inspect-trace timeline --since -1h --min-duration 1 -o slow.html trace.log
    """  # noqa: D301 - click wants the character itself
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    paths = find_trace_files(files)
    report = _core.timeline_report(
        paths,
        filter=record_filter,
        tail=tail,
        limit=limit,
        as_of=time.time(),
        redact=redact,
        no_detail=no_detail,
    )
    if output == "-":
        write_report(report)
        return
    from inspect_trace.cli.output_file import write_report_to_file

    write_report_to_file(report, output, paths, force=force)
    click.echo(f"{click.format_filename(output)} is written: open it in a browser.")
