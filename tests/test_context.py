"""`trace_context`: its fields are on every line that is written inside, and on no other."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conftest import records_of
from inspect_trace import (
    TraceHandler,
    _core,
    init_tracing,
    scan,
    trace_action,
    trace_context,
    trace_message,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

logger = logging.getLogger("context")


@pytest.fixture(params=[True, False], ids=["fast", "by logging"])
def traced(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The path of a log, written the short way and the long one."""
    _core.use_fast_path(request.param)
    with init_tracing(path=tmp_path / "x.log") as tracing:
        yield tracing.path
    _core.use_fast_path(True)


def fields_of(path: Path, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(record.get(name) for name in names) for record in records_of(path)]


def test_every_kind_of_record(traced: Path) -> None:
    """Actions, messages, records of any level and tracebacks have the fields, at the end."""
    with trace_context(task="t", sample_id=12, epoch=1, other={"a": [None, 1.5]}):
        with trace_action(logger, "Model", "generate"):
            trace_message(logger, "Cache", "hit")
            logger.info("hello %s", "you")
        try:
            raise ValueError("no")
        except ValueError:
            logger.exception("failed")
    logger.info("after")
    records = records_of(traced)
    assert len(records) == 6
    for record in records[:-1]:
        fields = list(record.items())[-4:]
        assert fields == [
            ("task", "t"),
            ("sample_id", 12),
            ("epoch", 1),
            ("other", {"a": [None, 1.5]}),
        ]
    assert "task" not in records[-1]


def test_the_line_is_that_of_extras(traced: Path) -> None:
    """A line with a context differs in nothing from one with the same `extra`."""
    with trace_context(task="ä", sample_id="s"):
        logger.warning("same")
    logger.warning("same", extra={"task": "ä", "sample_id": "s"})
    one, two = records_of(traced)
    del one["timestamp"], two["timestamp"], one["line"], two["line"]
    assert list(one.items()) == list(two.items())


def test_nesting(traced: Path) -> None:
    """An inner context adds, replaces, and gives back what was."""
    with trace_context(task="t", epoch=1):
        with trace_context(epoch=2, sample_id="s"):
            logger.info("")
        logger.info("")
        same = trace_context(epoch=3)
        with same, same:
            logger.info("")
        logger.info("")
    logger.info("")
    assert fields_of(traced, "task", "sample_id", "epoch") == [
        ("t", "s", 2),
        ("t", None, 1),
        ("t", None, 3),
        ("t", None, 1),
        (None, None, None),
    ]


def test_what_a_record_says_itself_comes_first(traced: Path) -> None:
    """An `extra`, and an attribute that a filter sets, stand once, with their own value."""

    def label(record: logging.LogRecord) -> bool:
        record.sample_id = "filter"
        return True

    handler = next(h for h in logging.getLogger().handlers if isinstance(h, TraceHandler))
    with trace_context(task="t", sample_id="s", epoch=1):
        logger.info("", extra={"task": "own"})
        handler.addFilter(label)
        logger.info("")
        with trace_action(logger, "A", "a"):
            pass
    assert fields_of(traced, "task", "sample_id", "epoch") == [
        ("own", "s", 1),
        ("t", "filter", 1),
        ("t", "filter", 1),
        ("t", "filter", 1),
    ]
    handler.flush()
    for line in traced.read_text().splitlines():
        assert line.count('"sample_id"') == 1


def test_it_goes_along_with_the_context(traced: Path) -> None:
    """Tasks have what they were started in, each its own; threads begin without."""

    async def sample(number: int) -> None:
        with trace_context(sample_id=number):
            await asyncio.sleep(0)
            logger.info("%s", number)

    async def main() -> None:
        with trace_context(task="t"):
            await asyncio.gather(*(sample(number) for number in range(3)))

    asyncio.run(main())
    with trace_context(task="t"):
        for target in (logger.info, contextvars.copy_context().run):
            arguments = ("x",) if target == logger.info else (logger.info, "x")
            thread = threading.Thread(target=target, args=arguments)
            thread.start()
            thread.join()
    found = fields_of(traced, "message", "task", "sample_id")
    assert sorted(found[:3]) == [(str(number), "t", number) for number in range(3)]
    assert found[3:] == [("x", None, None), ("x", "t", None)]


def test_a_context_that_ends_elsewhere(traced: Path) -> None:
    """A generator that is closed in another context leaves that as it is meant to be."""

    def steps() -> Generator[None, None, None]:
        with trace_context(task="t"):
            yield

    generator = steps()
    contextvars.copy_context().run(next, generator)
    generator.close()
    logger.info("")
    assert fields_of(traced, "task") == [(None,)]


def test_names_and_values() -> None:
    """A name of the records' own is refused, any value is taken as it is then."""
    for name in ("message", "trace_id", "levelname", "pid"):
        with pytest.raises(ValueError, match=name):
            trace_context(**{name: 1})


def test_values_are_those_of_the_beginning(traced: Path) -> None:
    """What has no JSON form is written as text; later changes are not seen."""
    values = [1]

    class Broken:
        def __str__(self) -> str:
            raise ValueError

    with trace_context(values=values, path=Path("a"), broken=Broken()):
        values.append(2)
        logger.info("")
    ((found, path, broken),) = fields_of(traced, "values", "path", "broken")
    assert (found, path) == ([1], "a")
    assert "Broken" in broken


def test_records_are_selected_by_it(traced: Path) -> None:
    """The reading side finds records by the fields."""
    for sample in ("s-1", "s-12"):
        with trace_context(task="t", sample_id=sample), trace_action(logger, "A", sample):
            pass
    assert [record.detail for record in scan(traced, sample="s-1", task="t")] == ["s-1", "s-1"]
