"""Helpers for the tests of programs that trace: what did this block of code trace?"""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from . import _core
from ._lowering import lower, restore
from .handler import TraceHandler, check_level
from .levels import TRACE, register_levels

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CapturedAction", "TraceCapture", "capture_traces"]


@dataclass
class CapturedAction:
    """One traced action: what its enter record and its closing record say together."""

    action: str
    """The kind of action: Model, Subprocess, ..."""
    detail: str
    """What the action was at, in words."""
    trace_id: str
    """What joins its records."""
    parent_id: str | None = None
    """The trace id of the enclosing action."""
    start_time: float | None = None
    """When it began, in seconds since the epoch."""
    outcome: Literal["exit", "error", "timeout", "cancel"] | None = None
    """How it ended; None while it runs."""
    duration: float | None = None
    """How long it took, in seconds; None while it runs."""
    error: str | None = None
    """What the exception said (outcome `error`)."""
    error_type: str | None = None
    """The class of the exception (outcome `error`)."""
    stacktrace: str | None = None
    """The formatted traceback of the exception (outcome `error`)."""
    parent: CapturedAction | None = field(default=None, repr=False, compare=False)
    """The enclosing action, if it was captured too."""
    children: list[CapturedAction] = field(default_factory=list, repr=False, compare=False)
    """The actions that began inside this one, in order."""
    fields: dict[str, Any] = field(default_factory=dict, repr=False)
    """All fields of its records, extra ones too; the closing record's where both have one."""


@final
class TraceCapture:
    """What was traced since the block began; made by `capture_traces`.

    It can be asked inside the block and after it.
    """

    def __init__(self, logger: logging.Logger, level: int) -> None:
        directory = tempfile.mkdtemp(prefix="inspect-trace-capture-")
        # Not at the end of the block: the records are asked for afterwards.
        self._remove_files = weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        self._path = Path(directory, "trace.log")
        self._logger = logger
        self._level = level
        self._handler: TraceHandler | None = None
        self._is_lowered = False

    @property
    def path(self) -> Path:
        """The log behind it: a real one, for any reader of trace logs."""
        return self._path

    @property
    def records(self) -> list[_core.TraceRecord]:
        """All records, in order."""
        return list(_core.scan(str(self._path))) if self._path.exists() else []

    def actions(self, name: str | None = None) -> list[CapturedAction]:
        """The traced actions, in the order of their beginning.

        Args:
            name: The kind of action to give; default: all.
        """
        actions: dict[str, CapturedAction] = {}
        for record in self.records:
            if record.action is None or record.trace_id is None:
                continue
            captured = actions.get(record.trace_id)
            if captured is None:
                captured = actions[record.trace_id] = CapturedAction(
                    record.action, record.detail or "", record.trace_id, record.parent_id
                )
            captured.fields.update(record.to_dict())
            if record.event == "enter":
                captured.start_time = record.start_time
            else:
                captured.outcome = captured.fields["event"]
                captured.duration = record.duration
                captured.error = record.error
                captured.error_type = record.error_type
                captured.stacktrace = record.stacktrace
        for captured in actions.values():
            captured.parent = actions.get(captured.parent_id or "")
            if captured.parent is not None:
                captured.parent.children.append(captured)
        return [a for a in actions.values() if name is None or a.action == name]

    def messages(self, category: str | None = None) -> list[str]:
        """The messages of the records that are not of actions.

        Args:
            category: Only messages of this category, without it: `"text"` of
                `trace_message(logger, category, "text")`. Default: all, as they stand.
        """
        messages = [record.message for record in self.records if record.action is None]
        if category is None:
            return messages
        prefix = f"[{category}] "
        return [m.removeprefix(prefix) for m in messages if m.startswith(prefix)]

    def anomalies(self) -> _core.Anomalies:
        """What `inspect-trace anomalies` would tell of it."""
        return _core.anomalies(str(self._path))

    def __enter__(self) -> TraceCapture:
        """Begins to capture."""
        if self._handler is None:
            self._handler = TraceHandler(self._path, level=self._level, buffer_bytes=0)
            self._logger.addHandler(self._handler)
            self._is_lowered = lower(self._logger, self._level)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends to capture; the logger is as it was."""
        if self._handler is None:
            return
        if self._is_lowered:
            restore(self._logger, self._level)
        self._logger.removeHandler(self._handler)
        self._handler.close()
        self._handler = None


def capture_traces(
    logger: logging.Logger | str | None = None, level: int | str = TRACE
) -> TraceCapture:
    """Captures what is traced in a `with` block, for a test to look at.

        with capture_traces() as traces:
            run_my_program()
        [model] = traces.actions("Model")
        assert model.outcome == "exit"

    The records go through a real `TraceHandler` to a temporary log. What other handlers show does
    not change, and other tracing goes on.

    Args:
        logger: The logger to capture from, with those below it, or its name; default: the root
            logger. Loggers that do not propagate to it, or have a higher level of their own, have
            to be named.
        level: Records of this level and above are captured.
    """
    register_levels()
    if not isinstance(logger, logging.Logger):
        logger = logging.getLogger(logger)
    return TraceCapture(logger, max(check_level(level), 1))
