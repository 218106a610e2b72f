"""Many processes and threads: whatever starts, forks, executes and ends, each record is there once.

What a single child may expect is in `test_fork.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import finish
from inspect_trace import list_trace_files, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    RunPython = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

# Python 3.12 warns of forks in a process with threads.
PRELUDE = """
import warnings
warnings.filterwarnings("ignore", message=".*fork.*")
import logging, os, signal, sys, threading
from inspect_trace import TraceHandler, init_tracing, trace_action, trace_message
logger = logging.getLogger("x")

def log(by, count, size=50):
    for number in range(count):
        logger.info("%s", "y" * (size * (number % 7)), extra={"by": by, "number": number})

def wait_for(child, code=0):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
"""


@pytest.fixture
def run(run_python: RunPython) -> RunPython:
    """Runs a program that has the names above."""

    def run_with_prelude(source: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return run_python(PRELUDE + textwrap.dedent(source), *arguments)

    return run_with_prelude


def numbers_by(paths: Iterable[Path]) -> dict[str, list[int]]:
    """The numbers of the records in some logs, by who wrote them, as they stand there."""
    numbers: dict[str, list[int]] = {}
    for path in paths:
        records = scan(path)
        for record in records:
            if "by" in record:
                numbers.setdefault(str(record["by"]), []).append(record["number"])
        assert records.skipped is None
    return numbers


def expected(names: Iterable[object], count: int) -> dict[str, list[int]]:
    """All numbers, each once, in their order."""
    return {str(name): list(range(count)) for name in names}


def test_children_with_threads_of_a_process_with_threads(run: RunPython, tmp_path: Path) -> None:
    """Eight threads log while children are forked, which start threads of their own."""
    path = tmp_path / "x.log"
    run(
        """
        init_tracing(path=sys.argv[1])
        begun = threading.Barrier(9)
        def work(name):
            log(f"{name} early", 10)
            begun.wait()
            log(name, 1000)
        threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        begun.wait()
        children = []
        for child_name in range(12):
            child = os.fork()
            if child == 0:
                own = [
                    threading.Thread(target=log, args=(f"c{child_name}.{n}", 100)) for n in range(2)
                ]
                for thread in own:
                    thread.start()
                log(f"c{child_name}.2", 100)
                for thread in own:
                    thread.join()
                os._exit(0)
            children.append(child)
        for thread in threads:
            thread.join()
        for child in children:
            wait_for(child)
        """,
        path,
    )
    early = expected([f"t{n} early" for n in range(8)], 10)
    threads = expected([f"t{n}" for n in range(8)], 1000)
    children = expected([f"c{n}.{m}" for n in range(12) for m in range(3)], 100)
    assert numbers_by([path]) == {**early, **threads, **children}


@pytest.mark.parametrize("place", ["filter", "text", "action text"])
def test_a_fork_in_the_middle_of_a_record(run: RunPython, tmp_path: Path, place: str) -> None:
    """A fork inside a filter or `__str__` gives the record to both processes, and both go on."""
    path = tmp_path / "x.log"
    run(
        """
        place = sys.argv[2]
        tracing = init_tracing(path=sys.argv[1])
        children = []
        class Forks:
            def __str__(self):
                children.append(os.fork())
                return "in the middle"
        def fork_once(record):
            if "filter" in record.getMessage():
                children.append(os.fork())
            return True
        log("before", 10)
        if place == "filter":
            tracing.handler.addFilter(fork_once)
            logger.info("filter", extra={"by": "both", "number": 0})
            tracing.handler.removeFilter(fork_once)
        elif place == "text":
            logger.info("%s", "a", extra={"by": "both", "number": 0, "other": Forks()})
        else:
            with trace_action(logger, "Action", "%s", Forks()):
                pass
        if children == [0]:
            log("child", 100)
            os._exit(0)
        log("parent", 100)
        wait_for(*children)
        log("after", 10)
        """,
        path,
        place,
    )
    numbers = numbers_by([path])
    both = numbers.pop("both", [])
    assert numbers == {
        **expected(["before", "after"], 10),
        **expected(["parent", "child"], 100),
    }
    if place == "action text":
        events = [record.event for record in scan(path) if record.action == "Action"]
        assert sorted(map(str, events)) == ["enter", "enter", "exit", "exit"]
    else:
        assert both == [0, 0]


def test_forks_inside_actions_inside_forks(run: RunPython, tmp_path: Path) -> None:
    """Twenty generations of processes, each forked in the action of the one before, keep all."""
    path = tmp_path / "x.log"
    run(
        """
        init_tracing(path=sys.argv[1])
        def descend(depth):
            with trace_action(logger, "Level", str(depth)):
                log(depth, 20)
                if depth < 20:
                    child = os.fork()
                    if child == 0:
                        descend(depth + 1)
                        os._exit(0)
                    wait_for(child)
        descend(0)
        """,
        path,
    )
    assert numbers_by([path]) == expected(range(21), 20)
    events = [(record.detail, record.event) for record in scan(path) if record.action]
    assert sorted(events) == sorted((str(d), e) for d in range(21) for e in ("enter", "exit"))


def test_however_a_child_ends(run: RunPython, tmp_path: Path) -> None:
    """Children that log and end at once, in any way, lose nothing, and the parent goes on."""
    path = tmp_path / "x.log"
    run(
        """
        import ctypes
        init_tracing(path=sys.argv[1])
        def segfault():
            import faulthandler
            faulthandler.disable()
            ctypes.string_at(0)
        def fail():
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody wants its traceback
            raise RuntimeError
        ends = {
            "_exit": (lambda: os._exit(5), 5),
            "exit": (lambda: sys.exit(6), 6),
            "exception": (fail, 1),
            "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
            "term": (lambda: os.kill(os.getpid(), signal.SIGTERM), -signal.SIGTERM),
            "segfault": (segfault, -signal.SIGSEGV),
            "exec": (lambda: os.execv("/bin/sh", ["sh", "-c", "exit 7"]), 7),
        }
        for turn in range(5):
            for name, (end, code) in ends.items():
                child = os.fork()
                if child == 0:
                    log(f"{name} {turn}", 50)
                    end()
                wait_for(child, code)
                log(f"after {name} {turn}", 3)
        """,
        path,
    )
    names = ("_exit", "exit", "exception", "kill", "term", "segfault", "exec")
    turns = [f"{name} {turn}" for name in names for turn in range(5)]
    assert numbers_by([path]) == {
        **expected(turns, 50),
        **expected([f"after {turn}" for turn in turns], 3),
    }


def test_a_record_between_fork_and_exec(run: RunPython, tmp_path: Path) -> None:
    """What a `preexec_fn` logs is kept, though the program that follows knows nothing of it."""
    path = tmp_path / "x.log"
    run(
        """
        import subprocess
        init_tracing(path=sys.argv[1])
        for turn in range(20):
            def before_exec():
                log(f"child {turn}", 10)
            subprocess.run(["/bin/true"], preexec_fn=before_exec, check=True)
        log("parent", 10)
        """,
        path,
    )
    names = [f"child {turn}" for turn in range(20)]
    assert numbers_by([path]) == expected(["parent", *names], 10)


SHARING = (
    PRELUDE
    + """
