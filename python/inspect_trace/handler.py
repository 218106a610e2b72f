"""`TraceHandler`: the `logging.Handler` that writes the trace log.

Encoding and writing happen in the core. This module decides which log a handler writes to, shares a
log between the handlers of one process, carries open logs over a fork, and keeps every failure away
from the program.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import math
import operator
import os
import re
import sys
import threading
import weakref
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from . import _core
from ._report import warn, warn_of_exception, warn_of_failure
from .levels import TRACE, level_from, register_levels

if TYPE_CHECKING:
    from collections.abc import Callable

ARCHIVE_VARIABLE: Final = "INSPECT_TRACE_ARCHIVE"
DIRECTORY_VARIABLE: Final = "INSPECT_TRACE_DIR"
FILE_VARIABLE: Final = "INSPECT_TRACE_FILE"
RUN_VARIABLE: Final = "INSPECT_TRACE_RUN"
STALL_VARIABLE: Final = "INSPECT_TRACE_STALL_S"
REDACT_VARIABLE: Final = "INSPECT_TRACE_REDACT"
DEFAULT_KEEP_RUNS: Final = 10
DEFAULT_BUFFER_BYTES: Final = 4 * 1024 * 1024
DEFAULT_STALL_S: Final = 60.0

OnFull: TypeAlias = Literal["block", "drop"]
Durability: TypeAlias = Literal["process", "fsync"]
_Options: TypeAlias = "tuple[int, str, str, int | None, bool]"

_RETRY_AFTER_S: Final = 1.0


class _Log:
    """A log that this process has open; it closes when the last handler lets go of it."""

    __slots__ = ("__weakref__", "in_trace_dir", "writer")

    def __init__(self, writer: _core.LogWriter, *, in_trace_dir: bool) -> None:
        self.writer = writer
        self.in_trace_dir = in_trace_dir

    def __del__(self) -> None:
        self.writer.close()


class _Tally:
    """A counter that threads and signal handlers can raise without a lock."""

    __slots__ = ("_left",)

    _START: Final = 1 << 62

    def __init__(self) -> None:
        self._left = itertools.repeat(None, self._START)

    def add_one(self) -> None:
        next(self._left)  # one step in C: no other thread comes between reading and writing

    @property
    def value(self) -> int:
        return self._START - operator.length_hint(self._left)


# Reentrant, because a signal handler may log (and so open a log) while its thread opens one.
_opening = threading.RLock()
_open_logs: weakref.WeakValueDictionary[str, _Log] = weakref.WeakValueDictionary()
_own_run: tuple[int, str] | None = None  # (pid, run id) of the process that started the run


def _before_fork() -> None:
    for log in list(_open_logs.values()):
        log.writer.before_fork()


def _after_fork_in_child() -> None:
    """Gives the child its own hold on each inherited log, and locks that nobody holds."""
    global _opening
    _opening = threading.RLock()
    _core.watch_after_fork()
    for log in list(_open_logs.values()):
        try:
            log.writer.after_fork_in_child()
        except Exception as error:  # noqa: PERF203 (each log by itself)
            warn_of_exception(f"reopening {log.writer.path} in a forked process", error)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        # A child of multiprocessing ends by `os._exit`, but calls those who ask for it before.
        # What is registered before its own beginning it forgets, except for this.
        util.register_after_fork(_after_fork_in_child, lambda _: _finish_with_multiprocessing())


def _finish_with_multiprocessing() -> None:
    """Has the logs finished at the end of a child of multiprocessing."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, _finish_logs, exitpriority=-1000)


def _finish_logs() -> None:
    for log in list(_open_logs.values()):
        log.writer.finish()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
# A thread that waits for an interpreter which is gone would wait for ever.
atexit.register(_core.stop_watching)


