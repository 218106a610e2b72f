"""What the wheel installs: these tests run on it, not on the source tree."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import inspect_trace

ROOT = Path(__file__).parent.parent
INSTALLED = Path(inspect_trace.__file__).parent


def test_the_wheel_is_what_is_tested() -> None:
    """The package comes from an installed wheel, with nothing of the source tree on the path."""
    assert ROOT / "python" not in INSTALLED.parents
    assert "site-packages" in INSTALLED.parts


def test_version_is_the_workspaces() -> None:
    """The distribution and the compiled core have the version of `Cargo.toml`."""
    cargo = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    match = re.search(r'^version = "(.+)"$', cargo, flags=re.MULTILINE)
    assert match is not None
    assert distribution("inspect-trace").version == match[1]


def test_wheel_holds_the_package_and_nothing_else() -> None:
    """No tests, benches or examples are installed; types, stubs and licence are."""
    files = [str(file) for file in distribution("inspect-trace").files or []]
    own = [file for file in files if not file.endswith(".pyc")]
    tops = {file.split("/")[0] for file in own if not file.startswith("..")}
    assert tops == {
        "inspect_trace",
        f"inspect_trace-{distribution('inspect-trace').version}.dist-info",
    }
    assert {"inspect_trace/py.typed", "inspect_trace/_core.pyi"} <= set(own)
    assert any(file.endswith("LICENSE") for file in own)
    assert len([file for file in own if file.endswith(".so")]) == 1


def test_every_module_of_the_source_is_installed() -> None:
    """The installed package has the modules of the source tree, no more and no fewer."""
    source = ROOT / "python" / "inspect_trace"
    expected, installed = (
        {path.relative_to(root) for path in root.rglob("*.py*") if path.suffix != ".pyc"}
        for root in (source, INSTALLED)
    )
    assert installed == expected


def test_scripts_are_installed() -> None:
    """The wheel declares `inspect-trace` and `inspect`."""
    scripts = distribution("inspect-trace").entry_points.select(group="console_scripts")
    assert {script.name for script in scripts} == {"inspect-trace", "inspect"}


def test_importing_the_package_is_light() -> None:
    """A traced program loads neither the command line, nor inspect_ai, nor an event loop."""
    code = (
        "import sys, inspect_trace; "
        "print([m for m in ('click', 'inspect_ai', 'asyncio', 'pydantic', 'rich', 'anyio') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_public_name_is_there_and_documented() -> None:
    """`__all__` holds what exists, and the API page shows all of it."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: inspect_trace\.(\w+)$", page, flags=re.MULTILINE))
    named_levels = {name for name in ("TRACE", "HTTP") if f"`{name}`" in page}
    public = {name for name in inspect_trace.__all__ if not name.startswith("__")}
    assert all(hasattr(inspect_trace, name) for name in public)
    assert shown | named_levels == public
