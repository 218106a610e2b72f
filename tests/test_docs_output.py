"""Every command that the pages show is run, and prints what the pages show.

`UPDATE_DOCS=1 pytest tests/test_docs_output.py` writes into the pages what is printed instead,
where it is not what they show. The rules for pages are in CONTRIBUTING.md.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from cli.screen import OnScreen
from docs.home import SHOWN_AS, make_home
from docs.pages import (
    PAGES,
    ROOT,
    Block,
    Step,
    blocks_of,
    is_as_shown,
    named,
    steps_of,
    without_end,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docs.home import Home

UPDATE = bool(os.environ.get("UPDATE_DOCS"))
RUN_BY_OTHER_TESTS = {
    "docs/agents.md": "tests/test_agents_page.py",
    "docs/recipes.md": "tests/test_recipes.py",
}
"""Pages whose commands another test runs."""
NOT_RUN = {
    ("README.md", "make demo     # a program hangs and is killed; its log tells where"): (
        ".ci/run does; test_docs.py has the targets"
    ),
    ("README.md", "pip install ."): "the tests run on an installed wheel",
    ("docs/index.md", "pip install ."): "the tests run on an installed wheel",
    ("docs/cli.md", "duckdb -c \"SELECT count(*) FROM 'trace.parquet'\""): (
        "neither is installed here; tests/cli/test_export.py has DuckDB and pyarrow read it"
    ),
    ("docs/cli.md", "TRACE: /home/me/work/app.log"): "a screen: test_top_shows_what_is_shown",
    (
        "docs/format.md",
        "{",
    ): "an example of a manifest: rust/core/tests/archive.rs checks real ones",
    ("docs/fleet.md", "def work(tasks):"): "there is no Spark here: the page says so",
    ("docs/recipes.md", "parsers:"): "Fluent Bit is not at hand: the page says so",
    ("docs/recipes.md", "sources:"): "Vector is not at hand: the page says so",
}
"""The blocks that nothing runs, by page and first line, each with the reason."""
WITHOUT_TRACES = {"docs/integration.md", "docs/other-programs.md"}
"""Pages whose programs trace: their user has no logs before."""
KILLED = "# is killed"
"""At the end of a command: what it runs does not end by itself."""
TOOLS = ("jq",)
"""What commands use that may be missing: those are left out then."""


def of_kind(page: Path, kind: str) -> list[Block]:
    """The page's blocks of a kind."""
    return [block for block in blocks_of(page) if block.kind == kind]


RUN_HERE = [
    page for page in PAGES if of_kind(page, "console") and named(page) not in RUN_BY_OTHER_TESTS
]


@pytest.fixture
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """The home in which the commands of a page run."""
    home = make_home(with_traces=named(request.param) not in WITHOUT_TRACES)
    yield home
    shutil.rmtree(home.path)


def missing_tool(step: Step) -> str | None:
    """A tool that the command needs and that is not there."""
    if "inspect-trace status" in step.command and importlib.util.find_spec("inspect_ai") is None:
        return "inspect_ai"
    words = set(re.findall(r"[\w-]+", step.command))
    return next((tool for tool in TOOLS if tool in words and not shutil.which(tool)), None)


@pytest.mark.parametrize(
    ("page", "home"),
    [(page, page) for page in RUN_HERE],
    indirect=["home"],
    ids=map(named, RUN_HERE),
)
def test_commands_print_what_is_shown(page: Path, home: Home) -> None:
    """Each prints what stands below it, and ends well where nothing does."""
    missing = set()
    wrong: list[tuple[Step, list[str]]] = []
    for step in (step for block in of_kind(page, "console") for step in steps_of(block)):
        if tool := missing_tool(step):
            missing.add(tool)
            continue
        printed = home.run(step.command)
        place = f"{named(page)}:{step.start}: {step.command}"
        allowed = (0, 1) if step.shown else (-9,) if step.command.endswith(KILLED) else (0,)
        assert printed.exit_code in allowed, "\n".join([place, *printed.lines])
        if step.shown and not is_as_shown(step.shown, printed.lines):
            wrong.append((step, printed.lines))
    if UPDATE:
        update(page, wrong)
    elif wrong:
        pytest.fail("\n\n".join("\n".join([step.command, *lines]) for step, lines in wrong))
    if missing:
        pytest.skip(f"the other commands passed; not installed: {', '.join(missing)}")


@pytest.mark.parametrize("home", [ROOT / "docs" / "cli.md"], indirect=True)
def test_top_shows_what_is_shown(home: Home) -> None:
    """Its screen, of a terminal that has room for all columns, is the one on its page."""
    (block,) = of_kind(ROOT / "docs" / "cli.md", "text")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home.path), "TZ": "UTC"}
    log = str(home.work / "app.log")
    with OnScreen("top", log, environment=environment, columns=112, lines=22) as screen:

        def is_the_same(text: str) -> bool:
            lines = [line.removeprefix(" ") for line in text.split("\n")]
            return is_as_shown(
                block.lines, [line.replace(str(home.path), SHOWN_AS) for line in lines]
            )

        screen.until(is_the_same)


def update(page: Path, wrong: list[tuple[Step, list[str]]]) -> None:
    """Write into the page what was printed."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for step, printed in reversed(wrong):
        empty = len(step.shown) - len("\n".join(step.shown).rstrip("\n").split("\n"))
        lines[step.start : step.start + len(step.shown)] = without_end(printed) + [""] * empty
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_every_block_is_run_or_listed() -> None:
    """A block is an example in Python, a console, or one of those listed with a reason."""
    others = {
        (named(page), block.lines[0])
        for page in PAGES
        for block in blocks_of(page)
        if block.kind not in ("python", "console")
    }
    assert others == set(NOT_RUN)


def test_other_tests_run_the_pages_that_they_are_said_to() -> None:
    """The tests named above for a page read it."""
    for page, test in RUN_BY_OTHER_TESTS.items():
        assert page.removeprefix("docs/") in (ROOT / test).read_text(encoding="utf-8")


def test_figures_are_those_of_the_benches() -> None:
    """Every figure in a table of the page on performance stands in the results of the benches."""
    results = (ROOT / "benches" / "README.md").read_text(encoding="utf-8")
    known = set(re.findall(r"\d[\d,.]*\d|\d", results))
    rows = re.findall(r"^\| `[^|]*\| (.*) \|$", performance_page(), flags=re.MULTILINE)
    figures = {figure for row in rows for figure in re.findall(r"\d[\d,.]*", row)}
    assert len(figures) > 20
    assert figures <= known


def performance_page() -> str:
    """The text of the page on performance."""
    return (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_wildcards() -> None:
    """`…` is some text within a line, `...` any lines, and all else is what it is."""
    assert is_as_shown(["pid …, 3.1 s"], ["pid 17, 3.1 s", ""])
    assert not is_as_shown(["pid …, 3.1 s"], ["pid 17, 3x1 s"])
    assert not is_as_shown(["a … b"], ["a", " b"])
    assert not is_as_shown(["pid …"], ["pid "])
    for between in ([], ["b"], ["b", "", "c"]):
        assert is_as_shown(["a", "...", "d"], ["a", *between, "d"])
    assert not is_as_shown(["a", "...", "d"], ["a", "d", "e"])
    assert not is_as_shown(["a", "b"], ["a"])