class TraceHandler(logging.Handler):
    """Writes log records to a trace log, one JSON object a line.

    Usable like any handler: `logger.addHandler(TraceHandler())`, or in `logging.config.dictConfig`
    as `{"class": "inspect_trace.TraceHandler"}`. The shape of a line is fixed, so a formatter set
    on this handler is ignored. Filters are respected; a filter that raises drops the record.

    No record waits for another: nothing here holds a lock while filters, `str()` or the write run.
    When a call to a logger returns, its record is with the operating system, in a file beside the
    log that is shared memory: the death of the process does not lose it. A thread of the core
    appends it to the log no later than 50 ms after, and the end of the process does the rest.
    `logging.shutdown` leaves the handler open, so that records of late exit hooks are kept too.

    Nothing that goes wrong reaches the program: each cause is one line on stderr (none where
    `logging.raiseExceptions` is False), and what could not be written is counted in `dropped`.
    A log that cannot be opened is tried again later, at most once a second.

    A forked child goes on writing to the log of its parent.

    Args:
        path: The log to append to; missing directories are made. None means the file named by the
            environment variable `INSPECT_TRACE_FILE`, and where that is unset or empty this
            process's own log in the trace directory.
        level: Records below this level are left out: a number, or a name in any case.
        directory: The trace directory when neither a path nor the variable names a file. None means
            `inspect_trace.trace_dir()`.
        keep_runs: How many runs stay in the trace directory; older finished ones are removed, in
            the background.
        buffer_bytes: The size of the buffer between the program and the disk, taken up to a power
            of two of at least 64 KiB. 0: none, each record is written by system calls of its own,
            as it also is where the log's file system has no room or no shared memory for a buffer.
        on_full: What happens to a record while the disk is so slow that the buffer is full:
            `"block"`, its thread waits (Ctrl-C ends that); `"drop"`, it is dropped and counted.
            Where the disk refuses (it is full, or gone), it is dropped and counted in any case.
        durability: What a record survives once its logging call has returned: `"process"`, the
            death of the process; `"fsync"`, that of the machine too, for which the call waits until
            the disk has the record (threads that wait at the same time wait together).
        max_bytes: A log that has reached this size becomes a part of the log
            (`trace-1.part0001.log`), and a new one is begun, also for other processes that have it
            open, such as forked children; commands read the parts as one. None: the log is one
            file. Where handlers of a process share a log, the first one's choice counts, in this
            and in the three before.
        redact: Whether secrets are taken out of everything that is written, as
            `inspect_trace.redact` does; of all that goes into a log, from when one of its handlers
            asks for it. None means the environment variable `INSPECT_TRACE_REDACT`: `1`, or unset.
        stall_s: When an action has been open for so many seconds, the log is told where it waits,
            and again when it has been open for twice as long, four times as long, and so on. 0:
            never. None means what the environment variable `INSPECT_TRACE_STALL_S` says, and
            otherwise 60. Of handlers that share a log the first one's choice counts.

    Raises:
        ValueError: There is no such level, or no such choice.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        level: int | str = TRACE,
        directory: str | os.PathLike[str] | None = None,
        keep_runs: int = DEFAULT_KEEP_RUNS,
        buffer_bytes: int = DEFAULT_BUFFER_BYTES,
        on_full: OnFull = "block",
        durability: Durability = "process",
        max_bytes: int | None = None,
        redact: bool | None = None,
        stall_s: float | None = None,
    ) -> None:
        register_levels()
        super().__init__(check_level(level))
        _check_choices(buffer_bytes, on_full, durability, max_bytes)
        self._stall_s = _stall_s_from_environment() if stall_s is None else _check_stall_s(stall_s)
        self._keep_runs = keep_runs
        redacts = _redacts_by_environment() if redact is None else redact
        self._options = (buffer_bytes, on_full, durability, max_bytes, redacts)
        self._dropped = _Tally()
        self._dropped_by_log = 0  # of logs this handler has let go of
        self._closed = False
        self._log: _Log | None = None
        self._retry_at_s = 0.0
        self._reported: str | None = None
        self._file: str | None = None
        self._directory: str | None = None

        if path is not None:
            self._file = os.path.abspath(os.fspath(path))  # noqa: PTH100 (Path would resolve "..")
        else:
            from_environment = os.environ.get(FILE_VARIABLE)
            if from_environment and self._open_from_environment(from_environment):
                return
            self._directory = self._find_directory(directory)
            if self._directory is None:
                return
            if directory is None and os.environ.get(DIRECTORY_VARIABLE):
                self._open_named_directory(self._directory)
        with _opening:
            self._log = self._log or self._open()

    @property
    def path(self) -> Path:
        """The log this handler writes to (or would, if it could be opened)."""
        log = self._log
        if log is not None:
            return Path(log.writer.path)
        if self._file is not None:
            return Path(self._file)
        return Path(self._directory or "", f"trace-{os.getpid()}.log")

    @property
    def is_open(self) -> bool:
        """Whether the handler has not been closed."""
        return not self._closed

    @property
    def dropped(self) -> int:
        """How many records could not be written, by this handler or others on the same log."""
        log = self._log
        by_log = log.writer.dropped if log is not None else self._dropped_by_log
        return self._dropped.value + by_log

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Filters and writes a record, without the lock that `logging.Handler` takes.

        Returns:
            What the filters said, as `logging.Handler.handle` does.
        """
        return _core.handle_record(self, record)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record; a failure is counted and goes to `handleError`, once for each cause."""
        log = self._log or self._reopen()
        if log is None:
            self._dropped.add_one()
            return
        try:
            log.writer.write_record(record)
        except Exception:
            self.handleError(record)

    def _handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:
        """What `handle` does where a subclass, or whoever sets attributes, may have a say in it."""
        try:
            verdict: bool | logging.LogRecord = self.filter(record)
        except Exception as error:
            self._filter_failed(record, error)
            return False
        if isinstance(verdict, logging.LogRecord):
            record = verdict
        if verdict:
            self.emit(record)
        return verdict

    def _filter_failed(self, record: logging.LogRecord, error: Exception) -> None:
        # A filter may be there to redact: the record as it stands must not be written.
        self._dropped.add_one()
        self._write_failed(record, error)

    def _write_failed(self, record: logging.LogRecord | None, error: Exception) -> None:
        """Has `handleError` find the exception where it looks for it: as the one being handled.

        There is no record (None) where one was never made, of handlers that are `TraceHandler`s and
        nothing else, whose `handleError` does not look at it.
        """
        try:
            raise error  # noqa: TRY301
        except Exception:
            self.handleError(record)  # type: ignore[arg-type]

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        """Reports the exception being handled as one line on stderr."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):  # the core raises one only when its cause is new
            reason = _sentence(error, self.path)
            warn_of_failure(
                f"{reason} (the program goes on; what finds no room in the buffer is counted as "
                "dropped until writing works again)"
            )
        elif isinstance(error, UserWarning):  # it has been written, but there is something to say
            warn_of_failure(str(error))
        elif error is not None:
            warn_of_exception(f"handling a record for {self.path}", error)

    def flush(self) -> None:
        """Puts all records that were handled so far into the log.

        Nothing is lost without it. It is for programs that are going to read the log themselves by
        other means than this package.
        """
        log = self._log
        if log is None:
            return
        try:
            log.writer.flush()
        except Exception as error:
            self._write_failed(None, error)

    def close(self) -> None:
        """Lets go of the log; records that still come are counted as dropped."""
        if _called_by_shutdown():
            # At exit, and at each dictConfig, logging closes every handler, also those that stay
            # attached. There is nothing to flush, and what they still get is worth keeping.
            return
        super().close()
        self._closed = True
        log, self._log = self._log, None
        if log is None:
            return
        # Others may have the log as well, and be it the traceback of an error for a while.
        try:
            log.writer.flush()
        except Exception as error:
            self._write_failed(None, error)
        self._dropped_by_log = log.writer.dropped
        in_trace_dir = log.in_trace_dir
        del log
        if in_trace_dir:
            _forget_run_without_logs()

    def __repr__(self) -> str:
        """Names the log and the level, as other handlers do."""
        return f"<{type(self).__name__} {self.path} ({logging.getLevelName(self.level)})>"

    def _open_from_environment(self, value: str) -> bool:
        """Opens the file that the environment names; False when the default must serve."""
        file = os.path.abspath(value)  # noqa: PTH100
        try:
            with _opening:
                self._log = self._open_file(file)
        except OSError as error:
            reason = _sentence(error, file)
            warn(f"{FILE_VARIABLE}={value}: {reason}; using the trace directory instead")
            return False
        self._file = file
        return True

    def _open_file(self, file: str) -> _Log:
        options, stall_s = self._options, self._stall_s
        log = _shared(
            file, lambda: _core.LogWriter.open(file, options, stall_s), in_trace_dir=False
        )
        _redact_if_asked(log, options)
        return log

    def _find_directory(self, directory: str | os.PathLike[str] | None) -> str | None:
        """The trace directory; None, once that was told, where the user has no home for it."""
        try:
            return _directory(directory)
        except OSError as error:
            self._retry_at_s = float("inf")
            warn_of_failure(f"{error.strerror or error}; nothing is traced")
            return None

    def _open_named_directory(self, directory: str) -> None:
        """Opens this process's log where the environment says, or turns to the default."""
        from .store import _default_trace_dir

        try:
            with _opening:
                self._log = _open_in(directory, self._keep_runs, self._options, self._stall_s)
        except OSError as error:
            self._directory = _default_trace_dir()
            value = os.environ.get(DIRECTORY_VARIABLE)
            warn(
                f"{DIRECTORY_VARIABLE}={value}: {_sentence(error, directory)}; "
                f"using {self._directory} instead"
            )

    def _open(self) -> _Log | None:
        """Opens the log, or reports why not (once for each cause)."""
        try:
            if self._file is not None:
                return self._open_file(self._file)
            return _open_in(self._directory or "", self._keep_runs, self._options, self._stall_s)
        except Exception as error:
            self._retry_at_s = monotonic() + _RETRY_AFTER_S
            sentence = _sentence(error, self.path)
            if sentence != self._reported:
                self._reported = sentence
                warn_of_failure(f"{sentence}; nothing is traced until it can be opened")
            return None

    def _reopen(self) -> _Log | None:
        """Tries again to open a log that could not be opened, but not for each record."""
        if self._closed or monotonic() < self._retry_at_s:
            return None
        opening = _opening
        if not opening.acquire(blocking=False):  # another thread is at it: nobody waits here
            return None
        try:
            log = self._log
            if log is None:
                log = self._open()
                if log is not None:
                    self._note_gap(log)
                    self._log = log
            return log
        finally:
            opening.release()

    def _note_gap(self, log: _Log) -> None:
        """Says in the log itself what is missing from it, as the core does after a full disk."""
        dropped = self._dropped.value
        reason, self._reported = self._reported, None
        if not dropped:
            return
        text = f"[inspect-trace] {dropped} records could not be written: {reason}"
        note = logging.LogRecord("inspect_trace", TRACE, __file__, 0, text, None, None)
        note.dropped = dropped
        try:
            log.writer.write_record(note)
        except Exception as error:
            warn_of_exception("noting a gap in the log", error)


