"""What an archiver in the background has to say, in a small file beside the logs."""

from __future__ import annotations

import contextlib
import os
from time import localtime, strftime
from typing import Final

from inspect_trace import _core
from inspect_trace.archive.settings import LOG_FILE

MAX_BYTES: Final = 32 << 10
"""A file that is larger is begun anew; the one before is kept, as `archive.log.1`."""


class LogFile:
    """Lines, each with its time; where they cannot be written, nobody hears of it.

    Args:
        directory: The trace directory.
    """

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, LOG_FILE)  # noqa: PTH118

    def write(self, line: str) -> None:
        """Appends a line."""
        text = f"{strftime('%Y-%m-%dT%H:%M:%S%z', localtime())} {_core.terminal_safe(line)}\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(OSError):
            file = os.open(self._path, flags, 0o600)
            try:
                if os.fstat(file).st_size > MAX_BYTES:
                    os.replace(self._path, f"{self._path}.1")  # noqa: PTH105
                    os.close(file)
                    file = os.open(self._path, flags, 0o600)
                os.write(file, text.encode("utf-8", "replace")[:4096])
            finally:
                os.close(file)
