"""Other packages that log or trace, each as its documentation sets it up, writing to a file.

None of them is a dependency of inspect-trace. One that is not installed is left out, and the
results say so.
"""

from __future__ import annotations

import importlib
import logging
import logging.handlers
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from write_subjects import MODEL, WAIT_S, Subject, info_subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

PLAIN = "%(asctime)s %(levelname)s %(name)s %(message)s"


@dataclass(frozen=True)
class Peer:
    """A package in one of its set-ups."""

    name: str
    unit: str
    """What one operation is: an action, or a record."""
    build: Callable[[Path], Subject]
    distribution: str | None = None
    """Where it comes from; None is the standard library."""


def eliot(file: Path) -> Subject:
    """An action of eliot's: a message at its start and one at its end."""
    package: Any = importlib.import_module("eliot")
    out = file.open("ab")
    package.to_file(out)
    start_action = package.start_action

    def repeat(count: int) -> None:
        for _ in range(count):
            with start_action(action_type="Model", detail=MODEL):
                pass

    def mark(text: str) -> None:
        with start_action(action_type="Model", detail=text) as action:
            action.add_success_fields(detail=text)

    def block() -> AbstractContextManager[Any]:
        action: AbstractContextManager[Any] = start_action(action_type="Model", detail=MODEL)
        return action

    return Subject(repeat, mark, lines=2, block=block, close=out.close)


def opentelemetry(file: Path) -> Subject:
    """A span, exported in batches as JSON; the queue is long enough that none is thrown away."""
    return _opentelemetry(file, max_queue_size=1 << 20)


def opentelemetry_as_it_comes(file: Path) -> Subject:
    """The same with the queue that the SDK has by default; what that drops it tells nobody."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return _opentelemetry(file)


def _opentelemetry(file: Path, **options: int) -> Subject:
    trace: Any = importlib.import_module("opentelemetry.sdk.trace")
    export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
    out = file.open("w", encoding="utf-8")
    exporter = export.ConsoleSpanExporter(
        out=out, formatter=lambda span: span.to_json(indent=None) + "\n"
    )
    provider = trace.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(export.BatchSpanProcessor(exporter, **options))
    start_span = provider.get_tracer("bench").start_as_current_span

    def repeat(count: int) -> None:
        for _ in range(count):
            with start_span("Model", attributes={"detail": MODEL}):
                pass

    def mark(text: str) -> None:
        with start_span("Model", attributes={"detail": text}):
            pass

    def block() -> AbstractContextManager[Any]:
        span: AbstractContextManager[Any] = start_span("Model", attributes={"detail": MODEL})
        return span

    def close() -> None:
        provider.shutdown()
        out.close()

    return Subject(repeat, mark, block=block, drain=provider.force_flush, close=close)


def structlog(file: Path) -> Subject:
    """The set-up that structlog recommends for speed."""
    package: Any = importlib.import_module("structlog")
    orjson: Any = importlib.import_module("orjson")
    out = file.open("wb")
    package.configure(
        cache_logger_on_first_use=True,
        wrapper_class=package.make_filtering_bound_logger(logging.INFO),
        processors=[
            package.contextvars.merge_contextvars,
            package.processors.add_log_level,
            package.processors.format_exc_info,
            package.processors.TimeStamper(fmt="iso", utc=True),
            package.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=package.BytesLoggerFactory(file=out),
    )
    info = package.get_logger().bind().info

    def repeat(count: int) -> None:
        for _ in range(count):
            info("Rate limit reached", next_attempt_s=WAIT_S)

    return Subject(repeat, info, close=out.close)


def loguru(file: Path, *, enqueue: bool = False) -> Subject:
    """Serialized records; with `enqueue` a thread of loguru's own writes them."""
    logger: Any = importlib.import_module("loguru").logger
    logger.remove()
    logger.add(file, serialize=True, enqueue=enqueue)
    return info_subject(
        logger.info,
        logger.remove,
        drain=logger.complete,
        message="Rate limit reached, next attempt in {} seconds",
    )


def picologging(file: Path) -> Subject:
    """The logging of picologging, in C++, into its own `FileHandler`."""
    return _logging_like(importlib.import_module("picologging"), file)


def standard(file: Path) -> Subject:
    """The standard library's `FileHandler`, plain text."""
    return _logging_like(logging, file)


def standard_in_memory(file: Path) -> Subject:
    """The standard library's handler that keeps records back and writes many at once."""
    file_handler = logging.FileHandler(file)
    file_handler.setFormatter(logging.Formatter(PLAIN))
    memory = logging.handlers.MemoryHandler(1000, logging.CRITICAL, file_handler)

    def close() -> None:
        memory.close()
        file_handler.close()

    return info_subject(_logger_with(memory).info, close, drain=memory.flush)


def json_logger(file: Path) -> Subject:
    """The standard library's `FileHandler` with python-json-logger's formatter."""
    package: Any = importlib.import_module("pythonjsonlogger.json")
    handler = logging.FileHandler(file)
    handler.setFormatter(package.JsonFormatter(PLAIN))
    return info_subject(_logger_with(handler).info, handler.close)


def _logging_like(package: Any, file: Path) -> Subject:
    logger = package.getLogger("bench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = package.FileHandler(str(file))
    handler.setFormatter(package.Formatter(PLAIN))
    logger.addHandler(handler)
    return info_subject(logger.info, handler.close)


def _logger_with(handler: logging.Handler) -> logging.Logger:
    logger = logging.getLogger("bench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return logger


PEERS = {
    "eliot": Peer("eliot `start_action`", "action", eliot, "eliot"),
    "opentelemetry": Peer(
        "OpenTelemetry span, in batches to a file, with the wait for them",
        "action",
        opentelemetry,
        "opentelemetry-sdk",
    ),
    "picologging": Peer("picologging `FileHandler`", "record", picologging, "picologging"),
    "structlog": Peer("structlog with orjson, `BytesLogger`", "record", structlog, "structlog"),
    "standard": Peer("logging, `FileHandler`, plain text", "record", standard),
    "standard-memory": Peer("logging, `MemoryHandler(1000)`", "record", standard_in_memory),
    "json-logger": Peer("python-json-logger", "record", json_logger, "python-json-logger"),
    "loguru": Peer("loguru, `serialize`", "record", loguru, "loguru"),
    "loguru-enqueue": Peer(
        "loguru, `serialize` and `enqueue`, with the wait for its thread",
        "record",
        partial(loguru, enqueue=True),
        "loguru",
    ),
}
"""By the names that the workers know them by."""
