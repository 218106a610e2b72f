"""`inspect-trace export`: logs in the formats of other tools."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.options import detail_option, files_argument, filter_options, redact_option
from inspect_trace.cli.output import write_report

if TYPE_CHECKING:
    from inspect_trace._core import Filter

FORMATS = ("perfetto", "otlp", "csv", "parquet", "arrow")
TABLES = ("parquet", "arrow")


@click.command("export")
@files_argument
@click.option(
    "--to",
    "to",
    type=click.Choice(FORMATS, case_sensitive=False),
    required=True,
    help="The format: actions as a trace for Perfetto or Chrome (JSON), or as OpenTelemetry spans "
    "(OTLP, JSON Lines); records as CSV, Parquet or Arrow (an IPC stream).",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    required=True,
    help="The file to write; - for standard output (not of parquet and arrow).",
)
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@filter_options
@redact_option
@detail_option
@click.option(
    "--tail",
    metavar="N",
    type=click.IntRange(min=0),
    help="Only the last N records of each log.",
)
def export_command(
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    to: str,
    output: str,
    force: bool,
    redact: bool,
    no_detail: bool,
    tail: int | None,
) -> None:
    """Write trace logs in the format of another tool.

    Actions that have not ended are exported until now, or until the last record of their process if
    that has ended, and say that they are unfinished. Parquet and Arrow need the extra arrow: pip
    install 'inspect-trace[arrow]'.

    \b
    Examples:
      inspect-trace export --to perfetto -o trace.json
      inspect-trace export --to csv --level WARNING -o - | head
    """  # noqa: D301 - click wants the character itself
    from inspect_trace import _core
    from inspect_trace.store import find_trace_files

    to = to.lower()
    if output == "-" and to in TABLES:
        raise click.UsageError(f"--to {to} needs a file: -o OUT")
    paths = find_trace_files(files)
    if to in TABLES:
        _require_pyarrow()
    kind = "typed-csv" if to in TABLES else to
    report = _core.export_report(
        paths,
        kind,
        filter=record_filter,
        tail=tail,
        as_of=time.time(),
        redact=redact,
        no_detail=no_detail,
    )
    if output == "-":
        write_report(report)
        return
    from inspect_trace.cli.output_file import write_report_to_file, write_through

    if to in TABLES:
        from inspect_trace._arrow import write_table

        write_through(report, output, paths, force=force, write=write_table(to))
    else:
        write_report_to_file(report, output, paths, force=force)


def _require_pyarrow() -> None:
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise click.ClickException(
            "Parquet and Arrow need pyarrow: pip install 'inspect-trace[arrow]'"
        )
