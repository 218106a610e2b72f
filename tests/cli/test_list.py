"""`inspect-trace list`."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.logs import MIXED, STARTED, as_ours, as_theirs, dead_pid, record, write_log
from inspect_trace import _core

if TYPE_CHECKING:
    from cli.conftest import Run

CORPUS = Path(__file__).parents[2] / "benches" / "corpus.py"


def test_json_lists_files_newest_first(inspect_trace: Run, trace_dir: Path) -> None:
    """`--json` is an array of `file` and `mtime`, newest first, as in the reference."""
    old = write_log(trace_dir / "trace-1.log", *MIXED)
    new = write_log(trace_dir / "trace-2.log.gz", *MIXED)
    os.utime(old, (1_600_000_000, 1_600_000_000))
    os.utime(new, (1_600_000_001, 1_600_000_001.5))
    result = inspect_trace("list", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    rows = json.loads(result.stdout)
    assert [(row["file"], row["mtime"]) for row in rows] == [
        (str(new), 1_600_000_001.5),
        (str(old), 1_600_000_000.0),
    ]


def test_table_shows_time_and_file(inspect_trace: Run, trace_dir: Path) -> None:
    """The table begins with the local time and the quoted path of each log, as the reference's."""
    pid = dead_pid()
    path = write_log(trace_dir / f"trace-{pid}.log", *MIXED)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    result = inspect_trace("list")
    assert (result.returncode, result.stderr) == (0, "")
    header, row = result.stdout.splitlines()
    heads = ["Time", "Trace File", "State", "PID", "Started", "Duration", "Size", "Command"]
    assert re.split(r" {2,}", header) == heads
    assert re.split(r" {2,}", row) == [
        "14-Nov 22:13:20 UTC",
        shlex.quote(str(path)),
        "ended",
        str(pid),
        "14-Nov 22:13:20 UTC",
        "7.0s",
        "2.4 kB",
        "task t",
    ]


def test_no_logs(inspect_trace: Run, trace_dir: Path) -> None:
    """A missing or empty directory is an empty listing, not a failure, and stays as it was."""
    for make in (False, True):
        if make:
            trace_dir.mkdir(parents=True)
        result = inspect_trace("list", "--json")
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout) == []
        assert inspect_trace("list").returncode == 0
        assert trace_dir.exists() == make


def test_foreign_things_are_not_listed(inspect_trace: Run, trace_dir: Path) -> None:
    """Symlinks, FIFOs, directories and other people's files are passed over."""
    log = write_log(trace_dir / "trace-7.log", *MIXED)
    (trace_dir / "trace-8.log").symlink_to(log)
    os.mkfifo(trace_dir / "trace-9.log")
    (trace_dir / "trace-10.log").mkdir()
    (trace_dir / "notes.txt").write_text("hello")
    result = inspect_trace("list", "--json")
    assert [row["file"] for row in json.loads(result.stdout)] == [str(log)]


def test_trace_dir_variable(inspect_trace: Run, tmp_path: Path) -> None:
    """INSPECT_TRACE_DIR names another directory."""
    path = write_log(tmp_path / "elsewhere" / "trace-3.log", *MIXED)
    result = inspect_trace("list", "--json", env={"INSPECT_TRACE_DIR": str(path.parent)})
    assert [row["file"] for row in json.loads(result.stdout)] == [str(path)]


def test_live_log_is_marked(inspect_trace: Run, trace_dir: Path) -> None:
    """The log of a process that lives says so; that of a dead one does not."""
    write_log(trace_dir / f"trace-{os.getpid()}.log", *MIXED)
    write_log(trace_dir / f"trace-{dead_pid()}.log", *MIXED)
    shown = {" running " in line: line for line in inspect_trace("list").stdout.splitlines()[1:]}
    assert f"trace-{os.getpid()}.log" in shown[True]
    rows = json.loads(inspect_trace("list", "--json").stdout)
    assert {row["pid"] == os.getpid(): row["alive"] for row in rows} == {True: True, False: False}


PROGRAM = """
import logging, sys
from inspect_trace import init_tracing
with init_tracing(level="INFO"):
    logging.getLogger("x").info("hello", extra={"task": "arithmetic"})
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_command_line_is_told(
    inspect_trace: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    """The command line is known while the process runs and afterwards, without secrets."""
    program = tmp_path / "my program.py"
    program.write_text(PROGRAM)
    words = [sys.executable, str(program), "--api-key", "hunter2-hunter2", "a  b"]
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        (live,) = json.loads(inspect_trace("list", "--json").stdout)
        process.communicate("\n")
    (row,) = json.loads(inspect_trace("list", "--json").stdout)
    expected = [*words[:3], "REDACTED", words[4]]
    assert (live["command"], live["alive"], live["ended_at"]) == (expected, True, None)
    assert (row["command"], row["alive"], row["task"]) == (expected, False, "arithmetic")
    assert row["started_at"] <= row["ended_at"] <= row["started_at"] + live["duration_s"] + 60
    assert row["duration_s"] == pytest.approx(row["ended_at"] - row["started_at"])
    line = inspect_trace("list").stdout.splitlines()[1]
    assert line.endswith("  'my program.py' --api-key REDACTED 'a  b'")


def test_command_of_other_tools_is_asked_of_the_system(inspect_trace: Run, trace_dir: Path) -> None:
    """Of a log that is being written, without a note of the command line, the process tells it."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", "--password", "hunter2-hunter2"],
        stdin=subprocess.PIPE,
    ) as process:
        write_log(trace_dir / f"trace-{process.pid}.log", *MIXED)
        (row,) = json.loads(inspect_trace("list", "--json").stdout)
        process.communicate()
    assert row["command"][2:] == ["import sys; sys.stdin.read()", "--password", "REDACTED"]
    (row,) = json.loads(inspect_trace("list", "--json").stdout)
    assert (row["command"], row["task"]) == (None, "t")


