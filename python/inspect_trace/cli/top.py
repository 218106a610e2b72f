"""`inspect-trace top`: a live screen of what runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.options import detail_option, files_argument, filter_options, redact_option
from inspect_trace.cli.output import complain

if TYPE_CHECKING:
    from inspect_trace._core import Filter


@click.command("top")
@files_argument
@filter_options
@redact_option
@detail_option
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0.05, max=86400),
    default=1.0,
    help="How long to wait between two looks; default: 1.",
)
def top_command(
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    redact: bool,
    no_detail: bool,
    interval_s: float,
) -> None:
    """Show live what runs, the longest first, and count how what ended did.

    FILE may be a directory: logs that come to it are taken in. Keys: s sorts, / looks for a text, i
    shows only innermost actions, f freezes, Enter shows all of an action and its records, q
    leaves.

    Needs the extra top: pip install 'inspect-trace[top]'. Without it, and where there is no
    terminal, there is anomalies --watch.

    \b
    Examples:
      inspect-trace top
      inspect-trace top --task my_eval ./traces
    """  # noqa: D301 - click wants the character itself
    from importlib.util import find_spec

    if find_spec("textual") is None:
        raise click.ClickException("top needs Textual: pip install 'inspect-trace[top]'")
    if sys.stdout is None or not (sys.stdout.isatty() and sys.__stdin__ and sys.__stdin__.isatty()):
        raise click.UsageError("top needs a terminal: anomalies --watch does not")
    from inspect_trace.cli.watch import open_view, read_first

    # What is wrong with the files is told before the screen is taken.
    view = open_view(files, record_filter, redact=redact, no_detail=no_detail)
    try:
        read_first(view)
        from inspect_trace.cli.top_screen import TopApp

        app = TopApp(view, interval_s=interval_s, redact=redact)
        app.run()
        if app.failure is not None:
            raise app.failure
        if app.is_interrupted:
            raise KeyboardInterrupt
    finally:
        for line in (*view.take_notes(), *view.skipped):
            complain(line)
