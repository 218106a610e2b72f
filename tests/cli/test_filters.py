"""The options that choose records and actions, on every command that reads a log."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import MIXED, STARTED, action, dead_pid, http, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

LOG = (
    *MIXED,
    record("a warning", level="WARNING", second=8, sample_id="s-1", task="t"),
    record("sample=s-1 in words only", level="CUSTOM", second=9, sample_id="s-12", task="T"),
    record("a number", level="ERROR", second=10, sample_id=12, task=None),
    http("with an id", second=11),
)
"""`MIXED`, and records with ids."""


@pytest.fixture
def log(trace_dir: Path) -> Path:
    """The log of a process that has died."""
    return write_log(trace_dir / f"trace-{dead_pid()}.log", *LOG)


def dumped(run: Run, *options: str, env: dict[str, str] | None = None) -> list[str]:
    """The messages of the records that `dump` shows with these options."""
    result = run("dump", "--jsonl", *options, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    return [json.loads(line)["message"] for line in result.stdout.splitlines()]


def messages(wanted: Any) -> list[str]:
    """The messages of the records of `LOG` that `wanted` holds for."""
    records = map(json.loads, LOG)
    return [record["message"] for record in records if wanted(record)]


def at(second: float) -> str:
    """A moment as seconds since the epoch, so many after `STARTED`."""
    return f"@{STARTED + second}"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--level", "info"], lambda r: r["level"] in ("INFO", "WARNING", "ERROR")),
        (["--level", "HTTP"], lambda r: r["level"] not in ("TRACE", "CUSTOM")),
        (["--level", "=http"], lambda r: r["level"] == "HTTP"),
        (["--level", "custom"], lambda r: r["level"] == "CUSTOM"),
        (["--level", "fatal"], lambda r: False),
        (["--action", "TOOL"], lambda r: r.get("action") == "Tool"),
        (["--action", "too"], lambda r: False),
        (
            ["--action", "tool", "--action", "model"],
            lambda r: r.get("action") in ("Tool", "Model"),
        ),
        (["--event", "exit", "--event", "ERROR"], lambda r: r.get("event") in ("exit", "error")),
        (["--sample", "s-1"], lambda r: r.get("sample_id") == "s-1"),
        (["--sample", "12"], lambda r: r.get("sample_id") == 12),
        (["--sample", "s-1", "--sample", "s-12"], lambda r: "s-" in str(r.get("sample_id"))),
        (["--task", "t"], lambda r: r.get("task") == "t"),
        (["--since", at(7)], lambda r: seconds(r) >= 7),
        (["--until", at(7)], lambda r: seconds(r) < 7),
        (["--since", at(1), "--until", at(3)], lambda r: 1 <= seconds(r) < 3),
        (["--min-duration", "3"], lambda r: r.get("duration", 0) >= 3),
        (["--min-duration", "0m2s"], lambda r: r.get("duration", 0) >= 2),
        (
            ["--level", "warn", "--task", "t", "--filter", "WARN", "--since", at(8)],
            lambda r: r["message"] == "a warning",
        ),
        (["--event", "exit", "--min-duration", "1.5"], lambda r: False),
    ],
)
def test_dump(inspect_trace: Run, log: Path, options: list[str], wanted: Any) -> None:
    """`dump` shows the records that all conditions hold for."""
    assert dumped(inspect_trace, *options) == messages(wanted)


def seconds(record: dict[str, Any]) -> float:
    """How long after `STARTED` a record was made."""
    return datetime.fromisoformat(record["timestamp"]).timestamp() - STARTED


@pytest.mark.parametrize("when", ["-3h", "3h", "-2h30m", "-10000s", "2h ago"])
def test_times_ago(inspect_trace: Run, trace_dir: Path, when: str) -> None:
    """A time may be given by how long ago it was, with its minus as a word of its own."""
    now = datetime.now(timezone.utc)
    times = {"old": now - timedelta(hours=4), "new": now - timedelta(hours=1)}
    lines = [record(name, timestamp=time.isoformat()) for name, time in times.items()]
    write_log(trace_dir / "trace-1.log", *lines)
    assert dumped(inspect_trace, "--since", when) == ["new"]
    assert dumped(inspect_trace, f"--since={when}") == ["new"]
    assert dumped(inspect_trace, "--until", when) == ["old"]
    assert dumped(inspect_trace, "--until", "now", "--since", "-1w") == ["old", "new"]


def test_local_times(inspect_trace: Run, trace_dir: Path) -> None:
    """A time without an offset is one of the local zone; a date is the start of its day."""
    zone = timezone(timedelta(hours=2))  # Berlin in July
    times = [
        datetime(2026, 7, 1, 23, 59, tzinfo=zone),
        datetime(2026, 7, 2, 0, 0, tzinfo=zone),
        datetime(2026, 7, 2, 14, 30, tzinfo=zone),
    ]
    lines = [record(f"{time:%d %H}", timestamp=time.isoformat()) for time in times]
    write_log(trace_dir / "trace-1.log", *lines)
    berlin = {"TZ": "Europe/Berlin"}
    for option, expected in [
        ("--since=2026-07-02", ["02 00", "02 14"]),
        ("--until=2026-07-02", ["01 23"]),
        ("--since=2026-07-02T14:30", ["02 14"]),
        ("--since=2026-07-02 14:30:00.5", []),
        ("--since=2026-07-02T14:30:00+02:00", ["02 14"]),
        ("--until=2026-07-02T12:30Z", ["01 23", "02 00"]),
    ]:
        assert dumped(inspect_trace, option, env=berlin) == expected, option
    assert dumped(inspect_trace, "--since=2026-07-02T12:30", env={"TZ": "UTC"}) == ["02 14"]


def test_today(inspect_trace: Run, trace_dir: Path) -> None:
    """A time of day is one of today."""
    write_log(trace_dir / "trace-1.log", record("then"))
    assert dumped(inspect_trace, "--since", "00:00") == []
    assert dumped(inspect_trace, "--until", "00:00") == ["then"]


def test_http(inspect_trace: Run, log: Path) -> None:
    """`http` shows the requests that the conditions hold for."""
    result = inspect_trace("http", "--json", "--since", at(6), "--level", "=HTTP")
    assert [row["message"] for row in json.loads(result.stdout)["requests"]] == messages(
        lambda r: r["level"] == "HTTP" and seconds(r) >= 6
    )
    result = inspect_trace("http", "--json", "--failed", "--until", at(6))
    assert json.loads(result.stdout)["requests"] == []


def found(run: Run, *options: str) -> dict[str, list[str]]:
    """The details of the actions that `anomalies --json` shows, and in which lists."""
    answer = json.loads(run("anomalies", "--json", *options).stdout)
    buckets = {n: answer[n] for n in ("running", "cancelled", "errors", "timeouts")}
    return {name: [row["detail"] for row in rows] for name, rows in buckets.items() if rows}


ALL = {
    "running": ["generate"],
    "cancelled": ["sleep 9"],
    "errors": ["bad"],
    "timeouts": ["slow"],
}


@pytest.mark.parametrize(
    ("options", "buckets"),
    [
        ((), "running cancelled errors timeouts"),
        (("--action", "tool"), "errors timeouts"),
        (("--event", "enter"), "running"),
        (("--event", "error", "--event", "cancel"), "cancelled errors"),
        (("--event", "exit"), ""),
        (("--level", "=TRACE"), "running cancelled errors timeouts"),
        (("--level", "INFO"), ""),
        (("--sample", "s-1"), ""),
        (("--min-duration", "3"), "running errors timeouts"),
        (("--min-duration", "12"), ""),
        (("--since", at(2.5)), "running errors timeouts"),
        (("--since", at(4)), "running timeouts"),
        (("--since", at(11.5)), ""),
        (("--until", at(0)), ""),
        (("--until", at(0.5)), "running cancelled errors timeouts"),
        (("--since", at(3.5), "--event", "timeout", "--action", "Tool"), "timeouts"),
    ],
)
def test_anomalies(inspect_trace: Run, log: Path, options: tuple[str, ...], buckets: str) -> None:
    """`anomalies` chooses actions by what is known of them at last, from start to end.

    The process has died eleven seconds after the actions began: that is when the open one ended.
    """
    assert found(inspect_trace, *options) == {name: ALL[name] for name in buckets.split()}


def test_running_actions_last_until_now(inspect_trace: Run, trace_dir: Path) -> None:
    """What runs in a live process lasts until now, whenever its log was written last."""
    line = action("Model", "generate", "enter", "open")
    write_log(trace_dir / f"trace-{os.getpid()}.log", line)
    running = {"running": ["generate"]}
    assert found(inspect_trace, "--since", "-1m") == running
    assert found(inspect_trace, "--min-duration", "52w") == running
    assert found(inspect_trace, "--until", at(0)) == {}


def test_filtering_leaves_the_end_of_the_log(inspect_trace: Run, log: Path) -> None:
    """What is chosen changes nothing about when the process ended."""
    result = inspect_trace("anomalies", "--json", "--until", at(1), "--event", "enter")
    assert json.loads(result.stdout)["process"]["ended_at"] == STARTED + 11
    (row,) = json.loads(result.stdout)["running"]
    assert row["duration"] == pytest.approx(11)


@pytest.mark.parametrize("command", ["dump", "http", "anomalies"])
@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--since", "soon", "-3h"),
        ("--until", "1795425745", "@1795425745"),
        ("--until", "", "-3h"),
        ("--since", "a\nb", "-3h"),
        ("--min-duration", "-5", "1h30m"),
        ("--min-duration", "long", "1h30m"),
        ("--event", "begin", "enter"),
        ("--level", "", "WARNING"),
        ("--level", "=", "WARNING"),
    ],
)
def test_wrong_values(
    inspect_trace: Run, log: Path, command: str, option: str, value: str, says: str
) -> None:
    """A value that is none of its kind is wrong usage; one line names the option and what fits."""
    result = inspect_trace(command, option, value)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert option in line
    assert says in line


def test_undecodable_text(inspect_trace: Run, log: Path) -> None:
    """Bytes that are no text find nothing, and harm nothing."""
    for option in ("--filter", "--level", "--action", "--sample", "--task"):
        result = inspect_trace("dump", "--jsonl", option, b"\xff\xfe")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
