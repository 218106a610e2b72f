"""`inspect-trace sql`: the records as a table of DuckDB."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from inspect_trace.cli.options import detail_option, files_argument, filter_options, redact_option
from inspect_trace.cli.output import complain, encodable, stdout_terminal, write_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inspect_trace._core import Filter

MEASURED_ROWS = 1000
"""How many rows the widths of the columns are taken from."""
MAX_CELL_COLUMNS = 60
"""What cells are cut to on a terminal."""


@click.command("sql")
@click.argument("query", metavar="QUERY")
@files_argument
@filter_options
@redact_option
@detail_option
@click.option("--json", "as_json", is_flag=True, help="Print the rows as a JSON array of objects.")
def sql_command(
    query: str,
    files: tuple[str, ...],
    record_filter: Filter | None,
    *,
    redact: bool,
    no_detail: bool,
    as_json: bool,
) -> None:
    """Ask trace logs in SQL.

    QUERY is one of DuckDB's, on the table records: a row for each record, with the columns of
    export --to parquet. The logs are read by this package, so damaged ones do. Needs the extra
    sql: pip install 'inspect-trace[sql]'.

    \b
    Example:
      inspect-trace sql "SELECT action, count(*) FROM records GROUP BY action"
    """  # noqa: D301 - click wants the character itself
    from importlib.util import find_spec

    if find_spec("duckdb") is None or find_spec("pyarrow") is None:
        raise click.ClickException("sql needs DuckDB: pip install 'inspect-trace[sql]'")
    import tempfile

    import duckdb

    from inspect_trace import _core
    from inspect_trace._arrow import SCHEMA, record_batches
    from inspect_trace.store import find_trace_files

    paths = find_trace_files(files)
    report = _core.export_report(
        paths,
        "typed-csv",
        filter=record_filter,
        as_of=time.time(),
        redact=redact,
        no_detail=no_detail,
    )
    # The records are in a file meanwhile: a query may go through them more than once.
    with tempfile.TemporaryDirectory(prefix="inspect-trace-sql-") as directory:
        try:
            with duckdb.connect(f"{directory}/records.duckdb") as database:
                import pyarrow as pa

                reader = pa.RecordBatchReader.from_batches(SCHEMA, record_batches(report))
                database.execute("SET preserve_insertion_order = true")
                database.register("source", reader)
                database.execute("CREATE TABLE records AS SELECT * FROM source")
                database.unregister("source")
                answer = database.execute(encodable(query))
                names = [str(column[0]) for column in answer.description or ()]
                if as_json:
                    _write_json(answer, names)
                else:
                    _write_text(answer, names)
        except duckdb.Error as error:
            raise click.ClickException(" ".join(str(error).split())) from None
    for note in report.take_notes():
        complain(note)
    if report.skipped is not None:
        complain(report.skipped)
    if report.failed:
        raise click.exceptions.Exit(1)


def _write_json(answer: Any, names: Sequence[str]) -> None:
    import json

    first = True
    for rows in _rows(answer):
        text = []
        for row in rows:
            fields = dict(zip(names, map(_plain, row), strict=True))
            text.append(("[\n  " if first else ",\n  ") + json.dumps(fields, default=str))
            first = False
        write_chunk("".join(text).encode())
    write_chunk(b"[]\n" if first else b"\n]\n")


def _rows(answer: Any) -> Iterator[list[tuple[Any, ...]]]:
    """The rows, some at a time; by Arrow, as DuckDB's own way needs `pytz` for moments."""
    for batch in answer.fetch_record_batch(MEASURED_ROWS):
        columns = [column.to_pylist() for column in batch.columns]
        yield list(zip(*columns, strict=True))


def _plain(value: Any) -> Any:
    """What JSON can tell of a value: it has no NaN, and moments are texts."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "to_integral_value"):  # a decimal, as sums of integers are
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _write_text(answer: Any, names: Sequence[str]) -> None:
    widest = MAX_CELL_COLUMNS if stdout_terminal().width is not None else None
    widths: list[int] = []
    head = [_cell(name, widest) for name in names]
    for rows in _rows(answer):
        cells = [[_cell(_plain(value), widest) for value in row] for row in rows]
        if not widths:
            cells.insert(0, head)
            widths = [min(max(map(len, column)), MAX_CELL_COLUMNS) for column in zip(*cells)]  # noqa: B905 - rows of a table
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in cells)
        write_chunk("".join(lines).encode("utf-8", "replace"))
    if not widths and head:
        write_chunk(("  ".join(head) + "\n").encode())


def _cell(value: Any, widest: int | None) -> str:
    from inspect_trace._core import terminal_safe

    if value is None:
        return "-"
    text = terminal_safe(str(value))
    if widest is not None and len(text) > widest:
        return text[: widest - 1] + "…"
    return text
