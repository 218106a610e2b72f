"""One real evaluation for all tests, and both commands to read its trace with."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("INSPECT_", "XDG_", "NO_COLOR", "FORCE_COLOR", "COLUMNS"))
}

OURS = [sys.executable, "-m", "inspect_trace"]
THEIRS = [sys.executable, "-c", "from inspect_ai._cli.main import main; main()", "trace"]
# Their `inspect` script may be shadowed by ours, hence the call of its function.


class Home(NamedTuple):
    """A private data directory, where both tools find their traces."""

    path: Path

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
            # What rich goes by where there is no terminal: wide enough to wrap nothing.
            "COLUMNS": "2000",
        }

    def ours(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run our command."""
        return self._run([*OURS, *arguments])

    def theirs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the reference's command."""
        return self._run([*THEIRS, *arguments])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )


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
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Run the evaluation both ways."""
    home = Home(tmp_path_factory.mktemp("evaluation"))
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
