"""The README and the documentation: their examples run, what they point to exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "benches" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
WITH_PYTHON = [page for page in PAGES if "```python\n" in page.read_text(encoding="utf-8")]


def named(page: Path) -> str:
    """The page's path, for test ids."""
    return str(page.relative_to(ROOT))


def python_of(page: Path) -> str:
    """The page's Python examples, each on the lines on which it stands in the page."""
    lines = []
    is_python = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            is_python = line == "```python"
            lines.append("")
        else:
            lines.append(line if is_python else "")
    return "\n".join(lines)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=named)
def test_python_examples_run(page: Path, tmp_path: Path) -> None:
    """The examples of a page run, one after the other, in a fresh process, without warnings."""
    script = tmp_path / f"{page.stem}.py"
    script.write_text(python_of(page), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INSPECT_TRACE")}
    environment["XDG_DATA_HOME"] = str(tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{named(page)}: {done.stderr}"


def test_documentation_has_examples() -> None:
    """The pages that show how to use it have examples that the test above finds."""
    assert {"README.md", "docs/index.md", "docs/integration.md"} <= set(map(named, WITH_PYTHON))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_relative_links_lead_somewhere(page: Path) -> None:
    """What a page links to within the repository exists."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = target.partition("#")[0]
        if path and "://" not in path:
            assert (page.parent / path).exists(), f"{named(page)} links to {target}"


def test_named_make_targets_exist() -> None:
    """Every `make ...` that a page tells to type is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named_targets = re.findall(r"(?:`|\$ )make ([a-z-]+)", text)
        assert set(named_targets) <= targets, named(page)


def test_named_environment_variables_are_read() -> None:
    """The README's variables are those that the package reads, and it names all of them."""
    pattern = re.compile(r"\bINSPECT_TRACE_[A-Z]+\b")
    documented = set(pattern.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    package = (ROOT / "python" / "inspect_trace").rglob("*.py")
    read = {name for path in package for name in pattern.findall(path.read_text("utf-8"))}
    # Set by the package itself, for the processes it starts.
    assert documented == read - {"INSPECT_TRACE_RUN", "INSPECT_TRACE_START"}
