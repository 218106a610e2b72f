"""The compiled core: the typed border that the rest of the package is built on."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, final

from typing_extensions import Buffer, Self, disjoint_base

_Function = TypeVar("_Function", bound=Callable[..., Any])
_AnyLogger: TypeAlias = logging.Logger | logging.LoggerAdapter[Any]

__all__ = [
    "Action",
    "ActionSpan",
    "Anomalies",
    "Archive",
    "ArchiveCatalog",
    "ArchiveCheck",
    "ArchiveLog",
    "ArchiveManifest",
    "ArchivePiece",
    "ArchivePruning",
    "ContextFields",
    "Filter",
    "FollowedRecords",
    "HousekeepingReport",
    "LiveAction",
    "LiveCounter",
    "LiveSnapshot",
    "LiveView",
    "LogWriter",
    "PartialState",
    "Question",
    "Records",
    "RemoteLogs",
    "Report",
    "TraceFile",
    "TraceRecord",
    "__version__",
    "anomalies",
    "anomalies_answer",
    "anomalies_report",
    "diff_answer",
    "diff_report",
    "dump_report",
    "export_report",
    "failed_state",
    "follow",
    "follow_report",
    "format_record",
    "handle_record",
    "housekeep",
    "http_answer",
    "http_report",
    "is_archived",
    "is_archiving",
    "know_action_helpers",
    "know_context",
    "know_last_resort",
    "know_trace_handler",
    "list_report",
    "list_trace_files",
    "new_trace_id",
    "open_action_ids",
    "parse_duration",
    "parse_moment",
    "parse_size",
    "partial_state",
    "plan_tasks",
    "redact",
    "resolve_trace_file",
    "resolve_trace_files",
    "scan",
    "spawn_archiver",
    "spawn_housekeeping",
    "start_action",
    "stats_answer",
    "stats_report",
    "stop_watching",
    "terminal_safe",
    "timeline_report",
    "trace_action",
    "trace_message",
    "tree_report",
    "use_fast_path",
    "verify_report",
    "watch_after_fork",
]

__version__: str

@disjoint_base
class trace_action:  # noqa: N801 (used like a function)
    """Traces an action: one record when it begins, one when it ends, with how and after how long.

    As a context manager:

        with trace_action(logger, "Model", "generate (%s)", model):
            ...

    or as a decorator of a function, a coroutine function, a generator function or an async
    generator function, which traces each call (a generator from its first step to its last):

        @trace_action(logger, "Subtask", "summarise")
        async def summarise(text: str) -> str: ...

    The closing record tells the outcome: `exit`; `timeout` for timeouts, also those of
    `subprocess`, `concurrent.futures`, trio, httpx, requests, openai and anthropic; `cancel` for
    Ctrl-C, interpreter exit, closed generators and cancellation by asyncio, anyio, trio or
    `concurrent.futures`; `error` for everything else. An exception group is judged by what it
    holds: only cancellations are a `cancel`, a timeout among them makes it a `timeout`, anything
    else an `error`. The exception itself passes unchanged.

    An action inside another names it as `parent_id`, also across tasks, and across threads that
    run in a copy of the context. Inside a traced generator the generator's own action is the parent
    only while its code runs, not while its consumer's does.

    Args:
        logger: The logger to trace with; nothing happens while its level is above TRACE.
        action: The kind of action, such as `Model` or `Subprocess`.
        message: What it is at: a %-format if arguments follow. Where formatting fails, the message
            is recorded as it stands, and the reason as `format_error`.
        *args: Positional arguments of the format.
        **kwargs: Named arguments of the format, used if there are no positional ones.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def __init__(
        self, /, logger: _AnyLogger, action: str, message: str, *args: Any, **kwargs: Any
    ) -> None: ...
    def __enter__(self) -> None:
        """Writes the enter record."""
    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Writes the closing record."""
    def __call__(self, function: _Function, /) -> _Function:
        """Decorates a function, so that each call of it is traced.

        Returns:
            A function of the same kind: what is a coroutine, generator or async generator function
            stays one.
        """

@final
class ActionSpan:
    """One run of an action, and, while it is current, what encloses the actions that start."""

    def enter(self) -> None:
        """Begins, for a wrapper: the program is one frame further out."""
    def finish(self, error: BaseException | None) -> None:
        """Ends, for a wrapper."""
    @staticmethod
    def enter_foreign(trace_id: str) -> ActionSpan | None:
        """An action whose records somebody else writes: it encloses what starts from now on.

        That is, in the current context. None for what is no trace id.
        """
    def leave(self) -> None:
        """Ends such an action."""
    def open_ids(self) -> list[str]:
        """The ids of this action and those around it, as far as they are open, innermost first."""
    @property
    def parent_id(self) -> str | None:
        """The trace id of the enclosing action."""
    @property
    def pid(self) -> int | None:
        """The process, in a forked child."""

def trace_message(
    logger: _AnyLogger, category: str, message: str, *args: Any, **kwargs: Any
) -> None:
    """Logs `[<category>] <message>` at level TRACE.

    Args:
        logger: The logger to trace with; nothing happens while its level is above TRACE.
        category: What the message is about, such as `Sandbox`.
        message: The message: a %-format if arguments follow.
        *args: Positional arguments of the format.
        **kwargs: Named arguments of the format, used if there are no positional ones. `exc_info`,
            `extra`, `stack_info` and `stacklevel` mean what they mean to `Logger.log`.
    """

def start_action(action: trace_action, /) -> ActionSpan | None:
    """A call of a decorated function, about to begin; None where nothing is traced."""

def handle_record(handler: logging.Handler, record: logging.LogRecord) -> bool | logging.LogRecord:
    """Filters and writes a record, as `TraceHandler.handle` tells.

    Of a handler that is not a `TraceHandler` and nothing else, it calls `_handle`.
    """

def know_trace_handler(class_: type[logging.Handler], /) -> None:
    """Makes `TraceHandler` known, with its methods as they are."""

def know_last_resort(class_: type[logging.Handler], /) -> None:
    """Makes the handler known that stands in for `logging.lastResort`."""

def know_action_helpers(
    *,
    current: ContextVar[ActionSpan | None],
    text_of: Callable[[object], str],
    merged: Callable[[object, tuple[Any, ...], dict[str, Any]], tuple[str, str | None]],
    outcome_of: Callable[[BaseException], tuple[str, dict[str, str] | None]],
    emit: Callable[[_AnyLogger, str, str, str, dict[str, object], int], None],
    log_message: Callable[[_AnyLogger, object, object, tuple[Any, ...], dict[str, Any]], None],
    decorated: Callable[[trace_action, Any], Any],
    warn_of_exception: Callable[[str, BaseException], None],
) -> None:
    """Makes the functions known that `trace_action` and `trace_message` need of Python."""

@final
class ContextFields:
    """The fields of a context, ready to be written.

    Args:
        fields: Their values by their names.

    Raises:
        ValueError: A name is one that records have for themselves.
    """

    def __new__(cls, fields: dict[str, object]) -> Self: ...
    def with_fields(self, others: ContextFields) -> ContextFields:
        """These with others, which replace those of the same name."""

def know_context(variable: ContextVar[ContextFields | None]) -> None:
    """Makes the context variable known that holds the fields of the current context."""

def use_fast_path(on: bool) -> None:
    """Whether records may go past `logging` where nobody can tell; for the tests of that."""

_WriterOptions: TypeAlias = tuple[int, str, str, int | None, bool]
"""`buffer_bytes`, `on_full`, `durability`, `max_bytes`, `redact`, as `TraceHandler` takes them."""

@final
class LogWriter:
    """An open trace log; every record is one line, which survives the process at once.

    Lines go into shared memory, and from there into the log within 50 ms. Safe to share between
    threads, and over a fork.
    """

    @staticmethod
    def create_in(
        directory: str,
        run_id: str,
        is_child: bool,
        options: _WriterOptions | None = None,
        stall_s: float = 0.0,
        command: Sequence[str] | None = None,
    ) -> LogWriter:
        """This process's own log, `trace-<pid>.log`, in a trace directory.

        Args:
            directory: The trace directory; created (0700) where it is missing.
            run_id: The run that the process belongs to.
            is_child: Whether the run was started by another process.
            options: How to write it; None means the defaults of `TraceHandler`.
            stall_s: When an action has been open for so long, the log is told where it waits; 0:
                never.
            command: The command line of the process, which is noted on the log without secrets.

        Raises:
            OSError: The log cannot be created.
            ValueError: There is no such option.
        """

    @staticmethod
    def open(path: str, options: _WriterOptions | None = None, stall_s: float = 0.0) -> LogWriter:
        """A log at a path of the caller's choice, appended to; processes may share it.

        Args:
            path: The file; created (0600), with its parent directories, where it is missing.
            options: How to write it; None means the defaults of `TraceHandler`.
            stall_s: When an action has been open for so long, the log is told where it waits; 0:
                never.

        Raises:
            OSError: The log cannot be opened.
            ValueError: There is no such option.
        """

    @property
    def path(self) -> str:
        """The path of the log."""

    @property
    def dropped(self) -> int:
        """How many records could not be written, from the start."""

    def redact(self) -> None:
        """Takes secrets out of all records from now on, whatever the options said."""

    def write_record(self, record: logging.LogRecord) -> None:
        """Appends the line of a record.

        What is wrong with the record itself (arguments that do not fit, an object that cannot be
        printed) is written into its line.

        Raises:
            OSError: Writing fails, for a cause that has not been raised since it last worked; the
                record may be kept all the same, and later failures of the same cause are only
                counted.
        """

    def flush(self) -> None:
        """Puts all records that were written so far into the log.

        Raises:
            OSError: The system refuses; the records are kept beside the log.
        """

    def finish(self) -> None:
        """Flushes, and leaves nothing beside the log; later records go into it directly."""

    def before_fork(self) -> None:
        """Flushes if that takes no waiting, so that a child's records come behind its parent's."""

    def after_fork_in_child(self) -> None:
        """Makes the writer the forked child's own: to be called in the child, right after."""

    def close(self) -> None:
        """Closes the log. Closing again does nothing; records written later are counted."""

