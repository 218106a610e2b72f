"""Logs in object stores: S3 by moto on loopback, and files by their URLs."""

from __future__ import annotations

import glob
import gzip
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import inspect_trace
from cli.logs import MIXED, write_log
from s3_support import KEYS, serving_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

obstore = pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto")

from inspect_trace import remote  # noqa: E402

BUCKET = "traces"

# The libraries leave sessions to the garbage collector, and call what botocore has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """An S3 server with an empty bucket."""
    with serving_s3() as url:
        client(url).create_bucket(Bucket=BUCKET)
        yield url


def client(url: str) -> Any:
    """What puts objects there."""
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **KEYS)


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The emptied bucket, which this process and its children can read."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = client(s3_url)
    for found in store.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        store.delete_object(Bucket=BUCKET, Key=found["Key"])
    return store


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """The command, which reads as this process would."""
    return subprocess.run(
        [sys.executable, "-m", "inspect_trace", *args], capture_output=True, text=True, timeout=120
    )


def put(s3: Any, key: str, content: bytes) -> str:
    """Puts an object there and gives its URL."""
    s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    return f"s3://{BUCKET}/{key}"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory with logs of all kinds: plain, compressed, damaged, empty, rotated."""
    directory = tmp_path / "traces"
    directory.mkdir()
    content = write_log(directory / "trace-9999910.log", *MIXED).read_bytes()
    (directory / "trace-9999920.log.gz").write_bytes(gzip.compress(content))
    (directory / "trace-9999930.log.gz").write_bytes(gzip.compress(content * 9)[:-40])
    (directory / "trace-9999940.log").write_bytes(
        content.replace(b"level", b"l\0vel", 3) + b"{torn"
    )
    (directory / "trace-9999950.log").write_bytes(b"")
    lines = content.splitlines(keepends=True)
    (directory / "trace-9999960.part0001.log.gz").write_bytes(gzip.compress(b"".join(lines[:2])))
    (directory / "trace-9999960.part0002.log").write_bytes(b"".join(lines[2:4]))
    (directory / "trace-9999960.log").write_bytes(b"".join(lines[4:]))
    return directory


COMMANDS = {
    "dump": ("dump", "--jsonl"),
    "dump --tail": ("dump", "--jsonl", "--tail", "2"),
    "http": ("http", "--json"),
    "anomalies": ("anomalies", "--json", "--all"),
    "stats": ("stats", "--json"),
    "tree": ("tree", "--json"),
    "verify": ("verify", "--json"),
    "export": ("export", "--to", "csv", "-o", "-"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_objects_are_as_files(command: str, s3: Any, logs: Path) -> None:
    """Every command finds in a store what it finds in a directory, and tells the same of damage."""
    for path in logs.iterdir():
        put(s3, f"runs/{path.name}", path.read_bytes())
    paths = sorted(map(str, logs.iterdir()))
    whole = [path for path in paths if ".part" not in path]
    here = run(*COMMANDS[command], *whole)
    there = run(*COMMANDS[command], f"s3://{BUCKET}/runs/")
    prefix = f"s3://{BUCKET}/runs"
    assert there.returncode == here.returncode
    assert comparable(there.stdout, prefix) == comparable(here.stdout, str(logs))
    assert comparable(there.stderr, prefix) == comparable(here.stderr, str(logs))
    assert here.stdout != ""


def comparable(text: str, prefix: str) -> list[str]:
    """The lines of an output, without what depends on when and where it was made."""
    lines = text.replace(prefix, "DIR").splitlines()
    # Of files it is looked for who writes them; a plain object may be written still.
    varies = ('"as_of"', '"alive"', '"ended_at"', '"duration"', '"interrupted"', '"outcome"')
    return sorted(line for line in lines if not line.strip().startswith(varies))


def test_from_python(s3: Any, logs: Path) -> None:
    """`scan`, `anomalies` and `stats` take URLs."""
    path = logs / "trace-9999910.log"
    url = put(s3, "x/trace-9999910.log", path.read_bytes())
    messages = [record.message for record in inspect_trace.scan(path)]
    assert [record.message for record in inspect_trace.scan(url)] == messages
    found, expected = inspect_trace.anomalies(url), inspect_trace.anomalies(path)
    assert [action.trace_id for action in found.errors] == [a.trace_id for a in expected.errors]
    there, here = inspect_trace.stats(url), inspect_trace.stats(path)
    assert [(s.name, s.count) for s in there.actions] == [(s.name, s.count) for s in here.actions]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"s3://{BUCKET}/gone.log", "there is no such object"),
        (f"s3://{BUCKET}/gone/", "no trace log at"),
        (f"s3://{BUCKET}/gone/*.gz", "no trace log at"),
        ("s3://no-such-bucket/x.log", "there is no such object"),
        ("nonsense://x/y.log", "nonsense"),
        (f"s3://{BUCKET}/[z-a].log", "is no pattern"),
        (f"s3://{BUCKET}/[].log", "is no pattern"),
        (f"s3://{BUCKET}/[!].log", "is no pattern"),
    ],
)
@pytest.mark.usefixtures("s3")
def test_what_is_not_there_is_one_line(url: str, reason: str) -> None:
    """A URL that stands for nothing ends the command with one line that names it."""
    done = run("anomalies", url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert url.partition(f"{BUCKET}/")[2] in done.stderr
    assert reason in done.stderr


def test_an_object_that_changes_is_told(s3: Any, logs: Path) -> None:
    """What is written over between listing and reading is told as changed, and not mixed."""
    content = (logs / "trace-9999910.log").read_bytes()
    url = put(s3, "x.log", content)
    with remote.opened(url) as name:
        put(s3, "x.log", content.swapcase())
        with pytest.raises(OSError, match="it has changed since it was listed") as caught:
            list(inspect_trace._core.scan(name))
    assert url in str(caught.value)


def test_logs_here_and_elsewhere_keep_their_order(s3: Any, logs: Path) -> None:
    """Files, objects and patterns can be named together, and come in the order that was given."""
    content = (logs / "trace-9999910.log").read_bytes()
    here = str(logs / "trace-9999910.log")
    one, two = put(s3, "m/one.log", content), put(s3, "m/two.log", content)
    names = [two, here, f"s3://{BUCKET}/m/*.log", one]
    assert inspect_trace.stats(*names).trace_files == [two, here, one, two, one]


def test_nothing_is_kept_of_what_was_read(s3: Any, logs: Path) -> None:
    """A function of Python's leaves no object known behind."""
    url = put(s3, "x.log", (logs / "trace-9999910.log").read_bytes())
    inspect_trace.stats(url)
    inspect_trace.anomalies(url)
    list(inspect_trace.scan(url))
    with pytest.raises(FileNotFoundError):
        inspect_trace._core.scan(url)


