"""One question, many workers: whoever reads the logs, and whatever happens to them, one answer."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from inspect_trace import _core, fleet, remote
from s3_support import serving_s3

from .cutting_proxy import cutting_proxy
from .fleet_logs import BUCKET, make_logs, write_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .cluster import Cluster

obstore = pytest.importorskip("obstore")
pytest.importorskip("distributed")
pytest.importorskip("moto")
boto3 = pytest.importorskip("boto3")

from inspect_trace.fleet.engines import open_engine  # noqa: E402
from inspect_trace.store import found_logs  # noqa: E402

from .cluster import dask_cluster  # noqa: E402

COUNT = int(os.environ.get("INSPECT_TRACE_TEST_FLEET", "120"))
AS_OF = 1.9e9
URL = f"s3://{BUCKET}/"

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """What a process needs to read the logs: an S3 server that has them runs meanwhile."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with serving_s3() as url:
        kept |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        store = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        store.create_bucket(Bucket=BUCKET)
        for log in make_logs(COUNT):
            store.put_object(Bucket=BUCKET, Key=log.key, Body=log.content)
        yield kept


@pytest.fixture
def here(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """This process can read the logs."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def cluster(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Cluster]]:
    """A scheduler and three workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), 3, environment) as running:
        yield running


def printed(report: _core.Report) -> tuple[str, list[str], bool]:
    """What a report prints and notes, and whether it failed."""
    text = b"".join(report).decode()
    notes = report.take_notes()
    return text, notes + ([] if report.skipped is None else [report.skipped]), report.failed


QUESTIONS: dict[str, dict[str, Any]] = {
    "anomalies": {"analysis": "anomalies"},
    "anomalies of tools": {"analysis": "anomalies", "action": "Tool Call", "min_duration": 1},
    "stats": {"analysis": "stats", "slowest": 7},
    "stats by sample": {"analysis": "stats", "by": "sample", "level": "TRACE"},
    "http": {"analysis": "http", "failed": True},
}


def by_one_process(files: list[str], asked: dict[str, Any]) -> tuple[str, list[str], bool]:
    """The answer of this process, by one scan of all logs."""
    question = fleet.ask(**asked, as_of=AS_OF)
    how: Any = {"filter": question.filter, "as_of": AS_OF, "json": True, "redact": True}
    with found_logs(files) as logs:
        if question.analysis == "anomalies":
            return printed(_core.anomalies_report(logs.paths, show_all=True, **how))
        if question.analysis == "stats":
            how |= {"by": question.by, "slowest": question.slowest}
            return printed(_core.stats_report(logs.paths, **how))
        return printed(_core.http_report(logs.paths, failed=question.failed, **how))


def by_cluster(address: str, files: list[str], asked: dict[str, Any]) -> fleet.Answer:
    """The answer of a Dask cluster."""
    question = fleet.ask(**asked, as_of=AS_OF)
    with open_engine("dask", address) as engine:
        plan = fleet.plan(question, files, workers=engine.workers)
        assert len(plan.tasks) > engine.workers
        return fleet.answer(plan, [state for _, state in engine.states(plan.tasks)])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("asked", QUESTIONS)
def test_a_cluster_gives_the_answer_of_one_process(
    asked: str, cluster: tuple[str, Cluster]
) -> None:
    """To the byte, with all that is to be told of damaged logs."""
    answer = by_cluster(cluster[0], [URL], QUESTIONS[asked])
    assert tuple(answer.__dict__.values()) == by_one_process([URL], QUESTIONS[asked])
    assert answer.notes


def test_files_in_parts(cluster: tuple[str, Cluster], tmp_path: Path) -> None:
    """A large plain log is read in parts by several workers, small ones are put together."""
    from corpus import make_corpus

    make_corpus(tmp_path / "trace-4194401.log", 40_000_000, 3)
    write_logs(make_logs(40), tmp_path)
    (tmp_path / "trace-4194402.log").write_bytes(b'{"torn')
    files = sorted(map(str, tmp_path.rglob("trace-*")))
    files = [path for path in files if ".part" not in path]
    question = fleet.ask("stats", by="task", as_of=AS_OF)
    tasks = fleet.plan(question, files, workers=3).tasks
    assert max(len(task.logs) for task in tasks) > 1
    assert sum(task.range is not None for task in tasks) > 2
    for asked in QUESTIONS.values():
        answer = by_cluster(cluster[0], files, asked)
        assert tuple(answer.__dict__.values()) == by_one_process(files, asked)


@pytest.mark.usefixtures("here")
def test_a_killed_worker_changes_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """A worker that is killed in the middle is made up for by the others."""
    asked = QUESTIONS["stats"]
    question = fleet.ask(**asked, as_of=AS_OF)
    with (
        dask_cluster(tmp_path, 3, environment) as (address, cluster),
        open_engine("dask", address) as engine,
    ):
        plan = fleet.plan(question, [URL], workers=engine.workers)
        states = []
        for _, state in engine.states(plan.tasks):
            states.append(state)
            if len(states) == 2:
                cluster.kill_worker()
        assert len(states) == len(plan.tasks)
    answer = fleet.answer(plan, states)
    assert tuple(answer.__dict__.values()) == by_one_process([URL], asked)


