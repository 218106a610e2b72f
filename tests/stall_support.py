"""A log that is soon told where an action waits, and waiting for that to happen."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from conftest import DEADLINE_S, records_of
from inspect_trace.handler import TraceHandler
from inspect_trace.levels import TRACE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STALL_S = 0.05


class Watched:
    """A logger whose one handler writes to a log of its own, and soon looks where actions wait."""

    def __init__(self, path: Path, stall_s: float = STALL_S) -> None:
        self.path = path
        self.logger = logging.Logger(path.stem, TRACE)  # known to nobody else
        self.handler = TraceHandler(path, stall_s=stall_s)
        self.logger.addHandler(self.handler)

    def stalls_of(self, action: str) -> list[dict[str, Any]]:
        """The records so far that tell where an action waits."""
        records = records_of(self.path)
        ids = {r["trace_id"] for r in records if r.get("action") == action}
        return [r for r in records if r.get("event") == "stall" and r["trace_id"] in ids]

    def await_stalls(self, action: str, count: int = 1) -> list[dict[str, Any]]:
        """The same, once there are so many."""
        deadline_s = time.monotonic() + DEADLINE_S
        while len(stalls := self.stalls_of(action)) < count:
            assert time.monotonic() < deadline_s, f"{action} is not told of: {self.path}"
            time.sleep(0.005)  # a thread of the core writes them, which nobody can wait for
        return stalls

    def stack_of(self, action: str) -> list[str]:
        """Where an action waits, from its own function on: functions, and what they await."""
        return shortened(self.await_stalls(action)[-1]["stack"])


def shortened(stack: list[dict[str, Any]]) -> list[str]:
    """The functions of a stack that are the test's, and the innermost, with what they await."""
    shown = []
    for index, frame in enumerate(stack):
        is_last = index == len(stack) - 1
        function = frame["function"].rpartition(".")[2]
        if is_last or "/tests/" in frame["file"] or "awaits" in frame:
            awaits = frame.get("awaits")
            shown.append(function if awaits is None else f"{function} -> {awaits}")
    return shown


def in_thread(run: Callable[[], object]) -> threading.Thread:
    """Something that a thread of its own is at, which a failing test leaves behind."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