_core.know_trace_handler(TraceHandler)


def check_level(level: int | str) -> int:
    """The number of a level given as number or name (in any case).

    Raises:
        ValueError: There is no such level.
    """
    if isinstance(level, int):
        return level
    number = level_from(level)
    if number is None:
        raise ValueError(f"{level!r} is not a log level: use a name such as 'TRACE', or a number")
    return number


def _check_choices(buffer_bytes: int, on_full: str, durability: str, max_bytes: int | None) -> None:
    """Raises ValueError for what cannot be chosen, before anything is opened."""
    if buffer_bytes < 0:
        raise ValueError(f"buffer_bytes={buffer_bytes!r}: a size is not negative")
    if max_bytes is not None and max_bytes <= 0:
        raise ValueError(f"max_bytes={max_bytes!r}: give a size above zero, or None for no limit")
    if on_full not in get_args(OnFull):
        raise ValueError(f"on_full={on_full!r}: it can be 'block' or 'drop'")
    if durability not in get_args(Durability):
        raise ValueError(f"durability={durability!r}: it can be 'process' or 'fsync'")


def _check_stall_s(stall_s: float) -> float:
    if not stall_s >= 0:  # no number neither
        raise ValueError(f"stall_s={stall_s!r}: give a number of seconds, or 0 for never")
    return stall_s if math.isfinite(stall_s) else 0.0


