"""A process that measures one operation of the writing bench; `bench_write.py` starts it.

python benches/write_workers.py ours action single 20000 /tmp/new.log
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from write_peers import PEERS
from write_subjects import Subject, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 50
"""So many operations are done before it is the other one's turn."""
THREADS = 4
TASKS = 100


def build(side: str, operation: str, file: Path) -> Subject:
    """Sets an operation up, one of a peer's too."""
    return PEERS[side].build(file) if side in PEERS else subject_of(side, operation, file)


def main() -> None:
    """Prints what an operation took, in nanoseconds: on the wall, and of all CPUs."""
    side, operation, mode, count, path = sys.argv[1:]
    operations, file = int(count), Path(path)
    subject = build(side, operation, file)
    warm = max(operations // 20, 1)
    subject.repeat(warm)
    subject.drain()
    run: Callable[[Subject, int], tuple[int, float]]
    run = {
        "single": single,
        "threads": in_threads,
        "asyncio": in_tasks,
        "above null": above_null,
    }[mode]
    cpu_before_ns = time.process_time_ns()
    done, wall_ns = run(subject, operations)
    subject.close()
    cpu_ns = time.process_time_ns() - cpu_before_ns
    lines = count_lines(file)
    if lines != (warm + done) * subject.lines:
        # A bench that writes nothing is fast.
        message = f"{lines} lines in the file instead of {(warm + done) * subject.lines}"
        raise SystemExit(f"{side} {operation} {mode}: {message}")
    print(json.dumps([wall_ns / done, cpu_ns / done]))


def single(subject: Subject, operations: int) -> tuple[int, float]:
    """In one thread.

    Returns:
        How many operations were done, and the nanoseconds for all of them.
    """
    start_ns = time.perf_counter_ns()
    subject.repeat(operations)
    subject.drain()
    return operations, time.perf_counter_ns() - start_ns


def above_null(subject: Subject, operations: int) -> tuple[int, float]:
    """What a record takes beyond one into a `NullHandler`, in turn; returns as `single` does."""
    null = subject_of("null", "info", Path(os.devnull), "null")
    above_ns = 0
    for _ in range(operations // PIECE):
        start_ns = time.perf_counter_ns()
        subject.repeat(PIECE)
        middle_ns = time.perf_counter_ns()
        null.repeat(PIECE)
        above_ns += 2 * middle_ns - start_ns - time.perf_counter_ns()
    subject.drain()
    return operations // PIECE * PIECE, above_ns


def in_threads(subject: Subject, operations: int) -> tuple[int, float]:
    """In several threads at once, all of them through one handler; returns as `single` does."""
    barrier = threading.Barrier(THREADS + 1)
    each = max(operations // THREADS, 1)

    def work() -> None:
        barrier.wait()
        subject.repeat(each)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    start_ns = time.perf_counter_ns()
    barrier.wait()
    for thread in threads:
        thread.join()
    subject.drain()
    return each * THREADS, time.perf_counter_ns() - start_ns


def in_tasks(subject: Subject, operations: int) -> tuple[int, float]:
    """In tasks that take turns within each block, or after it; returns as `single` does."""
    each = max(operations // TASKS, 1)
    repeat, block = subject.repeat, subject.block

    async def work() -> None:
        if block is None:
            for _ in range(each):
                repeat(1)
                await asyncio.sleep(0)
        else:
            for _ in range(each):
                with block():
                    await asyncio.sleep(0)

    async def all_tasks() -> float:
        start_ns = time.perf_counter_ns()
        await asyncio.gather(*(work() for _ in range(TASKS)))
        subject.drain()
        return time.perf_counter_ns() - start_ns

    return each * TASKS, asyncio.run(all_tasks())


def count_lines(file: Path) -> int:
    """How many lines a file has, if it is there."""
    if not file.exists():
        return 0
    with file.open("rb") as read:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: read.read(1 << 20), b""))


if __name__ == "__main__":
    main()
