"""Where actions of threads wait, and when the log is told."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from conftest import DEADLINE_S, records_of
from inspect_trace import _core, anomalies, init_tracing
from inspect_trace.action import trace_action
from inspect_trace.handler import TraceHandler
from stall_support import STALL_S, Watched, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A log that is soon told where an action waits."""
    watched = Watched(tmp_path / "watched.log")
    yield watched
    watched.handler.close()


def nap(done: threading.Event) -> None:
    """Sleep for a while."""
    while not done.is_set():
        time.sleep(0.01)


def wait_for_lock(done: threading.Event) -> None:
    """Wait for a lock."""
    lock = threading.Lock()
    lock.acquire()

    def release() -> None:
        done.wait()
        lock.release()

    in_thread(release)
    lock.acquire()


def read_from_socket(done: threading.Event) -> None:
    """Wait for what never comes."""
    ours, theirs = socket.socketpair()

    def close() -> None:
        done.wait()
        theirs.close()

    in_thread(close)
    with ours:
        assert ours.recv(1) == b""


@pytest.mark.parametrize("wait", [nap, wait_for_lock, read_from_socket])
def test_a_blocked_thread(watched: Watched, wait: Callable[[threading.Event], None]) -> None:
    """The record has the frames of the thread, the innermost last, by file, line and function."""
    done = threading.Event()

    def work() -> None:
        with trace_action(watched.logger, "Blocked", "d"):
            wait(done)

    thread = in_thread(work)
    [record, *_] = watched.await_stalls("Blocked")
    done.set()
    thread.join(DEADLINE_S)
    assert list(record) == [
        *("timestamp", "level", "message", "event", "trace_id", "duration", "stack")
    ]
    assert record["level"] == "TRACE"
    assert record["message"].startswith("[inspect-trace] Blocked: open for 0.")
    assert record["message"].endswith(f" s, in {wait.__name__}")
    assert record["duration"] >= STALL_S
    *outer, caller, innermost = record["stack"]
    assert outer[0]["file"] == threading.__file__
    assert all(list(frame) == ["file", "line", "function"] for frame in record["stack"])
    assert innermost["file"] == caller["file"] == __file__
    first = wait.__code__.co_firstlineno
    assert first < innermost["line"] < first + 12
    assert caller["line"] == work.__code__.co_firstlineno + 2


def test_intervals_grow(watched: Watched) -> None:
    """An action is looked at when it has been open for the threshold, twice, four times as long."""
    with trace_action(watched.logger, "Slow", "d"):
        stalls = watched.await_stalls("Slow", 4)
    for number, record in enumerate(stalls):
        assert record["duration"] >= STALL_S * 2**number


def test_what_ends_in_time_is_not_told(watched: Watched) -> None:
    """There are records of what stays open only: not of what ended, or whose object is gone."""
    with trace_action(watched.logger, "Quick", "d"):
        pass
    gone = trace_action(watched.logger, "Gone", "d")
    contextvars.Context().run(gone.__enter__)  # in a context that goes with it
    del gone
    with contextlib.suppress(ValueError), trace_action(watched.logger, "Failed", "d"):
        raise ValueError
    with trace_action(watched.logger, "Slow", "d"):
        watched.await_stalls("Slow", 2)
        assert [watched.stalls_of(name) for name in ("Quick", "Gone", "Failed")] == [[], [], []]
    told = len(watched.stalls_of("Slow"))
    with trace_action(watched.logger, "Next", "d"):
        watched.await_stalls("Next", 2)
    assert len(watched.stalls_of("Slow")) == told


def test_what_the_collector_took_is_not_told(watched: Watched) -> None:
    """An action that nobody can end any more, as it was garbage in a cycle, is not told of."""
    # What other tests have left must not make the collection take so long that the action is due.
    gc.collect()
    gc.freeze()
    logger = logging.Logger("lost", 1)
    logger.addHandler(watched.handler)
    first = contextvars.copy_context()
    first.run(trace_action(logger, "Lost", "d").__enter__)
    # The collector takes the oldest apart first: it comes to the action while that is whole.
    kept: list[object] = [first.run(contextvars.copy_context)]
    kept.append(kept)
    vars(logger)["kept"] = kept
    del logger, first, kept
    gc.collect()
    gc.unfreeze()
    with trace_action(watched.logger, "Slow", "d"):
        watched.await_stalls("Slow", 2)
        assert watched.stalls_of("Lost") == []


