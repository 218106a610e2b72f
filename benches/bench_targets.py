"""Reading huge logs: each of our targets beside its yardstick, measured in the same run.

A row is a thing to do, the yardstick that it is held against, and the target. In each round a row
runs its yardstick and ours, one right after the other, in turn the one and the other first: so
whatever else the machine does hits both. `ROWS` builds them: a new target is a new entry there.

    python benches/bench_targets.py --bytes 1GB --rounds 5
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from corpus import parse_size
from launch import OURS, PIPE, run
from logfiles import log_files
from measure import HERE, Spread, nanoseconds, seconds, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from logfiles import LogFiles

FEW_HITS = "sample=s-25"
"""What one sample in forty has in its messages."""


class Target(Protocol):
    """What ours may take, told by what the yardstick takes."""

    def show(self) -> str:
        """The target in words."""

    def compare(self, ours: Spread, yardstick: Spread) -> tuple[str, bool]:
        """Where ours stands, and whether that is within the target."""


@dataclass(frozen=True)
class AtMostTimes:
    """As long as the yardstick, this many times."""

    limit: float

    def show(self) -> str:
        """See `Target`."""
        return f"{self.limit:g}×"

    def compare(self, ours: Spread, yardstick: Spread) -> tuple[str, bool]:
        """See `Target`."""
        times = ours.median / yardstick.median
        return f"{times:.2f}×", times <= self.limit


@dataclass(frozen=True)
class Faster(AtMostTimes):
    """Not as long as the yardstick."""

    limit: float = 1

    def show(self) -> str:
        """See `Target`."""
        return "faster"


@dataclass(frozen=True)
class AtMostMore:
    """So many seconds longer than the yardstick."""

    limit_s: float

    def show(self) -> str:
        """See `Target`."""
        return f"+{self.limit_s * 1000:.0f} ms"

    def compare(self, ours: Spread, yardstick: Spread) -> tuple[str, bool]:
        """See `Target`."""
        more_s = ours.median - yardstick.median
        return f"+{more_s * 1000:.1f} ms", more_s <= self.limit_s


@dataclass
class Row:
    """One target, how both sides are measured, and what they took."""

    work: str
    yardstick: str
    target: Target
    measure_ours: Callable[[], float]
    measure_yardstick: Callable[[], float]
    needs: str | None = None
    """The program that the yardstick needs and that a machine may not have."""
    form: Callable[[float], str] = seconds
    unit: str = "s"
    runs_per_round: int = 1
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def run(self, number: int) -> None:
        """Runs the round of that number."""
        sides = [(self.measure_ours, self.ours)]
        if self.has_yardstick:
            sides.append((self.measure_yardstick, self.theirs))
        for _ in range(self.runs_per_round):
            for measure_side, values in sides if number % 2 else reversed(sides):
                values.append(measure_side())

    @property
    def has_yardstick(self) -> bool:
        """Whether this machine has the yardstick."""
        return self.needs is None or shutil.which(self.needs) is not None

    def cells(self) -> list[str]:
        """The row of the table."""
        ours = Spread(tuple(self.ours))
        result = [self.work, f"{ours.show(self.form)} {self.unit}", f"`{self.yardstick}`"]
        if not self.theirs:
            return [*result, f"{self.needs} is not installed", "", self.target.show(), ""]
        theirs = Spread(tuple(self.theirs))
        stands, is_reached = self.target.compare(ours, theirs)
        shown = f"{theirs.show(self.form)} {self.unit}"
        return [*result, shown, stands, self.target.show(), "yes" if is_reached else "**no**"]


def rows_of(files: LogFiles) -> Iterator[Row]:
    """The table of targets."""
    wall = partial(wall_s, environment=files.environment)
    log, out = str(files.log), files.directory / "out"
    count_lines = partial(wall, ["wc", "-l", log])
    through_a_pipe = ["cat", log, PIPE, "cat"]

    yield Row(
        "`anomalies`, .log",
        "wc -l",
        AtMostTimes(2.5),
        partial(wall, [*OURS, "anomalies", log]),
        count_lines,
        runs_per_round=3,
    )
    yield Row(
        "`dump`, .log, to nowhere",
        "cat FILE | cat > /dev/null",
        AtMostTimes(1.5),
        partial(wall, [*OURS, "dump", log]),
        partial(wall, through_a_pipe),
    )
    yield Row(
        "`dump`, .log, to a file",
        "cat FILE | cat > OUT",
        AtMostTimes(1.5),
        partial(wall, [*OURS, "dump", log], out=out),
        partial(wall, through_a_pipe, out=out),
    )
    yield Row(
        f"`dump --filter {FEW_HITS}`, .log",
        f"rg -c -F {FEW_HITS}",
        AtMostTimes(3),
        partial(wall, [*OURS, "dump", "--filter", FEW_HITS, log]),
        partial(wall, ["rg", "-c", "-F", FEW_HITS, log]),
        needs="rg",
    )
    yield Row(
        "`http --json`, .log",
        "wc -l",
        AtMostTimes(3),
        partial(wall, [*OURS, "http", "--json", log]),
        count_lines,
        runs_per_round=3,
    )
    for kind, packed, limit in (
        ("the reference's .gz", files.reference_gz, 1.5),
        ("our .gz", files.our_gz, 1),
    ):
        for command in ("anomalies", "dump"):
            yield Row(
                f"`{command}`, {kind}",
                "igzip -dc",
                AtMostTimes(limit),
                partial(wall, [*OURS, command, str(packed)]),
                partial(wall, ["igzip", "-dc", str(packed)]),
                needs="igzip",
            )
    for name, work in (("iterate", "nothing else"), ("fields", "three fields of each read")):
        yield Row(
            f"`scan`, a record, {work}",
            "msgspec, a line",
            Faster(),
            partial(record_ns, "ours", name, files),
            partial(record_ns, "msgspec", name, files),
            form=nanoseconds,
            unit="ns",
        )
    yield Row(
        "start: `list`",
        "python -c pass",
        AtMostMore(0.060),
        partial(wall, [*OURS, "list"]),
        partial(wall, [sys.executable, "-c", "pass"]),
        runs_per_round=10,
    )


def wall_s(command: list[str], environment: dict[str, str], out: Path | None = None) -> float:
    """The wall time of a command, whose output goes nowhere or to a file that is removed again."""
    taken = run(command, environment, out=out)
    if out is not None:
        out.unlink()
    return taken.wall_s


def record_ns(side: str, work: str, files: LogFiles) -> float:
    """The time that a record takes, in a process of its own."""
    command = [sys.executable, str(HERE / "scan_records.py"), side, work, str(files.log)]
    count, value_ns = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()
    if int(count) != files.records:
        raise SystemExit(f"{side}: {int(count)} records of {files.records}")
    return float(value_ns)


def check_answers(files: LogFiles) -> None:
    """Stops if the commands do not find the same, and everything, in the three files."""
    found: list[Any] = []
    for file in (files.log, files.reference_gz, files.our_gz):
        rows = output_of(["dump", "--jsonl", str(file), PIPE, "wc", "-l"], files)
        if int(rows) != files.records:
            raise SystemExit(f"dump {file}: {int(rows)} records of {files.records}")
        answer = json.loads(output_of(["anomalies", "--json", str(file)], files))
        found.append([[row["trace_id"] for row in answer[key]] for key in ("cancelled", "errors")])
    if not found[0] or any(other != found[0] for other in found):
        raise SystemExit("anomalies: not the same in .log and .gz")


def output_of(arguments: list[str], files: LogFiles) -> bytes:
    """What one of our commands prints, through a pipe if there is one."""
    out = files.directory / "answer"
    run([*OURS, *arguments], files.environment, out=out)
    answer = out.read_bytes()
    out.unlink()
    return answer


def measure(files: LogFiles, rounds: int) -> str:
    """Runs the bench.

    Returns:
        The results in Markdown.
    """
    check_answers(files)
    rows = list(rows_of(files))
    for number in range(rounds):
        for row in rows:
            row.run(number)
    head = ["work", "ours", "yardstick", "it takes", "ours to it", "target", "reached"]
    return (
        f"{files.facts} Median of {rounds} rounds (lowest–highest), the two sides in turn, files "
        "in the page cache, whole processes with their start, output to nowhere unless it says "
        "otherwise. Times with output to a file depend on what the disk is doing: trust their "
        "lowest.\n\n"
        f"{table(head, [row.cells() for row in rows])}"
    )


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="Our targets, each against its yardstick.")
    parser.add_argument("--bytes", type=parse_size, default=1_000_000_000, help="such as 1GB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with log_files(options.bytes, options.seed) as files:
        print(measure(files, options.rounds))


if __name__ == "__main__":
    main()
