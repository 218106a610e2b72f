"""What every command does with its report: chunks to stdout, what was skipped to stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from inspect_trace._core import Report
    from inspect_trace.cli.progress import Progress


class OutputClosed(Exception):  # noqa: N818 - not an error: the reader had enough
    """The reader of our output has gone away."""


class Terminal(NamedTuple):
    """How tables may look on stdout; nothing but plain, unwrapped text when it is no terminal."""

    width: int | None
    color: bool


def stdout_terminal() -> Terminal:
    """Describe the terminal that stdout is, if it is one."""
    if sys.stdout is None or not sys.stdout.isatty():
        return Terminal(width=None, color=False)
    try:
        width = os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        width = None
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("", "dumb")
    return Terminal(width=width, color=not plain)


PATIENCE_S = 0.9
"""How long a command works before a person may want to know how far it is."""

STEP_S = 0.1
"""How long the core writes before it is asked how far it is."""


def write_report(report: Report) -> None:
    """Write a report to stdout, then what was skipped, and what failed, to stderr.

    Raises:
        OutputClosed: the reader of stdout has gone away.
        click.ClickException: stdout can't be written for another reason.
        click.exceptions.Exit: a log of several could not be read, which has been told.
        OSError: the only log can't be read.
    """
    if sys.stdout is None:
        raise click.ClickException("standard output is closed")
    fd = _stdout_fd()
    if fd is None:  # a program that calls the command has put something else in its place
        for chunk in report:
            write_chunk(chunk)
    else:
        _write_to(fd, report)
    for note in report.take_notes():
        complain(note)
    if report.skipped is not None:
        complain(report.skipped)
    if report.failed:
        raise click.exceptions.Exit(1)


def _stdout_fd() -> int | None:
    try:
        sys.stdout.flush()
        return sys.stdout.fileno()
    except BrokenPipeError:
        raise OutputClosed from None
    except (OSError, ValueError, AttributeError):
        return None


def _write_to(fd: int, report: Report) -> None:
    """Let the core write, and show how far it is."""
    from time import monotonic

    start_s = monotonic()
    if not report.write_to(fd, PATIENCE_S):
        return
    from inspect_trace.cli.progress import Progress

    is_terminal = os.isatty(fd)
    progress = Progress(start_s=start_s, stdout_shows=report.streams and is_terminal)
    try:
        if is_terminal and not report.streams:
            _write_at_end(report, progress)
        while report.write_to(fd, STEP_S):
            if report.progress is not None:
                progress.show(*report.progress)
            for note in report.take_notes():
                progress.clear()
                complain(note)
    finally:
        progress.clear()


def _write_at_end(report: Report, progress: Progress) -> None:
    """Show how far it is until there is something to write, which must not follow on that line."""
    from time import monotonic

    shown_s = monotonic()
    for chunk in report:
        if chunk:
            progress.clear()
            write_chunk(chunk)
            return
        if report.progress is not None and monotonic() - shown_s >= STEP_S:
            shown_s = monotonic()
            progress.show(*report.progress)


def complain(message: str) -> None:
    """Write one line to stderr, fit for a terminal; a closed stderr is nobody's problem."""
    from inspect_trace._core import terminal_safe

    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{terminal_safe(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def one_line(error: OSError) -> str:
    """What happened, to what: the core's own message, or one made of the error's parts."""
    if error.errno is None:
        return str(error)
    if error.filename is None:
        return error.strerror or os.strerror(error.errno)
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def encodable(text: str) -> str:
    """`text` with what is no character (undecodable bytes of a command line) as U+FFFD.

    That is also how invalid bytes in a log are shown, so a filter typed so still finds them.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def write_chunk(chunk: bytes) -> None:
    """Write and flush, so that whoever follows the output waits for nothing.

    Raises:
        OutputClosed: the reader of stdout has gone away.
        click.ClickException: stdout can't be written for another reason.
    """
    try:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise click.ClickException(f"cannot write to standard output: {error.strerror}") from None
