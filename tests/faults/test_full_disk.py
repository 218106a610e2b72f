"""A full disk: the program goes on, what is missing is counted, and noted when space returns."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from inspect_trace import scan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults.conftest import Outcome

MEBIBYTE = 1 << 20


def tmpfs(mount: Path, options: str) -> str:
    """The shell command that mounts a small file system of its own."""
    mount.mkdir()
    return f"mount -t tmpfs -o {options} none '{mount}'"


@pytest.mark.parametrize("size_mib", [1, 16])
@pytest.mark.parametrize("place", ["path", "directory"])
def test_a_disk_that_fills_up_and_has_space_again(
    run_traced: Callable[..., Outcome],
    with_mounts: Callable[[str], list[str]],
    tmp_path: Path,
    size_mib: int,
    place: str,
) -> None:
    """Each record is in the log, or counted by one note in it; stderr has one line about it.

    The smaller file system has no room for a buffer beside the log either.
    """
    mount = tmp_path / "mount"
    outcome = run_traced(
        """
        mount, place = sys.argv[1:]
        traced = Traced(**{place: f"{mount}/x.log" if place == "path" else mount})
        traced.log(100)
        traced.wait_until_plain()
        with open(f"{mount}/filler", "wb", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    pass
        traced.log_until(lambda: traced.dropped > 0, size=1000)
        traced.log(1000)
        assert traced.dropped > 0
        os.unlink(f"{mount}/filler")
        traced.log_until_plain()
        traced.log(10)
        traced.tell()
        """,
        mount,
        place,
        prefix=with_mounts(tmpfs(mount, f"size={size_mib * MEBIBYTE}")),
    )
    outcome.assert_kept_or_counted()
    assert outcome.noted == outcome.dropped > 0
    assert outcome.numbers[:100] == list(range(100))
    assert outcome.numbers[-11:] == list(range(outcome.logged - 11, outcome.logged))
    [complaint] = outcome.complaints
    assert os.strerror(errno.ENOSPC) in complaint
    assert str(mount) in complaint


def test_a_disk_that_is_full_from_the_start(
    run_traced: Callable[..., Outcome], with_mounts: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """A program that starts on a full disk runs to its end with one line on stderr."""
    mount = tmp_path / "mount"
    fill = f"cat /dev/zero > '{mount}/filler' 2>/dev/null || true"
    outcome = run_traced(
        """
        traced = Traced(f"{sys.argv[1]}/x.log")
        traced.log_until(lambda: traced.dropped > 0, size=1000)
        traced.log(100)
        traced.tell()
        sys.exit(7)
        """,
        mount,
        prefix=with_mounts(tmpfs(mount, f"size={MEBIBYTE}") + "\n" + fill),
        exit_code=7,
    )
    outcome.assert_kept_or_counted()
    assert len(outcome.complaints) == 1


def test_a_disk_without_inodes(
    run_traced: Callable[..., Outcome], with_mounts: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """Where no file can be made the log is opened as soon as one can, and begins with a note."""
    mount = tmp_path / "mount"
    outcome = run_traced(
        """
        mount = sys.argv[1]
        made = 0
        try:
            while True:
                open(f"{mount}/{made}", "x").close()
                made += 1
        except OSError:
            pass
        traced = Traced(f"{mount}/x.log")
        traced.log(50)
        assert traced.dropped == 50
        for number in range(made):
            os.unlink(f"{mount}/{number}")
        traced.log_until_plain()
        traced.tell()
        """,
        mount,
        prefix=with_mounts(tmpfs(mount, "nr_inodes=20")),
    )
    outcome.assert_kept_or_counted()
    assert outcome.noted == outcome.dropped >= 50
    assert len(outcome.complaints) == 1


def test_children_on_a_full_disk(
    run_traced: Callable[..., Outcome], with_mounts: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """A child forked before the disk fills up meets the fault for itself, and ends as it would."""
    mount = tmp_path / "mount"
    outcome = run_traced(
        """
        mount = sys.argv[1]
        traced = Traced(f"{mount}/x.log")
        traced.log(10)
        go_on, told = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.close(2)  # its own line on stderr would be the parent's, once more
            os.read(go_on[0], 1)
            traced.log_until(lambda: traced.dropped > 0, size=1000)
            os._exit(5)
        traced.wait_until_plain()
        try:
            with open(f"{mount}/filler", "wb") as filler:
                while True:
                    filler.write(bytes(4096))
        except OSError:
            pass
        os.write(go_on[1], b"!")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        os.unlink(f"{mount}/filler")
        logged = traced.logged
        traced.tell(first=seen_in(traced.path)["numbers"][:logged])
        """,
        mount,
        prefix=with_mounts(tmpfs(mount, f"size={16 * MEBIBYTE}")),
    )
    assert outcome.told["first"] == list(range(10))


def test_a_gap_is_noted_at_the_end_too(
    run_traced: Callable[..., Outcome], with_mounts: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """Where space returns after the last record, closing the log leaves the note."""
    mount = tmp_path / "mount"
    outcome = run_traced(
        """
        mount = sys.argv[1]
        traced = Traced(f"{mount}/x.log")
        traced.log(10)
        traced.wait_until_plain()
        try:
            with open(f"{mount}/filler", "wb") as filler:
                while True:
                    filler.write(bytes(4096))
        except OSError:
            pass
        traced.log_until(lambda: traced.dropped > 0, size=1000)
        os.unlink(f"{mount}/filler")
        path = traced.path
        traced.tracing.close()
        traced.tell(**seen_in(path))
        """,
        mount,
        prefix=with_mounts(tmpfs(mount, f"size={16 * MEBIBYTE}")),
    )
    outcome.assert_kept_or_counted()
    assert outcome.noted == outcome.dropped > 0


@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_devices(run_traced: Callable[..., Outcome], device: str) -> None:
    """/dev/full is a full disk for ever, /dev/null takes everything: the program runs on."""
    outcome = run_traced(
        """
        traced = Traced(sys.argv[1])
        if sys.argv[1] == "/dev/full":
            traced.log_until(lambda: traced.dropped > 0, size=1000)
        traced.log(1000)
        sys.stdout.write(json.dumps(
            {"logged": traced.logged, "dropped": traced.dropped, "numbers": [], "noted": 0}
        ))
        sys.exit(3)
        """,
        device,
        exit_code=3,
    )
    assert len(outcome.complaints) == (device == "/dev/full")
    assert (outcome.dropped > 0) == (device == "/dev/full")


def test_what_fits_is_read_after_the_program_has_ended(
    run_traced: Callable[..., Outcome], tmp_path: Path
) -> None:
    """A log whose program ended at its file size limit has all records before the gap, whole."""
    path = tmp_path / "x.log"
    outcome = run_traced(
        """
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
        traced = Traced(sys.argv[1])
        traced.log_until(lambda: traced.dropped > 0)
        traced.log(100)
        traced.tell()
        """,
        path,
    )
    outcome.assert_kept_or_counted()
    numbers = [record["number"] for record in scan(path) if "number" in record]
    assert numbers == outcome.numbers
    assert len(numbers) > 100
    assert len(outcome.complaints) == 1
