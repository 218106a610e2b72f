"""A disk that takes nothing for a while."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conftest import DEADLINE_S
from faults.conftest import TESTS

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = ("mkfs.ext4", "mount", "umount", "fsfreeze", "unshare")


def can_mount_a_disk(directory: Path) -> bool:
    """Whether a file can be mounted as a disk here: root, with loop devices."""
    if os.geteuid() != 0 or not all(map(shutil.which, TOOLS)):
        return False
    image = directory / "probe"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    script = 'mkfs.ext4 -q -F "$1" && mount -o loop "$1" /mnt && umount /mnt'
    probe = ["unshare", "-m", "sh", "-ec", script, "sh", str(image)]
    can = subprocess.run(probe, capture_output=True).returncode == 0
    image.unlink()
    return can


def test_a_frozen_disk_loses_nothing(tmp_path: Path) -> None:
    """Who logs while the file system is frozen waits until it is thawed, and nothing is lost.

    It stops whoever writes to one of its files for the first time, be it through a mapping.
    """
    if not can_mount_a_disk(tmp_path):
        pytest.skip("no disk can be mounted here: needs root, loop devices and mkfs.ext4")
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-m", "faults.frozen_disk", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S * 4,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["numbers"] == list(range(10_100))
    assert told["exit_code"] == 0
    assert told["dropped"] == 0
    assert told["noted"] == 0
