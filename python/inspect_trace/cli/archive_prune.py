"""`inspect-trace archive-prune`: keeps an archive small."""

from __future__ import annotations

import click

from inspect_trace.cli._archive_options import contents, parsed, url_argument
from inspect_trace.cli.options import json_option
from inspect_trace.cli.output import stdout_terminal, write_report


def _duration(text: str) -> float:
    from inspect_trace import _core

    return _core.parse_duration(text)


def _size(text: str) -> int:
    from inspect_trace import _core

    return _core.parse_size(text)


@click.command("archive-prune")
@url_argument
@click.option(
    "--older-than",
    "older_than_s",
    metavar="AGE",
    callback=parsed(_duration),
    help="Remove logs whose last record is older: 30d, 12h, 1w, or a number of seconds.",
)
@click.option(
    "--max-bytes",
    metavar="SIZE",
    callback=parsed(_size),
    help="Remove the oldest logs until the others are not larger together: 100GB, 1.5TB, 64GiB.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@json_option("an object {as_of, url, dry_run, logs, size, removals, freed, left, ...}")
def archive_prune_command(
    *,
    url: str,
    older_than_s: float | None,
    max_bytes: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove the oldest logs from the archive at URL, whole, without asking.

    A log that is not finished stays, unless nothing has been heard of it for longer than
    --older-than. At least one of --older-than and --max-bytes is needed.

    \b
    Examples:
      inspect-trace archive-prune s3://bucket/traces --older-than 30d --dry-run
      inspect-trace archive-prune s3://bucket/traces --older-than 90d --max-bytes 1TB
    """  # noqa: D301 - click wants the character itself
    if older_than_s is None and max_bytes is None:
        raise click.UsageError("say what goes: --older-than AGE, --max-bytes SIZE, or both")
    from time import time

    from inspect_trace import _core

    terminal = stdout_terminal()
    with contents(url) as found:
        pruning = _core.ArchivePruning(
            found.catalog, older_than=older_than_s, max_bytes=max_bytes, as_of=time()
        )
        if not dry_run:
            found.prune(pruning)
        report = pruning.report(
            dry_run=dry_run, json=as_json, width=terminal.width, color=terminal.color
        )
    write_report(report)
