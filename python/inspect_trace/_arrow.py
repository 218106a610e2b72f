"""Records as Arrow tables. Only what needs `pyarrow` imports this module."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from ._core import Report

_BLOCK_BYTES = 48 << 20
"""A row has to fit: that of a line of 16 MiB, whatever has to be escaped in it."""

_NUMBERS = {
    "timestamp": pa.int64(),
    "line": pa.int64(),
    "start_time": pa.float64(),
    "duration": pa.float64(),
    "epoch": pa.int64(),
    "pid": pa.int64(),
}
_COLUMNS = (
    "trace_file",
    *("timestamp", "level", "message", "module", "function", "line", "action", "event", "detail"),
    *("trace_id", "parent_id", "start_time", "duration", "error", "error_type", "stacktrace"),
    *("task", "sample_id", "epoch", "pid", "extra"),
)

SCHEMA = pa.schema(
    [
        (
            name,
            pa.timestamp("us", "UTC") if name == "timestamp" else _NUMBERS.get(name, pa.string()),
        )
        for name in _COLUMNS
    ]
)
"""The columns of a table of records. `extra` is JSON: the fields that have no column."""


class _Chunks(io.RawIOBase):
    """What a report gives, as a file to read from."""

    def __init__(self, report: Report) -> None:
        self._chunks = iter(report)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def record_batches(report: Report) -> Iterator[pa.RecordBatch]:
    """The records of an export to `typed-csv`, a batch at a time."""
    reader = pyarrow.csv.open_csv(
        io.BufferedReader(_Chunks(report), 1 << 20),
        read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=True),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: _NUMBERS.get(name, pa.string()) for name in _COLUMNS},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    for batch in reader:
        columns = [
            column.cast(SCHEMA.field(name).type) if name == "timestamp" else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def write_table(to: str) -> Callable[[Report, BinaryIO], None]:
    """How a report is written as `parquet`, or as an `arrow` stream."""

    def write(report: Report, file: BinaryIO) -> None:
        writer = (
            pyarrow.parquet.ParquetWriter(file, SCHEMA, compression="zstd")
            if to == "parquet"
            else pa.ipc.new_stream(file, SCHEMA)
        )
        with writer:
            for batch in record_batches(report):
                writer.write_batch(batch)

    return write
