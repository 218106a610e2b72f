"""How long single calls take: the distribution, and where the longest of them come from.

Each call is timed by itself. Around those that take long the process looks at what the kernel
counts for its thread (switches, page faults, time on the CPU) and at Python's garbage collection.
The first look may be some calls earlier, for looking before each would slow all of them.

    python benches/write_latency.py ours action 1000000
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from measure import DATA
from write_subjects import MODEL, WAIT_S, Subject, subject_of
from write_workers import count_lines

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BATCH = 32
BATCH_NS = 30_000
"""How long a few calls between two looks may take, or one if that takes longer."""
LONG_NS = 50_000
LOOKING_NS = 10_000
"""What a thread's and its process's times may differ by, as one is asked for after the other."""
QUANTILES = (0.5, 0.99, 0.999, 0.9999)
PREEMPTED = "preempted"
WAITED = "waited"
FAULTED = "page fault"
COLLECTED = "garbage collection"
NOT_RUNNING = "stopped without a switch"
ON_CPU = "on the CPU"


@dataclass(frozen=True)
class Distribution:
    """What the calls of one process took."""

    calls: int
    quantiles_ns: list[float]
    """Those of `QUANTILES`."""
    undisturbed_ns: float
    """The last of the quantiles, without the calls in which the kernel took the CPU away."""
    max_ns: int
    max_cause: str
    long_by_cause: dict[str, int]
    """The calls longer than `LONG_NS`, by the kind of cause."""


@dataclass
class LongCall:
    """A call that took long, and what happened meanwhile."""

    wall_ns: int
    on_cpu_ns: int
    others_ns: int
    """What the other threads of the process had of the CPUs."""
    collecting_ns: int
    involuntary: int
    voluntary: int
    minor_faults: int
    major_faults: int
    generations: list[int]
    """Those that were collected."""

    def kind(self) -> str:
        """What did it, most likely."""
        if 2 * self.collecting_ns > self.wall_ns:
            return COLLECTED
        if self.involuntary:
            return PREEMPTED
        if self.voluntary:
            return WAITED
        if self.minor_faults or self.major_faults:
            return FAULTED
        return ON_CPU if 2 * self.on_cpu_ns > self.wall_ns else NOT_RUNNING

    def show(self) -> str:
        """What did it, with the counts."""
        seen = [
            (self.involuntary, "involuntary switch"),
            (self.voluntary, "voluntary switch"),
            (self.minor_faults, "minor page fault"),
            (self.major_faults, "major page fault"),
        ]
        counts = [_count(count, name) for count, name in seen if count]
        counts += [f"collection of generation {generation}" for generation in self.generations]
        on_cpu_us = min(self.on_cpu_ns, self.wall_ns) / 1000
        counts.append(f"at most {on_cpu_us:,.0f} µs of it on the CPU")
        if self.others_ns > LOOKING_NS:
            counts.append(f"other threads of the process {self.others_ns / 1000:,.0f} µs")
        return f"{self.kind()} ({', '.join(counts)})"


def _count(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}{'es' if name[-1] == 'h' else 's'}"


def distribution_of(side: str, operation: str, calls: int) -> Distribution:
    """Measures in a process of its own."""
    command = [sys.executable, __file__, side, operation, str(calls)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Distribution(**json.loads(done.stdout))


def main() -> None:
    """Prints the distribution of one operation: see the top of the file."""
    side, operation, count = sys.argv[1:]
    calls = int(count)
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="latency-", dir=DATA) as directory:
        file = Path(directory, "trace.log")
        subject = subject_of(side, operation, file)
        warm = max(calls // 20, 1)
        start_ns = time.perf_counter_ns()
        subject.repeat(warm)
        call_ns = max((time.perf_counter_ns() - start_ns) // warm, 1)
        batch = min(max(BATCH_NS // call_ns, 1), MAX_BATCH)
        taken_ns, long_calls = time_each(single_call(side, operation, subject), calls, batch)
        subject.close()
        if count_lines(file) != (calls + warm) * subject.lines:
            raise SystemExit(f"{side} {operation}: not all records are in the file")
    print(json.dumps(vars(summary(taken_ns, long_calls))))


def single_call(side: str, operation: str, subject: Subject) -> Callable[[], None]:
    """One call, without the loop of `Subject.repeat`."""
    if side == "nothing":
        return spin
    logger = logging.getLogger("bench")
    if operation == "info":
        info = logger.info

        def call_info() -> None:
            info("Rate limit reached, next attempt in %d seconds", WAIT_S)

        return call_info
    if operation != "action":
        return lambda: subject.repeat(1)
    package = "inspect_trace" if side == "ours" else "inspect_ai._util.trace"
    tracing: Any = importlib.import_module(package)
    trace_action = tracing.trace_action

    def call_action() -> None:
        with trace_action(logger, "Model", "generate (%s)", MODEL):
            pass

    return call_action


def spin() -> None:
    """Takes about a microsecond, in which the machine can come between as in one of a call's."""
    for _ in range(160):
        pass


