"""Small logs, written line by line as the reference writes them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from inspect_trace import _core

if TYPE_CHECKING:
    from pathlib import Path

STARTED = 1_700_000_000.25


def record(message: str, *, level: str = "TRACE", second: int = 0, **fields: Any) -> str:
    """One line of a log; `second` dates it."""
    timestamp = f"2023-11-14T22:13:{20 + second:02d}.250000+00:00"
    return json.dumps({"timestamp": timestamp, "level": level, "message": message, **fields})


def action(
    name: str, detail: str, event: str, trace_id: str, *, second: int = 0, **fields: Any
) -> str:
    """One line of an action, started at `STARTED` or ended after `second`s, as its event says."""
    if event == "enter":
        fields.setdefault("start_time", STARTED)
    else:
        fields.setdefault("duration", float(second))
    return record(
        f"{name}: {detail} ({event})",
        second=second,
        action=name,
        detail=detail,
        event=event,
        trace_id=trace_id,
        **fields,
    )


def http(text: str, *, second: int = 0) -> str:
    """One line of level HTTP."""
    return record(text, level="HTTP", second=second, module="hooks", function="hook", line=1)


MIXED = (
    action("Tool", "ends well", "enter", "ok"),
    action("Tool", "ends well", "exit", "ok", second=1),
    action("Model", "generate", "enter", "open"),
    action("Subprocess", "sleep 9", "enter", "cancelled"),
    action("Subprocess", "sleep 9", "cancel", "cancelled", second=2),
    action("Tool", "bad", "enter", "failed"),
    action(
        "Tool",
        "bad",
        "error",
        "failed",
        second=3,
        error="no such thing",
        error_type="ValueError",
        stacktrace="Traceback ...",
    ),
    action("Tool", "slow", "enter", "late"),
    action("Tool", "slow", "timeout", "late", second=4),
    http('GET http://h/1 "HTTP/1.1 200 OK" ', second=5),
    http('GET http://h/2 "HTTP/1.1 429 Too Many Requests" ', second=6),
    record("plain words", level="INFO", second=7, module="m", function="f", line=3, task="t"),
)
"""An action of each fate, requests of both kinds, and a plain record."""


def write_log(path: Path, *lines: str) -> Path:
    """Write the lines as a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def dead_pid() -> int:
    """The pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def as_ours(path: Path) -> Path:
    """The log compressed beside it as we compress logs: in members that tell their lengths."""
    directory = path.with_name(f"{path.name}-packing")
    log = write_log(directory / "trace-1.log")
    log.write_bytes(path.read_bytes())
    os.utime(log, (1, 1))
    write_log(directory / "trace-2.log", record("the newest log is not compressed"))
    assert _core.housekeep(str(directory), 10).compressed == 1
    return (directory / "trace-1.log.gz").rename(path.with_name(f"{path.name}.ours.gz"))


def as_theirs(path: Path) -> Path:
    """The log compressed beside it as the reference does: one member by Python's gzip."""
    packed = path.with_name(f"{path.name}.theirs.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    return packed
