"""Logs shipped to S3 (moto on loopback) by archivers that are killed, over a failing network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from archive_support import Program, Proxy, archivers_of, end_archivers_of, until
from s3_support import KEYS, serving_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto")

BUCKET = "archive"
URL = f"s3://{BUCKET}/traces"

# The libraries leave sessions to the garbage collector, and call what botocore has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """An S3 server."""
    with serving_s3() as url:
        yield url


def by_log(jsonl: str) -> dict[str, list[dict[str, Any]]]:
    """The records of each log, in their order; the log by what both places call it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in jsonl.splitlines():
        record = json.loads(line)
        name = record.pop("trace_file", "").rpartition("/")[2].partition(".")[0]
        found.setdefault(name, []).append(record)
    return found


class Place:
    """A trace directory, and a bucket that its logs go to."""

    def __init__(self, directory: Path, s3_url: str) -> None:
        self.directory = directory
        self.proxy = Proxy(s3_url)
        self.s3 = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1", **KEYS)
        self.s3.create_bucket(Bucket=BUCKET)
        for key in self.all_keys():
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        ours = ("AWS_", "INSPECT_TRACE_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "INSPECT_TRACE_DIR": str(directory),
            "AWS_ENDPOINT_URL": self.proxy.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    @property
    def archiving(self) -> dict[str, str]:
        """The environment of a program whose logs are archived."""
        return {
            **self.environment,
            "INSPECT_TRACE_ARCHIVE": URL,
            "INSPECT_TRACE_ARCHIVE_INTERVAL_S": "0.2",
        }

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "inspect_trace", *args],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def archive(self, *args: str) -> Any:
        """What `archive --json` says; it has to succeed."""
        done = self.run("archive", "--to", URL, "--json", *args)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def all_keys(self) -> list[str]:
        """All objects."""
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        return [found["Key"] for found in listed]

    def manifests(self) -> list[dict[str, Any]]:
        """What the manifests say."""
        keys = [key for key in self.all_keys() if key.endswith("/manifest.json")]
        read = [self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
        return [json.loads(text) for text in read]

    def finished(self, count: int = 1) -> list[dict[str, Any]]:
        """The manifests, if so many logs are finished."""
        manifests = self.manifests()
        return manifests if sum(each["finished"] for each in manifests) == count else []

    def check_whole(self) -> None:
        """The archive has what the directory has, and nothing was put there twice."""
        here = self.run("dump", "--jsonl", str(self.directory))
        there = self.run("dump", "--jsonl", f"{URL}/")
        assert (there.returncode, there.stderr) == (0, "")
        assert here.stdout != ""
        assert by_log(there.stdout) == by_log(here.stdout)
        created = self.proxy.created()
        assert len(created) == len(set(created))
        pieces = [key for key in self.all_keys() if key.endswith(".gz")]
        assert len(pieces) == len(created)
        assert sum(len(manifest["objects"]) for manifest in self.manifests()) == len(pieces)


@pytest.fixture
def place(tmp_path: Path, s3_url: str) -> Iterator[Place]:
    """An empty one."""
    place = Place(tmp_path / "traces", s3_url)
    yield place
    end_archivers_of(place.directory)
    place.proxy.close()


def traced(place: Place, count: int) -> None:
    """A program that ran."""
    program = Program(place.environment)
    program.trace(count)
    assert program.end()[0] == 0


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


def test_a_program_is_archived_by_itself(place: Place) -> None:
    """With the variable set an archiver that is no child ships the log, and then ends."""
    program = Program(place.archiving)
    program.trace(10)
    until(lambda: [each for each in place.manifests() if each["records"] == 20])
    program.trace(5)
    until(lambda: [each for each in place.manifests() if each["records"] == 30])
    assert len(list(archivers_of(place.directory))) == 1
    assert program.end() == (0, "no child\n", "")
    until(place.finished)
    until(lambda: not list(archivers_of(place.directory)))
    place.check_whole()
    assert place.manifests()[0]["interval"] == 0.2


def test_what_a_killed_program_traced_last_arrives(place: Place) -> None:
    """The last records before a SIGKILL are in the archive soon after."""
    program = Program(place.archiving)
    program.trace(40)
    program.kill()
    (manifest,) = until(place.finished)
    assert manifest["records"] == 80
    place.check_whole()


def test_an_archiver_that_is_killed_is_followed_by_another(place: Place) -> None:
    """What it left is shipped by the archiver of the next program."""
    first = Program(place.archiving)
    first.trace(10)
    until(lambda: [each for each in place.manifests() if each["records"] == 20])
    end_archivers_of(place.directory)
    first.trace(10)
    assert first.end()[0] == 0
    second = Program(place.archiving)
    second.trace(3)
    assert second.end()[0] == 0
    until(lambda: place.finished(2))
    place.check_whole()


def test_a_program_waits_at_its_end_if_asked(place: Place) -> None:
    """With INSPECT_TRACE_ARCHIVE_WAIT_S the log is in the archive when the program has ended."""
    environment = {
        **place.archiving,
        "INSPECT_TRACE_ARCHIVE_INTERVAL_S": "600",
        "INSPECT_TRACE_ARCHIVE_WAIT_S": "50",
    }
    program = Program(environment)
    program.trace(30)
    assert program.end() == (0, "no child\n", "")
    (manifest,) = place.finished()
    assert manifest["records"] == 60


def test_a_store_that_refuses_is_not_felt(place: Place) -> None:
    """The program runs and ends as it would; once the store answers, everything gets there."""
    refused = []

    def refuse(method: str, path: str, when: str) -> bool:
        refused.append(path)
        return True

    place.proxy.fault = refuse
    program = Program(place.archiving)
    program.trace(30)
    until(lambda: refused)
    assert program.end() == (0, "no child\n", "")
    assert place.all_keys() == []
    place.proxy.fault = lambda method, path, when: False
    until(place.finished)
    place.check_whole()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"INSPECT_TRACE_ARCHIVE": "bucket/x"}, "'bucket/x' is no URL"),
        ({"INSPECT_TRACE_ARCHIVE": "ftp://x/y"}, "'ftp://x/y' is of no kind of store"),
        ({"INSPECT_TRACE_ARCHIVE_INTERVAL_S": "often"}, "it has to be a number of seconds"),
    ],
)
def test_a_wrong_setting_is_one_line(place: Place, changes: dict[str, str], reason: str) -> None:
    """The program goes on, and is told once."""
    program = Program({**place.archiving, **changes})
    code, out, errors = program.end()
    assert (code, out) == (0, "no child\n")
    assert errors.count("\n") == 1
    assert reason in errors


def test_one_archiver_takes_care_of_a_directory(place: Place) -> None:
    """Another one says so, and does nothing."""
    program = Program(place.archiving)
    program.trace(1)
    until(place.manifests)
    done = place.run("archive", "--to", URL)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "another archiver takes care of" in done.stderr
    program.end()


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
