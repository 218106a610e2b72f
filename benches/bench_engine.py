"""What tracing costs an evaluation of inspect_ai: without, by its own writer, by ours.

python benches/bench_engine.py --samples 1000 --rounds 5

The sides alternate, each run in a process of its own. `off` is inspect_ai with a trace level that
lets nothing through to its log; whoever writes is not asked anything then. The exit is the time
from the end of the evaluation to that of the process, in which inspect_ai compresses its log.

How long a run takes, and its processor time too, varies by more than a trace log costs. So what a
log costs is measured where it is spent: the processor time within the handler that writes it, that
of our own threads and of importing our package. inspect_ai makes and filters the records in any
case.
"""

from __future__ import annotations

import argparse
import json
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
    cpu_s: float
    handler_s: float
    """Within the handler."""
    around_s: float
    """Our own threads, and importing."""
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
        told = json.loads(line)
        kind, records = told["handler"], told["records"]
        if (kind == "EngineHandler") != (side == "ours"):
            raise SystemExit(f"the log of {side} was written by {kind}")
        if (records == 0) != (side == "off") or (told["calls"] == 0) != (side == "off"):
            raise SystemExit(f"the log of {side} has {records} records of {told['calls']} calls")
        return Run(
            told["eval_s"],
            exit_s,
            used.ru_utime + used.ru_stime,
            told["in_handler_s"],
            told["in_threads_s"] + told["import_s"],
            records,
        )


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
        found = runs[side]
        walls, exits, cpus = (
            Spread(tuple(getattr(one, what) for one in found)).show(seconds)
            for what in ("eval_s", "exit_s", "cpu_s")
        )
        rows.append([name, f"{walls} s", f"{exits} s", f"{cpus} s", *_costs(side, found)])
    head = [
        "trace log",
        "`eval()`",
        "exit",
        "processor",
        "in the handler",
        "around it",
        "share",
        "a record",
    ]
    return (
        f"An evaluation of {samples:,} samples with the mock model, two model calls and a tool "
        f"call each: {records:,} records. Median of {rounds} (lowest–highest), the sides in turn. "
        "What is spent for the log is processor time: within the handler that writes it, and "
        "around it, that of our own threads and of importing our package; its share is of that of "
        "the whole process. inspect_ai makes the records in any case, and filters them."
        f"\n\n{table(head, rows)}"
    )


def _costs(side: str, runs: list[Run]) -> list[str]:
    """What the log of a side takes: in the handler, around it, of all, and for each record."""
    if side == "off":
        return [""] * 4
    columns = (
        ("ms", [1e3 * run.handler_s for run in runs]),
        ("ms", [1e3 * run.around_s for run in runs]),
        ("%", [100 * (run.handler_s + run.around_s) / run.cpu_s for run in runs]),
        ("µs", [1e6 * (run.handler_s + run.around_s) / run.records for run in runs]),
    )
    return [f"{Spread(tuple(values)).show(_digits)} {unit}" for unit, values in columns]


def _digits(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="What tracing costs an evaluation.")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{facts()}\n\n{measure(options.samples, options.rounds)}")


if __name__ == "__main__":
    main()
