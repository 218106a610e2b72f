"""Tasks on Ray, which `make test-ray` installs for this test alone: one answer, whoever dies."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from corpus import make_corpus
from inspect_trace import _core, fleet
from inspect_trace.store import found_logs

from .fleet_logs import make_logs, write_logs

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing to the network
ray: Any = pytest.importorskip("ray", reason="Ray has `make test-ray`")

from inspect_trace.fleet.engines import RETRIES, open_engine  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspect_trace.fleet.engines import Engine

AS_OF = 1.9e9
DEADLINE_S = 60
WORKERS = 8
"""So many are planned for: more tasks, whatever this machine has."""
QUESTIONS: dict[str, dict[str, Any]] = {
    "anomalies": {"analysis": "anomalies"},
    "stats": {"analysis": "stats", "slowest": 7},
    "http": {"analysis": "http", "failed": True},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Logs of many sizes: one that is read in parts, compressed ones, damaged ones."""
    directory = tmp_path_factory.mktemp("logs")
    write_logs(make_logs(60), directory)
    plain = directory / "trace-4194401.log"
    make_corpus(plain, 40_000_000, 3)
    packed = directory / "trace-4194402.log.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()[:25_000_000], 1))
    for number in range(3, 15):
        (directory / f"trace-{4194400 + number}.log.gz").hardlink_to(packed)
    return sorted(str(path) for path in directory.rglob("trace-*") if ".part" not in path.name)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A Ray cluster of processes on this machine."""
    with open_engine("ray", None) as opened:
        yield opened


def answer_here(question: fleet.Question, files: list[str]) -> tuple[str, list[str], bool]:
    """The answer of this process, by one scan of all logs."""
    how: Any = {"filter": question.filter, "as_of": AS_OF, "json": True, "redact": True}
    with found_logs(files) as logs:
        if question.analysis == "anomalies":
            report = _core.anomalies_report(logs.paths, show_all=True, **how)
        elif question.analysis == "stats":
            how |= {"by": question.by, "slowest": question.slowest}
            report = _core.stats_report(logs.paths, **how)
        else:
            report = _core.http_report(logs.paths, failed=question.failed, **how)
    text = b"".join(report).decode()
    notes = report.take_notes()
    return text, notes + ([] if report.skipped is None else [report.skipped]), report.failed


@pytest.mark.parametrize("asked", QUESTIONS)
def test_ray_gives_the_answer_of_one_process(asked: str, files: list[str], engine: Engine) -> None:
    """To the byte, with all that is to be told of damaged logs."""
    question = fleet.ask(**QUESTIONS[asked], as_of=AS_OF)
    plan = fleet.plan(question, files, workers=WORKERS)
    assert len(plan.tasks) > WORKERS
    assert any(task.range is not None for task in plan.tasks)
    answer = fleet.answer(plan, [state for _, state in engine.states(plan.tasks)])
    assert tuple(answer.__dict__.values()) == answer_here(question, files)
    assert answer.notes


def test_a_killed_worker_changes_nothing(files: list[str], engine: Engine) -> None:
    """A worker that is killed while it does a task is made up for by another."""
    question = fleet.ask("stats", by="sample", as_of=AS_OF)
    plan = fleet.plan(question, files, workers=WORKERS)
    killed: list[int] = []
    killer = threading.Thread(target=lambda: killed.append(kill_who_works()))
    killer.start()
    answers: list[fleet.Answer] = []
    # As often as it takes to find one at work.
    while not answers or killer.is_alive():
        states = [state for _, state in engine.states(plan.tasks)]
        assert len(states) == len(plan.tasks)
        answers.append(fleet.answer(plan, states))
    killer.join()
    assert len(killed) == 1
    expected = answer_here(question, files)
    assert [tuple(answer.__dict__.values()) for answer in answers] == [expected] * len(answers)


def test_a_task_that_kills_its_workers_is_told_of(tmp_path: Path, engine: Engine) -> None:
    """It is given up after some tries, and the log named; what the other tasks found counts."""
    write_logs(make_logs(1), tmp_path)
    log = next(map(str, tmp_path.rglob("trace-*.log")))
    deadly = tmp_path / "trace-4194499.log"
    os.mkfifo(deadly)
    held = os.open(deadly, os.O_RDWR)  # whoever opens it now waits for what never comes
    question = fleet.ask("stats", as_of=AS_OF)
    plan = fleet.plan(question, [log], workers=1)
    deadly_task = fleet.Task(question=question, first_log=1, logs=(str(deadly),))
    plan = fleet.Plan(question, [*plan.tasks, deadly_task], 2)
    killer = threading.Thread(target=kill_who_reads, args=(deadly, RETRIES + 1))
    killer.start()
    states = [state for _, state in engine.states(plan.tasks)]
    killer.join()
    os.close(held)
    answer = fleet.answer(plan, states)
    assert answer.failed
    (note,) = [note for note in answer.notes if str(deadly) in note]
    assert f"the {RETRIES + 1} workers that tried died" in note
    deadly.unlink()
    # As if it were a log that cannot be read.
    unread = fleet.answer(plan, [fleet.run(task) for task in plan.tasks])
    assert (answer.json, answer.failed) == (unread.json, unread.failed)


ARGUMENTS = ("anomalies", "--event", "cancel", "--no-detail")


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """The command."""
    return subprocess.run(
        [sys.executable, "-m", "inspect_trace", *args],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


def test_the_command(files: list[str]) -> None:
    """`--engine ray` prints what the command prints, and tells the same."""
    there = run(*ARGUMENTS, *files, "--engine", "ray")
    one = run(*ARGUMENTS, *files)
    assert (there.stdout, there.stderr) == (one.stdout, one.stderr)
    assert there.returncode == one.returncode


def test_a_killed_worker_of_the_command(tmp_path: Path) -> None:
    """What is printed is the answer alone, whatever Ray has to tell of workers that died."""
    write_logs(make_logs(1), tmp_path)
    log = next(map(str, tmp_path.rglob("trace-*.log")))
    slow = tmp_path / "trace-4194499.log"
    os.mkfifo(slow)
    held = os.open(slow, os.O_RDWR)
    command = [sys.executable, "-m", "inspect_trace", *ARGUMENTS, log, str(slow)]
    with subprocess.Popen([*command, "--engine", "ray"], stdout=subprocess.PIPE) as running:
        kill_who_reads(slow)
        wait_for_reader(slow)
        os.write(held, Path(log).read_bytes()[:4_000])
        os.close(held)
        printed, _ = running.communicate(timeout=DEADLINE_S)
    slow.unlink()
    slow.write_bytes(Path(log).read_bytes()[:4_000])
    one = run(*ARGUMENTS, log, str(slow))
    assert (printed.decode(), running.returncode) == (one.stdout, one.returncode)


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    """It is told in one line."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        done = run("stats", str(tmp_path), "--engine", "ray", "--scheduler", address)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"no Ray cluster at {address}" in line