def test_each_object_is_asked_for_once(s3: Any, tmp_path: Path) -> None:
    """As many small logs as there are, so many requests; no byte comes twice."""
    content = write_log(tmp_path / "x.log", *MIXED).read_bytes() * 10
    for number in range(40):
        put(s3, f"many/trace-{number:03}.log", content)
    names, logs = remote.find_remote_logs([f"s3://{BUCKET}/many/"])
    assert len(names) == 40
    for name in names:
        assert len(list(inspect_trace._core.scan(name))) == 10 * len(MIXED)
    assert logs.traffic == (40, 40 * len(content))


def test_no_credentials_are_told(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a store has to be asked without credentials, the line says so."""
    put(s3, "x.log", b"{}\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # Nobody is there who could give some, and is not asked for long.
    monkeypatch.setattr(remote, "MAX_RETRIES", 0)
    with pytest.raises(OSError, match="credentials"):
        remote.find_remote_logs([f"s3://{BUCKET}/x.log"])


PATTERNS = [
    *("*.log", "**/*.log", "a/*", "a/**", "**/t?.log", "[ab]/*.gz", "a/b/**/*.gz", "*/t1.log"),
    *("**/t[!12].log", "a?t1.log", "**/t[12]*", "a[.-0]t1.log"),
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_are_as_in_a_shell(pattern: str, tmp_path: Path) -> None:
    """A pattern stands for the objects that it stands for among files."""
    keys = ["t1.log", "a/t1.log", "a/t2.log.gz", "b/tt.log", "a/b/c/t3.log.gz", "a/b/t4.log", "x/y"]
    for key in keys:
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    found = glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207 - the oracle
    expected = [name for name in found if (tmp_path / name).is_file()]
    if pattern.endswith("**"):  # for directories alone: the logs in them
        expected = [name for name in expected if name.endswith((".log", ".gz"))]
    url = f"file://{tmp_path}/{pattern}"
    if not expected:
        with pytest.raises(FileNotFoundError, match="no trace log at"):
            remote.find_remote_logs([url])
        return
    names, _logs = remote.find_remote_logs([url])
    assert sorted(names) == sorted(f"file://{tmp_path}/{name}" for name in expected)


def test_watching_needs_a_file(s3: Any) -> None:
    """What grows can be watched where it is written only."""
    url = put(s3, "x.log", b"{}\n")
    for args in (("dump", "--jsonl", "--follow", url), ("anomalies", "--watch", url)):
        done = run(*args)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert url in done.stderr