def _stall_s_from_environment() -> float:
    value = os.environ.get(STALL_VARIABLE)
    if not value:
        return DEFAULT_STALL_S
    try:
        return _check_stall_s(float(value))
    except ValueError:
        warn(
            f"{STALL_VARIABLE}={value}: it has to be a number of seconds, or 0 for never; "
            f"using {DEFAULT_STALL_S:g}"
        )
        return DEFAULT_STALL_S


def _directory(directory: str | os.PathLike[str] | None) -> str:
    if directory is None:
        from .store import find_trace_dir  # only here: it may import platformdirs

        directory = find_trace_dir()
    return os.path.abspath(os.fspath(directory))  # noqa: PTH100


def _shared(key: str, opened: Callable[[], _core.LogWriter], *, in_trace_dir: bool) -> _Log:
    """The process's one open log under this key (call with `_opening` held)."""
    key = os.path.realpath(key)
    log = _open_logs.get(key)
    if log is None:
        log = _open_logs[key] = _Log(opened(), in_trace_dir=in_trace_dir)
        _finish_with_multiprocessing()
    return log


def _redact_if_asked(log: _Log, options: _Options) -> None:
    """Has secrets taken out of a log that another handler may have opened without."""
    if options[-1]:
        log.writer.redact()


def _redacts_by_environment() -> bool:
    value = os.environ.get(REDACT_VARIABLE, "")
    if value in ("", "0"):
        return False
    if value != "1":
        # Whoever sets it does not want secrets in a log.
        warn(f"{REDACT_VARIABLE}={value}: it can be 1 or 0; taken for 1")
    return True


