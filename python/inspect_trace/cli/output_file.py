"""A report as a file: whole, or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.output import PATIENCE_S, STEP_S, complain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from inspect_trace._core import Report


def write_report_to_file(report: Report, output: str, logs: Sequence[str], *, force: bool) -> None:
    """Write a report to a file, then what was skipped, and what failed, to stderr.

    Raises:
        click.ClickException: The file is there, and is not to be replaced; or is one of the logs.
        click.exceptions.Exit: A log of several could not be read, which has been told.
        OSError: The only log can't be read, or the file not written.
    """

    def write(report: Report, file: BinaryIO) -> None:
        from time import monotonic

        start_s = monotonic()
        if not report.write_to(file.fileno(), PATIENCE_S, output):
            return
        from inspect_trace.cli.progress import Progress

        progress = Progress(start_s=start_s, stdout_shows=False)
        try:
            while report.write_to(file.fileno(), STEP_S, output):
                if report.progress is not None:
                    progress.show(*report.progress)
        finally:
            progress.clear()

    write_through(report, output, logs, force=force, write=write)


def write_through(
    report: Report,
    output: str,
    logs: Sequence[str],
    *,
    force: bool,
    write: Callable[[Report, BinaryIO], None],
) -> None:
    """The same, where `write` makes of the report what is to be in the file."""
    with _new_file(output, logs, force=force) as file:
        write(report, file)
    for note in report.take_notes():
        complain(note)
    if report.skipped is not None:
        complain(report.skipped)
    if report.failed:
        raise click.exceptions.Exit(1)


@contextlib.contextmanager
def _new_file(output: str, logs: Sequence[str], *, force: bool) -> Iterator[BinaryIO]:
    """A file that gets its name once it is whole; what it replaces stays until then."""
    # A symbolic link stays, and what it leads to is replaced.
    path = os.path.realpath(output)
    try:
        there = os.stat(path)  # noqa: PTH116 - `pathlib` takes long to load
    except FileNotFoundError:
        there = None
    if there is not None:
        if not stat.S_ISREG(there.st_mode) and not stat.S_ISDIR(there.st_mode):
            with open(path, "wb") as file:  # noqa: PTH123 - a pipe or a device: nothing to replace
                yield file
            return
        if stat.S_ISDIR(there.st_mode):
            raise click.ClickException(f"{output} is a directory: name a file")
        if any(_is_same(log, there) for log in logs):
            raise click.ClickException(f"{output} is one of the logs: name another file")
        if not force:
            raise click.ClickException(f"{output} exists: name another file, or pass --force")
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    with open(temporary, "xb") as file:  # noqa: PTH123 - see above
        try:
            yield file
            file.flush()
            if force:
                os.replace(temporary, path)  # noqa: PTH105
            else:
                _name(temporary, path, output)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise


def _name(temporary: str, path: str, output: str) -> None:
    """Give the file its name, unless there is another one of that name by now."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise click.ClickException(
            f"{output} exists by now: name another file, or pass --force"
        ) from None
    except OSError:  # a file system without hard links
        os.rename(temporary, path)  # noqa: PTH104
        return
    os.unlink(temporary)  # noqa: PTH108


def _is_same(log: str, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(log), there)  # noqa: PTH116
    except OSError:
        return False
