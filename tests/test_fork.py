"""Forked and spawned children: nothing is lost, mixed up or closed behind the parent's back."""

from __future__ import annotations

import multiprocessing
import os
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import DEADLINE_S, records_of
from inspect_trace._core import list_trace_files

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    RunPython = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

# Python 3.12 warns of forks in a process with threads, and housekeeping is a thread for a moment.
QUIET = "import warnings; warnings.filterwarnings('ignore', message='.*fork.*')\n"


@pytest.fixture
def run(run_python: RunPython) -> RunPython:
    """Runs a program that may fork."""

    def run_quietly(source: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return run_python(QUIET + textwrap.dedent(source), *arguments)

    return run_quietly


def test_a_child_that_exits_leaves_the_parents_log_alone(
    run: RunPython, trace_directory: Path
) -> None:
    """A forked child that leaves by `sys.exit` neither closes nor compresses the parent's log."""
    run("""
        import logging, os, sys
        from inspect_trace.setup import init_tracing
        from inspect_trace.action import trace_action
        tracing = init_tracing()
        logger = logging.getLogger("x")
        with trace_action(logger, "Parent", "m"):
            child = os.fork()
            if child == 0:
                logger.warning("from the child")
                sys.exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
            logger.warning("after the child")
            assert tracing.path.exists()
    """)
    [log] = trace_directory.glob("*.log")
    records = records_of(log)
    assert [r["message"] for r in records] == [
        "Parent: m (enter)",
        "from the child",
        "after the child",
        "Parent: m (exit)",
    ]


def test_actions_of_a_child_tell_its_pid_and_its_parent(run: RunPython, tmp_path: Path) -> None:
    """A child's actions carry `pid`, and the action that they were forked in as parent."""
    path = tmp_path / "x.log"
    run(
        """
        import logging, os, sys
        from inspect_trace.setup import init_tracing
        from inspect_trace.action import trace_action
        init_tracing(path=sys.argv[1])
        logger = logging.getLogger("x")
        with trace_action(logger, "Parent", "m"):
            child = os.fork()
            if child == 0:
                with trace_action(logger, "Child", str(os.getpid())):
                    pass
                os._exit(0)
            os.waitpid(child, 0)
        """,
        path,
    )
    records = records_of(path)
    assert [(r["action"], r["event"]) for r in records] == [
        ("Parent", "enter"),
        ("Child", "enter"),
        ("Child", "exit"),
        ("Parent", "exit"),
    ]
    for record in records:
        if record["action"] == "Child":
            assert record["pid"] == int(record["detail"])
            assert record["parent_id"] == records[0]["trace_id"]
            assert list(record)[-2:] == ["parent_id", "pid"]
        else:
            assert "pid" not in record


def test_a_child_counts_as_alive_for_itself(run: RunPython, trace_directory: Path) -> None:
    """While a child still writes, the log of a parent that has ended is live; then it is dead."""
    done = run("""
        import logging, os, sys
        from inspect_trace.setup import init_tracing
        from inspect_trace._core import list_trace_files
        tracing = init_tracing()
        directory = str(tracing.path.parent)
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            while os.getppid() == parent:
                os.sched_yield()
            # The thread of it that closes the files, the locked log among them, may not be the last
            # to end. (Should its hold never end, this does not either.)
            [file] = list_trace_files(directory)
            while file.pid == parent:
                os.sched_yield()
                [file] = list_trace_files(directory)
            mine = file.pid == os.getpid()
            logging.getLogger("x").warning("alive %s, by me %s", file.alive, mine)
            os._exit(0)
        print(child, flush=True)
        os._exit(0)
    """)
    # The pipe that the child's output came through is closed: it has ended, or is about to.
    assert done.stdout.strip().isdecimal()
    [log] = trace_directory.glob("*.log")
    assert [r["message"] for r in records_of(log)] == ["alive True, by me True"]
    deadline_s = time.monotonic() + DEADLINE_S
    while list_trace_files(str(trace_directory))[0].alive is not False:
        assert time.monotonic() < deadline_s
        os.sched_yield()


def test_many_children_and_the_parent_write_at_once(run: RunPython, tmp_path: Path) -> None:
    """Concurrent processes on one log tear and lose nothing."""
    path = tmp_path / "x.log"
    run(
        """
        import logging, os, sys
        from inspect_trace.handler import TraceHandler
        logger = logging.Logger("x")
        logger.addHandler(TraceHandler(sys.argv[1]))
        def work(name):
            for number in range(300):
                logger.warning("y" * (number % 100), extra={"by": name, "number": number})
        children = []
        for name in range(4):
            child = os.fork()
            if child == 0:
                work(name)
                os._exit(0)
            children.append(child)
        work(4)
        for child in children:
            os.waitpid(child, 0)
        """,
        path,
    )
    numbers: dict[int, list[int]] = {name: [] for name in range(5)}
    for record in records_of(path):
        numbers[record["by"]].append(record["number"])
    assert numbers == {name: list(range(300)) for name in range(5)}


def test_forking_while_other_threads_log(run: RunPython, tmp_path: Path) -> None:
    """A child forked in the middle of other threads' emits can log at once, without a deadlock."""
    path = tmp_path / "x.log"
    run(
        """
        import logging, os, sys, threading
        from inspect_trace.handler import TraceHandler
        logger = logging.Logger("x")
        handlers = [TraceHandler(sys.argv[1])]
        logger.addHandler(handlers[0])
        stop = threading.Event()
        def work():
            while not stop.is_set():
                logger.warning("thread %s", [1] * 50)
                handlers.append(TraceHandler(sys.argv[1]))  # opening holds a lock
                handlers.pop().close()
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            child = os.fork()
            if child == 0:
                logger.warning("child")
                TraceHandler(sys.argv[1])
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        """,
        path,
    )
    texts = [r["message"] for r in records_of(path)]
    assert texts.count("child") == 50


def test_a_grandchild_writes_too(run: RunPython, tmp_path: Path) -> None:
    """A daemon that forks twice keeps on writing to the log."""
    path = tmp_path / "x.log"
    done = run(
        """
        import logging, os, sys
        from inspect_trace.setup import init_tracing
        init_tracing(path=sys.argv[1])
        if os.fork():
            os._exit(0)
        os.setsid()
        if os.fork():
            os._exit(0)
        logging.getLogger("x").warning("daemon")
        print("done")
        """,
        path,
    )
    assert done.stdout == "done\n"
    assert [r["message"] for r in records_of(path)] == ["daemon"]


def test_a_child_that_closes_its_handler_leaves_the_parents_open(
    run: RunPython, tmp_path: Path
) -> None:
    """Closing in a child is the child's own affair."""
    path = tmp_path / "x.log"
    run(
        """
        import logging, os, sys
        from inspect_trace.setup import init_tracing
        tracing = init_tracing(path=sys.argv[1])
        child = os.fork()
        if child == 0:
            tracing.close()
            os._exit(0)
        os.waitpid(child, 0)
        logging.getLogger("x").warning("parent")
        """,
        path,
    )
    assert [r["message"] for r in records_of(path)] == ["parent"]


WORKER = """
import logging, multiprocessing, os, sys
from inspect_trace.action import trace_action
from inspect_trace.setup import init_tracing

def work(number):
    init_tracing()
    logger = logging.getLogger("worker")
    with trace_action(logger, "Work", "%d", number):
        logger.warning("working on %d", number)
    return os.getpid()

if __name__ == "__main__":
    init_tracing()
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        pids = pool.map(work, range(8), chunksize=1)
    logging.getLogger("main").warning("all done")
    print(len(set(pids)), os.getpid())
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing_pools(method: str, run: RunPython, trace_directory: Path) -> None:
    """However workers start, every record is there, in one run; the pool's end loses nothing."""
    done = run(WORKER, method)
    processes, main_pid = map(int, done.stdout.split())
    files = list_trace_files(str(trace_directory))
    assert len(files) == (1 if method == "fork" else 1 + processes)
    if all(file.run_id is not None for file in files):
        assert len({file.run_id for file in files}) == 1
        tops = [file for file in files if not file.is_child]
        assert [Path(file.path).name for file in tops] == [f"trace-{main_pid}.log"]
    records = [record for file in files for record in records_of(Path(file.path))]
    for number in range(8):
        assert sum(r["message"] == f"working on {number}" for r in records) == 1
        ends = [r for r in records if r["message"] == f"Work: {number} (exit)"]
        assert len(ends) == 1
        assert ("pid" in ends[0]) == (method == "fork")
    assert records_of(trace_directory / f"trace-{main_pid}.log")[-1]["message"] == "all done"


def test_handlers_forgotten_before_the_fork_are_not_reopened(
    run: RunPython, tmp_path: Path
) -> None:
    """The hook for forks keeps no handler alive."""
    run(
        """
        import os, sys
        from pathlib import Path
        from inspect_trace.handler import TraceHandler
        TraceHandler(sys.argv[1])
        child = os.fork()
        if child == 0:
            links = [os.readlink(p) for p in Path("/proc/self/fd").iterdir() if p.exists()]
            os._exit(sys.argv[1] in links)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        tmp_path / "x.log",
    )


def test_a_program_that_executes_itself_again(run: RunPython, trace_directory: Path) -> None:
    """After `os.execv` the same pid gets a log of its own, and the first one stays whole."""
    run("""
        import logging, os, sys
        from inspect_trace.setup import init_tracing
        init_tracing()
        again = len(sys.argv) > 1
        logging.getLogger("x").warning("second" if again else "first")
        if not again:
            os.execv(sys.executable, [sys.executable, *sys.argv, "again"])
    """)
    texts = sorted(records_of(log)[0]["message"] for log in trace_directory.glob("*.log"))
    assert texts == ["first", "second"]


def test_a_child_forked_while_a_log_is_read_neither_waits_nor_reads_on(
    run: RunPython, tmp_path: Path
) -> None:
    """A child has none of the threads that read: going on is an error, leaving is not hindered.

    The parent reads on, and a child that begins anew reads all.
    """
    log = tmp_path / "trace-1.log"
    line = '{"timestamp": "2026-11-23T10:22:25+00:00", "level": "INFO", "message": "m"}\n'
    log.write_text(line * 60_000)
    done = run(
        """
        import os
        import sys
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        from inspect_trace import anomalies, scan

        def count(path):
            return sum(1 for _ in scan(path))

        for _ in range(10):
            records = scan(sys.argv[1])
            next(records)
            child = os.fork()
            if child == 0:
                try:
                    read = 1 + sum(1 for _ in records)
                except OSError as error:
                    assert "fork" in str(error), error
                else:
                    # All that had been read before the fork was all there is.
                    raise SystemExit(f"read {read} records")
                del records
                sys.exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert 1 + sum(1 for _ in records) == 60_000
        with ProcessPoolExecutor(2, get_context("fork")) as pool:
            assert list(pool.map(count, [sys.argv[1]] * 2)) == [60_000] * 2
        assert anomalies(sys.argv[1]).running == []
        """,
        log,
    )
    assert (done.returncode, done.stderr) == (0, "")
