"""What may be chosen: the size of the buffer, what happens when it is full, durability."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from conftest import DEADLINE_S, records_of, tails_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

PRELUDE = """
import json, logging, os, sys, threading
from inspect_trace import TraceHandler
logger = logging.getLogger("x")
logger.setLevel(1)
path = sys.argv[1]
"""

# The smallest buffer, and records of which it holds three: the disk is slower than this.
FLOOD = (
    PRELUDE
    + """
handler = TraceHandler(path, buffer_bytes=1, on_full=sys.argv[2])
logger.addHandler(handler)
for number in range(5000):
    logger.info("%s", "x" * 20_000, extra={"number": number})
    if handler.dropped >= 10:
        break
logged = number + 1
handler.flush()
print(json.dumps({"logged": logged, "dropped": handler.dropped}))
"""
)


def test_a_full_buffer_drops(
    tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """`on_full="drop"`: what finds no room is counted, noted in the log, and told once."""
    path = tmp_path / "x.log"
    done = run_python(FLOOD, path, "drop")
    told = json.loads(done.stdout)
    assert told["dropped"] >= 10
    records = records_of(path)
    notes = [record for record in records if "dropped" in record]
    assert sum(note["dropped"] for note in notes) == told["dropped"]
    assert all("buffer" in note["message"] for note in notes)
    numbers = [record["number"] for record in records if "number" in record]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + told["dropped"] == told["logged"]
    [line] = done.stderr.splitlines()
    assert "too slow" in line
    assert str(path) in line


def test_a_full_buffer_blocks(
    tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """`on_full="block"`, the default: the program waits for the disk, and nothing is missing."""
    path = tmp_path / "x.log"
    done = run_python(FLOOD, path, "block")
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"logged": 5000, "dropped": 0}
    assert [record["number"] for record in records_of(path)] == list(range(5000))


def test_no_buffer(tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]) -> None:
    """`buffer_bytes=0`: a record is in the log when its call returns, and nothing is beside it."""
    path = tmp_path / "x.log"
    run_python(
        PRELUDE
        + """
logger.addHandler(TraceHandler(path, buffer_bytes=0))
def log(who):
    for number in range(200):
        logger.info("m", extra={"who": who, "number": number})
        with open(path, "rb") as file:
            assert b'"who": %d, "number": %d}\\n' % (who, number) in file.read()
        assert os.listdir(os.path.dirname(path)).count("x.log") == 1
        assert not [name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tail")]
threads = [threading.Thread(target=log, args=(who,)) for who in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
child = os.fork()
if child == 0:
    log(3)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
        path,
    )
    assert len(records_of(path)) == 800


FSYNC = (
    PRELUDE
    + """
logger.addHandler(TraceHandler(path, durability="fsync"))
failed = []
def log(who):
    for number in range(100):
        logger.info("m", extra={"who": who, "number": number})
        with open(path, "rb") as file:
            if b'"who": %d, "number": %d}\\n' % (who, number) not in file.read():
                failed.append((who, number))
threads = [threading.Thread(target=log, args=(who,)) for who in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert failed == [], failed
"""
)


def test_records_are_on_the_disk(
    tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """`durability="fsync"`: each record is in the log itself when its call returns."""
    path = tmp_path / "x.log"
    run_python(FSYNC, path)
    assert len(records_of(path)) == 400


def test_threads_wait_for_the_disk_together(tmp_path: Path) -> None:
    """`durability="fsync"`: the log is synced for several threads at a time."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    path, trace = tmp_path / "x.log", tmp_path / "strace"
    strace = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=fdatasync,fsync"]
    done = subprocess.run(
        [*strace, sys.executable, "-c", FSYNC, str(path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S * 2,
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.splitlines()[0]}")
    assert (done.returncode, done.stderr) == (0, "")
    syncs = re.findall(rf"fdatasync\(\d+<{re.escape(str(path))}>", trace.read_text())
    assert 100 <= len(syncs) < 400


def write_many(path: str) -> None:
    """What a child does that begins anew."""
    import logging

    from inspect_trace import TraceHandler

    logger = logging.Logger("child", 1)
    logger.addHandler(TraceHandler(path))
    for number in range(100):
        logger.info("%d", number)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_leave_nothing_behind(tmp_path: Path, method: str) -> None:
    """At the end of a child of multiprocessing its records are in the log, and nothing beside."""
    path = tmp_path / "x.log"
    context: Any = multiprocessing.get_context(method)
    children = [context.Process(target=write_many, args=(str(path),)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(DEADLINE_S)
        assert child.exitcode == 0
    assert tails_of(path) == []
    assert len(path.read_bytes().splitlines()) == 300


def test_forked_children_leave_nothing_behind(
    tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """Forked children and pools that write to their parent's log leave no buffer of their own."""
    path = tmp_path / "x.log"
    run_python(
        PRELUDE
        + """
import multiprocessing, warnings
warnings.filterwarnings("ignore", message=".*fork.*")
logger.addHandler(TraceHandler(path))
def log(_):
    for number in range(100):
        logger.info("%d", number)
    return os.getpid()
log(0)
context = multiprocessing.get_context("fork")
children = [context.Process(target=log, args=(0,)) for _ in range(3)]
for child in children:
    child.start()
for child in children:
    child.join()
    assert child.exitcode == 0
with context.Pool(2) as pool:
    pool.map(log, range(10))
    pool.close()
    pool.join()
tails = [name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tail")]
assert all(f".{os.getpid()}-" in name for name in tails), tails
""",
        path,
    )
    assert tails_of(path) == []
    assert len(path.read_bytes().splitlines()) == 1400
