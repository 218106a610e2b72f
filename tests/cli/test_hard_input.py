"""Logs that change while they are read, and logs that would not fit into memory."""

from __future__ import annotations

import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

import launch
from cli.logs import record, write_log
from inspect_trace import _core

if TYPE_CHECKING:
    from pathlib import Path

MAX_MIB = 128


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of some thirty blocks."""
    return write_log(tmp_path / "a.log", *(record(f"{i} {'x' * 3000}") for i in range(10_000)))


def output_around(log: Path, change: str) -> bytes:
    """The dump of a log that another process changes once the first records are there."""
    report = _core.dump_report([str(log)], jsonl=True)
    first = next(chunk for chunk in report if chunk)
    subprocess.run([sys.executable, "-c", change, str(log)], check=True)
    return first + b"".join(report)


def test_log_that_shrinks(log: Path) -> None:
    """A log that is truncated while it is read gives what was read of it, whole records only."""
    output = output_around(log, "import os, sys; os.truncate(sys.argv[1], 5000)")
    lines = output.splitlines()
    assert 0 < len(lines) < 10_000
    assert all(line.endswith(b'"}') for line in lines)


def test_log_that_is_replaced(log: Path) -> None:
    """A log whose name is given to another file is read on, to its end."""
    change = "import os, sys; p = sys.argv[1]; open(p + 'x', 'w').close(); os.rename(p + 'x', p)"
    assert len(output_around(log, change).splitlines()) == 10_000


def bomb(path: Path, byte: bytes) -> None:
    """Writes a compressed log of one record, a gigabyte of one byte, and another record."""
    packer = zlib.compressobj(1, wbits=31)
    block = byte * (1 << 20)
    with path.open("wb") as file:
        file.write(packer.compress(f"{record('before')}\n".encode()))
        for _ in range(1024):
            file.write(packer.compress(block))
        file.write(packer.compress(f"\n{record('behind')}\n".encode()))
        file.write(packer.flush())


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Logs of one endless line: plain, and as gzip bombs."""
    directory = tmp_path_factory.mktemp("huge")
    plain = directory / "line.log"
    with plain.open("wb") as file:
        for _ in range(300):
            file.write(b"x" * 1_000_000)
    bomb(directory / "zeros.log.gz", b"\0")
    bomb(directory / "line.log.gz", b"x")
    return {"plain": plain, "zeros": directory / "zeros.log.gz", "x": directory / "line.log.gz"}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("plain", "line.log: skipped 1 line (line 1, byte 0: longer than 16 MiB)"),
        ("zeros", "zeros.log.gz: 1,073,741,824 NUL bytes ignored"),
        ("x", "line.log.gz: skipped 1 line (line 2, byte 89: longer than 16 MiB)"),
    ],
)
def test_memory(
    huge: dict[str, Path],
    environment: dict[str, str],
    capfd: pytest.CaptureFixture[str],
    kind: str,
    told: str,
) -> None:
    """A line that does not end, or a gzip bomb, is counted, and never held in memory."""
    for command in ("dump", "anomalies", "http"):
        taken = launch.run(
            [sys.executable, "-m", "inspect_trace", command, str(huge[kind])], environment
        )
        assert taken.peak_mib < MAX_MIB
        assert capfd.readouterr().err.splitlines() == [told]