def open_action_ids(holder: object, /) -> list[str]:
    """The trace ids of the open actions that an object stands for.

    That is a `trace_action` whose block is open, or an `ActionSpan`; anything else stands for none.
    """

def stop_watching() -> None:
    """Nobody looks any more where actions wait, for the rest of the process's life."""

def watch_after_fork() -> None:
    """Forgets the open actions, which are the parent's: to be called in a forked child."""

def format_record(record: logging.LogRecord) -> str:
    """The line of a log record, without its newline.

    The line is the one that inspect_ai's trace formatter gives, to the byte; the few documented
    departures keep what that formatter loses.
    """

def redact(text: str) -> str:
    """The text without the secrets in it; see `inspect_trace.redact`."""

def new_trace_id() -> str:
    """A new random trace id: a UUID in the 22 characters of the `shortuuid` package."""

@final
class HousekeepingReport:
    """What one housekeeping of a trace directory did."""

    @property
    def compressed(self) -> int:
        """Finished logs that are compressed now."""
    @property
    def removed(self) -> int:
        """Logs of old runs that were removed."""
    @property
    def stale_temporaries(self) -> int:
        """Temporary files of killed processes that were removed."""
    @property
    def skipped_because_busy(self) -> bool:
        """Whether another process was at it already, so nothing was done."""

def housekeep(directory: str, keep_runs: int, *, archived: bool = False) -> HousekeepingReport:
    """Compresses finished logs and removes those of runs beyond the newest `keep_runs`.

    With `archived` none is removed that is not known to be in the archive.
    """

