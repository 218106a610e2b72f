"""What tracing costs an evaluation of inspect_ai: without, by its own writer, by ours.

python benches/bench_engine.py --samples 1000 --rounds 5

The sides alternate, each run in a process of its own. `off` is inspect_ai with a trace level that
lets nothing through to its log; whoever writes is not asked anything then. The exit is the time
from the end of the evaluation to that of the process, in which inspect_ai compresses its log.
"""

from __future__ import annotations

import argparse
import os
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
            process.wait()
            exit_s = time.perf_counter() - end_s
        if process.returncode != 0:
            raise SystemExit(f"the evaluation ({side}) left with {process.returncode}")
        duration, records, kind = line.split()
        if (kind == "EngineHandler") != (side == "ours"):
            raise SystemExit(f"the log of {side} was written by {kind}")
        if (records == "0") != (side == "off"):
            raise SystemExit(f"the log of {side} has {records} records")
        return Run(float(duration), exit_s, int(records))


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
    spreads = {side: Spread(tuple(r.eval_s for r in found)) for side, found in runs.items()}
    counts = {r.records for side in ("reference", "ours") for r in runs[side]}
    if len(counts) != 1:
        raise SystemExit(f"the logs have different numbers of records: {sorted(counts)}")
    records = counts.pop()
    base = spreads["off"].median
    rows = []
    for side, name in NAMES.items():
        extra_s = spreads[side].median - base
        exits = Spread(tuple(found.exit_s for found in runs[side]))
        is_off = side == "off"
        rows.append(
            [
                name,
                f"{spreads[side].show(seconds)} s",
                "" if is_off else f"{100 * extra_s / spreads[side].median:.1f} %",
                "" if is_off else f"{1e6 * extra_s / records:.1f} µs",
                f"{exits.show(seconds)} s",
            ]
        )
    head = ["trace log", "`eval()`", "tracing's share", "a record", "exit"]
    return (
        f"An evaluation of {samples:,} samples with the mock model, two model calls and a tool "
        f"call each: {records:,} records. Median of {rounds} (lowest–highest), the sides in turn. "
        "The share is what the run takes longer than without a log; inspect_ai makes the records "
        "in any case, and filters them.\n\n"
        f"{table(head, rows)}"
    )


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="What tracing costs an evaluation.")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{facts()}\n\n{measure(options.samples, options.rounds)}")


if __name__ == "__main__":
    main()
