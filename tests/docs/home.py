"""The home of the user in whose terminal the documentation's commands run, with its logs.

All of it is the same on each machine, on each day. In the trace directory are the logs of an
evaluation (`triage.py`) that ended and of one that hung until it was killed, recorded by
`record.py`; in the working directory those of made-up programs.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from corpus import make_corpus
from docs import terminal

if TYPE_CHECKING:
    from docs.terminal import Printed

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
SHOWN_AS = "/home/me"
COMMANDS = {
    "trace-40100": ["python", "/home/me/bin/inspect", "eval", "triage.py"],
    "trace-41822": ["python", "/home/me/bin/inspect", "eval", "triage.py"],
}
ATTRIBUTE = "user.inspect_trace"
ENDED = datetime(2025, 11, 23, 10, 30, tzinfo=timezone.utc).timestamp()


class Home(NamedTuple):
    """A home directory, whose path the outputs show as `/home/me`."""

    path: Path

    @property
    def traces(self) -> Path:
        """The trace directory, where it is by default."""
        return self.path / ".local" / "share" / "inspect_ai" / "traces"

    @property
    def work(self) -> Path:
        """The directory in which the commands are typed."""
        return self.path / "work"

    def run(self, command: str) -> Printed:
        """Run a command line there."""
        kept = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
        environment = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.path),
            "TERM": "xterm",
            "NO_COLOR": "1",
            "TZ": "UTC",
        }
        printed = terminal.run(command, self.work, environment)
        lines = [line.replace(str(self.path), SHOWN_AS) for line in printed.lines]
        return printed._replace(lines=lines)


def make_home(*, with_traces: bool) -> Home:
    """Make a home; who has asked for it removes it.

    Its path has the same length everywhere, as the width of a table may depend on it.
    """
    home = Home(Path(tempfile.mkdtemp(prefix="", dir="/tmp")))
    home.traces.mkdir(parents=True, mode=0o700)
    home.work.mkdir()
    if with_traces:
        for recorded in sorted(RECORDED.iterdir()):
            _put_trace(home, recorded)
    _put_programs(home.work)
    return home


def _put_trace(home: Home, recorded: Path) -> None:
    """Put a recorded log into the trace directory, with what is noted on it."""
    name = recorded.name.removesuffix(".log.gz")
    text = gzip.decompress(recorded.read_bytes())
    if name == "trace-40100":  # as housekeeping leaves those that have ended
        log = home.traces / f"{name}.log.gz"
        log.write_bytes(gzip.compress(text, mtime=0))
    else:
        log = home.traces / f"{name}.log"
        log.write_bytes(text)
    last = json.loads(text.splitlines()[-1])["timestamp"]
    written = datetime.fromisoformat(last).timestamp()
    os.setxattr(log, f"{ATTRIBUTE}.locked", b"1")
    os.setxattr(log, f"{ATTRIBUTE}.run", f"run-of-{name}".encode())
    os.setxattr(log, f"{ATTRIBUTE}.command", json.dumps(COMMANDS[name]).encode())
    os.utime(log, (written, written))


def _put_programs(work: Path) -> None:
    """Put the logs of programs there, and what the pages speak of by name."""
    shutil.copy(HERE / "triage.py", work)
    make_corpus(work / "monday.log", 400_000, 1)
    make_corpus(work / "tuesday.log", 450_000, 2)
    app = "".join(f"{json.dumps(record)}\n" for record in APP).encode()
    (work / "app.log").write_bytes(app)
    lines = app.splitlines(keepends=True)
    damaged = b"".join([*lines[:3], b'{"timestamp": "2025-11-23T10:2\n', b"\0" * 512, *lines[3:]])
    (work / "damaged.log").write_bytes(damaged)
    (work / "a.log").write_bytes(app)
    (work / "b.log.gz").write_bytes(gzip.compress(app, mtime=0))
    (work / "logs").mkdir()
    (work / "logs" / "c.log").write_bytes(app)
    for log in work.rglob("*.log*"):
        os.setxattr(log, f"{ATTRIBUTE}.locked", b"1")  # its writer would hold a lock: it has ended
        os.utime(log, (ENDED, ENDED))
    (work / "train.py").write_text(_TRAIN)
    (work / "fetch.py").write_text(_FETCH)
    (work / "my_package").mkdir()
    (work / "my_package" / "__main__.py").write_text("")


_TRAIN = """
import subprocess
subprocess.run(["echo", "epoch 1"], check=True)
"""
_FETCH = """
import os, subprocess
child = subprocess.Popen(["sleep", "900"])
child.kill()  # or it would outlive this
os.kill(os.getpid(), 9)
"""


def _record(second: float, message: str, level: str = "TRACE", **fields: Any) -> dict[str, Any]:
    moment = datetime.fromtimestamp(ENDED - 300 + second, timezone.utc)
    timestamp = moment.isoformat(timespec="microseconds")
    return {"timestamp": timestamp, "level": level, "message": message, **fields}


def _action(
    kind: str, detail: str, trace_id: str, begun: float, event: str, after: float, **fields: Any
) -> dict[str, Any]:
    """A record of an action that began at a second, and has come to an event after so long."""
    time: dict[str, Any] = {"duration": after}
    if event == "enter":
        time = {"start_time": ENDED - 300 + begun}
    return _record(
        begun + after,
        f"{kind}: {detail} ({event})",
        action=kind,
        detail=detail,
        event=event,
        trace_id=trace_id,
        **time,
        **fields,
    )


def _http(second: float, status: str) -> dict[str, Any]:
    message = f'POST https://api.example.org/v1/messages "HTTP/1.1 {status}" '
    return _record(second, message, "HTTP", module="hooks", function="hook", line=1)


_FAILURE = {"error": "no such thing", "error_type": "ValueError", "stacktrace": "Traceback ..."}
_ARITHMETIC = {"task": "arithmetic", "sample_id": "s-3", "epoch": 1}
_IN_RUN = {"parent_id": "r", **_ARITHMETIC}

APP = [
    _action("Run Task", "arithmetic", "r", 0, "enter", 0, task="arithmetic"),
    _action("Model", "generate (openai/gpt-5-mini)", "m1", 0.1, "enter", 0, **_IN_RUN),
    _http(0.5, "429 Too Many Requests"),
    _http(1.0, "200 OK"),
    _action("Model", "generate (openai/gpt-5-mini)", "m1", 0.1, "exit", 1.0, **_IN_RUN),
    _action("Tool Call", "bash(cmd='make')", "t1", 1.2, "enter", 0, **_IN_RUN),
    _action("Tool Call", "bash(cmd='make')", "t1", 1.2, "error", 12.0, **_IN_RUN, **_FAILURE),
    _action("Model", "generate (openai/gpt-5-mini)", "m2", 13.5, "enter", 0, **_IN_RUN),
    _http(14.5, "503 Service Unavailable"),
    _action("Model", "generate (openai/gpt-5-mini)", "m2", 13.5, "timeout", 30.0, **_IN_RUN),
    _action("Tool Call", "bash(cmd='sleep 900')", "t2", 44.0, "enter", 0, **_IN_RUN),
    _action("Subprocess", "sleep 900", "p", 44.1, "enter", 0, **{**_ARITHMETIC, "parent_id": "t2"}),
    _record(300, "still here", "INFO", module="app", function="main", line=7),
]
"""A program with an action of most fates, of which the last ones were never left."""
