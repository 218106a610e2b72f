"""Traces the requests of aiohttp's client; redirects are part of the request that they answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from inspect_trace._report import warn_of_exception

from ._frames import hide_our_frames
from ._http import Exchange
from ._source import Source

if TYPE_CHECKING:
    from types import ModuleType

    from ._source import Wrap

_KEY: Final = "_inspect_trace_exchange"
"""Where a response carries what is traced of it."""


def _url_of(session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    url = str(args[1] if len(args) > 1 else kwargs.get("str_or_url", ""))
    base = getattr(session, "_base_url", None)
    return url if base is None else urljoin(str(base), url)


def _version_of(response: Any) -> str:
    version = response.version
    return "HTTP" if version is None else f"HTTP/{version.major}.{version.minor}"


async def _request(
    wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    method = args[0] if args else kwargs.get("method", "")
    exchange = Exchange.begin(method, _url_of(session, args, kwargs))
    if exchange is None:
        return await wrapped(*args, **kwargs)
    try:
        response = await wrapped(*args, **kwargs)
    except BaseException as error:
        exchange.failed(error)
        hide_our_frames(error)
        raise
    try:
        _answered(exchange, response)
    except Exception as error:
        warn_of_exception("tracing a response", error)
    return response


def _answered(exchange: Exchange, response: Any) -> None:
    for hop in response.history:
        exchange.redirected(hop.method, hop.url)
        exchange.log_status(_version_of(hop), hop.status)
    # Its URL is the one that has the parameters.
    exchange.redirected(response.method, response.url)
    exchange.answered(_version_of(response), response.status)
    if response.closed:
        exchange.ended()
    else:
        vars(response)[_KEY] = exchange


def _ended(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of all by which a response ends."""
    exchange: Exchange | None = vars(response).get(_KEY)
    if exchange is None:
        return wrapped(*args, **kwargs)
    # Closing sets an exception of its own, for those who go on reading.
    error: BaseException | None = response.content.exception()
    try:
        return wrapped(*args, **kwargs)
    finally:
        if response.closed:
            del vars(response)[_KEY]
            exchange.ended(exchange.interrupted_by("aiohttp") if error is None else error)


def _dropped(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    exchange: Exchange | None = vars(response).pop(_KEY, None)
    wrapped(*args, **kwargs)
    if exchange is not None and not sys.is_finalizing():
        exchange.ended(GeneratorExit())


def _patch(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "ClientSession._request", _request)
    for ending in ("_response_eof", "close", "release"):
        wrap(module, f"ClientResponse.{ending}", _ended)
    wrap(module, "ClientResponse.__del__", _dropped)


SOURCE: Final = Source("aiohttp", {"aiohttp": _patch})