def spawn_housekeeping(directory: str, keep_runs: int, *, archived: bool = False) -> None:
    """Does what `housekeep` does, on a background thread that nobody waits for."""

@final
class TraceFile:
    """One trace log of a trace directory."""

    @property
    def path(self) -> str:
        """Its path; where only parts of it are left, the one that it had."""
    @property
    def mtime(self) -> float:
        """When it, or its newest part, was last written, in seconds since the epoch."""
    @property
    def size(self) -> int:
        """Its size in bytes with that of its parts, as they lie on the disk."""
    @property
    def parts(self) -> int:
        """How many parts it was rotated to, beside the file at `path`."""
    @property
    def pid(self) -> int | None:
        """The process that wrote it, where that is known."""
    @property
    def alive(self) -> bool | None:
        """Whether that process is still alive; None where that cannot be told."""
    @property
    def run_id(self) -> str | None:
        """The run it belongs to; None for logs of other tools."""
    @property
    def is_child(self) -> bool:
        """Whether its process was started by another process of the run."""
    @property
    def command(self) -> list[str] | None:
        """The words of its process's command line, without secrets; None where it is not known.

        As noted on the log (long ones are cut), or of another tool's log that is being written, as
        the system tells.
        """

def list_trace_files(directory: str) -> list[TraceFile]:
    """The trace logs of a directory, the most recently written first."""

def resolve_trace_file(name: str | None, directory: str, cwd: str) -> str:
    """The path of the log that a name stands for; see `inspect_trace.resolve_trace_file`."""

def resolve_trace_files(names: Sequence[str], directory: str, cwd: str) -> list[str]:
    """The paths of the logs that some names stand for; a directory stands for all logs in it.

    Those of a directory come the least recently written first. No names: the most recent log.
    """

@final
class TraceRecord:
    """One record of a trace log. What the record does not have is None."""

    @property
    def timestamp(self) -> str:
        """When it was made: ISO 8601, local zone of the writer, with offset."""
    @property
    def level(self) -> str:
        """The name of its level: TRACE, HTTP, INFO, ..."""
    @property
    def message(self) -> str:
        """The message, merged with its arguments."""
    @property
    def module(self) -> str | None:
        """The module that logged it (levels other than TRACE)."""
    @property
    def function(self) -> str | None:
        """The function that logged it (levels other than TRACE)."""
    @property
    def line(self) -> int | None:
        """The line that logged it (levels other than TRACE)."""
    @property
    def action(self) -> str | None:
        """The kind of action: Model, Subprocess, ..."""
    @property
    def detail(self) -> str | None:
        """What the action is at, in words."""
    @property
    def event(self) -> str | None:
        """enter, exit, cancel, error or timeout."""
    @property
    def trace_id(self) -> str | None:
        """What joins the enter record of an action to its closing record."""
    @property
    def parent_id(self) -> str | None:
        """The trace id of the enclosing action."""
    @property
    def start_time(self) -> float | None:
        """When the action began, in seconds since the epoch (enter records)."""
    @property
    def duration(self) -> float | None:
        """How long the action took, in seconds (closing records)."""
    @property
    def error(self) -> str | None:
        """What the exception said."""
    @property
    def error_type(self) -> str | None:
        """The class of the exception."""
    @property
    def stacktrace(self) -> str | None:
        """The formatted traceback of the exception."""

    def to_dict(self) -> dict[str, Any]:
        """All fields, extra ones too, as `json.loads` gives them."""
    def get(self, key: str, default: Any = None, /) -> Any:
        """A field by name, extra ones too."""
    def __getitem__(self, key: str, /) -> Any: ...
    def __contains__(self, key: str, /) -> bool: ...

@final
class Records(Iterator[TraceRecord]):
    """The records of a log, one after the other."""

    @property
    def skipped(self) -> str | None:
        """One line on what was skipped or repaired so far, or None."""
    def __iter__(self) -> Records: ...
    def __next__(self) -> TraceRecord: ...

@final
class Filter:
    """A choice of records, or of actions: every condition that is given has to hold."""

    def __new__(
        cls,
        message: str | None = None,
        *,
        level: str | None = None,
        actions: Sequence[str] | None = None,
        events: Sequence[str] | None = None,
        since: str | float | None = None,
        until: str | float | None = None,
        min_duration: str | float | None = None,
        samples: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
    ) -> Filter:
        """The records that all conditions select, in a list of values any of them.

        Args:
            message: A text in the message, upper and lower case being equal.
            level: A level, for it and those above; with a `=` before it, for it alone.
            actions: Kinds of action, upper and lower case being equal.
            events: What action records tell: enter, exit, cancel, error, timeout.
            since: The first moment: seconds since the epoch, or a text as the commands take it.
            until: The moment after the last.
            min_duration: The least duration: seconds, or a text as the commands take it.
            samples: Values of `sample_id`: texts, or the JSON text of numbers and booleans.
            tasks: Values of `task`.

        Raises:
            ValueError: A value is none of its kind; the one line says what is.
        """
    def __getnewargs_ex__(self) -> tuple[tuple[str | None], dict[str, Any]]:
        """What `pickle` makes the same filter of, whatever the time is then."""

def scan(
    path: str, *, filter: Filter | None = None, tail: int | None = None, limit: int | None = None
) -> Records:
    """The records of the log at a path; see `inspect_trace.scan`."""

@final
class FollowedRecords(Iterator[TraceRecord]):
    """The records of a log as they are written, one after the other."""

    @property
    def skipped(self) -> str | None:
        """One line on what was skipped or repaired so far of the present file, or None."""
    def take_notes(self) -> list[str]:
        """One line each on what has happened to the log since this was last asked.

        That it was replaced, truncated or removed; what was skipped of a file that was left; why
        nothing more will come.
        """
    def __iter__(self) -> FollowedRecords: ...
    def __next__(self) -> TraceRecord: ...

