"""Writing: what one traced thing costs the program that traces: ours, the reference's, and peers'.

Each variant runs in a fresh process of its own (`write_workers.py`), the variants in turn, round
after round, and writes to a real file, which has to hold all of it at the end. In the same rounds
processes are killed to see what is lost (`write_kill.py`), and single calls are timed
(`write_latency.py`).

    python benches/bench_write.py --operations 50000 --rounds 5 [--works-only]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import write_kill
import write_latency
from measure import DATA, HERE
from write_peers import PEERS
from write_tables import (
    KILL,
    OWN,
    SINGLE_CALLS,
    Measured,
    call_table,
    peer_table,
    target_table,
    variants,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from write_tables import Variant

NOT_INSTALLED = "not installed"
MAX_PATIENCE_S = 30
"""How long a package may take for what takes the slowest a few seconds."""
PER_REFERENCE_CALL = 10
"""The reference does one single call where ours does so many: it takes that much longer."""
PER_SYNC = 50
"""The same for what waits for the disk."""


def measure(
    operations: int, rounds: int, calls: int, *, at_once: int = 1, works_only: bool = False
) -> str:
    """Runs the bench.

    Args:
        operations: How many each process does.
        rounds: How many processes each variant gets.
        calls: How many single calls are timed in each round.
        at_once: How many processes run at a time. What more than one measure is worth nothing:
            that is for finding out whether they run at all.
        works_only: Whether the other packages, kills and single calls are left out.

    Returns:
        The results in Markdown.
    """
    measured = Measured(missing={peer: NOT_INSTALLED for peer in PEERS if not is_installed(peer)})
    jobs: list[Callable[[], None]] = [
        partial(measure_variant, variant, operations, measured)
        for variant in variants(works_only=works_only)
    ]
    if not works_only:
        jobs += [partial(kill, *own, operations, measured) for own in OWN]
        jobs += [partial(kill, peer, "peer", operations, measured) for peer in PEERS]
        jobs += [
            partial(time_calls, side, operation, calls, measured)
            for _, side, operation in SINGLE_CALLS
        ]
    with ThreadPoolExecutor(at_once) as pool:
        for number in range(rounds):
            for _ in pool.map(run_job, jobs if number % 2 else reversed(jobs)):
                pass
    works = (
        f"Nanoseconds per operation, {operations:,} operations in a process (waiting for the disk: "
        f"{operations // PER_SYNC:,}): median of {rounds} processes (lowest–highest), the variants "
        "in turn. The targets were set on a machine where the reference's `trace_action` took "
        "37,670 ns, and a `NullHandler` 3,000; a target *here* is that times what the row's "
        "yardstick takes longer here: the reference, or, of what is above it, the "
        f"`NullHandler`. In all tables of this chapter: {_versions()}.\n\n"
        f"{target_table(measured)}"
    )
    if works_only:
        return works
    return (
        f"{works}\n"
        "#### Beside other packages\n\n"
        "An action or a record as each package has it. CPU is what all threads of the process "
        "took for one, single-threaded, until the file was closed. Lost: of the records whose "
        "call had returned when SIGKILL came, the most of all rounds; OpenTelemetry with the "
        "queue that it has by default. Ahead: ours takes less in every column that could be "
        "measured.\n\n"
        f"{peer_table(measured)}\n"
        "#### Single calls\n\n"
        f"{calls:,} calls in a process, the reference {max(calls // PER_REFERENCE_CALL, 1):,}, "
        f"each timed by itself: medians of {rounds} processes in µs; the longest of all, and what "
        "the kernel and Python counted around it. Preempted: the kernel gave the CPU to another "
        "thread or process; waited: the call gave it up; on the CPU: neither, nor a page fault, so "
        "the call itself, the kernel on its behalf, an interrupt or the hypervisor.\n\n"
        f"{call_table(measured)}"
    )


def run_job(job: Callable[[], None]) -> None:
    """Runs one of the round's jobs."""
    job()


def measure_variant(variant: Variant, operations: int, measured: Measured) -> None:
    """Runs one variant, unless it has shown that it cannot.

    Raises:
        CalledProcessError: One of ours or of the reference's failed, or did not write all.
    """
    side, operation, mode = variant
    if side in measured.missing or variant in measured.missing:
        return
    if operation == "fsync":
        operations = max(operations // PER_SYNC, 1)
    is_peer = side in PEERS
    patience_s = min(4 + operations / 1_000, MAX_PATIENCE_S) if is_peer else None
    worker = str(HERE / "write_workers.py")
    why = ""
    # Not the worker's own directory: one that hangs is killed, and removes nothing.
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="write-", dir=DATA) as directory:
        log = str(Path(directory, "trace.log"))
        command = [sys.executable, worker, side, operation, mode, str(operations), log]
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if is_peer else None,
                timeout=patience_s,
                check=not is_peer,
            )
            if done.returncode:
                why = "fails: " + done.stderr.decode().strip().rpartition("\n")[2]
        except subprocess.TimeoutExpired:
            why = f"hangs (stopped after {patience_s:.0f} s)"
    if why:
        measured.missing[variant] = why
        measured.wall_ns.pop(variant, None)
        return
    wall_ns, cpu_ns = json.loads(done.stdout)
    measured.wall_ns.setdefault(variant, []).append(wall_ns)
    measured.cpu_ns.setdefault(variant, []).append(cpu_ns)


def kill(side: str, operation: str, records: int, measured: Measured) -> None:
    """Finds out once more what a kill loses."""
    variant = (side, operation, KILL)
    if side in measured.missing or variant in measured.missing:
        return
    try:
        loss = write_kill.kill_one(side, operation, records)
    except SystemExit as error:
        if side not in PEERS:
            raise
        measured.missing[variant] = str(error)
        return
    measured.losses.setdefault((side, operation), []).append(loss)


def time_calls(side: str, operation: str, calls: int, measured: Measured) -> None:
    """Times single calls once more."""
    count = calls if side != "reference" else max(calls // PER_REFERENCE_CALL, 1)
    distribution = write_latency.distribution_of(side, operation, count)
    measured.calls.setdefault((side, operation), []).append(distribution)


def is_installed(peer: str) -> bool:
    """Whether this Python has that package."""
    return PEERS[peer].distribution is None or _version_of(PEERS[peer].distribution) is not None


def _version_of(distribution: str | None) -> str | None:
    try:
        return version(distribution or "")
    except (PackageNotFoundError, ValueError):
        return None


def _versions() -> str:
    distributions = sorted({peer.distribution for peer in PEERS.values() if peer.distribution})
    return ", ".join(
        f"{name} {_version_of(name) or f'({NOT_INSTALLED})'}" for name in [*distributions, "orjson"]
    )


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="What tracing costs the traced program.")
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1_000_000, help="single calls that are timed")
    parser.add_argument(
        "--works-only",
        action="store_true",
        help="only ours and the reference's: no other packages, kills or single calls",
    )
    options = parser.parse_args()
    print(measure(options.operations, options.rounds, options.calls, works_only=options.works_only))


if __name__ == "__main__":
    main()
