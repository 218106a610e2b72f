"""Compares what the logs have with what was acknowledged."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inspect_trace import scan
from torture.record import Seen, seen_in_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Acknowledged = dict[str, int]
"""How many records each thread has acknowledged: those from 0 on."""


@dataclass
class Found:
    """What some logs have: the numbers of each thread's records, in the order of the logs."""

    numbers: dict[str, list[int]] = field(default_factory=dict)
    torn: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """What the reader says that it passed over: lines cut short, without a record."""

    def add(self, seen: Seen | None, message: str) -> None:
        """Takes a record in."""
        if seen is None or not seen.is_whole:
            self.torn.append(f"{seen and seen[:2]}: {message[:80]!r}")
        else:
            self.numbers.setdefault(seen.who, []).append(seen.number)


@dataclass(frozen=True)
class Faults:
    """What is wrong with some logs. All empty is what it should be."""

    lost: list[str]
    repeated: list[str]
    torn: list[str]
    disordered: list[str]
    never_written: list[str]
    """Records that nobody can have written: beyond the one in flight."""

    def __bool__(self) -> bool:
        return any(vars(self).values())


def log_paths(directory: Path) -> list[Path]:
    """The logs of a directory by their plain names, one for each that is compressed or not."""
    names = {path.name.removesuffix(".gz") for path in directory.glob("[!.]*.log*")}
    return [directory / name for name in sorted(names)]


def read_by_scan(paths: Iterable[Path]) -> Found:
    """What our reader gives."""
    found = Found()
    for path in paths:
        records = scan(path)
        for record in records:
            found.add(seen_in_record(record.message, record.detail, record.event), record.message)
        if records.skipped:
            found.skipped.append(records.skipped)
    return found


def read_as_plain(paths: Iterable[Path]) -> Found:
    """What the bytes of the logs give to Python's own JSON and gzip, hidden files left aside."""
    found = Found()
    for path in paths:
        for record in _json_lines(path):
            seen = seen_in_record(record["message"], record.get("detail"), record.get("event"))
            found.add(seen, record["message"])
    return found


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    compressed = path.with_name(f"{path.name}.gz")
    # In this order: a log that is being compressed has its new name before it loses the old.
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = gzip.decompress(compressed.read_bytes())
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def compare(acknowledged: Mapping[str, int], found: Found, *, in_flight: int | None) -> Faults:
    """What is wrong with what was found.

    Args:
        acknowledged: What has to be there.
        found: What is there.
        in_flight: How many more records each thread may have written; None for any number.
    """
    faults = Faults([], [], found.torn, [], [])
    for who in sorted({*acknowledged, *found.numbers}):
        numbers = found.numbers.get(who, [])
        count = acknowledged.get(who, 0)
        times = Counter(numbers)
        faults.lost.extend(f"{who} {number}" for number in range(count) if number not in times)
        faults.repeated.extend(f"{who} {number}" for number, n in times.items() if n > 1)
        if numbers != sorted(numbers):
            faults.disordered.append(who)
        beyond = sorted(number for number in times if number >= count)
        if in_flight is not None and len(beyond) > in_flight:
            faults.never_written.append(f"{who} {beyond}")
        if beyond and beyond != list(range(count, count + len(beyond))):
            faults.never_written.append(f"{who} {beyond} without those before them")
    return faults