def follow(path: str, *, filter: Filter | None = None, tail: int | None = None) -> FollowedRecords:
    """The records of the log at a path as they are written; see `inspect_trace.follow`.

    Args:
        path: The log.
        filter: Only these records.
        tail: Of the records that are there already, only the last so many.

    Raises:
        OSError: The log cannot be opened.
    """

@final
class Action:
    """A traced action and how it ended."""

    @property
    def action(self) -> str:
        """The kind of action: Model, Subprocess, ..."""
    @property
    def detail(self) -> str:
        """What the action is at, in words; empty where the record does not say."""
    @property
    def message(self) -> str:
        """The message of the record that tells of it last."""
    @property
    def event(self) -> Literal["enter", "exit", "cancel", "error", "timeout"]:
        """The last that is known of it: enter while it runs."""
    @property
    def trace_id(self) -> str:
        """What joins its records."""
    @property
    def parent_id(self) -> str | None:
        """The trace id of the enclosing action."""
    @property
    def start_time(self) -> float | None:
        """When it began, in seconds since the epoch; None where its enter record is missing."""
    @property
    def duration(self) -> float:
        """How long it took, in seconds.

        As recorded; of an action that runs, until `as_of`; of one that was cut off, until the last
        record of its process.
        """
    @property
    def error(self) -> str | None:
        """What the exception said."""
    @property
    def error_type(self) -> str | None:
        """The class of the exception."""
    @property
    def stacktrace(self) -> str | None:
        """The formatted traceback of the exception."""
    @property
    def stack(self) -> Any:
        """The frames in which an open action was last seen to wait (of its last `stall` record)."""
    @property
    def task(self) -> Any:
        """The evaluation task it belongs to, as recorded."""
    @property
    def sample_id(self) -> Any:
        """The sample it belongs to, as recorded."""
    @property
    def epoch(self) -> Any:
        """The epoch it belongs to, as recorded."""
    @property
    def pid(self) -> int | None:
        """The forked child it ran in; None for the process that the log is named after."""
    @property
    def interrupted(self) -> bool:
        """Whether its process ended while it ran."""

@final
class Anomalies:
    """The actions of a log that did not simply end well, the most recently finished first."""

    @property
    def running(self) -> list[Action]:
        """Not ended; their process lives, or may live."""
    @property
    def interrupted(self) -> list[Action]:
        """Not ended when their process did."""
    @property
    def cancelled(self) -> list[Action]:
        """Ended by cancellation, Ctrl-C or interpreter exit."""
    @property
    def errors(self) -> list[Action]:
        """Ended by an exception."""
    @property
    def timeouts(self) -> list[Action]:
        """Ended by a timeout."""
    @property
    def pid(self) -> int | None:
        """The process that wrote the log, where that is known."""
    @property
    def alive(self) -> bool | None:
        """Whether that process is still alive; None where that cannot be told."""
    @property
    def ended_at(self) -> float | None:
        """When the process wrote last, in seconds since the epoch; None while it is alive."""
    @property
    def skipped(self) -> str | None:
        """One line on what was skipped or repaired while reading, or None."""

def anomalies(
    path: str,
    *,
    filter: Filter | None = None,
    tail: int | None = None,
    as_of: float | None = None,
) -> Anomalies:
    """The anomalies of the log at a path; see `inspect_trace.anomalies`."""

@final
class RemoteLogs:
    """Logs in object stores. They can be opened by their names as long as this is kept."""

    def __new__(
        cls,
        objects: list[tuple[str, int, float | None]],
        read: Callable[[int, int, int], Iterable[Buffer]],
        *,
        connections: int,
        grouped: bool = False,
        logs: list[tuple[str, list[int]]] | None = None,
        manifests: list[tuple[str, bytes]] = ...,
    ) -> RemoteLogs:
        """Makes objects known.

        Args:
            objects: The URL of each, its size in bytes, and when it was last written, in seconds
                since the epoch, if that is known.
            read: Called by threads of the core with the number of an object, the byte to begin at
                and the one to end before; gives these bytes, all of them, in pieces.
            connections: How many calls there are at a time, at most.
            grouped: Whether the parts of a log that was rotated are one log.
            logs: Which logs there are, and which objects each of them is: no others are known then.
            manifests: Those of an archive, by the URLs of the directories whose logs they tell of.
        """
    @property
    def complaints(self) -> list[str]:
        """What is wrong with manifests: their logs are read without them."""
    @property
    def parts(self) -> list[list[int]]:
        """Of each log, the numbers of the objects that it is stored in."""
    @property
    def names(self) -> list[str]:
        """The names of the logs, in the order of the objects."""
    @property
    def traffic(self) -> tuple[int, int]:
        """How many requests were made so far, and how many bytes came."""

@final
class Question:
    """What is asked of logs, wherever they are read; see `inspect_trace.fleet`."""

    @staticmethod
    def anomalies(
        *, filter: Filter | None = None, as_of: float, show_all: bool = False
    ) -> Question:
        """What did not simply end; with `show_all`, also what failed or timed out."""
    @staticmethod
    def stats(
        *,
        by: str,
        filter: Filter | None = None,
        as_of: float,
        slowest: int = 0,
        redact: bool = False,
        no_detail: bool = False,
    ) -> Question:
        """What actions amount to."""
    @staticmethod
    def http(
        *,
        filter: Filter | None = None,
        as_of: float,
        failed: bool = False,
        limit: int | None = None,
        redact: bool = False,
        no_detail: bool = False,
    ) -> Question:
        """The HTTP requests."""

