"""A private trace directory, and the command run on it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from cli.run_pair import Pair

if TYPE_CHECKING:
    from pathlib import Path

# GNU readline, which pytest imports, tells children of this process the size of its terminal.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("INSPECT_", "XDG_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"))
}


class Run(Protocol):
    """Run `inspect-trace ARGS` to its end."""

    def __call__(
        self, *args: str | bytes, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def trace_dir(tmp_path: Path) -> Path:
    """Where the command of this test looks for logs; not made yet."""
    return tmp_path / "data" / "inspect_ai" / "traces"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment which gives the command that trace directory, and a fixed time zone."""
    return {**ENVIRONMENT, "XDG_DATA_HOME": str(tmp_path / "data"), "TZ": "UTC"}


@pytest.fixture
def inspect_trace(environment: dict[str, str]) -> Run:
    """The command, as `python -m inspect_trace`."""

    def run(
        *args: str | bytes, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "inspect_trace", *args],
            env={**environment, **(env or {})},
            **{
                "stdin": subprocess.DEVNULL,
                "capture_output": True,
                "encoding": "utf-8",
                "timeout": 60,
                **options,
            },
        )

    return run


@pytest.fixture
def pair(tmp_path: Path, environment: dict[str, str]) -> Pair:
    """Runs programs plainly and traced."""
    directory = tmp_path / "programs"
    directory.mkdir()
    return Pair(directory, environment)
