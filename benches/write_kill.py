"""What SIGKILL loses: of the records whose call had returned, how many are not in the file?

A child writes numbered records, and after each sends a byte through a pipe; when enough have come
it is killed. What it had sent by then is acknowledged: of that, what is not in the file is lost.
Our log is read by our own command.

    python benches/write_kill.py ours action 20000
"""

from __future__ import annotations

import itertools
import os
import re
import select
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from launch import OURS
from measure import DATA
from write_peers import opentelemetry_as_it_comes
from write_workers import build

PATIENCE_S = 60


@dataclass(frozen=True)
class Loss:
    """What one kill left."""

    acknowledged: int
    lost: int
    holes: int
    """How many of the lost have later ones in the file: not a tail that is cut off."""

    def show(self) -> str:
        """In words."""
        holes = f", {self.holes:,} of them before others that are there" if self.holes else ""
        return f"{self.lost:,} of {self.acknowledged:,}{holes}"


def kill_one(side: str, operation: str, records: int) -> Loss:
    """Has a child write that many records and more, and kills it.

    Raises:
        SystemExit: The child wrote nothing more, or died by itself.
    """
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kill-", dir=DATA) as directory:
        file = Path(directory, "trace.log")
        command = [sys.executable, __file__, side, operation, "--child", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            if child.stdout is None:
                raise SystemExit("a child without a pipe")
            pipe = child.stdout.fileno()
            acknowledged = 0
            while acknowledged < records:
                came = select.select([pipe], [], [], PATIENCE_S)[0] and os.read(pipe, 1 << 16)
                if not came:
                    child.kill()
                    raise SystemExit(f"{side} {operation}: stopped after {acknowledged} records")
                acknowledged += len(came)
            child.kill()
            child.wait()
            while came := os.read(pipe, 1 << 16):
                acknowledged += len(came)
        lines_each = 2 if side in ("ours", "reference", "eliot") and operation != "info" else 1
        return compare(acknowledged, numbers_in(side, file, lines_each))


def compare(acknowledged: int, found: set[int]) -> Loss:
    """What is missing from the records 0 to `acknowledged` - 1."""
    lost = [number for number in range(acknowledged) if number not in found]
    last = max(found, default=-1)
    return Loss(acknowledged, len(lost), sum(number < last for number in lost))


def numbers_in(side: str, file: Path, lines_each: int) -> set[int]:
    """The numbers of the records that are whole, with all their lines."""
    if side == "ours":
        dump = [*OURS, "dump", "--jsonl", str(file)]
        text = subprocess.run(dump, stdout=subprocess.PIPE, check=True).stdout
    else:
        text = file.read_bytes() if file.exists() else b""
    seen: dict[int, int] = {}
    for line in text.split(b"\n")[:-1]:  # what has no newline is not a whole line
        match = re.search(rb"n=(\d+)!", line)
        if match is not None:
            number = int(match[1])
            seen[number] = seen.get(number, 0) + 1
    return {number for number, lines in seen.items() if lines == lines_each}


def be_killed(side: str, operation: str, file: Path) -> None:
    """Writes until somebody ends it."""
    # The queue that the bench of its time has is longer than what a program would have.
    if side == "opentelemetry":
        subject = opentelemetry_as_it_comes(file)
    else:
        subject = build(side, operation, file)
    for number in itertools.count():
        subject.mark(f"n={number}!")
        os.write(1, b".")


def main() -> None:
    """The command line: see the top of the file."""
    side, operation, *rest = sys.argv[1:]
    if rest[0] == "--child":
        be_killed(side, operation, Path(rest[1]))
    else:
        print(kill_one(side, operation, int(rest[0])).show())


if __name__ == "__main__":
    main()
