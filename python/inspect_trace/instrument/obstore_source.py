"""Traces what obstore writes to S3, GCS, Azure and over HTTP: `put`, and what `open_writer` opens.

Functions that the program has taken out of the module before (`from obstore import put`) are not
traced; the methods of stores are, and what goes through `obstore.fsspec`.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

import wrapt

from inspect_trace._report import text_of

from ._source import Source
from ._write import size_of, size_of_file, write_begun, write_ended

if TYPE_CHECKING:
    from types import ModuleType

    from ._action import OpenAction
    from ._source import Wrap

    _Proxy = wrapt.ObjectProxy[Any]
else:  # older versions of wrapt are not generic
    _Proxy = wrapt.ObjectProxy

_BUCKETS: Final = {
    "S3Store": ("s3", "bucket"),
    "GCSStore": ("gs", "bucket"),
    "AzureStore": ("az", "container_name"),
}
"""Of each class of stores: the protocol, and the key of its configuration that names the bucket."""


_TIMED_OUT: Final = re.compile(r"^ +kind: Timeout,$", re.MULTILINE)
"""What an error of obstore says when time is up, for which it has no class."""


def _url_of(store: Any, path: object) -> str | None:
    """Where a path of a store is; None if that is not remote."""
    for name in (class_.__name__ for class_ in type(store).__mro__):
        if name in _BUCKETS:
            protocol, key = _BUCKETS[name]
            parts = [store.config.get(key, ""), store.prefix or "", str(path)]
            return f"{protocol}://" + "/".join(part.strip("/") for part in parts if part)
        if name == "HTTPStore":
            return f"{str(store.url).rstrip('/')}/{path}"
    return None


def _put(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    action = _opened(args, kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        _ended(action, error)
        raise
    write_ended(action)
    return result


def _put_async(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    action = _opened(args, kwargs)
    try:
        future = wrapped(*args, **kwargs)
    except BaseException as error:
        _ended(action, error)
        raise
    return _ends_with(action, future)


def _ends_with(action: OpenAction | None, future: Any) -> Any:
    """Has a future, which is under way already, end an action."""
    if action is not None:
        action.detach()
        future.add_done_callback(lambda done: _ended(action, _error_of(done)))
    return future


def _ended(
    action: OpenAction | None, error: BaseException | None, size_bytes: int | None = None
) -> None:
    """Ends the action of a write, if there is one."""
    if type(error).__module__.startswith("obstore") and _TIMED_OUT.search(text_of(error)):
        error = TimeoutError()
    write_ended(action, error, size_bytes)


def _error_of(done: Any) -> BaseException | None:
    if done.cancelled():
        return GeneratorExit()
    error: BaseException | None = done.exception()
    return error


def _opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> OpenAction | None:
    given = dict(zip(("store", "path", "file"), args, strict=False)) | kwargs
    data = given.get("file")
    size_bytes = size_of(data) if not hasattr(data, "__fspath__") else size_of_file(data)
    return write_begun(lambda: _url_of(given.get("store"), given.get("path")), size_bytes)


def _open_writer(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = dict(zip(("store", "path"), args, strict=False)) | kwargs
    writer = wrapped(*args, **kwargs)
    if isinstance(writer, _Writer):  # by a name that another module has for this function
        return writer
    try:
        url = _url_of(given.get("store"), given.get("path"))
    except Exception:  # a store of a version that has other attributes
        url = None
    return writer if url is None else _Writer(writer, url)


class _Writer(_Proxy):
    """A writer, synchronous or not: one action from the first write until it is closed."""

    def __init__(self, writer: Any, url: str) -> None:
        super().__init__(writer)
        self._self_url = url
        self._self_has_begun = False
        self._self_action: OpenAction | None = None
        self._self_size_bytes = 0

    def write(self, data: Any, /) -> Any:
        self._begin()
        self._self_size_bytes += size_of(data) or 0
        return self._call(self.__wrapped__.write, data)

    def flush(self) -> Any:
        return self._call(self.__wrapped__.flush)

    def close(self) -> Any:
        self._begin()
        return self._call(self.__wrapped__.close, is_last=True)

    def __enter__(self) -> Any:
        self.__wrapped__.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        self._begin()
        return self._call(self.__wrapped__.__exit__, *error, is_last=True, given_up=error)

    async def __aenter__(self) -> Any:
        await self.__wrapped__.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        self._begin()
        return await self._call(self.__wrapped__.__aexit__, *error, is_last=True, given_up=error)

    def __del__(self) -> None:
        """One that is dropped without being closed writes nothing."""
        if getattr(self, "_self_action", None) is not None and not sys.is_finalizing():
            self._end(GeneratorExit())

    def _begin(self) -> None:
        if not self._self_has_begun:
            self._self_has_begun = True
            action = self._self_action = write_begun(lambda: self._self_url, None)
            if action is not None:
                action.detach()

    def _call(
        self, method: Any, *args: Any, is_last: bool = False, given_up: tuple[object, ...] = ()
    ) -> Any:
        # What a block writes that is left by an exception is not kept.
        reason = GeneratorExit() if any(given_up) else None
        try:
            result = method(*args)
        except BaseException as error:
            self._end(error)
            raise
        if hasattr(result, "add_done_callback"):
            result.add_done_callback(
                lambda done: self._done(_error_of(done) or reason, is_last=is_last)
            )
        else:
            self._done(reason, is_last=is_last)
        return result

    def _done(self, error: BaseException | None, *, is_last: bool) -> None:
        if is_last or error is not None:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        action, self._self_action = self._self_action, None
        _ended(action, error, self._self_size_bytes or None)


def _patch(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "put", _put)
    wrap(module, "put_async", _put_async)
    wrap(module, "open_writer", _open_writer)
    wrap(module, "open_writer_async", _open_writer)


def _patch_fsspec(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "open_writer", _open_writer)


SOURCE: Final = Source("obstore", {"obstore": _patch, "obstore.fsspec": _patch_fsspec})
