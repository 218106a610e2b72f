"""Generated logs, well-formed and odd, through the reference's code and ours.

The odd ones are those which the reference reads (what it fails on as a whole has no answer to
compare with; the core's own tests deal with it).
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from inspect_trace import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUCKETS = ["running", "cancelled", "errors", "timeouts"]
ODD_LINES = [
    "",
    "   ",
    "garbage",
    "[]",
    "17",
    "null",
    '"text"',
    "{}",
    '{"a": 1}',
    '{"timestamp": "t", "level": "TRACE", "message": 5}',
    '{"timestamp": "t", "level": null, "message": "m"}',
    '{"timestamp": "t", "level": "TRACE", "message": "cut',
    '{"timestamp": "t", "level": "TRACE", "message": "m"} trailing',
    '{"timestamp": "t", "level": "TRACE", "message": "raw\tcontrol"}',
    '{"timestamp": "t", "level": "TRACE", "message": "m", "x": 01}',
    '{"timestamp": "t", "level": "TRACE", "message": "m", "x": .5}',
    "{'timestamp': 't', 'level': 'TRACE', 'message': 'm'}",
    '{"timestamp": "t", "level": "TRACE", "message": "twice", "message": "last"}',
    '{"timestamp": "t", "level": "TRACE", "message": "\\ud800 \\udfff \\ud83e\\uddf5"}',
    '{"timestamp": "t", "level": "HTTP", "message": "m", "x": [NaN, -Infinity, {"y": 1e999}]}',
    ' \t{"timestamp" : "t" ,"level":"TRACE","message":"spaced" } \t',
]
NAMES = st.sampled_from(["Model", "Tool Call", "", "Ünïcode 漢字 🧵", "[red]x[/red]", "\x1b[31m"])
TEXTS = NAMES | st.text(max_size=12)
FLOATS = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(min_value=0, max_value=2e9)
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.booleans()
    | st.none()
    | st.sampled_from(["1.5", "17", " 3 ", "1e3", "-0", "+2", "1_000", ".5", "5."])
)
NO_FLOATS = st.sampled_from(["x", "", "0x10", [], {}, [1.0], "1,5", "--1"])


@st.composite
def action_lines(draw: st.DrawFn) -> str:
    """One line of an action, now and then one which is not a valid one."""
    record: dict[str, Any] = {
        "timestamp": draw(TEXTS),
        "level": draw(st.sampled_from(["TRACE", "HTTP", "INFO"])),
        "message": draw(TEXTS),
        "action": draw(NAMES),
        "event": draw(st.sampled_from(["enter", "enter", "exit", "cancel", "error", "timeout"])),
        "trace_id": draw(st.sampled_from(["a", "b", "c", "d"])),
    }
    for name, values in {
        "detail": TEXTS,
        "start_time": FLOATS,
        "duration": FLOATS,
        "error": TEXTS | st.none(),
        "error_type": TEXTS | st.none(),
        "stacktrace": TEXTS | st.none(),
        "sample_id": TEXTS | st.integers(),
        "extra": st.recursive(st.none() | TEXTS | st.integers(), st.lists, max_leaves=4),
    }.items():
        if draw(st.booleans()):
            record[name] = draw(values)
    if draw(st.integers(0, 9)) == 0:
        name, value = draw(
            st.sampled_from(
                [
                    ("action", None),
                    ("action", 5),
                    ("event", "newer"),
                    ("event", None),
                    ("trace_id", 17),
                    ("trace_id", None),
                    ("detail", None),
                    ("detail", 3),
                    ("error", 5),
                    ("error_type", []),
                    ("stacktrace", False),
                    ("message", None),
                    ("timestamp", 1.5),
                ]
            )
            | st.tuples(st.sampled_from(["start_time", "duration"]), NO_FLOATS)
        )
        record[name] = value
    return json.dumps(record, ensure_ascii=draw(st.booleans()))


def stall_fields(trace_id: str) -> dict[str, Any]:
    """What a record has that tells where an open action waits."""
    stack = [{"file": "a.py", "line": 1, "function": "f", "awaits": "task 't'"}]
    return {"event": "stall", "trace_id": trace_id, "duration": 60.5, "stack": stack}


STALLS = st.just(dict[str, Any]()) | st.builds(stall_fields, st.sampled_from(["a", "b", "c", "d"]))


@st.composite
def plain_lines(draw: st.DrawFn) -> str:
    """One line without an action."""
    record = {
        "timestamp": draw(TEXTS),
        "level": draw(st.sampled_from(["TRACE", "HTTP", "INFO", "ERROR"])),
        "message": draw(TEXTS),
        **draw(st.dictionaries(st.sampled_from(["task", "epoch", "x"]), st.none() | TEXTS)),
        **draw(STALLS),
    }
    return json.dumps(record, ensure_ascii=draw(st.booleans()))


@st.composite
def logs(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file name and its content."""
    lines = draw(st.lists(action_lines() | plain_lines() | st.sampled_from(ODD_LINES), max_size=25))
    content = "".join(line + draw(st.sampled_from(["\n", "\n", "\n", "\r\n"])) for line in lines)
    data = content.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        data = b"\xef\xbb\xbf" + data
    if draw(st.integers(0, 3)) == 0 and data.isascii():
        data = data[: draw(st.integers(0, len(data)))]
    if draw(st.integers(0, 5)) == 0:
        data += bytes(draw(st.integers(1, 5000)))
    if draw(st.booleans()):
        return "trace-1.log", data
    cut = draw(st.integers(0, len(data)))
    return "trace-1.log.gz", gzip.compress(data[:cut]) + gzip.compress(data[cut:])


