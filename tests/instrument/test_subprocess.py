"""Processes that a program starts, traced from their start until they are reaped."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio

from inspect_trace import instrument, trace_action
from inspect_trace.instrument import _action
from inspect_trace.instrument._command import COMMAND_WIDTH, command_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import SourceLog

FOREVER = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture
def log(source_log: SourceLog) -> Iterator[SourceLog]:
    """A log with the source on."""
    instrument.enable("subprocess")
    yield source_log
    # What is not reaped in a test stays so: that is no affair of the tests that follow.
    instrument.disable("subprocess")


@pytest.mark.parametrize("status", [0, 3])
@pytest.mark.parametrize(
    "run",
    [
        lambda command: subprocess.run(command),
        lambda command: subprocess.call(command),
        lambda command: subprocess.Popen(command).wait(),
        lambda command: subprocess.Popen(command, stdout=subprocess.PIPE).communicate(),
        lambda command: subprocess.Popen(args=command).__exit__(None, None, None),
    ],
    ids=["run", "call", "wait", "communicate", "with"],
)
def test_a_process(log: SourceLog, run: Callable[[list[str]], Any], status: int) -> None:
    """A process is one action, with its command quoted and its exit status, whatever that is."""
    command = ["sh", "-c", f"exit {status}"]
    run(command)
    assert log.events == ["Subprocess:enter", "Subprocess:exit"]
    assert log.one["detail"] == shlex.join(command) == f"sh -c 'exit {status}'"
    assert log.one["exit_status"] == status
    assert "signal" not in log.one


def test_its_pid_is_told_while_it_runs(log: SourceLog) -> None:
    """The process's id is in the log before it ends, and on its closing record."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        started = log.records[-1]
        assert (started["message"], started["child_pid"]) == (
            f"[Subprocess] process {process.pid}: cat",
            process.pid,
        )
    assert log.one["child_pid"] == process.pid


def test_ends_when_it_is_reaped(log: SourceLog) -> None:
    """A process has not ended before somebody has waited for it; then it has, once."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        assert process.poll() is None
        assert log.ended == []
        assert process.stdin is not None
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and not reaped
        assert log.ended == []
        assert process.poll() == 0
        assert log.one["event"] == "exit"
        process.wait()
    assert len(log.ended) == 1


def test_a_process_that_nobody_waits_for(log: SourceLog) -> None:
    """A process that is dropped is left to `subprocess`, and ends when that reaps it."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del process
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert log.one["exit_status"] == 0


def test_what_follows_is_no_part_of_it(log: SourceLog) -> None:
    """A process belongs to the action that it is started in, and what begins beside it does not."""
    with trace_action(_action.LOGGER, "Outer", "o"):
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE):
            with trace_action(_action.LOGGER, "Beside", "b"):
                pass
    entered = {r["action"]: r for r in log.records if r.get("event") == "enter"}
    outer = entered["Outer"]["trace_id"]
    assert entered["Subprocess"]["parent_id"] == entered["Beside"]["parent_id"] == outer


def test_a_check_that_fails(log: SourceLog) -> None:
    """With `check` the error is the program's; the process itself has simply ended."""
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["false"], check=True)
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.check_output(["false"])
    assert [(r["event"], r["exit_status"]) for r in log.ended] == [("exit", 1), ("exit", 1)]


def test_a_program_that_is_missing(log: SourceLog) -> None:
    """A program that can't be started is an error, and the traceback is that without tracing."""
    shown = []
    for is_traced in (True, False):
        if not is_traced:
            instrument.disable("subprocess")
        try:
            subprocess.run(["/nonexistent/program"])
        except FileNotFoundError:
            shown.append(traceback.format_exc())
    assert shown[0] == shown[1]
    assert (log.one["event"], log.one["error_type"]) == ("error", "FileNotFoundError")


def kill_in_handler(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=0.01)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def kill_group_in_handler(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=0.01)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("kill", [kill_in_handler, kill_group_in_handler])
def test_a_timeout(log: SourceLog, kill: Callable[[Any], None]) -> None:
    """A process that is killed as it took too long is a timeout."""
    with subprocess.Popen(FOREVER, start_new_session=True) as process:
        kill(process)
    assert log.one["event"] == "timeout"
    assert (log.one["exit_status"], log.one["signal"]) == (-9, "SIGKILL")


@pytest.mark.parametrize("call", [subprocess.run, subprocess.call, subprocess.check_output])
def test_a_timeout_of_a_call(log: SourceLog, call: Callable[..., Any]) -> None:
    """A call with a timeout that runs out is a timeout."""
    with pytest.raises(subprocess.TimeoutExpired):
        call(FOREVER, timeout=0.01)
    assert log.events == ["Subprocess:enter", "Subprocess:timeout"]


