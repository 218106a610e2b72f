"""The Makefile explains itself, and finds a Python on whatever machine it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FIND_PYTHON = ROOT / "scripts" / "find-python"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def run(*command: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command from the root directory, as from a shell of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    if path is not None:
        environment["PATH"] = path
    return subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, timeout=60
    )


def fake_python(directory: Path, name: str, exit_code: int) -> Path:
    """A program that answers the question for its fitness with an exit code."""
    program = directory / name
    program.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    program.chmod(0o755)
    return program


def test_help_lists_every_target() -> None:
    """`make` without a target shows every target that people call, with its own comment."""
    phony = re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, flags=re.MULTILINE)
    done = run("make", "--no-print-directory", "-C", ROOT)
    shown = re.findall(r"^  make (\S+) +\S", done.stdout, flags=re.MULTILINE)
    assert done.returncode == 0
    assert shown == phony
    assert set(shown) >= {"help", "demo", "test", "lint", "bench", "bench-smoke", "docs", "fuzz"}


def test_ci_runs_the_documented_targets() -> None:
    """What CI runs are targets of the Makefile, the README's test command among them."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lines = re.findall(r"^run (.*)$", script, flags=re.MULTILINE)
    called = {word for line in lines for word in line.split() if not word.startswith("-")}
    phony = set(re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, flags=re.MULTILINE))
    assert {"test", "lint", "bench-smoke", "demo"} <= called <= phony


def test_given_python_is_taken() -> None:
    """`PYTHON=` is taken as it is given, if it will do."""
    done = run(FIND_PYTHON, sys.executable)
    assert (done.returncode, done.stdout) == (0, f"{sys.executable}\n")


def test_given_python_that_will_not_do_is_refused(tmp_path: Path) -> None:
    """A `PYTHON=` that is too old, or nothing, is an error: nobody else is taken instead."""
    for python in (fake_python(tmp_path, "python2", 1), tmp_path / "missing"):
        done = run(FIND_PYTHON, python)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"PYTHON={python} is not Python 3.10 or newer with the venv module\n"


def test_first_python_that_will_do_is_found(tmp_path: Path) -> None:
    """Without `PYTHON=`, names are tried from the usual one on; those too old are passed over."""
    fake_python(tmp_path, "python3", 1)
    fake_python(tmp_path, "python3.12", 0)
    fake_python(tmp_path, "python3.10", 0)
    done = run("/bin/sh", FIND_PYTHON, path=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "python3.12\n")


def test_a_browser_that_cannot_be_installed_is_no_failure(tmp_path: Path) -> None:
    """Without a browser, and without the means to install one, one line says so."""
    done = run("/bin/sh", ROOT / "scripts" / "install-browser", path=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"make browser: no apt-get here: .* will be skipped\n", done.stderr)


def test_a_browser_that_is_there_is_not_installed(tmp_path: Path) -> None:
    """Where there is a browser with its driver, nothing is done."""
    fake_python(tmp_path, "chromium", 1)
    fake_python(tmp_path, "chromedriver", 1)
    done = run("/bin/sh", ROOT / "scripts" / "install-browser", path=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_python_is_one_clear_line(tmp_path: Path) -> None:
    """On a machine without a Python that will do, one line says what to do."""
    done = run("/bin/sh", FIND_PYTHON, path=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"no Python 3\.10 or newer .* make PYTHON=.*\n", done.stderr)
