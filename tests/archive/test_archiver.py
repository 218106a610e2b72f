"""Logs shipped to S3 (moto on loopback) by archivers that are killed, over a failing network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from archive.place import BUCKET, URL, Place, traced
from archive_support import Program
from cli.logs import action, write_log

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("obstore")
pytest.importorskip("boto3")
pytest.importorskip("moto")

# The libraries leave sessions to the garbage collector, and call what botocore has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


NO_PROCESS = 4194304
"""No process has such an id, or one above."""


def test_a_sweep_ships_finished_logs(place: Place) -> None:
    """Each log becomes one object with labels and a manifest, and is not asked for again."""
    traced(place, 3)
    traced(place, 5)
    said = place.archive()
    assert (said["logs"], said["shipped"], said["objects"], said["failed"]) == (2, 2, 2, [])
    place.check_whole()
    first, second = sorted(place.manifests(), key=lambda manifest: manifest["records"])
    assert (first["records"], first["exits"], first["open"], first["tasks"]) == (6, 3, 0, ["t"])
    assert second["records"] == 10
    assert second["finished"]
    assert second["command"][0] == sys.executable
    assert second["log"] == f"trace-{second['pid']}.log"
    (key,) = [key for key in place.all_keys() if key.endswith(f"/trace-{first['pid']}.log.gz")]
    assert key.startswith("traces/2")
    labels = place.s3.head_object(Bucket=BUCKET, Key=key)["Metadata"]
    assert labels["pid"] == str(first["pid"])
    assert labels["end"] == str(first["bytes"])
    assert labels["sha256"] == first["objects"][0]["sha256"]
    requests = len(place.proxy.requests)
    assert place.archive()["objects"] == 0
    assert len(place.proxy.requests) == requests
    (place.directory / ".tmp" / "archive.json").unlink()
    assert place.archive()["objects"] == 0
    place.check_whole()


def test_small_logs_are_shipped_side_by_side(place: Place) -> None:
    """The store is given several at a time: nobody waits for one log to ship the next."""
    logs = 4
    for _ in range(logs):
        traced(place, 3)
    together = threading.Barrier(logs)

    def wait_for_others(method: str, path: str, when: str) -> bool:
        if (method, when) == ("PUT", "before") and ".gz" in path:
            together.wait(60)
        return False

    place.proxy.fault = wait_for_others
    said = place.archive()
    assert (said["shipped"], said["objects"], said["failed"]) == (logs, logs, [])
    place.check_whole()


def test_ctrl_c_ends_a_sweep(place: Place) -> None:
    """What has begun is shipped to its end, and nothing else is; the next sweep ships the rest."""
    place.directory.mkdir()
    for number in range(60):
        ended = (action("Tool", "x", "enter", "a"), action("Tool", "x", "exit", "a"))
        write_log(place.directory / f"trace-{NO_PROCESS + number}.log", *ended)
    command = [sys.executable, "-m", "inspect_trace", "archive", "--to", URL]
    begun = threading.Event()

    def interrupt(method: str, path: str, when: str) -> bool:
        if method == "PUT" and not begun.is_set():
            begun.set()
            archiver.send_signal(signal.SIGINT)
        return False

    place.proxy.fault = interrupt
    with subprocess.Popen(command, env=place.environment, stderr=subprocess.PIPE) as archiver:
        _, errors = archiver.communicate(timeout=60)
    assert (archiver.returncode, errors) == (130, b"")
    assert begun.is_set()
    assert len(place.proxy.created()) < 60
    place.archive()
    assert len(place.finished(60)) == 60
    place.check_whole()


def test_a_live_log_is_shipped_in_pieces(place: Place) -> None:
    """What is new is shipped each time, rotated or not, and the rest once the program has ended."""
    program = Program(place.environment, "20000")
    for count in (100, 3, 200):
        program.trace(count)
        said = place.archive()
        assert (said["shipped"], said["live"]) == (1, 1)
        assert place.manifests()[0]["finished"] is False
        place.check_whole()
    program.trace(1)
    assert program.end()[0] == 0
    assert place.archive()["live"] == 0
    (manifest,) = place.finished()
    assert (manifest["records"], len(manifest["objects"])) == (608, 4)
    place.check_whole()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 7))
def test_an_archiver_is_killed(place: Place, number: int, when: str) -> None:
    """Whatever it is killed at, the next one completes the archive, and puts nothing twice."""
    program = Program(place.environment)
    program.trace(50)
    place.archive()
    program.trace(50)
    traced(place, 7)
    seen: list[str] = []
    dead: list[int] = []

    def kill(method: str, path: str, at: str) -> bool:
        if method == "PUT":
            seen.append(at)
        if seen.count(when) == number and not dead:
            dead.append(archiver.pid)
            os.kill(archiver.pid, signal.SIGKILL)
        return bool(dead)

    place.proxy.fault = kill
    command = [sys.executable, "-m", "inspect_trace", "archive", "--to", URL]
    # The first to know of its id is the proxy.
    hold, release = os.pipe()
    code = "import os, sys; os.read(int(sys.argv[1]), 1); os.execv(sys.argv[2], sys.argv[2:])"
    archiver = subprocess.Popen(
        [sys.executable, "-c", code, str(hold), *command],
        env=place.environment,
        pass_fds=[hold],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(hold)
    os.close(release)
    archiver.wait(60)
    assert archiver.returncode == (-signal.SIGKILL if dead else 0)
    assert bool(dead) == (number <= 4)  # two logs, each with a piece and a manifest
    place.proxy.fault = lambda method, path, at: False
    assert program.end()[0] == 0
    place.archive()
    assert len(place.finished(2)) == 2
    place.check_whole()


def test_answers_that_are_lost_are_no_second_time(place: Place) -> None:
    """A piece whose acknowledgement was lost on the way is found, and not put again."""
    traced(place, 20)
    lost: list[str] = []

    def cut(method: str, path: str, when: str) -> bool:
        is_lost = (method, when) == ("PUT", "after") and path not in lost
        if is_lost:
            lost.append(path)
        return is_lost

    place.proxy.fault = cut
    place.archive()
    assert len(lost) == 2
    assert place.finished()
    place.check_whole()


def test_watching_ends_with_a_last_sweep(place: Place) -> None:
    """A sidecar that is asked to end ships what is there before."""
    program = Program(place.environment)
    program.trace(2)
    watch = subprocess.Popen(
        [
            *(sys.executable, "-m", "inspect_trace", "archive", "--to", URL),
            *("--watch", "--interval", "10m"),
        ],
        env=place.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    assert "shipped 1 of 1 log" in watch.stdout.readline()
    program.trace(2)
    watch.send_signal(signal.SIGTERM)
    out, _ = watch.communicate(timeout=60)
    assert (watch.returncode, out.count("shipped 1 of 1 log")) == (0, 1)
    assert place.manifests()[0]["records"] == 8
    program.end()


def test_an_archiver_goes_on_where_something_is_in_its_way(place: Place) -> None:
    """A file by the name of its FIFO goes, and what is known without asking may be damaged."""
    traced(place, 2)
    hidden = place.directory / ".tmp"
    (hidden / "archive.wake").write_text("no FIFO")
    (hidden / "archive.json").write_text("{")
    done = place.run("archive", "--to", URL, "--watch", "--until-idle")
    assert (done.returncode, done.stderr) == (0, "")
    assert (hidden / "archive.wake").is_fifo()
    place.check_whole()


@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        (("--to", "bucket"), 2, "is no URL"),
        (("--to", "s3://bucket/**"), 2, "is a pattern"),
        ((), 2, "--to"),
        (("--to", URL, "--interval", "5"), 2, "--interval is for --watch"),
        (("--to", URL, "--until-idle"), 2, "--until-idle is for --watch"),
        (("--to", URL, "--watch", "--interval", "soon"), 2, "soon"),
        (("/no/such", "--to", URL), 1, "/no/such"),
    ],
)
def test_wrong_usage_is_told(place: Place, args: tuple[str, ...], code: int, reason: str) -> None:
    """One line says what is wrong."""
    done = place.run("archive", *args)
    assert (done.returncode, done.stdout) == (code, "")
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_failures_are_told(place: Place) -> None:
    """A bucket that is not there is one line for each log, and a failure."""
    traced(place, 1)
    done = place.run("archive", "--to", "s3://no-such-bucket/x")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "trace-" in done.stderr
    assert "there is no such bucket" in done.stderr


def test_a_directory_can_be_the_archive(place: Place, tmp_path: Path) -> None:
    """`file://` is a place like any other."""
    program = Program(place.environment)
    url = f"file://{tmp_path}/kept"
    for _ in range(2):
        program.trace(4)
        done = place.run("archive", str(place.directory), "--to", url)
        assert (done.returncode, done.stderr) == (0, "")
        assert "shipped 1 of 1 log" in done.stdout
    here = place.run("dump", "--jsonl", str(place.directory))
    assert place.run("dump", "--jsonl", f"{url}/").stdout == here.stdout
    program.end()
