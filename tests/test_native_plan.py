"""Ways past `logging` that were found once: the first change of anything on one is noticed.

A way is kept from record to record (`rust/binding/src/plan.rs`). Here one is found and used, then
something on it is changed, and what is traced afterwards must be what it is where everything goes
through `logging`.
"""

from __future__ import annotations

import contextvars
import gc
import logging
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from conftest import records_of
from inspect_trace import _core
from inspect_trace.action import trace_action
from inspect_trace.handler import TraceHandler
from inspect_trace.levels import TRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import TracedLogger


@pytest.fixture(autouse=True)
def fast_again() -> Iterator[None]:
    """The way past `logging` is open again after each test."""
    yield
    _core.use_fast_path(on=True)


class Seeing(logging.Handler):
    """Notes the events of the records that it is given."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


class Prefixing(logging.Logger):
    """A logger that says otherwise what it logs."""

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802 (its name)
        record = super().makeRecord(*args, **kwargs)
        record.msg = f"prefixed {record.msg}"
        return record


class SetUp:
    """A logger, the one above it, and their handlers: ours above, one that is deaf beside it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.files = [directory / "first.log", directory / "second.log"]
        self.handler, self.other = map(TraceHandler, self.files)
        self.deaf, self.seeing = Seeing(logging.INFO), Seeing(0)
        self.top = logging.Logger("top", TRACE)
        self.top.addHandler(self.deaf)
        self.top.addHandler(self.handler)
        self.logger = logging.Logger("top.logger", TRACE)
        self.logger.parent = self.top

    def trace(self) -> None:
        """Traces one action."""
        with trace_action(self.logger, "A", "%s", "m"):
            pass

    def left(self) -> list[Any]:
        """What has come of it all."""
        self.handler.close()
        self.other.close()
        lines: list[Any] = [
            [(r["message"], r["level"], r.get("extra")) for r in records_of(file)]
            for file in self.files
            if file.exists()
        ]
        return [*lines, self.deaf.seen, self.seeing.seen]


def _replace(handlers: list[logging.Handler], index: int, by: logging.Handler) -> None:
    handlers[index] = by


def _take_record_class(setup: SetUp) -> None:
    class Extra(logging.LogRecord):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.extra = "extra"

    logging.setLogRecordFactory(Extra)


def _be_only_a_filter(record: logging.LogRecord) -> bool:
    record.msg = f"filtered {record.msg}"
    return True