def ordinary_lines(number_of_lines: int, first: int) -> bytes:
    """Lines as programs write them: actions that begin and end, and requests."""
    lines = []
    for number in range(first, first + number_of_lines):
        event = ["enter", "exit"][number % 2]
        record: dict[str, Any] = {
            "timestamp": "2026-11-23T10:22:25.5+00:00",
            "level": "TRACE",
            "message": f"Model: d ({event}) {'x' * (number % 800)}",
            "action": "Model",
            "detail": "d",
            "event": event,
            # Some of them are never closed, and some are closed much later.
            "trace_id": f"{number // 2 if number % 50 else number}",
            "start_time": 1.8e9 + number,
        }
        if number % 10 == 0:
            record = {**dict.fromkeys(["timestamp", "level", "message"]), "level": "HTTP"}
            record.update(timestamp="2026-11-23T10:22:26+00:00", message=f"GET /{number} 200 OK")
        lines.append(json.dumps(record))
    return "\n".join(lines).encode() + b"\n"


PADDING = [ordinary_lines(2000, first) for first in range(0, 12_000, 2000)]


ODD_PARTS = st.lists(
    st.lists(action_lines() | plain_lines() | st.sampled_from(ODD_LINES), max_size=8),
    min_size=len(PADDING),
    max_size=len(PADDING),
)


def large_log(odd_parts: list[list[str]], shift: int, cut: int, compressed: bool) -> bytes:
    """A log that several threads read in several parts: odd lines among megabytes of others.

    They are moved by `shift` bytes, so that the borders of parts lie anywhere; `cut` are missing at
    the end.
    """
    data = b" " * shift + b"\n"
    for odd, padding in zip(odd_parts, PADDING, strict=True):
        data += "\n".join([*odd, ""]).encode("utf-8", "surrogatepass") + padding
    data = data[: len(data) - cut]
    if not compressed:
        return data
    middle = len(data) // 2
    return gzip.compress(data[:middle], 1) + gzip.compress(data[middle:], 1)


@pytest.fixture(scope="module")
def reference() -> Iterator[Any]:
    """The reference's own module behind its commands, parsing as when it is installed alone."""
    import warnings

    import jsonlines

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from inspect_ai._cli import trace

    with pytest.MonkeyPatch.context() as patch:
        # Beside orjson (the benches have it) it takes strict JSON only: no NaN, no lone surrogates.
        reader = functools.partial(jsonlines.Reader, loads=json.loads)
        patch.setattr(jsonlines, "Reader", reader)
        yield trace


def printed(call: Callable[..., None], *arguments: Any, **options: Any) -> str:
    """What the reference prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        call(*arguments, **options)
    return output.getvalue()


def parse(text: str) -> Any:
    """JSON with what strict JSON has no word for as None, and no lone surrogates."""
    repaired = "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)
    return json.loads(
        json.dumps(json.loads(repaired, parse_constant=lambda _: None), ensure_ascii=False)
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace"),
        parse_float=lambda number: None if math.isinf(float(number)) else float(number),
    )


def written(path: Path, log: tuple[str, bytes]) -> Path:
    """The log as a file."""
    name, data = log
    file = path / name
    file.write_bytes(data)
    return file


FILTERS = st.none() | st.sampled_from(["", "MODEL", "ü", "ẞ", "İ", "Σ", "x", "\x1b", "漢"])

relaxed = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@relaxed
@given(logs(), FILTERS)
@example(("trace-1.log", "\n".join(ODD_LINES).encode()), None)
def test_anomalies(
    reference: Any, tmp_path: Path, log: tuple[str, bytes], text: str | None
) -> None:
    """Every bucket of `anomalies --json` has the reference's rows in the reference's order."""
    compare_anomalies(reference, written(tmp_path, log), text)


def compare_anomalies(reference: Any, path: Path, text: str | None) -> None:
    """Every bucket has the reference's rows in the reference's order."""
    as_of = 1.9e9
    with contextlib.redirect_stderr(io.StringIO()):
        _, traces = reference._read_traces(str(path), None, text)
    found = reference.trace_anomalies(traces)
    theirs = parse(json.dumps(reference.anomaly_buckets_json(found, as_of)))
    report = b"".join(
        _core.anomalies_report([str(path)], filter=_core.Filter(text), json=True, as_of=as_of)
    )
    ours = json.loads(report, parse_constant=pytest.fail)
    for bucket in BUCKETS:
        assert len(ours[bucket]) == len(theirs[bucket])
        for our_row, their_row in zip(ours[bucket], theirs[bucket], strict=True):
            if bucket == "running":
                their_row["duration"] = our_row["duration"]  # ours is dated by the log's end
            assert {name: our_row.get(name) for name in their_row} == their_row


@relaxed
@given(logs(), FILTERS)
@example(("trace-1.log", "\n".join(ODD_LINES[:-4]).encode()), None)
def test_dump(reference: Any, tmp_path: Path, log: tuple[str, bytes], text: str | None) -> None:
    """`dump` has the reference's records with its fields, and beside them only what it skips."""
    compare_dump(reference, written(tmp_path, log), log, text)


