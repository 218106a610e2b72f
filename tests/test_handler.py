"""The handler: which log it writes, what it keeps from the program, what it never waits for."""

from __future__ import annotations

import errno
import gc
import json
import logging
import logging.config
import os
import resource
import stat
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import records_of
from inspect_trace._core import format_record, list_trace_files
from inspect_trace.handler import TraceHandler
from inspect_trace.levels import HTTP, TRACE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import TracedLogger

    RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def logger() -> logging.Logger:
    """A logger known to nobody else, that lets everything pass."""
    return logging.Logger("name", 1)


def messages(path: Path) -> list[str]:
    return [record["message"] for record in records_of(path)]


# ---------------------------------------------------------------- which log


def test_without_a_path_it_writes_this_processs_log(
    trace_directory: Path, logger: logging.Logger
) -> None:
    """The default is `trace-<pid>.log` in the trace directory, closed to other users."""
    handler = TraceHandler()
    logger.addHandler(handler)
    logger.warning("hello %s", "you")
    assert handler.path == trace_directory / f"trace-{os.getpid()}.log"
    assert messages(handler.path) == ["hello you"]
    assert stat.S_IMODE(handler.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(trace_directory.stat().st_mode) == 0o700
    handler.close()


def test_a_directory_of_the_programs_choice(
    tmp_path: Path, trace_directory: Path, logger: logging.Logger
) -> None:
    """`directory` takes the place of the trace directory."""
    handler = TraceHandler(directory=tmp_path / "mine")
    assert handler.path == tmp_path / "mine" / f"trace-{os.getpid()}.log"
    assert not trace_directory.exists()
    handler.close()


def test_a_path_is_appended_to_and_its_directories_are_made(
    tmp_path: Path, logger: logging.Logger
) -> None:
    """An explicit path keeps what stands there; missing parents are made."""
    path = tmp_path / "a" / "b" / "x.jsonl"
    for text in ("one", "two"):
        handler = TraceHandler(path)
        logger.addHandler(handler)
        logger.warning(text)
        logger.removeHandler(handler)
        handler.close()
    assert messages(path) == ["one", "two"]


def test_the_variable_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: logging.Logger
) -> None:
    """`INSPECT_TRACE_FILE` is used without a path, and not with one."""
    monkeypatch.setenv("INSPECT_TRACE_FILE", str(tmp_path / "variable.log"))
    by_variable, by_path = TraceHandler(), TraceHandler(tmp_path / "path.log")
    assert by_variable.path == tmp_path / "variable.log"
    assert by_path.path == tmp_path / "path.log"
    by_variable.close()
    by_path.close()


def test_an_empty_variable_is_no_variable(
    trace_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty `INSPECT_TRACE_FILE` means the trace directory."""
    monkeypatch.setenv("INSPECT_TRACE_FILE", "")
    handler = TraceHandler()
    assert handler.path.parent == trace_directory
    handler.close()


def test_a_variable_that_cannot_be_used_is_told_and_the_default_used(
    tmp_path: Path,
    trace_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`INSPECT_TRACE_FILE` naming a directory is one line on stderr, and tracing goes on."""
    monkeypatch.setenv("INSPECT_TRACE_FILE", str(tmp_path))
    handler = TraceHandler()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"inspect-trace: INSPECT_TRACE_FILE={tmp_path}: ")
    assert handler.path.parent == trace_directory
    handler.close()


def test_a_directory_variable_that_cannot_be_used_is_told_and_the_default_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trace directory that cannot be made is one line on stderr, and tracing goes on."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("INSPECT_TRACE_DIR", "/dev/null/traces")
    handler = TraceHandler()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("inspect-trace: INSPECT_TRACE_DIR=/dev/null/traces: ")
    default = tmp_path / "data" / "inspect_ai" / "traces"
    assert str(default) in line
    assert handler.path.parent == default
    assert handler.path.exists()
    handler.close()


def test_a_relative_path_stays_where_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: logging.Logger
) -> None:
    """A later change of the current directory does not move the log."""
    monkeypatch.chdir(tmp_path)
    handler = TraceHandler("relative.log")
    monkeypatch.chdir("/")
    assert handler.path == tmp_path / "relative.log"
    handler.close()


