"""The progress line: on a terminal, after a second, and gone at the end."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cli.logs import record, write_log
from inspect_trace.cli import progress
from inspect_trace.cli.progress import describe, duration, size

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = [sys.executable, "-m", "inspect_trace"]
PATIENCE_S = 30


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (1500, "1.5 kB"),
        (99_400, "99.4 kB"),
        (99_600, "100 kB"),
        (999_600, "1.0 MB"),
        (84_302_764, "84.3 MB"),
        (1e9, "1.0 GB"),
        (5.5e12, "5.5 TB"),
        (7e15, "7000.0 TB"),
    ],
)
def test_size(count: float, text: str) -> None:
    """Bytes are told in the unit that leaves two or three digits before the point at most."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90_061, "25 h 01 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Times are told in two units at most."""
    assert duration(seconds) == text


def test_describe() -> None:
    """How much, how fast, how long: as far as each is known, and never more than all."""
    half = "[############------------]  50% of 10.0 GB, 1.0 GB/s, 5 s left"
    assert describe(5_000_000_000, 10_000_000_000, 5.0) == half
    assert describe(0, 1000, 2.0) == f"[{'-' * 24}]   0% of 1.0 kB, 0 B/s"
    assert describe(1500, 1000, 1.0) == f"[{'#' * 24}] 100% of 1.0 kB, 1.5 kB/s, 0 s left"
    assert describe(3_000_000, None, 2.0) == "3.0 MB read, 1.5 MB/s"
    assert describe(0, 0, 0.0) == "0 B read, 0 B/s"


class Terminal(io.StringIO):
    """A standard error that says that it is a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True


def test_when_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the first second, not beside output on the same terminal; and cleared once."""
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line = progress.Progress(start_s=99.1, stdout_shows=False)
    line.show(10, 20)
    line.clear()
    assert terminal.getvalue() == ""
    now_s = 100.2
    line.show(10, 20)
    line.clear()
    line.clear()
    shown = terminal.getvalue()
    assert re.fullmatch(r"\r\x1b\[K\[#+-+\]  50% of 20 B, [^\r]*\r\x1b\[K", shown)
    beside = progress.Progress(start_s=0.0, stdout_shows=True)
    beside.show(10, 20)
    beside.clear()
    assert terminal.getvalue() == shown


class OnTerminal:
    """A command whose stderr is a terminal, and whose log comes through a FIFO or pipe."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self.terminal = terminal
        self.shown = b""

    def wait_for(self, pattern: bytes) -> None:
        """Reads the terminal until `pattern` is there."""
        while not re.search(pattern, self.shown):
            more = os.read(self.terminal, 65536)
            assert more
            self.shown += more

    def end(self) -> bytes:
        """All that was shown, once the command has ended."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(OSError):  # how Linux says that the other side is closed
            while more := os.read(self.terminal, 65536):
                self.shown += more
        os.close(self.terminal)
        self.process.wait(PATIENCE_S)
        return self.shown


def start(environment: dict[str, str], *arguments: str) -> OnTerminal:
    """Runs a command with a terminal as its stderr."""
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**environment, "TERM": "xterm"},
    )
    os.close(follower)
    return OnTerminal(process, leader)


@pytest.mark.parametrize("command", ["anomalies", "dump"])
def test_a_slow_pipe(environment: dict[str, str], command: str) -> None:
    """While a pipe is read bytes and rate are shown; at the end no trace of them is left."""
    running = start(environment, command, "-")
    assert running.process.stdin is not None
    assert running.process.stdout is not None
    line = f"{record('x' * 1000)}\n".encode()
    running.process.stdin.write(line)
    running.process.stdin.flush()
    running.wait_for(rb"\r\x1b\[K1.1 kB read, [\d.]+ k?B/s")  # a second later
    running.process.stdin.write(b"garbage\n")
    running.process.stdin.close()
    running.process.stdout.read()
    shown = running.end()
    assert running.process.returncode == 0
    told = f"stdin: skipped 1 line (line 2, byte {len(line):,}: not JSON)"
    assert shown.endswith(f"\r\x1b[K{told}\r\n".encode())


def test_a_large_compressed_log(tmp_path: Path, environment: dict[str, str]) -> None:
    """Of a compressed log the share that is read grows with the bytes of the file, up to all."""
    path = write_log(
        tmp_path / "a.log", *(record(f"{i} {os.urandom(400).hex()}") for i in range(50_000))
    )
    packed = tmp_path / "a.log.gz"
    subprocess.run(f"gzip -1 < {path} > {packed}", shell=True, check=True)
    running = start(environment, "dump", str(packed))
    assert running.process.stdout is not None
    while b" left" not in running.shown:  # it waits for us, who are in no hurry
        assert len(running.process.stdout.read(1 << 20)) == 1 << 20, "it has ended"
        if select.select([running.terminal], [], [], 0.05)[0]:
            running.shown += os.read(running.terminal, 65536)
    running.process.stdout.read()
    shown = running.end()
    shares = [int(share) for share in re.findall(rb"(\d+)% of 2\d\.\d MB", shown)]
    assert shares
    assert shares == sorted(shares)
    assert shares[-1] <= 100
    assert shown.endswith(b"\r\x1b[K")


def test_no_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    """Where stderr is no terminal nothing is shown, however long it takes."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [*PROGRAM, "anomalies", str(fifo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stderr is not None
        with fifo.open("w") as writer:
            writer.write(record("x") + "\n")
            writer.flush()
            # Longer than the patience: nothing tells when nothing will come.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1.3)
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_S) == 0
