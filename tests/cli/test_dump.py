"""`inspect-trace dump`, and how every command finds its file."""

from __future__ import annotations

import gzip
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import MIXED, http, record, write_log

if TYPE_CHECKING:
    from cli.conftest import Run


def strict_json(text: str) -> Any:
    """Parse JSON, refusing what only Python would accept."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"bare {constant} in JSON output")

    return json.loads(text, parse_constant=refuse)


def test_array_of_all_records(inspect_trace: Run, trace_dir: Path) -> None:
    """The dump is an array of every record with all of its fields, laid out two spaces deep."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    result = inspect_trace("dump")
    assert (result.returncode, result.stderr) == (0, "")
    expected = [json.loads(line) for line in MIXED]
    assert result.stdout == json.dumps(expected, indent=2) + "\n"


def test_jsonl(inspect_trace: Run, trace_dir: Path) -> None:
    """`--jsonl` is one record a line."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    result = inspect_trace("dump", "--jsonl")
    assert (result.returncode, result.stderr) == (0, "")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        json.loads(line) for line in MIXED
    ]


@pytest.mark.parametrize(("text", "found"), [("PLAIN", 1), ("nothing", 0), ("ünïcode", 1), ("", 2)])
def test_filter(inspect_trace: Run, trace_dir: Path, text: str, found: int) -> None:
    """`--filter` is a substring of the message, whatever the case; an empty one filters nothing."""
    write_log(trace_dir / "trace-1.log", record("plain words"), record("ÜNÏCODE"))
    result = inspect_trace("dump", "--filter", text)
    assert len(json.loads(result.stdout)) == found


def test_empty_result(inspect_trace: Run, trace_dir: Path) -> None:
    """No records are an empty array, or no lines, and no failure."""
    write_log(trace_dir / "trace-1.log")
    assert inspect_trace("dump").stdout == "[]\n"
    assert inspect_trace("dump", "--jsonl").stdout == ""


def test_output_is_strict_json(inspect_trace: Run, trace_dir: Path) -> None:
    """Nulls are left out; NaN, infinities and lone surrogates do not reach the output."""
    line = (
        '{"timestamp": "t", "level": "TRACE", "message": "\\ud800!", "a": NaN, '
        '"b": [Infinity, {"c": -Infinity}], "d": null, "e": {"f": null}}'
    )
    write_log(trace_dir / "trace-1.log", line)
    (first,) = strict_json(inspect_trace("dump").stdout)
    second = strict_json(inspect_trace("dump", "--jsonl").stdout)
    assert first == second
    assert first["message"] == "\ufffd!"
    assert first["b"] == [None, {"c": None}]
    assert "d" not in first
    assert first["e"] == {"f": None}


def test_skipped_lines_are_told(inspect_trace: Run, trace_dir: Path) -> None:
    """What is no record is skipped, counted on stderr, and no reason to fail."""
    path = write_log(
        trace_dir / "trace-1.log", record("one"), "garbage", "[1]", record("two"), '{"torn'
    )
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    result = inspect_trace("dump", "--jsonl")
    assert result.returncode == 0
    assert [json.loads(line)["message"] for line in result.stdout.splitlines()] == ["one", "two"]
    assert len(result.stderr.splitlines()) == 1
    assert "trace-1.log" in result.stderr
    assert "skipped" in result.stderr


def test_invalid_utf8_is_repaired(inspect_trace: Run, trace_dir: Path) -> None:
    """A record with invalid UTF-8 is kept, its bad bytes shown as U+FFFD, and it is said."""
    path = write_log(trace_dir / "trace-1.log", record("one"))
    path.write_bytes(path.read_bytes().replace(b"one", b"o\xffe"))
    result = inspect_trace("dump", "--jsonl")
    assert json.loads(result.stdout)["message"] == "o\ufffde"
    assert "UTF-8" in result.stderr
    found = inspect_trace("dump", "--jsonl", "--filter", b"o\xffe")
    assert found.stdout == result.stdout


def test_gzip_by_content_not_by_name(inspect_trace: Run, trace_dir: Path) -> None:
    """Gzip is recognised by what it is, even torn: all whole records before the damage are kept."""
    lines = [record(f"number {i}") for i in range(2000)]
    path = write_log(trace_dir / "trace-1.log", *lines)
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed)
    assert len(json.loads(inspect_trace("dump").stdout)) == 2000
    path.write_bytes(packed[: len(packed) // 2])
    result = inspect_trace("dump")
    assert result.returncode == 0
    assert 0 < len(json.loads(result.stdout)) < 2000
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["dump", "http", "anomalies"])
def test_newest_log_by_default(inspect_trace: Run, trace_dir: Path, command: str) -> None:
    """Without FILE the newest log is read; `trace.log` and `trace.log.1.gz` are it and the next."""
    old = write_log(trace_dir / "trace-1.log", http("old 500"))
    new = write_log(trace_dir / "trace-2.log", http("new 500"))
    os.utime(old, (1_600_000_000, 1_600_000_000))
    del new
    newest = inspect_trace("http").stdout
    assert "new" in newest
    assert inspect_trace("http", "trace.log").stdout == newest
    assert "old" in inspect_trace("http", "trace.log.1.gz").stdout
    assert inspect_trace(command).returncode == 0


def test_file_forms(inspect_trace: Run, trace_dir: Path, tmp_path: Path) -> None:
    """FILE is absolute, or in the trace directory, or in the current one; `./` insists on that."""
    write_log(trace_dir / "same.log", record("in the trace directory"))
    here = tmp_path / "here"
    write_log(here / "same.log", record("here"))
    write_log(here / "other.log", record("only here"))

    def message(name: str) -> object:
        result = inspect_trace("dump", "--jsonl", name, cwd=here)
        return json.loads(result.stdout)["message"]

    assert message("same.log") == "in the trace directory"
    assert message("./same.log") == "here"
    assert message("other.log") == "only here"
    assert message(str(here / "same.log")) == "here"


def test_compressed_meanwhile(inspect_trace: Run, trace_dir: Path) -> None:
    """The name of a log which has been compressed since still finds it."""
    path = write_log(trace_dir / "trace-1.log", record("one"))
    (trace_dir / "trace-1.log.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert inspect_trace("dump", "trace-1.log").returncode == 0


@pytest.mark.parametrize("command", ["dump", "http", "anomalies"])
def test_missing_things_are_one_line(
    inspect_trace: Run, trace_dir: Path, tmp_path: Path, command: str
) -> None:
    """No logs, no such file, a directory without logs, a device, a socket: one line, code 1."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fsencode(tmp_path / "socket.log"))
    cases: tuple[list[str], ...] = (
        [],
        ["missing.log"],
        [str(tmp_path)],
        [str(tmp_path / "socket.log")],
        [os.devnull],
        [str(tmp_path / "a" / "b.log")],
    )
    for arguments in cases:
        result = inspect_trace(command, *arguments)
        assert result.returncode == 1, arguments
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert result.stderr.startswith("python -m inspect_trace: ")
        assert all(Path(name).name in result.stderr for name in arguments)
    assert not trace_dir.exists()