@final
class PartialState:
    """What is known so far of the answer to a question: states are merged in whatever order."""

    def __new__(cls, question: Question) -> PartialState:
        """Nothing is known yet."""
    @property
    def logs(self) -> int:
        """How many logs have been looked at."""
    def add(self, state: bytes) -> None:
        """Adds what `partial_state` gave, here or elsewhere. What comes twice counts once.

        Raises:
            OSError: These are other bytes, or those of another version or question.
        """
    def encode(self) -> bytes:
        """All of it, for `add` elsewhere."""

@final
class LiveView:
    """What some logs tell at this moment: what is there is scanned once, then what is appended."""

    def __new__(
        cls,
        names: Sequence[str],
        directory: str,
        cwd: str,
        *,
        filter: Filter | None = None,
        redact: bool = True,
        no_detail: bool = False,
        min_told: str | float | None = None,
        json: bool = False,
    ) -> LiveView:
        """Begins to look; nothing is read yet.

        Args:
            names: Logs, or directories whose logs are looked at as they come and go; none: the
                most recent log.
            directory: The trace directory.
            cwd: The current directory.
            filter: What is looked at, as for `anomalies`.
            redact: Whether secrets are taken out.
            no_detail: Without the texts in them.
            min_told: What `changes` tells of: actions that are open for so many seconds, or for so
                long (`"1m30s"`), or longer.
            json: Whether `changes` are JSON.

        Raises:
            OSError: A name stands for nothing, or for what cannot be looked at again.
            ValueError: `min_told` is no duration.
        """
    def step(self, duration: float) -> bool:
        """Reads on, for about so many seconds at most.

        Returns:
            Whether there is more to read before there is something to show. After that, the next
            step begins to look for what came since.

        Raises:
            OSError: The only log cannot be read, or a directory is gone.
        """
    def snapshot(
        self,
        as_of: float,
        *,
        text: str | None = None,
        limit: int | None = None,
        order: str = "longest",
        innermost: bool = False,
    ) -> LiveSnapshot:
        """What there is to show.

        Args:
            as_of: The moment that is, in seconds since the epoch.
            text: Only open actions with this text in their name, detail, task, sample or log.
            limit: No more than so many open actions.
            order: `longest` (first), `newest`, `action` or `sample`; those that run come first.
            innermost: Only actions in which no other one is open.
        """
    def changes(self, as_of: float) -> bytes:
        """Lines on what has changed since this was last asked."""
    @property
    def over(self) -> bool:
        """Whether nothing will come any more: all processes have ended."""
    @property
    def progress(self) -> tuple[int, int | None] | None:
        """How far the first reading is: bytes read, and bytes there are; None once it is done."""
    @property
    def skipped(self) -> list[str]:
        """Lines on what was skipped or repaired so far."""
    def take_notes(self) -> list[str]:
        """Lines on what has happened to the logs, each once."""

@final
class LiveSnapshot:
    """What a live view shows at one moment."""

    @property
    def as_of(self) -> float:
        """The moment, in seconds since the epoch."""
    @property
    def running(self) -> int:
        """How many actions run."""
    @property
    def interrupted(self) -> int:
        """How many actions are open whose process has ended."""
    @property
    def chosen(self) -> int:
        """How many open actions were asked for, however many of these are there."""
    @property
    def records(self) -> int:
        """How many records were read."""
    @property
    def trace_files(self) -> list[str]:
        """The logs."""
    @property
    def written(self) -> int:
        """How many of them are known to be written by a process."""
    @property
    def open(self) -> list[LiveAction]:
        """The open actions that were asked for, in the order that was."""
    @property
    def counters(self) -> list[LiveCounter]:
        """What there is to count, by kinds of action."""
    def frame(self, lines: int, *, width: int | None = None, color: bool = False) -> str:
        """All of it as a screen of so many lines at most, none wider than that."""

@final
class LiveAction:
    """An open action. All texts are one line and safe for a terminal."""

    @property
    def number(self) -> int:
        """Tells it from all others of the view."""
    @property
    def trace_id(self) -> str:
        """What joins its records."""
    @property
    def duration(self) -> float:
        """For how long it has been open, or was when its process ended, in seconds."""
    @property
    def interrupted(self) -> bool:
        """Whether its process has ended."""
    @property
    def age(self) -> str:
        """The duration as people read it."""
    @property
    def action(self) -> str:
        """The kind of action."""
    @property
    def detail(self) -> str:
        """What it is at."""
    @property
    def sample(self) -> str:
        """Its sample, epoch and task."""
    @property
    def inside(self) -> str:
        """The action that it is in."""
    @property
    def pid(self) -> str:
        """Its process."""
    @property
    def waits_in(self) -> str:
        """The innermost function where it was last seen to wait."""
    @property
    def log(self) -> str:
        """The name of its log."""
    @property
    def details(self) -> str:
        """All that is known of it, in lines; without what was said if the view is."""
    def records(self, *, limit: int | None = None, redact: bool = True) -> Report:
        """Its records and those of the actions right within it, as JSON Lines.

        Of a view with `no_detail` they are without it, too.

        Raises:
            OSError: The log cannot be opened.
        """

@final
class LiveCounter:
    """What there is to count of one kind of action."""

    @property
    def action(self) -> str:
        """The kind."""
    @property
    def open(self) -> int:
        """How many are open."""
    @property
    def done(self) -> int:
        """How many ended well."""
    @property
    def failed(self) -> int:
        """How many failed or timed out."""
    @property
    def cancelled(self) -> int:
        """How many were cancelled."""
    @property
    def rate(self) -> str:
        """How many a second have ended since the snapshot before."""
    @property
    def p50(self) -> str:
        """How long half of them took at most."""
    @property
    def p99(self) -> str:
        """How long all but one in a hundred took at most."""

