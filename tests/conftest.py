"""What the tests share: a clean environment, a traced logger, and programs run to their end."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from inspect_trace import _core
from inspect_trace.handler import TraceHandler, _open_logs
from inspect_trace.levels import TRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLINE_S = 45
"""When a program that a test runs is taken to hang: far beyond what any of them needs."""

VARIABLES = (
    "INSPECT_TRACE_FILE",
    "INSPECT_TRACE_DIR",
    "INSPECT_TRACE_LEVEL",
    "INSPECT_TRACE_RUN",
    "INSPECT_TRACE_ARCHIVE",
    "INSPECT_TRACE_REDACT",
    "INSPECT_TRACE_STALL_S",
)


def tails_of(path: Path) -> list[Path]:
    """The files in which lines of a log may wait: beside it, or aside in a trace directory."""
    pattern = f".{path.name}.*.tail"
    return [*path.parent.glob(pattern), *path.parent.glob(f".tmp/{pattern}")]


def records_of(path: Path) -> list[dict[str, Any]]:
    """The records of a plain log, each line by Python's own JSON parser.

    First what waits beside it is put into it: lines of this process, and of those that are gone.
    """
    for log in list(_open_logs.values()):
        if os.path.realpath(log.writer.path) == os.path.realpath(path):
            log.writer.flush()
    if tails_of(path):
        _core.LogWriter.open(str(path)).close()
    text = path.read_text(encoding="ascii")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(autouse=True)
def trace_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty trace directory of the test's own, named by `INSPECT_TRACE_DIR`."""
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # so that undoing removes what the test leaves there
        monkeypatch.delenv(variable)
    directory = tmp_path / "traces"
    monkeypatch.setenv("INSPECT_TRACE_DIR", str(directory))
    return directory


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Every test gives the root logger back as it found it."""
    root = logging.getLogger()
    level = root.level
    yield
    # Handlers of others, pytest's own among them, come and go.
    assert [h for h in root.handlers if type(h).__module__.startswith("inspect_trace")] == []
    assert root.level == level


class TracedLogger:
    """A logger of its own whose one handler writes to a log of its own."""

    def __init__(self, name: str, path: Path) -> None:
        self.path = path
        self.logger = logging.Logger(name, TRACE)  # known to nobody else
        self.handler = TraceHandler(path)
        self.logger.addHandler(self.handler)

    @property
    def records(self) -> list[dict[str, Any]]:
        """What has been written so far."""
        return records_of(self.path)

    @property
    def events(self) -> list[str]:
        """What has been written so far, as `action:event`."""
        return [f"{r['action']}:{r['event']}" for r in self.records if "action" in r]


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[TracedLogger]:
    """A logger that traces to a log in the test's own directory."""
    traced = TracedLogger("traced", tmp_path / "traced.log")
    yield traced
    traced.handler.close()


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Waits for a program; one that hangs, or a child of its, fails with all stacks shown.

    The process must lead a session of its own and run with `-X faulthandler`.
    """
    try:
        return process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGABRT)  # its handler prints where every thread stands
        _, errors = process.communicate(timeout=DEADLINE_S)
        pytest.fail(f"the program hangs:\n{errors}")


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in a process of its own, with its arguments, to its successful end."""

    def run(source: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(source))
        command = [sys.executable, "-X", "faulthandler", "-W", "error", str(script)]
        with subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            output, errors = finish(process)
        assert process.returncode == 0, errors
        return subprocess.CompletedProcess(command, 0, output, errors)

    return run
