"""The trace directory: where it is and which trace files it holds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

from . import _core
from ._core import TraceFile

__all__ = ["TraceFile", "list_trace_files", "resolve_trace_file", "trace_dir"]

_reported: set[str] = set()


def trace_dir() -> Path:
    """The directory that trace logs are written to and read from.

    `INSPECT_TRACE_DIR` names it; without that variable it is the directory that inspect_ai uses,
    `traces` in the user data directory of the application `inspect_ai` (as `platformdirs` gives
    it), so that both tools see each other's logs. A value that cannot be a directory is reported
    on stderr, once, and the default is used.

    Returns:
        The directory. It is not created by asking for it.
    """
    named = os.environ.get("INSPECT_TRACE_DIR", "")
    if named:
        try:
            directory = Path(named).expanduser()
            if directory.is_dir() or not os.path.lexists(directory):
                return directory.absolute()
            reason = "it is not a directory"
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error)
        _report_once(
            f"inspect-trace: INSPECT_TRACE_DIR={named!a} cannot be used ({reason}): "
            f"using {_default_trace_dir()}"
        )
    return _default_trace_dir()


def list_trace_files(directory: str | os.PathLike[str] | None = None) -> list[TraceFile]:
    """The trace logs in a directory, the most recently written first.

    Args:
        directory: Where to look; default: `trace_dir()`. One that does not exist holds no files.

    Returns:
        One `TraceFile` per log. Of a log that stands there both plain and compressed (its
        compression is under way) only the plain one.

    Raises:
        OSError: The directory cannot be read.
    """
    return _core.list_trace_files(_directory(directory))


def resolve_trace_file(
    name: str | os.PathLike[str] | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> Path:
    """The path of the trace log that a name stands for.

    Args:
        name: An absolute path; a path relative to the trace directory or to the current one; the
            names of older versions, `trace.log` for the most recent log and `trace.log.1.gz`,
            `trace.log.2.gz`, ... for those before it; default: the most recent log. A log that has
            been compressed since is found under its plain name too.
        directory: The trace directory; default: `trace_dir()`.

    Returns:
        The path of an existing regular file.

    Raises:
        FileNotFoundError: There is no such log, or none at all.
        IsADirectoryError: The name stands for a directory.
        OSError: The file cannot be looked at, or is no regular file.
    """
    return Path(
        _core.resolve_trace_file(
            None if name is None else os.fspath(name), _directory(directory), _current_directory()
        )
    )


def _directory(directory: str | os.PathLike[str] | None) -> str:
    return os.fspath(trace_dir() if directory is None else directory)


def _current_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it has been removed
        return os.sep


def _default_trace_dir() -> Path:
    return platformdirs.user_data_path("inspect_ai") / "traces"


def _report_once(message: str) -> None:
    if message not in _reported:
        _reported.add(message)
        print(message, file=sys.stderr)  # noqa: T201
