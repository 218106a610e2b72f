"""How commands end when something is in their way."""

from __future__ import annotations

import contextlib
import gzip
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.logs import MIXED, action, record, write_log

if TYPE_CHECKING:
    from cli.conftest import Run

PROGRAM = [sys.executable, "-m", "inspect_trace"]


@pytest.fixture
def big_log(trace_dir: Path) -> Path:
    """A log whose dump is larger than any pipe."""
    return write_log(trace_dir / "trace-1.log", *(record(f"{i} {'x' * 1000}") for i in range(4000)))


def test_broken_pipe(big_log: Path, environment: dict[str, str]) -> None:
    """A reader that has seen enough ends the command silently, with a filter's exit code."""
    with subprocess.Popen(
        [*PROGRAM, "dump"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"["
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["dump"], ["anomalies"]])
def test_pipe_closed_before(
    trace_dir: Path, environment: dict[str, str], arguments: list[str]
) -> None:
    """A pipe that nobody reads from the start is no different."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [*PROGRAM, *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (141, b"")


def test_interrupt(big_log: Path, environment: dict[str, str]) -> None:
    """Ctrl-C ends the command at once and silently, exit code 130."""
    with subprocess.Popen(
        [*PROGRAM, "dump"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)  # it writes, and will wait for us to read more
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def test_interrupt_while_reading(trace_dir: Path, environment: dict[str, str]) -> None:
    """Ctrl-C is also heard while the core reads a log and nothing is written yet."""
    member = gzip.compress(f"{record('x' * 4000)}\n".encode() * 5000, compresslevel=1)
    trace_dir.mkdir(parents=True)
    (trace_dir / "trace-1.log.gz").write_bytes(member * 100)  # 2 GB, unpacked
    with subprocess.Popen(
        [*PROGRAM, "dump", "--filter", "no such text"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        wait_until_open(process.pid, "trace-1.log.gz")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def wait_until_open(pid: int, name: str) -> None:
    """Wait until the process has a file of that name open (or has ended)."""
    while True:
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if descriptor.readlink().name == name:
                        return
        except (FileNotFoundError, PermissionError):
            pytest.fail("it ended before it could be interrupted")


def test_interrupt_of_anomalies_into_a_full_pipe(
    trace_dir: Path, environment: dict[str, str]
) -> None:
    """Ctrl-C is heard where the last and only output does not fit into the pipe."""
    lines = [action("Tool", f"{i} {'x' * 500}", "enter", str(i)) for i in range(2000)]
    write_log(trace_dir / "trace-1.log", *lines)
    with subprocess.Popen(
        [*PROGRAM, "anomalies", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"{"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def test_output_that_does_not_wait(big_log: Path, environment: dict[str, str]) -> None:
    """A pipe that its owner has set to non-blocking gets everything nevertheless."""
    expected = subprocess.run(
        [*PROGRAM, "dump"], stdout=subprocess.PIPE, env=environment, check=True
    ).stdout
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with subprocess.Popen(
        [*PROGRAM, "dump"], stdout=writing, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.read() == expected
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk(inspect_trace: Run, trace_dir: Path) -> None:
    """Output that can't be written is one line and a failure, at the first chunk or the last."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    for arguments in (["dump"], ["list"], ["anomalies"], ["http", "--json"]):
        with Path("/dev/full").open("wb") as full:
            result = inspect_trace(
                *arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE
            )
        assert result.returncode == 1
        assert result.stderr.splitlines() == [
            "python -m inspect_trace: cannot write to standard output: No space left on device"
        ]


def test_closed_streams(trace_dir: Path, environment: dict[str, str]) -> None:
    """Without a stdout the command fails in words; without a stderr it does its work."""
    write_log(trace_dir / "trace-1.log", *MIXED, "garbage")
    command = f"{sys.executable} -m inspect_trace dump"
    no_stdout = subprocess.run(
        ["sh", "-c", f"{command} >&-"], env=environment, capture_output=True, text=True, check=False
    )
    assert no_stdout.returncode == 1
    assert no_stdout.stderr == "python -m inspect_trace: standard output is closed\n"
    no_stderr = subprocess.run(
        ["sh", "-c", f"{command} 2>&-"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert no_stderr.returncode == 0
    assert no_stderr.stdout.endswith("]\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["dump", "--jsonl", "--follow", "--limit", "1"],
        ["dump", "--tail", "-1"],
        ["http", "--limit", "all"],
        ["dump", "--json"],
        ["list", "extra"],
        ["http", "--filter"],
        ["--nothing"],
        ["anomalies", b"--\xff"],
    ],
)
def test_wrong_usage(inspect_trace: Run, arguments: list[str | bytes]) -> None:
    """Wrong usage is exit code 2, told on stderr with the way to the help."""
    result = inspect_trace(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "--help" in result.stderr
    assert "Traceback" not in result.stderr
    if arguments:
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "utf-16"},
        {"LC_ALL": "no_SUCH.locale"},
    ],
    ids=lambda locale: "-".join(locale.values()),
)
def test_odd_locales(inspect_trace: Run, trace_dir: Path, locale: dict[str, str]) -> None:
    """No locale keeps a log, a path or a filter with any characters from being shown."""
    path = write_log(trace_dir / "trace-ü.log", record("漢字 \ud83e\uddf5"), "garbage")
    plain = inspect_trace("dump", path.name)
    for arguments in (["dump", path.name], ["dump", "--filter", "漢"]):
        result = inspect_trace(*arguments, env=locale, encoding=None)
        assert result.returncode == 0, result.stderr
        assert result.stdout == plain.stdout.encode()  # type: ignore[comparison-overlap]
    for arguments in (["list"], ["anomalies"], ["http"], ["--help"]):
        result = inspect_trace(*arguments, env=locale, encoding=None)
        assert result.returncode == 0, result.stderr


def test_undecodable_arguments(inspect_trace: Run, trace_dir: Path) -> None:
    """A file name or filter that is no text is taken as it is."""
    path = os.fsencode(write_log(trace_dir / "trace-1.log", *MIXED).parent) + b"/\xff.log"
    os.link(trace_dir / "trace-1.log", path)
    assert inspect_trace("dump", path).stdout == inspect_trace("dump", "trace-1.log").stdout
    missing = inspect_trace("dump", b"missing-\xff.log")
    assert missing.returncode == 1
    assert len(missing.stderr.splitlines()) == 1
    assert inspect_trace("list").returncode == 0
    assert inspect_trace("list", "--json").returncode == 0
    assert inspect_trace("anomalies", "--json").returncode == 0


def test_help_and_version(inspect_trace: Run) -> None:
    """Help, short and long, for the group and each command, and the version: exit code 0."""
    for arguments in ([], ["list"], ["dump"], ["http"], ["anomalies"]):
        short, long = inspect_trace(*arguments, "-h"), inspect_trace(*arguments, "--help")
        assert (short.returncode, short.stdout) == (0, long.stdout)
        assert long.stdout.startswith("Usage: ")
    version = inspect_trace("--version")
    assert version.returncode == 0
    assert version.stdout.startswith("inspect-trace ")


def test_skips_come_after_the_output(trace_dir: Path, environment: dict[str, str]) -> None:
    """On one stream the notes follow the output, so that they are not scrolled away."""
    write_log(trace_dir / "trace-1.log", "garbage", *MIXED)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "dump"], stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    output = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            output += os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
    os.close(leader)
    assert process.wait(60) == 0
    assert "skipped" in output.decode().splitlines()[-1]