@final
class Report(Iterator[bytes]):
    """The output of a command, in chunks."""

    @property
    def skipped(self) -> str | None:
        """One line on what was skipped or repaired, once the chunks have ended, or None."""
    @property
    def streams(self) -> bool:
        """Whether there is output from the beginning on, not only at the end."""
    @property
    def progress(self) -> tuple[int, int | None] | None:
        """How many bytes of the files have been read, and how many there are, if that is known."""
    @property
    def failed(self) -> bool:
        """Whether something failed that is told in a note, such as one log of several."""
    @property
    def found_problems(self) -> bool:
        """Whether what was asked about is not as it should be."""
    def write_to(self, fd: int, duration: float, name: str | None = None) -> bool:
        """Writes chunks to an open file for about so many seconds.

        Args:
            fd: The descriptor.
            duration: How long, in seconds.
            name: What the file is called in errors; default: standard output.

        Returns:
            Whether there is more to write.

        Raises:
            OSError: A log cannot be read, or the file cannot be written.
        """
    def take_notes(self) -> list[str]:
        """Lines on what has happened meanwhile, each once: for stderr, after each chunk."""
    def __iter__(self) -> Report: ...
    def __next__(self) -> bytes: ...

def dump_report(
    paths: Sequence[str],
    *,
    filter: Filter | None = None,
    jsonl: bool = False,
    tail: int | None = None,
    limit: int | None = None,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """All records of some logs as a JSON array, or as JSON Lines.

    Args:
        paths: The logs. Where it is not one, each record begins with its log as `trace_file`.
        filter: Only these records.
        jsonl: One record a line.
        tail: Only the last so many of these records of each log.
        limit: No more than so many in all.
        redact: Without the secrets in them.
        no_detail: Without the texts in them.

    Raises:
        OSError: The one log cannot be read.
    """

def follow_report(
    path: str,
    *,
    filter: Filter | None = None,
    tail: int | None = None,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """The records of a log and then those that are appended to it, as JSON Lines.

    A chunk comes at least ten times a second, an empty one where there is nothing new. It ends
    when nothing more can come: the log is a finished one, or its process has ended.

    Args:
        path: The log.
        filter: Only these records.
        tail: Of the records that are there already, only the last so many.
        redact: Without the secrets in them.
        no_detail: Without the texts in them.

    Raises:
        OSError: The log cannot be opened.
    """

def plan_tasks(
    question: Question, paths: Sequence[str], *, workers: int, in_parts: bool = True
) -> list[tuple[int, list[str], tuple[int, int, int, int | None] | None, int]]:
    """How logs are dealt out to so many workers.

    Returns:
        Of each task the number of its first log, the names of its logs, the part, and how many
        bytes are stored of it. Where the one log is read in parts (`in_parts` allows that), a part
        is its number, how many there are, and where it begins and ends in the log (`None`: at its
        end).
    """

def partial_state(
    question: Question,
    paths: Sequence[str],
    first_log: int,
    *,
    range: tuple[int, int, int, int | None] | None = None,
    tail: int | None = None,
    threads: int | None = None,
) -> bytes:
    """What some logs have to say to a question.

    Args:
        question: What is asked.
        paths: The logs, which follow each other.
        first_log: The number of the first.
        range: Which part of the one log is read, as `plan_tasks` gives it.
        tail: Only the last so many records of each.
        threads: How many read; default: one for each core.

    Returns:
        A state, for `PartialState.add`. What could not be read is told of in it.
    """

def failed_state(
    question: Question,
    paths: Sequence[str],
    first_log: int,
    reason: str,
    *,
    range: tuple[int, int, int, int | None] | None = None,
) -> bytes:
    """The state of logs that could not be read, for this reason."""

def anomalies_answer(
    state: PartialState,
    logs: int,
    *,
    show_all: bool = False,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """What `anomalies_report` tells, of so many logs; nothing is left in the state."""

def stats_answer(
    state: PartialState,
    logs: int,
    *,
    by: str,
    slowest: int = 0,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """What `stats_report` tells, of so many logs; nothing is left in the state."""

def diff_answer(
    before: PartialState,
    logs_before: int,
    after: PartialState,
    logs_after: int,
    *,
    by: str,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """What `diff_report` tells, of so many logs; nothing is left in the states."""

def http_answer(
    state: PartialState,
    logs: int,
    *,
    failed: bool = False,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """What `http_report` tells, of so many logs; nothing is left in the state."""

def http_report(
    paths: Sequence[str],
    *,
    filter: Filter | None = None,
    failed: bool = False,
    tail: int | None = None,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """The HTTP records of some logs, as a table or as JSON."""

def anomalies_report(
    paths: Sequence[str],
    *,
    filter: Filter | None = None,
    show_all: bool = False,
    tail: int | None = None,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """The anomalies of some logs, as tables or as JSON."""

def tree_report(
    paths: Sequence[str],
    *,
    filter: Filter | None = None,
    running: bool = False,
    tail: int | None = None,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """The actions of some logs within those that they are in, as text or as JSON."""

def timeline_report(
    paths: Sequence[str],
    *,
    filter: Filter | None = None,
    tail: int | None = None,
    limit: int | None = None,
    as_of: float,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """The actions of some logs over time, as an HTML page.

    Args:
        paths: The logs.
        filter: Only these actions, and those that they are in.
        tail: Only the last so many records of each log.
        limit: So many actions at most; 200,000 by default.
        as_of: Now: until when running actions last.
        redact: Whether keys, tokens and passwords are left out.
        no_detail: Without the texts in them.
    """

def stats_report(
    paths: Sequence[str],
    *,
    by: str,
    filter: Filter | None = None,
    slowest: int = 0,
    tail: int | None = None,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """What the actions of some logs amount to, as tables or as JSON.

    Args:
        paths: The logs.
        by: What actions are grouped by: `action`, `task`, `sample`, `detail`, `model` or `host`.
        filter: Only these actions and HTTP requests.
        slowest: So many of the slowest actions are told.
        tail: Only the last so many records of each log.
        limit: No more than so many groups.
        json: JSON instead of tables.
        as_of: Now, in seconds since the epoch: until when running actions last.
        width: The columns of the terminal.
        color: Whether headings are set off.
        redact: Without the secrets in them.
        no_detail: Without the texts in them; groups that these name have no name.

    Raises:
        OSError: The one log cannot be read.
        ValueError: There is no such group.
    """

def diff_report(
    before: Sequence[str],
    after: Sequence[str],
    *,
    by: str,
    filter: Filter | None = None,
    tail: int | None = None,
    limit: int | None = None,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """What has changed from the actions of some logs to those of others.

    Args:
        before: The logs of the one run.
        after: The logs of the other.
        by: What actions are grouped by, as in `stats_report`.
        filter: Only these actions and HTTP requests.
        tail: Only the last so many records of each log.
        limit: No more than so many groups.
        json: JSON instead of tables.
        as_of: Now, in seconds since the epoch: until when running actions last.
        width: The columns of the terminal.
        color: Whether headings are set off.
        redact: Without the secrets in them.
        no_detail: Without the texts in them; groups that these name have no name.

    Raises:
        OSError: The one log of a run cannot be read.
        ValueError: There is no such group.
    """

def export_report(
    paths: Sequence[str],
    to: str,
    *,
    filter: Filter | None = None,
    tail: int | None = None,
    as_of: float,
    redact: bool = False,
    no_detail: bool = False,
) -> Report:
    """Some logs in the format of another tool.

    Args:
        paths: The logs.
        to: `perfetto`, `otlp`, `csv`, or `typed-csv`, in which times are microseconds.
        filter: Only these actions, or of CSV records.
        tail: Only the last so many records of each log.
        as_of: Until when running actions last, in seconds since the epoch.
        redact: Without the secrets in them.
        no_detail: Without the texts in them.

    Raises:
        OSError: The one log cannot be read.
        ValueError: There is no such format.
    """

def list_report(
    directory: str,
    *,
    long: bool = False,
    no_detail: bool = False,
    json: bool = False,
    as_of: float,
    width: int | None = None,
    color: bool = False,
) -> Report:
    """The trace logs of a directory, as a table or as JSON.

    Args:
        directory: The trace directory; one that does not exist has none.
        long: Count what is in the logs, too, for which all of them is read.
        no_detail: Leave out command lines, and cut names.
        json: A list of objects.
        as_of: Now, in seconds since the epoch: how long live logs have been written.
        width: The width of the terminal; None writes each log on one line, with its whole path.
        color: Whether a terminal shows bold text.

    Raises:
        OSError: The directory cannot be read.
    """

def verify_report(
    paths: Sequence[str], *, limit: int | None = None, json: bool = False, as_of: float
) -> Report:
    """What is wrong with some logs: a line for each problem and one for each log, or JSON.

    Args:
        paths: The logs.
        limit: List no more than so many problems of each log; all are counted.
        json: An object `{trace_file, as_of, logs}`, with `trace_files` where it is not one log.
        as_of: Now, in seconds since the epoch.

    Raises:
        OSError: The one log cannot be opened.
    """

def terminal_safe(text: str) -> str:
    """The text with everything that could steer a terminal made visible."""

@final
class Archive:
    """A trace directory whose logs are shipped to one place; there is one at a time for each."""

    @staticmethod
    def open(directory: str, host: str, to: str) -> Archive | None:
        """Takes care of a directory; None where another process does.

        Args:
            directory: The trace directory.
            host: The machine that the logs were written on.
            to: The URL of the place.

        Raises:
            OSError: The directory is not there, or cannot be written to.
        """
    def take(self) -> bool:
        """Takes care of it again, after `release`; False where another process does by now."""
    def release(self) -> None:
        """Lets another process take care of it. Ask `is_idle` once more after this."""
    def look(self) -> tuple[list[ArchiveLog], int]:
        """The logs that are not settled yet, and how many there are in all."""
    def note(self, log: ArchiveLog) -> None:
        """Notes how far a log has been shipped, for `save`."""
    def save(self) -> None:
        """Puts what was noted into a file beside the logs, if that is possible."""
    def live_logs(self) -> list[str]:
        """The names of the logs that a process has open."""
    def is_idle(self, but: list[str]) -> bool:
        """Whether none is open, and all are shipped, but for those at these paths."""

@final
class ArchiveLog:
    """A log on its way into the archive. What it says of the store it was told."""

    @property
    def path(self) -> str:
        """Where it is here."""
    @property
    def size_bytes(self) -> int:
        """How large it is as it lies on the disk, in all its files."""
    @property
    def directory(self) -> str:
        """Where it goes in the store, below the prefix."""
    @property
    def is_live(self) -> bool:
        """Whether a process has it open."""
    @property
    def is_resumed(self) -> bool:
        """Whether it is known what the store has of it."""
    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done about it."""
    def forget(self) -> None:
        """Has the store be asked anew."""
    def resume(self, manifest: bytes | None, listed: list[tuple[str, int]]) -> list[str] | None:
        """Takes in what the store has in `directory`.

        Args:
            manifest: The manifest; None where there is none.
            listed: The names and sizes of all objects there.

        Returns:
            The objects that are in no manifest, to be given to `adopt` in this order; None where
            the directory is another log's, and `directory` names the next one to look at.

        Raises:
            OSError: The store has what it cannot have of this log, or the log cannot be read.
        """
    def adopt(self, name: str, content: bytes) -> bool:
        """Takes in an object; False where it shows that the directory is another log's."""
    def look(self) -> None:
        """Looks at how long the log is by now."""
    def next_piece(self) -> ArchivePiece | None:
        """The next piece to be put into the store, of the log as it was looked at."""
    def acknowledge(self, piece: ArchivePiece) -> None:
        """Notes that a piece is in the store."""
    def manifest(self, *, now: float, interval: float | None) -> ArchiveManifest:
        """The manifest as it has to be by now."""
    def manifest_written(self, manifest: ArchiveManifest) -> None:
        """Notes that a manifest is in the store."""

@final
class ArchivePiece:
    """A piece of a log, ready to be put into the store."""

    @property
    def name(self) -> str:
        """The name of the object, in the log's directory."""
    @property
    def content(self) -> bytes:
        """The object."""
    @property
    def size(self) -> int:
        """How many bytes it has."""
    @property
    def labels(self) -> dict[str, str]:
        """What the object is labelled with."""

@final
class ArchiveManifest:
    """What a manifest says."""

    @property
    def content(self) -> bytes:
        """The object."""

def is_archiving(directory: str) -> bool:
    """Whether an archiver takes care of a directory."""

def is_archived(path: str) -> bool:
    """Whether a log that its writer has closed is known to be in the archive."""

def spawn_archiver(directory: str, command: list[bytes], environment: list[bytes]) -> None:
    """Starts an archiver in a directory: nobody's child, in a session of its own.

    Raises:
        OSError: It cannot be started.
    """

def parse_duration(text: str) -> float:
    """Seconds, of a duration as people type it (`90`, `90s`, `1h30m`).

    Raises:
        ValueError: It is none.
    """

def parse_moment(text: str, *, now: float) -> float:
    """Seconds since the epoch, of a moment as people type it (`2026-11-23T10:22`, `-3h`, `now`).

    Raises:
        ValueError: It is none.
    """

def parse_size(text: str) -> int:
    """Bytes, of a size as people type it (`500000`, `100GB`, `64GiB`).

    Raises:
        ValueError: It is none.
    """

@final
class ArchiveCatalog:
    """What is in an archive, as far as it was listed, and manifests were read."""

    def __new__(cls, url: str) -> Self:
        """Nothing is known yet of the archive at `url`, which has no slash at its end."""
    def add(self, listed: list[tuple[str, int, float | None]]) -> None:
        """Takes in objects.

        Args:
            listed: Where each is below the URL, its size, and when it was put there.
        """
    def to_read(self) -> list[str]:
        """The directories, below the URL, whose manifests are to be read once all is listed."""
    def read(self, directory: str, manifest: bytes | None) -> None:
        """Takes in a manifest; None where it is not there any more."""
    def unread(self, directory: str, reason: str) -> None:
        """Notes that the store did not give one."""
    def report(
        self,
        *,
        since: float | None,
        until: float | None,
        hosts: list[str],
        tasks: list[str],
        open: bool,
        failed: bool,
        format: Literal["table", "json", "jsonl"],
        as_of: float,
        width: int | None,
        color: bool,
    ) -> Report:
        """The logs of the archive, the newest first.

        Args:
            since: Only those in which something was made or under way at that time or later.
            until: Only those that began before that time.
            hosts: Only those from one of these machines; empty: from any.
            tasks: Only those that name one of these tasks; empty: any.
            open: Only those with actions that have not ended.
            failed: Only those with actions that failed, by an error or a timeout.
            format: `jsonl` has a manifest a line, with the `url` of its directory in front.
            as_of: Now, in seconds since the epoch.
            width: The width of the terminal in columns, None where there is none.
            color: Whether headings are set off.
        """

@final
class ArchiveCheck:
    """An archive that is looked at for what is wrong with it."""

    def __new__(cls, catalog: ArchiveCatalog, *, as_of: float) -> Self:
        """The archive that is listed, at that moment."""
    def in_doubt(self) -> list[str]:
        """The directories to be looked at once more: a manifest may be newer than the listing."""
    def look_again(
        self, directory: str, manifest: bytes | None, listed: list[tuple[str, int, float | None]]
    ) -> None:
        """Takes in all of a directory.

        Args:
            directory: Where it is below the URL.
            manifest: The manifest, read before it was listed; None where there is none.
            listed: The name of each object, its size, and when it was put there.
        """
    def to_read(self) -> list[tuple[str, str]]:
        """The objects to be read for their checksums: directories and names."""
    def read(self, directory: str, name: str, sha256: str) -> None:
        """Takes in what was made of an object's bytes, in hexadecimal digits."""
    def unread(self, directory: str, name: str, reason: str) -> None:
        """Notes that an object cannot be read."""
    def report(self, *, checksums: bool, json: bool) -> Report:
        """What is wrong; it has failed if anything is.

        Args:
            checksums: Whether the objects were read.
            json: A JSON object instead of lines.
        """

@final
class ArchivePruning:
    """An archive of which logs go."""

    def __new__(
        cls,
        catalog: ArchiveCatalog,
        *,
        older_than: float | None,
        max_bytes: int | None,
        as_of: float,
    ) -> Self:
        """Chooses which go.

        Args:
            catalog: The archive as it was listed.
            older_than: Those whose last record was made so many seconds ago, or more.
            max_bytes: The oldest, until all others are not larger together.
            as_of: Now, in seconds since the epoch.
        """
    @property
    def directories(self) -> list[str]:
        """The directories that go, in this order."""
    def confirm(
        self, number: int, manifest: bytes | None, listed: list[tuple[str, int, float | None]]
    ) -> list[str] | None:
        """The names of the objects to be removed, in this order; None where the log stays.

        Args:
            number: Which of the `directories`.
            manifest: As it is right before; None where there is none.
            listed: All objects there, as they are right before: as `ArchiveCheck.look_again` has
                them.
        """
    def removed(self, number: int) -> None:
        """Notes that all that was confirmed is gone."""
    def failed(self, number: int, reason: str) -> None:
        """Notes that it could not be removed, or not all of it."""
    def report(self, *, dry_run: bool, json: bool, width: int | None, color: bool) -> Report:
        """What goes, or has gone.

        Args:
            dry_run: Nothing was removed: what would be is shown.
            json: A JSON object instead of text.
            width: The width of the terminal in columns, None where there is none.
            color: Whether headings are set off.
        """