def test_ends_are_read_whatever_the_log(inspect_trace: Run, trace_dir: Path) -> None:
    """Start and end are those of the first and the last intact record, in plain and packed logs."""
    long = record("x" * 100_000, second=3)
    logs = {
        "plain": ("not JSON", *MIXED, "{"),
        "long": (record("first"), long, record("last", second=9)),
        "only": (record("first", second=2),),
        "nothing": (),
        "garbage": ("not JSON",),
    }
    for name, lines in logs.items():
        path = write_log(trace_dir / f"{name}.log", *lines)
        as_theirs(path).rename(trace_dir / f"{name}.theirs.log.gz")
        as_ours(path).rename(trace_dir / f"{name}.ours.log.gz")
    for path in trace_dir.glob("*.log*"):
        os.utime(path, (STARTED + 30, STARTED + 30))
    rows = json.loads(inspect_trace("list", "--json").stdout)
    told = {Path(row["file"]).name: row for row in rows if "packing" not in row["file"]}
    ends = {"plain": (0, 7), "long": (0, 9), "only": (2, 2)}
    assert set(told) >= {f"{name}.log" for name in logs}
    for name, (start, end) in ends.items():
        for form in (f"{name}.log", f"{name}.ours.log.gz", f"{name}.theirs.log.gz"):
            assert told[form]["started_at"] == STARTED + start, form
            # The end of a compressed log is not read: its file is dated to it.
            expected = STARTED + (end if form == f"{name}.log" else 30)
            assert told[form]["ended_at"] == expected, form
    for name in ("nothing", "garbage"):
        row = told[f"{name}.log"]
        assert (row["started_at"], row["ended_at"]) == (None, STARTED + 30)
        assert row["duration_s"] is None


def test_long_counts_what_the_commands_show(
    inspect_trace: Run, trace_dir: Path, tmp_path: Path
) -> None:
    """`--long` counts the records that `dump` shows, and the actions that `anomalies` does."""
    corpus = tmp_path / "corpus.log"
    subprocess.run(
        [sys.executable, str(CORPUS), "--bytes", "3MB", "--seed", "5", "-o", str(corpus)],
        check=True,
        capture_output=True,
    )
    trace_dir.mkdir(parents=True)
    data = corpus.read_bytes()
    (trace_dir / "corpus.log").write_bytes(data)
    (trace_dir / "damaged.log").write_bytes(data[:900_000] + b"\0" * 5000 + data[950_000:-100])
    as_ours(corpus).rename(trace_dir / "packed.log.gz")
    (trace_dir / "cut.log.gz").write_bytes(gzip.compress(data)[:-9000])
    write_log(trace_dir / "empty.log")
    result = inspect_trace("list", "--long", "--json")
    assert result.returncode == 0
    assert "damaged.log: skipped" in result.stderr
    rows = json.loads(result.stdout)
    assert len(rows) == 5
    for row in rows:
        shown = json.loads(inspect_trace("anomalies", "--json", row["file"]).stdout)
        records = json.loads(inspect_trace("dump", row["file"]).stdout)
        counts = [len(shown[kind]) for kind in ("running", "errors", "timeouts")]
        assert [row["open"], row["errors"], row["timeouts"]] == counts, row["file"]
        assert row["failed"] == row["errors"] + row["timeouts"]
        assert row["records"] == len(records), row["file"]
        assert row["tasks"] == sorted({r["task"] for r in records if "task" in r}), row["file"]
    table = inspect_trace("list", "--long").stdout.splitlines()
    assert re.split(r" {2,}", table[0])[7:] == ["Records", "Open", "Failed", "Tasks", "Command"]


@pytest.mark.parametrize("others", [0, 2])
def test_long_with_a_log_that_cannot_be_read(
    environment: dict[str, str], trace_dir: Path, others: int
) -> None:
    """A log that cannot be read is listed without counts; stderr and the exit code tell."""
    command = [sys.executable, "-m", "inspect_trace", "list", "--long", "--json"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root can read every file, and there is no setpriv to take that away")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    for number in range(others):
        write_log(trace_dir / f"other-{number}.log", *MIXED)
    write_log(trace_dir / "closed.log", *MIXED).chmod(0)
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "closed.log: Permission denied" in result.stderr
    rows = {Path(row["file"]).name: row["records"] for row in json.loads(result.stdout)}
    assert rows.pop("closed.log") is None
    assert list(rows.values()) == [len(MIXED)] * others


def test_children_are_marked(inspect_trace: Run, trace_dir: Path) -> None:
    """The log of a process that another one of its run started says so before its command."""
    directory = str(trace_dir)
    child = _core.LogWriter.create_in(directory, "run", True, command=["python", "worker.py"])
    child.write_record(logging.makeLogRecord({"msg": "x", "levelname": "INFO", "levelno": 20}))
    child.flush()
    line = inspect_trace("list").stdout.splitlines()[1]
    assert line.endswith("  (child) worker.py")
