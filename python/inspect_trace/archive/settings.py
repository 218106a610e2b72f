"""What the environment says about the archive, checked; loaded by programs that trace."""

from __future__ import annotations

import math
import os
from typing import Final

ARCHIVE_VARIABLE: Final = "INSPECT_TRACE_ARCHIVE"
INTERVAL_VARIABLE: Final = "INSPECT_TRACE_ARCHIVE_INTERVAL_S"
WAIT_VARIABLE: Final = "INSPECT_TRACE_ARCHIVE_WAIT_S"

DEFAULT_INTERVAL_S: Final = 60.0
MIN_INTERVAL_S: Final = 0.1

SCHEMES: Final = frozenset(
    ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "https", "http", "file")
)

WAKE_FILE: Final = ".tmp/archive.wake"
"""A FIFO in the trace directory: what is written there has the archiver ship at once."""
LOG_FILE: Final = ".tmp/archive.log"
"""What an archiver in the background has to say."""


def check_url(url: str) -> str:
    """The URL of an archive, without a slash at the end.

    Raises:
        ValueError: It is none; says why.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError(f"{url!r} is no URL such as s3://bucket/prefix")
    if scheme.lower() not in SCHEMES:
        known = ", ".join(sorted(SCHEMES))
        raise ValueError(f"{url!r} is of no kind of store that is known ({known})")
    if not rest.strip("/"):
        raise ValueError(f"{url!r} names no bucket")
    if any(character in url for character in "*[]") or not url.isprintable():
        raise ValueError(f"{url!r} is a pattern: name one place")
    return url.rstrip("/")


def needs_obstore() -> str | None:
    """What to do about obstore if it is not there."""
    from importlib.util import find_spec

    try:
        is_there = find_spec("obstore") is not None
    except ValueError:  # somebody has put None in its place
        is_there = False
    return None if is_there else "it needs obstore: pip install 'inspect-trace[remote]'"


def seconds_from(variable: str, default_s: float, at_least_s: float) -> float:
    """The seconds that a variable gives.

    Raises:
        ValueError: It gives none; says which variable.
    """
    value = os.environ.get(variable, "")
    if not value:
        return default_s
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not at_least_s <= seconds < math.inf:
        raise ValueError(
            f"{variable}={value}: it has to be a number of seconds, {at_least_s:g} at least; "
            f"using {default_s:g}"
        )
    return seconds