def test_a_timeout_that_it_survives(log: SourceLog) -> None:
    """A wait that runs out ends nothing; a process that is killed later is no timeout for it."""
    with subprocess.Popen(FOREVER) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        assert log.ended == []
        process.terminate()
    assert (log.one["event"], log.one["signal"]) == ("exit", "SIGTERM")


def test_a_kill_while_another_error_is_handled(log: SourceLog) -> None:
    """A timeout that was being handled when the process was started is not why it is killed."""
    try:
        raise TimeoutError
    except TimeoutError:
        with subprocess.Popen(FOREVER) as process:
            process.kill()
    assert log.one["event"] == "exit"


def test_ctrl_c(
    log: SourceLog, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A process that is killed as its caller was interrupted is cancelled."""
    path = log.path.with_name("interrupted.log")
    run_python(
        """
        import signal, subprocess, sys, threading
        from inspect_trace import init_tracing, instrument
        init_tracing(path=sys.argv[1])
        instrument.enable("subprocess")
        command = [sys.executable, "-c", "import os, signal; os.write(1, b'x'); signal.pause()"]
        class Interrupting(subprocess.Popen):
            def communicate(self, *args, **kwargs):
                self.stdout.read(1)
                raise KeyboardInterrupt
        subprocess.Popen = Interrupting
        try:
            subprocess.run(command, stdout=subprocess.PIPE)
        except KeyboardInterrupt:
            pass
        """,
        path,
    )
    last = [json.loads(line) for line in path.read_text().splitlines()][-1]
    assert (last["event"], last["signal"]) == ("cancel", "SIGKILL")


def test_asyncio(log: SourceLog) -> None:
    """A process of asyncio is one action, which ends when the loop has learnt of its end."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
        assert await process.wait() == 5
        process = await asyncio.create_subprocess_shell("exit 6")
        await process.communicate()

    asyncio.run(main())
    assert log.events == ["Subprocess:enter", "Subprocess:exit"] * 2
    assert [(r["detail"], r["exit_status"]) for r in log.ended] == [
        ("sh -c 'exit 5'", 5),
        ("exit 6", 6),
    ]


def test_asyncio_timeout(log: SourceLog) -> None:
    """A process that is killed as `asyncio.wait_for` ran out is a timeout."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*FOREVER)
        try:
            await asyncio.wait_for(process.communicate(), 0.01)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()

    asyncio.run(main())
    assert (log.one["event"], log.one["signal"]) == ("timeout", "SIGKILL")


def test_asyncio_cancelled(log: SourceLog) -> None:
    """A process that is killed as the task that waited for it was cancelled is cancelled."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*FOREVER)
        task = asyncio.create_task(process.wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        process.terminate()
        await process.wait()

    asyncio.run(main())
    assert (log.one["event"], log.one["signal"]) == ("cancel", "SIGTERM")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(log: SourceLog, backend: str) -> None:
    """A process of anyio is one action on either backend, also when its scope is cancelled."""

    async def main() -> None:
        await anyio.run_process(["true"])
        await anyio.run_process("exit 2", check=False)
        with anyio.CancelScope() as scope:
            process = await anyio.open_process(FOREVER)
            async with process:
                scope.cancel()
                await process.wait()

    anyio.run(main, backend=backend)
    ended = [r for r in log.ended if "ldconfig" not in r["detail"]]  # trio's, when it is imported
    assert [(r["event"], r["exit_status"]) for r in ended] == [
        ("exit", 0),
        ("exit", 2),
        ("cancel", -9),
    ]


def test_trio(log: SourceLog) -> None:
    """A process of trio is one action; of a deadline trio itself says that it was one."""

    async def main() -> None:
        await trio.run_process(["true"])
        with trio.move_on_after(0.01):
            await trio.run_process(FOREVER)

    trio.run(main)
    assert [r["event"] for r in log.ended] == ["exit", "timeout"]


def test_os_system(log: SourceLog) -> None:
    """A command of `os.system` is traced with its status."""
    os.system("exit 3")
    assert (log.one["detail"], log.one["exit_status"]) == ("exit 3", 3)


def test_threads(log: SourceLog) -> None:
    """Processes that are started, and waited for, in many threads are an action each."""

    def work() -> None:
        for _ in range(5):
            process = subprocess.Popen(["true"])
            waiting = threading.Thread(target=process.wait)
            waiting.start()
            process.wait()
            waiting.join()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(log.events) == ["Subprocess:enter"] * 20 + ["Subprocess:exit"] * 20


def test_a_forked_child(log: SourceLog) -> None:
    """A forked child that asks for its parent's process ends nothing; the parent does."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        child = os.fork()
        if child == 0:
            process.poll()
            os._exit(0)
        os.waitpid(child, 0)
        assert log.ended == []
    assert log.one["exit_status"] == 0


def test_preexec_fn(log: SourceLog, tmp_path: Path) -> None:
    """A `preexec_fn` runs as ever."""
    made = tmp_path / "made"
    subprocess.run(["true"], preexec_fn=lambda: made.write_text("x") and None)
    assert made.exists()
    assert log.one["exit_status"] == 0


def test_off_while_it_runs(log: SourceLog) -> None:
    """A process of the time when the source was on stays open when it is off."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        instrument.disable("subprocess")
        assert type(subprocess.Popen.__init__).__module__ == "builtins"
    assert process.returncode == 0
    subprocess.run(["true"])
    assert log.events == ["Subprocess:enter"]


STAND_IN = """#!/bin/sh
case "$*" in *hang*) exec sleep 1000;; esac
exit 0
"""


def test_docker_compose_with_a_stand_in_for_docker(
    log: SourceLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands of Docker Compose are an action of their own; `docker` is the test's own program."""
    for name in ("docker", "docker-compose"):
        program = tmp_path / name
        program.write_text(STAND_IN)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    command = ["docker", "--context", "x", "compose", "-p", "proj", "-f", "file", "up", "-d"]
    subprocess.run(command)
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["docker-compose", "-p", "proj", "hang"], timeout=0.05)
    subprocess.run(["docker", "ps"])
    up, hang, ps = log.ended
    assert (up["action"], up["detail"], up["event"]) == (
        "Docker Compose",
        "docker --context x compose -p proj -f file up -d",
        "exit",
    )
    assert (up["project"], up["verb"], up["exit_status"]) == ("proj", "up", 0)
    assert (hang["action"], hang["event"], hang["verb"]) == ("Docker Compose", "timeout", "hang")
    assert (ps["action"], "project" in ps) == ("Subprocess", False)


@pytest.mark.parametrize(
    ("line", "project", "verb"),
    [
        ("docker compose up", None, "up"),
        ("docker compose", None, None),
        ("/usr/bin/docker -D --log-level debug compose --project-name=p down", "p", "down"),
        ("docker -H tcp://h compose -pp -fa.yml -f b.yml ps -p other", "p", "ps"),
        ("docker --host=h compose --profile a --dry-run exec -T web ls", None, "exec"),
        ("docker-compose --ansi never -p p logs", "p", "logs"),
        ("docker-compose", None, None),
    ],
)
def test_commands_of_docker_compose(line: str, project: str | None, verb: str | None) -> None:
    """The project and the verb are found among whatever options, as words or as a shell's line."""
    expected = {k: v for k, v in {"project": project, "verb": verb}.items() if v is not None}
    for command in (
        command_of(line, is_shell=True, environment={}),
        command_of(line.split(), environment={}),
        command_of([line], is_shell=True, environment={}),
    ):
        assert command == ("Docker Compose", line, expected)
    named = command_of(line, is_shell=True, environment={"COMPOSE_PROJECT_NAME": "e"})
    assert named.fields["project"] == (project or "e")


@pytest.mark.parametrize(
    "line", ["docker ps compose", "docker run -it compose up", "echo docker compose up", "docker"]
)
def test_commands_that_are_none_of_docker_compose(line: str) -> None:
    """A command in which the words merely occur is a process like any other."""
    assert command_of(line, is_shell=True).action == "Subprocess"
    assert command_of(line.split()).action == "Subprocess"


def test_all_forms_of_a_command(tmp_path: Path) -> None:
    """A command is shown whatever it is made of, and cut at the width that is documented."""
    assert command_of(["a b", b"c", tmp_path]).detail == f"'a b' c {tmp_path}"
    assert command_of("a b").detail == "'a b'"
    assert command_of(b"echo 'x", is_shell=True).detail == "echo 'x"
    assert command_of(tmp_path).detail == str(tmp_path)
    assert command_of(iter(["a"])).detail == "<list_iterator>"
    detail = command_of(["x" * COMMAND_WIDTH, "y"]).detail
    assert (len(detail), detail[-4:]) == (COMMAND_WIDTH, "x...")


def test_an_iterator_is_not_used_up(log: SourceLog) -> None:
    """A command that can be read only once is read by the program."""
    assert subprocess.run(iter(["sh", "-c", "exit 4"])).returncode == 4  # type: ignore[call-overload]
    assert log.one["exit_status"] == 4


def test_the_class_stays_what_it_is(log: SourceLog) -> None:
    """`Popen` has the signature, and lets itself be subclassed, as without tracing."""
    import inspect

    traced = inspect.signature(subprocess.Popen)

    class Sub(subprocess.Popen[bytes]):
        pass

    with Sub(["true"]) as process:
        assert re.fullmatch(r"<Sub: returncode: None args: .*>", repr(process))
    instrument.disable("subprocess")
    assert traced == inspect.signature(subprocess.Popen)
    assert log.one["exit_status"] == 0
