"""An HTTP request as it is traced: an action around it, and a record at level HTTP of its answer.

The record's message is what `inspect trace http` shows, and tells success from failure by.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from inspect_trace._report import text_of, warn_of_exception
from inspect_trace.action import _outcome
from inspect_trace.levels import HTTP

from ._action import LOGGER, OpenAction
from ._redact import shown
from ._url import shown_url

if TYPE_CHECKING:
    from typing_extensions import Self

ERROR_WIDTH: Final = 300
"""How many characters of an error are shown in a record of level HTTP."""

_pending: ContextVar[Exchange | None] = ContextVar("inspect_trace_http", default=None)
"""The request of this context that is not answered yet."""


class Exchange:
    """A request that is under way, until the body of its response has ended.

    Args:
        method: Its method.
        url: Its URL, with secrets.
        attempt: Which attempt of the same request this is, from 1 on.
    """

    __slots__ = (
        "_action",
        "_handled_before",
        "_is_answered",
        "_method",
        "_outside",
        "_started_s",
        "_status",
        "_url",
        "attempt",
    )

    def __init__(self, method: str, url: object, attempt: int = 1) -> None:
        self._method = method
        self._url = shown_url(url)
        self.attempt = attempt
        self._status: int | None = None
        self._is_answered = False
        self._handled_before = id(sys.exc_info()[1])
        self._action = OpenAction("HTTP", f"{method} {self._url}")
        self._started_s = perf_counter()
        self._outside = _pending.get()
        _pending.set(self)

    @classmethod
    def begin(cls, method: object, url: object, attempt: int = 1) -> Self | None:
        """A request begins; None where it is not traced, or by another library under it already."""
        try:
            if not LOGGER.isEnabledFor(HTTP):
                return None
            enclosing = _pending.get()
            if enclosing is not None and not enclosing._is_answered:  # noqa: SLF001
                return None
            return cls(text_of(method).upper(), url, attempt)
        except Exception as error:
            warn_of_exception("tracing a request", error)
            return None

    def answered(self, version: str, status: int, *, is_logged: bool = True) -> None:
        """The head of the response is there; what happens from here on is no part of the request.

        Args:
            version: The version of HTTP, as in `HTTP/1.1`.
            status: The status.
            is_logged: Whether nobody else logs it.
        """
        self._status = status
        self._detach()
        if is_logged:
            self.log_status(version, status)

    def redirected(self, method: str, url: object) -> None:
        """What is answered is another request than the one that the program made."""
        self._method = method
        self._url = shown_url(url)

    def failed(self, error: BaseException) -> None:
        """There is no response, or not all of it."""
        if not self._is_answered:
            self._detach()
            self.log_error(error)
        self.ended(error)

    def ended(self, error: BaseException | None = None) -> None:
        """The body of the response has been read, or is given up."""
        fields = {} if self._status is None else {"status": self._status}
        self._action.finish(error, attempt=self.attempt, **fields)

    def log_error(self, error: BaseException) -> None:
        """Logs an attempt that failed."""
        kind = type(error).__name__
        text = text_of(error)
        told = shown(f"{kind}: {text}" if text else kind, ERROR_WIDTH)
        self.log(" ".join(told.split()), error_type=kind)

    def interrupted_by(self, library: str) -> BaseException | None:
        """Why its response is closed right now: what the library has run into, or a cancellation.

        An exception that was being handled before the request began is none of its concern.
        """
        error = sys.exc_info()[1]
        if error is None or id(error) == self._handled_before:
            return None
        is_of_library = type(error).__module__.partition(".")[0] == library
        return error if is_of_library or _outcome(error) != "error" else None

    def log_status(self, version: str, status: int) -> None:
        """Logs an attempt that was answered."""
        self.log(f'"{version} {status} {_phrase_of(status)}"', status=status)

    def log(self, outcome: str, **fields: Any) -> None:
        """Logs an attempt.

        Args:
            outcome: What came of it.
            **fields: Fields of the record.
        """
        try:
            LOGGER.log(
                HTTP,
                f"{self._method} {self._url} {outcome}",
                extra={
                    "method": self._method,
                    "url": self._url,
                    **fields,
                    "attempt": self.attempt,
                    "duration": perf_counter() - self._started_s,
                },
            )
        except Exception as error:
            warn_of_exception("tracing a request", error)

    def _detach(self) -> None:
        self._is_answered = True
        if _pending.get() is self:
            _pending.set(self._outside)
        self._outside = None
        self._action.detach()


def _phrase_of(status: int) -> str:
    """What a status means: servers may put it in other words, which would not pass for success."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