# ---------------------------------------------------------------- as a logging.Handler


def test_level_names_are_registered_unless_taken(run_python: RunPython) -> None:
    """Making a handler names the levels; a name that the program has given stays."""
    run_python("""
        import logging, sys
        from inspect_trace.handler import TraceHandler
        logging.addLevelName(15, "MINE")
        assert logging.getLevelName(13) == "Level 13"  # importing alone changes nothing
        TraceHandler("/dev/null")
        assert logging.getLevelName(13) == "TRACE"
        assert logging.getLevelName(15) == "MINE"
    """)


@pytest.mark.parametrize(
    ("level", "number"), [("TRACE", 13), ("http", 15), ("Info", 20), ("17", 17), (11, 11)]
)
def test_levels_by_name_and_number(tmp_path: Path, level: int | str, number: int) -> None:
    """The level may be a number or a name in any case."""
    handler = TraceHandler(tmp_path / "x.log", level=level)
    assert handler.level == number
    handler.close()


def test_an_unknown_level_is_refused(tmp_path: Path) -> None:
    """A level that does not exist is a mistake in the program, told to it."""
    with pytest.raises(ValueError, match="'loud' is not a log level"):
        TraceHandler(tmp_path / "x.log", level="loud")


def test_records_below_the_level_are_left_out(tmp_path: Path, logger: logging.Logger) -> None:
    """The default level takes TRACE and up."""
    handler = TraceHandler(tmp_path / "x.log")
    logger.addHandler(handler)
    for level in (10, 12, TRACE, HTTP, 20):
        logger.log(level, str(level))
    assert messages(handler.path) == ["13", "15", "20"]
    handler.close()


def test_a_formatter_is_ignored(traced: TracedLogger) -> None:
    """The shape of a line is fixed."""
    traced.handler.setFormatter(logging.Formatter("%(message)s"))
    traced.logger.info("text")
    assert traced.records[0]["message"] == "text"


def test_filters_are_respected(traced: TracedLogger) -> None:
    """Filters drop records and add fields to them."""

    def keep(record: logging.LogRecord) -> bool:
        record.seen = True
        return "drop" not in record.getMessage()

    traced.handler.addFilter(keep)
    traced.logger.info("keep")
    traced.logger.info("drop")
    [record] = traced.records
    assert (record["message"], record["seen"]) == ("keep", True)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters may replace records from 3.12 on")
def test_a_filter_may_replace_the_record(traced: TracedLogger) -> None:
    """What a filter returns in a record's place is written."""

    def replace(record: logging.LogRecord) -> logging.LogRecord:
        return logging.makeLogRecord({**vars(record), "msg": "replaced", "args": ()})

    traced.handler.addFilter(replace)  # type: ignore[arg-type, unused-ignore]
    traced.logger.info("original")
    assert traced.records[0]["message"] == "replaced"


def test_a_filter_that_raises_drops_the_record(
    traced: TracedLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record may be one that the filter was to redact: it is counted, not written."""

    def redact(record: logging.LogRecord) -> bool:
        raise RuntimeError("cannot redact")

    traced.handler.addFilter(redact)
    traced.logger.info("secret")
    traced.logger.info("secret")
    assert traced.records == []
    assert traced.handler.dropped == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "RuntimeError: cannot redact" in line


def test_dict_config(
    tmp_path: Path, trace_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler can be named in `dictConfig`, with its arguments and its level names."""
    monkeypatch.setattr(logging, "_handlers", weakref.WeakValueDictionary())
    monkeypatch.setattr(logging, "_handlerList", [])  # dictConfig clears what stands there
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"named": {"name": "dict_config"}},
            "handlers": {
                "file": {
                    "class": "inspect_trace.handler.TraceHandler",
                    "path": str(tmp_path / "x.log"),
                    "level": "HTTP",
                    "filters": ["named"],
                },
                "directory": {"()": "inspect_trace.handler.TraceHandler"},
            },
            "loggers": {
                "dict_config": {
                    "level": "TRACE",
                    "handlers": ["file", "directory"],
                    "propagate": False,
                }
            },
        }
    )
    configured = logging.getLogger("dict_config")
    try:
        configured.log(TRACE, "traced")
        configured.info("told")
        _, directory = configured.handlers
        assert isinstance(directory, TraceHandler)
        assert messages(tmp_path / "x.log") == ["told"]
        assert messages(directory.path) == ["traced", "told"]
    finally:
        for handler in list(configured.handlers):
            configured.removeHandler(handler)
            handler.close()


