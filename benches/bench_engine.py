"""What tracing costs an evaluation of inspect_ai: without, by its own writer, by ours.

python benches/bench_engine.py --samples 1000 --rounds 5

The sides alternate, each run in a process of its own. `off` is inspect_ai with a trace level that
lets nothing through to its log; whoever writes is not asked anything then. The exit is the time
from the end of the evaluation to that of the process, in which inspect_ai compresses its log.

How long a run takes varies by more than a trace log costs, so that is told from processor time: of
the whole process with all its threads, start and exit, the difference to the run without a log of
the same round.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from measure import HERE, Spread, facts, seconds, table

SIDES: dict[str, dict[str, str]] = {
    "off": {"INSPECT_TRACE_ENGINE": "inspect_ai", "INSPECT_TRACE_LEVEL": "CRITICAL"},
    "reference": {"INSPECT_TRACE_ENGINE": "inspect_ai"},
    "ours": {"INSPECT_TRACE_ENGINE": "inspect_trace"},
}
NAMES = {"off": "no trace log", "reference": "inspect_ai's writer", "ours": "inspect-trace"}


class Run(NamedTuple):
    """One evaluation."""

    eval_s: float
    exit_s: float
    cpu_s: float
    records: int


def run(side: str, samples: int) -> Run:
    """Runs the evaluation once, in an empty home."""
    with tempfile.TemporaryDirectory() as home:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("INSPECT_")}
        environment |= {"XDG_DATA_HOME": f"{home}/data", "XDG_CACHE_HOME": f"{home}/cache"}
        with subprocess.Popen(
            [sys.executable, "-u", str(HERE / "engine_evaluation.py"), str(samples), f"{home}/l"],
            env=environment | SIDES[side],
            cwd=home,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            end_s = time.perf_counter()
            _, status, used = os.wait4(process.pid, 0)
            exit_s = time.perf_counter() - end_s
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"the evaluation ({side}) left with {process.returncode}")
        duration, records, kind = line.split()
        if (kind == "EngineHandler") != (side == "ours"):
            raise SystemExit(f"the log of {side} was written by {kind}")
        if (records == "0") != (side == "off"):
            raise SystemExit(f"the log of {side} has {records} records")
        return Run(float(duration), exit_s, used.ru_utime + used.ru_stime, int(records))


def measure(samples: int, rounds: int) -> str:
    """Runs all sides in turn.

    Returns:
        The results in Markdown.
    """
    run("off", min(samples, 10))  # for the file cache
    runs: dict[str, list[Run]] = {side: [] for side in SIDES}
    for number in range(rounds):
        order = list(SIDES) if number % 2 == 0 else list(reversed(SIDES))
        for side in order:
            runs[side].append(run(side, samples))
    counts = {r.records for side in ("reference", "ours") for r in runs[side]}
    records = min(counts)
    # A few depend on how long the evaluation takes: inspect_ai writes its own log now and then.
    if max(counts) > 1.01 * records:
        raise SystemExit(f"the logs have different numbers of records: {sorted(counts)}")
    rows = []
    for side, name in NAMES.items():
        walls, exits, cpus = (
            Spread(tuple(getattr(found, what) for found in runs[side]))
            for what in ("eval_s", "exit_s", "cpu_s")
        )
        pairs = zip(runs[side], runs["off"], strict=True)
        extras = [with_log.cpu_s - without.cpu_s for with_log, without in pairs]
        rows.append(
            [
                name,
                f"{walls.show(seconds)} s",
                f"{exits.show(seconds)} s",
                f"{cpus.show(seconds)} s",
                *([""] * 3 if side == "off" else _shares(extras, cpus.median, records)),
            ]
        )
    head = ["trace log", "`eval()`", "exit", "processor", "for the log", "share", "a record"]
    return (
        f"An evaluation of {samples:,} samples with the mock model, two model calls and a tool "
        f"call each: {records:,} records. Median of {rounds} (lowest–highest), the sides in turn. "
        "What is spent for the log is processor time, compared with the run without one of the "
        "same round: median, and 95 % interval of it. inspect_ai makes the records in any case, "
        f"and filters them.\n\n{table(head, rows)}"
    )


def _shares(extras: list[float], all_s: float, records: int) -> list[str]:
    """What a log costs: in milliseconds, of all, and for each record."""
    low_s, high_s = median_interval(extras)
    middle_s = statistics.median(extras)
    return [
        f"{1e3 * middle_s:.0f} ({1e3 * low_s:.0f} to {1e3 * high_s:.0f}) ms",
        f"{100 * middle_s / all_s:.1f} %",
        f"{1e6 * middle_s / records:.1f} µs",
    ]


def median_interval(values: list[float]) -> tuple[float, float]:
    """Between which of the values the median of all such lies, with 95 % probability or more.

    By the binomial distribution of how many values are below the median (the sign test); all of
    them where they are too few to tell.
    """
    ordered = sorted(values)
    count = len(ordered)
    below, outside = 0, 1 / 2**count
    while below + 1 < count // 2 and 2 * (outside + math.comb(count, below + 1) / 2**count) <= 0.05:
        below += 1
        outside += math.comb(count, below) / 2**count
    return ordered[below], ordered[count - 1 - below]


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="What tracing costs an evaluation.")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{facts()}\n\n{measure(options.samples, options.rounds)}")


if __name__ == "__main__":
    main()
