"""The log itself, as `tail -f` and jq see it: it has every record, if not at once then soon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from conftest import DEADLINE_S, finish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    RunPython = Callable[..., subprocess.CompletedProcess[str]]

PRELUDE = """
import warnings
warnings.filterwarnings("ignore", message=".*fork.*")
import logging, os, re, signal, sys, threading
from inspect_trace import init_tracing
tracing = init_tracing(path=sys.argv[1])
logger = logging.getLogger("x")
def log(first, last):
    for number in range(first, last):
        logger.info("", extra={"number": number})
"""


def numbers_of(path: Path) -> list[int]:
    """The numbers of the records in the bytes of the log, which are whole lines."""
    if not path.exists():
        return []
    content = path.read_bytes()
    return [json.loads(line)["number"] for line in content.splitlines() if line.endswith(b"}")]


def wait_for_numbers(path: Path, count: int) -> None:
    """Waits until the bytes of the log have so many records."""
    deadline_s = time.monotonic() + DEADLINE_S
    while (numbers := numbers_of(path)) != list(range(count)):
        assert time.monotonic() < deadline_s, f"{len(numbers)} of {count}"
        time.sleep(0.001)


IDLE = {
    "sleeps": "signal.pause()",
    "holds the interpreter": "os.write(1, b'!'); re.match('(a*)*b', 'a' * 100)",
    "waits for a thread": "threading.Event().wait()",
}


@pytest.mark.parametrize("idle", IDLE)
@pytest.mark.parametrize("in_child", [False, True])
def test_an_idle_program(tmp_path: Path, idle: str, in_child: bool) -> None:
    """What has been logged gets into the log by itself, whatever the program does then."""
    if in_child and not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    path = tmp_path / "x.log"
    first = """
        log(0, 100)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            os._exit(0)
        log(100, 200)
    """
    source = PRELUDE + textwrap.dedent(first if in_child else "log(0, 200)") + "\n" + IDLE[idle]
    with subprocess.Popen(
        [sys.executable, "-c", source, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            wait_for_numbers(path, 200)
            assert process.poll() is None
        finally:
            os.killpg(process.pid, 9)
        assert process.communicate(timeout=DEADLINE_S)[1] == b""


ENDS = {
    "close": ("tracing.close()", 0),
    "exit": ("sys.exit(3)", 3),
    "the end": ("", 0),
    "a thread at the end": ("threading.Thread(target=log, args=(200, 200)).start()", 0),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_that_has_ended(tmp_path: Path, end: str) -> None:
    """After a clean end the log has all, and nothing lies beside it."""
    path = tmp_path / "traces" / "x.log"
    how, code = ENDS[end]
    with subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", f"{PRELUDE}\nlog(0, 200)\n{how}", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert finish(process) == ("", "")
    assert process.returncode == code
    assert numbers_of(path) == list(range(200))
    assert list(path.parent.iterdir()) == [path]


def test_closing_leaves_nothing_beside_the_log(run_python: RunPython, tmp_path: Path) -> None:
    """Once the last handler on a log is closed the log has all, at once, and stands alone."""
    path = tmp_path / "traces" / "x.log"
    run_python(
        PRELUDE
        + textwrap.dedent("""
        for turn in range(50):
            log(turn * 20, turn * 20 + 20)
            tracing.close()
            with open(sys.argv[1], "rb") as file:
                assert len(file.read().splitlines()) == turn * 20 + 20
            assert os.listdir(os.path.dirname(sys.argv[1])) == ["x.log"]
            tracing = init_tracing(path=sys.argv[1])
        """),
        path,
    )
    assert numbers_of(path) == list(range(1000))
