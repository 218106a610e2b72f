"""What is in an archive (moto on loopback): listed, verified, and removed, also by halves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from archive.place import BUCKET, URL, Place, traced
from archive_support import Program, until
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


def old_log(place: Place, days: int, *, event: str = "exit", records: int = 1) -> str:
    """Puts a log there whose last record was made so many days ago; gives its name."""
    place.directory.mkdir(exist_ok=True)
    name = f"trace-{NO_PROCESS + days}.log"
    made = datetime.now(timezone.utc) - timedelta(days=days)
    lines = []
    for number in range(records):
        for each in ("enter", event):
            record = json.loads(action("Step", f"{days}", each, f"{days}-{number}", task="old"))
            record["timestamp"] = made.isoformat(timespec="microseconds")
            lines.append(json.dumps(record))
    write_log(place.directory / name, *lines)
    os.utime(place.directory / name, (made.timestamp(), made.timestamp()))
    return name


def listed(place: Place, *options: str) -> list[dict[str, Any]]:
    """What `archive-list --jsonl` says; it has to succeed."""
    done = place.run("archive-list", URL, "--jsonl", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def names(logs: list[dict[str, Any]]) -> list[str]:
    """What the logs are called in their trace directory."""
    return [log["log"] for log in logs]


def pruned(place: Place, *options: str) -> Any:
    """What `archive-prune --json` says; it has to succeed."""
    done = place.run("archive-prune", URL, "--json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def keys_of(place: Place, log: str) -> list[str]:
    """The objects of a log."""
    (manifest,) = [found for found in place.manifests() if found["log"] == log]
    piece = manifest["objects"][0]["name"]
    (directory,) = {key.rpartition("/")[0] for key in place.all_keys() if key.endswith(f"/{piece}")}
    return [key for key in place.all_keys() if key.startswith(f"{directory}/")]


def test_logs_are_listed_by_their_manifests(place: Place) -> None:
    """Each is a line with its manifest and its URL, the newest first, and none is opened."""
    for days in (3, 1, 2):
        old_log(place, days)
    place.archive("--host", "box")
    requests = len(place.proxy.requests)
    logs = listed(place)
    assert names(logs) == [f"trace-{NO_PROCESS + days}.log" for days in (1, 2, 3)]
    assert not [path for _, path, _ in place.proxy.requests[requests:] if ".gz" in path]
    urls = [log.pop("url") for log in logs]
    assert sorted(logs, key=str) == sorted(place.manifests(), key=str)
    for url, log in zip(urls, logs, strict=True):
        there = place.run("dump", "--jsonl", f"{url}/")
        assert len(there.stdout.splitlines()) == log["records"] == 2
    table = place.run("archive-list", URL)
    assert (table.returncode, table.stderr, table.stdout.count("\n")) == (0, "", 4)
    assert table.stdout.splitlines()[1].split()[-2:] == [f"{urls[0]}/", "old"]
    whole = json.loads(place.run("archive-list", URL, "--json").stdout)
    assert [log["url"] for log in whole["logs"]] == urls
    assert [log["status"] for log in whole["logs"]] == ["finished"] * 3


def test_logs_are_chosen_by_their_manifests(place: Place) -> None:
    """By time, machine, task, and whether actions are open or failed."""
    first, second = old_log(place, 5, event="enter"), old_log(place, 3, event="error")
    place.archive("--host", "box")
    for log in (first, second):
        (place.directory / log).unlink()
    third = old_log(place, 1)
    place.archive("--host", "other")
    assert names(listed(place, "--open")) == [first]
    assert names(listed(place, "--failed")) == [second]
    assert names(listed(place, "--host", "other")) == [third]
    assert names(listed(place, "--host", "box", "--host", "other")) == [third, second, first]
    assert names(listed(place, "--since", "-4d")) == [third, second]
    assert names(listed(place, "--until", "-2d", "--since", "-4d")) == [second]
    assert names(listed(place, "--task", "old", "--open")) == [first]
    assert listed(place, "--task", "new") == []
    assert "No logs in s3://archive/traces" in place.run("archive-list", URL, "--host", "x").stdout


def test_who_is_heard_of_is_told(place: Place) -> None:
    """A log that is written is running as long as its archiver keeps its promise, then silent."""
    program = Program(place.environment)
    program.trace(1)
    place.archive()

    def statuses() -> list[str]:
        listing = json.loads(place.run("archive-list", URL, "--json").stdout)
        return [log["status"] for log in listing["logs"]]

    assert statuses() == ["unfinished"]
    watch = [sys.executable, "-m", "inspect_trace", "archive", "--to", URL, "--watch"]
    with subprocess.Popen(
        watch, env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as archiver:
        until(lambda: statuses() == ["running"])
        archiver.kill()
    (key,) = [key for key in place.all_keys() if key.endswith("manifest.json")]
    (manifest,) = place.manifests()
    manifest["shipped_at"] = time.time() - 3600
    place.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(manifest))
    assert statuses() == ["silent"]
    program.end()


def test_logs_of_which_nothing_is_known_are_told(place: Place) -> None:
    """A manifest that is broken is a line and a failure; one that is missing is a line."""
    kept, lost, broken = (old_log(place, days) for days in (1, 2, 3))
    place.archive()
    lost_keys, broken_keys = keys_of(place, lost), keys_of(place, broken)
    place.s3.delete_object(Bucket=BUCKET, Key=lost_keys[0])
    place.s3.put_object(Bucket=BUCKET, Key="traces/page/manifest.json", Body=b"{}")
    done = place.run("archive-list", URL, "--jsonl")
    assert done.returncode == 0
    assert done.stderr.count("there is no manifest.json") == 1
    assert "1 log is not shown" in done.stderr
    place.s3.put_object(Bucket=BUCKET, Key=broken_keys[0], Body=b'{"format": 3}')
    done = place.run("archive-list", URL, "--jsonl")
    assert done.returncode == 1
    assert json.loads(done.stdout)["log"] == kept
    assert "2 logs are not shown" in done.stderr
    assert 'its "format" is 3' in done.stderr
    whole = json.loads(place.run("archive-list", URL, "--json").stdout)
    assert len(whole["unusable"]) == 2


def test_a_sound_archive_is_verified(place: Place) -> None:
    """Of what the archiver made nothing is wrong, be it finished or not."""
    program = Program(place.environment)
    program.trace(5)
    traced(place, 3)
    place.archive()
    for options in ((), ("--checksums",)):
        done = place.run("archive-verify", URL, *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert "2 logs (4 objects" in done.stdout
        assert "no problems" in done.stdout
    program.end()


def test_what_is_wrong_with_an_archive_is_told(place: Place) -> None:
    """An object that is gone, cut, changed or unknown is a line each, and the exit code is 1."""
    gone, cut, changed, more = (old_log(place, days) for days in (1, 2, 3, 4))
    place.archive()
    piece = {log: keys_of(place, log)[-1] for log in (gone, cut, changed, more)}
    body = place.s3.get_object(Bucket=BUCKET, Key=piece[changed])["Body"].read()
    place.s3.delete_object(Bucket=BUCKET, Key=piece[gone])
    place.s3.put_object(Bucket=BUCKET, Key=piece[cut], Body=b"x")
    place.s3.put_object(Bucket=BUCKET, Key=piece[changed], Body=bytes([*body[:-1], body[-1] ^ 1]))
    place.s3.put_object(
        Bucket=BUCKET, Key=piece[more].replace(".log.gz", ".part0002.log.gz"), Body=b"x"
    )

    def lines(*options: str) -> list[str]:
        done = place.run("archive-verify", URL, *options)
        assert (done.returncode, done.stderr) == (1, "")
        return done.stdout.splitlines()

    *wrong, sums = sorted(lines(), key=lambda line: not line.startswith("s3://"))
    assert len(wrong) == 3
    assert "3 problems in 3 logs" in sums
    for log, reason in ((gone, "is missing"), (cut, "has 1 bytes"), (more, "does not know")):
        stem = log.removesuffix(".log")
        assert [line for line in wrong if stem in line and reason in line], wrong
    with_sums = lines("--checksums")
    assert len(with_sums) == 5
    assert [line for line in with_sums if piece[changed] in line and "sha256" in line]
    found = json.loads(place.run("archive-verify", URL, "--checksums", "--json").stdout)
    kinds = sorted(problem["kind"] for problem in found["problems"])
    assert kinds == ["checksum", "missing", "size", "unknown"]


def test_old_logs_go(place: Place) -> None:
    """Whole logs that are older go, a dry run shows them and removes nothing."""
    old_log(place, 1)
    older = [old_log(place, days) for days in (40, 35)]
    place.archive()
    before = place.all_keys()
    gone = [key for log in older for key in keys_of(place, log)]
    planned = pruned(place, "--older-than", "30d", "--dry-run")
    assert place.all_keys() == before
    assert [removal["outcome"] for removal in planned["removals"]] == ["planned"] * 2
    done = pruned(place, "--older-than", "30d")
    assert sorted(set(before) - set(place.all_keys())) == sorted(gone)
    for key in ("freed", "left", "logs", "size"):
        assert done[key] == planned[key]
    assert done["freed"] + done["left"] == done["size"]
    for removal, plan in zip(done["removals"], planned["removals"], strict=True):
        assert removal == {**plan, "outcome": "removed"}
    assert pruned(place, "--older-than", "30d")["removals"] == []


def test_the_oldest_logs_go_until_the_rest_fits(place: Place) -> None:
    """The others stay, and are whole; what is none of ours is not counted, and stays."""
    logs = [old_log(place, days, records=50) for days in (9, 7, 5, 3)]
    place.archive()
    other = "traces/2026/11/notes.txt"
    place.s3.put_object(Bucket=BUCKET, Key=other, Body=bytes(10_000))
    sizes = [
        log["size"] for log in json.loads(place.run("archive-list", URL, "--json").stdout)["logs"]
    ]
    done = place.run("archive-prune", URL, "--max-bytes", str(sizes[0] + sizes[1]))
    assert (done.returncode, done.stderr) == (0, "")
    assert "removed 2 of 4 logs" in done.stdout
    assert names(listed(place)) == [logs[3], logs[2]]
    assert other in place.all_keys()
    assert place.run("archive-verify", URL, "--checksums").returncode == 0


def test_what_is_not_finished_stays(place: Place) -> None:
    """A log that is written stays; that the limit does not hold then is told."""
    program = Program(place.environment)
    program.trace(5)
    place.archive()
    before = place.all_keys()
    done = place.run("archive-prune", URL, "--max-bytes", "1", "--older-than", "1h")
    assert done.returncode == 0
    assert "nothing to remove of 1 log" in done.stdout
    assert "more than the limit are left" in done.stderr
    assert place.all_keys() == before
    (manifest,) = place.manifests()
    assert program.end()[0] == 0
    # Its archiver was never heard of again.
    (key,) = [key for key in place.all_keys() if key.endswith("manifest.json")]
    for moment in ("shipped_at", "last_record_at"):
        manifest[moment] -= 7200
    place.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(manifest))
    assert len(pruned(place, "--older-than", "1h")["removals"]) == 1
    assert place.all_keys() == []


def test_a_removal_that_was_interrupted_is_completed(place: Place) -> None:
    """Killed between the pieces and the manifest, the next one removes what is left of the log."""
    old, new = old_log(place, 40, records=50), old_log(place, 1, records=50)
    place.archive()
    before = keys_of(place, old)
    removals: list[str] = []

    def kill(method: str, path: str, when: str) -> bool:
        if method == "POST" and "delete" in path and when == "before":
            removals.append(path)
        if len(removals) == 2:
            process.kill()
        return len(removals) == 2

    place.proxy.fault = kill
    command = [sys.executable, "-m", "inspect_trace", "archive-prune", URL, "--older-than", "30d"]
    process = subprocess.Popen(command, env=place.environment)
    assert process.wait(60) == -signal.SIGKILL
    place.proxy.fault = lambda method, path, when: False
    assert [key for key in before if key in place.all_keys()] == [before[0]]
    assert before[0].endswith("/manifest.json")
    assert place.run("archive-verify", URL).returncode == 1
    # The limit holds already.
    done = pruned(place, "--max-bytes", "1GB")
    assert [(removal["why"], removal["outcome"]) for removal in done["removals"]] == [
        ("rest", "removed")
    ]
    assert names(listed(place)) == [new]


def test_a_log_that_has_grown_meanwhile_stays(place: Place) -> None:
    """What is to go is looked at once more right before."""
    log = old_log(place, 40)
    place.archive()
    before = keys_of(place, log)
    (manifest,) = place.manifests()
    manifest |= {"finished": False, "interval": 60.0, "shipped_at": time.time()}
    asked: list[str] = []

    def grow(method: str, path: str, when: str) -> bool:
        if (method, when) == ("GET", "before") and path.endswith("/manifest.json"):
            asked.append(path)
            if len(asked) == 2:
                place.s3.put_object(Bucket=BUCKET, Key=before[0], Body=json.dumps(manifest))
        return False

    place.proxy.fault = grow
    done = place.run("archive-prune", URL, "--older-than", "30d")
    assert done.returncode == 0
    assert "removed 0 of 1 log" in done.stdout
    assert "stays: something has come to it meanwhile" in done.stderr
    assert place.all_keys() == before


def test_a_directory_is_pruned(place: Place, tmp_path: Path) -> None:
    """Of `file://` the directories of logs that are gone go, too."""
    for days in (40, 1):
        old_log(place, days)
    kept = tmp_path / "kept"
    url = f"file://{kept}"
    assert place.run("archive", str(place.directory), "--to", url).returncode == 0
    assert place.run("archive-verify", url, "--checksums").returncode == 0
    done = place.run("archive-prune", url, "--older-than", "30d")
    assert (done.returncode, done.stderr) == (0, "")
    (manifest,) = kept.rglob("manifest.json")
    directories = {path for path in kept.rglob("*") if path.is_dir()}
    assert directories == set(manifest.parents) & directories
    logs = place.run("archive-list", url, "--jsonl").stdout.splitlines()
    assert [json.loads(line)["url"] for line in logs] == [f"file://{manifest.parent}"]


@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        (("archive-list",), 2, "URL"),
        (("archive-list", "bucket"), 2, "is no URL"),
        (("archive-list", URL, "--since", "soon"), 2, "soon"),
        (("archive-list", URL, "--json", "--jsonl"), 2, "do not go together"),
        (("archive-list", "s3://no-such-bucket/x"), 1, "there is no such bucket"),
        (("archive-list", "file:///no/such"), 1, "there is no such directory"),
        (("archive-verify", "file:///no/such"), 1, "there is no such directory"),
        (("archive-prune", URL), 2, "--older-than AGE, --max-bytes SIZE"),
        (("archive-prune", URL, "--dry-run"), 2, "--older-than AGE, --max-bytes SIZE"),
        (("archive-prune", URL, "--max-bytes", "much"), 2, "'much' is not a size"),
        (("archive-prune", URL, "--older-than", "long"), 2, "'long' is not a duration"),
        (("archive-prune", "file:///no/such", "--max-bytes", "1"), 1, "no such directory"),
    ],
)
def test_wrong_usage_is_told(place: Place, args: tuple[str, ...], code: int, reason: str) -> None:
    """One line says what is wrong."""
    done = place.run(*args)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert reason in done.stderr
