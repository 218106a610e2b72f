"""`inspect-trace sql`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.logs import MIXED, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

FIRST = "2023-11-14T22:13:20.250000+00:00"


def test_records_are_a_table(inspect_trace: Run, tmp_path: Path) -> None:
    """A damaged log is asked as any other, more than once in a query, and the damage is told."""
    log = write_log(tmp_path / "app.log", *MIXED, "no record")
    query = (
        "SELECT event, sum(1) AS n, max(duration) AS longest, min(timestamp) AS first, "
        "(SELECT count(*) FROM records) AS n_all FROM records "
        "WHERE event IS NOT NULL GROUP BY event"
    )
    result = inspect_trace("sql", "--json", query, str(log))
    assert result.returncode == 0, result.stderr
    rows = {row["event"]: row for row in json.loads(result.stdout)}
    assert rows["enter"] == {
        "event": "enter",
        "n": 5,
        "longest": None,
        "first": FIRST,
        "n_all": 12,
    }
    assert rows["timeout"]["longest"] == 4.0
    assert "1 line" in result.stderr


def test_text_is_safe(inspect_trace: Run, tmp_path: Path) -> None:
    """Rows are aligned under their names, one line each, and steer no terminal."""
    log = write_log(tmp_path / "app.log", record("\x1b[31m\nx", level="INFO"), record("b"))
    result = inspect_trace("sql", "SELECT level, message FROM records", str(log))
    assert result.stdout.splitlines() == [
        "level  message",
        r"INFO   \x1b[31m\nx",
        "TRACE  b",
    ]


def test_wrong_queries_are_one_line(inspect_trace: Run, tmp_path: Path) -> None:
    """What DuckDB says of a query that it cannot answer is one line, without a traceback."""
    log = write_log(tmp_path / "app.log", *MIXED)
    result = inspect_trace("sql", "SELECT nothing FROM nowhere", str(log))
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "nowhere" in result.stderr
