"""Rotated logs: their parts are one log to every command."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest

import inspect_trace
from cli.logs import action, dead_pid, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run


@pytest.fixture
def rotated(trace_dir: Path) -> Path:
    """The path of a dead process's log that has two parts; an action goes through all of them."""
    stem = f"trace-{dead_pid()}"
    first = record("one"), action("A", "", "enter", "a"), action("A", "", "enter", "b")
    compress(write_log(trace_dir / f"{stem}.part0001.log", *first))
    write_log(trace_dir / f"{stem}.part0002.log", record("two"))
    last = record("three"), action("A", "", "exit", "a", second=3)
    return write_log(trace_dir / f"{stem}.log", *last)


def compress(part: Path) -> None:
    """Compress a part as anybody may."""
    part.with_name(f"{part.name}.gz").write_bytes(gzip.compress(part.read_bytes()))
    part.unlink()


def test_list_has_one_row(inspect_trace: Run, rotated: Path) -> None:
    """`list` has one row for the log: its own name, the size of all files, the number of parts."""
    os.utime(rotated.with_name(f"{rotated.stem}.part0002.log"), (1_900_000_000, 1_900_000_000))
    (row,) = json.loads(inspect_trace("list", "--json").stdout)
    sizes = [file.stat().st_size for file in rotated.parent.iterdir()]
    assert (row["file"], row["size"], row["parts"]) == (str(rotated), sum(sizes), len(sizes) - 1)
    assert row["mtime"] == 1_900_000_000
    table = inspect_trace("list").stdout
    assert len(table.splitlines()) == 2
    assert str(rotated) in table


@pytest.mark.parametrize("how", ["path", "name", "newest", "directory", "only parts"])
def test_dump_shows_all_parts(inspect_trace: Run, rotated: Path, how: str) -> None:
    """However the log is named, the records of all its files come, in their order."""
    expected = ["one", "two", "three"]
    if how == "only parts":
        rotated.unlink()
        expected.pop()
    file = {"name": [rotated.name], "newest": [], "directory": [str(rotated.parent)]}
    result = inspect_trace("dump", *file.get(how, [str(rotated)]))
    assert (result.returncode, result.stderr) == (0, "")
    rows = json.loads(result.stdout)
    assert [row["message"] for row in rows if "action" not in row] == expected
    assert not any("trace_file" in row for row in rows)


def test_a_part_stands_for_itself(inspect_trace: Run, rotated: Path) -> None:
    """The name of a part, also the one it had before it was compressed, gives that part only."""
    for number, expected in ((1, ["one", "A:  (enter)", "A:  (enter)"]), (2, ["two"])):
        result = inspect_trace("dump", f"{rotated.stem}.part000{number}.log")
        assert [row["message"] for row in json.loads(result.stdout)] == expected


def test_actions_go_through_parts(inspect_trace: Run, rotated: Path) -> None:
    """An action that ends in a later part is no anomaly; one that is open is judged by the log."""
    found = json.loads(inspect_trace("anomalies", "--json").stdout)
    assert found["trace_file"] == str(rotated)
    assert [row["trace_id"] for row in found["running"]] == ["b"]
    assert found["running"][0]["interrupted"]
    assert found["process"]["alive"] is False


def test_tail_and_follow(inspect_trace: Run, rotated: Path) -> None:
    """`--tail` counts through the parts, and so does `--follow` of a log that has ended."""
    for follow in ([], ["--follow"]):
        result = inspect_trace("dump", "--jsonl", "--tail", "3", *follow, str(rotated))
        rows = [json.loads(row) for row in result.stdout.splitlines()]
        assert [row["message"] for row in rows[:2]] == ["two", "three"]
        assert len(rows) == 3


def test_notes_name_the_part(inspect_trace: Run, rotated: Path) -> None:
    """What is skipped is told for the part that it is in, with the line there."""
    with rotated.with_name(f"{rotated.stem}.part0002.log").open("a") as part:
        part.write("no record\n")
    result = inspect_trace("dump")
    assert result.returncode == 0
    assert f"{rotated.stem}.part0002.log: skipped 1 line (line 2, byte " in result.stderr


def test_python_reads_all_parts(rotated: Path) -> None:
    """`scan`, `anomalies`, `follow` and `list_trace_files` take the parts for one log."""
    messages = [r.message for r in inspect_trace.scan(rotated) if r.action is None]
    assert messages == ["one", "two", "three"]
    assert len(list(inspect_trace.scan(rotated, tail=3))) == 3
    assert [row.trace_id for row in inspect_trace.anomalies(rotated).interrupted] == ["b"]
    assert len(list(inspect_trace.follow(rotated))) == 6
    (file,) = inspect_trace.list_trace_files(rotated.parent)
    assert (file.path, file.parts) == (str(rotated), 2)
