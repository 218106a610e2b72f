"""Writing a report that waits for more: notes as they come, and an eye on the reader meanwhile."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.output import OutputClosed, complain, write_chunk

if TYPE_CHECKING:
    from inspect_trace._core import Report


def write_followed(report: Report) -> None:
    """Write chunks to stdout and notes to stderr as they come, then what was skipped.

    Ctrl-C is the usual end of following: what was skipped until then is told, too.

    Raises:
        OutputClosed: the reader of stdout has gone away, perhaps while nothing was written.
        click.ClickException: stdout can't be written for another reason.
        OSError: the log can't be read.
        KeyboardInterrupt: Ctrl-C.
    """
    if sys.stdout is None:
        raise click.ClickException("standard output is closed")
    stdout = select.poll()
    # Errors and hang-ups are told without being asked for.
    stdout.register(sys.stdout.fileno(), 0)
    try:
        for chunk in report:
            if chunk:
                write_chunk(chunk)
            elif stdout.poll(0):
                raise OutputClosed
            _write_notes(report)
        _write_notes(report)
    except KeyboardInterrupt:
        _write_skipped(report)
        raise
    _write_skipped(report)


def _write_notes(report: Report) -> None:
    for note in report.take_notes():
        complain(note)


def _write_skipped(report: Report) -> None:
    if report.skipped is not None:
        complain(report.skipped)
