"""Who writes inspect_ai's trace log, or would: what `inspect-trace status` tells."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Final

from inspect_trace._core import __version__
from inspect_trace.store import find_trace_dir, list_trace_files

from . import _shape
from ._choice import ENGINE_VARIABLE, OURS, THEIRS, chosen_engine

GROUP: Final = "inspect_ai"
ENTRY_POINT: Final = "inspect_trace"
DEFAULT_LEVEL: Final = "TRACE"


@dataclass(frozen=True)
class EngineStatus:
    """Who writes inspect_ai's trace log."""

    engine: str | None
    """`inspect_trace` or `inspect_ai`; None where inspect_ai is not installed."""
    active: bool
    """Whether this process has taken it over already."""
    reason: str | None
    """Why it is not `inspect_trace`."""
    complaint: str | None
    """What is wrong with the settings, though something could be made of them."""
    directory: str | None
    """The trace directory; None where the user has no home directory."""
    directory_from: str
    """What names it: a variable, or `default`."""
    file: str | None
    """The file that `INSPECT_TRACE_FILE` names; None: each process has a log of its own."""
    level: str
    """The level from which on records are traced."""
    versions: dict[str, str | None]
    """Of inspect_trace, inspect_ai (None: not installed) and Python."""
    live_logs: list[str]
    """The logs in the directory whose process lives."""

    def to_dict(self) -> dict[str, object]:
        """What `--json` shows."""
        return dict(vars(self))


def status() -> EngineStatus:
    """Who writes inspect_ai's trace log, in this process or in one that starts like it.

    inspect_ai is not imported for it.
    """
    theirs = _version_of_inspect_ai()
    engine, complaint = chosen_engine()
    reason = _why_not(theirs, engine)
    active, refused = _state()
    if active:
        reason = None
    elif refused is not None and reason is None:
        reason = refused
    directory, directory_from = _directory()
    return EngineStatus(
        engine=None if theirs is None else THEIRS if reason else OURS,
        active=active,
        reason=reason,
        complaint=complaint,
        directory=directory,
        directory_from=directory_from,
        file=os.environ.get("INSPECT_TRACE_FILE") or None,
        level=os.environ.get("INSPECT_TRACE_LEVEL", "").upper() or DEFAULT_LEVEL,
        versions={
            "inspect_trace": __version__,
            "inspect_ai": theirs,
            "python": platform.python_version(),
        },
        live_logs=_live_logs(directory),
    )


def _state() -> tuple[bool, str | None]:
    takeover = sys.modules.get(f"{__package__}._takeover")
    return (False, None) if takeover is None else takeover.state()


def _version_of_inspect_ai() -> str | None:
    try:
        return version("inspect_ai")
    except PackageNotFoundError:
        return None


def _why_not(theirs: str | None, engine: str) -> str | None:
    """Why inspect_ai's log would not be ours; None: it would."""
    if theirs is None:
        return "inspect_ai is not installed"
    if engine == THEIRS:
        return f"{ENGINE_VARIABLE}={os.environ[ENGINE_VARIABLE]}"
    if not list(entry_points(group=GROUP, name=ENTRY_POINT)):
        return (
            f"the entry point {ENTRY_POINT} of the group {GROUP} is missing: "
            "reinstall inspect-trace with pip"
        )
    changed = _changes()
    return None if changed is None else f"inspect_ai {theirs} is not as known here: {changed}"


def _changes() -> str | None:
    spec = PathFinder.find_spec("inspect_ai")
    places = [] if spec is None else spec.submodule_search_locations or []
    for place in places:
        folder = Path(place, "_util")
        try:
            logger, trace = ((folder / name).read_bytes() for name in ("logger.py", "trace.py"))
            return _shape.changes(_shape.source_codes(logger, trace))
        except FileNotFoundError as error:
            return f"there is no {error.filename}"
        except (OSError, SyntaxError, ValueError) as error:
            return str(error)
    return "it cannot be found"


def _directory() -> tuple[str | None, str]:
    named = os.environ.get("INSPECT_TRACE_DIR", "")
    try:
        directory = find_trace_dir()
    except FileNotFoundError:
        return None, "default"
    is_named = bool(named) and directory == os.path.abspath(Path(named).expanduser())  # noqa: PTH100
    return directory, "INSPECT_TRACE_DIR" if is_named else "default"


def _live_logs(directory: str | None) -> list[str]:
    if directory is None:
        return []
    try:
        return [str(log.path) for log in list_trace_files(directory) if log.alive]
    except OSError:
        return []
