"""What the programs of these tests share: they log numbered records, and tell what became of them.

Imported by the programs, which run on their own.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspect_trace import init_tracing, scan

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 30

logger = logging.getLogger("x")


class Traced:
    """A traced program, in short."""

    def __init__(self, path: str | None = None, directory: str | None = None) -> None:
        self.tracing = init_tracing(path=path, directory=directory)
        self.logged = 0

    @property
    def path(self) -> str:
        """The log."""
        return str(self.tracing.path)

    @property
    def dropped(self) -> int:
        """How many records tracing says that it could not keep."""
        return self.tracing.handler.dropped

    def log(self, count: int = 1, size: int = 100) -> None:
        """Logs the next records, of about so many bytes."""
        for number in range(self.logged, self.logged + count):
            logger.info("%s", "x" * size, extra={"by": os.getpid(), "number": number})
        self.logged += count

    def log_until(self, done: Callable[[], bool], size: int = 100) -> None:
        """Logs records until something has happened, a bounded time."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > deadline_s:
                raise TimeoutError("it does not happen")
            self.log(size=size)

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Waits until something has happened, a bounded time."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > deadline_s:
                raise TimeoutError("it does not happen")
            time.sleep(0.001)

    def is_plain(self, number: int) -> bool:
        """Whether a record is in the bytes of the log itself."""
        try:
            return b'"number": %d}\n' % number in Path(self.path).read_bytes()
        except OSError:
            return False

    def wait_until_plain(self) -> None:
        """Waits until the last record that was logged is in the bytes of the log itself."""
        self.wait_until(lambda: self.is_plain(self.logged - 1))

    def log_until_plain(self) -> None:
        """Logs until a record is in the bytes of the log itself: writing works."""
        self.log()
        self.log_until(lambda: self.is_plain(self.logged - 1))

    def tell(self, **more: Any) -> None:
        """Prints what there is, as JSON, for the test."""
        told = {"logged": self.logged, "dropped": self.dropped, **seen_in(self.path), **more}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def seen_in(path: str | Path) -> dict[str, Any]:
    """The numbers of the records of a log, and what its notes say is missing.

    Those of one process have to be in order. Between processes there is none but that of time.
    """
    by_process: dict[int, list[int]] = {}
    noted = 0
    try:
        for record in scan(path):
            if "number" in record:
                by_process.setdefault(record["by"], []).append(record["number"])
            elif "dropped" in record:
                noted += record["dropped"]
            elif not record["message"].startswith("[inspect-trace] "):
                raise AssertionError(f"nobody has logged {record}")
    except OSError:
        pass
    for numbers in by_process.values():
        if numbers != sorted(numbers):
            raise AssertionError(f"not in order: {numbers}")
    return {"numbers": sorted(itertools.chain(*by_process.values())), "noted": noted}
