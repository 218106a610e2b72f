"""Reading from Python: typed records, streaming, the anomalies of a log."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inspect_trace

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def plain(message: str, **fields: Any) -> dict[str, Any]:
    head = {"timestamp": "2026-01-01T00:00:00+00:00", "level": "INFO", "message": message}
    return head | fields


def action(event: str, trace_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-01-01T00:00:10+00:00",
        "level": "TRACE",
        "message": f"Model: generate ({event})",
        "action": "Model",
        "detail": "generate",
        "event": event,
        "trace_id": trace_id,
    } | fields


def test_records_are_typed(tmp_path: Path) -> None:
    """A record has its fields as attributes, extras by key, and None for what it lacks."""
    enter = action("enter", "a", start_time=1.5, sample_id=[1, {"x": None}], parent_id="p")
    (record,) = inspect_trace.scan(write(tmp_path / "t.log", [enter]))
    assert record.timestamp == enter["timestamp"]
    assert (record.action, record.detail, record.event) == ("Model", "generate", "enter")
    assert (record.trace_id, record.parent_id, record.start_time) == ("a", "p", 1.5)
    assert record.duration is None
    assert record.line is None
    assert record["sample_id"] == [1, {"x": None}]
    assert "task" not in record
    assert record.get("task", "none") == "none"
    assert record.to_dict() == enter
    with pytest.raises(KeyError):
        record["task"]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(extras=st.dictionaries(st.text(min_size=1), JSON_VALUES, max_size=4), message=st.text())
def test_to_dict_is_what_json_loads_gives(
    tmp_path_factory: pytest.TempPathFactory, extras: dict[str, Any], message: str
) -> None:
    """Every field survives, lone surrogates, huge numbers and nesting included."""
    record = extras | plain(message)
    path = write(tmp_path_factory.mktemp("scan") / "t.log", [record])
    (read,) = inspect_trace.scan(path)
    assert read.to_dict() == record
    assert read.message == message


def test_scan_streams(tmp_path: Path) -> None:
    """The first record is there before the rest has been read, and the rest follows in order."""
    path = write(tmp_path / "t.log", [plain(str(number)) for number in range(10_000)])
    records = inspect_trace.scan(path)
    assert next(records).message == "0"
    assert [record.message for record in records] == [str(n) for n in range(1, 10_000)]
    assert records.skipped is None


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    """A compressed log is read whatever its name says, and so is a plain one."""
    line = json.dumps(plain("hello")).encode() + b"\n"
    (tmp_path / "a.log").write_bytes(gzip.compress(line))
    (tmp_path / "b.log.gz").write_bytes(line)
    for name in ("a.log", "b.log.gz"):
        assert [record.message for record in inspect_trace.scan(tmp_path / name)] == ["hello"]


def test_filter_ignores_case(tmp_path: Path) -> None:
    """The filter is a substring of the message, upper and lower case being equal."""
    path = write(tmp_path / "t.log", [plain("GENERATE É"), plain("other")])
    assert [r.message for r in inspect_trace.scan(path, filter="rate é")] == ["GENERATE É"]


def test_skipped_lines_are_told(tmp_path: Path) -> None:
    """What is no record is counted, with the place of the first one."""
    path = tmp_path / "t.log"
    path.write_bytes(json.dumps(plain("a")).encode() + b'\nnot json\n[1]\n{"timesta')
    records = inspect_trace.scan(path)
    assert [record.message for record in records] == ["a"]
    assert records.skipped is not None
    assert "\n" not in records.skipped
    assert "line 2" in records.skipped


def test_anomalies_by_outcome(tmp_path: Path) -> None:
    """Actions are told apart by how they ended; those without an end run or were interrupted."""
    log = [
        action("enter", "open", start_time=100.0),
        action("enter", "cancelled", start_time=101.0, sample_id="s-1"),
        action("enter", "failed", start_time=102.0),
        action("enter", "late", start_time=103.0),
        action("enter", "fine", start_time=104.0),
        action("cancel", "cancelled", duration=1.0, sample_id="s-1"),
        action("error", "failed", duration=2.0, error="boom", error_type="ValueError"),
        action("timeout", "late", duration=3.0),
        action("exit", "fine", duration=4.0),
    ]
    found = inspect_trace.anomalies(write(tmp_path / "open.jsonl", log), as_of=200.0)
    assert [(a.trace_id, a.duration) for a in found.running] == [("open", 100.0)]
    assert found.alive is None
    assert found.interrupted == []
    (cancelled,) = found.cancelled
    assert (cancelled.start_time, cancelled.duration, cancelled.sample_id) == (101.0, 1.0, "s-1")
    (failed,) = found.errors
    assert (failed.error, failed.error_type, failed.event) == ("boom", "ValueError", "error")
    assert [a.trace_id for a in found.timeouts] == ["late"]


def test_actions_of_a_finished_process_are_interrupted(tmp_path: Path) -> None:
    """In a log whose process has ended nothing runs; durations end with its last record."""
    log = [
        action("enter", "open", start_time=1767225600.0),  # 2026-01-01T00:00:00Z
        plain("last", timestamp="2026-01-01T00:00:07.500000+00:00"),
    ]
    path = tmp_path / "trace-1.log.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in log).encode()))
    found = inspect_trace.anomalies(path)
    assert found.running == []
    (cut,) = found.interrupted
    assert cut.interrupted
    assert cut.duration == pytest.approx(7.5)
    assert found.alive is False
    assert found.ended_at == pytest.approx(1767225607.5)


def test_reading_releases_the_interpreter(tmp_path: Path) -> None:
    """While a log is read other Python threads run."""
    path = write(tmp_path / "t.log", [plain("x" * 500) for _ in range(40_000)])
    ticks = 0
    stop = threading.Event()
    started = threading.Event()

    def tick() -> None:
        nonlocal ticks
        started.set()
        while not stop.is_set():
            ticks += 1
            time.sleep(0)  # lets go of the interpreter, as nothing else makes it do here

    interval_s = sys.getswitchinterval()
    thread = threading.Thread(target=tick)
    try:
        # Nobody is made to hand the interpreter over: the thread runs only where it is released.
        sys.setswitchinterval(1000)
        thread.start()
        started.wait()
        before = ticks
        inspect_trace.anomalies(path)
        during = ticks - before
    finally:
        sys.setswitchinterval(interval_s)
        stop.set()
        thread.join()
    assert during > 0


def test_a_missing_log_is_one_clear_line(tmp_path: Path) -> None:
    """What cannot be opened is said in one line that names it."""
    with pytest.raises(FileNotFoundError) as caught:
        inspect_trace.scan(tmp_path / "missing.log")
    assert "missing.log" in str(caught.value.strerror)