@pytest.mark.usefixtures("here")
def test_cut_connections_change_nothing(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections to the store that break in the middle of an object are made up for."""
    expected = by_one_process([URL], QUESTIONS["stats"])
    port = urlsplit(environment["AWS_ENDPOINT_URL"]).port
    assert port is not None
    with cutting_proxy(port, every=2, after_bytes=9_000) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        assert by_one_process([URL], QUESTIONS["stats"]) == expected
        assert proxy.cut > 2


@pytest.mark.usefixtures("here")
def test_a_listing_that_is_cut_goes_on(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No object is missing or there twice where a connection breaks while they are listed."""
    expected, _kept = remote.find_remote_logs([URL])
    port = urlsplit(environment["AWS_ENDPOINT_URL"]).port
    assert port is not None
    with cutting_proxy(port, every=2, after_bytes=9_000) as proxy:
        socket.create_connection(("127.0.0.1", proxy.port)).close()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        found, _ = remote.find_remote_logs([URL])
        assert proxy.cut > 0
    assert found == expected


def run(environment: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    """The command."""
    return subprocess.run(
        [sys.executable, "-m", "inspect_trace", *args],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )


COMMANDS = {
    "anomalies": ("anomalies", "--event", "cancel", "--no-detail"),
    "anomalies --all": ("anomalies", "--all", "--limit", "9", "--event", "error"),
    "stats": ("stats", "--by", "model"),
    "http": ("http", "--failed"),
    "diff": ("diff", f"{URL}2026/11/01/", f"{URL}2026/11/02/**/*.gz"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str, cluster: tuple[str, Cluster], environment: dict[str, str]) -> None:
    """`--engine dask` prints what the command prints, and tells the same."""
    args = COMMANDS[command]
    urls = () if command == "diff" else (f"{URL}2026/11/0[1-4]/**/*.gz",)
    there = run(environment, *args, *urls, "--engine", "dask", "--scheduler", cluster[0])
    one = run(environment, *args, *urls)
    assert (there.stdout, there.stderr) == (one.stdout, one.stderr)
    assert there.returncode == one.returncode


def test_a_scheduler_that_is_not_there(environment: dict[str, str], tmp_path: Path) -> None:
    """It is told in one line, and so is one for which there is no use."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        args = ("stats", str(tmp_path), "--engine", "dask", "--scheduler", address)
        impatient = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
        missing = run({**environment, **impatient}, *args)
    assert missing.returncode == 1
    (line,) = missing.stderr.splitlines()
    assert f"no Dask scheduler at {address}" in line
    useless = run(environment, "stats", "--scheduler", address)
    assert useless.returncode == 2
    assert "--scheduler is for --engine dask" in useless.stderr


def test_what_travels_can_be_pickled(tmp_path: Path) -> None:
    """A task that was pickled finds the same; a time that is relative is that of the question."""
    write_logs(make_logs(21), tmp_path)
    files = sorted(map(str, tmp_path.rglob("trace-*.log*")))
    question = fleet.ask("http", since="-9d", sample=[3, "a"], as_of=AS_OF)
    assert question.filter is not None
    copied = pickle.loads(pickle.dumps(question))
    assert copied.filter.__getnewargs_ex__() == question.filter.__getnewargs_ex__()
    (_, options) = question.filter.__getnewargs_ex__()
    assert isinstance(options["since"], float)
    assert options["samples"] == ["3", "a"]
    question = fleet.ask("stats", as_of=AS_OF)
    for task in fleet.plan(question, files, workers=4).tasks:
        copy = pickle.loads(pickle.dumps(task))
        assert fleet.run(copy) == fleet.run(task)


def test_states_are_merged_on_the_way(tmp_path: Path) -> None:
    """What `merge` makes of some states is one of them; a task that is missing is told."""
    write_logs(make_logs(150), tmp_path)
    files = sorted(map(str, tmp_path.rglob("trace-*.log*")))
    plan = fleet.plan(fleet.ask("anomalies", as_of=AS_OF), files, workers=9)
    states = [fleet.run(task) for task in plan.tasks]
    assert len(states) > 3
    some = fleet.merge(plan.question, states[1:3])
    assert fleet.answer(plan, [states[3], some, *states[3:], states[0]]) == fleet.answer(
        plan, states
    )
    with pytest.raises(OSError, match="the answer is not complete"):
        fleet.answer(plan, [states[0], some])


def test_questions_are_checked() -> None:
    """What cannot be asked is told where it is asked."""
    with pytest.raises(ValueError, match="'sums' is no analysis"):
        fleet.ask("sums")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is nothing to group by"):
        fleet.ask("stats", by="colour")
