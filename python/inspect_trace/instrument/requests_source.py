"""Traces the requests of requests, each hop of its own, with the retries that urllib3 does."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from inspect_trace._report import warn_of_exception

from ._frames import hide_our_frames
from ._http import Exchange
from ._source import Source

if TYPE_CHECKING:
    from types import ModuleType

    from ._source import Wrap

_KEY: Final = "_inspect_trace_exchange"
"""Where a response of urllib3 carries what is traced of it."""

_sending: ContextVar[Exchange | None] = ContextVar("inspect_trace_requests", default=None)
"""The request whose retries urllib3 counts."""


def _send(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = args[0] if args else kwargs["request"]
    exchange = Exchange.begin(request.method, request.url)
    if exchange is None:
        return wrapped(*args, **kwargs)
    token = _sending.set(exchange)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        exchange.failed(error)
        hide_our_frames(error)
        raise
    finally:
        _sending.reset(token)
    try:
        _answered(exchange, response)
    except Exception as error:
        warn_of_exception("tracing a response", error)
    return response


def _answered(exchange: Exchange, response: Any) -> None:
    raw = response.raw
    exchange.answered(_version_of(raw), response.status_code)
    if getattr(raw, "closed", True) or not hasattr(raw, "__dict__"):
        exchange.ended()
    else:
        vars(raw)[_KEY] = exchange


def _version_of(raw: Any) -> str:
    version = getattr(raw, "version", None)
    return (
        f"HTTP/{version // 10}.{version % 10}" if isinstance(version, int) and version else "HTTP"
    )


def _retry(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of `Retry.increment`, which raises unless there is to be another attempt."""
    following = wrapped(*args, **kwargs)
    exchange = _sending.get()
    history = getattr(following, "history", ())
    if exchange is not None and history:
        last = history[-1]
        if last.status is not None:
            exchange.log_status("HTTP", last.status)
        elif last.error is not None:
            exchange.log_error(last.error)
        exchange.attempt += 1
    return following


def _ended(wrapped: Any, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of all by which a response of urllib3 ends."""
    try:
        return wrapped(*args, **kwargs)
    finally:
        exchange: Exchange | None = vars(raw).pop(_KEY, None)
        if exchange is not None:
            exchange.ended(exchange.interrupted_by("urllib3"))


def _patch(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "adapters.HTTPAdapter.send", _send)


def _patch_response(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "HTTPResponse.release_conn", _ended)
    wrap(module, "HTTPResponse.close", _ended)


def _patch_retry(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "Retry.increment", _retry)


SOURCE: Final = Source(
    "requests",
    {
        "requests": _patch,
        "urllib3.response": _patch_response,
        "urllib3.util.retry": _patch_retry,
    },
)