def test_it_survives_a_dict_config_that_leaves_it_attached(run_python: RunPython) -> None:
    """`dictConfig` closes all handlers, also those it leaves in place: ours goes on writing."""
    run_python("""
        import json, logging, logging.config
        from inspect_trace.handler import TraceHandler
        handler = TraceHandler()
        logging.getLogger("mine").addHandler(handler)
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        logging.getLogger("mine").warning("still here")
        handler.flush()
        assert json.loads(handler.path.read_text())["message"] == "still here"
        assert handler.dropped == 0
    """)


def test_records_of_late_exit_hooks_are_kept(run_python: RunPython, tmp_path: Path) -> None:
    """What is logged after `logging.shutdown`, in exit hooks and finalisers, is in the log."""
    path = tmp_path / "late.log"
    run_python(
        """
        import atexit, sys
        atexit.register(lambda: logger.warning("hook"))  # runs after logging's own hook
        import logging
        from inspect_trace.handler import TraceHandler
        class Thing:
            def __del__(self): logger.warning("finaliser")
        logger = logging.getLogger("late")
        logger.addHandler(TraceHandler(sys.argv[1]))
        sys.kept = Thing()
        logger.warning("main")
        """,
        path,
    )
    assert messages(path)[:2] == ["main", "hook"]


