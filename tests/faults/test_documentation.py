"""`docs/faults.md` and the tests stand by each other."""

from __future__ import annotations

import re

from faults.conftest import TESTS

PAGE = (TESTS.parent / "docs" / "faults.md").read_text(encoding="utf-8")


def names_in(pattern: str) -> set[str]:
    """The names of all tests of some files."""
    texts = [path.read_text(encoding="utf-8") for path in TESTS.glob(pattern)]
    return {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}


def test_each_row_names_tests_that_exist() -> None:
    """Every row of a table names at least one test, and every test that the page names exists."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| fault |", "| --- |"))]
    assert len(rows) > 30
    existing = names_in("**/test_*.py") | {path.name for path in TESTS.glob("**/test_*.py")}
    for row in rows:
        named = re.findall(r"`(test_[\w.]+)`", row.split(" | ")[-1])
        assert named, row
        assert set(named) <= existing
    assert set(re.findall(r"`(test_[\w.]+)`", PAGE)) <= existing


def test_each_fault_that_is_tested_is_told() -> None:
    """Every test of a fault is named by the page."""
    own = names_in("faults/test_documentation.py")
    assert names_in("faults/test_*.py") - own <= set(re.findall(r"`(test_\w+)`", PAGE))
