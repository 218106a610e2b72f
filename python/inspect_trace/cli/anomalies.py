"""`inspect-trace anomalies`: the actions that did not simply end."""

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


@click.command("anomalies")
@files_argument
@filter_options
@redact_option
@detail_option
@part_options(
    "Look only at the last N records of each log.", "No more than N actions of each sort."
)
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help="In the tables also show actions that failed or timed out (JSON always has them).",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Go on looking: a screen that is drawn anew, or, where there is no terminal, a line for "
    "each change. Ends with Ctrl-C, or when all processes have ended.",
)
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0.05, max=86400),
    default=1.0,
    help="With --watch: how long to wait between two looks; default: 1.",
)
@engine_options
@json_option(
    "an object {trace_file, as_of, process, running, cancelled, errors, timeouts} (with --watch: "
    "an object a line for each change)"
)
@click.pass_context
def anomalies_command(
    ctx: click.Context,
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    tail: int | None,
    limit: int | None,
    redact: bool,
    no_detail: bool,
    show_all: bool,
    watch: bool,
    interval_s: float,
    engine: Literal["local", "dask", "ray"],
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Show the actions that did not simply end.

    These are actions that still run (or that the process died in), that were cancelled and, on
    demand, that failed or timed out.

    --event, --since, --until and --min-duration choose whole actions: by how they ended (enter:
    not yet), by when they ran, and by how long they took. The other filters choose records.

    Of several logs, each action says which one it is from.

    With --watch a line tells that an action has been open for --min-duration (default: 60s), and
    how it ended. A directory is looked at with the logs that come to it.

    \b
    Examples:
      inspect-trace anomalies --watch
      inspect-trace anomalies --watch --min-duration 5m > watch.txt
    """  # noqa: D301 - click wants the character itself
    if watch:
        from inspect_trace.cli.watch import watch as watch_logs

        elsewhere = None if engine == "local" else engine
        refused = (
            (tail, "--tail"),
            (limit, "--limit"),
            (show_all or None, "--all"),
            (elsewhere, "--engine"),
        )
        for given, name in refused:
            if given is not None:
                raise click.UsageError(f"--watch and {name} do not go together")
        watch_logs(
            files,
            record_filter,
            redact=redact,
            no_detail=no_detail,
            min_duration=ctx.params["min_duration"],
            interval_s=interval_s,
            as_json=as_json,
        )
        return
    check_engine(engine, scheduler)
    shown: dict[str, Any] = {"json": as_json, "limit": limit, **stdout_terminal()._asdict()}
    if engine != "local":
        from inspect_trace.fleet.command import report_of
        from inspect_trace.fleet.question import Question

        question = Question(
            analysis="anomalies",
            filter=record_filter,
            as_of=time.time(),
            show_all=show_all or as_json,
            redact=redact,
            no_detail=no_detail,
        )
        shown["show_all"] = show_all
        write_report(report_of(engine, scheduler, question, files, tail=tail, **shown))
        return
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    write_report(
        _core.anomalies_report(
            find_trace_files(files),
            filter=record_filter,
            tail=tail,
            redact=redact,
            no_detail=no_detail,
            show_all=show_all,
            as_of=time.time(),
            **shown,
        )
    )