init_tracing()
name = sys.argv[1]
print("ready", flush=True)
sys.stdin.readline()
for number in range(400):
    size = 100_000 if number % 50 == 0 else number
    logger.info("%s", name * size, extra={"by": name, "number": number})
"""
)


def test_programs_that_share_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace_directory: Path
) -> None:
    """Twelve programs with one INSPECT_TRACE_FILE, at once, lose and mix nothing; none owns it."""
    path = tmp_path / "shared.log"
    monkeypatch.setenv("INSPECT_TRACE_FILE", str(path))
    names = "abcdefghijkl"
    programs = [
        subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", SHARING, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for name in names
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
    for program in programs:
        with program:
            assert finish(program) == ("", "")
        assert program.returncode == 0
    assert numbers_by([path]) == expected(names, 400)
    for record in scan(path):
        assert set(record.message) <= {record["by"]}
    assert not trace_directory.exists()
    assert not path.with_name("shared.log.gz").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the layout of flock is that of Linux")
@pytest.mark.parametrize("buffer_bytes", [1 << 22, 0])
def test_another_process_is_stopped_in_its_turn(
    run: RunPython, tmp_path: Path, buffer_bytes: int
) -> None:
    """Who has the turn to write a shared log and does not go on holds up nobody else's records."""
    path = tmp_path / "x.log"
    run(
        """
        import fcntl, json, struct
        path = sys.argv[1]
        tracing = init_tracing(path=path, buffer_bytes=int(sys.argv[2]))
        def in_log():
            with open(path) as lines:
                return [json.loads(line).get("number") for line in lines]
        logger.info("", extra={"by": "x", "number": 0})
        tracing.handler.flush()
        # The lock of those who write (see the format), by a description of the file of its own.
        other = os.open(path, os.O_RDWR)
        turn = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, (1 << 40) - 1, 1, 0)
        fcntl.fcntl(other, fcntl.F_OFD_SETLK, turn)
        for number in range(1, 4):
            logger.info("", extra={"by": "x", "number": number})
            tracing.handler.flush()
        assert in_log() == [0, 1, 2, 3]
        os.close(other)
        logger.info("", extra={"by": "x", "number": 4})
        tracing.handler.flush()
        assert in_log() == [0, 1, 2, 3, 4]
        """,
        path,
        buffer_bytes,
    )
    assert numbers_by([path]) == {"x": [0, 1, 2, 3, 4]}


