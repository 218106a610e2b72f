"""`inspect-trace archive-verify`: what is wrong with an archive."""

from __future__ import annotations

import click

from inspect_trace.cli._archive_options import contents, url_argument
from inspect_trace.cli.options import json_option
from inspect_trace.cli.output import write_report


@click.command("archive-verify")
@url_argument
@click.option(
    "--checksums", is_flag=True, help="Read all objects, too, and compare their checksums (sha256)."
)
@json_option("an object {as_of, url, checksums, logs, objects, size, problems}")
def archive_verify_command(*, url: str, checksums: bool, as_json: bool) -> None:
    """Tell what is wrong with the archive at URL.

    For each log: whether the objects are there that its manifest names, and as long as it says.
    The exit code is 1 if anything is wrong, with a line for each.

    \b
    Examples:
      inspect-trace archive-verify s3://bucket/traces
      inspect-trace archive-verify s3://bucket/traces/2026/11 --checksums
    """  # noqa: D301 - click wants the character itself
    from time import time

    with contents(url) as found:
        report = found.check(as_of=time(), checksums=checksums).report(
            checksums=checksums, json=as_json
        )
    write_report(report)
