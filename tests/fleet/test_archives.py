"""Logs in an archive: where they are from, who is silent, and what need not be opened."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import STARTED, action
from inspect_trace import fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytest.importorskip("obstore")

ENDS_WELL = (action("Tool", "x", "enter", "a"), action("Tool", "x", "exit", "a", second=3))
HANGS = (*ENDS_WELL, action("Model", "generate", "enter", "b", second=4))
FAILS = (action("Tool", "y", "enter", "c"), action("Tool", "y", "error", "c", second=5))


class Archive:
    """An archive in a directory, as an archiver would have left it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"file://{directory}/"

    def add(
        self,
        host: str,
        pid: int,
        lines: Sequence[str],
        *,
        finished: bool = True,
        interval: float | None = 60,
        shipped_at: float = STARTED + 60,
    ) -> Path:
        """Ships a log; gives the directory that it is in."""
        name = f"trace-{pid}.log"
        place = self.directory / "2023/11/14" / host / f"221320-{pid}-run{pid}"
        place.mkdir(parents=True)
        plain = "".join(f"{line}\n" for line in lines).encode()
        packed = gzip.compress(plain)
        key = f"{name}.gz" if finished else f"trace-{pid}.part0001.log.gz"
        (place / key).write_bytes(packed)
        records = [json.loads(line) for line in lines]
        events = [record.get("event") for record in records]
        ended = {record["trace_id"] for record in records if record["event"] != "enter"}
        begun = {record["trace_id"] for record in records}
        manifest = {
            "format": "inspect-trace-archive/1",
            "host": host,
            "pid": pid,
            "run": f"run{pid}",
            "is_child": False,
            "command": ["python", "a.py"],
            "tasks": [],
            "versions": {"inspect_trace": "0.1.0"},
            "log": name,
            "started_at": STARTED,
            "last_record_at": STARTED + 5,
            "finished": finished,
            "shipped_at": shipped_at,
            "interval": interval,
            "records": len(records),
            "open": len(begun - ended),
            "exits": events.count("exit"),
            "errors": events.count("error"),
            "timeouts": events.count("timeout"),
            "cancels": events.count("cancel"),
            "bytes": len(plain),
            "objects": [
                {
                    "name": key,
                    "size_bytes": len(packed),
                    "start": 0,
                    "end": len(plain),
                    "sha256": hashlib.sha256(packed).hexdigest(),
                }
            ],
        }
        (place / "manifest.json").write_text(json.dumps(manifest))
        return place

    def manifests(self) -> Iterator[dict[str, Any]]:
        """The manifest of each log, with its URL."""
        for path in sorted(self.directory.rglob("manifest.json")):
            yield {"url": f"file://{path.parent}", **json.loads(path.read_text())}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """One with nothing in it."""
    return Archive(tmp_path / "archive")


