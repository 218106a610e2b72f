"""An S3 server on loopback, by moto, in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = Path(__file__).parent / "engine" / "s3_server.py"
KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}


@contextlib.contextmanager
def serving_s3() -> Iterator[str]:
    """The URL of a server without buckets, which runs meanwhile."""
    with subprocess.Popen(
        [sys.executable, str(SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        assert server.stdin is not None
        server.stdin.close()
