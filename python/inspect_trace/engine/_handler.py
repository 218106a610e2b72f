"""What stands in a `LogHandler` of inspect_ai in the place of its `FileHandler`."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from inspect_trace import _core
from inspect_trace._foreign import close_foreign, open_foreign
from inspect_trace._lowering import chain_of, logger_of
from inspect_trace._report import warn_of_exception
from inspect_trace.handler import (
    DEFAULT_KEEP_RUNS,
    TraceHandler,
    _Log,
    _open_logs,
    keep_house,
)

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable

SAMPLE_FIELDS: Final = ("task", "sample_id", "epoch")
ONLY_OURS: Final = 2
"""References to a log that nobody else has: the handler's, and that of asking."""


class EngineHandler(TraceHandler):
    """Writes the records that a `LogHandler` of inspect_ai passes on to its trace file.

    To each record of an action it adds what only the context of the call tells: the enclosing
    action (`parent_id`), the process in a forked child (`pid`) and, where inspect_ai itself does
    not, the sample. The record itself leaves as it came: the next one who looks at it is the
    transcript.

    A record that a `TraceHandler` of the program itself writes to the same log is left to that one.

    Args:
        path: The log; None makes it the process's own in a directory.
        directory: The directory; None is the trace directory.
        sample: Tells which sample the current context belongs to.
    """

    def __init__(
        self,
        path: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        sample: Callable[[], Any] | None = None,
    ) -> None:
        self.log_handler: weakref.ref[logging.Handler] | None = None
        self._sample = sample
        self._spans: dict[str, _core.ActionSpan] = {}
        self._is_in_order = False
        super().__init__(path, level=logging.NOTSET, directory=directory)

    @property
    def baseFilename(self) -> str:  # noqa: N802 - as on the handler that it stands for
        """The log, as a `FileHandler` tells it."""
        return str(self.path)

    @property
    def has_log(self) -> bool:
        """Whether the log could be opened."""
        return self._log is not None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record that inspect_ai has found worth it."""
        if self._is_left_to_program(record):
            return
        fields = record.__dict__
        before = len(fields)
        added: list[str] = []
        try:
            self._add_context(fields, added)
        except Exception as error:
            warn_of_exception("telling the context of a record", error)
        super().emit(record)
        if len(fields) != before:
            for name in added:
                fields.pop(name, None)

    def _add_context(self, fields: dict[str, Any], added: list[str]) -> None:
        sample = self._sample
        if sample is not None and "sample_id" not in fields:
            active = sample()
            if active is not None:
                values = (active.task, active.sample.id, active.epoch)
                for name, value in zip(SAMPLE_FIELDS, values, strict=True):
                    if name not in fields:
                        fields[name] = value
                        added.append(name)
        event = fields.get("event")
        trace_id = fields.get("trace_id")
        if type(event) is not str or type(trace_id) is not str or "parent_id" in fields:
            return
        if event == "enter":
            span = _core.ActionSpan.enter_foreign(trace_id)
            if span is not None:
                self._spans[trace_id] = span
                open_foreign(span, fields.get("action"))
        else:
            span = self._spans.pop(trace_id, None)
            if span is not None:
                span.leave()
                close_foreign(span)
        if span is not None:
            for name, value in (("parent_id", span.parent_id), ("pid", span.pid)):
                if value is not None and name not in fields:
                    fields[name] = value
                    added.append(name)

    def _is_left_to_program(self, record: logging.LogRecord) -> bool:
        """Whether a `TraceHandler` on the record's way writes it to the same log.

        It does so in its own turn, behind the `LogHandler`, whose filter has put the sample into
        the record by then.
        """
        # Nearly always nobody else has this log open: it lives by the references of its handlers.
        if sys.getrefcount(self._log) <= ONLY_OURS:
            return False
        if not self._is_in_order:
            self._is_in_order = True
            self._put_program_behind()
        for logger in chain_of(logger_of(record)):
            for handler in logger.handlers:
                if (
                    isinstance(handler, TraceHandler)
                    and handler._log is self._log  # noqa: SLF001
                    and handler is not self
                    and handler.level <= record.levelno
                ):
                    return True
        return False

    def _put_program_behind(self) -> None:
        """Has the root logger's trace handlers come behind inspect_ai's handler."""
        log_handler = self.log_handler() if self.log_handler is not None else None
        handlers = logging.root.handlers
        if log_handler not in handlers:
            return
        ours: list[logging.Handler] = [
            handler for handler in handlers if isinstance(handler, TraceHandler)
        ]
        others = [handler for handler in handlers if handler not in ours]
        if ours:
            # A new list: whoever goes through the old one right now misses nothing.
            logging.root.handlers = others + ours

    def _open(self) -> _Log | None:
        log = None if self._file is None else _open_log_at(self._file)
        return log if log is not None else super()._open()

    def _open_from_environment(self, value: str) -> bool:  # noqa: ARG002
        return False  # which file it is has been decided already


def _open_log_at(path: str) -> _Log | None:
    """The log of this process at a path, whoever has opened it (call with `_opening` held)."""
    wanted = os.path.realpath(path)
    for log in list(_open_logs.values()):
        if os.path.realpath(log.writer.path) == wanted:
            return log
    return None


def make_process_log(handler: EngineHandler) -> None:
    """Treats a log that was opened by its path as what it is: the process's own in its directory.

    An `init_tracing` that comes later then shares it, and housekeeping is done.
    """
    directory, name = os.path.split(os.path.realpath(handler.baseFilename))
    log = handler._log  # noqa: SLF001
    if log is None or name != f"trace-{os.getpid()}.log":
        return
    _open_logs.setdefault(directory, log)
    keep_house(directory, DEFAULT_KEEP_RUNS)
