"""`python -m torture.crowd`: many processes share a log, and are killed while it grows.

The moment in which the log grows is that in which one of them appends: the system ends a write of
a process that is killed between two pages, so what is there may end in the middle of a line, and
others go on writing. Whatever happens, the log has whole lines only, and each record that was
acknowledged.
"""

from __future__ import annotations

import argparse
import json
import logging
import mmap
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from inspect_trace import TraceHandler, init_tracing
from torture.check import Found, compare, read_by_scan
from torture.record import random_size, seen_in, text_of

if TYPE_CHECKING:
    from typing import NoReturn

logger = logging.getLogger("torture")

PROCESSES = 6
LARGEST_BYTES = 3_000
FEW_RECORDS = 8
"""So many records a forked child may write without a buffer of its own."""


def main() -> int:
    """Plays until enough processes are killed, and prints the record; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m torture.crowd", description=__doc__)
    parser.add_argument("--kills", type=int, default=3000, help="how many kills (default: 3000)")
    parser.add_argument("--seed", type=int, help="what everything is drawn from (default: new)")
    parser.add_argument(
        "--inherit", action="store_true", help="children of a traced process, with few records each"
    )
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    directory = Path(tempfile.mkdtemp(prefix="crowd-"))
    crowd = _Crowd(directory / "shared.log", options.kills, seed, inherits=options.inherit)
    crowd.play()
    wrong = crowd.what_is_wrong()
    sys.stdout.write(
        f"seed                  {seed}\n"
        f"kills                 {crowd.kills}\n"
        f"records acknowledged  {sum(crowd.acknowledged().values())}\n"
        f"wrong                 {len(wrong)}\n"
    )
    for line in wrong[:10]:
        sys.stderr.write(f"{line}\n")
    if wrong:
        sys.stderr.write(f"the log: {crowd.log}\n")
        return 1
    shutil.rmtree(directory)
    return 0


class _Crowd:
    def __init__(self, log: Path, kills: int, seed: int, *, inherits: bool) -> None:
        self.log = log
        self.goal = kills
        self.kills = 0
        self.random = Random(seed)
        self.inherits = inherits
        self.living: list[int] = []
        self.started = 0
        # A word for each process that will be: how many of its records are acknowledged.
        shared = mmap.mmap(-1, 8 * (kills + 2 * PROCESSES))
        self.counts = memoryview(shared).cast("Q")  # set as a whole, not byte by byte

    def play(self) -> None:
        """Starts processes, and kills some of them whenever the log grows."""
        handler = None
        if self.inherits:
            handler = init_tracing(path=self.log).handler
        while self.kills < self.goal:
            while len(self.living) < PROCESSES:
                self.start()
            time.sleep(self.random.random() * 0.02)
            self.wait_until_it_grows()
            self.kill(self.random.sample(self.living, PROCESSES // 2))
        self.kill(list(self.living))
        # Whoever opens the log joins what is left beside it.
        handler = handler or TraceHandler(self.log)
        handler.flush()
        handler.close()

    def start(self) -> None:
        who = self.started
        self.started += 1
        child = os.fork()
        if child == 0:
            self.write(who)
        self.living.append(child)

    def write(self, who: int) -> NoReturn:
        """What a child does: write, and acknowledge each record once its call has returned."""
        if not self.inherits:
            init_tracing(path=self.log)
        random = Random(who)
        number = 0
        while True:
            logger.info(text_of(str(who), number, random_size(random, LARGEST_BYTES)))
            number += 1
            self.counts[who] = number
            if number % (FEW_RECORDS if self.inherits else 200) == 0:
                time.sleep(10 if self.inherits else 0.001)

    def wait_until_it_grows(self) -> None:
        """Looks without a pause: the kill has to come while a process appends."""
        before = self.size_bytes()
        given_up_s = time.monotonic() + 0.1  # all of them may be asleep
        while self.size_bytes() == before and time.monotonic() < given_up_s:
            pass

    def size_bytes(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def kill(self, processes: list[int]) -> None:
        number = self.random.choice((signal.SIGKILL, signal.SIGTERM))
        for process in processes:
            os.kill(process, number)
        for process in processes:
            os.waitpid(process, 0)
            self.living.remove(process)
        self.kills += len(processes)

    def acknowledged(self) -> dict[str, int]:
        return {str(who): self.counts[who] for who in range(self.started)}

    def what_is_wrong(self) -> list[str]:
        wrong = []
        by_scan = read_by_scan([self.log])
        by_line, pieces = _read_strictly(self.log)
        wrong += pieces
        wrong += [f"scan: {skipped}" for skipped in by_scan.skipped]
        for name, found in (("scan", by_scan), ("lines", by_line)):
            faults = compare(self.acknowledged(), found, in_flight=1)
            for kind, records in vars(faults).items():
                wrong += [f"{name}: {kind} {record}" for record in records]
        return wrong


def _read_strictly(log: Path) -> tuple[Found, list[str]]:
    """What Python's own JSON makes of each line, and the lines that are none."""
    found, pieces = Found(), []
    at_byte = 0
    with log.open("rb") as lines:
        for line in lines:
            try:
                message = json.loads(line)["message"]
            except ValueError:
                pieces.append(f"byte {at_byte:,}: {line[:60]!r} ({len(line):,} bytes) is no record")
            else:
                if seen_in(message) is not None:
                    found.add(message, None, None)
            at_byte += len(line)
    return found, pieces


if __name__ == "__main__":
    sys.exit(main())
