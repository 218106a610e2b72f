"""`anomalies --watch`: a live view on a plain terminal, or as lines that tell of changes."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from inspect_trace.cli.output import OutputClosed, Terminal, complain, stdout_terminal, write_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

    from inspect_trace._core import Filter, LiveSnapshot, LiveView

DEFAULT_MIN_TOLD_S = 60.0
"""In lines, actions are told that are open for so long."""
STEP_S = 0.1
"""How long the core reads before Ctrl-C is looked for."""
SHOWN_ROWS = 500
"""No terminal is higher."""

_ENTER_SCREEN = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE_SCREEN = "\x1b[?25h\x1b[?1049l"


def open_view(
    names: Sequence[str],
    record_filter: Filter | None,
    *,
    redact: bool,
    no_detail: bool = False,
    min_told: str | float | None = None,
    as_json: bool = False,
) -> LiveView:
    """The live view of what was named on the command line."""
    from inspect_trace import _core
    from inspect_trace.store import current_directory, find_trace_dir

    elsewhere = next((name for name in names if "://" in name), None)
    if elsewhere is not None:
        raise click.UsageError(f"{elsewhere} cannot be watched: give a file or a directory")
    if "-" in names:
        raise click.UsageError("standard input cannot be watched: give a file or a directory")
    return _core.LiveView(
        names,
        find_trace_dir(),
        current_directory(),
        filter=record_filter,
        redact=redact,
        no_detail=no_detail,
        min_told=min_told,
        json=as_json,
    )


def read_first(view: LiveView) -> None:
    """Read what is there, and show on stderr how far that is."""
    start_s = time.monotonic()
    progress: Any = None
    try:
        while view.step(STEP_S):
            done = view.progress
            if done is None or time.monotonic() - start_s < 1:
                continue
            if progress is None:
                from inspect_trace.cli.progress import Progress

                progress = Progress(start_s=start_s, stdout_shows=False)
            progress.show(*done)
    finally:
        if progress is not None:
            progress.clear()


def watch(
    names: Sequence[str],
    record_filter: Filter | None,
    *,
    redact: bool,
    no_detail: bool,
    min_duration: str | None,
    interval_s: float,
    as_json: bool,
) -> None:
    """Show logs live, until their processes have ended.

    Raises:
        OutputClosed: The reader of stdout has gone away, perhaps while nothing was written.
        click.ClickException: stdout can't be written for another reason.
        KeyboardInterrupt: Ctrl-C.
        OSError: The only log cannot be read.
    """
    if sys.stdout is None:
        raise click.ClickException("standard output is closed")
    on_screen = (
        not as_json and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    )
    min_told: str | float | None = None
    if not on_screen:
        min_told = DEFAULT_MIN_TOLD_S if min_duration is None else min_duration
    view = open_view(
        names,
        record_filter,
        redact=redact,
        no_detail=no_detail,
        min_told=min_told,
        as_json=as_json,
    )
    try:
        read_first(view)
        with _Alarm(interval_s) as alarm:
            if on_screen:
                _draw(view, alarm)
            else:
                _tell(view, alarm)
        complain("nothing more will come: all processes have ended")
    finally:
        for line in (*view.take_notes(), *view.skipped):
            complain(line)


def _tell(view: LiveView, alarm: _Alarm) -> None:
    while True:
        chunk = view.changes(time.time())
        if chunk:
            write_chunk(chunk)
        for note in view.take_notes():
            complain(note)
        if view.over:
            return
        alarm.wait()
        while view.step(STEP_S):
            pass


def _draw(view: LiveView, alarm: _Alarm) -> None:
    last: LiveSnapshot | None = None
    try:
        with _screen():
            while True:
                last = view.snapshot(time.time(), limit=SHOWN_ROWS)
                terminal, lines = _size()
                frame = last.frame(lines, width=terminal.width, color=terminal.color)
                # Each line is cleared before it is written: a full one leaves the cursor on its
                # last character.
                text = "\n".join(f"\x1b[2K{line}" for line in frame.splitlines())
                write_chunk(f"\x1b[H{text}\x1b[J".encode("utf-8", "replace"))
                if view.over:
                    return
                alarm.wait()
                while view.step(STEP_S):
                    pass
    finally:
        # What was seen last stays.
        if last is not None:
            terminal, lines = _size()
            # With room for why it has ended, and for the shell's prompt.
            frame = last.frame(max(lines - 3, 1), width=terminal.width, color=terminal.color)
            write_chunk(frame.encode("utf-8", "replace"))


def _size() -> tuple[Terminal, int]:
    try:
        lines = os.get_terminal_size(sys.stdout.fileno()).lines
    except (OSError, ValueError):
        lines = 0
    return stdout_terminal(), lines or 24


@contextmanager
def _screen() -> Iterator[None]:
    """The terminal's other screen, which leaves what was shown before as it was."""
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():

            def leave(number: int, _frame: object) -> None:
                sys.exit(128 + number)

            for number in (signal.SIGTERM, signal.SIGHUP):
                stack.callback(signal.signal, number, signal.signal(number, leave))
        write_chunk(_ENTER_SCREEN.encode())
        try:
            yield
        finally:
            write_chunk(_LEAVE_SCREEN.encode())


class _Alarm:
    """Waits for the time of the next look; shorter where the terminal changes its size."""

    def __init__(self, interval_s: float) -> None:
        self._interval_ms = interval_s * 1000
        self._poll = select.poll()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        # Something else may be in its place.
        with suppress(OSError, ValueError):
            # Errors and hang-ups are told without being asked for.
            self._poll.register(sys.stdout.fileno(), 0)
        if threading.current_thread() is threading.main_thread():
            ours, theirs = os.pipe()
            self._stack.callback(os.close, ours)
            self._stack.callback(os.close, theirs)
            os.set_blocking(theirs, False)
            os.set_blocking(ours, False)
            before = signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
            self._stack.callback(signal.signal, signal.SIGWINCH, before)
            self._stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(theirs))
            self._poll.register(ours, select.POLLIN)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait(self) -> None:
        """Wait.

        Raises:
            OutputClosed: the reader of stdout has gone away.
        """
        for fd, event in self._poll.poll(self._interval_ms):
            if not event & select.POLLIN:
                raise OutputClosed
            os.read(fd, 512)
