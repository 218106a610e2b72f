"""A record whose call returned survives the death of the process, however it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from conftest import finish, records_of
from inspect_trace import scan
from inspect_trace._core import list_trace_files

if TYPE_CHECKING:
    from pathlib import Path

# Writes a byte to its standard output after each record: the record has been acknowledged.
WRITER = """
import logging, os, sys, threading
from inspect_trace.action import trace_action
from inspect_trace.setup import init_tracing

init_tracing(path=sys.argv[1] or None)
logger = logging.getLogger("x")

def work(name):
    number = 0
    while True:
        logger.warning("record", extra={"by": name, "number": number})
        os.write(1, bytes([name]))
        number += 1

threads = int(sys.argv[2])
with trace_action(logger, "Hung", "for ever"):
    for name in range(1, threads):
        threading.Thread(target=work, args=(name,), daemon=True).start()
    work(0)
"""


def start(tmp_path: Path, source: str, *arguments: object) -> subprocess.Popen[str]:
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(source))
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="latin-1",
        start_new_session=True,
    )


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_no_acknowledged_record_is_lost(tmp_path: Path, threads: int, death: int) -> None:
    """Whatever was acknowledged before the kill is in the log, whole and in order."""
    path = tmp_path / "x.log"
    with start(tmp_path, WRITER, path, threads) as process:
        assert process.stdout is not None
        acknowledged = process.stdout.read(2000)
        process.send_signal(death)
        acknowledged += process.stdout.read()
    assert process.returncode == -death
    # The system may cut a write short at the border of a page when the process is killed: a line
    # that was not acknowledged may be torn, and another thread's stand behind it.
    records = [record for record in scan(path) if record.message == "record"]
    for name in range(threads):
        written = [record["number"] for record in records if record["by"] == name]
        assert written == list(range(len(written)))
        # The one in flight may be written without having been acknowledged.
        assert 0 <= len(written) - acknowledged.count(chr(name)) <= 1


def test_a_killed_process_is_seen_to_be_dead(tmp_path: Path, trace_directory: Path) -> None:
    """Liveness ends with the process, without any exit work; the log stays plain and readable."""
    with start(tmp_path, WRITER, "", 1) as process:
        assert process.stdout is not None
        process.stdout.read(10)
        [file] = list_trace_files(str(trace_directory))
        assert (file.alive, file.pid) == (True, process.pid)
        process.kill()
        process.stdout.read()
        process.wait()  # its other files may be closed after its output
    [file] = list_trace_files(str(trace_directory))
    assert file.alive is False
    enter, *records = scan(trace_directory / f"trace-{process.pid}.log")
    assert (enter.action, enter.event) == ("Hung", "enter")
    assert len(records) >= 10


def test_exit_does_not_wait(tmp_path: Path, trace_directory: Path) -> None:
    """A program with a large log exits at once: the log is not compressed on the way out."""
    with start(
        tmp_path,
        """
        import logging, time
        from inspect_trace.setup import init_tracing
        tracing = init_tracing()
        logger = logging.getLogger("x")
        for _ in range(50):
            logger.warning("z" * 1_000_000)
        logging.shutdown()
        assert tracing.path.exists()
        """,
    ) as process:
        finish(process)
    assert process.returncode == 0
    log = trace_directory / f"trace-{process.pid}.log"
    assert log.stat().st_size > 50_000_000
    assert not any(name.endswith(".gz") for name in os.listdir(trace_directory))  # noqa: PTH208


def test_ctrl_c_ends_the_program_with_its_actions_closed(tmp_path: Path) -> None:
    """SIGINT is the program's: its actions are recorded as cancelled on the way out."""
    path = tmp_path / "x.log"
    with start(tmp_path, WRITER, path, 1) as process:
        assert process.stdout is not None
        process.stdout.read(100)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == -signal.SIGINT
    *_, last = records_of(path)
    assert (last["action"], last["event"]) == ("Hung", "cancel")
