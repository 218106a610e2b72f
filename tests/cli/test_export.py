"""`inspect-trace export`: what comes out, read by those it is for."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import corpus
import inspect_trace as package
from cli.logs import MIXED, STARTED, action, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

HOSTILE = record(
    'a "quoted"\nline, \x1b[31m', level="INFO", second=8, other={"n": [1, None]}, error=""
)
LINES = (
    *MIXED,
    action("Model", "generate (google/gemini-2.5-pro)", "enter", "outer", sample_id=7, epoch=1),
    action("Tool", "bash", "enter", "inner", parent_id="outer", sample_id=7, epoch=1),
    action("Tool", "bash", "exit", "inner", second=1, parent_id="outer", sample_id=7, epoch=1),
    HOSTILE,
    "no record",
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with some of everything, damage included."""
    return write_log(tmp_path / "app.log", *LINES)


@pytest.fixture(scope="module")
def corpus_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of a busy evaluation."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.log"
    corpus.make_corpus(path, 2_000_000, 3)
    return path


def export(inspect_trace: Run, to: str, log: Path, *more: str) -> Path:
    """The file that the log is exported to."""
    out = log.parent / f"out.{to}"
    result = inspect_trace("export", "--to", to, "-o", str(out), *more, str(log))
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    return out


def slices(out: Path) -> list[dict[str, Any]]:
    """The actions in a trace, after a check of all events against the Trace Event Format."""
    events = json.loads(out.read_text())["traceEvents"]
    tracks = set()
    for event in events:
        assert event["ph"] in ("X", "M")
        assert isinstance(event["pid"], int)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            assert isinstance(event["args"]["name"], str)
            tracks.add((event["pid"], event.get("tid")))
        else:
            assert isinstance(event["name"], str)
            assert isinstance(event["ts"], int)
            assert event["dur"] >= 0
    drawn = [event for event in events if event["ph"] == "X"]
    assert {(event["pid"], event["tid"]) for event in drawn} <= tracks
    return drawn


def test_perfetto(inspect_trace: Run, log: Path) -> None:
    """Each action is a slice with its times; inner ones lie in outer ones; open ones say so."""
    drawn = {
        event["args"]["trace_id"]: event for event in slices(export(inspect_trace, "perfetto", log))
    }
    assert drawn.keys() == {"ok", "open", "cancelled", "failed", "late", "outer", "inner"}
    # A viewer takes the one that begins first for the outer: it has to be that, by a microsecond.
    assert drawn["outer"]["ts"] == round(STARTED * 1e6)
    assert drawn["inner"]["ts"] == drawn["outer"]["ts"] + 1
    assert drawn["inner"]["dur"] == 999_999
    assert drawn["inner"]["args"]["duration_s"] == 1
    assert drawn["inner"]["tid"] == drawn["outer"]["tid"]
    assert drawn["failed"]["args"]["error"] == "no such thing"
    unfinished = {key for key, event in drawn.items() if event["args"]["unfinished"]}
    assert unfinished == {"open", "outer"}


def test_perfetto_slices_do_not_cross(inspect_trace: Run, corpus_log: Path) -> None:
    """On each track of a busy evaluation, slices are in each other or apart."""
    by_track: dict[int, list[tuple[int, int]]] = {}
    for event in slices(export(inspect_trace, "perfetto", corpus_log, "--force")):
        by_track.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
    for drawn in by_track.values():
        around: list[int] = []
        for start, end in sorted(drawn, key=lambda slice_: (slice_[0], -slice_[1])):
            while around and around[-1] <= start:
                around.pop()
            assert not around or end <= around[-1]
            around.append(end)


