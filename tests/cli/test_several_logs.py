"""Several logs at a time: `dump`, `http` and `anomalies` show all of them, and which is which."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import MIXED, action, as_ours, as_theirs, dead_pid, http, record, write_log
from cli.test_terminal import in_terminal
from inspect_trace import _core

if TYPE_CHECKING:
    from cli.conftest import Run


@pytest.fixture
def logs(tmp_path: Path) -> list[str]:
    """A plain log, and two compressed ones, each with other records, larger than a block."""
    paths = [
        write_log(
            tmp_path / f"{name}.log",
            *MIXED,
            *(record(f"{name} {i} {'x' * 400}", number=i) for i in range(count)),
            action("Model", name, "enter", name),
            action("Tool", name, "enter", f"{name}-2"),
            action("Tool", name, "cancel", f"{name}-2", second=at),
            http(f"GET http://{name} 500"),
        )
        for name, count, at in (("plain", 4000, 30), ("ours", 5000, 10), ("theirs", 20, 20))
    ]
    return [str(paths[0]), str(as_ours(paths[1])), str(as_theirs(paths[2]))]


def test_dump_is_all_dumps(inspect_trace: Run, logs: list[str]) -> None:
    """The dump is that of each log, one after the other, with its path as the first field."""
    for options in ([], ["--filter", "7"], ["--action", "Tool"]):
        expected = [
            {"trace_file": log, **fields}
            for log in logs
            for fields in json.loads(inspect_trace("dump", log, *options).stdout)
        ]
        array = inspect_trace("dump", *options, *logs)
        assert (array.returncode, array.stderr) == (0, "")
        assert array.stdout == json.dumps(expected, indent=2) + "\n"
        lines = inspect_trace("dump", "--jsonl", *options, *logs).stdout.splitlines()
        assert [json.loads(line) for line in lines] == expected


def test_http_is_all_requests(inspect_trace: Run, logs: list[str]) -> None:
    """The requests are those of each log; the envelope names all logs, each request its own."""
    expected = [
        {"trace_file": log, **request}
        for log in logs
        for request in json.loads(inspect_trace("http", "--json", log).stdout)["requests"]
    ]
    result = inspect_trace("http", "--json", *logs)
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert list(answer) == ["trace_files", "as_of", "requests"]
    assert answer["trace_files"] == logs
    assert answer["requests"] == expected


def without_duration(rows: list[dict[str, Any]]) -> list[str]:
    """Rows to be compared whatever their order and the time at which they were asked for."""
    return sorted(json.dumps({k: v for k, v in row.items() if k != "duration"}) for row in rows)


def test_anomalies_are_all_anomalies(inspect_trace: Run, logs: list[str]) -> None:
    """Each bucket has the actions of all logs, the latest end first, each with its log."""
    single = {log: json.loads(inspect_trace("anomalies", "--json", log).stdout) for log in logs}
    result = inspect_trace("anomalies", "--json", *logs)
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert answer["trace_files"] == logs
    for bucket in ("running", "cancelled", "errors", "timeouts"):
        expected = [
            {"trace_file": log, **row} for log, one in single.items() for row in one[bucket]
        ]
        assert len(expected) >= 3
        assert without_duration(answer[bucket]) == without_duration(expected)
    assert answer["processes"] == [
        {"trace_file": log, **one["process"]} for log, one in single.items()
    ]
    assert "process" not in answer
    assert "trace_file" not in answer
    assert [row["detail"] for row in answer["cancelled"][:3]] == ["plain", "theirs", "ours"]


def test_directory_is_its_logs(inspect_trace: Run, trace_dir: Path, tmp_path: Path) -> None:
    """A directory stands for the logs in it, the least recently written first; others are none."""
    new = write_log(trace_dir / "trace-11.log", record("new"))
    old = write_log(trace_dir / "trace-13.log", record("old"))
    between = as_theirs(write_log(tmp_path / "x.log", record("between")))
    between = between.rename(trace_dir / "trace-12.log.gz")
    for seconds, path in enumerate((old, between, new)):
        os.utime(path, (1_600_000_000 + seconds,) * 2)
    write_log(trace_dir / "notes.txt", record("no log"))
    os.mkfifo(trace_dir / "trace-14.log")
    for directory in (str(trace_dir), "./" + trace_dir.name):
        result = inspect_trace("dump", "--jsonl", directory, cwd=trace_dir.parent)
        assert (result.returncode, result.stderr) == (0, "")
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert [fields["message"] for fields in found] == ["old", "between", "new"]
        assert [Path(fields["trace_file"]).name for fields in found] == [
            "trace-13.log",
            "trace-12.log.gz",
            "trace-11.log",
        ]
    assert len(json.loads(inspect_trace("dump", str(trace_dir), str(old)).stdout)) == 4


def test_directory_of_one_log_is_that_log(inspect_trace: Run, trace_dir: Path) -> None:
    """A directory with one log in it gives what that log gives."""
    path = write_log(trace_dir / f"trace-{dead_pid()}.log", *MIXED)
    for arguments in (["dump"], ["http"], ["anomalies"]):
        one = inspect_trace(*arguments, str(path))
        assert inspect_trace(*arguments, str(trace_dir)).stdout == one.stdout


def test_missing_file_among_several(inspect_trace: Run, tmp_path: Path) -> None:
    """A name that stands for nothing is told of before anything is read."""
    path = write_log(tmp_path / "a.log", *MIXED)
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "missing.log", tmp_path / "empty"):
        for command in ("dump", "http", "anomalies"):
            result = inspect_trace(command, str(path), str(missing), str(path))
            assert (result.returncode, result.stdout) == (1, "")
            (line,) = result.stderr.splitlines()
            assert missing.name in line


@pytest.mark.parametrize("options", [[], ["--tail", "100"]], ids=["whole", "tail"])
@pytest.mark.parametrize("command", ["dump", "http", "anomalies"])
def test_unreadable_log_among_several(
    inspect_trace: Run, tmp_path: Path, command: str, options: list[str]
) -> None:
    """A log that cannot be read is one line on stderr, the others are shown, and the code is 1."""
    good = [write_log(tmp_path / f"{name}.log", *MIXED) for name in ("a", "b")]
    bad = tmp_path / "bad.log"
    bad.symlink_to("/proc/self/mem")  # a regular file that even root cannot read
    flag = [] if command == "dump" else ["--json"]
    result = inspect_trace(command, *options, *flag, str(good[0]), str(bad), str(good[1]))
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"cannot read {bad}: Input/output error"]
    answer = json.loads(result.stdout)
    rows = {"dump": lambda: answer, "http": lambda: answer["requests"]}.get(
        command, lambda: answer["cancelled"]
    )()
    assert {row["trace_file"] for row in rows} == {str(path) for path in good}


def test_only_one_of_several_is_readable(inspect_trace: Run, tmp_path: Path) -> None:
    """The shape of the answer depends on the logs that were asked for, not on those left."""
    good, bad = write_log(tmp_path / "a.log", *MIXED), tmp_path / "bad.log"
    bad.symlink_to("/proc/self/mem")
    answer = json.loads(inspect_trace("anomalies", "--json", str(good), str(bad)).stdout)
    assert answer["trace_files"] == [str(good)]
    assert [process["trace_file"] for process in answer["processes"]] == [str(good)]
    assert {row["trace_file"] for row in answer["running"]} == {str(good)}
    nothing = inspect_trace("anomalies", "--json", str(bad), str(bad))
    assert nothing.returncode == 1
    assert json.loads(nothing.stdout)["trace_files"] == []


def test_vanished_log_among_several(tmp_path: Path) -> None:
    """A log that is gone when its turn comes is told of, and the next one is read."""
    paths = [str(write_log(tmp_path / f"{name}.log", record(name))) for name in "abc"]
    report = _core.dump_report(paths, jsonl=True)
    Path(paths[1]).unlink()
    output = b"".join(report)
    assert [json.loads(line)["message"] for line in output.splitlines()] == ["a", "c"]
    assert report.failed
    assert report.take_notes() == [f"cannot open {paths[1]}: No such file or directory"]


def test_same_log_twice(inspect_trace: Run, tmp_path: Path) -> None:
    """A log that is named twice is shown twice."""
    path = str(write_log(tmp_path / "a.log", record("one"), "garbage"))
    result = inspect_trace("dump", "--jsonl", path, path)
    assert result.stdout.count('"one"') == 2
    assert result.stderr.splitlines() == ["a.log: skipped 1 line (line 2, byte 86: not JSON)"] * 2


@pytest.mark.parametrize("columns", [None, 100], ids=["pipe", "terminal"])
def test_tables_name_the_log(
    inspect_trace: Run, tmp_path: Path, environment: dict[str, str], columns: int | None
) -> None:
    """In tables the first column is the name of the log, in a pipe and on a terminal."""
    names = [f"trace-{dead_pid()}.log", "b.log"]
    paths = [str(write_log(tmp_path / name, *MIXED)) for name in names]

    def lines(*arguments: str) -> list[str]:
        if columns is None:
            return inspect_trace(*arguments).stdout.splitlines()
        text = in_terminal(
            *arguments, environment=environment, columns=columns, NO_COLOR="1", TERM="xterm"
        )
        return text.splitlines()

    assert [line.split()[0] for line in lines("http", "--failed", *paths)] == names
    heading, *rows = lines("anomalies", *paths)
    assert heading == "TRACE: 2 logs"
    cancelled = [line.split()[:2] for line in rows if "sleep 9" in line]
    assert sorted(cancelled) == sorted([name, "Subprocess"] for name in names)
    assert not any(line.startswith(names[0]) for line in lines("http", paths[0]))


def test_nothing_found_in_several(inspect_trace: Run, tmp_path: Path) -> None:
    """Several logs with nothing to show say so, in the plural."""
    paths = [str(write_log(tmp_path / f"{name}.log", record(name))) for name in "ab"]
    assert inspect_trace("http", *paths).stdout == "No HTTP requests found in trace logs.\n"
    assert "every action in these logs ended well" in (
        inspect_trace("anomalies", "--all", *paths).stdout
    )


def test_following_is_for_one_log(inspect_trace: Run, tmp_path: Path) -> None:
    """`--follow` with several logs is wrong usage."""
    paths = [str(write_log(tmp_path / f"{name}.log", record(name))) for name in "ab"]
    result = inspect_trace("dump", "--jsonl", "-f", *paths)
    assert (result.returncode, result.stdout) == (2, "")
    assert "--follow reads one log" in result.stderr
