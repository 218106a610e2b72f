"""The body of a response, which tells when it has ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import wrapt

from inspect_trace._report import warn_of_exception

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    _Proxy = wrapt.ObjectProxy[Any]
else:
    _Proxy = wrapt.ObjectProxy


class Body(_Proxy):
    """A byte stream of httpx in whose place it stands.

    Args:
        wrapped: The stream.
        ended: Called when it has ended: with what it failed by; with None if it was closed, as it
            also is when it has been read; with `GeneratorExit` if it was dropped. It may be called
            more than once.
    """

    def __init__(self, wrapped: Any, ended: Callable[[BaseException | None], None]) -> None:
        super().__init__(wrapped)
        self._self_ended = ended

    def __iter__(self) -> Iterator[bytes]:
        """Reads it."""
        try:
            yield from self.__wrapped__
        except GeneratorExit:  # not read to its end: closing it comes next
            raise
        except BaseException as error:
            self._self_ended(error)
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Reads it."""
        try:
            async for part in self.__wrapped__:
                yield part
        except GeneratorExit:
            raise
        except BaseException as error:
            self._self_ended(error)
            raise

    def close(self) -> None:
        """Closes it."""
        try:
            self.__wrapped__.close()
        finally:
            self._self_ended(None)

    async def aclose(self) -> None:
        """Closes it."""
        try:
            await self.__wrapped__.aclose()
        finally:
            self._self_ended(None)

    def __del__(self) -> None:
        """It is dropped, closed or not."""
        ended = getattr(self, "_self_ended", None)
        if ended is not None and not sys.is_finalizing():
            ended(GeneratorExit())


def watch(response: Any, ended: Callable[[BaseException | None], None]) -> None:
    """Has the body of a response of httpx tell when it has ended: at once, if it has already."""
    try:
        if response.is_closed:
            ended(None)
        else:
            response.stream = Body(response.stream, ended)
    except Exception as error:
        warn_of_exception("tracing a response", error)
        ended(None)