def workers() -> list[tuple[int, bytes]]:
    """The workers of clusters that this process has started, and what each is at."""
    parents, titles = {}, {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            status = (directory / "stat").read_text().rpartition(")")[2].split()
            titles[int(directory.name)] = (directory / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        parents[int(directory.name)] = int(status[1])

    def is_ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and is_ours(parents[pid]))

    return [(pid, title) for pid, title in titles.items() if title[:5] == b"ray::" and is_ours(pid)]


def kill_who_works() -> int:
    """Kills a worker that is at a task; gives its process id."""
    deadline_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline_s:
        for pid, title in workers():
            if not title.startswith(b"ray::run"):
                continue
            os.kill(pid, signal.SIGSTOP)
            # It gets no further, so that what it is at now is what it is killed in.
            is_working = Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::run")
            os.kill(pid, signal.SIGKILL if is_working else signal.SIGCONT)
            if is_working:
                return pid
    raise AssertionError("no worker was at a task")


def wait_for_reader(fifo: Path) -> int:
    """Waits until a worker has opened a FIFO; gives its process id."""
    deadline_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline_s:
        for pid, _ in workers():
            with contextlib.suppress(OSError):  # it has ended, or closed one
                if any(link.readlink() == fifo for link in Path(f"/proc/{pid}/fd").iterdir()):
                    return pid
    raise AssertionError("no worker has opened it")


def kill_who_reads(fifo: Path, times: int = 1) -> None:
    """Kills the worker that has opened a FIFO, and those that open it after that one."""
    for _ in range(times):
        pid = wait_for_reader(fifo)
        os.kill(pid, signal.SIGKILL)
        deadline_s = time.monotonic() + DEADLINE_S
        while pid in [other for other, _ in workers()]:
            assert time.monotonic() < deadline_s
