"""`inspect-trace archive-list`: the logs in an archive."""

from __future__ import annotations

import click

from inspect_trace.cli._archive_options import contents, parsed, url_argument
from inspect_trace.cli.options import json_option
from inspect_trace.cli.output import encodable, stdout_terminal, write_report


def _moment(text: str) -> float:
    from time import time

    from inspect_trace import _core

    return _core.parse_moment(text, now=time())


@click.command("archive-list")
@url_argument
@click.option(
    "--since",
    metavar="WHEN",
    callback=parsed(_moment),
    help="Only logs with records from that time on: 2026-11-23T10:22 (local time, or with an "
    "offset), 2026-11-23, 14:30, -3h, -1h30m, now, @SECONDS; or with actions that may still run.",
)
@click.option(
    "--until",
    metavar="WHEN",
    callback=parsed(_moment),
    help="Only logs that began before this time.",
)
@click.option(
    "--host", metavar="NAME", multiple=True, help="Only logs from this machine. May be repeated."
)
@click.option(
    "--task",
    metavar="NAME",
    multiple=True,
    help="Only logs that name this task, exactly. May be repeated.",
)
@click.option("--open", "is_open", is_flag=True, help="Only logs with actions that have not ended.")
@click.option("--failed", is_flag=True, help="Only logs with actions that failed, or timed out.")
@click.option(
    "--jsonl", is_flag=True, help="Print the manifests, one a line, each with the url of its log."
)
@json_option("an object {as_of, url, logs, unusable}")
def archive_list_command(
    *,
    url: str,
    since: float | None,
    until: float | None,
    host: tuple[str, ...],
    task: tuple[str, ...],
    is_open: bool,
    failed: bool,
    jsonl: bool,
    as_json: bool,
) -> None:
    """List the logs in the archive at URL, newest first.

    With who wrote them, and whether that process is still heard of, as their manifests tell: no
    log is opened.

    \b
    Examples:
      inspect-trace archive-list s3://bucket/traces
      inspect-trace archive-list s3://bucket/traces --open --since -3h
      inspect-trace archive-list s3://bucket/traces --jsonl | jq -r 'select(.open > 9).url'
    """  # noqa: D301 - click wants the character itself
    if jsonl and as_json:
        raise click.UsageError("--json and --jsonl do not go together")
    from time import time

    terminal = stdout_terminal()
    with contents(url) as found:
        report = found.catalog.report(
            since=since,
            until=until,
            hosts=list(map(encodable, host)),
            tasks=list(map(encodable, task)),
            open=is_open,
            failed=failed,
            format="jsonl" if jsonl else "json" if as_json else "table",
            as_of=time(),
            width=terminal.width,
            color=terminal.color,
        )
    write_report(report)
