"""Writing: what one traced thing costs the program that traces, ours and the reference's.

Each variant runs in a fresh process of its own, the variants in turn, round after round, and
writes to a real file. The reference is its `trace_action` and `trace_message` through a
`FileHandler` with its `TraceFormatter`, as it sets them up itself. The floor is the same call with
a `NullHandler`: what `logging` takes before any handler writes.

    python benches/bench_write.py --operations 20000 --rounds 5
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import DATA, Spread, nanoseconds, ratio, table

if TYPE_CHECKING:
    from collections.abc import Callable

TRACE = 13
THREADS = 4
SIDES = ("ours", "reference")
OPERATIONS = {
    "action": "`trace_action`, an action (two records)",
    "action-error": "`trace_action`, an action that fails",
    "action-threads": f"`trace_action`, an action, {THREADS} threads at once",
    "action-off": "`trace_action`, level above TRACE",
    "message": "`trace_message`, a record",
    "info": "`logger.info`, a record",
}
FLOOR = ("null", "info")


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="What tracing costs the traced program.")
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", nargs=2, metavar=("SIDE", "OPERATION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        side, operation = options.worker
        print(json.dumps(work(side, operation, options.operations)))
    else:
        print(measure(options.operations, options.rounds))


def measure(operations: int, rounds: int) -> str:
    """Runs the bench.

    Returns:
        The results in Markdown.
    """
    results: dict[tuple[str, str], list[float]] = {
        (side, operation): [] for operation in OPERATIONS for side in SIDES
    }
    results[FLOOR] = []
    for number in range(rounds):
        variants = list(results)
        for variant in variants if number % 2 else reversed(variants):
            command = [sys.executable, __file__, "--operations", str(operations), "--worker"]
            done = subprocess.run([*command, *variant], stdout=subprocess.PIPE, check=True)
            results[variant].append(json.loads(done.stdout))

    spreads = {variant: Spread(tuple(values)) for variant, values in results.items()}
    rows = [
        [
            name,
            spreads["ours", operation].show(nanoseconds),
            spreads["reference", operation].show(nanoseconds),
            ratio(spreads["reference", operation], spreads["ours", operation]),
        ]
        for operation, name in OPERATIONS.items()
    ]
    rows.append(
        ["`logger.info` into a `NullHandler`", spreads[FLOOR].show(nanoseconds), "", ""],
    )
    return (
        f"Nanoseconds per operation, {operations:,} operations in a process: median of {rounds} "
        "processes (lowest–highest), the variants in turn.\n\n"
        f"{table(['operation', 'ours, ns', 'reference, ns', 'faster'], rows)}"
    )


def work(side: str, operation: str, operations: int) -> float:
    """Measures one variant, in the process that was made for it.

    Returns:
        The wall time in nanoseconds per operation.
    """
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="write-", dir=DATA) as directory:
        logger = logging.getLogger("bench")
        logger.propagate = False
        once = set_up(side, operation, logger, Path(directory))

        def repeat(count: int) -> None:
            for _ in range(count):
                once()

        repeat(max(operations // 20, 1))  # warm
        if operation != "action-threads":
            start = time.perf_counter_ns()
            repeat(operations)
            elapsed_ns = time.perf_counter_ns() - start
        else:
            barrier = threading.Barrier(THREADS + 1)

            def work_in_thread() -> None:
                barrier.wait()
                repeat(operations // THREADS)

            threads = [threading.Thread(target=work_in_thread) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            start = time.perf_counter_ns()
            barrier.wait()
            for thread in threads:
                thread.join()
            elapsed_ns = time.perf_counter_ns() - start
            operations = operations // THREADS * THREADS
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()
        check_log(side, operation, Path(directory))
        return elapsed_ns / operations


def set_up(
    side: str, operation: str, logger: logging.Logger, directory: Path
) -> Callable[[], object]:
    """Gives the logger the side's handler.

    Returns:
        The operation to measure.
    """
    tracing: Any = None
    handler: logging.Handler = logging.NullHandler()
    if side == "ours":
        tracing = importlib.import_module("inspect_trace")
        handler = tracing.TraceHandler(directory / "trace.log")
    elif side == "reference":
        tracing = importlib.import_module("inspect_ai._util.trace")
        logging.addLevelName(TRACE, "TRACE")
        handler = logging.FileHandler(directory / "trace.log")
        handler.setFormatter(tracing.TraceFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if operation == "action-off" else TRACE)

    def action() -> None:
        with tracing.trace_action(logger, "Model", "generate (%s)", "openai/gpt-5-mini"):
            pass

    def failing_action() -> None:
        try:
            with tracing.trace_action(logger, "Subprocess", "make -j4 check"):
                raise RuntimeError("container exited with code 137")
        except RuntimeError:
            pass

    def message() -> None:
        tracing.trace_message(logger, "Sandbox", "looking for %s", "bash")

    def info() -> None:
        logger.info("Rate limit reached, next attempt in %d seconds", 17)

    return {"action-error": failing_action, "message": message, "info": info}.get(operation, action)


def check_log(side: str, operation: str, directory: Path) -> None:
    """Stops if what was to be written is not in the log: a bench of nothing is fast."""
    log = directory / "trace.log"
    is_empty = not log.exists() or log.stat().st_size == 0
    if is_empty != (side == "null" or operation == "action-off"):
        raise SystemExit(f"{side} {operation}: the log is {'' if is_empty else 'not '}empty")


if __name__ == "__main__":
    main()
