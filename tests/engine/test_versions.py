"""Which versions of inspect_ai the tests here run with."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_versions_are_pinned() -> None:
    """The newest version of the list is the one of the test environment, and CI runs the others."""
    text = (ROOT / "tests" / "engine" / "versions.txt").read_text(encoding="utf-8")
    versions = re.findall(r"^\d\S+$", text, flags=re.MULTILINE)
    assert len(versions) >= 3
    assert versions == sorted(versions, key=lambda version: [int(n) for n in version.split(".")])
    pinned = re.search(r'"inspect_ai==([\d.]+);', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert pinned is not None
    assert versions[-1] == pinned[1]
    assert "\nrun test-engine\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for version in versions:
        assert f"{version}" in (ROOT / "docs" / "integration.md").read_text(encoding="utf-8")
