"""What the writing benches measure: our calls and the reference's, each writing to a real file.

A subject is one operation of one side, ready to be called. The reference is its `trace_action` and
`trace_message` through a `FileHandler` with its `TraceFormatter`, as it sets them up itself, and
its own filter for what it knows about the sample. `nothing` is what the loops take by themselves.
"""

from __future__ import annotations

import importlib
import logging
import os
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRACE = 13
MODEL = "openai/gpt-5-mini"
WAIT_S = 17
SAMPLE = SimpleNamespace(task="swe_bench", sample=SimpleNamespace(id="s-25"), epoch=1)
"""As much of the reference's active sample as its filter looks at."""

_sample: ContextVar[SimpleNamespace | None] = ContextVar("_sample", default=None)


def do_nothing() -> None:
    """For subjects that have nothing to wait for or to close."""


@dataclass(frozen=True)
class Subject:
    """One operation, ready to be called."""

    repeat: Callable[[int], None]
    """Does it so many times; the loop is inside, so that no call of ours comes on top."""
    mark: Callable[[str], object]
    """Does it once, with that text in what is written."""
    lines: int = 1
    """How many lines each leaves in the file."""
    block: Callable[[], AbstractContextManager[Any]] | None = None
    """If it is a block: the block. What runs in it may wait."""
    drain: Callable[[], object] = do_nothing
    """Waits for what runs behind the program's back; that is part of the time."""
    close: Callable[[], object] = do_nothing
    """Afterwards all is in the file."""


class ContextFilter(logging.Filter):
    """What a program adds to its records: where in its work it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the current sample."""
        sample = _sample.get()
        if sample is not None:
            record.task = sample.task
            record.sample_id = sample.sample.id
            record.epoch = sample.epoch
        return True


def subject_of(side: str, operation: str, file: Path, name: str = "bench") -> Subject:
    """Sets up one of ours (`ours`), the reference's (`reference`) or their floors.

    `name` is that of its logger.
    """
    if side == "nothing":
        return _nothing()
    if side == "floor":
        return _write_and_sync(file)
    logger = logging.getLogger(name)
    logger.propagate = False
    tracing: Any = None
    handler: logging.Handler = logging.NullHandler()
    if side == "ours":
        tracing = importlib.import_module("inspect_trace")
        options: dict[str, Any] = {"durability": "fsync"} if operation == "fsync" else {}
        handler = tracing.TraceHandler(file, **options)
    elif side == "reference":
        tracing = importlib.import_module("inspect_ai._util.trace")
        logging.addLevelName(TRACE, "TRACE")
        handler = logging.FileHandler(file)
        handler.setFormatter(tracing.TraceFormatter())
    if operation == "reference-context" or (side, operation) == ("reference", "context"):
        # Its context is that of a sample that runs.
        importlib.import_module("inspect_ai.log")
        samples: Any = importlib.import_module("inspect_ai.log._samples")
        samples._sample_active.set(SAMPLE)  # noqa: SLF001 (what runs a sample sets it)
        importlib.import_module("inspect_ai._util.log_context").install_sample_context_filter(
            handler
        )
    elif operation == "python-filter":
        _sample.set(SAMPLE)
        handler.addFilter(ContextFilter())
    elif (side, operation) == ("ours", "context"):
        context = {"task": SAMPLE.task, "sample_id": SAMPLE.sample.id, "epoch": SAMPLE.epoch}
        tracing.trace_context(**context).__enter__()  # it lasts as long as the process
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if operation == "off" else TRACE)

    def close() -> None:
        logger.removeHandler(handler)
        handler.close()

    if operation == "message":
        return _message(tracing, logger, close)
    if operation == "info":
        return info_subject(logger.info, close, lines=0 if side == "null" else 1)
    return _action(tracing, logger, operation, close)


def info_subject(
    info: Callable[[str, object], object],
    close: Callable[[], object],
    *,
    lines: int = 1,
    drain: Callable[[], object] = do_nothing,
    message: str = "Rate limit reached, next attempt in %d seconds",
) -> Subject:
    """A record by a method such as `logging.Logger.info`: a message and its argument."""

    def repeat(count: int) -> None:
        for _ in range(count):
            info(message, WAIT_S)

    def mark(text: str) -> None:
        info(text + message, WAIT_S)

    return Subject(repeat, mark, lines=lines, drain=drain, close=close)


def _message(tracing: Any, logger: logging.Logger, close: Callable[[], None]) -> Subject:
    trace_message = tracing.trace_message

    def repeat(count: int) -> None:
        for _ in range(count):
            trace_message(logger, "Sandbox", "looking for %s", "bash")

    def mark(text: str) -> None:
        trace_message(logger, "Sandbox", "%s", text)

    return Subject(repeat, mark, close=close)


def _action(
    tracing: Any, logger: logging.Logger, operation: str, close: Callable[[], None]
) -> Subject:
    trace_action = tracing.trace_action

    def repeat(count: int) -> None:
        for _ in range(count):
            with trace_action(logger, "Model", "generate (%s)", MODEL):
                pass

    def repeat_failing(count: int) -> None:
        for _ in range(count):
            try:
                with trace_action(logger, "Subprocess", "make -j4 check"):
                    raise RuntimeError("container exited with code 137")
            except RuntimeError:  # noqa: PERF203 (each fails by itself)
                pass

    def mark(text: str) -> None:
        with trace_action(logger, "Model", "generate (%s)", text):
            pass

    def block() -> AbstractContextManager[Any]:
        entered: AbstractContextManager[Any] = trace_action(logger, "Model", "generate (%s)", MODEL)
        return entered

    return Subject(
        repeat_failing if operation == "error" else repeat,
        mark,
        lines=0 if operation == "off" else 2,
        block=block,
        close=close,
    )


def _nothing() -> Subject:
    def repeat(count: int) -> None:
        for _ in range(count):
            pass

    return Subject(repeat, len, lines=0, block=nullcontext)


def _write_and_sync(file: Path) -> Subject:
    """What an action takes that has the disk keep each of its two records at once."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    line = b"x" * 299 + b"\n"

    def repeat(count: int) -> None:
        for _ in range(2 * count):
            os.write(fd, line)
            os.fdatasync(fd)

    def mark(text: str) -> None:
        os.write(fd, text.encode() + b"\n")

    return Subject(repeat, mark, lines=2, close=lambda: os.close(fd))
