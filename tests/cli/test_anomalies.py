"""`inspect-trace anomalies`."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import MIXED, STARTED, action, dead_pid, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run


@pytest.fixture
def dead_log(trace_dir: Path) -> Path:
    """The log of a process that has died."""
    return write_log(trace_dir / f"trace-{dead_pid()}.log", *MIXED)


@pytest.fixture
def live_log(trace_dir: Path) -> Path:
    """The log of a process that lives: this one."""
    return write_log(trace_dir / f"trace-{os.getpid()}.log", *MIXED)


def rows(result: Any, bucket: str) -> list[tuple[str, str]]:
    """Action and detail of each row in a bucket of the JSON."""
    return [(row["action"], row["detail"]) for row in json.loads(result.stdout)[bucket]]


def test_json_has_all_buckets(inspect_trace: Run, dead_log: Path) -> None:
    """`--json` has all four buckets filled, with `--all` or without."""
    for arguments in ((), ("--all",)):
        result = inspect_trace("anomalies", "--json", *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        answer = json.loads(result.stdout)
        assert answer["trace_file"] == str(dead_log)
        assert rows(result, "running") == [("Model", "generate")]
        assert rows(result, "cancelled") == [("Subprocess", "sleep 9")]
        assert rows(result, "errors") == [("Tool", "bad")]
        assert rows(result, "timeouts") == [("Tool", "slow")]
        (error,) = answer["errors"]
        assert error["error"] == "no such thing"
        assert error["error_type"] == "ValueError"
        assert (error["start_time"], error["duration"]) == (STARTED, 3.0)


def test_dead_process(inspect_trace: Run, dead_log: Path) -> None:
    """What a dead process left open is interrupted, as long as the log's last record says."""
    answer = json.loads(inspect_trace("anomalies", "--json").stdout)
    ended_at = STARTED + 7
    assert answer["process"] == {
        "pid": int(dead_log.stem.removeprefix("trace-")),
        "alive": False,
        "ended_at": ended_at,
    }
    (running,) = answer["running"]
    assert running["interrupted"] is True
    assert running["duration"] == pytest.approx(7)
    text = inspect_trace("anomalies").stdout
    assert "Interrupted Actions" in text
    assert "Running Actions" not in text
    assert "7.00s" in text


def test_live_process(inspect_trace: Run, live_log: Path) -> None:
    """What a live process has open is running, until now."""
    result = inspect_trace("anomalies", "--json")
    answer = json.loads(result.stdout)
    assert answer["process"]["pid"] == os.getpid()
    assert answer["process"]["alive"] is True
    assert answer["process"]["ended_at"] is None
    (running,) = answer["running"]
    assert running["interrupted"] is False
    assert running["duration"] == answer["as_of"] - STARTED
    assert answer["as_of"] == pytest.approx(time.time(), abs=60)
    text = inspect_trace("anomalies").stdout
    assert "Running Actions" in text
    assert "Interrupted Actions" not in text
    assert str(live_log) in text.splitlines()[0]


def test_sections(inspect_trace: Run, dead_log: Path) -> None:
    """Errors and timeouts are in the tables only with `--all`."""
    short = inspect_trace("anomalies").stdout
    assert "Cancelled Actions" in short
    assert "Error Actions" not in short
    assert "Timeout Actions" not in short
    full = inspect_trace("anomalies", "--all").stdout
    assert re.findall(r"^\w+ Actions", full, re.MULTILINE) == [
        "Interrupted Actions",
        "Cancelled Actions",
        "Error Actions",
        "Timeout Actions",
    ]
    assert "no such thing" in full


def test_nothing_to_show(inspect_trace: Run, trace_dir: Path) -> None:
    """A log without anomalies says so, and mentions `--all` where that would show some."""
    write_log(
        trace_dir / f"trace-{dead_pid()}.log",
        action("Tool", "slow", "enter", "late"),
        action("Tool", "slow", "timeout", "late", second=4),
    )
    result = inspect_trace("anomalies")
    assert result.returncode == 0
    assert "--all" in result.stdout
    assert "Timeout Actions" in inspect_trace("anomalies", "--all").stdout


def test_filter(inspect_trace: Run, dead_log: Path) -> None:
    """`--filter` selects records by message, yet the log's end stays the log's end."""
    result = inspect_trace("anomalies", "--json", "--filter", "GENERATE")
    answer = json.loads(result.stdout)
    assert [len(answer[name]) for name in ("running", "cancelled", "errors", "timeouts")] == [
        1,
        0,
        0,
        0,
    ]
    assert answer["process"]["ended_at"] == STARTED + 7


def test_odd_values(inspect_trace: Run, trace_dir: Path) -> None:
    """A start time out of all range, a NaN, lone surrogates and markup harm nothing."""
    write_log(
        trace_dir / f"trace-{dead_pid()}.log",
        action("A", "[/bold] [red]x", "enter", "1", start_time=1e300),
        action("B", "\ud800", "enter", "2", start_time=float("nan")),
        action("C", "c", "cancel", "3", duration=float("inf")),
        record("x" * 100_000),
    )
    result = inspect_trace("anomalies")
    assert (result.returncode, result.stderr) == (0, "")
    assert "[/bold] [red]x" in result.stdout
    parsed = inspect_trace("anomalies", "--json")
    assert parsed.returncode == 0
    assert "NaN" not in parsed.stdout
    assert "Infinity" not in parsed.stdout
    json.loads(parsed.stdout)


def test_pipe_has_no_wrapping_and_no_colour(inspect_trace: Run, trace_dir: Path) -> None:
    """Without a terminal a row is one line, however long, and plain text."""
    long = "word " * 200
    write_log(trace_dir / "trace-1.log", action("Tool", long, "enter", "1"))
    result = inspect_trace("anomalies", env={"TERM": "xterm-256color", "COLUMNS": "40"})
    assert any(long.strip() in line for line in result.stdout.splitlines())
    assert "\x1b" not in result.stdout
