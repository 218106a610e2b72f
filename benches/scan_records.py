"""Reads a log's records into Python objects and prints how many nanoseconds a record took.

`bench_targets.py` runs it, each variant in a process of its own:

    python benches/scan_records.py ours|msgspec iterate|fields FILE
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec

import inspect_trace

if TYPE_CHECKING:
    from collections.abc import Iterable


class Record(msgspec.Struct):
    """The fields of the format, as `inspect_trace.TraceRecord` has them."""

    timestamp: str
    level: str
    message: str
    module: str | None = None
    function: str | None = None
    line: int | None = None
    action: str | None = None
    detail: str | None = None
    event: str | None = None
    trace_id: str | None = None
    parent_id: str | None = None
    start_time: float | None = None
    duration: float | None = None
    error: str | None = None
    error_type: str | None = None
    stacktrace: str | None = None


def iterate(records: Iterable[object]) -> int:
    """Asks for each record, and for nothing in it.

    Returns:
        How many there were.
    """
    count = 0
    for _ in records:
        count += 1
    return count


def read_fields(records: Iterable[Record | inspect_trace.TraceRecord]) -> int:
    """Reads three fields of each record.

    Returns:
        How many there were.
    """
    count = 0
    for record in records:
        _ = record.message, record.event, record.duration
        count += 1
    return count


def main() -> None:
    """The command line: see the top of the file."""
    side, work, path = sys.argv[1:]
    consume = read_fields if work == "fields" else iterate
    start_ns = time.perf_counter_ns()
    if side == "ours":
        count = consume(inspect_trace.scan(path))
    else:
        with open(path, "rb") as file:  # noqa: PTH123 - the fastest loop that Python has without us
            count = consume(map(msgspec.json.Decoder(Record).decode, file))
    print(count, (time.perf_counter_ns() - start_ns) / count)


if __name__ == "__main__":
    main()
