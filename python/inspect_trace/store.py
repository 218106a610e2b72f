"""The trace directory: where it is and which trace files it holds."""

from __future__ import annotations

# `pathlib` and `platformdirs` are imported where they are needed: the commands seldom need them,
# and importing both takes as long as starting the interpreter.
import contextlib
import errno
import itertools
import os
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from . import _core
from ._core import TraceFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .remote import RemoteLog

__all__ = ["TraceFile", "list_trace_files", "resolve_trace_file", "trace_dir"]

_reported: set[str] = set()
_kept: list[_core.RemoteLogs] = []


def trace_dir() -> Path:
    """The directory that trace logs are written to and read from.

    `INSPECT_TRACE_DIR` names it; without that variable it is the directory that inspect_ai uses,
    `traces` in the user data directory of the application `inspect_ai` (as `platformdirs` gives
    it), so that both tools see each other's logs. A value that cannot be a directory is reported
    on stderr, once, and the default is used.

    Returns:
        The directory. It is not created by asking for it.

    Raises:
        FileNotFoundError: The directory is not named, and the user has no home directory.
    """
    from pathlib import Path

    return Path(find_trace_dir())


def list_trace_files(directory: str | os.PathLike[str] | None = None) -> list[TraceFile]:
    """The trace logs in a directory, the most recently written first.

    Args:
        directory: Where to look; default: `trace_dir()`. One that does not exist holds no files.

    Returns:
        One `TraceFile` per log. Of a log that stands there both plain and compressed (its
        compression is under way) only the plain one. The parts of a log that was rotated are one
        log with it.

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
            been compressed since is found under its plain name too. The name of a log that was
            rotated stands for all of its parts, wherever a log is read; the name of a part for
            that part alone.
        directory: The trace directory; default: `trace_dir()`.

    Returns:
        The path of an existing regular file, or of a FIFO; of a log of which only parts are left,
        the path that it had.

    Raises:
        FileNotFoundError: There is no such log, or none at all.
        IsADirectoryError: The name stands for a directory.
        OSError: The file cannot be looked at, or is a device or a socket.
    """
    from pathlib import Path

    return Path(find_trace_file(name, directory))


def find_trace_dir() -> str:
    """What `trace_dir` tells, as a string."""
    named = os.environ.get("INSPECT_TRACE_DIR", "")
    if named:
        try:
            directory = _absolute(named)
            if _may_be_directory(directory):
                return directory
            reason = "it is not a directory"
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error)
        _report_once(
            f"inspect-trace: INSPECT_TRACE_DIR={named!a} cannot be used ({reason}): "
            f"using {_default_trace_dir()}"
        )
    return _default_trace_dir()


def find_trace_file(
    name: str | os.PathLike[str] | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> str:
    """What `resolve_trace_file` tells, as a string."""
    return _core.resolve_trace_file(
        None if name is None else os.fspath(name), _directory(directory), current_directory()
    )


def find_trace_files(names: Sequence[str]) -> list[str]:
    """The logs that the commands are to read: those of directories, too; default: the newest.

    `-` is standard input. The logs that URLs name can be read as long as the process runs.
    """
    found = _find(names)
    _kept.extend(found.kept)
    return found.paths


@contextlib.contextmanager
def found_trace_files(names: Sequence[str]) -> Iterator[list[str]]:
    """The same, for a process that goes on: logs that URLs name can be opened meanwhile."""
    with found_logs(names) as found:
        yield found.paths


@contextlib.contextmanager
def found_logs(names: Sequence[str]) -> Iterator[Logs]:
    """The same, with what it takes to read those in object stores elsewhere."""
    found = _find(names)
    yield found
    del found


class Logs(NamedTuple):
    """Logs that were looked for."""

    paths: list[str]
    """Their names."""
    remote: dict[str, RemoteLog]
    """Of those in object stores, by their names, what they are."""
    kept: list[_core.RemoteLogs]
    """As long as these are kept, those can be opened."""


def _find(names: Sequence[str]) -> Logs:
    if not any("://" in name or name.endswith(("manifest.json", ".jsonl")) for name in names):
        return Logs(_find_here(names), {}, [])
    from . import remote

    found = Logs([], {}, [])
    for kind, group in itertools.groupby(names, remote.kind_of):
        if kind == "path":
            found.paths.extend(_find_here(list(group)))
        else:
            # All at once: what is fetched ahead, and kept, is that for them together.
            known, logs = remote.find_remote_logs(list(group))
            found.paths.extend(known)
            found.remote.update(known)
            found.kept.append(logs)
            for complaint in logs.complaints:
                _report_once(f"inspect-trace: {complaint}")
    return found


def _find_here(names: Sequence[str]) -> list[str]:
    return _core.resolve_trace_files(
        ["/dev/stdin" if name == "-" else name for name in names],
        find_trace_dir(),
        current_directory(),
    )


def _directory(directory: str | os.PathLike[str] | None) -> str:
    return find_trace_dir() if directory is None else os.fspath(directory)


def current_directory() -> str:
    """The current directory; the root where it has been removed."""
    try:
        return os.getcwd()  # noqa: PTH109 - see the imports
    except OSError:  # it has been removed
        return os.sep


def _absolute(directory: str) -> str:
    """The path as `pathlib` writes it, with `~` expanded, relative to the current directory."""
    if _is_plain(directory):
        return directory
    from pathlib import Path

    return str(Path(directory).expanduser().absolute())


def _is_plain(path: str) -> bool:
    """Whether a path is absolute and has nothing in it that anyone would leave out or resolve."""
    return path.startswith("/") and not path.startswith("//") and os.path.normpath(path) == path


def _may_be_directory(path: str) -> bool:
    """Whether there is a directory, or nothing yet."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - see the imports
    except (FileNotFoundError, NotADirectoryError):
        return not os.path.lexists(path)  # a symbolic link to nothing is something


def _default_trace_dir() -> str:
    """`traces` in the data directory that `platformdirs` gives the application `inspect_ai`."""
    data = _data_home_of_linux()
    if data is not None:
        return os.path.join(data, "inspect_ai", "traces")  # noqa: PTH118 - see the imports
    import platformdirs

    try:
        return str(platformdirs.user_data_path("inspect_ai") / "traces")
    except RuntimeError as error:  # of its newer versions
        reason = "no home directory is known: name the trace directory in INSPECT_TRACE_DIR"
        raise FileNotFoundError(errno.ENOENT, reason) from error


def _data_home_of_linux() -> str | None:
    """The directory of the user's data, where every version of `platformdirs` gives the same.

    That is on Linux, for absolute paths. For the rest (another system, a variable that is a
    relative path, no `HOME`) it has to be asked, which its versions answer differently.
    """
    if sys.platform != "linux":
        return None
    data = os.environ.get("XDG_DATA_HOME", "")
    if data:
        return data if _is_plain(data) else None
    home = os.environ.get("HOME", "")
    return os.path.join(home, ".local/share") if _is_plain(home) else None  # noqa: PTH118 - see the imports


def _report_once(message: str) -> None:
    if message not in _reported:
        _reported.add(message)
        print(message, file=sys.stderr)  # noqa: T201