CHANGES: dict[str, Callable[[SetUp], object]] = {
    "nothing": lambda s: None,
    "disabled": lambda s: setattr(s.logger, "disabled", True),
    "top disabled": lambda s: setattr(s.top, "disabled", True),
    "level": lambda s: s.logger.setLevel(logging.INFO),
    "cache": lambda s: s.logger._cache.__setitem__(TRACE, False),  # type: ignore[attr-defined]
    "own attributes": lambda s: setattr(s.logger, "__dict__", vars(s.logger) | {"disabled": True}),
    "no propagation": lambda s: setattr(s.logger, "propagate", False),
    "another parent": lambda s: setattr(s.logger, "parent", logging.Logger("other", TRACE)),
    "no parent": lambda s: setattr(s.logger, "parent", None),
    "class": lambda s: setattr(s.logger, "__class__", Prefixing),
    "makeRecord": lambda s: setattr(s.logger, "makeRecord", Prefixing("p").makeRecord),
    "filter of the logger": lambda s: s.logger.addFilter(_be_only_a_filter),
    "filter of the handler": lambda s: s.handler.addFilter(_be_only_a_filter),
    "filter of the top": lambda s: s.top.addFilter(_be_only_a_filter),
    "first handler": lambda s: s.logger.addHandler(s.seeing),
    "handler above": lambda s: s.top.addHandler(s.seeing),
    "second log": lambda s: s.logger.addHandler(s.other),
    "handler in its place": lambda s: _replace(s.top.handlers, 1, s.other),
    "deaf one hears": lambda s: s.deaf.setLevel(0),
    "deaf one in its place": lambda s: _replace(s.top.handlers, 0, s.seeing),
    "handlers in other order": lambda s: s.top.handlers.reverse(),
    "other list": lambda s: setattr(s.top, "handlers", [s.seeing]),
    "no handler": lambda s: s.top.handlers.clear(),
    "level of the handler": lambda s: s.handler.setLevel(logging.INFO),
    "handle of the handler": lambda s: setattr(s.handler, "handle", s.seeing.handle),
    "closed": lambda s: s.handler.close(),
    "record class": _take_record_class,
    "level name": lambda s: logging.addLevelName(TRACE, "OTHER"),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_is_noticed_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any change on a way, runs past `logging` and through it leave the same."""
    left = []
    for fast in (True, False):
        _core.use_fast_path(on=fast)
        setup = SetUp(tmp_path / f"fast-{fast}")
        for _ in range(3):
            setup.trace()
        with monkeypatch.context() as patches:
            patches.setattr(logging, "_logRecordFactory", logging.getLogRecordFactory())
            patches.setattr(logging, "_levelToName", dict(logging._levelToName))
            with trace_action(setup.logger, "Around", "m"):
                CHANGES[name](setup)
                setup.trace()
            setup.trace()
        setup.trace()
        left.append(setup.left())
    assert left[0] == left[1]
    assert len(left[0][0]) >= 7


def test_a_change_of_a_class_is_noticed(
    traced: TracedLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that is put into a class of the handlers on the way is called."""
    for _ in range(3):
        with trace_action(traced.logger, "A", "m"):
            pass
    seen: list[logging.LogRecord] = []
    monkeypatch.setattr(TraceHandler, "emit", lambda _, record: seen.append(record))
    with trace_action(traced.logger, "B", "m"):
        pass
    assert ([r.getMessage() for r in seen], len(traced.events)) == (
        ["B: m (enter)", "B: m (exit)"],
        6,
    )


def test_a_clock_that_is_replaced_is_asked(
    traced: TracedLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a test puts another clock into `time`, records are dated by it from then on."""
    for _ in range(3):
        with trace_action(traced.logger, "A", "m"):
            pass
    monkeypatch.setattr(time, "time", lambda: 1.5)
    monkeypatch.setattr(time, "time_ns", lambda: 1_500_000_000)
    with trace_action(traced.logger, "B", "m"):
        pass
    assert traced.records[-2]["start_time"] == 1.5


def test_loggers_in_turn_keep_apart(tmp_path: Path) -> None:
    """More loggers than ways are kept, in turn and with changes, write each to its own log."""
    made = []
    for number in range(150):
        logger = logging.Logger(f"logger {number}", TRACE)
        logger.addHandler(TraceHandler(tmp_path / f"{number}.log"))
        made.append(logger)
    for turn in range(12):
        for number, logger in enumerate(made):
            logger.disabled = (number + turn) % 5 == 0
            with trace_action(logger, f"A{number}", "m"):
                pass
    for number, logger in enumerate(made):
        logger.handlers[0].close()
        said = [r["action"] for r in records_of(tmp_path / f"{number}.log")]
        on = sum((number + turn) % 5 != 0 for turn in range(12))
        assert said == [f"A{number}"] * 2 * on


def test_a_way_keeps_nothing_alive(tmp_path: Path) -> None:
    """A logger and a handler that nobody has any more go, and the handler's log is closed."""
    handler = TraceHandler(tmp_path / "log")
    logger = logging.Logger("gone", TRACE)
    logger.addHandler(handler)
    with trace_action(logger, "A", "m"):
        pass
    gone = [weakref.ref(thing) for thing in (logger, handler, handler._log)]
    closed_at_exit: list[Any] = logging._handlerList  # type: ignore[attr-defined]
    closed_at_exit[:] = [kept for kept in closed_at_exit if kept() is not handler]
    del logger, handler
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_an_action_leaves_a_context_as_it_was() -> None:
    """Where nothing was current before an action nothing is after it, in the very context."""
    from inspect_trace.action import _current

    logger = logging.Logger("nobody", TRACE)
    logger.addHandler(logging.NullHandler())

    def work() -> list[bool]:
        context = contextvars.copy_context
        before = _current in context()
        with trace_action(logger, "A", "m"):
            inside = _current in context()
            with trace_action(logger, "B", "m"):
                pass
            again = context()[_current]
        return [before, inside, again is not None, context().get(_current) is not None]

    assert contextvars.Context().run(work) == [False, True, True, False]


def test_an_action_that_ends_in_another_context() -> None:
    """A block that is left in a copy of its context gives that copy what was current before."""
    from inspect_trace.action import _current

    logger = logging.Logger("nobody", TRACE)
    logger.addHandler(logging.NullHandler())

    def work() -> tuple[object, object, object]:
        with trace_action(logger, "Outer", "m"):
            outer = _current.get()
            inner = trace_action(logger, "Inner", "m")
            inner.__enter__()
            span = _current.get()
            copy = contextvars.copy_context()
            copy.run(inner.__exit__, None, None, None)
            return copy[_current] is outer, _current.get() is span, span is not outer

    assert contextvars.Context().run(work) == (True, True, True)