def test_close_is_idempotent_and_later_records_are_counted(
    traced: TracedLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `close` records are counted as dropped, in silence."""
    traced.logger.info("one")
    traced.handler.close()
    traced.handler.close()
    for _ in range(3):
        traced.logger.info("late")
    assert [r["message"] for r in traced.records] == ["one"]
    assert traced.handler.dropped == 3
    assert capsys.readouterr().err == ""
    assert traced.handler.path == traced.path


def test_repr_names_the_log(traced: TracedLogger) -> None:
    """The handler's representation tells where it writes."""
    assert repr(traced.handler) == f"<TraceHandler {traced.path} (TRACE)>"


# ---------------------------------------------------------------- several handlers, many threads


def test_handlers_on_one_file_share_it(tmp_path: Path, logger: logging.Logger) -> None:
    """Two handlers on the same file write to it both; closing one leaves the other writing."""
    (tmp_path / "link").symlink_to(tmp_path)
    one, two = TraceHandler(tmp_path / "x.log"), TraceHandler(tmp_path / "link" / "x.log")
    logger.addHandler(one)
    logger.addHandler(two)
    logger.info("both")
    one.close()
    logger.info("two")
    assert messages(tmp_path / "x.log") == ["both", "both", "two"]
    assert (one.dropped, two.dropped) == (1, 0)
    two.close()


def test_default_handlers_share_this_processs_log(trace_directory: Path) -> None:
    """A second handler without a path does not open a second log."""
    one, two = TraceHandler(), TraceHandler()
    assert one.path == two.path
    assert [f.path for f in list_trace_files(str(trace_directory))] == [str(one.path)]
    one.close()
    two.close()


def test_a_closed_log_is_let_go(trace_directory: Path) -> None:
    """Closing the last handler frees the descriptor and the lock; so does forgetting it."""
    descriptors = Path("/proc/self/fd")

    def open_logs() -> list[str]:
        targets = []
        for descriptor in descriptors.iterdir():
            try:
                targets.append(str(descriptor.readlink()))
            except FileNotFoundError:  # the one that iterdir itself uses
                continue
        return [t for t in targets if t.startswith(str(trace_directory)) and t.endswith(".log")]

    one, two = TraceHandler(), TraceHandler()
    assert len(open_logs()) == 1
    one.close()
    assert len(open_logs()) == 1
    two.close()
    assert open_logs() == []
    [file] = list_trace_files(str(trace_directory))
    assert not file.alive

    three = TraceHandler()
    watched = weakref.ref(three)
    del three
    gc.collect()
    assert watched() is None
    assert open_logs() == []


def test_threads_lose_and_tear_nothing(traced: TracedLogger) -> None:
    """Records of many threads are all there, each whole, each thread's in its order."""
    threads, count = 8, 300
    barrier = threading.Barrier(threads)

    def work(name: int) -> None:
        barrier.wait()
        for number in range(count):
            traced.logger.info("x" * (number % 50), extra={"thread_name": name, "number": number})

    running = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    numbers: dict[int, list[int]] = {name: [] for name in range(threads)}
    for record in traced.records:
        numbers[record["thread_name"]].append(record["number"])
    assert numbers == {name: list(range(count)) for name in range(threads)}


def test_drops_are_counted_exactly_by_many_threads(traced: TracedLogger) -> None:
    """No dropped record is lost from the count when threads drop at once."""
    traced.handler.close()
    threads, count = 8, 2000
    barrier = threading.Barrier(threads)

    def work() -> None:
        barrier.wait()
        for _ in range(count):
            traced.handler.emit(record)

    record = logging.makeLogRecord({"msg": "m"})
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert traced.handler.dropped == threads * count


# ---------------------------------------------------------------- the run


def test_a_top_level_process_tells_its_children_the_run(trace_directory: Path) -> None:
    """The first log in the trace directory publishes the run, until the last is closed."""
    assert "INSPECT_TRACE_RUN" not in os.environ
    one = TraceHandler()
    run = os.environ["INSPECT_TRACE_RUN"]
    two = TraceHandler()
    assert os.environ["INSPECT_TRACE_RUN"] == run
    [file] = list_trace_files(str(trace_directory))
    assert not file.is_child
    assert file.run_id in (run, None)  # None: a file system without extended attributes
    one.close()
    assert os.environ["INSPECT_TRACE_RUN"] == run
    two.close()
    assert "INSPECT_TRACE_RUN" not in os.environ


def test_a_process_that_finds_the_run_is_its_child(
    trace_directory: Path, run_python: RunPython
) -> None:
    """A program started by a traced program joins its run, with a log of its own."""
    parent = TraceHandler()
    run = os.environ["INSPECT_TRACE_RUN"]
    run_python("""
        import os
        from inspect_trace.handler import TraceHandler
        run = os.environ["INSPECT_TRACE_RUN"]
        TraceHandler()
        assert os.environ["INSPECT_TRACE_RUN"] == run
    """)
    files = list_trace_files(str(trace_directory))
    assert len(files) == 2
    if files[0].run_id is not None:
        assert {f.run_id for f in files} == {run}
        assert sorted(f.is_child for f in files) == [False, True]
    parent.close()


def test_an_odd_run_in_the_environment_is_not_taken_over(
    trace_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that cannot be a run's identity makes a top-level run."""
    monkeypatch.setenv("INSPECT_TRACE_RUN", "../../x\n" * 100)
    handler = TraceHandler()
    assert len(os.environ["INSPECT_TRACE_RUN"]) == 22
    handler.close()


def test_a_path_publishes_no_run(tmp_path: Path) -> None:
    """A log outside the trace directory belongs to no run."""
    handler = TraceHandler(tmp_path / "x.log")
    assert "INSPECT_TRACE_RUN" not in os.environ
    handler.close()


# ---------------------------------------------------------------- failures


def test_a_log_that_cannot_be_opened_is_told_once_and_tried_again(
    tmp_path: Path,
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The program goes on without its log, and with it once it can be opened; the gap is noted."""
    now = 1000.0
    monkeypatch.setattr("inspect_trace.handler.monotonic", lambda: now)
    path = tmp_path / "occupied" / "x.log"
    path.parent.write_text("a file where a directory is needed")
    handler = TraceHandler(path)
    logger.addHandler(handler)
    for _ in range(5):
        logger.info("lost")
        now += 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert handler.dropped == 5
    assert handler.path == path

    path.parent.unlink()
    now = 2000.0
    logger.info("written")
    note, written = records_of(path)
    assert written["message"] == "written"
    assert note["message"].startswith("[inspect-trace] 5 records could not be written: ")
    assert (note["level"], note["dropped"]) == ("TRACE", 5)
    assert handler.dropped == 5
    handler.close()


def test_opening_is_not_tried_for_each_record(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second of a failed attempt records are dropped without another."""
    now = 1000.0
    monkeypatch.setattr("inspect_trace.handler.monotonic", lambda: now)
    blocker = tmp_path / "occupied"
    blocker.write_text("")
    handler = TraceHandler(blocker / "x.log")
    logger.addHandler(handler)
    blocker.unlink()
    now += 0.9
    logger.info("early")
    assert not blocker.exists()
    now += 0.2
    logger.info("due")
    assert (blocker / "x.log").exists()
    handler.close()


def test_failures_are_silent_where_the_program_wants_them_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `logging.raiseExceptions` False nothing is said on stderr."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = TraceHandler(tmp_path)
    handler.handle(logging.makeLogRecord({}))
    assert capsys.readouterr().err == ""
    assert handler.dropped == 1
    handler.close()


def test_a_full_disk_is_told_once(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Writing to a full device is one line on stderr, however many records are dropped."""
    handler = TraceHandler("/dev/full")
    logger.addHandler(handler)
    for _ in range(10):
        logger.info("lost")
    [line] = capsys.readouterr().err.splitlines()
    assert os.strerror(errno.ENOSPC) in line
    assert "/dev/full" in line
    assert handler.dropped == 10
    handler.close()


def test_handle_error_can_be_replaced(logger: logging.Logger) -> None:
    """A subclass gets each cause once, as of any handler."""
    seen: list[BaseException | None] = []

    class Watching(TraceHandler):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
            seen.append(sys.exc_info()[1])

    handler = Watching("/dev/full")
    logger.addHandler(handler)
    for _ in range(3):
        logger.info("lost")
    [error] = seen
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    handler.close()


def test_space_that_returns_is_used_and_the_gap_noted(
    tmp_path: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records dropped for want of space are counted in a note before the next one written."""
    path = tmp_path / "x.log"
    handler = TraceHandler(path, buffer_bytes=0)  # which would keep them
    logger.addHandler(handler)
    logger.info("first")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file size limit fails like a full disk does (CPython ignores the signal that comes with it).
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        for _ in range(4):
            logger.info("lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    logger.info("last")
    first, note, last = records_of(path)
    assert (first["message"], last["message"]) == ("first", "last")
    assert note["message"].startswith("[inspect-trace] 4 records could not be written: ")
    assert handler.dropped == 4
    assert len(capsys.readouterr().err.splitlines()) == 1
    handler.close()


def test_without_stderr_nothing_is_raised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program without a stderr, or with a closed one, is not stopped by a report."""
    with (tmp_path / "closed").open("w") as closed:
        pass
    for stderr in (None, closed):
        monkeypatch.setattr(sys, "stderr", stderr)
        handler = TraceHandler("/dev/full")
        handler.handle(logging.makeLogRecord({}))
        handler.close()


# ---------------------------------------------------------------- nobody waits


def test_no_lock_is_held_while_user_code_runs(traced: TracedLogger) -> None:
    """While one record's argument is printed, other threads log freely."""
    printing, go_on = threading.Event(), threading.Event()

    class Slow:
        def __str__(self) -> str:
            printing.set()
            assert go_on.wait(30)
            return "slow"

    thread = threading.Thread(target=traced.logger.info, args=("%s", Slow()))
    thread.start()
    assert printing.wait(30)
    traced.logger.info("fast")
    assert [r["message"] for r in traced.records] == ["fast"]
    go_on.set()
    thread.join()
    assert [r["message"] for r in traced.records] == ["fast", "slow"]


def test_logging_while_a_record_is_printed(traced: TracedLogger) -> None:
    """An object that logs while it is printed gets its record, and the outer one its text."""

    class Talking:
        def __str__(self) -> str:
            traced.logger.info("inner")
            return "outer"

    traced.logger.info("%s", Talking(), extra={"other": Talking()})
    assert [r["message"] for r in traced.records] == ["inner", "inner", "outer"]
    assert traced.records[-1]["other"] == "outer"


def test_an_object_that_logs_itself_without_end(run_python: RunPython, tmp_path: Path) -> None:
    """Endless recursion through `__str__` ends as a RecursionError inside, not in the program."""
    path = tmp_path / "x.log"
    run_python(
        """
        import logging, sys
        from inspect_trace.handler import TraceHandler
        logger = logging.Logger("x")
        logger.addHandler(TraceHandler(sys.argv[1]))
        class Endless:
            def __str__(self):
                logger.warning("%s", self)
                return "done"
        sys.setrecursionlimit(200)
        logger.warning("%s", Endless())
        """,
        path,
    )
    assert records_of(path)[-1]["message"] == "done"


def test_a_signal_handler_that_logs_does_not_deadlock(
    run_python: RunPython, tmp_path: Path
) -> None:
    """Signals that interrupt an emit at any point can log themselves; nothing is lost or torn."""
    path = tmp_path / "x.log"
    run_python(
        """
        import logging, signal, sys
        from inspect_trace.handler import TraceHandler
        logger = logging.Logger("x")
        logger.addHandler(TraceHandler(sys.argv[1]))
        count = 0
        def on_alarm(number, frame):
            global count
            count += 1
            logger.warning("signal")
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        written = 0
        while count < 200:
            logger.warning("main %s", [1] * 20, extra={"value": {"a": written}})
            written += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        logger.warning("end", extra={"main": written, "signals": count})
        """,
        path,
    )
    *records, end = records_of(path)
    signals = sum(r["message"] == "signal" for r in records)
    assert (len(records) - signals, signals) == (end["main"], end["signals"])


def test_a_finaliser_that_logs_does_not_deadlock(run_python: RunPython, tmp_path: Path) -> None:
    """Garbage collected in the middle of an emit may log."""
    path = tmp_path / "x.log"
    run_python(
        """
        import gc, logging, sys
        from inspect_trace.handler import TraceHandler
        logger = logging.Logger("x")
        logger.addHandler(TraceHandler(sys.argv[1]))
        class Cyclic:
            def __init__(self): self.me = self
            def __del__(self): logger.warning("finaliser")
            def __str__(self):
                gc.collect()
                return "printed"
        gc.disable()
        for _ in range(50):
            Cyclic()
            logger.warning("%s", Cyclic())
        """,
        path,
    )
    texts = messages(path)
    assert texts.count("printed") == 50
    assert texts.count("finaliser") >= 50


def test_a_ctrl_c_while_a_record_is_printed_reaches_the_program(traced: TracedLogger) -> None:
    """KeyboardInterrupt is the program's: it passes through the handler, and the record stays."""

    class Interrupted:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        traced.logger.info("%s", Interrupted())
    assert len(traced.records) == 1


def test_what_is_written_is_what_format_record_gives(traced: TracedLogger) -> None:
    """The log holds the line of `format_record`, and a newline."""
    kept: list[logging.LogRecord] = []
    traced.handler.addFilter(lambda record: kept.append(record) or True)  # type: ignore[func-returns-value]
    traced.logger.info("ü %s", "\ud800", extra={"x": [1, {"y": None}]})
    traced.logger.log(TRACE, "two")
    traced.handler.flush()
    assert traced.path.read_text() == "".join(f"{format_record(r)}\n" for r in kept)


def test_the_process_can_exit_at_once(run_python: RunPython, tmp_path: Path) -> None:
    """`os._exit` right after a call loses nothing: there is no exit work."""
    path = tmp_path / "x.log"
    run_python(
        """
        import logging, os, sys
        from inspect_trace.handler import TraceHandler
        logger = logging.Logger("x")
        logger.addHandler(TraceHandler(sys.argv[1]))
        for number in range(100):
            logger.warning("m", extra={"number": number})
        os._exit(0)
        """,
        path,
    )
    assert [r["number"] for r in records_of(path)] == list(range(100))


def test_close_flushes_whoever_else_has_the_log(tmp_path: Path) -> None:
    """What was logged is in the log when `close` returns, though something keeps the log open."""
    handler = TraceHandler(tmp_path / "x.log")
    kept = handler._log
    handler.handle(logging.LogRecord("x", logging.INFO, __file__, 1, "kept", None, None))
    handler.close()
    assert json.loads((tmp_path / "x.log").read_text())["message"] == "kept"
    del kept
