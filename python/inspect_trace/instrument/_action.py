"""An action that a source opens: it may end elsewhere than it began, and say more then."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from inspect_trace._core import start_action, trace_action
from inspect_trace._foreign import is_traced_already
from inspect_trace.action import Redacted, _current
from inspect_trace.context import trace_context

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from inspect_trace._core import ActionSpan


LOGGER: Final = logging.getLogger("inspect_trace.instrument")
"""What all sources trace with."""


_NOTHING: Final = nullcontext()


class OpenAction:
    """An action that has begun. It is the current one, which encloses others, until `detach`.

    Args:
        action: The kind of action, such as `Subprocess`.
        detail: What it is at, without secrets.
        **extra: Further fields of its records.
    """

    __slots__ = ("_entered", "_extra", "_outside", "_span", "action", "detail")

    def __init__(self, action: str, detail: str, **extra: Any) -> None:
        self.action = action
        self.detail = detail
        self._extra = extra
        self._outside = _current.get()
        self._span: ActionSpan | None = None
        if not is_traced_already(action):
            self._span = start_action(trace_action(LOGGER, action, "%s", detail))
        self._entered = self._span
        if self._span is not None:
            with _saying(extra):
                self._span.enter()

    @property
    def is_open(self) -> bool:
        """Whether it is traced, and has not ended. Not traced here is what inspect_ai traces."""
        return self._span is not None

    def detach(self) -> None:
        """The action goes on, but what begins here from now on is no part of it."""
        # Another thread may have ended it by now, which leaves it the current one here.
        entered, self._entered = self._entered, None
        if entered is not None and _current.get() is entered:
            _current.set(self._outside)

    def finish(self, error: BaseException | None = None, **extra: Any) -> None:
        """Ends it: in whatever thread or task, once; ending it again does nothing.

        Args:
            error: What it ended by; None if it went well.
            **extra: Further fields of the closing record.
        """
        span, self._span = self._span, None
        if span is not None:
            self._extra.update(extra)
            with _saying(self._extra):
                # A library puts into its errors what it was asked for.
                span.finish(None if error is None else Redacted(error))


def _saying(fields: dict[str, Any]) -> AbstractContextManager[None]:
    """What is written inside has these fields: cheaper than by an adapter, through `logging`."""
    return trace_context(**fields) if fields else _NOTHING