def time_each(
    call: Callable[[], None], calls: int, batch: int
) -> tuple[array[int], list[LongCall]]:
    """Times each call, and looks at the counts before each `batch` of them.

    Returns:
        The nanoseconds of each, and those that took long.
    """
    clock = time.perf_counter_ns
    collected: list[tuple[int, int]] = []  # the generation, and the time that it took
    started_ns = 0

    def note_collection(phase: str, info: dict[str, int]) -> None:
        nonlocal started_ns
        if phase == "start":
            started_ns = clock()
        else:
            collected.append((info["generation"], clock() - started_ns))

    gc.collect()
    gc.callbacks.append(note_collection)
    taken_ns = array("q", bytes(8 * calls))
    long_calls: list[LongCall] = []
    for first in range(0, calls, batch):
        collected.clear()
        before = look()
        for number in range(first, min(first + batch, calls)):
            start_ns = clock()
            call()
            elapsed_ns = clock() - start_ns
            taken_ns[number] = elapsed_ns
            if elapsed_ns > LONG_NS:
                long_calls.append(between(elapsed_ns, before, look(), collected))
                collected.clear()
                before = look()
    gc.callbacks.remove(note_collection)
    return taken_ns, long_calls


class Counts(NamedTuple):
    """What the kernel has counted."""

    thread: resource.struct_rusage
    on_cpu_ns: int
    """Of this thread; the kernel's time in `thread` is coarse."""
    all_on_cpu_ns: int
    """Of all threads of the process."""


def look() -> Counts:
    """What the kernel has counted until now."""
    thread = resource.getrusage(resource.RUSAGE_THREAD)
    return Counts(thread, time.thread_time_ns(), time.process_time_ns())


def between(
    wall_ns: int, before: Counts, after: Counts, collected: list[tuple[int, int]]
) -> LongCall:
    """What happened from one look to the next."""
    on_cpu_ns = after.on_cpu_ns - before.on_cpu_ns
    was, now = before.thread, after.thread
    return LongCall(
        wall_ns,
        on_cpu_ns,
        max(after.all_on_cpu_ns - before.all_on_cpu_ns - on_cpu_ns, 0),
        sum(taken_ns for _, taken_ns in collected),
        now.ru_nivcsw - was.ru_nivcsw,
        now.ru_nvcsw - was.ru_nvcsw,
        now.ru_minflt - was.ru_minflt,
        now.ru_majflt - was.ru_majflt,
        [generation for generation, _ in collected],
    )


def quantile_of(in_order: list[int], part: float) -> int:
    """The value that this part of the values does not exceed."""
    return in_order[min(int(part * len(in_order)), len(in_order) - 1)]


def summary(taken_ns: array[int], long_calls: list[LongCall]) -> Distribution:
    """The distribution of what was measured."""
    in_order = sorted(taken_ns)
    preempted = Counter(call.wall_ns for call in long_calls if call.kind() == PREEMPTED)
    undisturbed = list((Counter(taken_ns) - preempted).elements())
    worst = max(long_calls, key=lambda call: call.wall_ns, default=None)
    return Distribution(
        len(in_order),
        [quantile_of(in_order, part) for part in QUANTILES],
        quantile_of(sorted(undisturbed), QUANTILES[-1]) if undisturbed else in_order[-1],
        in_order[-1],
        worst.show() if worst else f"no call took more than {LONG_NS // 1000} µs",
        dict(Counter(call.kind() for call in long_calls).most_common()),
    )


if __name__ == "__main__":
    main()
