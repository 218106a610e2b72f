"""Traces the requests of httpx, and of httpx2, which has the same shape: each hop of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from inspect_trace._report import warn_of_exception

from ._body import watch
from ._frames import hide_our_frames
from ._http import Exchange
from ._source import Source

if TYPE_CHECKING:
    from types import ModuleType

    from ._source import Wrap

_RETRIES: Final = "x-stainless-retry-count"
"""The header in which the SDKs of OpenAI and Anthropic tell how often they have retried."""


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
    request = args[0] if args else kwargs["request"]
    retries = request.headers.get(_RETRIES, "")
    attempt = int(retries) + 1 if retries.isdecimal() else 1
    return Exchange.begin(request.method, request.url, attempt)


def _answered(exchange: Exchange, client: Any, response: Any) -> None:
    try:
        # inspect_ai logs what its own clients do.
        is_logged = not any(
            str(getattr(hook, "__module__", "")).startswith("inspect_ai.")
            for hook in client.event_hooks.get("response", ())
        )
        exchange.answered(response.http_version, response.status_code, is_logged=is_logged)
        watch(response, exchange.ended)
    except Exception as error:
        warn_of_exception("tracing a response", error)


def _send(wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange = _begin(args, kwargs)
    if exchange is None:
        return wrapped(*args, **kwargs)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        exchange.failed(error)
        hide_our_frames(error)
        raise
    _answered(exchange, client, response)
    return response


async def _send_async(
    wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    exchange = _begin(args, kwargs)
    if exchange is None:
        return await wrapped(*args, **kwargs)
    try:
        response = await wrapped(*args, **kwargs)
    except BaseException as error:
        exchange.failed(error)
        hide_our_frames(error)
        raise
    _answered(exchange, client, response)
    return response


def _patch(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "Client._send_single_request", _send)
    wrap(module, "AsyncClient._send_single_request", _send_async)


SOURCE: Final = Source("httpx", {"httpx": _patch, "httpx2": _patch})
