"""`inspect-trace archive`: ships logs to an object store."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

import click

from inspect_trace.cli._archive_options import checked_url
from inspect_trace.cli.options import json_option
from inspect_trace.cli.output import complain, write_chunk

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspect_trace.archive.archiver import Swept

LOWEST_PRIORITY: Final = 19


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    from inspect_trace import _core
    from inspect_trace.archive.settings import MIN_INTERVAL_S

    if value is None:
        return None
    try:
        seconds = _core.parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if seconds < MIN_INTERVAL_S:
        raise click.BadParameter(f"it has to be {MIN_INTERVAL_S:g} seconds at least")
    return seconds


@click.command("archive")
@click.argument("directory", metavar="[DIR]", required=False)
@click.option(
    "--to",
    "url",
    metavar="URL",
    envvar="INSPECT_TRACE_ARCHIVE",
    required=True,
    callback=checked_url,
    help="Where to: s3://bucket/prefix, and likewise gs, az, https, file; default: "
    "INSPECT_TRACE_ARCHIVE.",
)
@click.option("--watch", is_flag=True, help="Go on: ship what is new at every interval.")
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    callback=_seconds,
    help="With --watch, how long from one time to the next; also 90s, 5m; default: 60.",
)
@click.option(
    "--until-idle",
    is_flag=True,
    help="With --watch, end once no process writes a log in DIR and all is shipped.",
)
@click.option(
    "--host", metavar="NAME", help="The machine that the logs are from; default: this one."
)
@click.option("--background", is_flag=True, hidden=True)
@json_option("an object {as_of, directory, to, logs, shipped, ...} for each time")
def archive_command(
    *,
    directory: str | None,
    url: str,
    watch: bool,
    interval_s: float | None,
    until_idle: bool,
    host: str | None,
    background: bool,
    as_json: bool,
) -> None:
    """Ship the trace logs in DIR to an object store, live ones up to now.

    Nothing is shipped twice, and the logs stay where they are. DIR is the trace directory if
    none is given. A program that runs with INSPECT_TRACE_ARCHIVE=URL starts this by itself, with
    --watch --until-idle.

    \b
    Examples:
      inspect-trace archive --to s3://bucket/traces
      inspect-trace archive /traces --to s3://bucket/traces --watch
      inspect-trace anomalies s3://bucket/traces/2026/11/23/
    """  # noqa: D301 - click wants the character itself
    if not watch and (until_idle or interval_s is not None):
        name = "--until-idle" if until_idle else "--interval"
        raise click.UsageError(f"{name} is for --watch")
    from inspect_trace.archive.settings import DEFAULT_INTERVAL_S, needs_obstore
    from inspect_trace.store import find_trace_dir

    if (reason := needs_obstore()) is not None:
        raise click.ClickException(f"archiving to {url}: {reason}")
    directory = os.path.abspath(find_trace_dir() if directory is None else directory)  # noqa: PTH100
    speaker = _Speaker(directory, url, as_json=as_json, watch=watch, background=background)
    if not _archive(
        directory,
        url,
        host,
        (interval_s or DEFAULT_INTERVAL_S) if watch else None,
        until_idle=until_idle,
        speaker=speaker,
    ):
        raise click.exceptions.Exit(1)


def _archive(
    directory: str,
    url: str,
    host: str | None,
    interval_s: float | None,
    *,
    until_idle: bool,
    speaker: _Speaker,
) -> bool:
    """Whether everything is there at the end."""
    from socket import gethostname

    from inspect_trace import _core
    from inspect_trace.archive.archiver import Archiver, Watch
    from inspect_trace.archive.store import ArchiveStore, StoreError

    try:
        archive = _core.Archive.open(directory, host or gethostname(), url)
    except OSError as error:
        return speaker.fail(error.strerror or str(error))
    if archive is None:
        return speaker.fail(f"another archiver takes care of {directory}: nothing was done")
    try:
        store = ArchiveStore(url)
    except StoreError as error:
        return speaker.fail(f"cannot archive to {url}: {error.strerror}")
    archiver = Archiver(archive, store, interval_s)
    if interval_s is None:
        swept = archiver.sweep()
        speaker.tell(swept)
        return swept.is_complete
    watch = Watch(
        directory,
        archive,
        archiver,
        interval_s=interval_s,
        until_idle=until_idle,
        tell=speaker.tell,
    )
    return watch.run().is_complete


class _Speaker:
    """Says what was done: on stdout and stderr, or in the background in a file."""

    def __init__(
        self, directory: str, url: str, *, as_json: bool, watch: bool, background: bool
    ) -> None:
        self._directory = directory
        self._url = url
        self._as_json = as_json
        self._watch = watch
        self._complain: Callable[[str], None] = complain
        self._background = background
        self._complaints: set[str] = set()
        if background:
            with contextlib.suppress(OSError):
                os.nice(LOWEST_PRIORITY)
            from inspect_trace.archive.log_file import LogFile

            self._complain = LogFile(directory).write

    def fail(self, reason: str) -> bool:
        self._complain(f"inspect-trace: {reason}")
        return False

    def tell(self, swept: Swept) -> None:
        """What was done, and what could not be done: of that only what is new, if it goes on."""
        lines = [
            f"inspect-trace: cannot archive {failure.path}: {failure.reason}"
            for failure in swept.failed
        ]
        if swept.waiting:
            lines.append(
                f"inspect-trace: {_count(swept.waiting, 'log')} more wait until {self._url} answers"
            )
        for line in lines:
            if line not in self._complaints:
                self._complain(line)
        self._complaints = set(lines) if self._watch else set()
        if self._background or (self._watch and not swept.objects):
            return
        text = self._json(swept) if self._as_json else self._text(swept)
        write_chunk(f"{text}\n".encode("utf-8", "replace"))

    def _json(self, swept: Swept) -> str:
        import json

        found: dict[str, Any] = {
            "as_of": swept.as_of,
            "directory": self._directory,
            "to": self._url,
            "logs": swept.logs,
            "shipped": swept.shipped,
            "objects": swept.objects,
            "size": swept.size,
            "live": swept.live,
            "waiting": swept.waiting,
            "failed": [
                {"file": failure.path, "reason": failure.reason} for failure in swept.failed
            ],
        }
        return json.dumps(found, indent=None if self._watch else 2)

    def _text(self, swept: Swept) -> str:
        from inspect_trace._core import terminal_safe

        logs = _count(swept.logs, "log")
        if swept.objects:
            what = f"{_count(swept.objects, 'object')}, {_size(swept.size)}"
            text = f"shipped {swept.shipped} of {logs} ({what}) to {self._url}"
        elif swept.is_complete:
            text = f"nothing new in {logs}: all of it is in {self._url}"
        else:
            text = f"nothing could be shipped of {logs}"
        if swept.live:
            text += f"; {swept.live} still written"
        if self._watch:
            from time import localtime, strftime

            return terminal_safe(f"{strftime('%H:%M:%S', localtime(swept.as_of))} {text}")
        if swept.failed or not swept.logs:
            return terminal_safe(text)
        hint = f"inspect-trace anomalies {self._url}/   tells what hangs, or failed"
        return f"{terminal_safe(text)}\n{terminal_safe(hint)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _size(size: int) -> str:
    rest = float(size)
    for unit in ("B", "kB", "MB"):
        if rest < 1000:
            return f"{rest:.3g} {unit}"
        rest /= 1000
    return f"{rest:.3g} GB"
