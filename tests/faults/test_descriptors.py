"""Programs that close what is not theirs, as daemons do, or change what is around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults.traced import seen_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults.conftest import Outcome


def test_all_descriptors_are_closed(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """A program that closes every descriptor goes on, and its records are kept."""
    outcome = run_traced(
        """
        traced = Traced(sys.argv[1])
        traced.log(100)
        os.closerange(3, 4096)
        traced.log(20_000)
        traced.tell()
        """,
        tmp_path / "x.log",
    )
    outcome.assert_all_kept()
    assert outcome.complaints == []


def test_the_descriptor_becomes_another_file(
    run_traced: Callable[..., Outcome], tmp_path: Path
) -> None:
    """No record ends up in a file that gets the number of the log's closed descriptor.

    Nor is that file closed: the records go into the log, which is opened again.
    """
    outcome = run_traced(
        """
        traced = Traced(sys.argv[1])
        traced.log(100)
        traced.wait_until_plain()
        os.closerange(3, 4096)
        data = [open(f"{sys.argv[2]}{number}", "wb", buffering=0) for number in range(20)]
        traced.log(20_000)
        for file in data:
            file.write(b"data")
        traced.tracing.close()
        for file in data:
            file.write(b"data")
            file.close()
        traced.tell()
        """,
        tmp_path / "x.log",
        tmp_path / "data",
    )
    assert {path.read_bytes() for path in tmp_path.glob("data*")} == {b"datadata"}
    outcome.assert_all_kept()
    assert outcome.complaints == []


def test_a_daemon(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """A daemon that forks twice, closes all, and sets tracing up anew loses nothing after that."""
    path = tmp_path / "x.log"
    outcome = run_traced(
        """
        traced = Traced(sys.argv[1])
        traced.log(100)
        traced.wait_until_plain()
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.dup2(write, 0)
            os.closerange(3, 4096)
            os.chdir("/")
            traced.tracing.close()
            traced.tracing = init_tracing(path=sys.argv[1])
            traced.log(1000)
            traced.wait_until_plain()
            os.write(0, b"!")
            os._exit(0)
        os.close(write)
        assert os.read(read, 1) == b"!"
        traced.logged += 1000
        traced.tell()
        """,
        path,
    )
    outcome.assert_all_kept()
    assert outcome.complaints == []
    assert seen_in(path)["numbers"] == outcome.numbers


def test_a_change_of_directory(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """A relative path means what it meant when it was given, in children and late openings too."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "late").write_text("a file where a directory is needed")
    outcome = run_traced(
        """
        from inspect_trace import TraceHandler
        os.chdir(sys.argv[1] + "/a")
        traced = Traced("x.log")
        late = TraceHandler("late/x.log")
        logger.addHandler(late)
        traced.log(10)
        os.chdir("../b")
        child = os.fork()
        if child == 0:
            traced.log(10)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        traced.logged += 10
        os.unlink("../a/late")
        traced.log_until(lambda: os.path.exists("../a/late/x.log"))
        logger.removeHandler(late)
        traced.log(10)
        traced.tell()
        """,
        tmp_path,
    )
    outcome.assert_all_kept()
    assert len(outcome.complaints) == 1  # of the one that cannot be opened
    assert sorted(path.name for path in (tmp_path / "a").rglob("*.log")) == ["x.log", "x.log"]
    assert list((tmp_path / "b").iterdir()) == []


def test_no_standard_streams(run_traced: Callable[..., Outcome], tmp_path: Path) -> None:
    """In a program without standard streams, what goes to their numbers does not reach the log."""
    path = tmp_path / "x.log"
    outcome = run_traced(
        """
        kept = os.dup(1)
        os.closerange(0, 3)
        traced = Traced(sys.argv[1])
        traced.log(100)
        for number in range(3):
            try:
                os.write(number, b"no record\\n")
            except OSError:
                pass
        traced.log(100)
        traced.wait_until_plain()
        os.dup2(kept, 1)
        traced.tell()
        """,
        path,
    )
    outcome.assert_all_kept()
    assert outcome.complaints == []
    assert b"no record" not in path.read_bytes()
