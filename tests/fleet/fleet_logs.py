"""Many logs of mixed size, some of them damaged, in a directory and in a store."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING, NamedTuple

from corpus import Corpus

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "fleet"


class FleetLog(NamedTuple):
    """A log as it lies in a store."""

    key: str
    content: bytes


def make_logs(count: int, seed: int = 7) -> list[FleetLog]:
    """So many logs of several hosts, days and sizes: plain, compressed, rotated, damaged, empty."""
    chosen = random.Random(seed)
    texts = [
        "".join(Corpus(number).lines(size_bytes)).encode()
        for number, size_bytes in enumerate((3_000, 9_000, 30_000, 30_000, 90_000, 400_000))
    ]
    logs = []
    for number in range(count):
        text = chosen.choice(texts)
        pid = 4_194_400 + number  # greater than any process of this machine has
        key = f"2026/11/{1 + number % 28:02d}/host-{number % 12}/trace-{pid}"
        kind = number % 20
        if kind == 0:
            logs.append(FleetLog(f"{key}.log", text))
        elif kind == 1:
            lines = text.splitlines(keepends=True)
            half = len(lines) // 2
            first, rest = b"".join(lines[:half]), b"".join(lines[half:])
            logs.append(FleetLog(f"{key}.part0001.log.gz", gzip.compress(first, 1)))
            logs.append(FleetLog(f"{key}.log", rest))
        elif kind == 2:
            logs.append(FleetLog(f"{key}.log.gz", gzip.compress(text, 1)[: -len(text) // 40]))
        elif kind == 3:
            logs.append(FleetLog(f"{key}.log", text.replace(b'"level"', b'"l\0vel"', 5) + b"{to"))
        elif kind == 4:
            logs.append(FleetLog(f"{key}.log", b""))
        else:
            logs.append(FleetLog(f"{key}.log.gz", gzip.compress(text, 1)))
    return logs


def write_logs(logs: list[FleetLog], directory: Path) -> None:
    """Puts logs into a directory."""
    for log in logs:
        path = directory / log.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(log.content)
