"""`inspect-trace status`: who writes inspect_ai's trace logs, and why not we where not."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def status(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a private home."""

    def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("INSPECT_")}
        environment |= {"XDG_DATA_HOME": str(tmp_path / "data"), **variables}
        done = subprocess.run(
            [sys.executable, "-m", "inspect_trace", "status", *options],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON that was printed."""
    return json.loads(done.stdout)


def test_what_it_tells(status: Any, tmp_path: Path) -> None:
    """Engine, directory, file, level and versions, as JSON and for people."""
    directory = str(tmp_path / "data" / "inspect_ai" / "traces")
    assert answer(status("--json")) == {
        "engine": "inspect_trace",
        "active": False,
        "reason": None,
        "complaint": None,
        "directory": directory,
        "directory_from": "default",
        "file": None,
        "level": "TRACE",
        "versions": {
            "inspect_trace": version("inspect-trace"),
            "inspect_ai": version("inspect_ai"),
            "python": platform.python_version(),
        },
        "live_logs": [],
    }
    shown = status()
    assert shown.stderr == ""
    assert shown.stdout.splitlines()[:4] == [
        "engine     inspect-trace writes the trace logs of inspect_ai",
        f"directory  {directory} (default)",
        "file       each process's own",
        "level      TRACE",
    ]


def test_what_the_environment_says(status: Any, tmp_path: Path) -> None:
    """The variables show, and the engine that they ask for, with the reason."""
    mine = str(tmp_path / "mine")
    told = answer(
        status(
            "--json",
            INSPECT_TRACE_ENGINE="inspect_ai",
            INSPECT_TRACE_DIR=mine,
            INSPECT_TRACE_FILE="x.log",
            INSPECT_TRACE_LEVEL="info",
        )
    )
    assert told["engine"] == "inspect_ai"
    assert told["reason"] == "INSPECT_TRACE_ENGINE=inspect_ai"
    assert (told["directory"], told["directory_from"]) == (mine, "INSPECT_TRACE_DIR")
    assert (told["file"], told["level"]) == ("x.log", "INFO")
    shown = status(INSPECT_TRACE_ENGINE="inspect_ai").stdout
    assert "inspect_ai's own writer: INSPECT_TRACE_ENGINE=inspect_ai" in shown
    complaint = status(INSPECT_TRACE_ENGINE="turbo").stderr
    assert complaint.startswith("inspect-trace: INSPECT_TRACE_ENGINE=turbo")
    assert complaint.count("\n") == 1


def test_live_logs(status: Any, tmp_path: Path) -> None:
    """Logs of processes that live are told."""
    program = (
        "import sys; from inspect_trace import TraceHandler; handler = TraceHandler();"
        "print(handler.path, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "INSPECT_TRACE_DIR": str(tmp_path / "traces")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        log = process.stdout.readline().strip()
        told = answer(status("--json", INSPECT_TRACE_DIR=str(tmp_path / "traces")))
        process.communicate("")
    assert told["live_logs"] == [log]


def other_inspect_ai(folder: Path, change: Callable[[str], str]) -> None:
    """An inspect_ai of another version, whose logger has changed."""
    spec = importlib.util.find_spec("inspect_ai")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "_util"
    target = folder / "inspect_ai" / "_util"
    target.mkdir(parents=True)
    (target.parent / "__init__.py").write_text("raise ImportError('it is not to be imported')\n")
    shutil.copy(source / "trace.py", target)
    (target / "logger.py").write_text(change((source / "logger.py").read_text()))
    metadata = folder / "inspect_ai-99.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: inspect_ai\nVersion: 99.0\n")


def test_another_version_is_judged_without_importing_it(status: Any, tmp_path: Path) -> None:
    """A version that is the same where it matters is fine; a changed one is told."""
    for name, old, new, reason in (
        ("same", "class LogHandlerVar", "# more\nclass LogHandlerVar", None),
        (
            "changed",
            "self.trace_logger",
            "self.tracer",
            "LogHandler.__init__ does not use trace_logger",
        ),
        ("broken", "import json", "import import", "invalid syntax"),
    ):
        folder = tmp_path / name
        other_inspect_ai(folder, lambda text, old=old, new=new: text.replace(old, new))  # type: ignore[misc]
        told = answer(status("--json", PYTHONPATH=str(folder)))
        assert told["versions"]["inspect_ai"] == "99.0"
        if reason is None:
            assert (told["engine"], told["reason"]) == ("inspect_trace", None)
        else:
            assert told["engine"] == "inspect_ai"
            assert reason in told["reason"]
            assert "99.0" in told["reason"]


def test_without_inspect_ai(tmp_path: Path) -> None:
    """Where inspect_ai is not installed there is no engine, which is no failure."""
    code = """
import importlib.metadata, sys
from importlib.metadata import PackageNotFoundError
version = importlib.metadata.version
def without(name):
    if name == "inspect_ai":
        raise PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = without
sys.argv = ["inspect-trace", "status"]
from inspect_trace.cli.start import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "INSPECT_TRACE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("engine     none: inspect_ai is not installed\n")
    assert "no inspect_ai" in done.stdout
