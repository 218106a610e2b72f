"""`inspect-trace http`: the HTTP requests, or those that failed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

import click

from inspect_trace.cli.options import (
    check_engine,
    detail_option,
    engine_options,
    files_argument,
    filter_options,
    json_option,
    part_options,
    redact_option,
)
from inspect_trace.cli.output import stdout_terminal, write_report

if TYPE_CHECKING:
    from inspect_trace._core import Filter


@click.command("http")
@files_argument
@filter_options
@redact_option
@detail_option
@part_options("Only the last N of these requests of each log.", "No more than N requests in all.")
@click.option(
    "--failed",
    is_flag=True,
    help="Only requests that failed: a status of 400 or more, no answer, or a retry.",
)
@engine_options
@json_option("an object {trace_file, as_of, requests}")
def http_command(
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    tail: int | None,
    limit: int | None,
    redact: bool,
    no_detail: bool,
    failed: bool,
    engine: Literal["local", "dask", "ray"],
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Show the HTTP requests of trace logs.

    Of several logs, each request says which one it is from.
    """
    check_engine(engine, scheduler)
    shown: dict[str, Any] = {"json": as_json, "limit": limit, **stdout_terminal()._asdict()}
    if engine != "local":
        from inspect_trace.fleet.command import report_of
        from inspect_trace.fleet.question import Question

        question = Question(
            analysis="http",
            filter=record_filter,
            as_of=time.time(),
            failed=failed,
            limit=limit,
            redact=redact,
            no_detail=no_detail,
        )
        write_report(report_of(engine, scheduler, question, files, tail=tail, **shown))
        return
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    write_report(
        _core.http_report(
            find_trace_files(files),
            filter=record_filter,
            tail=tail,
            redact=redact,
            no_detail=no_detail,
            failed=failed,
            as_of=time.time(),
            **shown,
        )
    )