def _open_in(directory: str, keep_runs: int, options: _Options, stall_s: float) -> _Log:
    """This process's log in a trace directory (call with `_opening` held)."""
    opened_now = False

    def create() -> _core.LogWriter:
        nonlocal opened_now
        opened_now = True
        run_id, is_child = _run()
        command = sys.orig_argv  # `sys.argv` is the program's own to change
        writer = _core.LogWriter.create_in(directory, run_id, is_child, options, stall_s, command)
        _publish_run(run_id, is_child=is_child)
        return writer

    # The trailing separator keeps a directory apart from a file that had its name before.
    log = _shared(directory, create, in_trace_dir=True)
    _redact_if_asked(log, options)
    if opened_now:
        keep_house(directory, keep_runs)
    return log


def keep_house(directory: str, keep_runs: int) -> None:
    """Has a trace directory tidied, and archived if the environment says so, by others."""
    is_archived = bool(os.environ.get(ARCHIVE_VARIABLE))
    try:
        _core.spawn_housekeeping(directory, keep_runs, archived=is_archived)
    except Exception as error:
        warn_of_exception(f"tidying {directory}", error)
    if is_archived:
        try:
            from .archive.start import archive_in_background  # only here: most do not need it

            archive_in_background(directory, _finish_logs_in)
        except Exception as error:
            warn_of_exception(f"archiving {directory}", error)


def _finish_logs_in(directory: str) -> list[str]:
    """Flushes and closes this process's logs in a directory; what comes yet is written directly."""
    paths = []
    for log in list(_open_logs.values()):
        path = log.writer.path
        if os.path.dirname(os.path.realpath(path)) == os.path.realpath(directory):  # noqa: PTH120
            log.writer.finish()
            paths.append(path)
    return paths


def _run() -> tuple[str, bool]:
    """The run this process belongs to, and whether another process started that run."""
    if _own_run is not None and _own_run[0] == os.getpid():
        return _own_run[1], False
    inherited = os.environ.get(RUN_VARIABLE, "")
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", inherited):
        return inherited, True
    return _core.new_trace_id(), False


def _publish_run(run_id: str, *, is_child: bool) -> None:
    """Tells the processes that this one will start that they belong to its run."""
    global _own_run
    if not is_child:
        _own_run = (os.getpid(), run_id)
        os.environ[RUN_VARIABLE] = run_id


def _forget_run_without_logs() -> None:
    """Once no log is open, processes started later are not children of a traced run."""
    if any(log.in_trace_dir for log in list(_open_logs.values())):
        return
    if _own_run is not None and os.environ.get(RUN_VARIABLE) == _own_run[1]:
        del os.environ[RUN_VARIABLE]


def _called_by_shutdown() -> bool:
    """Whether the `close` that asks was called by `logging.shutdown`, not by the program."""
    frame = sys._getframe(1)  # noqa: SLF001 (the standard library has no other way to tell)
    while frame.f_back is not None and frame.f_code.co_name == "close":
        frame = frame.f_back
    return frame.f_code is logging.shutdown.__code__


def _sentence(error: Exception, path: str | Path) -> str:
    """What went wrong with a log, in one line that names it."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return text if str(path) in text else f"{path}: {text}"
