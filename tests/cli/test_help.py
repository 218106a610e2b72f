"""The help texts, against the snapshot in docs/cli_help.txt.

`UPDATE_HELP=1 pytest tests/cli/test_help.py` rewrites the snapshot.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.conftest import Run

SNAPSHOT = Path(__file__).parents[2] / "docs" / "cli_help.txt"


def test_help_texts(inspect_trace: Run) -> None:
    """The documented help texts are those of the commands, in characters any locale has."""
    parts = []
    for command in (
        "",
        "list",
        "dump",
        "http",
        "anomalies",
        "tree",
        "stats",
        "diff",
        "export",
        "timeline",
        "sql",
        "top",
        "verify",
        "status",
        "run",
        "archive",
        "archive-list",
        "archive-verify",
        "archive-prune",
        "completion",
    ):
        result = inspect_trace(*command.split(), "--help", env={"COLUMNS": "82"})
        assert (result.returncode, result.stderr) == (0, "")
        shown = result.stdout.replace("python -m inspect_trace", "inspect-trace")
        parts.append(f"$ inspect-trace {command} --help\n".replace("  ", " ") + shown)
    text = "\n".join(parts)
    assert text.isascii()
    if os.environ.get("UPDATE_HELP"):
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text(), "run it with UPDATE_HELP=1 to rewrite the snapshot"
