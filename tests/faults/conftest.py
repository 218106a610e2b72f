"""Programs that meet faults: run to their end, and judged by what they leave."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TESTS = Path(__file__).parent.parent
# Python 3.12 warns of forks in a process with threads.
PRELUDE = """
import json, os, resource, signal, sys, warnings
warnings.filterwarnings("ignore", message=".*fork.*")
from faults.traced import *
"""

NOBODY = 54_321
"""A user that owns nothing and runs nothing."""


@dataclass(frozen=True)
class Outcome:
    """What a program left, once it has been seen that tracing did not disturb it."""

    logged: int
    """How many records it logged."""
    dropped: int
    """How many of them tracing counted as not kept."""
    numbers: list[int]
    """The records that are in the log, by number."""
    noted: int
    """How many are missing as notes in the log say."""
    complaints: list[str]
    """What tracing said on stderr."""
    told: dict[str, object]
    """Whatever else the program told."""

    def assert_kept_or_counted(self) -> None:
        """Each record is in the log or counted as dropped."""
        assert len(self.numbers) + self.dropped == self.logged

    def assert_all_kept(self) -> None:
        """Each record is in the log."""
        assert self.numbers == list(range(self.logged))
        assert (self.dropped, self.noted) == (0, 0)


@pytest.fixture
def run_traced() -> Callable[..., Outcome]:
    """Runs a program that uses `faults.traced`, and sees that tracing keeps out of its way."""

    def run(
        source: str,
        *arguments: object,
        prefix: Sequence[str] = (),
        exit_code: int = 0,
    ) -> Outcome:
        # Passed as text: another user may not read the directory of the test.
        source = PRELUDE + textwrap.dedent(source)
        command = [*prefix, sys.executable, "-X", "faulthandler", "-W", "error", "-c", source]
        with subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            cwd="/",
        ) as process:
            output, errors = finish(process)
        assert process.returncode == exit_code, errors
        lines = errors.splitlines()
        complaints = [line for line in lines if line.startswith("inspect-trace: ")]
        assert complaints == lines, errors  # no traceback, and nothing else
        assert len(set(complaints)) == len(complaints), errors
        told = json.loads(output)
        numbers = told.pop("numbers")
        assert numbers == sorted(set(numbers))
        keys = {key: told.pop(key) for key in ("logged", "dropped", "noted")}
        return Outcome(numbers=numbers, complaints=complaints, told=told, **keys)

    return run


@functools.cache
def namespace_command() -> tuple[str, ...] | None:
    """The beginning of a command that may mount what only it sees; None where that is denied."""
    if shutil.which("unshare") is None:
        return None
    for options in ("-rm", "-m"):
        command = ("unshare", options)
        probe = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            return command
    return None


@pytest.fixture
def with_mounts() -> Callable[..., list[str]]:
    """The prefix of a command that runs after some shell commands, among them mounts."""

    def prefix(script: str) -> list[str]:
        command = namespace_command()
        if command is None:
            pytest.skip("mounting is not allowed here, not even in a user namespace")
        return [*command, "sh", "-ec", f'{script}\nexec "$@"', "sh"]

    return prefix


@pytest.fixture
def as_nobody() -> list[str]:
    """The prefix of a command that runs as another user, who may read everything."""
    # Reading is what it takes to start a Python that lies in somebody's home directory.
    user = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    reads = "+dac_read_search"
    prefix = ["setpriv", *user, "--inh-caps", reads, "--ambient-caps", reads]
    if (
        shutil.which("setpriv") is None
        or subprocess.run([*prefix, "true"], capture_output=True).returncode != 0
    ):
        pytest.skip("needs another user: run as root, with setpriv")
    return prefix


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that another user gets at, unlike that of pytest."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)
