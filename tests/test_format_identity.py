"""The lines are those of inspect_ai's own formatter, to the byte, but for what it would lose."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import json
import logging
import math
import os
import pathlib
import sys
import time
import uuid
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inspect_trace._core import format_record
from inspect_trace.levels import HTTP, TRACE, register_levels

if TYPE_CHECKING:
    from collections.abc import Iterator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what inspect_ai's own imports warn of is not ours
    TraceFormatter = pytest.importorskip(
        "inspect_ai._util.trace", reason="the reference needs Python 3.11"
    ).TraceFormatter

HAS_TASK_NAME = sys.version_info >= (3, 12)

register_levels()


def reference_line(record: logging.LogRecord) -> str:
    """What the reference writes, without the `taskName` that it leaks from Python 3.12 on."""
    copy = logging.makeLogRecord(vars(record))
    if HAS_TASK_NAME:
        copy.__dict__.pop("taskName", None)
    return str(TraceFormatter().format(copy))


def record_with(
    level: int = TRACE,
    msg: object = "message",
    args: tuple[Any, ...] = (),
    created: float | None = None,
    extra: dict[str, Any] | None = None,
) -> logging.LogRecord:
    record = logging.LogRecord("name", level, "/a/module.py", 12, msg, args, None, "function")
    if created is not None:
        record.created = created
    record.__dict__.update(extra or {})
    return record


# ---------------------------------------------------------------- what records are made of


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1
    HUGE = 10**40


class Word(str, enum.Enum):
    HELLO = "hello"


class Temperature(float):
    def __repr__(self) -> str:
        return f"{float(self)} degrees"


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not what it holds"


class Pair(NamedTuple):
    left: Any
    right: Any


class Printed:
    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


# With lone surrogates, control characters and everything else that a str can hold.
texts = st.text(st.characters(exclude_categories=()), max_size=30)
integers = st.one_of(st.integers(), st.integers(-(10**400), 10**400))
floats = st.floats() | st.sampled_from(
    [0.0, -0.0, 1e16, 1e15, 123456789012345680.0, 1e-4, 1e-5, 5e-324, 1e22, 1e23, math.nan]
)
objects = st.one_of(
    st.binary(max_size=10),
    st.decimals(),
    st.datetimes(),
    st.uuids(),
    st.builds(pathlib.PurePosixPath, st.just("/a/b")),
    st.sampled_from([Colour.RED, Number.ONE, Number.HUGE, Word.HELLO, object, print, 1j, ...]),
    st.builds(Temperature, st.floats()),
    st.builds(Text, texts),
    st.builds(Printed, texts),
    st.just(frozenset({1})),
    st.just(ValueError("no")),
)
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts, objects)
keys = st.one_of(
    texts, integers, floats, st.booleans(), st.none(), st.sampled_from([Word.HELLO, Number.ONE])
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.builds(Pair, inner, inner),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(texts, inner, max_size=3).map(collections.OrderedDict),
        st.dictionaries(texts, inner, max_size=3).map(
            lambda items: collections.defaultdict(int, items)
        ),
    ),
    max_leaves=12,
)
extra_names = st.one_of(
    texts,
    st.sampled_from(
        [
            *("action", "detail", "event", "trace_id", "start_time", "duration"),
            *("error", "error_type", "stacktrace", "parent_id"),
            *("timestamp", "level", "message", "function", "line", "asctime"),
            *("task", "sample_id", "epoch"),
        ]
    ),
)
levels = st.one_of(
    st.sampled_from([TRACE, HTTP, 10, 20, 30, 40, 50]), st.integers(-5, 70), st.just(10**30)
)
times = st.one_of(
    st.floats(-5e9, 2e10),
    st.integers(-(2**32), 2**34).map(float),  # no microseconds: no fraction on the line
    st.integers(0, 2**32).flatmap(
        lambda s: st.sampled_from([5e-7, 1.5e-6, 4.999995e-1, 0.9999995, 0.9999999]).map(
            lambda fraction: s + fraction
        )
    ),
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[object, tuple[Any, ...]]:
    """A message and the arguments that fit it."""
    if draw(st.booleans()):
        return draw(scalars), ()
    conversions = {
        "%s": scalars,
        "%r": scalars,
        "%a": scalars,
        "%d": st.integers(),
        "%5.2f": st.floats(),
        "%x": st.integers(),
        "%%": None,
    }
    text, args = draw(texts).replace("%", "%%"), []
    for conversion in draw(st.lists(st.sampled_from(sorted(conversions)), max_size=4)):
        text += conversion + draw(texts).replace("%", "%%")
        strategy = conversions[conversion]
        if strategy is not None:
            args.append(draw(strategy))
    return text, tuple(args)


named_messages = st.dictionaries(st.sampled_from("abc"), scalars, min_size=1).map(
    lambda values: (" ".join(f"%({name})s" for name in values), (values,))
)

# ---------------------------------------------------------------- the property


@settings(max_examples=600, deadline=None)
@given(
    message=st.one_of(messages(), named_messages),
    level=levels,
    created=times,
    extra=st.dictionaries(extra_names, values, max_size=6),
)
@example(message=("100%", ()), level=TRACE, created=0.0, extra={})
@example(message=("\ud83d\ude00 \ud800", ()), level=20, created=1.5, extra={"a": {1: 1, "1": 2}})
@example(message=("", ()), level=TRACE, created=1e9, extra={"action": None, "error": 1})
@example(message=("", ()), level=TRACE, created=1e9, extra={"message": "other", "line": 3})
def test_line_equals_the_references(
    message: tuple[object, tuple[Any, ...]], level: int, created: float, extra: dict[str, Any]
) -> None:
    """Any record that the reference can write comes out as the same bytes."""
    record = record_with(level, *message, created, extra)
    assert format_record(record) == reference_line(record)


@settings(max_examples=200, deadline=None)
@given(
    fields=st.fixed_dictionaries(
        {"action": texts, "detail": texts, "event": st.sampled_from(["enter", "exit", "error"])},
        optional={
            "trace_id": texts,
            "start_time": floats,
            "duration": floats,
            "error": texts,
            "error_type": texts,
            "stacktrace": texts,
            "parent_id": texts,
            "task": texts,
        },
    ),
    data=st.data(),
)
def test_action_fields_come_in_the_references_order(
    fields: dict[str, Any], data: st.DataObject
) -> None:
    """However the extra fields of an action are ordered, the line's keys are in fixed order."""
    names = data.draw(st.permutations(list(fields)))
    record = record_with(extra={name: fields[name] for name in names})
    assert format_record(record) == reference_line(record)


