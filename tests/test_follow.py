"""`follow()`: the records of a log as they are written, in Python."""

from __future__ import annotations

import gzip
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

import inspect_trace
from inspect_trace import TRACE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    from conftest import TracedLogger


def test_records_as_they_are_written(traced: TracedLogger) -> None:
    """Each record is given once it is logged, through rotation, until nothing more can come."""
    traced.logger.log(TRACE, "first")
    traced.logger.log(TRACE, "not this one")
    records = inspect_trace.follow(traced.path, filter="st")
    assert iter(records) is records
    assert next(records).message == "first"
    traced.logger.log(TRACE, "second best")
    assert next(records).message == "second best"
    traced.path.rename(traced.path.with_name("aside.log"))
    traced.logger.log(TRACE, "last")
    assert next(records).message == "last"
    traced.handler.close()
    assert list(records) == []
    assert list(records) == [], "the end stays the end"
    assert records.take_notes() == [
        "traced.log was finished and removed or renamed: nothing more will come"
    ]
    assert records.take_notes() == []
    assert records.skipped is None


def test_waiting_stops_nobody(traced: TracedLogger) -> None:
    """While one thread waits for a record another one writes it."""
    records = inspect_trace.follow(traced.path)
    is_waiting = threading.Event()

    def write() -> None:
        is_waiting.wait()
        traced.logger.log(TRACE, "from the other thread")

    writer = threading.Thread(target=write)
    writer.start()
    is_waiting.set()
    assert next(records).message == "from the other thread"
    writer.join()


def test_finished_logs_end(tmp_path: Path) -> None:
    """A compressed log, found under its plain name, is given and ends; what is no record counts."""
    line = '{"timestamp": "2026-01-01T00:00:00+00:00", "level": "INFO", "message": "m"}\n'
    (tmp_path / "x.log.gz").write_bytes(gzip.compress(f"{line}garbage\n{line}".encode()))
    records = inspect_trace.follow(tmp_path / "x.log")
    assert [record.message for record in records] == ["m", "m"]
    assert records.skipped is not None
    assert records.skipped.startswith("x.log.gz: skipped 1 line (line 2,")


def test_the_newest_log_is_followed(
    run_python: Callable[..., CompletedProcess[str]], trace_directory: Path
) -> None:
    """Without a name it is the most recent log of the trace directory, to its process's end."""
    run_python(
        """
        import logging
        from inspect_trace import init_tracing
        init_tracing()
        logging.getLogger("x").warning("from a program")
        """
    )
    assert [record.message for record in inspect_trace.follow()] == ["from a program"]
    assert len(list(trace_directory.glob("*.log"))) == 1


def test_only_the_last_of_what_is_there(traced: TracedLogger) -> None:
    """`tail` leaves out what was written before the last records; what comes is all given."""
    for i in range(5):
        traced.logger.log(TRACE, "number %d", i)
    records = inspect_trace.follow(traced.path, tail=2)
    assert [next(records).message, next(records).message] == ["number 3", "number 4"]
    none = inspect_trace.follow(traced.path, tail=0)
    traced.logger.log(TRACE, "new")
    assert next(records).message == "new"
    assert next(none).message == "new"


def test_nothing_to_follow(tmp_path: Path) -> None:
    """What is not there, or no log, is an error at once."""
    with pytest.raises(FileNotFoundError):
        inspect_trace.follow(tmp_path / "missing.log")
    with pytest.raises(IsADirectoryError):
        inspect_trace.follow(tmp_path)


def test_ctrl_c_ends_the_waiting(traced: TracedLogger) -> None:
    """A signal's handler runs, and may raise, while the next record is waited for."""
    records = inspect_trace.follow(traced.path)
    interrupt = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        interrupt.start()
        next(records)
    interrupt.join()
