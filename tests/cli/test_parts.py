"""`--tail` and `--limit`: the last and the first records, as if cut out of the full output."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

import inspect_trace as library
from cli.logs import MIXED, action, as_ours, as_theirs, http, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

COUNT = 9000
FORMS = ("plain", "ours", "theirs")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One damaged log of some megabytes in its three forms; its last line is torn."""
    lines = [record(f"number {i} {'x' * (i % 700)}", number=i, level="INFO") for i in range(COUNT)]
    for i in range(0, COUNT, 50):
        lines[i] = "garbage" if i % 100 else http(f'GET http://h/{i} "HTTP/1.1 {200 + i % 400} x"')
    lines[COUNT // 2] = record("y" * 700_000)  # longer than what is read at a time
    path = write_log(tmp_path_factory.mktemp("parts") / "parts.log", *lines)
    with path.open("a") as log:
        log.write('{"timestamp": "torn')
    return {"plain": path, "ours": as_ours(path), "theirs": as_theirs(path)}


def in_log(log: Path) -> list[dict[str, Any]]:
    """The records of the log in its plain form, by the standard library."""
    lines = log.with_name("parts.log").read_text().splitlines()
    return [json.loads(line) for line in lines[:-1] if line != "garbage"]


@pytest.mark.parametrize("form", FORMS)
def test_slices_of_all_records(logs: dict[str, Path], form: str) -> None:
    """`tail` and `limit` cut what the filter leaves, whatever the log is."""
    everything = in_log(logs[form])
    for text in (None, "number", "777", "no such text"):
        wanted = [r["message"] for r in everything if text is None or text in r["message"]]
        for tail in (0, 1, 2, 500, COUNT // 2 + 100, 10**6, None):
            found = [r.message for r in library.scan(logs[form], filter=text, tail=tail)]
            assert found == (wanted if tail is None else wanted[max(len(wanted) - tail, 0) :])
            for limit in (0, 1, 499, 10**6):
                some = library.scan(logs[form], filter=text, tail=tail, limit=limit)
                assert [r.message for r in some] == found[:limit]


@pytest.mark.parametrize("form", FORMS)
def test_commands(inspect_trace: Run, logs: dict[str, Path], form: str) -> None:
    """`dump` and `http` cut what they print, as arrays, lines and tables."""
    log = str(logs[form])
    records = json.loads(inspect_trace("dump", log).stdout)
    requests = json.loads(inspect_trace("http", "--json", log).stdout)["requests"]
    table = inspect_trace("http", "--failed", log).stdout.splitlines()
    assert len(records) > len(requests) > len(table) > 10
    for tail, limit in ((0, 5), (1, None), (700, 3), (None, 0), (None, 650), (10**6, 10**6)):
        options = [] if tail is None else ["--tail", str(tail)]
        options += [] if limit is None else ["--limit", str(limit)]

        def cut(rows: list[Any], tail: int | None = tail, limit: int | None = limit) -> list[Any]:
            return rows[max(len(rows) - tail, 0) if tail is not None else 0 :][:limit]

        array = inspect_trace("dump", *options, log)
        assert array.returncode == 0
        assert json.loads(array.stdout) == cut(records)
        lines = inspect_trace("dump", "--jsonl", *options, log).stdout.splitlines()
        assert [json.loads(line) for line in lines] == cut(records)
        some = json.loads(inspect_trace("http", "--json", *options, log).stdout)["requests"]
        assert some == cut(requests)
        rows = inspect_trace("http", "--failed", *options, log).stdout.splitlines()
        assert rows == (cut(table) or ["No failed HTTP requests found in trace log."])


def test_several_logs(inspect_trace: Run, tmp_path: Path) -> None:
    """`--tail` counts in each log, `--limit` in all of them."""
    paths = [
        str(write_log(tmp_path / f"{name}.log", *(record(f"{name}{i}") for i in range(5))))
        for name in "ab"
    ]

    def messages(*options: str) -> list[str]:
        lines = inspect_trace("dump", "--jsonl", *options, *paths).stdout.splitlines()
        return [json.loads(line)["message"] for line in lines]

    assert messages("--tail", "2") == ["a3", "a4", "b3", "b4"]
    assert messages("--tail", "2", "--limit", "3") == ["a3", "a4", "b3"]
    assert messages("--limit", "6") == ["a0", "a1", "a2", "a3", "a4", "b0"]


def test_anomalies(inspect_trace: Run, tmp_path: Path) -> None:
    """`anomalies --tail` knows only the last records; `--limit` cuts each sort of action."""
    path = write_log(
        tmp_path / "a.log",
        action("Tool", "early", "cancel", "1", second=1),
        action("Tool", "open", "enter", "2"),
        action("Tool", "late", "cancel", "3", second=2),
    )

    def details(bucket: str, *options: str) -> list[str]:
        answer = json.loads(inspect_trace("anomalies", "--json", *options, str(path)).stdout)
        return [row["detail"] for row in answer[bucket]]

    assert details("cancelled", "--tail", "2") == ["late"]
    assert details("running", "--tail", "2") == ["open"]
    assert details("running", "--tail", "1") == []
    assert details("cancelled", "--limit", "1") == ["late"]
    assert details("running", "--limit", "1") == ["open"]
    assert [a.detail for a in library.anomalies(path, tail=2).cancelled] == ["late"]


def test_only_the_end_of_a_large_log_is_read(inspect_trace: Run, tmp_path: Path) -> None:
    """The last records of five gigabytes are there at once: the hole before them is not read."""
    path = tmp_path / "large.log"
    with path.open("wb") as log:
        log.truncate(5 << 30)
        log.seek(0, os.SEEK_END)
        log.write(f"\n{record('first')}\n{record('last')}\n".encode())
    before = library.scan(path, tail=2)
    assert [r.message for r in before] == ["first", "last"]
    result = inspect_trace("dump", "--jsonl", "--tail", "1", str(path), timeout=10)
    assert [json.loads(line)["message"] for line in result.stdout.splitlines()] == ["last"]
    assert result.stderr == "", "nothing before it was looked at"


def test_no_tail_of_a_pipe(inspect_trace: Run, tmp_path: Path) -> None:
    """The last records of a pipe are refused, in one line."""
    for command in ("dump", "http", "anomalies"):
        result = inspect_trace(command, "--tail", "2", "-", stdin=None, input=f"{MIXED[0]}\n")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == (
            "python -m inspect_trace: cannot look for the last records of /dev/stdin: it is a pipe:"
            " give a file\n"
        )
    write_log(tmp_path / "a.log", record("from a file"))
    with (tmp_path / "a.log").open() as log:
        assert "from a file" in inspect_trace("dump", "--tail", "2", "-", stdin=log).stdout