def test_nothing_is_imported_when_an_action_is_due(run_python: RunPython, tmp_path: Path) -> None:
    """A fork at that moment finds no half imported module: all is there once a log is open."""
    program = """
        import logging, sys
        from inspect_trace import TraceHandler
        handler = TraceHandler(sys.argv[1], stall_s=float(sys.argv[2]))
        logging.basicConfig(level=1, handlers=[handler])
        logging.info("x")
        print("inspect_trace._stall" in sys.modules)
    """
    answers = [run_python(program, tmp_path / f"{s}.log", s).stdout for s in ("9", "0")]
    assert answers == ["True\n", "False\n"]


def pass_all(record: logging.LogRecord) -> bool:
    """Have every record go through `logging`'s own filtering."""
    record.added = 1
    return True


class Adapter(logging.LoggerAdapter):  # type: ignore[type-arg]
    """One of the program's."""


@pytest.mark.parametrize("way", ["filtered", "adapted", "foreign"])
def test_every_way_to_the_log(watched: Watched, way: str) -> None:
    """Actions are watched whichever way their records take, and whoever makes them."""
    logger: Any = watched.logger
    if way == "filtered":
        watched.handler.addFilter(pass_all)
    if way == "adapted":
        logger = Adapter(logger, {})

    @contextlib.contextmanager
    def action(name: str) -> Iterator[None]:
        if way != "foreign":
            with trace_action(logger, name, "d"):
                yield
            return
        extra: dict[str, object] = {
            "action": name,
            "detail": "d",
            "event": "enter",
            "trace_id": _core.new_trace_id(),
        }
        logger.log(13, "%s: d (enter)", name, extra=extra)
        yield
        logger.log(13, "%s: d (exit)", name, extra=extra | {"event": "exit", "duration": 1.0})

    with action("Quick"):
        pass
    with action("Slow"):
        [record, *_] = watched.await_stalls("Slow")
    assert any("await_stalls" in frame["function"] for frame in record["stack"])
    told = len(watched.stalls_of("Slow"))
    with action("Next"):
        watched.await_stalls("Next", 2)
    assert (len(watched.stalls_of("Slow")), watched.stalls_of("Quick")) == (told, [])


def test_each_log_is_told_of_its_own(watched: Watched, tmp_path: Path) -> None:
    """Where an action waits is told to the log that its beginning was written to, at its pace."""
    other = Watched(tmp_path / "other.log", stall_s=0)
    slower = Watched(tmp_path / "slower.log", stall_s=1000)
    with (
        trace_action(other.logger, "Other", "d"),
        trace_action(slower.logger, "Slower", "d"),
        trace_action(watched.logger, "Mine", "d"),
    ):
        watched.await_stalls("Mine", 2)
        for log in (other, slower):
            assert [r["event"] for r in records_of(log.path)] == ["enter"]
    for log in (other, slower):
        log.handler.close()


def test_a_closed_log_is_left_alone(watched: Watched, tmp_path: Path) -> None:
    """Of a log that is closed while its actions are open nothing is dropped."""
    closed = Watched(tmp_path / "closed.log")
    action = trace_action(closed.logger, "Closed", "d")
    action.__enter__()
    closed.handler.close()
    with trace_action(watched.logger, "Mine", "d"):
        watched.await_stalls("Mine", 2)
    assert closed.handler.dropped == 0
    action.__exit__(None, None, None)


