"""The helpers for users' tests tell what a block of code traced."""

from __future__ import annotations

import contextlib
import gc
import logging
from typing import TYPE_CHECKING

import pytest

from inspect_trace.action import trace_action, trace_message
from inspect_trace.levels import HTTP, TRACE
from inspect_trace.setup import init_tracing
from inspect_trace.testing import capture_traces

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("testing.program")


def program() -> None:
    """A little of everything."""
    trace_message(logger, "Setup", "ready for %d", 2)
    with trace_action(logger, "Outer", "all"):
        with trace_action(logger, "Inner", "first"):
            logger.log(HTTP, "GET / - 200")
        with contextlib.suppress(ValueError), trace_action(logger, "Inner", "second"):
            raise ValueError("no")
    with contextlib.suppress(TimeoutError), trace_action(logger, "Slow", "s"):
        raise TimeoutError
    with contextlib.suppress(KeyboardInterrupt), trace_action(logger, "Stopped", "s"):
        raise KeyboardInterrupt


def test_actions_with_their_outcomes() -> None:
    """Each action is there once, in the order of beginning, with how it ended."""
    with capture_traces() as traces:
        program()
    assert [(a.action, a.detail, a.outcome) for a in traces.actions()] == [
        ("Outer", "all", "exit"),
        ("Inner", "first", "exit"),
        ("Inner", "second", "error"),
        ("Slow", "s", "timeout"),
        ("Stopped", "s", "cancel"),
    ]
    outer, first, second, *_ = traces.actions()
    assert [child.detail for child in outer.children] == ["first", "second"]
    assert first.parent is not None
    assert first.parent.trace_id == outer.trace_id == first.parent_id
    assert (second.error, second.error_type) == ("no", "ValueError")
    assert second.stacktrace is not None
    assert "raise ValueError" in second.stacktrace
    assert first.start_time is not None
    assert outer.duration is not None
    assert first.duration is not None
    assert outer.duration >= first.duration >= 0
    assert [a.detail for a in traces.actions("Inner")] == ["first", "second"]


def test_an_action_that_runs_has_no_outcome() -> None:
    """Asked inside the block, the helper tells what has been traced so far."""
    with capture_traces() as traces, trace_action(logger, "A", "m"):
        [running] = traces.actions()
        assert running.outcome is None
        assert running.duration is None
        assert running.start_time is not None


def test_extra_fields_are_there() -> None:
    """Fields that a program adds to its records are in `fields`."""
    with capture_traces() as traces:
        adapter = logging.LoggerAdapter(logger, {"sample_id": "s-1"})
        with trace_action(adapter, "A", "m"):
            pass
    [action] = traces.actions()
    assert action.fields["sample_id"] == "s-1"
    assert action.fields["event"] == "exit"
    assert "start_time" in action.fields


def test_messages_by_category() -> None:
    """Messages are told apart by category; without one all that is not of actions is given."""
    with capture_traces() as traces:
        program()
    assert traces.messages("Setup") == ["ready for 2"]
    assert traces.messages("Set") == []
    assert traces.messages() == ["[Setup] ready for 2", "GET / - 200"]


def test_records_and_anomalies_are_those_of_the_reader() -> None:
    """The log behind the helper is a real one, read by the package's own readers."""
    with capture_traces() as traces:
        program()
    assert len(traces.records) == 12
    assert traces.records[0].message == "[Setup] ready for 2"
    anomalies = traces.anomalies()
    assert [a.detail for a in anomalies.errors] == ["second"]
    assert [a.action for a in anomalies.timeouts] == ["Slow"]
    assert [a.action for a in anomalies.cancelled] == ["Stopped"]
    assert anomalies.running == []


def test_nothing_traced_is_nothing() -> None:
    """A block that traces nothing gives empty lists."""
    with capture_traces() as traces:
        pass
    assert (traces.records, traces.actions(), traces.messages()) == ([], [], [])


def test_the_logger_is_afterwards_as_before() -> None:
    """Level and handlers are given back, also when the block raises."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    with contextlib.suppress(ValueError), capture_traces():
        assert root.level <= TRACE
        raise ValueError
    assert root.level == level
    assert [h for h in root.handlers if h not in handlers] == []


def test_one_logger_and_its_level() -> None:
    """A logger can be captured alone, by name, and from a level of choice."""
    mine = logging.getLogger("testing.mine")
    mine.propagate = False
    with capture_traces("testing.mine", level="INFO") as traces:
        mine.info("told")
        trace_message(mine, "c", "too low")
        logger.warning("not mine")
    assert traces.messages() == ["told"]


def test_other_handlers_show_what_they_showed(caplog: pytest.LogCaptureFixture) -> None:
    """Capturing does not make the program's other handlers show more."""
    with capture_traces():
        program()
    assert caplog.records == []


def test_captures_nest_and_go_with_init_tracing(tmp_path: Path) -> None:
    """A capture inside a capture, and inside a traced program, takes nothing from the others."""
    with init_tracing(path=tmp_path / "x.log") as tracing:
        with capture_traces() as outer:
            with capture_traces() as inner:
                trace_message(logger, "c", "both")
            trace_message(logger, "c", "outer")
        trace_message(logger, "c", "none")
        tracing.handler.flush()
        assert tracing.path.read_text().count('"message"') == 3
    assert inner.messages() == ["[c] both"]
    assert outer.messages() == ["[c] both", "[c] outer"]


def test_the_temporary_log_goes_with_the_helper() -> None:
    """Nothing is left on the disk once the helper is forgotten."""
    with capture_traces() as traces:
        program()
    path = traces.path
    assert path.exists()
    del traces
    gc.collect()
    assert not path.parent.exists()


def test_an_unknown_level_is_refused() -> None:
    """A level that does not exist is a mistake in the test, told to it."""
    with pytest.raises(ValueError, match="'loud' is not a log level"):
        capture_traces(level="loud")