@pytest.mark.parametrize("name", ["module", "funcName", "lineno", "name", "thread", "process"])
def test_standard_attributes_with_other_values_are_written_as_the_reference_does(
    name: str,
) -> None:
    """A factory or filter that changes a standard attribute changes both lines in the same way."""
    for level in (TRACE, logging.INFO):
        record = record_with(level, extra={name: {"changed": 1}})
        assert format_record(record) == reference_line(record)


# ---------------------------------------------------------------- time zones

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Asia/Kathmandu",  # +05:45
    "America/St_Johns",  # -03:30, transitions at one minute past midnight
    "Pacific/Apia",  # skipped a whole day
    "Africa/Monrovia",  # -00:44:30 until 1972
    "Europe/Dublin",  # negative daylight saving
    "Africa/Casablanca",
    "XYZ-1:23:45",  # a POSIX rule with seconds
    "EST5EDT,M3.2.0,M11.1.0",
    "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
]


@pytest.fixture(params=ZONES, ids=lambda zone: zone.replace("/", "-"))
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """Sets the local time zone of this process."""
    name = str(request.param)
    if "/" in name and "," not in name and not pathlib.Path("/usr/share/zoneinfo", name).exists():
        pytest.skip("no time zone data on this system")
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    yield name
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def offset_changes(first_s: int, last_s: int) -> list[int]:
    """The seconds at which the local offset from UTC changes, found by bisection."""
    changes = []
    step_s = 7 * 24 * 3600
    for start in range(first_s, last_s, step_s):
        low, high = start, start + step_s
        if time.localtime(low).tm_gmtoff == time.localtime(high).tm_gmtoff:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            same = time.localtime(low).tm_gmtoff == time.localtime(middle).tm_gmtoff
            low, high = (middle, high) if same else (low, middle)
        changes.append(high)
    return changes


def test_timestamps_equal_the_references_in_every_zone(zone: str) -> None:
    """Local times, also those in gaps and folds and with odd offsets, come out the same."""
    year_s = 365 * 24 * 3600
    changes = [
        *offset_changes(-90 * year_s, -80 * year_s),
        *offset_changes(-2 * year_s, 3 * year_s),
        *offset_changes(50 * year_s, 62 * year_s),
    ]
    near = [
        change + away
        for change in changes
        for away in (-7200, -3600, -1800, -1, -0.5, 0, 0.25, 1, 1800, 3599, 3600, 7200, 86400)
    ]
    for created in [*near, -3e9, -1.5e9, 0.0, 0.5, 1.7e9, 4e9, 1e11]:
        record = record_with(created=created)
        assert format_record(record) == reference_line(record), (zone, created)


def test_a_change_of_the_zone_while_running_is_followed() -> None:
    """After `time.tzset` the next record is dated in the new zone, as the reference's is."""
    before = os.environ.get("TZ")
    try:
        for name in ("UTC0", "XYZ-3", "XYZ5:30"):
            os.environ["TZ"] = name
            time.tzset()
            record = record_with(created=1_700_000_000.25)
            assert format_record(record) == reference_line(record)
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


# ---------------------------------------------------------------- where identity would lose data


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("cannot")

    __repr__ = __str__


def circular() -> list[Any]:
    items: list[Any] = [1]
    items.append(items)
    return items


def deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(Unprintable(), "<unprintable Unprintable object>", id="str-raises"),
        pytest.param([1, Unprintable()], [1, "<unprintable Unprintable object>"], id="inside"),
        pytest.param(circular(), [1, "<circular reference>"], id="cycle"),
        pytest.param({(1, 2): 3}, {"(1, 2)": 3}, id="key-is-no-json-key"),
    ],
)
def test_a_value_that_json_refuses_is_kept_as_a_text(value: Any, expected: Any) -> None:
    """Where the reference raises and loses the record, ours has a text in place of the value."""
    record = record_with(extra={"value": value, "other": 1})
    with pytest.raises((TypeError, ValueError)):
        reference_line(record)
    line = json.loads(format_record(record))
    assert line["value"] == expected
    assert line["other"] == 1


@pytest.mark.skipif(not hasattr(sys, "get_int_max_str_digits"), reason="no limit in this Python")
def test_an_integer_too_large_to_print_does_not_lose_the_record() -> None:
    """An integer beyond Python's limit of digits leaves the rest of the record readable."""
    record = record_with(extra={"value": 10**5000, "other": 1})
    with pytest.raises(ValueError, match="digits"):
        reference_line(record)
    line = json.loads(format_record(record))
    assert isinstance(line["value"], str)
    assert line["other"] == 1


def test_deep_nesting_does_not_lose_the_record() -> None:
    """A value nested beyond what the reference can write keeps its record."""
    record = record_with(extra={"value": deep(100_000), "other": 1})
    with pytest.raises(RecursionError):
        reference_line(record)
    assert '"other": 1' in format_record(record)


def test_arguments_that_do_not_fit_are_recorded_with_the_raw_message() -> None:
    """Where merging a message fails, the message stands as given and `format_error` says why."""
    record = record_with(msg="%d items", args=("many",))
    with pytest.raises(TypeError):
        reference_line(record)
    line = json.loads(format_record(record))
    assert line["message"] == "%d items"
    assert line["format_error"].startswith("TypeError: ")


@pytest.mark.parametrize("created", [math.nan, math.inf, 1e20, -1e20, None, "now"])
def test_a_record_without_a_usable_time_is_dated_now(created: Any) -> None:
    """A time that is no time does not lose the record."""
    record = record_with()
    record.created = created
    before = time.time()
    stamp = json.loads(format_record(record))["timestamp"]
    written = datetime.datetime.fromisoformat(stamp).timestamp()
    assert before - 1 <= written <= time.time() + 1


def test_exc_info_is_kept_after_the_other_fields() -> None:
    """`logger.exception` leaves its traceback in the log, where the reference leaves nothing."""
    record = record_with(logging.ERROR, extra={"task": "t"})
    try:
        raise KeyError("lost")
    except KeyError:
        record.exc_info = sys.exc_info()
    line = json.loads(format_record(record))
    assert list(line)[-2:] == ["task", "exc_info"]
    assert line["exc_info"] == logging.Formatter().formatException(record.exc_info)
    del line["exc_info"]
    assert json.dumps(line) == reference_line(record)


def test_stack_info_is_kept_after_the_other_fields() -> None:
    """A record's `stack_info` stands in its line, where the reference leaves nothing."""
    record = record_with(logging.ERROR)
    record.stack_info = "Stack (most recent call last):\n  here"
    line = json.loads(format_record(record))
    assert list(line)[-1] == "stack_info"
    assert line.pop("stack_info") == record.stack_info
    assert json.dumps(line) == reference_line(record)


@pytest.mark.skipif(not HAS_TASK_NAME, reason="records have a taskName from Python 3.12 on")
def test_the_task_name_of_newer_pythons_is_left_out() -> None:
    """The reference leaks `taskName` since Python 3.12 gives it to every record; ours does not."""
    record = record_with()
    assert "taskName" in TraceFormatter().format(record)
    assert "taskName" not in format_record(record)


@pytest.mark.skipif(HAS_TASK_NAME, reason="taskName is a standard attribute")
def test_a_task_name_given_by_the_program_is_kept_on_older_pythons() -> None:
    """Where `taskName` is no standard attribute it is an extra field like any other."""
    record = record_with(extra={"taskName": "mine"})
    assert '"taskName": "mine"' in format_record(record)
    assert format_record(record) == TraceFormatter().format(record)


def test_extras_of_many_kinds_are_written_as_the_reference_does() -> None:
    """One record with a value of each common kind, for a reader to see what comes of it."""
    record = record_with(
        HTTP,
        extra={
            "path": pathlib.PurePosixPath("/tmp/x"),
            "uuid": uuid.UUID(int=5),
            "decimal": decimal.Decimal("1.50"),
            "bytes": b"\x00",
            "enum": Colour.RED,
            "int_enum": Number.ONE,
            "nan": math.nan,
        },
    )
    line = format_record(record)
    assert line == reference_line(record)
    assert line.endswith(
        '"module": "module", "function": "function", "line": 12, "path": "/tmp/x", '
        '"uuid": "00000000-0000-0000-0000-000000000005", "decimal": "1.50", '
        '"bytes": "b\'\\\\x00\'", "enum": "Colour.RED", "int_enum": 1, "nan": NaN}'
    )