COUNT_THREADS = """
    import logging, os, sys
    from inspect_trace import TraceHandler, trace_action

    handler = TraceHandler(sys.argv[1])
    logger = logging.Logger("x", 1)
    logger.addHandler(handler)
    logger.info("no action, but the thread that flushes")
    before = len(os.listdir("/proc/self/task"))
    with trace_action(logger, "A", "d"):
        print(len(os.listdir("/proc/self/task")) - before)
    with trace_action(logger, "A", "d"):
        print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.parametrize(("value", "threads"), [("", "1"), ("60", "1"), ("0", "0")])
def test_a_thread_only_where_it_is_wanted(
    run_python: RunPython,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    threads: str,
) -> None:
    """There is a thread from the first action on; with the threshold 0 there is none."""
    monkeypatch.setenv("INSPECT_TRACE_STALL_S", value)
    done = run_python(COUNT_THREADS, tmp_path / "x.log")
    assert (done.stdout.split(), done.stderr) == ([threads, threads], "")


@pytest.mark.parametrize("value", ["soon", "-1", "nan"])
def test_a_threshold_that_is_none(
    run_python: RunPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """One line says what is wrong with the variable, and the default is used."""
    monkeypatch.setenv("INSPECT_TRACE_STALL_S", value)
    done = run_python(COUNT_THREADS, tmp_path / "x.log")
    assert done.stderr == (
        f"inspect-trace: INSPECT_TRACE_STALL_S={value}: it has to be a number of seconds, or 0 for "
        "never; using 60\n"
    )
    assert done.stdout.split() == ["1", "1"]


def test_the_argument_comes_before_the_variable(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`stall_s` counts whatever the environment says, also for `init_tracing`."""
    monkeypatch.setenv("INSPECT_TRACE_STALL_S", "0")
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    with (
        init_tracing(path=tmp_path / "set_up.log", stall_s=STALL_S) as tracing,
        trace_action(logging.getLogger("x"), "Root", "d"),
        trace_action(watched.logger, "Mine", "d"),
    ):
        watched.await_stalls("Mine", 2)
        assert "stall" in [record.get("event") for record in records_of(tracing.path)]


@pytest.mark.parametrize("stall_s", [-1, float("nan")])
def test_an_argument_that_is_none(tmp_path: Path, stall_s: float) -> None:
    """A threshold that is no time is refused."""
    with pytest.raises(ValueError, match="give a number of seconds"):
        TraceHandler(tmp_path / "x.log", stall_s=stall_s)


def test_infinity_is_never(tmp_path: Path) -> None:
    """A threshold that never comes is the same as none."""
    TraceHandler(tmp_path / "x.log", stall_s=float("inf")).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_is_told_of_its_own_actions(run_python: RunPython, tmp_path: Path) -> None:
    """A forked child watches what it begins itself, and says so; its parent goes on watching."""
    path = tmp_path / "x.log"
    done = run_python(
        """
        import warnings
        warnings.filterwarnings("ignore", message=".*fork.*")
        import logging, os, sys, time
        from inspect_trace import TraceHandler, scan, trace_action

        handler = TraceHandler(sys.argv[1], stall_s=0.05)
        logger = logging.Logger("x", 1)
        logger.addHandler(handler)

        def wait_for(pid, count):
            deadline = time.monotonic() + 30
            while True:
                stalls = [r for r in scan(sys.argv[1]) if r.get("event") == "stall"]
                found = [r for r in stalls if r.get("pid") == pid]
                if len(found) >= count:
                    return
                assert time.monotonic() < deadline
                time.sleep(0.005)

        with trace_action(logger, "Parent", "d"):
            wait_for(None, 1)
            child = os.fork()
            if child == 0:
                with trace_action(logger, "Child", "d"):
                    wait_for(os.getpid(), 2)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            wait_for(None, 3)
        print(child)
        """,
        path,
    )
    child = int(done.stdout)
    records = records_of(path)
    actions = {r["trace_id"]: r["action"] for r in records if r.get("event") == "enter"}
    stalls = [r for r in records if r.get("event") == "stall"]
    assert {(actions[r["trace_id"]], r.get("pid")) for r in stalls} == {
        ("Parent", None),
        ("Child", child),
    }
    of_child = [r for r in stalls if "pid" in r]
    assert all("wait_for" in [f["function"] for f in r["stack"]] for r in of_child)


HANG = """
    import logging, sys, time
    from inspect_trace import TraceHandler, trace_action

    def hang_here():
        while True:
            time.sleep(0.01)

    handler = TraceHandler(sys.argv[1])
    logger = logging.Logger("x", 1)
    logger.addHandler(handler)
    with trace_action(logger, "Model", "generate (openai/gpt-4o)"):
        hang_here()
"""


