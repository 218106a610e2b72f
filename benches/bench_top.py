"""`top` on a large log that is written: how soon it shows something, and what looking again costs.

The log is one corpus over and over, to which a program then appends. `top` runs on a terminal of
its own, whose screen is read. It has shown something when a row of its table is on that screen;
what it costs afterwards is what the system counts of its process: processor time, and bytes read.

    python benches/bench_top.py --bytes 100MB,1GB,10GB --rounds 3
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench_fleet import sizes
from corpus import CORPUS_VERSION, make_corpus
from measure import DATA, HERE, Spread, cpu_s, peak_mib, seconds, table

CORPUS_BYTES = 1_000_000_000
"""A larger log is this much over and over."""
ACTIONS = 1000
"""So many end between two looks."""
INTERVAL_S = 1.0
NEEDED = ("textual", "pyte")

WRITER = """
import logging, sys
from inspect_trace import init_tracing, trace_action

logger = logging.getLogger("bench")
tracing = init_tracing(path=sys.argv[1])
actions = []
for line in sys.stdin:
    for _ in range(int(line)):
        with trace_action(logger, "Subprocess", "bash --login -c ls"):
            pass
    actions.append(trace_action(logger, "Bench", "look %s-%d", sys.argv[2], len(actions)))
    actions[-1].__enter__()
    tracing.handler.flush()
    print("done", flush=True)
"""
"""Ends so many actions, and begins one that stays open, for each line that it is told."""


@dataclass(frozen=True)
class Looks:
    """What one run of `top` took."""

    first_s: float
    """Until it showed something."""
    peak_mib: float
    idle_cpu_s: float
    """Processor time for a look at which nothing was new."""
    cpu_s: float
    """Processor time for one at which there was something."""
    read_bytes: float
    """What it read for that."""
    appended_bytes: float
    """What had been appended."""
    seen_s: float
    """Until an action that had begun was on the screen."""


class Writer(AbstractContextManager["Writer"]):
    """A program that appends to a log."""

    def __init__(self, log: Path, run: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(log), str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def append(self, actions: int) -> None:
        """Ends so many actions, and begins one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{actions}\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise SystemExit("the program that is traced has failed")

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def look(log: Path, looks: int, run: int) -> Looks:
    """Runs `top` once; `run` tells it from other times."""
    from cli.screen import OnScreen

    with Writer(log, run) as writer:
        writer.append(0)
        start_s = time.perf_counter()
        # The newest are on the screen whatever else is open.
        with OnScreen(
            *("top", "--interval", str(INTERVAL_S), str(log)), environment=dict(os.environ)
        ) as screen:
            screen.shows(" running", "Subtask")
            first_s = time.perf_counter() - start_s
            screen.send("s")
            screen.shows("newest first", f"look {run}-0")
            pid = screen.process.pid
            spent_s = cpu_s(pid)
            screen.take_in(looks * INTERVAL_S)
            idle_cpu_s = (cpu_s(pid) - spent_s) / looks
            spent_s, read_bytes, size_bytes = cpu_s(pid), _read_bytes(pid), log.stat().st_size
            seen_s = []
            for number in range(1, looks + 1):
                writer.append(ACTIONS)
                begun_s = time.perf_counter()
                screen.shows(f"look {run}-{number}")
                seen_s.append(time.perf_counter() - begun_s)
            return Looks(
                first_s=first_s,
                peak_mib=peak_mib(pid),
                idle_cpu_s=idle_cpu_s,
                cpu_s=(cpu_s(pid) - spent_s) / looks,
                read_bytes=(_read_bytes(pid) - read_bytes) / looks,
                appended_bytes=(log.stat().st_size - size_bytes) / looks,
                seen_s=max(seen_s),
            )


def measure(size_list: list[int], rounds: int, looks: int, seed: int) -> str:
    """Runs the bench.

    Args:
        size_list: How large the logs are, in bytes.
        rounds: How often `top` is run on each.
        looks: How many looks are measured in each run, with and without something new.
        seed: What the corpus is made from.

    Returns:
        The results in Markdown.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return f"Not measured: {' and '.join(missing)} not installed.\n"
    sys.path.append(str(HERE.parent / "tests"))
    DATA.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="top-", dir=DATA))
    rows = []
    try:
        for size_bytes in size_list:
            log = directory / "large.log"
            make_large(log, size_bytes, seed)
            runs = [look(log, looks, run) for run in range(rounds)]
            rows.append([f"{size_bytes / 1e9:g} GB", *cells(runs)])
            log.unlink()
    finally:
        shutil.rmtree(directory)
    head = [
        *("log", "first screen, s", "peak MiB", "a look, nothing new, ms of CPU"),
        *(f"a look, {ACTIONS:,} actions new, ms of CPU", "appended for it, kB", "read, kB"),
        "on the screen after at most, s",
    ]
    return (
        f"A log that is written (corpus version {CORPUS_VERSION}, seed {seed}; in the page cache), "
        f"on a terminal of 80 columns, looked at every {INTERVAL_S:g} s: medians of {rounds} runs "
        f"(lowest–highest) with {looks} looks each.\n\n{table(head, rows)}"
    )


def make_large(path: Path, size_bytes: int, seed: int) -> None:
    """Makes a log of about that size."""
    corpus_bytes = min(size_bytes, CORPUS_BYTES)
    make_corpus(path, corpus_bytes, seed)
    with path.open("rb+") as log:
        end = log.seek(0, os.SEEK_END)
        for _ in range(1, round(size_bytes / corpus_bytes)):
            position = 0
            while position < end:
                position += os.copy_file_range(
                    log.fileno(), log.fileno(), end - position, offset_src=position
                )


def cells(runs: list[Looks]) -> list[str]:
    """What runs took, for a row."""

    def spread(name: str, factor: float = 1) -> str:
        return Spread(tuple(getattr(run, name) * factor for run in runs)).show(seconds)

    return [
        spread("first_s"),
        f"{max(run.peak_mib for run in runs):.0f}",
        spread("idle_cpu_s", 1e3),
        spread("cpu_s", 1e3),
        spread("appended_bytes", 1e-3),
        spread("read_bytes", 1e-3),
        seconds(max(run.seen_s for run in runs)),
    ]


def _read_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="How soon top shows something.")
    parser.add_argument("--bytes", type=sizes, default="100MB,1GB,10GB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--looks", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(measure(options.bytes, options.rounds, options.looks, options.seed))


if __name__ == "__main__":
    main()
