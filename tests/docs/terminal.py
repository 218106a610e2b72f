"""Runs a command as a reader of the documentation would: in a terminal of 80 columns."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import tempfile
import termios
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

ROWS, COLUMNS = 40, 80
PATIENCE_S = 60
OTHER_SCREEN = re.compile(rb"\x1b\[\?1049h.*?\x1b\[\?1049l", flags=re.DOTALL)
"""What a terminal shows for a while only, and not below the command in the end."""


class Printed(NamedTuple):
    """What a command has printed."""

    lines: list[str]
    exit_code: int


def run(command: str, directory: Path, environment: dict[str, str]) -> Printed:
    """Run a command line by bash; below its output stands what it has said on standard error."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    chunks: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(ours, 65536):
                chunks.append(chunk)
        except OSError:  # so a terminal tells that all have closed it
            pass

    reader = threading.Thread(target=read)
    reader.start()
    # Not the terminal: what has taken long on a busy machine would show its progress there.
    with tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=errors,
                timeout=PATIENCE_S,
                check=False,
            )
        finally:
            os.close(theirs)
            reader.join()
            os.close(ours)
        errors.seek(0)
        text = b"".join(chunks) + errors.read()
    text = OTHER_SCREEN.sub(b"", text)
    return Printed(text.decode().replace("\r\n", "\n").splitlines(), done.returncode)
