"""`inspect_trace.stats`, against what DuckDB finds in the same log."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import pytest

import corpus
import inspect_trace

COLUMNS = (
    "{action: 'VARCHAR', detail: 'VARCHAR', event: 'VARCHAR', trace_id: 'VARCHAR', "
    "duration: 'DOUBLE', sample_id: 'VARCHAR', task: 'VARCHAR', level: 'VARCHAR', "
    "message: 'VARCHAR', timestamp: 'VARCHAR'}"
)
MODEL = "regexp_extract(detail, '\\((.*)\\)$', 1)"
KEYS = {"action": "action", "sample": "sample_id", "detail": "detail", "model": MODEL}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of an evaluation, of several parts when it is read."""
    path = tmp_path_factory.mktemp("stats") / "trace-1.log"
    corpus.make_corpus(path, 20_000_000, seed=11)
    return path


@pytest.fixture(scope="module")
def database(log: Path) -> duckdb.DuckDBPyConnection:
    """The log as a table of DuckDB's, which reads the JSON itself."""
    connection = duckdb.connect()
    source = f"read_json('{log}', format='newline_delimited', columns={COLUMNS})"
    connection.execute(f"CREATE TABLE records AS SELECT * FROM {source}")
    return connection


def exactly(database: duckdb.DuckDBPyConnection, by: str) -> dict[str | None, dict[str, Any]]:
    """What DuckDB counts of the groups."""
    ended = ("exit", "error", "timeout", "cancel")
    counts = ", ".join(f"count(*) FILTER (event = '{event}') AS {event}" for event in ended)
    of_models = "AND action = 'Model'" if by == "model" else ""
    found = database.execute(
        f"""
        WITH actions AS (
            SELECT *, left({KEYS[by]}, 1000) AS key,
            event = 'enter' AND trace_id NOT IN (
                SELECT trace_id FROM records WHERE event <> 'enter' AND trace_id IS NOT NULL
            ) AS open
            FROM records WHERE event IS NOT NULL {of_models}
        )
        SELECT key, {counts}, count(*) FILTER (open) AS open, sum(duration) AS total,
            max(duration) AS max, {
            ", ".join(
                f"quantile_disc(duration, {q}) FILTER (event <> 'enter') AS p{round(q * 100)}"
                for q in (0.5, 0.9, 0.99)
            )
        }
        FROM actions GROUP BY key
        """
    )
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["key"]: row for row in rows}


def is_near(told: float | None, exact: float | None) -> bool:
    """Whether a quantile is as near as is promised."""
    if told is None or exact is None:
        return told is exact
    return math.isclose(told, exact, rel_tol=0.01, abs_tol=1e-9)


@pytest.mark.parametrize("by", ["action", "sample", "model"])
def test_groups_are_those_of_duckdb(
    log: Path, database: duckdb.DuckDBPyConnection, by: Any
) -> None:
    """Counts, outcomes, totals and maxima are exact, quantiles within their bound."""
    found = inspect_trace.stats(log, by=by)
    expected = exactly(database, by)
    assert found.others is None
    assert len(found.actions) > 3
    assert {group.name for group in found.actions} == set(expected)
    for group in found.actions:
        row = expected[group.name]
        told = (group.open, group.exits, group.errors, group.timeouts, group.cancels)
        assert told == tuple(row[key] for key in ("open", "exit", "error", "timeout", "cancel"))
        assert group.count == sum(told)
        # Each duration counts in whole nanoseconds.
        assert abs(group.total - (row["total"] or 0)) <= 1e-9 * group.count
        assert group.max == row["max"]
        assert is_near(group.p50, row["p50"])
        assert is_near(group.p90, row["p90"])
        assert is_near(group.p99, row["p99"])
        assert sum(group.over_time) == sum(told) - group.open
    totals = [group.total for group in found.actions]
    assert totals == sorted(totals, reverse=True)


def test_details_beyond_the_bound_are_counted_together(
    log: Path, database: duckdb.DuckDBPyConnection
) -> None:
    """Of actions by detail none is lost, though one may be cut within a character of DuckDB's."""
    found = inspect_trace.stats(log, by="detail")
    groups = [*found.actions, *([found.others] if found.others else [])]
    (counted,) = database.execute(
        "SELECT count(*) FROM records WHERE event <> 'enter'"
    ).fetchone() or (None,)
    assert sum(group.count - group.open for group in groups) == counted


def test_requests_are_those_of_duckdb(log: Path, database: duckdb.DuckDBPyConnection) -> None:
    """HTTP requests are counted by their status."""
    found = inspect_trace.stats(log)
    expected = database.execute(
        r"""
        SELECT regexp_extract(message, '(?:HTTP/1.1 | - )(\d{3})', 1)::INT AS status, count(*)
        FROM records WHERE level = 'HTTP' AND message NOT LIKE '[Throughput]%' GROUP BY status
        """
    ).fetchall()
    assert {row.status: row.count for row in found.http} == dict(expected)
    assert all(row.failed == (row.count if (row.status or 0) >= 400 else 0) for row in found.http)


def test_the_slowest_are_those_of_duckdb(log: Path, database: duckdb.DuckDBPyConnection) -> None:
    """The slowest actions come with the place of their closing record."""
    found = inspect_trace.stats(log, slowest=5)
    expected = database.execute(
        "SELECT trace_id, duration FROM records WHERE duration IS NOT NULL "
        "ORDER BY duration DESC LIMIT 5"
    ).fetchall()
    assert [(action.trace_id, action.duration) for action in found.slowest] == expected
    for action in found.slowest:
        with Path(action.trace_file).open("rb") as lines:
            lines.seek(action.offset)
            line = lines.readline().decode()
        assert f'"trace_id": "{action.trace_id}"' in line
        assert f'"event": "{action.event}"' in line


def test_several_logs_are_counted_together(log: Path) -> None:
    """Of a log that is given twice, and of its directory, all is counted as often."""
    once, twice = inspect_trace.stats(log), inspect_trace.stats(log, log)
    assert inspect_trace.stats(log.parent).actions == once.actions
    assert twice.trace_files == [str(log)] * 2
    for one, two in zip(once.actions, twice.actions, strict=True):
        assert (two.count, two.open) == (2 * one.count, 2 * one.open)
        assert (two.p50, two.p99, two.max) == (one.p50, one.p99, one.max)


def test_what_is_wrong_is_said(log: Path, tmp_path: Path) -> None:
    """A log that is not there, and nothing to group by, are errors; skipped lines are told."""
    with pytest.raises(FileNotFoundError):
        inspect_trace.stats(tmp_path / "none.log")
    with pytest.raises(ValueError, match="'nothing' is nothing to group by"):
        inspect_trace.stats(log, by="nothing")  # type: ignore[arg-type]
    torn = tmp_path / "trace-2.log"
    torn.write_text("no record\n")
    found = inspect_trace.stats(torn)
    assert found.actions == []
    assert "skipped" in (found.skipped or "")
