"""Traces what is written to remote storage through fsspec.

That is S3 (s3fs), GCS (gcsfs), Azure (adlfs), and every other file system whose files are fsspec's
buffered ones. A file is one action, from the first write (or from the close of an empty one) until
it is closed (within a transaction, until that is committed); so is what `pipe_file` and `put_file`
write at once. Not traced are local files and those in memory, and copies that the storage makes by
itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from inspect_trace._report import warn_of_exception

from ._frames import hide_our_frames
from ._source import Source
from ._write import size_of, size_of_file, write_begun, write_ended

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import ModuleType

    from ._action import OpenAction
    from ._source import Wrap

_KEY: Final = "_inspect_trace_write"
"""Where a file carries its action; None once it has ended."""

_NOT_REMOTE: Final = frozenset(
    ("file", "local", "asynclocal", "memory", "dir", "data", "zip", "tar", "libarchive")
)
"""Protocols of storage that is here, or within a file of another file system."""


_COMMITTING: Final = frozenset(("S3File", "GCSFile"))
"""Classes of files whose `commit` is traced."""


def _url_of(file_system: Any, path: object) -> str | None:
    """Where a path of a file system is; None if that is not remote."""
    protocol = file_system.protocol
    protocols = {protocol} if isinstance(protocol, str) else set(protocol)
    if protocols & _NOT_REMOTE:
        return None
    return str(file_system.unstrip_protocol(path))


def _write(wrapped: Any, file: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _begin(file)
    try:
        return wrapped(*args, **kwargs)
    except BaseException as error:
        _end(file, error)
        raise


def _close(wrapped: Any, file: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if getattr(file, "closed", True) or not file.writable():
        return wrapped(*args, **kwargs)
    _begin(file)  # one that is empty, and is written nevertheless
    try:
        closed = wrapped(*args, **kwargs)
    except BaseException as error:
        _end(file, error)
        raise
    if not _is_committed_later(file):
        _end(file)
    return closed


def _is_committed_later(file: Any) -> bool:
    """Whether it is part of a transaction, so that closing it does not make it yet."""
    return not getattr(file, "autocommit", True) and any(
        class_.__name__ in _COMMITTING for class_ in type(file).__mro__
    )


def _commit(wrapped: Any, file: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if getattr(file, "autocommit", True):  # called by `close`
        return wrapped(*args, **kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        _end(file, error)
        raise
    _end(file)
    return result


def _discard(wrapped: Any, file: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return wrapped(*args, **kwargs)
    finally:
        _end(file, GeneratorExit())


def _begin(file: Any) -> None:
    try:
        known = vars(file)
        if _KEY in known or getattr(file, "closed", True) or not file.writable():
            return
        action = known[_KEY] = write_begun(lambda: _url_of(file.fs, file.path), None)
    except Exception as error:
        warn_of_exception("tracing a write", error)
        return
    if action is not None:
        action.detach()


def _end(file: Any, error: BaseException | None = None) -> None:
    action: OpenAction | None = getattr(file, _KEY, None)
    if action is not None:
        vars(file)[_KEY] = None
        size_bytes = getattr(file, "loc", None)
        write_ended(action, error, size_bytes if isinstance(size_bytes, int) else None)


def _pipe(wrapped: Any, file_system: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of an asynchronous file system: `_pipe_file(path, data, ...)`."""
    path = args[0] if args else kwargs.get("path")
    data = args[1] if len(args) > 1 else kwargs.get("data", kwargs.get("value"))
    return _traced(wrapped(*args, **kwargs), file_system, path, size_of(data))


def _put(wrapped: Any, file_system: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of an asynchronous file system: `_put_file(lpath, rpath, ...)`."""
    local = args[0] if args else kwargs.get("lpath")
    remote = args[1] if len(args) > 1 else kwargs.get("rpath")
    if isinstance(local, (str, os.PathLike)) and os.path.isdir(local):  # noqa: PTH112
        return wrapped(*args, **kwargs)  # storage has no directories, so nothing is written
    return _traced(wrapped(*args, **kwargs), file_system, remote, size_of_file(local))


async def _traced(
    writing: Awaitable[Any], file_system: Any, path: object, size_bytes: int | None
) -> Any:
    action = write_begun(lambda: _url_of(file_system, path), size_bytes)
    try:
        answer = await writing
    except BaseException as error:
        write_ended(action, error)
        hide_our_frames(error)
        raise
    write_ended(action)
    return answer


def _patch_files(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "AbstractBufferedFile.write", _write)
    wrap(module, "AbstractBufferedFile.close", _close)
    wrap(module, "AbstractBufferedFile.discard", _discard)


def _patch_s3fs(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "S3FileSystem._pipe_file", _pipe)
    wrap(module, "S3FileSystem._put_file", _put)
    wrap(module, "S3File.commit", _commit)
    wrap(module, "S3File.discard", _discard)


def _patch_gcsfs(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "GCSFileSystem._pipe_file", _pipe)
    wrap(module, "GCSFileSystem._put_file", _put)
    wrap(module, "GCSFile.commit", _commit)
    wrap(module, "GCSFile.discard", _discard)


def _patch_adlfs(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "AzureBlobFileSystem._pipe_file", _pipe)
    wrap(module, "AzureBlobFileSystem._put_file", _put)


SOURCE: Final = Source(
    "fsspec",
    {
        "fsspec.spec": _patch_files,
        "s3fs.core": _patch_s3fs,
        "gcsfs.core": _patch_gcsfs,
        "adlfs.spec": _patch_adlfs,
    },
)
