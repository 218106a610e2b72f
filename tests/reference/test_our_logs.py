"""Logs which we write, live and closed, as the reference's own commands read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from conftest import DEADLINE_S
from inspect_trace import _core
from reference.conftest import HERE, Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reference.their_command import TheirCommand

BUCKETS = ["running", "cancelled", "errors", "timeouts"]
ENDED = {
    "cancelled": [("Bad", "ends in KeyboardInterrupt")],
    "errors": [("Bad", "ends in ValueError")],
    "timeouts": [("Bad", "ends in TimeoutError")],
}
OPEN = [("Inner", "for stdin"), ("Outer", "waits")]


@pytest.fixture
def home(tmp_path: Path, their_command: TheirCommand) -> Home:
    """A data directory without any trace."""
    return Home(tmp_path, their_command)


@pytest.fixture
def program(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A traced program which hangs in two actions."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "traced_program.py")],
        env=home.environment,
        cwd=home.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        yield process
        process.kill()


def theirs(home: Home, *arguments: str) -> Any:
    """The JSON which the reference's command prints, without a word on stderr."""
    result = home.theirs(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def check(home: Home, log: Path, running: list[tuple[str, str]]) -> None:
    """Every command of the reference reads the log, and rightly."""
    assert str(log) in [row["file"] for row in theirs(home, "list", "--json")]

    dumped = theirs(home, "dump", log.name)
    ours = json.loads(home.ours("dump", log.name).stdout)
    assert len(dumped) == len(ours) == 14 + (0 if running else 2)
    assert [record["message"] for record in dumped] == [record["message"] for record in ours]
    assert all(record["event"] in ("enter", "exit") for record in dumped if "start_time" in record)

    requests = theirs(home, "http", log.name, "--json")["requests"]
    assert [row["message"] for row in requests] == [
        'GET http://h/ "HTTP/1.1 200 OK" ',
        "POST http://h/ - 503",
    ]
    (failed,) = theirs(home, "http", log.name, "--json", "--failed")["requests"]
    assert failed["message"] == "POST http://h/ - 503"

    answer = theirs(home, "anomalies", log.name, "--json")
    found = {name: [(row["action"], row["detail"]) for row in answer[name]] for name in BUCKETS}
    assert found == {"running": running, **ENDED}
    assert answer["errors"][0]["error"] == "no such thing"
    assert all(row["start_time"] is not None for name in BUCKETS for row in answer[name])

    table = home.theirs("anomalies", log.name, "--all")
    assert table.returncode == 0
    assert ("Running Actions" in table.stdout) == bool(running)
    assert "Timeout Actions" in table.stdout


def test_live_killed_and_compressed(home: Home, program: subprocess.Popen[str]) -> None:
    """The reference reads the log while its program hangs, after it is killed, and compressed."""
    log = home.traces / f"trace-{program.pid}.log"
    assert home.theirs("list").stdout.count(".log") == 1
    deadline_s = time.monotonic() + DEADLINE_S
    while log.read_bytes().count(b"\n") < 14:  # other readers see a record a moment later
        assert time.monotonic() < deadline_s
    check(home, log, OPEN)
    program.kill()
    program.wait()
    check(home, log, OPEN)
    (home.traces / "trace-1.log").write_text("")  # a newer one: the most recent stays plain
    report = _core.housekeep(str(home.traces), 10)
    assert report.compressed == 1
    check(home, log.with_name(log.name + ".gz"), OPEN)


def test_told_where_it_waits(home: Home) -> None:
    """The reference finds the same open actions whether the log was told where they wait or not."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "traced_program.py")],
        env=home.environment | {"INSPECT_TRACE_STALL_S": "0.05"},
        cwd=home.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as program:
        log = home.traces / f"trace-{program.pid}.log"
        deadline_s = time.monotonic() + DEADLINE_S
        while not log.exists() or log.read_bytes().count(b'"stall"') < 4:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)  # another process writes it, and nothing tells when
        program.kill()
    answer = theirs(home, "anomalies", log.name, "--json")
    found = {name: [(row["action"], row["detail"]) for row in answer[name]] for name in BUCKETS}
    assert found == {"running": OPEN, **ENDED}
    messages = [record["message"] for record in theirs(home, "dump", log.name)]
    told = [message for message in messages if message.startswith("[inspect-trace] Outer: open")]
    assert told
    assert told[0].endswith(" s, in main")
    ours = json.loads(home.ours("anomalies", log.name, "--json").stdout)["running"]
    assert [row["stack"][-1]["function"] for row in ours] == ["main", "main"]


def test_closed(home: Home, program: subprocess.Popen[str]) -> None:
    """The reference reads the log of a program which ended well, as the newest one there is."""
    program.communicate("")
    assert program.returncode == 0
    check(home, home.traces / f"trace-{program.pid}.log", [])
    assert theirs(home, "anomalies", "--json")["running"] == []


def test_large_and_compressed(home: Home) -> None:
    """The reference reads all of a log that is compressed in several parts."""
    home.traces.mkdir(parents=True)
    log = home.traces / "trace-2.log"
    record = {"timestamp": "2026-01-01T00:00:00+00:00", "level": "TRACE", "message": "m"}
    with log.open("w") as file:
        for number in range(15_000):
            file.write(json.dumps({**record, "message": f"record {number}"}) + "\n")
    os.utime(log, (1, 1))
    (home.traces / "trace-1.log").write_text("")
    assert log.stat().st_size > 2**20
    assert _core.housekeep(str(home.traces), 10).compressed == 1
    dumped = theirs(home, "dump", log.name + ".gz")
    assert [row["message"] for row in dumped] == [f"record {number}" for number in range(15_000)]
