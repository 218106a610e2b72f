"""How far a long reading has come, on stderr, where that is a terminal."""

from __future__ import annotations

import os
import sys
import time

_CLEAR_LINE = "\r\x1b[K"
_BAR_COLUMNS = 24
_COLUMNS = 80
"""The width of a terminal that does not tell."""
_MARGIN_COLUMNS = 4
"""Room for the `^C` that a terminal echoes: a line that wraps could not be cleared."""


class Progress:
    """A line that is drawn anew while the work lasts, once it has lasted a second.

    The package `click` has a progress bar too, which knows neither bytes nor rates.
    """

    DELAY_S = 1.0

    def __init__(self, *, start_s: float, stdout_shows: bool) -> None:
        """Draws nothing yet.

        Args:
            start_s: When the work began, by the monotonic clock, in seconds.
            stdout_shows: Whether the output itself appears on the terminal meanwhile, so that
                there is no place for a progress bar.
        """
        self._start_s = start_s
        self._drawn = False
        self._enabled = sys.stderr is not None and sys.stderr.isatty() and not stdout_shows

    def show(self, done_bytes: int, total_bytes: int | None) -> None:
        """Draw the line, if it is time for that."""
        elapsed_s = time.monotonic() - self._start_s
        if self._enabled and elapsed_s >= self.DELAY_S:
            text = describe(done_bytes, total_bytes, elapsed_s)
            # What is wider would be wrapped, and could not be cleared any more.
            self._write(_CLEAR_LINE + text[: _columns() - _MARGIN_COLUMNS])
            self._drawn = True

    def clear(self) -> None:
        """Leave no trace of the line."""
        if self._drawn:
            self._write(_CLEAR_LINE)
            self._drawn = False

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            self._enabled = False


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def describe(done_bytes: int, total_bytes: int | None, elapsed_s: float) -> str:
    """What the line says: how much is read, how fast, and how long the rest takes."""
    rate = done_bytes / elapsed_s if elapsed_s > 0 else 0.0
    speed = f"{size(done_bytes)} read, {size(rate)}/s"
    if not total_bytes:
        return speed
    # A log that is written meanwhile may turn out longer than it was.
    share = min(done_bytes / total_bytes, 1.0)
    filled = int(share * _BAR_COLUMNS)
    bar = "#" * filled + "-" * (_BAR_COLUMNS - filled)
    left = ""
    if rate > 0:
        left = f", {duration(max(total_bytes - done_bytes, 0) / rate)} left"
    return f"[{bar}] {share:4.0%} of {size(total_bytes)}, {size(rate)}/s{left}"


def size(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """A duration in seconds, or minutes and seconds, or hours and minutes."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
