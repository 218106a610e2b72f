"""`inspect-trace dump`: the records themselves."""

from __future__ import annotations

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


@click.command("dump")
@files_argument
@filter_options
@redact_option
@detail_option
@part_options("Only the last N of these records of each log.", "No more than N records in all.")
@click.option("--jsonl", is_flag=True, help="One record a line (JSON Lines), not one array.")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Go on with what is appended to the log, until it is finished (with --jsonl).",
)
def dump_command(
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    tail: int | None,
    limit: int | None,
    redact: bool,
    no_detail: bool,
    jsonl: bool,
    follow: bool,
) -> None:
    """Print the records of trace logs as a JSON array.

    Of several logs, each record says in `trace_file` which one it is from.
    """
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    if follow and not jsonl:
        raise click.UsageError("--follow needs --jsonl")
    if follow and limit is not None:
        raise click.UsageError("--follow has no end to limit: leave out --limit")
    paths = find_trace_files(files)
    if not follow:
        report = _core.dump_report(
            paths,
            filter=record_filter,
            jsonl=jsonl,
            tail=tail,
            limit=limit,
            redact=redact,
            no_detail=no_detail,
        )
        write_report(report)
        return
    if len(paths) > 1:
        raise click.UsageError("--follow reads one log: name one file")
    if "://" in paths[0]:
        raise click.UsageError(f"--follow reads a log as it is written: {paths[0]} is no file")
    from inspect_trace.cli.follow import write_followed

    write_followed(
        _core.follow_report(
            paths[0], filter=record_filter, tail=tail, redact=redact, no_detail=no_detail
        )
    )
