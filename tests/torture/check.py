"""Compares what the logs have with what was acknowledged."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inspect_trace import anomalies, follow, scan
from torture.record import seen_in, seen_in_record

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
    open_actions: set[tuple[str, int]] = field(default_factory=set)
    """The actions that began and did not end, by who began them and the number of that record."""
    longest: int = 0
    """The longest message, in characters."""

    def add(self, message: str, detail: str | None, event: str | None) -> None:
        """Takes a record in."""
        seen = seen_in_record(message, detail, event)
        self.longest = max(self.longest, len(message))
        if seen is None or not seen.is_whole:
            self.torn.append(f"{seen and seen[:2]}: {message[:80]!r}")
        else:
            self.numbers.setdefault(seen.who, []).append(seen.number)
            if event == "enter":
                self.open_actions.add((seen.who, seen.number))
            elif event is not None:
                self.open_actions.discard((seen.who, seen.number - 1))


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


_PART = re.compile(r"\.part\d{4,}(?=\.log$)")


def log_paths(directory: Path) -> list[Path]:
    """The logs of a directory by their plain names, one for each that is compressed or not."""
    names = {_PART.sub("", path.name.removesuffix(".gz")) for path in directory.glob("[!.]*.log*")}
    return [directory / name for name in sorted(names)]


def read_by_scan(paths: Iterable[Path]) -> Found:
    """What our reader gives."""
    found = Found()
    for path in paths:
        records = scan(path)
        for record in records:
            found.add(record.message, record.detail, record.event)
        if records.skipped:
            found.skipped.append(records.skipped)
    return found


def read_as_plain(paths: Iterable[Path]) -> Found:
    """What the bytes of the logs give to Python's own JSON and gzip, hidden files left aside."""
    found = Found()
    for path in paths:
        for file in (*_parts(path), path):
            if file != path and _is_same(file, path):
                continue
            for record in _json_records(_content(file)):
                found.add(record["message"], record.get("detail"), record.get("event"))
    return found


def read_by_command(paths: Iterable[Path]) -> Found:
    """What the command `inspect-trace dump --jsonl` gives."""
    found = Found()
    for path in paths:
        command = [sys.executable, "-m", "inspect_trace", "dump", "--jsonl", str(path)]
        done = subprocess.run(command, capture_output=True, check=True)
        for record in _json_records(done.stdout):
            found.add(record["message"], record.get("detail"), record.get("event"))
    return found


def follow_to_the_end(path: Path) -> Found:
    """What following a log gives, from its first record on until nothing more can come."""
    found = Found()
    for record in follow(path):
        found.add(record.message, record.detail, record.event)
    return found


def unended_actions(paths: Iterable[Path]) -> set[tuple[str, int]]:
    """The actions that `anomalies` calls running or interrupted."""
    unended = set()
    for path in paths:
        found = anomalies(path)
        for action in (*found.running, *found.interrupted):
            seen = seen_in(action.detail)
            assert seen is not None
            unended.add((seen.who, seen.number))
    return unended


def _parts(log: Path) -> list[Path]:
    """The parts that a log was rotated to, by their plain names, oldest first."""
    pattern = f"{log.name.removesuffix('.log')}.part*.log*"
    return sorted(
        {path.with_name(path.name.removesuffix(".gz")) for path in log.parent.glob(pattern)}
    )


def _is_same(part: Path, log: Path) -> bool:
    """Whether a process was killed when the log had its name as a part, and still its own."""
    try:
        return part.samefile(log)
    except FileNotFoundError:
        return False


def _content(path: Path) -> bytes:
    # In this order: a log that is being compressed has its new name before it loses the old.
    try:
        return path.read_bytes()
    except FileNotFoundError:
        compressed = path.with_name(f"{path.name}.gz")
        if not compressed.exists() and _parts(path):
            return b""  # killed when the log had become a part, and nothing was in its place yet
        return gzip.decompress(compressed.read_bytes())


def _json_records(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue  # a piece of a line that nobody acknowledged
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
