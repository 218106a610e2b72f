"""Compressing a finished log: our housekeeping beside Python's gzip, gzip, pigz and igzip.

Whole processes in turn, their start included; each writes a file on the same disk. Ours also reads
back what it wrote, checks it, and removes the plain log. The reference compresses with Python's
gzip at its default level, 9.

    python benches/bench_compress.py --bytes 1GB --rounds 3
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corpus import parse_size
from launch import run
from logfiles import finished_log, log_files
from measure import Spread, seconds, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from logfiles import LogFiles

TARGET = 10
"""So many times faster than Python's gzip at level 9 is the target."""

HOUSEKEEPING = (
    "import sys; from inspect_trace import _core; "
    "sys.exit(_core.housekeep(sys.argv[1], 2).compressed != 1)"
)
PYTHON_GZIP = """
import gzip, shutil, sys
with open(sys.argv[1], "rb") as log, gzip.open(sys.argv[2], "wb", int(sys.argv[3])) as packed:
    shutil.copyfileobj(log, packed)
"""


@dataclass
class Compressor:
    """One way of compressing a log, and what it took."""

    name: str
    compress: Callable[[Path, Path], tuple[float, int]]
    """Takes the log and a directory to work in; gives the seconds and the compressed size."""

    program: str | None = None
    """The program that it needs and that a machine may not have."""

    wall_s: list[float] = field(default_factory=list)
    packed_bytes: int = 0

    @property
    def is_there(self) -> bool:
        """Whether this machine has it."""
        return self.program is None or shutil.which(self.program) is not None


def ours(log: Path, directory: Path) -> tuple[float, int]:
    """Housekeeping, on all cores."""
    traces = directory / "traces"
    packed = finished_log(log, traces)
    packed = packed.with_name(f"{packed.name}.gz")
    taken = run([sys.executable, "-c", HOUSEKEEPING, str(traces)])
    packed_bytes = packed.stat().st_size
    shutil.rmtree(traces)
    return taken.wall_s, packed_bytes


def python_gzip(level: int) -> Compressor:
    """Python's gzip module at a level."""

    def compress(log: Path, directory: Path) -> tuple[float, int]:
        packed = directory / "packed.gz"
        taken = run([sys.executable, "-c", PYTHON_GZIP, str(log), str(packed), str(level)])
        packed_bytes = packed.stat().st_size
        packed.unlink()
        return taken.wall_s, packed_bytes

    return Compressor(f"Python's gzip, level {level}", compress)


def program(name: str, level: int) -> Compressor:
    """A program at a level."""

    def compress(log: Path, directory: Path) -> tuple[float, int]:
        packed = directory / "packed.gz"
        taken = run([name, f"-{level}", "-c", str(log)], out=packed)
        packed_bytes = packed.stat().st_size
        packed.unlink()
        return taken.wall_s, packed_bytes

    return Compressor(f"`{name} -{level}`", compress, program=name)


def check_answer(files: LogFiles) -> None:
    """Stops if what housekeeping made is not the log, read by Python's gzip."""
    with files.log.open("rb") as log, gzip.open(files.our_gz, "rb") as packed:
        while True:
            expected, got = log.read(1 << 20), packed.read(1 << 20)
            if expected != got:
                raise SystemExit(f"{files.our_gz} does not hold the log")
            if not expected:
                return


def measure(files: LogFiles, rounds: int) -> str:
    """Runs the bench.

    Returns:
        The results in Markdown.
    """
    check_answer(files)
    yardstick = python_gzip(9)
    compressors = [
        our := Compressor("ours", ours),
        yardstick,
        python_gzip(6),
        program("gzip", 6),
        program("pigz", 6),
        program("igzip", 1),
        program("igzip", 3),
    ]
    directory = files.directory / "compressing"
    directory.mkdir()
    for number in range(rounds):
        for compressor in compressors if number % 2 else reversed(compressors):
            if compressor.is_there:
                wall_s, compressor.packed_bytes = compressor.compress(files.log, directory)
                compressor.wall_s.append(wall_s)

    log_bytes = files.log.stat().st_size
    fastest_s = Spread(tuple(our.wall_s)).median
    rows = []
    for compressor in compressors:
        if not compressor.is_there:
            rows.append([compressor.name, f"{compressor.program} is not installed", "", "", ""])
            continue
        wall = Spread(tuple(compressor.wall_s))
        rows.append(
            [
                compressor.name,
                wall.show(seconds),
                f"{wall.median / fastest_s:.2f}×",
                f"{compressor.packed_bytes / 1e6:,.1f}",
                f"{log_bytes / compressor.packed_bytes:.2f}",
            ]
        )
    times = Spread(tuple(yardstick.wall_s)).median / fastest_s
    reached = "reached" if times >= TARGET else "**not reached**"
    head = ["compressor", "wall, s", "to ours", "MB", "ratio"]
    return (
        f"A log of {log_bytes / 1e6:,.1f} MB to a file. Median of {rounds} rounds "
        "(lowest–highest), in turn, the log in the page cache, whole processes with their start. "
        "Ours includes reading back and checking what was written. "
        f"Target: {TARGET} times faster than Python's gzip at level 9, which the reference uses; "
        f"it is {times:.1f} times, {reached}.\n\n"
        f"{table(head, rows)}"
    )


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="Compressing a log, ours beside others.")
    parser.add_argument("--bytes", type=parse_size, default=1_000_000_000, help="such as 1GB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with log_files(options.bytes, options.seed) as files:
        print(measure(files, options.rounds))


if __name__ == "__main__":
    main()