def compare_dump(reference: Any, path: Path, log: tuple[str, bytes], text: str | None) -> None:
    """Ours has the reference's records with its fields, and beside them only what it skips."""
    try:
        theirs = parse(printed(reference.dump_command_impl, str(path), text))
    except ValueError:  # a lone surrogate: it has no answer
        theirs = None
    dumped = b"".join(_core.dump_report([str(path)], filter=_core.Filter(text)))
    ours = json.loads(dumped, parse_constant=pytest.fail)
    lines = b"".join(
        _core.dump_report([str(path)], filter=_core.Filter(text), jsonl=True)
    ).splitlines()
    assert [json.loads(line, parse_constant=pytest.fail) for line in lines] == ours
    assert dumped.decode() == json.dumps(ours, indent=2, ensure_ascii=True) + "\n" or (
        not dumped.isascii()
    )
    if theirs is None:
        return
    remaining = iter(ours)
    for their_record in theirs:
        # What stands before it in ours is a record whose action does not fit the reference's idea.
        for our_record in remaining:
            if agrees(our_record, their_record):
                break
            assert "action" in our_record or '"action": null' in data_of(log)
        else:
            pytest.fail(f"not in ours: {their_record}")
    for our_record in remaining:
        assert "action" in our_record or '"action": null' in data_of(log)


def agrees(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether our record has all that theirs has.

    Theirs has a default for the detail, and rounds times that are integers beyond all clocks.
    """

    def same(name: str, value: Any) -> bool:
        if name == "detail" and name not in ours:
            return bool(value == "")
        if name in ("start_time", "duration") and isinstance(ours.get(name), int):
            return bool(float(ours[name]) == value)
        return bool(ours.get(name) == value)

    return ("action" in ours) == ("action" in theirs) and all(map(same, theirs, theirs.values()))


def data_of(log: tuple[str, bytes]) -> str:
    """The text of a log."""
    name, data = log
    unpacked = gzip.decompress(data) if name.endswith(".gz") else data
    return unpacked.decode("utf-8", "replace")


@relaxed
@given(logs(), FILTERS)
def test_http(reference: Any, tmp_path: Path, log: tuple[str, bytes], text: str | None) -> None:
    """`http --json` has the reference's requests, and beside them only what it skips."""
    compare_http(reference, written(tmp_path, log), log, text)


def compare_http(reference: Any, path: Path, log: tuple[str, bytes], text: str | None) -> None:
    """Ours has the reference's requests, and beside them only what it skips."""
    theirs = parse(printed(reference.http_command_impl, str(path), text, failed=False, json=True))
    report = b"".join(
        _core.http_report([str(path)], filter=_core.Filter(text), json=True, as_of=time.time())
    )
    ours = json.loads(report, parse_constant=pytest.fail)
    remaining = iter(ours["requests"])
    for their_row in theirs["requests"]:
        assert any(
            {name: our_row[name] for name in their_row} == their_row for our_row in remaining
        )
    if '"action"' not in data_of(log):
        assert len(ours["requests"]) == len(theirs["requests"])


@settings(relaxed, max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(ODD_PARTS, st.integers(0, 2000), st.integers(0, 500), st.booleans(), FILTERS)
def test_large_logs(
    reference: Any,
    tmp_path: Path,
    odd_parts: list[list[str]],
    shift: int,
    cut: int,
    compressed: bool,
    text: str | None,
) -> None:
    """Logs that are read in parts, on several threads, give what the reference gives."""
    name = "trace-1.log.gz" if compressed else "trace-1.log"
    log = (name, large_log(odd_parts, shift, cut, compressed))
    path = written(tmp_path, log)
    compare_anomalies(reference, path, text)
    compare_dump(reference, path, log, text)
    compare_http(reference, path, log, text)