def test_what_hung_when_it_was_killed(tmp_path: Path) -> None:
    """After SIGKILL `anomalies` tells where the open action waited, and so do JSON and Python."""
    log, script = tmp_path / "x.log", tmp_path / "hang.py"
    script.write_text("\n".join(line[4:] for line in HANG.splitlines()))
    environment = {**os.environ, "INSPECT_TRACE_STALL_S": str(STALL_S)}
    with subprocess.Popen([sys.executable, script, log], env=environment) as process:
        deadline_s = time.monotonic() + DEADLINE_S
        while not (log.exists() and b'"stall"' in log.read_bytes()):
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.01)  # another process writes it, and nothing tells when
        process.kill()
    assert process.returncode == -signal.SIGKILL

    def command(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "inspect_trace", "anomalies", str(log), *arguments],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        ).stdout

    [hung] = json.loads(command("--json"))["running"]
    at, outer = ("hang_here", 7), ("<module>", 13)
    assert hung["interrupted"] is True
    assert hung["stack"] == [
        {"file": str(script), "line": line, "function": function} for function, line in (outer, at)
    ]
    [action] = anomalies(log).interrupted
    assert action.stack == hung["stack"]
    lines = command().splitlines()
    assert lines[-3].startswith("Model ")
    assert lines[-2:] == [
        f"    {w} {f} ({script}:{n})" for w, (f, n) in (("at", at), ("from", outer))
    ]


def test_the_end_of_the_interpreter(run_python: RunPython, tmp_path: Path) -> None:
    """A program ends as ever while its threads hang in actions that are looked at all the time."""
    for number in range(5):
        done = run_python(
            """
            import logging, sys, threading
            from inspect_trace import TraceHandler, trace_action

            handler = TraceHandler(sys.argv[1], stall_s=0.0001)
            logger = logging.Logger("x", 1)
            logger.addHandler(handler)
            started = threading.Barrier(9)
            def hang():
                with trace_action(logger, "Hung", "d"):
                    started.wait()
                    threading.Event().wait()
            for _ in range(8):
                threading.Thread(target=hang, daemon=True).start()
            started.wait()
            """,
            tmp_path / f"{number}.log",
        )
        assert done.stderr == ""


def test_an_end_that_hangs_is_told(tmp_path: Path, run_python: RunPython) -> None:
    """While the interpreter's end waits for a thread, where that waits is told all the same."""
    path = tmp_path / "x.log"
    run_python(
        """
        import logging, sys, threading, time
        from inspect_trace import TraceHandler, scan, trace_action

        handler = TraceHandler(sys.argv[1], stall_s=0.05)
        logger = logging.Logger("x", 1)
        logger.addHandler(handler)
        main = threading.main_thread()
        def linger():
            with trace_action(logger, "Lingers", "d"):
                main.join()
                before = len(list(scan(sys.argv[1])))
                while len(list(scan(sys.argv[1]))) == before:
                    time.sleep(0.005)
        threading.Thread(target=linger).start()
        """,
        path,
    )
    assert [r.get("event") for r in records_of(path)][-2:] == ["stall", "exit"]


def test_many_are_told_in_turns(watched: Watched) -> None:
    """Of more actions than are looked at in one go each is told."""
    with contextlib.ExitStack() as stack:
        for number in range(100):
            stack.enter_context(trace_action(watched.logger, f"A{number}", "d"))
        for number in range(100):
            watched.await_stalls(f"A{number}")


def test_a_deep_stack_is_cut(watched: Watched) -> None:
    """Of a deep recursion the innermost 50 frames are kept."""

    def descend(depth: int) -> list[dict[str, Any]]:
        return descend(depth - 1) if depth else watched.await_stalls("Deep")

    with trace_action(watched.logger, "Deep", "d"):
        [record, *_] = descend(100)
    assert len(record["stack"]) == 50
    assert "descend" in record["stack"][0]["function"]
    assert any("await_stalls" in frame["function"] for frame in record["stack"])