POOL = """
import logging, multiprocessing, os, signal, sys
from inspect_trace import init_tracing

def work(number):
    init_tracing()
    logger = logging.getLogger("worker")
    for turn in range(5):
        logger.info("%s", "y" * 200, extra={"by": number, "number": turn})
    return number

def hang(number):
    work(number)
    os.write(int(sys.argv[2]), b"!")
    signal.pause()

if __name__ == "__main__":
    init_tracing()
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(3) as pool:
        assert pool.map(work, range(40), chunksize=1) == list(range(40))
        # Leaving the block terminates the workers.
    if sys.argv[1] == "fork":
        read, write = os.pipe()
        sys.argv[2:] = [str(write)]
        pool = context.Pool(3)
        pool.map_async(hang, range(40, 43), chunksize=1)
        for _ in range(3):
            os.read(read, 1)
        pool.terminate()
        pool.join()
    work("main")
"""


@pytest.mark.parametrize("place", ["file", "directory"])
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_pools_that_are_terminated(
    method: str,
    place: str,
    run_python: RunPython,
    tmp_path: Path,
    trace_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers that are terminated, idle or at work, leave all records, wherever they write."""
    path = tmp_path / "shared.log"
    if place == "file":
        monkeypatch.setenv("INSPECT_TRACE_FILE", str(path))
    run_python(
        "import warnings; warnings.filterwarnings('ignore', message='.*fork.*')\n" + POOL, method
    )
    files = list_trace_files(trace_directory)
    paths = [path] if place == "file" else [Path(file.path) for file in files]
    workers = 43 if method == "fork" else 40
    assert numbers_by(paths) == expected([*range(workers), "main"], 5)


def test_workers_of_a_traced_forkserver(run_python: RunPython, tmp_path: Path) -> None:
    """A fork server that has set tracing up itself passes it on to its workers."""
    path = tmp_path / "x.log"
    (tmp_path / "preloaded.py").write_text(
        textwrap.dedent(f"""
            import logging
            from inspect_trace import init_tracing
            init_tracing(path={str(path)!r})
            logger = logging.getLogger("x")
            logger.info("", extra={{"by": "server", "number": 0}})
            def work(name):
                for number in range(50):
                    logger.info("", extra={{"by": name, "number": number}})
        """)
    )
    run_python(
        """
        import multiprocessing, sys
        if __name__ == "__main__":
            sys.path.insert(0, sys.argv[1])
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["preloaded"])
            import preloaded
            children = [context.Process(target=preloaded.work, args=(n,)) for n in range(6)]
            for child in children:
                child.start()
            for child in children:
                child.join()
                assert child.exitcode == 0
        """,
        tmp_path,
    )
    numbers = numbers_by([path])
    assert set(numbers.pop("server")) == {0}
    assert numbers == expected(range(6), 50)


def test_a_child_that_outlives_its_run(
    run: RunPython, run_python: RunPython, trace_directory: Path, tmp_path: Path
) -> None:
    """The log of a dead parent is neither compressed nor retired while its child may write."""
    go_on, done = tmp_path / "go on", tmp_path / "done"
    os.mkfifo(go_on)
    os.mkfifo(done)
    # Open both ways, so that opening waits for nobody.
    go_on_fd, done_fd = (os.open(fifo, os.O_RDWR) for fifo in (go_on, done))
    told = run(
        """
        tracing = init_tracing(keep_runs=1)
        log("parent", 100)
        child = os.fork()
        if child == 0:
            for descriptor in (0, 1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            go_on, done = (os.open(fifo, os.O_RDWR) for fifo in sys.argv[1:])
            os.read(go_on, 1)
            log("child", 100)
            os.write(done, b"!")
            signal.pause()
        print(child)
        """,
        go_on,
        done,
    )
    child = int(told.stdout)
    try:
        [log] = trace_directory.glob("trace-*.log")
        for _ in range(4):
            run_python("""
                from inspect_trace import init_tracing
                from inspect_trace._core import housekeep
                tracing = init_tracing(keep_runs=1)
                housekeep(str(tracing.path.parent), 1)
            """)
        assert log.exists()
        [file] = [file for file in list_trace_files(trace_directory) if Path(file.path) == log]
        assert (file.alive, file.pid) == (True, child)
        assert numbers_by([log]) == expected(["parent"], 100)
        os.write(go_on_fd, b"!")
        assert os.read(done_fd, 1) == b"!"
        assert numbers_by([log]) == expected(["parent", "child"], 100)
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(go_on_fd)
        os.close(done_fd)
