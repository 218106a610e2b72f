"""Runs a traced program on a disk of its own, and freezes the disk under it (as root).

`python -m faults.frozen_disk DIRECTORY`: prints, as JSON, how much the program did meanwhile. What
is mounted here is seen by nobody else if it is run by `unshare -m`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

IMAGE_BYTES = 64 << 20
WAITING_S = 1
"""After how long without a sign the program is taken to wait for the disk."""

PROGRAM = """
import os, sys
from faults.traced import *
traced = Traced(sys.argv[1])
traced.log(100)
traced.wait_until_plain()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    traced.log(1000)
    print("on", flush=True)
sys.stdin.readline()
traced.wait_until_plain()
traced.tell()
"""


def main() -> None:
    """Mounts, freezes, thaws, unmounts, whatever happens in between."""
    directory = Path(sys.argv[1])
    image, mount = directory / "image", directory / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-F", str(image))
    run("mount", "-o", "loop", str(image), str(mount))
    try:
        told = play(mount)
    finally:
        run("umount", str(mount))
        image.unlink()
    sys.stdout.write(json.dumps(told) + "\n")


def play(mount: Path) -> dict[str, object]:
    """Lets the program log 1000 records ten times while the disk takes nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(mount / "x.log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        lines = Lines(program.stdout.fileno())
        assert lines.next(60) == b"ready"
        run("fsfreeze", "--freeze", str(mount))
        try:
            program.stdin.write(b"\n")
            done = 0
            while done < 10 and lines.next(WAITING_S) == b"on":
                done += 1
        finally:
            run("fsfreeze", "--unfreeze", str(mount))
        for _ in range(10 - done):
            assert lines.next(60) == b"on"
        program.stdin.write(b"\n")
        told: dict[str, object] = json.loads(lines.next(60) or b"")
    # The end of the block has waited for the program.
    return {**told, "done_while_frozen": done, "exit_code": program.returncode}


class Lines:
    """Lines of a pipe, each waited for a bounded time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""

    def next(self, wait_s: float) -> bytes | None:
        """The next line; None if none comes in time."""
        deadline_s = time.monotonic() + wait_s
        while b"\n" not in self._rest:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([self._fd], [], [], left_s)[0]:
                return None
            chunk = os.read(self._fd, 1 << 16)
            if not chunk:
                return None
            self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        return line


def run(*command: str) -> None:
    """Runs a command to its successful end."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
