"""`inspect-trace list`."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

from cli.logs import MIXED, dead_pid, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run


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
    """The table gives the local time and the quoted path of each log."""
    path = write_log(trace_dir / f"trace-{dead_pid()}.log", *MIXED)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    result = inspect_trace("list")
    assert (result.returncode, result.stderr) == (0, "")
    header, row = result.stdout.splitlines()
    assert header.split() == ["Time", "Trace", "File"]
    assert row.split() == ["14-Nov", "22:13:20", "UTC", shlex.quote(str(path))]


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
    shown = {
        line.endswith("running"): line for line in inspect_trace("list").stdout.splitlines()[1:]
    }
    assert f"trace-{os.getpid()}.log" in shown[True]
    rows = json.loads(inspect_trace("list", "--json").stdout)
    assert {row["pid"] == os.getpid(): row["alive"] for row in rows} == {True: True, False: False}
