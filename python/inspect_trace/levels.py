"""The two log levels of tracing: their numbers and their names."""

from __future__ import annotations

import logging
from typing import Final

TRACE: Final = 13
"""Actions and trace messages: below `HTTP`, above `logging.DEBUG`."""

HTTP: Final = 15
"""Requests over HTTP: below `logging.INFO`, above `TRACE`."""

_NAMES: Final = {TRACE: "TRACE", HTTP: "HTTP"}


def register_levels() -> None:
    """Gives the levels their names, unless the program has named these numbers itself."""
    for level, name in _NAMES.items():
        if logging.getLevelName(level) == f"Level {level}":
            logging.addLevelName(level, name)


def level_from(text: str) -> int | None:
    """Reads a level written by a person: a name in any case, or a number above zero.

    Args:
        text: What was typed, such as `trace`, `INFO` or `15`.

    Returns:
        The level's number, or None when there is no such level.
    """
    text = text.strip()
    if text.isdecimal():
        return int(text) if int(text) > 0 else None
    for name in (text, text.upper()):
        level = logging.getLevelName(name)
        if isinstance(level, int) and level > 0:
            return level
    return None
