"""Programs that use inspect_ai, in a private home, with S3 on loopback and a stand-in for docker.

They run on the Python that `ENGINE_PYTHON` names, which has some version of inspect_ai and this
package's wheel; by default on the one that runs the tests.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from conftest import DEADLINE_S, finish, records_of
from s3_support import KEYS, serving_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PYTHON = os.environ.get("ENGINE_PYTHON", sys.executable)

BASE = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("INSPECT_", "XDG_", "AWS_", "NO_COLOR", "FORCE_COLOR", "PYTHON"))
}


@pytest.fixture(scope="session", autouse=True)
def inspect_ai_is_there() -> None:
    """Skip where there is no inspect_ai: it needs a newer Python."""
    if sys.executable == PYTHON and importlib.util.find_spec("inspect_ai") is None:
        pytest.skip("inspect_ai is not installed")


class Home(NamedTuple):
    """A private data directory."""

    path: Path

    @property
    def traces(self) -> Path:
        """The trace directory."""
        return self.path / "data" / "inspect_ai" / "traces"

    def environment(self, **variables: str) -> dict[str, str]:
        """What makes a program use it, and the stand-in for docker."""
        return {
            **BASE,
            "XDG_DATA_HOME": str(self.path / "data"),
            "XDG_CACHE_HOME": str(self.path / "cache"),
            "PATH": f"{HERE / 'bin'}:{os.environ['PATH']}",
            "COLUMNS": "200",
            "TZ": "UTC",
            **variables,
        }

    def start(self, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        """Start a program; stdin is a pipe that stays open."""
        return subprocess.Popen(
            [PYTHON, "-X", "faulthandler", *map(str, arguments)],
            env=self.environment(**variables),
            cwd=self.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, source: str, *arguments: object, **variables: str) -> Finished:
        """Run a program that is given as text, to its end."""
        script = self.path / "program.py"
        script.write_text(PRELUDE + textwrap.dedent(source))
        with self.start(script, *arguments, **variables) as process:
            output, errors = finish(process)
        return Finished(process.pid, process.returncode, output, errors)

    def command(self, *arguments: str) -> Any:
        """What our command answers, as JSON."""
        done = subprocess.run(
            [PYTHON, "-m", "inspect_trace", *arguments, "--json"],
            env=self.environment(),
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def log_of(self, pid: int) -> Path:
        """The plain log of a process."""
        return self.traces / f"trace-{pid}.log"

    def messages_of(self, pid: int) -> list[str]:
        """The messages in the plain log of a process that has ended."""
        return [record["message"] for record in records_of(self.log_of(pid))]


class Finished(NamedTuple):
    """A program that has ended."""

    pid: int
    returncode: int
    output: str
    errors: str


PRELUDE = """
import logging, os, sys
from inspect_ai._util import logger as inspect_logger
from inspect_ai._util.trace import trace_action, trace_message
from inspect_trace.engine import activate

log = logging.getLogger("inspect_ai.test")

def handler():
    return inspect_logger._logHandler["handler"]
"""
"""What the programs have in common: inspect_ai's own logging, without an evaluation."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A private data directory without a trace."""
    return Home(tmp_path)


class Evaluated(NamedTuple):
    """An evaluation that has ended, one way or the other."""

    home: Home
    pid: int
    returncode: int
    output: str
    errors: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of its log."""
        return records_of(self.home.log_of(self.pid))


class Bucket(NamedTuple):
    """An S3 server on loopback, and the variables that lead to it."""

    variables: dict[str, str]


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """Serve S3."""
    with serving_s3() as url:
        yield Bucket(
            {
                "AWS_ENDPOINT_URL": url,
                **{name.upper(): value for name, value in KEYS.items()},
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        )


def start_evaluation(
    home: Home, bucket: Bucket, name: str, **variables: str
) -> subprocess.Popen[str]:
    """Start the evaluation with all six kinds of action; its own log goes to S3."""
    return home.start(
        HERE / "evaluation.py",
        f"s3://evaluations/{name}",
        HERE / "compose.yaml",
        **bucket.variables,
        **variables,
    )


class Both(NamedTuple):
    """The same evaluation with our engine and with inspect_ai's own."""

    ours: Evaluated
    theirs: Evaluated


@pytest.fixture(scope="session")
def both(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Run the evaluation both ways, at the same time."""
    homes = [Home(tmp_path_factory.mktemp(name)) for name in ("ours", "theirs")]
    engines = ["", "inspect_ai"]
    started = [
        start_evaluation(home, bucket, home.path.name, INSPECT_TRACE_ENGINE=engine)
        for home, engine in zip(homes, engines, strict=True)
    ]
    ended = []
    for home, process in zip(homes, started, strict=True):
        with process:
            output, errors = finish(process)
        ended.append(Evaluated(home, process.pid, process.returncode, output, errors))
    return Both(*ended)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a program with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
