"""The records of the torture: each tells who wrote it, its number, and a checksum of the rest."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random

SMALLEST_BYTES = 50
LARGEST_BYTES = 6_000_000
LONG_BYTES = 30_000
"""Where the records of a round may be that long, some are longer than a buffer can take."""

_HEAD = re.compile(r"@(\S+) (\d+) ([0-9a-f]{8}) (\d+) ")
_ASCII = "".join(chr(code) for code in range(32, 127))
_CHUNK = _ASCII + 'tab\t newline\n quote" back\\ é€😀 \x00\x7f'
_FILL = _CHUNK * (LARGEST_BYTES // len(_CHUNK) + 2)


class Seen(NamedTuple):
    """What the message of a record says of itself."""

    who: str
    """Process and thread."""
    number: int
    """Which of that thread's records, from 0 on; an action counts as two."""
    is_whole: bool
    """Whether all of it is there, unchanged."""


def text_of(who: str, number: int, size: int) -> str:
    """The text of a record of about `size` characters."""
    start = number % len(_CHUNK)
    body = _FILL[start : start + max(size - len(who) - 30, 1)]
    return f"@{who} {number} {_checksum(body):08x} {len(body)} {body}"


def seen_in(text: str) -> Seen | None:
    """What a text says of itself; None if it is no text of ours."""
    match = _HEAD.match(text)
    if match is None:
        return None
    who, number, checksum, length = match.groups()
    body = text[match.end() :]
    is_whole = len(body) == int(length) and _checksum(body) == int(checksum, 16)
    return Seen(who, int(number), is_whole)


def seen_in_record(message: str, detail: str | None, event: str | None) -> Seen | None:
    """What a record says of itself: an exit has the number after that of its enter."""
    if detail is not None:
        seen = seen_in(detail)
        if seen is None:
            return None
        # The message repeats the detail: both must be whole.
        is_whole = seen.is_whole and message == f"Work: {detail} ({event})"
        return Seen(seen.who, seen.number + (event != "enter"), is_whole)
    # A message of `trace_message` begins with its category.
    return seen_in(message.removeprefix("[Torture] "))


def random_size(random: Random, largest: int) -> int:
    """A size between a line of 50 bytes and `largest`, as many small ones as large ones."""
    if random.random() < 1 / 500 and largest >= LONG_BYTES:
        return LARGEST_BYTES
    return int(SMALLEST_BYTES * (largest / SMALLEST_BYTES) ** random.random())


def _checksum(body: str) -> int:
    return zlib.crc32(body.encode("utf-8"))
