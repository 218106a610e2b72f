"""What every command does with its report: chunks to stdout, what was skipped to stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from inspect_trace._core import Report


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


def write_report(report: Report) -> None:
    """Write a report's chunks to stdout as they come, then what was skipped to stderr.

    Raises:
        OutputClosed: the reader of stdout has gone away.
        click.ClickException: stdout can't be written for another reason.
        OSError: the log can't be read.
    """
    if sys.stdout is None:
        raise click.ClickException("standard output is closed")
    for chunk in report:
        write_chunk(chunk)
    write_chunk(b"")  # a log of no records may have no chunk at all
    if report.skipped is not None:
        complain(report.skipped)


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
