"""What others do to the directory and to the log; what is no place for a log."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conftest import DEADLINE_S
from faults.conftest import NOBODY, TESTS
from faults.traced import seen_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults.conftest import Outcome


@pytest.mark.parametrize("place", ["path", "directory"])
def test_a_directory_without_permission(
    run_traced: Callable[..., Outcome], as_nobody: list[str], open_directory: Path, place: str
) -> None:
    """A directory that the user may not write to is one line, and the program runs on."""
    where = open_directory if place == "directory" else open_directory / "x.log"
    outcome = run_traced(
        """
        traced = Traced(**{sys.argv[2]: sys.argv[1]})
        traced.log(100)
        traced.tell()
        sys.exit(4)
        """,
        where,
        place,
        prefix=as_nobody,
        exit_code=4,
    )
    assert outcome.numbers == []
    assert outcome.dropped == outcome.logged
    [complaint] = outcome.complaints
    assert os.strerror(errno.EACCES) in complaint
    assert str(open_directory) in complaint


def test_a_log_in_a_directory_without_permission(
    run_traced: Callable[..., Outcome], as_nobody: list[str], open_directory: Path
) -> None:
    """A log that may be written, where nothing may be made beside it, has all records."""
    path = open_directory / "x.log"
    path.touch()
    os.chown(path, NOBODY, NOBODY)
    outcome = run_traced(
        """
        traced = Traced(sys.argv[1])
        traced.log(20_000)
        traced.wait_until_plain()
        traced.tell()
        """,
        path,
        prefix=as_nobody,
    )
    outcome.assert_all_kept()
    assert outcome.complaints == []
    assert seen_in(path)["numbers"] == outcome.numbers
    assert list(open_directory.iterdir()) == [path]


def test_a_read_only_file_system(
    run_traced: Callable[..., Outcome], with_mounts: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """A file system mounted read-only is one line; when it can be written to the log begins."""
    mount = tmp_path / "mount"
    mount.mkdir()
    outcome = run_traced(
        """
        import subprocess
        traced = Traced(directory=f"{sys.argv[1]}/traces")
        traced.log(100)
        assert traced.dropped == 100
        subprocess.run(["mount", "-o", "remount,rw", sys.argv[1]], check=True)
        traced.log_until_plain()
        traced.tell()
        """,
        mount,
        prefix=with_mounts(f"mount -t tmpfs -o ro none '{mount}'"),
    )
    outcome.assert_kept_or_counted()
    assert outcome.noted == outcome.dropped >= 100
    [complaint] = outcome.complaints
    assert os.strerror(errno.EROFS) in complaint


@pytest.mark.parametrize("place", ["path", "directory"])
def test_the_directory_is_removed(
    run_traced: Callable[..., Outcome], tmp_path: Path, place: str
) -> None:
    """A program whose directory is removed goes on; so does its child, and what it starts next."""
    directory = tmp_path / "traces"
    where = directory if place == "directory" else directory / "x.log"
    outcome = run_traced(
        """
        import shutil
        where, place, directory = sys.argv[1:]
        traced = Traced(**{place: where})
        traced.log(100)
        traced.wait_until_plain()
        while os.path.exists(directory):  # a thread that tidies up may make something in it
            shutil.rmtree(directory, ignore_errors=True)
        traced.log(20_000)
        child = os.fork()
        if child == 0:
            traced.log(100)
            os._exit(6)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
        traced.tracing.close()
        traced = Traced(**{place: where})
        traced.log(100)
        traced.wait_until_plain()
        traced.tell()
        """,
        where,
        place,
        directory,
    )
    outcome.assert_all_kept()
    assert len(outcome.complaints) <= 1


@pytest.mark.parametrize("place", ["path", "directory"])
def test_the_directory_comes_back(
    run_traced: Callable[..., Outcome], tmp_path: Path, place: str
) -> None:
    """Once somebody has made a removed directory again, the log goes on there, complete."""
    directory = tmp_path / "traces"
    where = directory if place == "directory" else directory / "x.log"
    outcome = run_traced(
        """
        import shutil
        where, place, directory = sys.argv[1:]
        traced = Traced(**{place: where})
        traced.log(100)
        traced.wait_until_plain()
        while os.path.exists(directory):  # a thread that tidies up may make something in it
            shutil.rmtree(directory, ignore_errors=True)
        traced.log(1000)
        traced.tracing.handler.flush()
        os.mkdir(directory)
        traced.log_until_plain()
        traced.tell()
        """,
        where,
        place,
        directory,
    )
    assert outcome.numbers == list(range(100, outcome.logged))
    assert (outcome.dropped, outcome.noted) == (0, 0)
    assert len(outcome.complaints) <= 2  # that it cannot be written, and that it was removed


@pytest.mark.parametrize("place", ["path", "directory"])
def test_the_log_is_deleted(run_traced: Callable[..., Outcome], tmp_path: Path, place: str) -> None:
    """A log that somebody deletes is made anew, with a note; only what was in it is gone."""
    directory = tmp_path / "traces"
    where = directory if place == "directory" else directory / "x.log"
    outcome = run_traced(
        """
        where, place = sys.argv[1:]
        traced = Traced(**{place: where})
        for _ in range(3):
            traced.log(100)
            traced.wait_until_plain()
            os.unlink(traced.path)
        traced.log(20_000)
        traced.wait_until_plain()
        with open(traced.path) as log:
            first = json.loads(log.readline())
        mode = oct(os.stat(traced.path).st_mode)
        traced.log(10)
        traced.tell(first=first, mode=mode)
        sys.exit(2)
        """,
        where,
        place,
        exit_code=2,
    )
    assert outcome.numbers == list(range(300, 20_310))
    assert (outcome.dropped, outcome.noted) == (0, 0)
    note = outcome.told["first"]
    assert isinstance(note, dict)
    assert note["message"].startswith("[inspect-trace] the log was removed")
    assert outcome.told["mode"] == oct(stat.S_IFREG | 0o600)
    [complaint] = outcome.complaints
    assert "removed" in complaint
    assert "cannot" not in complaint
    assert str(directory) in complaint


def test_the_log_is_truncated(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """After somebody has emptied the log (as logrotate does) it goes on from its beginning."""
    outcome = run_traced(
        """
        traced = Traced(sys.argv[1])
        for _ in range(5):
            traced.log(100)
            traced.wait_until_plain()
            os.truncate(sys.argv[1], 0)
        traced.log(20_000)
        traced.wait_until_plain()
        traced.tell()
        """,
        tmp_path / "x.log",
    )
    assert outcome.numbers == list(range(500, 20_500))
    assert outcome.dropped == 0
    assert outcome.complaints == []


def test_the_log_is_truncated_under_way(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """Truncating while threads log disturbs nobody: what comes afterwards is there, once, whole."""
    outcome = run_traced(
        """
        import threading
        traced = Traced(sys.argv[1])
        stop = threading.Event()
        def log():
            while not stop.is_set():
                logger.info("other", extra={"dropped": 0})
        threads = [threading.Thread(target=log) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            traced.log(20)
            os.truncate(sys.argv[1], 0)
        stop.set()
        for thread in threads:
            thread.join()
        os.truncate(sys.argv[1], 0)
        first = traced.logged
        traced.log(1000)
        traced.wait_until_plain()
        traced.tell(first=first)
        """,
        tmp_path / "x.log",
    )
    first = outcome.told["first"]
    assert isinstance(first, int)
    after = [number for number in outcome.numbers if number >= first]
    assert after == list(range(first, outcome.logged))
    assert outcome.dropped == 0
    assert outcome.complaints == []


@pytest.mark.parametrize("place", ["path", "directory"])
def test_every_file_is_truncated(
    run_traced: Callable[..., Outcome], tmp_path: Path, place: str
) -> None:
    """Emptying all files of the directory, hidden ones too, kills nobody; what comes then is kept.

    A buffer in a mapped file would end the program by SIGBUS here.
    """
    directory = tmp_path / "traces"
    where = directory if place == "directory" else directory / "x.log"
    outcome = run_traced(
        """
        import contextlib
        where, place, directory = sys.argv[1:]
        traced = Traced(**{place: where})
        def truncate_all():
            for parent, _, names in os.walk(directory):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):  # a temporary one
                        os.truncate(os.path.join(parent, name), 0)
        for _ in range(20):
            traced.log(200)
            truncate_all()
            traced.log(200, size=3000)
        child = os.fork()
        if child == 0:
            for _ in range(20):
                logger.info("child", extra={"dropped": 0})
                truncate_all()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        traced.log_until_plain()
        first = traced.logged
        dropped = traced.dropped
        traced.log(2000)
        traced.wait_until_plain()
        traced.tell(first=first, more_dropped=traced.dropped - dropped)
        """,
        where,
        place,
        directory,
    )
    first = outcome.told["first"]
    assert isinstance(first, int)
    after = [number for number in outcome.numbers if number >= first]
    assert after == list(range(first, outcome.logged))
    assert outcome.told["more_dropped"] == 0
    assert len(outcome.complaints) <= 1


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket", "fifo with a reader"])
def test_what_is_no_log(run_traced: Callable[..., Outcome], tmp_path: Path, kind: str) -> None:
    """A path that is no regular file is refused in one line; nobody waits for the other end."""
    path = tmp_path / "x.log"
    listener = socket.socket(socket.AF_UNIX)
    reader = None
    if kind == "directory":
        path.mkdir()
    elif kind == "socket":
        listener.bind(str(path))
    else:
        os.mkfifo(path)
        if kind != "fifo":
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    outcome = run_traced(
        """
        traced = Traced(sys.argv[1])
        traced.log(1000)
        sys.stdout.write(json.dumps(
            {"logged": traced.logged, "dropped": traced.dropped, "numbers": [], "noted": 0}
        ))
        sys.exit(8)
        """,
        path,
        exit_code=8,
    )
    listener.close()
    if reader is not None:
        assert os.read(reader, 1) == b""
        os.close(reader)
    assert outcome.dropped == outcome.logged
    [complaint] = outcome.complaints
    assert str(path) in complaint


def test_the_log_is_renamed(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """A log that somebody renames (as logrotate does) goes on under its new name, complete."""
    outcome = run_traced(
        """
        directory = sys.argv[1]
        traced = Traced(f"{directory}/x.log")
        traced.log(1000)
        os.rename(f"{directory}/x.log", f"{directory}/x.log.1")
        traced.log(1000)
        new = Traced(f"{directory}/x.log")
        new.tracing.close()
        traced.tracing.close()
        traced.tell(**seen_in(f"{directory}/x.log.1"))
        """,
        tmp_path,
    )
    outcome.assert_all_kept()
    assert outcome.complaints == []


def test_an_append_only_log(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """A log that the file system lets nobody change but by appending has all records."""
    path = tmp_path / "x.log"
    path.touch()
    if (
        shutil.which("chattr") is None
        or subprocess.run(["chattr", "+a", path], capture_output=True).returncode
    ):
        pytest.skip("no file can be made append-only here: needs root and chattr")
    try:
        outcome = run_traced(
            """
            traced = Traced(sys.argv[1])
            traced.log(20_000)
            traced.wait_until_plain()
            traced.tell()
            """,
            path,
        )
    finally:
        subprocess.run(["chattr", "-a", path], check=True)
    outcome.assert_all_kept()
    assert outcome.complaints == []


def test_an_odd_umask(
    run_traced: Callable[..., Outcome], as_nobody: list[str], open_directory: Path
) -> None:
    """With a umask that takes every permission away, parent and child write all the same."""
    open_directory.chmod(0o777)
    outcome = run_traced(
        """
        os.umask(0o777)
        traced = Traced(sys.argv[1])
        traced.log(100)
        child = os.fork()
        if child == 0:
            traced.log(100)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        traced.logged += 100
        traced.log(100)
        traced.tell()
        """,
        open_directory / "x.log",
        prefix=as_nobody,
    )
    outcome.assert_all_kept()
    assert outcome.complaints == []


@pytest.mark.parametrize("written_by", ["real", "link", "through"])
@pytest.mark.parametrize("read_by", ["real", "link", "through"])
def test_a_log_with_several_names(tmp_path: Path, written_by: str, read_by: str) -> None:
    """Through whatever symlink a log is written, all is read by its other names after a kill."""
    real, elsewhere = tmp_path / "real", tmp_path / "elsewhere"
    real.mkdir()
    elsewhere.mkdir()
    (real / "x.log").touch()
    (elsewhere / "link.log").symlink_to(real / "x.log")
    (elsewhere / "directory").symlink_to(real, target_is_directory=True)
    names = {
        "real": real / "x.log",
        "link": elsewhere / "link.log",
        "through": elsewhere / "directory" / "x.log",
    }
    program = """
import os, signal, sys
from faults.traced import *
traced = Traced(sys.argv[1])
traced.log(500)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, names[written_by]],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, b"")
    assert seen_in(names[read_by])["numbers"] == list(range(500))
