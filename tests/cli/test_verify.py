"""`inspect-trace verify`."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest

from cli.logs import MIXED, dead_pid, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run


@pytest.fixture
def log(trace_dir: Path) -> Path:
    """A whole log of a process that has ended."""
    return write_log(trace_dir / f"trace-{dead_pid()}.log", *MIXED)


def damage(log: Path) -> int:
    """Append a line of words and one that is cut off; tell where the first of them begins."""
    byte = log.stat().st_size
    with log.open("ab") as file:
        file.write(b"\x1b[31mwords\n" + record("x").encode()[:20])
    return byte


def test_a_whole_log(inspect_trace: Run, log: Path) -> None:
    """A log that is whole is said to be so, plain or compressed; exit code 0."""
    count = len(MIXED)
    expected = f"{count} records in {count} lines; no problems\n"
    result = inspect_trace("verify")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{log}: {expected}", "")
    compressed = log.with_name(f"{log.name}.gz")
    compressed.write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    result = inspect_trace("verify", compressed.name)
    assert (result.returncode, result.stdout) == (0, f"{compressed}: {expected}")


def test_problems_are_lines(inspect_trace: Run, log: Path) -> None:
    """Each problem is a line with place and reason, nothing of the log's text; exit code 1."""
    byte = damage(log)
    result = inspect_trace("verify")
    count = len(MIXED)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.splitlines() == [
        f"{log}:{count + 1}: byte {byte}: not JSON (10 bytes)",
        f"{log}:{count + 2}: byte {byte + 11}: cut off after 20 bytes",
        f"{log}: {count} records in {count + 2} lines; 2 problems (1 not JSON, 1 cut off)",
    ]


def test_limit(inspect_trace: Run, log: Path) -> None:
    """`--limit` leaves out lines, not from the counts nor from the exit code."""
    damage(log)
    result = inspect_trace("verify", "--limit", "1")
    first, summary = result.stdout.splitlines()
    assert result.returncode == 1
    assert "not JSON" in first
    assert summary.endswith("2 problems (1 not JSON, 1 cut off), 1 not listed")
    answer = json.loads(inspect_trace("verify", "--limit", "0", "--json").stdout)["logs"][0]
    assert answer["problems"] == []
    assert answer["counts"]["cut_off"] == 1


def test_json(inspect_trace: Run, log: Path) -> None:
    """`--json` has the logs with their problems and counts."""
    byte = damage(log)
    with log.open("ab") as file:
        file.write(b'\n{"level": 1, "message": ""}\n')
    result = inspect_trace("verify", "--json")
    assert result.returncode == 1
    answer = json.loads(result.stdout)
    assert answer["trace_file"] == str(log)
    (found,) = answer["logs"]
    assert found["trace_file"] == str(log)
    assert (found["records"], found["lines"]) == (len(MIXED), len(MIXED) + 3)
    assert found["problems"][0] == {
        "line": len(MIXED) + 1,
        "byte": byte,
        "length": 10,
        "kind": "not_json",
        "reason": "not JSON (10 bytes)",
    }
    assert found["problems"][2]["kind"] == "missing_fields"
    assert found["problems"][2]["fields"] == ["timestamp", "level"]
    counts = {kind: count for kind, count in found["counts"].items() if count}
    assert counts == {"not_json": 2, "missing_fields": 1}


def test_several_logs(inspect_trace: Run, log: Path, tmp_path: Path) -> None:
    """Of several logs each is summed up; one that is damaged is enough for exit code 1."""
    torn = tmp_path / "torn.log.gz"
    compressed = gzip.compress(log.read_bytes())
    torn.write_bytes(compressed[:-10])
    result = inspect_trace("verify", str(log), str(torn))
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"{log}: {len(MIXED)} records in {len(MIXED)} lines; no problems"
    assert f"{torn}: compressed byte {len(compressed) - 10}: the file ends early" in lines
    answer = json.loads(inspect_trace("verify", "--json", str(log), str(torn)).stdout)
    assert answer["trace_files"] == [str(log), str(torn)]
    assert answer["logs"][0]["problems"] == []
    damages = [p for p in answer["logs"][1]["problems"] if p["kind"] == "gzip_damage"]
    assert [p["compressed_byte"] for p in damages] == [len(compressed) - 10]


def test_standard_input(inspect_trace: Run, log: Path) -> None:
    """`-` is standard input."""
    damage(log)
    with log.open("rb") as file:
        result = inspect_trace("verify", "-", stdin=file)
    assert result.returncode == 1
    assert "1 not JSON, 1 cut off" in result.stdout


def test_a_line_being_written(inspect_trace: Run, trace_dir: Path) -> None:
    """A last line without an end is no failure while the process that writes it lives."""
    log = write_log(trace_dir / f"trace-{os.getpid()}.log", *MIXED)
    with log.open("ab") as file:
        file.write(record("x").encode()[:20])
    result = inspect_trace("verify")
    first, summary = result.stdout.splitlines()
    assert result.returncode == 0
    assert "unfinished after 20 bytes" in first
    assert summary.endswith("; no problems (1 unfinished)")


def test_failures(inspect_trace: Run, log: Path) -> None:
    """A file that is not there is a failure of one line, an unknown option is wrong usage."""
    result = inspect_trace("verify", str(log.with_name("none.log")))
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert inspect_trace("verify", "--limit", "-1").returncode == 2


def test_no_name_steers_the_terminal(inspect_trace: Run, tmp_path: Path) -> None:
    """A path is shown with its control characters made visible."""
    log = write_log(tmp_path / "a\x1b[31m.log", "words")
    result = inspect_trace("verify", str(log))
    assert result.returncode == 1
    assert "\x1b" not in result.stdout
