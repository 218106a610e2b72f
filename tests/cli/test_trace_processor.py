"""`export --to perfetto` as Perfetto's own trace processor reads it.

Its package on PyPI fetches the program from elsewhere when it is first used, so this runs where
there is one: `INSPECT_TRACE_TEST_TRACE_PROCESSOR` is its path.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import corpus
from cli.logs import STARTED, action, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

PROGRAM = os.environ.get("INSPECT_TRACE_TEST_TRACE_PROCESSOR", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="no trace processor is named")

SLICES = """
select s.category, s.ts, s.dur, p.name as outer,
  extract_arg(s.arg_set_id, 'args.trace_id') as trace_id,
  extract_arg(s.arg_set_id, 'args.unfinished') as unfinished,
  hex(extract_arg(s.arg_set_id, 'args.detail')) as detail,
  printf('%.10f', extract_arg(s.arg_set_id, 'args.duration_s')) as duration_s
from slice s left join slice p on s.parent_id = p.id
"""
ERRORS = "select name, value from stats where value > 0 and severity in ('error', 'data_loss')"


def asked(trace: Path, sql: str) -> list[dict[str, str]]:
    """The rows that the trace processor answers with."""
    query = trace.with_suffix(".sql")
    query.write_text(sql)
    done = subprocess.run(
        [PROGRAM, "-q", str(query), str(trace)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(done.stdout.splitlines()))


def exported(inspect_trace: Run, log: Path) -> Path:
    """The trace of a log, which the trace processor reads without a complaint."""
    trace = log.with_suffix(".json")
    done = inspect_trace("export", "--to", "perfetto", "-o", str(trace), str(log))
    assert done.returncode == 0, done.stderr
    assert asked(trace, ERRORS) == []
    return trace


def test_each_action_is_a_slice(inspect_trace: Run, tmp_path: Path) -> None:
    """Of a busy evaluation with all kinds of text, all actions are there as they are in the log."""
    log = tmp_path / "corpus.log"
    corpus.make_corpus(log, 20_000_000, 1)
    slices = {row["trace_id"]: row for row in asked(exported(inspect_trace, log), SLICES)}
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    entered = {each["trace_id"]: each for each in records if each.get("event") == "enter"}
    ended = {
        each["trace_id"]: each
        for each in records
        if each.get("event") in ("exit", "cancel", "error", "timeout")
    }
    assert slices.keys() == entered.keys()
    assert any(ord(max(each["detail"])) > 0xFFFF for each in entered.values())
    kinds = Counter(each["action"] for each in entered.values())
    assert Counter(row["category"] for row in slices.values()) == kinds
    for trace_id, row in slices.items():
        assert bytes.fromhex(row["detail"]).decode() == entered[trace_id]["detail"]
        assert abs(int(row["ts"]) - entered[trace_id]["start_time"] * 1e9) < 20_000
        assert (row["unfinished"] != "0") == (trace_id not in ended)
        if trace_id in ended:
            duration_s = ended[trace_id]["duration"]
            assert abs(float(row["duration_s"]) - duration_s) < 1e-9
            assert abs(int(row["dur"]) - duration_s * 1e9) < 20_000


def test_what_is_in_what(inspect_trace: Run, tmp_path: Path) -> None:
    """An action lies in the one that encloses it, also where both begin at once, or end."""
    steps = [
        *(("enter", "a", 0), ("enter", "b", 0), ("enter", "c", 0), ("exit", "c", 0)),
        *(("exit", "b", 2), ("enter", "d", 2), ("exit", "d", 2), ("exit", "a", 2)),
    ]
    around = {"b": "a", "c": "b", "d": "a"}
    lines = []
    for event, name, second in steps:
        fields: dict[str, Any] = {"second": second, "parent_id": around.get(name)}
        if event == "enter":
            fields["start_time"] = STARTED + second
        lines.append(action("Step", name, event, name, **fields))
    rows = asked(exported(inspect_trace, write_log(tmp_path / "x.log", *lines)), SLICES)
    nested = {row["trace_id"]: row["outer"].removeprefix("Step: ") for row in rows}
    assert nested == {"a": "[NULL]", "b": "a", "c": "b", "d": "a"}
    (first,) = (row for row in rows if row["trace_id"] == "a")
    assert int(first["ts"]) == round(STARTED * 1e6) * 1000
