"""Standard input and FIFOs: logs that come through a pipe, once, from front to back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import MIXED, as_ours, as_theirs, record, write_log
from cli.test_exit_codes import wait_until_open

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

PROGRAM = [sys.executable, "-m", "inspect_trace"]
ONE_CPU = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of some megabytes."""
    return write_log(
        tmp_path / "a.log", *MIXED, *(record(f"{i} {'x' * 1000}") for i in range(3000))
    )


@pytest.mark.parametrize("form", ["plain", "ours", "theirs"])
def test_pipe(inspect_trace: Run, log: Path, form: str) -> None:
    """What comes through a pipe, plain or compressed, is read as if from a file."""
    file = {"plain": lambda path: path, "ours": as_ours, "theirs": as_theirs}[form](log)
    for arguments in (["dump"], ["http"], ["anomalies", "--all"]):
        expected = inspect_trace(*arguments, str(log)).stdout.replace(str(log), "/dev/stdin")
        piped = inspect_trace(*arguments, "-", stdin=None, input=file.read_bytes(), encoding=None)
        answer: Any = piped.stdout  # bytes, as no encoding was given
        assert (piped.returncode, len(piped.stderr)) == (0, 0)
        shown = answer.decode()
        if arguments[0] == "anomalies":  # whose process is not known from a pipe
            assert shown.splitlines()[0] == "TRACE: /dev/stdin"
            assert "sleep 9" in shown
        else:
            assert shown == expected


def test_redirected_file(inspect_trace: Run, log: Path) -> None:
    """A file that is standard input is read from its start."""
    with log.open("rb") as file:
        file.seek(5000)
        result = inspect_trace("dump", "-", stdin=file)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == inspect_trace("dump", str(log)).stdout


def test_pipe_among_files(inspect_trace: Run, tmp_path: Path) -> None:
    """Standard input may be one of several logs, and says what was skipped in it."""
    path = write_log(tmp_path / "a.log", record("file"))
    result = inspect_trace(
        "dump", "--jsonl", str(path), "-", stdin=None, input=f"garbage\n{record('pipe')}\n"
    )
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["trace_file"], row["message"]) for row in rows] == [
        (str(path), "file"),
        ("/dev/stdin", "pipe"),
    ]
    assert result.stderr == "stdin: skipped 1 line (line 1, byte 0: not JSON)\n"


def test_no_standard_input(inspect_trace: Run) -> None:
    """A device, or nothing, as standard input is one line and a failure."""
    nothing: dict[str, Any] = {"stdin": None, "preexec_fn": lambda: os.close(0)}
    for options in ({"stdin": subprocess.DEVNULL}, nothing):
        result = inspect_trace("dump", "-", **options)
        assert (result.returncode, result.stdout) == (1, "")
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("prefix", [[], ONE_CPU], ids=["all-cpus", "one-cpu"])
def test_records_come_as_they_are_written(
    tmp_path: Path, environment: dict[str, str], prefix: list[str]
) -> None:
    """A FIFO is waited for, and each record is printed without waiting for the next one."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [*prefix, *PROGRAM, "dump", "--jsonl", str(fifo)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        assert process.stdout is not None
        with fifo.open("w") as writer:
            for i in range(20):
                writer.write(record(f"number {i}") + "\n")
                writer.flush()
                assert json.loads(process.stdout.readline())["message"] == f"number {i}"
        assert process.stdout.read() == ""
        assert process.wait(60) == 0


@pytest.mark.parametrize("prefix", [[], ONE_CPU], ids=["all-cpus", "one-cpu"])
@pytest.mark.parametrize("command", ["dump", "http", "anomalies"])
def test_interrupt_while_nobody_writes(
    tmp_path: Path, environment: dict[str, str], command: str, prefix: list[str]
) -> None:
    """Ctrl-C ends the waiting for a FIFO that has no writer."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [*prefix, *PROGRAM, command, str(fifo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        wait_until_open(process.pid, fifo.name)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""
