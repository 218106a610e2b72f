"""Limits of the process: file size, open files, threads, memory."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import DEADLINE_S
from faults.conftest import TESTS
from faults.traced import seen_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.conftest import Outcome

CGROUP_VARIABLE = "INSPECT_TRACE_TEST_CGROUP"
"""Names a memory cgroup in which a test may make one of its own. None is taken unasked: what a test
does in the cgroup of its session, its session notices."""


dispositions = pytest.mark.parametrize("disposition", ["SIG_IGN", "SIG_DFL"])


@dispositions
def test_a_file_size_limit(
    run_traced: Callable[..., Outcome], tmp_path: Path, disposition: str
) -> None:
    """Beyond the limit records are counted, not written; the program lives, whatever SIGXFSZ does.

    When the limit is raised the log goes on, after a note.
    """
    outcome = run_traced(
        """
        path, disposition = sys.argv[1:]
        signal.signal(signal.SIGXFSZ, getattr(signal, disposition))
        traced = Traced(path)
        traced.log(100)
        traced.wait_until_plain()
        infinity = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + 1000, infinity))
        traced.log_until(lambda: traced.dropped > 0, size=1000)
        traced.log(100)
        resource.setrlimit(resource.RLIMIT_FSIZE, (infinity, infinity))
        traced.log_until_plain()
        traced.tell()
        """,
        tmp_path / "x.log",
        disposition,
    )
    outcome.assert_kept_or_counted()
    assert outcome.noted == outcome.dropped > 0
    [complaint] = outcome.complaints
    assert os.strerror(errno.EFBIG) in complaint


@dispositions
def test_no_file_may_have_a_byte(
    run_traced: Callable[..., Outcome], tmp_path: Path, disposition: str
) -> None:
    """Where nothing at all can be written, setting tracing up and logging leave the program be."""
    outcome = run_traced(
        """
        signal.signal(signal.SIGXFSZ, getattr(signal, sys.argv[2]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        traced = Traced(directory=sys.argv[1])
        traced.log_until(lambda: traced.dropped > 0, size=1000)
        traced.log(100)
        traced.tell()
        sys.exit(9)
        """,
        tmp_path / "traces",
        disposition,
        exit_code=9,
    )
    outcome.assert_kept_or_counted()
    assert len(outcome.complaints) == 1


def test_no_descriptor_is_left(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """Without a descriptor the log cannot be opened: one line, and it is once there is one."""
    outcome = run_traced(
        """
        import pathlib
        traced = Traced(sys.argv[1] + "/first.log")
        traced.tracing.close()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, hard))
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        traced = Traced(sys.argv[1] + "/x.log")
        traced.log(50)
        assert traced.dropped == 50
        for descriptor in taken:
            os.close(descriptor)
        traced.log_until_plain()
        traced.tell()
        """,
        tmp_path,
    )
    outcome.assert_kept_or_counted()
    assert outcome.noted == outcome.dropped >= 50
    [complaint] = outcome.complaints
    assert os.strerror(errno.EMFILE) in complaint


def test_descriptors_run_out_while_tracing(
    run_traced: Callable[..., Outcome], tmp_path: Path
) -> None:
    """An open log needs no further descriptor: nothing is lost, nothing is said."""
    outcome = run_traced(
        """
        traced = Traced(sys.argv[1] + "/x.log")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, hard))
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        traced.log(20_000)
        for descriptor in taken:
            os.close(descriptor)
        traced.wait_until_plain()
        traced.tell()
        """,
        tmp_path,
    )
    outcome.assert_all_kept()
    assert outcome.complaints == []


@pytest.mark.parametrize("place", ["path", "directory"])
def test_no_thread_can_be_started(
    run_traced: Callable[..., Outcome], as_nobody: list[str], open_directory: Path, place: str
) -> None:
    """Where the system gives no further thread, records are kept all the same, up to the exit."""
    open_directory.chmod(0o777)
    where = open_directory if place == "directory" else open_directory / "x.log"
    outcome = run_traced(
        """
        import threading
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            threading.Thread(target=print).start()
        except RuntimeError:
            pass
        else:
            raise AssertionError("a thread has been started")
        traced = Traced(**{sys.argv[2]: sys.argv[1]})
        traced.log(20_000)
        traced.tell(path=traced.path)
        """,
        where,
        place,
        prefix=as_nobody,
    )
    outcome.assert_all_kept()
    assert len(outcome.complaints) <= 1
    assert seen_in(str(outcome.told["path"]))["numbers"] == outcome.numbers


def test_little_memory(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """Where no further megabyte can be mapped, records are kept all the same."""
    outcome = run_traced(
        """
        import mmap
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        size = pages * resource.getpagesize() + 2_500_000
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        try:
            mmap.mmap(-1, 4_000_000)
        except OSError:
            pass
        else:
            raise AssertionError("there is memory")
        traced = Traced(sys.argv[1])
        traced.log(20_000)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        traced.wait_until_plain()
        traced.tell()
        """,
        tmp_path / "x.log",
    )
    outcome.assert_all_kept()
    assert len(outcome.complaints) <= 1


HUNGRY = """
import mmap, os, resource, sys
from faults.traced import *
traced = Traced(sys.argv[1])
kept = []
size = 0
while True:
    traced.log()
    os.write(1, b"%d\\n" % (traced.logged - 1))
    block = mmap.mmap(-1, 1 << 20) if sys.argv[2] == "mmap" else bytearray(1 << 20)
    for offset in range(0, 1 << 20, 4096):
        block[offset] = 1
    kept.append(block)
"""


def acknowledged_by(command: list[str]) -> tuple[int, str, list[int]]:
    """The exit code of a program that runs out of memory, its errors, what it acknowledged."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S * 2,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    return done.returncode, done.stderr, [int(line) for line in done.stdout.split()]


def test_the_program_runs_out_of_memory(tmp_path: Path) -> None:
    """A program that dies of a MemoryError, which is no kill yet, has all its records."""
    path = tmp_path / "x.log"
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))\n"
    code, errors, acknowledged = acknowledged_by(
        [sys.executable, "-c", limited + HUNGRY, str(path), "bytearray"]
    )
    assert code == 1
    assert "MemoryError" in errors
    assert "inspect-trace" not in errors
    numbers = seen_in(path)["numbers"]
    assert numbers[: len(acknowledged)] == acknowledged == list(range(len(acknowledged)))
    assert 0 <= len(numbers) - len(acknowledged) <= 1


def test_the_kernel_kills_for_want_of_memory(tmp_path: Path) -> None:
    """An OOM-kill in a memory cgroup loses no record that was acknowledged."""
    parent = os.environ.get(CGROUP_VARIABLE)
    if not parent:
        pytest.skip(f"no memory cgroup to make one in: name it by {CGROUP_VARIABLE}")
    group = Path(parent, f"inspect-trace-{os.getpid()}")
    group.mkdir()
    try:
        limits = [group / name for name in ("memory.max", "memory.limit_in_bytes")]
        [limit] = [path for path in limits if path.exists()]
        limit.write_text(str(128 << 20))
        swap = group / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
        path = tmp_path / "x.log"
        enter = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
        code, errors, acknowledged = acknowledged_by(
            [sys.executable, "-c", enter + HUNGRY, str(path), "mmap"]
        )
        assert code == -signal.SIGKILL, errors
        numbers = seen_in(path)["numbers"]
        assert numbers[: len(acknowledged)] == acknowledged == list(range(len(acknowledged)))
        assert 0 <= len(numbers) - len(acknowledged) <= 1
    finally:
        group.rmdir()
