"""The `inspect` script: `trace` is ours, the rest is inspect_ai's."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cli.logs import MIXED, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

SCRIPT = "import sys; from inspect_trace.cli.inspect_command import main; sys.exit(main())"


def inspect(
    *arguments: str, environment: dict[str, str], before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the `inspect` script's own code with these arguments."""
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{SCRIPT}", *arguments],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture
def fake_inspect_ai(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """An environment in which another distribution called inspect_ai comes first."""
    site = tmp_path / "site"
    metadata = site / "inspect_ai-9.9.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: inspect_ai\nVersion: 9.9\n")
    (metadata / "entry_points.txt").write_text("[console_scripts]\ninspect = its_cli:run\n")
    (site / "its_cli.py").write_text(
        "import json, sys\ndef run():\n    print(json.dumps(sys.argv))\n    return 42\n"
    )
    return {**environment, "PYTHONPATH": str(site)}


def test_declared_script() -> None:
    """The package declares both scripts."""
    scripts = importlib.metadata.distribution("inspect-trace").entry_points.select(
        group="console_scripts"
    )
    assert {script.name: script.value for script in scripts} == {
        "inspect-trace": "inspect_trace.cli.start:main",
        "inspect": "inspect_trace.cli.inspect_command:main",
    }


@pytest.mark.parametrize("arguments", [["list"], ["dump"], ["http", "--json"], ["anomalies"]])
def test_trace_is_ours_and_imports_no_inspect_ai(
    inspect_trace: Run, trace_dir: Path, environment: dict[str, str], arguments: list[str]
) -> None:
    """`inspect trace ...` does its work though inspect_ai can't be imported."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    forbid = "import sys; sys.modules['inspect_ai'] = None"
    result = inspect("trace", *arguments, environment=environment, before=forbid)
    assert (result.returncode, result.stderr) == (0, "")
    if "--json" in arguments:
        assert json.loads(result.stdout)["requests"]
    elif arguments != ["anomalies"]:  # running durations move on
        assert result.stdout == inspect_trace(*arguments).stdout


def test_prog_name(environment: dict[str, str]) -> None:
    """Help and errors speak of `inspect trace`, as it was typed."""
    assert inspect("trace", "--help", environment=environment).stdout.startswith(
        "Usage: inspect trace [OPTIONS]"
    )
    wrong = inspect("trace", "dump", "--no", environment=environment)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("inspect trace: ")
    assert "`inspect trace dump --help`" in wrong.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["eval", "trace"], ["--help"], ["--", "trace"], ["traces", "-x", "ü"]]
)
def test_anything_else_is_handed_over(
    fake_inspect_ai: dict[str, str], arguments: list[str]
) -> None:
    """Any other command line reaches inspect_ai's own script untouched, and so does its outcome."""
    result = inspect(*arguments, environment=fake_inspect_ai)
    assert (result.returncode, result.stderr) == (42, "")
    assert json.loads(result.stdout) == ["-c", *arguments]


def test_trace_is_ours_whatever_is_installed(fake_inspect_ai: dict[str, str]) -> None:
    """`trace` is never handed over."""
    assert inspect("trace", "list", "--json", environment=fake_inspect_ai).stdout == "[]\n"


def test_hands_over_to_the_real_one(environment: dict[str, str]) -> None:
    """The installed inspect_ai answers for its own commands."""
    result = inspect("--version", environment=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip() == importlib.metadata.version("inspect_ai")


@pytest.mark.parametrize("entry_points", [None, "[console_scripts]\nother = its_cli:run\n"])
def test_without_inspect_ai(
    fake_inspect_ai: dict[str, str], tmp_path: Path, entry_points: str | None
) -> None:
    """Without inspect_ai, or a script of its own, one line says what to install."""
    before = ""
    if entry_points is None:
        # Only the package itself stays visible, as in an environment without inspect_ai.
        before = (
            "import importlib.metadata as m\n"
            "real = m.Distribution.from_name.__func__\n"
            "def hide(cls, name):\n"
            "    if name == 'inspect_ai': raise m.PackageNotFoundError(name)\n"
            "    return real(cls, name)\n"
            "m.Distribution.from_name = classmethod(hide)\n"
        )
    else:
        path = tmp_path / "site" / "inspect_ai-9.9.dist-info" / "entry_points.txt"
        path.write_text(entry_points)
    result = inspect("eval", "task.py", environment=fake_inspect_ai, before=before)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "pip install inspect-ai" in line


def test_startup_imports_little(inspect_trace: Run, trace_dir: Path) -> None:
    """No command loads anything heavy: what it imports is what a newcomer waits for."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    heavy = {"rich", "inspect_ai", "pydantic", "asyncio", "importlib.metadata"}
    for arguments in (["list"], ["dump"], ["http"], ["anomalies"]):
        result = inspect_trace(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})
        imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
        assert imported & heavy == set()
