"""Starts an archiver for the logs of a program that traces, and waits for it at the program's end.

Nothing of it reaches the program: what fails is a line on stderr.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from inspect_trace import _core
from inspect_trace._report import warn_of_failure
from inspect_trace.archive.settings import (
    ARCHIVE_VARIABLE,
    DEFAULT_INTERVAL_S,
    INTERVAL_VARIABLE,
    MIN_INTERVAL_S,
    WAIT_VARIABLE,
    WAKE_FILE,
    check_url,
    needs_obstore,
    seconds_from,
)

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_S: Final = 0.05

_told: set[str] = set()
_waits: set[tuple[int, str]] = set()


def archive_in_background(directory: str, finished_logs: Callable[[str], list[str]]) -> None:
    """Has an archiver take care of a trace directory in which this process has opened its log.

    Args:
        directory: The trace directory.
        finished_logs: Flushes and closes the logs that this process has open there, and tells
            their paths; called at the end of the process, if it is to wait then.
    """
    url = os.environ.get(ARCHIVE_VARIABLE, "")
    if not url:
        return
    try:
        check_url(url)
    except ValueError as error:
        _tell(f"{ARCHIVE_VARIABLE}: {error}; nothing is archived")
        return
    if (reason := needs_obstore()) is not None:
        _tell(f"{ARCHIVE_VARIABLE}={url}: {reason}; nothing is archived")
        return
    interval_s = _seconds(INTERVAL_VARIABLE, DEFAULT_INTERVAL_S, MIN_INTERVAL_S)
    wait_s = _seconds(WAIT_VARIABLE, 0, 0)
    # In this order, when the log is there: see `Watch._is_over`.
    if not _core.is_archiving(directory):
        _start(directory, url, interval_s)
    own = (os.getpid(), directory)
    if wait_s > 0 and own not in _waits:
        _waits.add(own)
        atexit.register(_wait, own, url, interval_s, wait_s, finished_logs)


def _tell(text: str) -> None:
    if text not in _told:
        _told.add(text)
        warn_of_failure(text)


def _seconds(variable: str, default_s: float, at_least_s: float) -> float:
    try:
        return seconds_from(variable, default_s, at_least_s)
    except ValueError as error:
        _tell(str(error))
        return default_s


def _start(directory: str, url: str, interval_s: float) -> None:
    if not sys.executable:
        _tell(
            f"{ARCHIVE_VARIABLE}={url}: it is not known which Python to start; nothing is archived"
        )
        return
    command = [
        *(sys.executable, "-m", "inspect_trace", "archive", directory, "--to", url),
        *("--watch", "--until-idle", "--background", "--interval", f"{interval_s:g}"),
    ]
    try:
        _core.spawn_archiver(directory, list(map(os.fsencode, command)), _environment())
    except OSError as error:
        _tell(f"cannot start an archiver ({error.strerror}): {directory} is not archived")


def _environment() -> list[bytes]:
    """That of this process, without what begins to trace, or is about where it runs."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("INSPECT_TRACE_") and name != "PYTHONINSPECT"
    }
    if path := environment.get("PYTHONPATH"):
        # The archiver runs in the trace directory.
        places = (os.path.abspath(place) for place in path.split(os.pathsep))  # noqa: PTH100
        environment["PYTHONPATH"] = os.pathsep.join(places)
    return [os.fsencode(f"{name}={value}") for name, value in environment.items()]


def _wait(
    own: tuple[int, str],
    url: str,
    interval_s: float,
    wait_s: float,
    finished_logs: Callable[[str], list[str]],
) -> None:
    """Waits until the logs of this process are in the archive, so long at most."""
    pid, directory = own
    if pid != os.getpid():  # a forked child: its parent waits
        return
    end_s = monotonic() + wait_s
    logs = finished_logs(directory)
    is_awake = False
    is_tried = False
    while logs and monotonic() < end_s:
        if not is_awake:
            is_awake = _wake(directory)
        logs = [log for log in logs if not _core.is_archived(log)]
        if not logs:
            return
        if not is_awake and not is_tried and not _core.is_archiving(directory):
            is_tried = True
            _start(directory, url, interval_s)
        sleep(min(POLL_S, max(0.0, end_s - monotonic())))
    if logs:
        _tell(f"{', '.join(logs)} could not be archived within {wait_s:g} seconds")


def _wake(directory: str) -> bool:
    """Has the archiver ship at once; False where there is none that listens."""
    path = os.path.join(directory, WAKE_FILE)  # noqa: PTH118
    with contextlib.suppress(OSError):
        wake = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(wake, b"x")
            return True
        except BlockingIOError:  # it has been asked often enough
            return True
        finally:
            os.close(wake)
    return False
