"""The pages of the documentation as tests see them: fenced blocks, and the commands in these."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = "```"
PROMPT = "$ "
CONTINUED = "> "
ANY_TEXT = "…"
ANY_LINES = "..."


def named(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))


class Block(NamedTuple):
    """A fenced block of a page."""

    kind: str
    start: int
    """The index of its first line within the page."""
    lines: list[str]


class Step(NamedTuple):
    """A command of a `console` block, and what the page shows below it."""

    command: str
    start: int
    """The index of the first line of the output within the page."""
    shown: list[str]


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    blocks: list[Block] = []
    block: Block | None = None
    for index, line in enumerate(page.read_text(encoding="utf-8").splitlines()):
        if not line.startswith(FENCE):
            if block is not None:
                block.lines.append(line)
        elif block is None:
            block = Block(line.removeprefix(FENCE), index + 1, [])
        else:
            assert line == FENCE, f"{named(page)}:{index + 1}: a fence within a fence"
            blocks.append(block)
            block = None
    assert block is None, f"{named(page)}: a fence is not closed"
    return blocks


def steps_of(block: Block) -> list[Step]:
    """The commands of a `console` block, in order."""
    steps: list[Step] = []
    for index, line in enumerate(block.lines):
        if line.startswith(PROMPT):
            steps.append(Step(line.removeprefix(PROMPT), block.start + index + 1, []))
        elif steps and line.startswith(CONTINUED) and not steps[-1].shown:
            begun = steps.pop()
            steps.append(Step(f"{begun.command}\n{line[2:]}", begun.start + 1, []))
        else:
            assert steps, f"output without a command: {line}"
            steps[-1].shown.append(line)
    return steps


def without_end(lines: list[str]) -> list[str]:
    """The lines without blanks at their ends, and without empty ones at the end."""
    return "\n".join(line.rstrip() for line in lines).rstrip("\n").split("\n")


def is_as_shown(shown: list[str], printed: list[str]) -> bool:
    """Whether the output is what the page shows.

    `…` in a line stands for any text of at least one character, and a line that is `...` for
    any number of lines.
    """
    pattern = ""
    for line in without_end(shown):
        if line == ANY_LINES:
            pattern += r"(?:[^\n]*\n)*"
        else:
            pattern += r"[^\n]+".join(map(re.escape, line.split(ANY_TEXT))) + r"\n"
    return re.fullmatch(pattern, "\n".join(without_end(printed)) + "\n") is not None
