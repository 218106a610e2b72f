"""`inspect-trace diff`, on two small runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import action, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

QUICK = [action("Quick", "q", "exit", f"q{at}", duration=0.001) for at in range(10)]
BEFORE = (
    *QUICK,
    action("Model", "generate (m)", "exit", "m", duration=5.0),
    action("Gone", "g", "exit", "g", duration=0.5),
    record("POST https://x/ - 200", level="HTTP"),
)
AFTER = (
    *QUICK,
    action("Model", "generate (m)", "error", "m", duration=9.0, error="no"),
    action("New", "n", "enter", "n"),
    record("POST https://x/ - 200", level="HTTP"),
    record("POST https://x/ - 429", level="HTTP"),
)


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Two logs."""
    logs = [(tmp_path / "a.log", BEFORE), (tmp_path / "b.log", AFTER)]
    return [str(write_log(path, *lines)) for path, lines in logs]


def differences(inspect_trace: Run, *args: str) -> dict[str, Any]:
    """What the command prints as JSON."""
    result = inspect_trace("diff", "--json", *args)
    assert (result.returncode, result.stderr) == (0, "")
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_changes_are_measured_and_sorted(inspect_trace: Run, runs: list[str]) -> None:
    """A change is the share of all actions, time or failures; what is new has no `a`."""
    told = differences(inspect_trace, *runs)
    assert (told["trace_files_a"], told["trace_files_b"]) == ([runs[0]], [runs[1]])
    rows = {row["action"]: row for row in told["actions"]}
    assert list(rows) == ["Model", "Gone", "New", "Quick"]
    # All failures of B; 0.5 of the 9.01 s that B took or 1 of 12 actions; no time, 1 of 12.
    assert [round(row["change"], 4) for row in rows.values()] == [1.0, 0.0833, 0.0833, 0.0]
    assert (rows["Model"]["a"]["errors"], rows["Model"]["b"]["errors"]) == (0, 1)
    assert (rows["Model"]["a"]["max"], rows["Model"]["b"]["max"]) == (5.0, 9.0)
    assert (rows["New"]["a"], rows["New"]["b"]["open"]) == (None, 1)
    assert (rows["Gone"]["a"]["count"], rows["Gone"]["b"]) == (1, None)
    assert told["http"] == [
        {
            "status": status,
            "retry": False,
            "a": {"count": before, "failed": 0},
            "b": {"count": 1, "failed": failed},
        }
        for status, before, failed in ((200, 1, 0), (429, 0, 1))
    ]


def test_the_numbers_are_those_of_stats(inspect_trace: Run, runs: list[str]) -> None:
    """Each side has the numbers that `stats` tells of that log."""
    told = differences(inspect_trace, *runs)
    for side, log in zip("ab", runs, strict=True):
        found = json.loads(inspect_trace("stats", "--json", log).stdout)
        expected = {row.pop("action"): row for row in found["actions"]}
        for row in expected.values():
            del row["over_time"]
        assert {row["action"]: row[side] for row in told["actions"] if row[side]} == expected


def test_a_run_is_the_same_as_itself(inspect_trace: Run, runs: list[str], tmp_path: Path) -> None:
    """Of a log and itself nothing has changed; a directory is a run of all its logs."""
    told = differences(inspect_trace, runs[0], runs[0])
    assert {row["change"] for row in told["actions"]} == {0.0}
    told = differences(inspect_trace, "--by", "model", str(tmp_path), runs[0])
    assert sorted(told["trace_files_a"]) == sorted(runs)
    assert [row["model"] for row in told["actions"]] == ["m"]


def test_the_table_shows_both(inspect_trace: Run, runs: list[str]) -> None:
    """A row has both runs' numbers, or one where they are equal, and says what is new or gone."""
    result = inspect_trace("diff", *runs)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"A: {runs[0]}", f"B: {runs[1]}"]
    assert lines[4].split()[:5] == ["Model", "100.0%", "1", "-", "→"]
    assert "new" in lines[6].split()
    assert "gone" in lines[5].split()
    assert lines[7].split()[:4] == ["Quick", "-", "10", "-"]
    assert lines[-1].split() == ["429", "-", "→", "1"]


def test_what_is_wrong_is_said(inspect_trace: Run, runs: list[str], tmp_path: Path) -> None:
    """A run that is missing is wrong usage; a log that is not there is a failure, in one line."""
    result = inspect_trace("diff", runs[0])
    assert (result.returncode, result.stdout) == (2, "")
    assert "Missing argument 'B'" in result.stderr
    result = inspect_trace("diff", runs[0], str(tmp_path / "none.log"))
    assert (result.returncode, result.stdout) == (1, "")
    assert "none.log" in result.stderr
    torn = tmp_path / "torn.log"
    torn.write_text("no record\n")
    result = inspect_trace("diff", runs[0], str(torn))
    assert result.returncode == 0
    assert result.stderr == "torn.log: skipped 1 line (line 1, byte 0: not JSON)\n"
