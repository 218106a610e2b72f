"""A trace directory, and a bucket of an S3 server that its logs go to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from archive_support import Program, Proxy
from s3_support import KEYS

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "archive"
URL = f"s3://{BUCKET}/traces"


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
        import boto3

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


def traced(place: Place, count: int) -> None:
    """A program that ran."""
    program = Program(place.environment)
    program.trace(count)
    assert program.end()[0] == 0
