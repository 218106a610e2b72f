"""One real evaluation for all tests, and both commands to read its trace with."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from reference.their_command import TheirCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("INSPECT_", "XDG_", "NO_COLOR", "FORCE_COLOR"))
} | {
    "COLUMNS": "2000",  # what rich goes by where there is no terminal: it shall wrap nothing
    "INSPECT_TRACE_ENGINE": "inspect_ai",  # its own writer is what is compared with
}

OURS = [sys.executable, "-m", "inspect_trace"]


class Home(NamedTuple):
    """A private data directory, where both tools find their traces."""

    path: Path
    their_command: TheirCommand

    @property
    def traces(self) -> Path:
        """The trace directory."""
        return self.path / "inspect_ai" / "traces"

    @property
    def environment(self) -> dict[str, str]:
        """What makes both tools use it, with a fixed time zone and no width of a terminal."""
        return {
            **ENVIRONMENT,
            "XDG_DATA_HOME": str(self.path),
            "TZ": "Europe/Berlin",
        }

    def ours(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run our command."""
        return subprocess.run(
            [*OURS, *arguments],
            env=self.environment,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    def theirs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the reference's command."""
        return self.their_command.run(list(arguments), self.environment, self.path)


class Evaluation(NamedTuple):
    """The traces of a real evaluation, run twice: to a clean end, and killed while it hung."""

    home: Home
    finished: Path
    """Gzipped by inspect_ai at its clean exit."""
    unpacked: Path
    """The same, decompressed."""
    killed: Path
    """The plain log of the killed run."""
    killed_pid: int
    while_hanging: dict[str, dict[str, Any]]
    """The answers of `anomalies --json`, `ours` and `theirs`, while the killed run still hung."""


def _evaluate(home: Home, mode: str, work_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "evaluation.py"), mode, str(work_dir)],
        env=home.environment,
        cwd=work_dir,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture(scope="session")
def their_command() -> Iterator[TheirCommand]:
    """The reference's command, its import paid for."""
    command = TheirCommand(ENVIRONMENT)
    yield command
    command.close()


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory, their_command: TheirCommand) -> Evaluation:
    """Run the evaluation both ways."""
    home = Home(tmp_path_factory.mktemp("evaluation"), their_command)
    work_dir = tmp_path_factory.mktemp("work")

    with _evaluate(home, "finish", work_dir) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    (finished,) = home.traces.iterdir()
    assert finished.name == f"trace-{output.split()[-1]}.log.gz"

    with _evaluate(home, "hang", work_dir) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        killed = home.traces / f"trace-{process.pid}.log"
        answers = {}
        for name, run in (("ours", home.ours), ("theirs", home.theirs)):
            result = run("anomalies", "--json", str(killed))
            assert result.returncode == 0, result.stderr
            answers[name] = json.loads(result.stdout)
        process.kill()

    unpacked = home.path / "unpacked.log"
    with gzip.open(finished) as source, unpacked.open("wb") as target:
        shutil.copyfileobj(source, target)
    return Evaluation(home, finished, unpacked, killed, process.pid, answers)