def test_otlp(inspect_trace: Run, log: Path) -> None:
    """Every line is a request by the schema of OTLP, with status, exception and parents."""
    lines = export(inspect_trace, "otlp", log).read_text().splitlines()
    spans = {}
    for line in lines:
        request = json_format.Parse(line, ExportTraceServiceRequest())
        assert request.resource_spans[0].resource.attributes
        for span in request.resource_spans[0].scope_spans[0].spans:
            attributes = {item.key: item.value for item in span.attributes}
            spans[attributes["inspect_trace.trace_id"].string_value] = (span, attributes)
    for raw in json.loads(lines[0])["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        assert len(bytes.fromhex(raw["traceId"])) == 16
        assert len(bytes.fromhex(raw["spanId"])) == 8
    outer, model = spans["outer"]
    assert outer.name == "chat gemini-2.5-pro"
    assert model["gen_ai.provider.name"].string_value == "gcp.gemini"
    assert model["gen_ai.request.model"].string_value == "gemini-2.5-pro"
    assert model["inspect_trace.unfinished"].bool_value
    inner, tool = spans["inner"]
    assert inner.parent_span_id == outer.span_id
    assert inner.trace_id == outer.trace_id
    assert inner.end_time_unix_nano - inner.start_time_unix_nano == 1_000_000_000
    assert tool["gen_ai.tool.name"].string_value == "bash"
    failed, attributes = spans["failed"]
    assert (failed.status.code, failed.status.message) == (2, "no such thing")
    assert attributes["error.type"].string_value == "ValueError"
    assert failed.events[0].name == "exception"


def test_csv(inspect_trace: Run, log: Path) -> None:
    """Python's csv reads each record as it is, and no field is lost."""
    out = export(inspect_trace, "csv", log, "--level", "INFO")
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["message"] for row in rows] == ["plain words", 'a "quoted"\nline, \x1b[31m']
    assert rows[0]["line"] == "3"
    assert rows[0]["task"] == "t"
    assert json.loads(rows[1]["extra"]) == {"other": {"n": [1, None]}}
    assert ',"",' in out.read_text().splitlines()[-1], "an empty text is told from none"


@pytest.mark.parametrize("to", ["parquet", "arrow"])
def test_tables(to: str, inspect_trace: Run, corpus_log: Path) -> None:
    """A typed table has every record that our reader gives, with equal values."""
    out = export(inspect_trace, to, corpus_log)
    if to == "parquet":
        table = pyarrow.parquet.read_table(out)
    else:
        table = pa.ipc.open_stream(out.read_bytes()).read_all()
    records = list(package.scan(corpus_log))
    assert table.column("message").to_pylist() == [record.message for record in records]
    assert table.column("duration").to_pylist() == [record.get("duration") for record in records]
    assert table.column("epoch").to_pylist() == [record.get("epoch") for record in records]
    assert table.schema.field("timestamp").type == pa.timestamp("us", "UTC")
    first = table.column("timestamp")[0].as_py()
    assert first.isoformat(timespec="microseconds")[:10] == records[0].timestamp[:10]
    assert table.column("detail").null_count == sum(record.detail is None for record in records)


def test_never_overwrites(inspect_trace: Run, log: Path) -> None:
    """A file that is there stays as it is without --force, and a log even with it."""
    out = export(inspect_trace, "csv", log)
    before = out.read_bytes()
    again = ("export", "--to", "otlp", "-o", str(out), str(log))
    refused = inspect_trace(*again)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "pass --force" in refused.stderr
    assert out.read_bytes() == before
    assert inspect_trace(*again, "--force").returncode == 0
    assert out.read_bytes() != before
    onto_log = inspect_trace("export", "--to", "csv", "--force", "-o", str(log), str(log))
    assert onto_log.returncode == 1
    assert "is one of the logs" in onto_log.stderr
    assert log.read_text() == "".join(f"{line}\n" for line in LINES)
    assert sorted(path.name for path in log.parent.glob("*.tmp")) == []


def test_what_was_skipped_is_told(inspect_trace: Run, log: Path) -> None:
    """To standard output as well, and damage is one line on standard error."""
    result = inspect_trace("export", "--to", "csv", "-o", "-", str(log))
    assert result.returncode == 0
    assert result.stdout.startswith("trace_file,timestamp,level,message,")
    assert "1 line" in result.stderr
    missing = inspect_trace("export", "--to", "csv", "-o", "/nowhere/x.csv", str(log))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    table = inspect_trace("export", "--to", "parquet", "-o", "-", str(log))
    assert table.returncode == 2
