"""`inspect-trace tree`, on logs of both packages."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from cli.logs import MIXED, STARTED, action, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

NESTED = (
    action("Eval", "all", "enter", "e"),
    action("Model", "generate", "enter", "m", parent_id="e"),
    action("Model", "generate", "exit", "m", second=1, parent_id="e"),
    action("Tool", "bash", "enter", "t", parent_id="e"),
    action("Subprocess", "sleep 9", "enter", "s", parent_id="t"),
)


def test_actions_stand_in_each_other(inspect_trace: Run, tmp_path: Path) -> None:
    """The text shows what is in what, how long it took, and what has not ended last."""
    log = write_log(tmp_path / "app.log", *NESTED)
    result = inspect_trace("tree", str(log))
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"TRACE: {log}"
    assert [line[23:] for line in lines[2:6]] == [
        "Eval: all",
        "  Model: generate",
        "  Tool: bash",
        "    Subprocess: sleep 9",
    ]
    assert lines[3].split()[0] == "1.0s"
    assert lines[-1] == "3 unfinished; --running shows only what leads to them."


def test_json_of_several_logs(inspect_trace: Run, tmp_path: Path) -> None:
    """Each action says which log it is from, how deep it is, and how it ended."""
    logs = [write_log(tmp_path / "a.log", *NESTED), write_log(tmp_path / "b.log", *MIXED)]
    result = inspect_trace("tree", "--json", *map(str, logs))
    shown = json.loads(result.stdout)
    assert shown["trace_files"] == [str(log) for log in logs]
    of_a = [row for row in shown["actions"] if row["trace_file"] == str(logs[0])]
    assert [(row["depth"], row["trace_id"], row["nested_by"]) for row in of_a] == [
        (0, "e", None),
        (1, "m", "parent_id"),
        (1, "t", "parent_id"),
        (2, "s", "parent_id"),
    ]
    of_b = {row["trace_id"]: row["outcome"] for row in shown["actions"][len(of_a) :]}
    assert of_b["failed"] == "error"
    assert of_b["late"] == "timeout"
    assert of_b["open"] in ("running", "interrupted")


def test_dead_process(inspect_trace: Run, trace_dir: Path) -> None:
    """What a dead process had open is interrupted, and lasted until its last record."""
    log = write_log(trace_dir / "trace-4194304.log", *NESTED)
    os.utime(log, (STARTED, STARTED))
    shown = json.loads(inspect_trace("tree", "--running", "--json").stdout)
    assert [(row["outcome"], row["duration"]) for row in shown["actions"]] == [
        ("interrupted", 0.0)
    ] * 3


def test_filters_keep_the_way(inspect_trace: Run, tmp_path: Path) -> None:
    """A chosen action is shown with what it is in; --limit leaves out finished ones."""
    log = write_log(tmp_path / "app.log", *NESTED)
    shown = json.loads(inspect_trace("tree", "--json", "--action", "subprocess", str(log)).stdout)
    assert [(row["trace_id"], row["chosen"]) for row in shown["actions"]] == [
        ("e", False),
        ("t", False),
        ("s", True),
    ]
    many = write_log(tmp_path / "many.log", *MIXED)
    text = inspect_trace("tree", "--limit", "1", str(many)).stdout
    assert "... and 3 more that ended (--limit)." in text
    assert "Model: generate" in text
    nothing = inspect_trace("tree", "--action", "none", str(many))
    assert "No actions of those chosen in this log." in nothing.stdout
