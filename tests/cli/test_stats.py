"""`inspect-trace stats`, as people and programs see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.logs import action, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

LINES = (
    action("Model", "generate (openai/gpt)", "enter", "m", sample_id="s-1"),
    action("Model", "generate (openai/gpt)", "exit", "m", second=4, sample_id="s-1"),
    action("Tool", "bash", "enter", "t", task="math"),
    action("Tool", "bash", "error", "t", second=2, task="math", error="no"),
    action("Tool", "sleep", "enter", "open"),
    record('POST https://x/ "HTTP/1.1 429 Too Many Requests" ', level="HTTP"),
    record("openai/gpt connection retry 1 (retrying in 3 seconds)", level="HTTP"),
)
KEYS = ["action", "count", "open", "exits", "errors", "timeouts", "cancels", "error_rate"]
KEYS += ["total", "mean", "p50", "p90", "p99", "max", "over_time"]


def test_json_has_the_documented_keys(inspect_trace: Run, tmp_path: Path) -> None:
    """The object says what was counted, of which logs, and how exact it is."""
    log = write_log(tmp_path / "app.log", *LINES)
    result = inspect_trace("stats", "--json", str(log))
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert list(told) == [
        *("trace_files", "as_of", "by", "quantile_error", "since", "until"),
        *("actions", "others", "http", "slowest"),
    ]
    assert told["trace_files"] == [str(log)]
    assert [list(row) for row in told["actions"]] == [KEYS, KEYS]
    model, tool = told["actions"]
    assert (model["action"], model["exits"], model["total"], model["max"]) == ("Model", 1, 4, 4)
    assert (tool["count"], tool["open"], tool["errors"], tool["error_rate"]) == (2, 1, 1, 1)
    assert told["http"] == [
        {"status": None, "retry": True, "count": 1, "failed": 1},
        {"status": 429, "retry": False, "count": 1, "failed": 1},
    ]


def test_groups_have_the_name_of_what_they_are_by(inspect_trace: Run, tmp_path: Path) -> None:
    """With --by the first key of a row says what the group has in common."""
    log = write_log(tmp_path / "app.log", *LINES)
    found = {}
    for by in ("task", "sample", "detail", "model", "host"):
        told = json.loads(inspect_trace("stats", "--json", "--by", by, str(log)).stdout)
        assert all(next(iter(row)) == by for row in told["actions"])
        found[by] = [row[by] for row in told["actions"]]
    assert found == {
        "task": [None, "math"],
        "sample": ["s-1", None],
        "detail": ["generate (openai/gpt)", "bash", "sleep"],
        "model": ["openai/gpt"],
        "host": [None],
    }


def test_tables_say_what_there_is_and_where_to_look(inspect_trace: Run, tmp_path: Path) -> None:
    """The tables have a row for each group, the requests, the slowest, and what to do next."""
    log = write_log(tmp_path / "app.log", *LINES)
    result = inspect_trace("stats", "--slowest", "1", str(log))
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"TRACE: {log}"
    assert lines[3].split()[:4] == ["Model", "1", "-", "-"]
    assert lines[4].split()[:4] == ["Tool", "2", "1", "100.0%"]
    assert "1 open: inspect-trace anomalies shows them." in lines
    assert "inspect-trace http --failed shows those that failed." in lines
    assert [line.split() for line in lines if line.startswith(("429", "retries"))] == [
        ["429", "1", "1"],
        ["retries", "1"],
    ]
    offset = sum(len(line) + 1 for line in LINES[:1])
    assert lines[-2].split() == ["4.0s", "Model", "generate", "(openai/gpt)"]
    assert lines[-1].strip() == f"sample s-1, ended at byte {offset}"


def test_limits_and_filters(inspect_trace: Run, tmp_path: Path) -> None:
    """--limit says how many groups are left out; a filter that nothing passes is no failure."""
    log = write_log(tmp_path / "app.log", *LINES)
    result = inspect_trace("stats", "--limit", "1", str(log))
    assert "... and 1 more (--limit)" in result.stdout
    result = inspect_trace("stats", "--action", "None", str(log))
    assert (result.returncode, result.stdout) == (0, f"TRACE: {log}\n\nNo actions.\n")
    result = inspect_trace("stats", "--by", "nothing", str(log))
    assert (result.returncode, result.stdout) == (2, "")
    assert "Invalid value for '--by'" in result.stderr