def run(*args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The command, which exits so."""
    done = subprocess.run(
        [sys.executable, "-m", "inspect_trace", *args],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "", "TZ": "UTC"},
    )
    assert done.returncode == code, done.stderr
    return done


def test_silence_is_told(archive: Archive) -> None:
    """Who ships still is running, who is silent for too long was interrupted and seen last then."""
    now = time.time()
    archive.add("alive", 11, HANGS, finished=False, shipped_at=now)
    archive.add("silent", 12, HANGS, finished=False, shipped_at=STARTED + 77)
    archive.add("done", 13, HANGS, finished=True)
    archive.add("swept", 14, HANGS, finished=False, interval=None)
    found = json.loads(run("anomalies", "--json", archive.url).stdout)
    interrupted = {row["host"]: row["interrupted"] for row in found["running"]}
    assert interrupted == {"alive": False, "silent": True, "done": True, "swept": False}
    assert {row["host"]: row["run"] for row in found["running"]}["done"] == "run13"
    told = {process["host"]: process for process in found["processes"]}
    assert told["silent"]["alive"] is False
    assert told["silent"]["last_seen"] == STARTED + 77
    assert told["swept"]["alive"] is None
    assert [told["done"]["pid"], told["done"]["run"]] == [13, "run13"]
    table = run("anomalies", archive.url).stdout
    running, interrupted_rows = table.split("Interrupted Actions\n")
    assert "alive/trace-11.log" in running
    silent, done = sorted(
        interrupted_rows.split("done/trace-13.log"), key=lambda part: "silent/" not in part
    )
    assert "    process last heard of at 22:14:37 UTC" in silent
    assert "last heard of" not in done
    one = run("anomalies", f"{archive.url}2023/11/14/silent/").stdout
    assert "Process 12 of silent was last heard of at 22:14:37 UTC." in one


def test_logs_without_anomalies_are_not_opened(archive: Archive) -> None:
    """A manifest that tells of none spares opening the log; what is asked for decides."""
    place = archive.add("h", 21, FAILS)
    archive.add("h", 22, HANGS)
    (place / "trace-21.log.gz").write_bytes(b"this is no log")
    quick = run("anomalies", archive.url)
    assert quick.stderr == ""
    assert "trace-22.log" in quick.stdout
    assert "trace-21.log" in run("anomalies", "--all", archive.url).stderr
    answer = json.loads(run("stats", "--json", "--since", "2023-11-15", archive.url).stdout)
    assert answer["actions"] == []
    assert len(answer["trace_files"]) == 2


def test_actions_by_host_and_run(archive: Archive) -> None:
    """Actions are grouped by the machines and runs that archives tell of."""
    archive.add("a", 31, HANGS)
    archive.add("a", 32, ENDS_WELL)
    archive.add("b", 33, FAILS)
    by_host = json.loads(run("stats", "--json", "--by", "host", archive.url).stdout)["actions"]
    assert {row["host"]: (row["count"], row["open"], row["errors"]) for row in by_host} == {
        "a": (3, 1, 0),
        "b": (1, 0, 1),
    }
    by_run = json.loads(run("stats", "--json", "--by", "run", archive.url).stdout)["actions"]
    assert {row["run"]: row["count"] for row in by_run} == {"run31": 2, "run32": 1, "run33": 1}


def test_manifests_name_logs(archive: Archive, tmp_path: Path) -> None:
    """A manifest stands for its log, a file of manifests for all that it has lines of."""
    place = archive.add("h", 41, HANGS, finished=False, shipped_at=STARTED)
    archive.add("h", 42, ENDS_WELL)
    archive.add("h", 43, HANGS)
    listed = tmp_path / "hung.manifests.jsonl"
    lines = [json.dumps(each) for each in archive.manifests() if each["open"]]
    listed.write_text("\n".join(lines) + "\n")
    found = json.loads(run("anomalies", "--json", str(listed)).stdout)
    assert [row["pid"] for row in found["processes"]] == [41, 43]
    assert [row["interrupted"] for row in found["running"]] == [True, True]
    whole = json.loads(run("anomalies", "--json", archive.url).stdout)
    assert found["running"] == whole["running"]
    for name in (f"{place}/manifest.json", f"file://{place}/manifest.json"):
        one = json.loads(run("anomalies", "--json", name).stdout)
        assert one["process"]["host"] == "h"
        assert one["process"]["pid"] == 41
    listed.write_text(lines[0] + "\n{}\n")
    broken = run("anomalies", str(listed), code=1)
    (line,) = broken.stderr.splitlines()
    assert line.endswith(f"{listed}:2: this is no manifest with a URL, as archive-list prints them")


def test_a_broken_manifest_is_told(archive: Archive) -> None:
    """Its log is read without it."""
    place = archive.add("h", 51, FAILS)
    (place / "manifest.json").write_text("{}")
    done = run("stats", "--json", archive.url)
    assert json.loads(done.stdout)["actions"][0]["errors"] == 1
    assert done.stderr == (
        f'inspect-trace: cannot use file://{place}/manifest.json: it has no "format"\n'
    )


def test_what_is_known_of_logs_travels(archive: Archive) -> None:
    """A worker elsewhere judges as this process would."""
    archive.add("silent", 61, HANGS, finished=False, shipped_at=STARTED)
    archive.add("alive", 62, HANGS, finished=False, shipped_at=time.time() + 3600)
    (archive.add("well", 63, ENDS_WELL) / "trace-63.log.gz").write_bytes(b"no log")
    plan = fleet.plan(fleet.ask("anomalies", as_of=1.9e9), [archive.url], workers=3)
    answer = fleet.answer(plan, [fleet.run(task) for task in plan.tasks])
    assert answer.notes == []
    found = json.loads(answer.json)
    assert {row["host"]: row["interrupted"] for row in found["running"]} == {
        "silent": True,
        "alive": False,
    }
    assert [process["host"] for process in found["processes"]] == ["alive", "silent", "well"]
    plan = fleet.plan(fleet.ask("stats", by="host", as_of=1.9e9), [archive.url], workers=3)
    answer = fleet.answer(plan, [fleet.run(task) for task in plan.tasks])
    counts = {row["host"]: row["count"] for row in json.loads(answer.json)["actions"]}
    assert counts == {"silent": 2, "alive": 2}
    (note,) = answer.notes
    assert "trace-63.log.gz" in note
