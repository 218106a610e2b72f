"""A log goes from one process to the next while both may be killed: nothing is lost or repeated."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from itertools import chain
from random import Random
from typing import TYPE_CHECKING

import pytest

from conftest import DEADLINE_S, tails_of
from inspect_trace import scan
from torture.check import log_paths

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 12

# Logs numbered records, and acknowledges each: in one go, or opening the log anew for each few.
PROGRAM = """
import logging, os, sys
from inspect_trace import TraceHandler
place, where, who, records_each = sys.argv[1:]
logger = logging.getLogger("x")
logger.setLevel(1)
number = 0
while True:
    handler = TraceHandler(**{place: where}, keep_runs=1_000_000)
    logger.addHandler(handler)
    for _ in range(int(records_each)):
        logger.info("%s", "x" * 200, extra={"who": who, "number": number})
        os.write(1, b"%s %d\\n" % (who.encode(), number))
        number += 1
    logger.removeHandler(handler)
    handler.close()
"""


def start(write_end: int, *arguments: object) -> subprocess.Popen[bytes]:
    """Starts the program, which acknowledges to a pipe."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=write_end)


class Acknowledged:
    """What the programs have acknowledged."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.last: dict[str, int] = {}
        self._rest = b""

    def take(self) -> None:
        """Takes what there is."""
        while select.select([self.read_end], [], [], 0)[0]:
            chunk = os.read(self.read_end, 1 << 16)
            if not chunk:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                who, number = line.decode().split()
                self.last[who] = int(number)

    def wait_for(self, who: str) -> None:
        """Waits until a program has acknowledged something."""
        deadline_s = time.monotonic() + DEADLINE_S
        while who not in self.last:
            assert time.monotonic() < deadline_s, f"{who} does not go on"
            self.take()

    def keep_taking_for(self, duration_s: float) -> None:
        """Lets a random time pass: what is interrupted is left to chance."""
        until_s = time.monotonic() + duration_s
        while (left_s := until_s - time.monotonic()) > 0:
            select.select([self.read_end], [], [], left_s)
            self.take()

    def close(self) -> None:
        """Takes the rest; no program has the pipe any more."""
        self.take()
        os.close(self.read_end)
        os.close(self.write_end)


@pytest.mark.parametrize("place", ["path", "directory"])
def test_a_kill_during_the_hand_over(tmp_path: Path, place: str) -> None:
    """Programs that open a log while its writer dies, and are killed too, lose and repeat nothing.

    In a directory the next ones join and compress what is left, and may be killed at that.
    """
    where = tmp_path / ("traces" if place == "directory" else "x.log")
    random = Random(place)
    acknowledged = Acknowledged()
    for number in range(ROUNDS):
        who = [f"{number}{letter}" for letter in "abc"]
        first = start(acknowledged.write_end, place, where, who[0], 10**9)
        each = 500 if place == "directory" else 20
        nexts = [start(acknowledged.write_end, place, where, name, each) for name in who[1:]]
        try:
            for name in who[:: 1 if number % 2 else 2]:
                acknowledged.wait_for(name)
            for process in random.sample([first, *nexts], 3):
                acknowledged.keep_taking_for(0.001 * 60 ** random.random())
                process.kill()
        finally:
            for process in (first, *nexts):
                process.kill()
                assert process.wait() == -signal.SIGKILL
    acknowledged.close()
    logs = [where] if place == "path" else log_paths(where)
    found: dict[str, list[list[int]]] = defaultdict(list)
    for log in logs:
        by_name = defaultdict(list)
        for record in scan(log):
            by_name[str(record["who"])].append(record["number"])
        for name, numbers in by_name.items():
            found[name].append(numbers)
    for name, last in acknowledged.last.items():
        # Each in order; a program has one log after the other in the directory.
        numbers = list(chain(*sorted(found[name])))
        assert numbers in (list(range(last + 1)), list(range(last + 2))), name


def test_the_next_one_joins_what_is_left(tmp_path: Path) -> None:
    """Who opens a log whose writer was killed has it whole, in plain lines, with nothing beside."""
    path = tmp_path / "x.log"
    acknowledged = Acknowledged()
    process = start(acknowledged.write_end, "path", path, "a", 10**9)
    acknowledged.wait_for("a")
    process.kill()
    process.wait()
    following = start(acknowledged.write_end, "path", path, "b", 1)
    acknowledged.wait_for("b")
    following.send_signal(signal.SIGSTOP)
    lines = path.read_bytes().splitlines()
    last = acknowledged.last["a"]
    assert sum(b'"who": "a", "number"' in line for line in lines) in (last + 1, last + 2)
    assert [tail for tail in tails_of(path) if f".{process.pid}-" in tail.name] == []
    following.kill()
    following.wait()
    acknowledged.close()
