"""The conditions of `scan` and `anomalies`, against their definition in plain Python."""

from __future__ import annotations

import json
import os
import time
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus
import inspect_trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE_BYTES = 500_000
LEVELS = {
    "NOTSET": 0,
    "DEBUG": 10,
    "TRACE": 13,
    "HTTP": 15,
    "INFO": 20,
    "WARN": 30,
    "WARNING": 30,
    "ERROR": 40,
    "FATAL": 50,
    "CRITICAL": 50,
}
ODD: list[dict[str, Any]] = [
    {"level": "WARNING", "message": "İstanbul, 273 \u212a", "sample_id": True, "task": "é/\n"},
    {"level": "warning", "message": "\ud800 half", "sample_id": 1.5, "task": None},
    {"level": "Level 25", "message": "plain", "sample_id": "true", "task": ["é/\n"]},
    {"level": "Success", "message": "Größe \u001b[1m", "sample_id": "1.5", "action": "Été"},
    {"level": "NOTSET", "message": "", "timestamp": "at no time", "duration": 1e9},
    {"level": "ERROR", "message": "sample=s-1", "timestamp": "2026-03-02T07:30:00.5Z"},
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A generated log with odd records in it, and these records by the standard library.

    Some are written as Python writes them, others with as few escapes as can be.
    """
    path = tmp_path_factory.mktemp("filters") / "evaluation.jsonl"
    corpus.make_corpus(path, SIZE_BYTES, seed=3)
    lines = path.read_text().splitlines()
    for index, odd in enumerate(ODD):
        record = {"timestamp": "2026-03-02T08:30:00.25+01:00", **odd}
        bare = json.dumps(record, ensure_ascii="\ud800" in odd["message"])
        lines[100 * index : 100 * index] = [json.dumps(record), bare]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path, [json.loads(line) for line in lines]


def number_of(level: str) -> int | None:
    """The number of a level that is known by name or by Python's way to name it."""
    name = level.upper().removeprefix("LEVEL ")
    return int(name) if name.isdecimal() else LEVELS.get(name)


def has_level(wanted: str, level: str) -> bool:
    """Whether a level is the wanted one or, without a `=`, above it."""
    name = wanted.removeprefix("=")
    least, number = number_of(name), number_of(level)
    if least is None:
        return name.lower() == level.lower()
    return number is not None and (number == least if name != wanted else number >= least)


def seconds_of(record: dict[str, Any]) -> float | None:
    """When a record was made."""
    try:
        return datetime.fromisoformat(
            record["timestamp"].replace(".5Z", ".500000+00:00")
        ).timestamp()
    except ValueError:
        return None


def is_value(value: Any, wanted: list[Any]) -> bool:
    """Whether a field is one of the wanted values, whether they are text or numbers."""
    if value is None or isinstance(value, (list, dict)):
        return False
    text = value if isinstance(value, str) else json.dumps(value)
    return text in [w if isinstance(w, str) else json.dumps(w) for w in wanted]


def holds(record: dict[str, Any], name: str, wanted: Any) -> bool:
    """Whether one condition holds for a record: the definition."""
    if name == "filter":
        return bool(wanted.lower() in record["message"].lower())
    if name == "level":
        return has_level(wanted, record["level"])
    if name == "action":
        return record.get("action", "").lower() in [action.lower() for action in wanted]
    if name == "event":
        return record.get("event") in wanted
    if name == "min_duration":
        return "event" in record and record.get("duration", -1) >= wanted
    if name in ("sample", "task"):
        return is_value(record.get("sample_id" if name == "sample" else name), wanted)
    made_s = seconds_of(record)
    return made_s is not None and (made_s >= wanted if name == "since" else made_s < wanted)


def some(*values: Any) -> st.SearchStrategy[Any]:
    """One to three of the values."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=3)


START_S = datetime(2026, 3, 2, 7, 30, tzinfo=timezone.utc).timestamp()
MOMENTS = st.integers(0, 900_000).map(lambda microseconds: START_S + microseconds / 1e6)
OF_RECORDS: dict[str, st.SearchStrategy[Any]] = {
    "filter": st.sampled_from(
        [
            "sample=s-1",
            "MODEL: ",
            "\nModel",
            "nModel",
            '"http/1.1',
            "k",
            "i",
            "审",
            "ß",
            "\x1b[1M",
            "//",
        ]
    ),
    "level": st.sampled_from(
        ["trace", "HTTP", "=HTTP", "info", "Level 21", "25", "WARN", "=warning", "success", "none"]
    ),
    "action": some("model", "SUBPROCESS", "Tool Call", "été", "Tool"),
    "sample": some("s-1", "s-2", 3, "6", 9, True, "1.5", 1.5, "S-1"),
    "task": some("swe_bench_like", "é/\n", "null"),
}
OF_ACTIONS: dict[str, st.SearchStrategy[Any]] = {
    "event": some("enter", "exit", "cancel", "error", "timeout"),
    "min_duration": st.floats(0, 0.2),
    "since": MOMENTS | st.just(START_S + 0.25),
    "until": MOMENTS | st.just(START_S + 0.25),
}


@settings(deadline=None, max_examples=200)
@given(conditions=st.fixed_dictionaries({}, optional=OF_RECORDS | OF_ACTIONS))
def test_scan(log: tuple[Path, list[dict[str, Any]]], conditions: dict[str, Any]) -> None:
    """`scan` gives the records that all conditions hold for, in their order."""
    path, records = log
    expected = [r for r in records if all(holds(r, *c) for c in conditions.items())]
    assert [r.to_dict() for r in inspect_trace.scan(path, **conditions)] == expected


def all_of(found: inspect_trace.Anomalies) -> Iterator[inspect_trace.Action]:
    """The actions of all lists."""
    for actions in (found.running, found.interrupted, found.cancelled, found.errors):
        yield from actions
    yield from found.timeouts


def is_selected(
    action: inspect_trace.Action, end_s: float, conditions: dict[str, Any], as_of: float
) -> bool:
    """Whether an action is wanted, by what is known of it at last."""
    start_s = end_s if action.start_time is None else action.start_time
    return (
        action.event in conditions.get("event", [action.event])
        and action.duration >= conditions.get("min_duration", 0)
        and end_s >= conditions.get("since", 0)
        and start_s < conditions.get("until", as_of + 1)
    )


@settings(deadline=None, max_examples=100)
@given(
    conditions=st.fixed_dictionaries({}, optional=OF_ACTIONS),
    of_records=st.fixed_dictionaries(
        {}, optional={name: OF_RECORDS[name] for name in ("action", "sample", "task")}
    ),
)
def test_anomalies(
    log: tuple[Path, list[dict[str, Any]]], conditions: dict[str, Any], of_records: dict[str, Any]
) -> None:
    """`anomalies` gives the actions that all conditions hold for, of those without conditions."""
    path, records = log
    as_of = START_S + 10
    last_record = {r["trace_id"]: r for r in records if "trace_id" in r}
    expected = []
    for action in all_of(inspect_trace.anomalies(path, as_of=as_of)):
        record = last_record[action.trace_id]
        end_s = as_of if action.event == "enter" else seconds_of(record)
        assert end_s is not None
        if is_selected(action, end_s, conditions, as_of) and all(
            holds(record, *condition) for condition in of_records.items()
        ):
            expected.append((action.trace_id, action.duration))
    found = inspect_trace.anomalies(path, as_of=as_of, **conditions, **of_records)
    assert [(action.trace_id, action.duration) for action in all_of(found)] == expected


def write(path: Path, *moments: datetime) -> Path:
    """A log with a record made at each moment, named by its number."""
    records = [
        {"timestamp": moment.isoformat(), "level": "INFO", "message": str(index)}
        for index, moment in enumerate(moments)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment is a number, a text, a date or a datetime, which is local without a zone."""
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    try:
        moment = datetime(2026, 7, 2, 14, 30, 0, 250_000, timezone(timedelta(hours=-2.5)))
        midnight = moment.replace(hour=0, minute=0, microsecond=0)
        path = write(tmp_path / "t.log", midnight, moment)
        for same in (
            moment,
            moment.replace(tzinfo=None),
            moment.astimezone(timezone.utc),
            moment.timestamp(),
            moment.isoformat(),
            "2026-07-02T14:30:00.25",
            "2026-07-02 17:00:00.25Z",
            f"@{moment.timestamp()}",
        ):
            assert [r.message for r in inspect_trace.scan(path, since=same)] == ["1"], same
            assert [r.message for r in inspect_trace.scan(path, until=same)] == ["0"], same
        for same_day in (date(2026, 7, 2), "2026-07-02"):
            assert len(list(inspect_trace.scan(path, since=same_day))) == 2
            assert len(list(inspect_trace.scan(path, until=same_day))) == 0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_single_values(log: tuple[Path, list[dict[str, Any]]]) -> None:
    """One value may stand for a list of one, and an empty list for no condition."""
    path, records = log
    for name, value in (("action", "model"), ("event", "exit"), ("sample", 3), ("task", "é/\n")):
        one = [r.to_dict() for r in inspect_trace.scan(path, **{name: value})]  # type: ignore[arg-type]
        assert one == [r for r in records if holds(r, name, [value])] != []
        everything = inspect_trace.scan(path, **{name: ()})  # type: ignore[arg-type]
        assert len(list(everything)) == len(records)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({"since": "soon"}, "-3h"),
        ({"until": float("nan")}, "-3h"),
        ({"min_duration": -1.0}, "1h30m"),
        ({"min_duration": "a\nb"}, "1h30m"),
        ({"event": "begin"}, "enter"),
        ({"level": "="}, "WARNING"),
    ],
)
def test_wrong_values(
    log: tuple[Path, list[dict[str, Any]]], condition: dict[str, Any], says: str
) -> None:
    """What is no value of its kind raises `ValueError`, with one line that says what is."""
    for read in (inspect_trace.scan, inspect_trace.anomalies):
        with pytest.raises(ValueError, match=says) as caught:
            read(log[0], **condition)
        assert os.linesep not in str(caught.value)
