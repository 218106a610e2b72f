"""The stubs of the compiled module tell the truth."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def test_stubs_agree_with_the_compiled_module(tmp_path: Path) -> None:
    """Stubtest finds no difference between `_core.pyi` and the module that is installed."""
    pytest.importorskip("mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "inspect_trace._core"],
        cwd=tmp_path,  # not where the sources are
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
