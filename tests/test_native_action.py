"""Records that go straight to the log: nobody can tell.

`trace_action`, `trace_message` and `TraceHandler.handle` go past `logging` where it would hand a
record to `TraceHandler`s alone. Here the same program runs twice, once with that way open and once
with it shut, and must leave the same lines, the same records with other handlers, the same return
values and the same words on stderr.
"""

from __future__ import annotations

import contextlib
import contextvars
import gc
import io
import json
import logging
import os
import re
import signal
import threading
import time
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from inspect_trace import _core, _report
from inspect_trace.action import trace_action, trace_message
from inspect_trace.handler import TraceHandler
from inspect_trace.levels import TRACE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import TracedLogger

VARYING = {
    "timestamp",
    "trace_id",
    "parent_id",
    "start_time",
    "duration",
    "created",
    "msecs",
    "relativeCreated",
}


@pytest.fixture(autouse=True)
def fast_again() -> Iterator[None]:
    """The way past `logging` is open again after each test."""
    yield
    _core.use_fast_path(on=True)


# ------------------------------------------------------------------ what a program may set up


class Collecting(logging.Handler):
    """Somebody else's handler, which notes what it sees of each record."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.seen: list[list[tuple[str, object]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append([(k, _stable(k, v)) for k, v in record.__dict__.items()])


class OwnTraceHandler(TraceHandler):
    """A handler of a program's own that changes what it writes."""

    def emit(self, record: logging.LogRecord) -> None:
        record.own = "emitted"
        super().emit(record)


class OwnLogger(logging.Logger):
    """A logger of a program's own that adds to each record."""

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802
        record = super().makeRecord(*args, **kwargs)
        record.made_by = "own"
        return record


class ContextFilter(logging.Filter):
    """What inspect_ai's programs do: context on the record, and a prefix."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.task, record.sample_id, record.epoch = "t", 7, 1
        record.msg = f"[7] {record.msg}"
        return True


class Late:
    """Whatever has a method `filter`; renames the level, and drops every third record."""

    def __init__(self) -> None:
        self.count = 0

    def filter(self, record: logging.LogRecord) -> object:
        self.count += 1
        record.levelname = "LATE"
        return self.count % 3


def _raising(record: logging.LogRecord) -> bool:
    raise LookupError("filter")


def _dropping(record: logging.LogRecord) -> int:
    return 0


def _recording(record: logging.LogRecord) -> bool:
    """Shows in the line what the record holds of its place."""
    names = ("pathname", "filename", "module", "funcName", "threadName", "processName", "process")
    record.place = [getattr(record, name) for name in names]
    record.place_line = record.lineno
    record.names = list(record.__dict__)
    record.kinds = [type(value).__name__ for value in record.__dict__.values()]
    return True


class OwnRecord(logging.LogRecord):
    """A class that a filter may give a record."""

    def getMessage(self) -> str:  # noqa: N802
        return f"own {super().getMessage()}"


class Meddling:
    """Changes the record when it is printed."""

    def __init__(self, record: logging.LogRecord) -> None:
        self.record = record

    def __str__(self) -> str:
        self.record.__dict__.update(added=1, msg="changed", meddling=None)
        return "meddling"


def _rename(record: logging.LogRecord) -> None:
    """Gives standard attributes other names, all in their places."""
    renamed = {"own_" + k if k in {"name", "thread"} else k: v for k, v in record.__dict__.items()}
    record.__dict__.clear()
    record.__dict__.update(renamed)


def _move(record: logging.LogRecord) -> None:
    """Takes attributes out, and puts one of them back: at the end."""
    del record.thread
    record.msg = record.__dict__.pop("msg")


CHANGES: dict[str, Callable[[logging.LogRecord], object]] = {
    "time": lambda record: setattr(record, "created", 1.5),
    "name of the level": lambda record: setattr(record, "levelname", "TRACE".lower()),
    "level": lambda record: setattr(record, "levelno", 50),
    "level, low": lambda record: setattr(record, "levelno", 5),
    "level, odd": lambda record: setattr(record, "levelno", 13.5),
    "message": lambda record: setattr(record, "msg", f'é"{record.msg}'),
    "message, half": lambda record: setattr(record, "msg", "\ud800"),
    "message, odd": lambda record: setattr(record, "msg", Text("sub")),
    "message, none": lambda record: setattr(record, "msg", None),
    "arguments": lambda record: setattr(record, "args", (1,)),
    "no arguments": lambda record: setattr(record, "args", None),
    "traceback": lambda record: setattr(record, "exc_text", "Traceback"),
    "exception": lambda record: setattr(record, "exc_info", (KeyError, KeyError(1), None)),
    "stack": lambda record: setattr(record, "stack_info", "Stack"),
    "words": lambda record: record.__dict__.update(action="A", detail="D"),
    "moment": lambda record: record.__dict__.update(start_time=1, duration=2),
    "id": lambda record: setattr(record, "trace_id", "t"),
    "event": lambda record: record.__dict__.pop("event", None),
    "error": lambda record: setattr(record, "error", "e"),
    "parent": lambda record: setattr(record, "parent_id", "p"),
    "keys of the line": lambda record: record.__dict__.update(
        timestamp=1, message="m", asctime="a", taskName="T", line=1, function="f", level=2
    ),
    "odd keys": lambda record: cast("dict[object, object]", record.__dict__).update(
        {5: "five", "\ud800": 1, Text("x"): 2}
    ),
    "many": lambda record: record.__dict__.update({f"many{n}": n for n in range(20)}),
    "values": lambda record: record.__dict__.update(a=[1, {"b": 1.5}], c=Meddling(record), d=2),
    "dict": lambda record: setattr(record, "__dict__", dict(record.__dict__, other=1)),
    "class": lambda record: setattr(record, "__class__", OwnRecord),
    "names": _rename,
    "order": _move,
}


def _changing(change: Callable[[logging.LogRecord], object]) -> Callable[[], Any]:
    def keep(record: logging.LogRecord) -> bool:
        change(record)
        return True

    return lambda: keep


FILTERS: dict[str, Callable[[], Any]] = {
    **{name: _changing(change) for name, change in CHANGES.items()},
    "context": ContextFilter,
    "late": Late,
    "raising": lambda: _raising,
    "dropping": lambda: _dropping,
    "recording": lambda: _recording,
    "by name": lambda: logging.Filter("a.b"),
}


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Talkative:
    """Logs when it is printed."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def __str__(self) -> str:
        trace_message(self.logger, "Inner", "printed")
        return "talkative"


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "other"

    def __format__(self, spec: str) -> str:
        return "formatted"


level = st.sampled_from([0, 1, 10, TRACE, 14, 20, 30])
filters = st.lists(st.sampled_from(sorted(FILTERS)), max_size=2)


def logger_setups(*, calm: bool) -> st.SearchStrategy[dict[str, Any]]:
    """How one logger is set up; calm, so that records could mostly go past `logging`."""
    low = st.sampled_from([0, 1, 10, TRACE])
    ours = st.tuples(st.just("ours"), low if calm else level, filters | st.just([]))
    other = st.tuples(st.sampled_from(["own", "other", "null", "closed"]), level, filters)
    quiet = st.tuples(st.sampled_from(["other", "null"]), st.sampled_from([20, 30]), filters)
    return st.fixed_dictionaries(
        {
            "level": low if calm else level,
            "propagate": st.sampled_from([True, 1] if calm else [True, True, True, False, 0, 1]),
            "disabled": st.sampled_from([False, 0] if calm else [False, False, 0, True]),
            "filters": filters if not calm else st.just([]) | filters,
            "handlers": st.lists(
                ours | ours | quiet if calm else ours | other, min_size=int(calm), max_size=2
            ),
            "oddity": st.sampled_from(
                [None, "extra"]
                if calm
                else [None, None, None, "handle", "makeRecord", "isEnabledFor", "extra"]
            ),
        }
    )


text = st.one_of(
    st.sampled_from(["m", "%s", "%d%%", "a %s b %s", "%(x)s", "\ud800", 'é\x00"\\', "%", "%5d"]),
    st.text(max_size=6),
)
argument = st.sampled_from(
    ["arg", 5, -3, 2**70, True, 1.5, None, b"x", "sub", "unprintable", "talkative", "\udfff", "é"]
)
step = st.one_of(
    st.tuples(
        st.just("action"),
        st.sampled_from(["Model", "é", "sub", 5]),
        st.one_of(text, st.integers()),
        st.lists(argument, max_size=2),
        st.sampled_from([None, None, ValueError, TimeoutError, KeyboardInterrupt, "bad"]),
    ),
    st.tuples(
        st.just("message"),
        st.sampled_from(["C", "50%", "sub"]),
        text,
        st.lists(argument, max_size=2),
    ),
    st.tuples(st.just("info"), text, st.lists(argument, max_size=2), st.booleans()),
)


def programs(*, calm: bool) -> st.SearchStrategy[dict[str, Any]]:
    """A set-up and what is traced in it; calm as above."""

    def odd(*kinds: object) -> st.SearchStrategy[Any]:
        return st.none() if calm else st.sampled_from([None, None, None, *kinds])

    return st.fixed_dictionaries(
        {
            "loggers": st.lists(logger_setups(calm=calm), min_size=3, max_size=3),
            "class": odd(OwnLogger),
            "from": st.sampled_from(["", "a", "a.b"] if calm else ["", "a", "a.b", "adapter"]),
            "disable": st.just(0) if calm else st.sampled_from([0, 0, 0, TRACE, 50]),
            "factory": odd("wrapped"),
            "level_name": odd("FINE"),
            "flags": odd("logThreads", "logProcesses"),
            "patch": odd("callHandlers", "Filterer", "getMessage", "clock"),
            "steps": st.lists(step, min_size=1, max_size=4),
        }
    )


# ------------------------------------------------------------------ running it


def _stable(key: str, value: object) -> object:
    if key in VARYING:
        return type(value).__name__
    if key == "exc_info" and value:
        return "exc_info"
    return re.sub(r"0x[0-9a-f]+", "0x", repr(value))


class Run:
    """One run of a program in a tree of loggers of its own."""

    def __init__(self, plan: dict[str, Any], directory: Path, *, fast: bool) -> None:
        self.plan = plan
        self.directory = directory
        self.logs: list[Path] = []
        self.ours: list[TraceHandler] = []
        self.others: list[Collecting] = []
        self.fast = fast

    def __call__(self) -> object:
        _report._reported.clear()
        _core.use_fast_path(on=self.fast)
        self.directory.mkdir(exist_ok=True)
        stderr = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stderr(stderr))
            logger = self._set_up(stack)
            outcomes = [self._step(logger, step) for step in self.plan["steps"]]
        for handler in self.ours:
            handler.close()
        return {
            "outcomes": outcomes,
            "lines": [
                [_line(line) for line in log.read_text(encoding="ascii").splitlines()]
                for log in self.logs
            ],
            "others": [handler.seen for handler in self.others],
            "dropped": [handler.dropped for handler in self.ours],
            "stderr": re.sub(r"handler\.py:\d+|program-\w+|0x\w+", "", stderr.getvalue()),
        }

    def _set_up(self, stack: contextlib.ExitStack) -> Any:
        plan = self.plan
        root = logging.RootLogger(logging.WARNING)
        manager = logging.Manager(root)
        manager.loggerClass = plan["class"] or logging.Logger
        loggers = [root, manager.getLogger("a"), manager.getLogger("a.b")]
        for logger, setup in zip(loggers, plan["loggers"], strict=True):
            logger.setLevel(setup["level"])
            logger.propagate = setup["propagate"]
            logger.disabled = setup["disabled"]
            for name in setup["filters"]:
                logger.addFilter(FILTERS[name]())
            for kind, level, names in setup["handlers"]:
                logger.addHandler(self._handler(kind, level, names))
            self._make_odd(logger, setup["oddity"])
        # Loggers of another tree than the global one ask the global manager all the same.
        for logger in loggers:
            logger.manager = manager
        manager.disable = plan["disable"]
        self._patch(stack)
        where = plan["from"]
        return {
            "": root,
            "a": loggers[1],
            "a.b": loggers[2],
            "adapter": logging.LoggerAdapter(loggers[2], {"adapted": 1, "trace_id": "other"}),
        }[where]

    def _handler(self, kind: str, level: int, names: list[str]) -> logging.Handler:
        made: logging.Handler
        if kind == "other":
            made = Collecting(level)
            self.others.append(made)
        elif kind == "null":
            made = logging.NullHandler(level)
        else:
            path = self.directory / f"{len(self.logs)}.log"
            path.write_bytes(b"")
            made = (OwnTraceHandler if kind == "own" else TraceHandler)(path, level=level)
            self.logs.append(path)
            self.ours.append(made)
            if kind == "closed":
                made.close()
        for name in names:
            made.addFilter(FILTERS[name]())
        return made

    def _make_odd(self, logger: logging.Logger, oddity: str | None) -> None:
        if oddity == "extra":
            logger.__dict__["of the program's own"] = 1
        elif oddity == "isEnabledFor":
            logger.isEnabledFor = lambda level: level != 20  # type: ignore[method-assign]
        elif oddity is not None:
            genuine = getattr(logger, oddity)

            def changed(*args: Any, **kwargs: Any) -> Any:
                self.others.append(called := Collecting(0))
                called.seen.append([("called", oddity)])
                return genuine(*args, **kwargs)

            setattr(logger, oddity, changed)

    def _patch(self, stack: contextlib.ExitStack) -> None:
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        plan = self.plan
        if plan["factory"]:
            plain = logging.getLogRecordFactory()

            def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
                record = plain(*args, **kwargs)
                record.trace_id = "otel"
                return record

            monkeypatch.setattr(logging, "_logRecordFactory", factory)
        if plan["level_name"]:
            monkeypatch.setitem(logging._levelToName, TRACE, plan["level_name"])
        if plan["flags"]:
            monkeypatch.setattr(logging, plan["flags"], False)
        if plan["patch"] == "callHandlers":
            genuine = logging.Logger.callHandlers

            def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
                record.patched = True
                genuine(logger, record)

            monkeypatch.setattr(logging.Logger, "callHandlers", call_handlers)
        elif plan["patch"] == "Filterer":
            monkeypatch.setattr(
                logging.Filterer, "filter", lambda self, record: "%" not in str(record.msg)
            )
        elif plan["patch"] == "getMessage":
            monkeypatch.setattr(logging.LogRecord, "getMessage", lambda self: f"<{self.msg}>")
        elif plan["patch"] == "clock":
            monkeypatch.setattr(time, "time", lambda: 1_700_000_000.25)

    def _step(self, logger: Any, step: tuple[Any, ...]) -> object:
        kind, *rest = step
        try:
            if kind == "action":
                self._act(logger, *rest)
            elif kind == "message":
                category, message, arguments = rest
                category = Text(category) if category == "sub" else category
                trace_message(logger, category, message, *self._arguments(logger, arguments))
            else:
                message, arguments, has_traceback = rest
                logger.info(
                    message, *self._arguments(logger, arguments), exc_info=has_traceback or None
                )
        except BaseException as error:
            return repr(error)
        return None

    def _act(
        self, logger: Any, action: Any, message: Any, arguments: list[Any], error: Any
    ) -> None:
        action = Text(action) if action == "sub" else action
        with trace_action(logger, action, message, *self._arguments(logger, arguments)):
            if error == "bad":
                trace_message(logger, "inside", "of it")
                with trace_action(logger, "Nested", "in it"):
                    logger.warning("within")
            elif error is not None:
                raise error("raised")

    def _arguments(self, logger: Any, arguments: list[Any]) -> list[Any]:
        special = {"sub": Text("sub"), "unprintable": Unprintable(), "talkative": Talkative(logger)}
        return [
            special.get(argument, argument) if isinstance(argument, str) else argument
            for argument in arguments
        ]


def _line(line: str) -> object:
    pairs: list[tuple[str, object]] = json.loads(line, object_pairs_hook=list)
    return [(key, type(value).__name__ if key in VARYING else value) for key, value in pairs]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=programs(calm=True) | programs(calm=False))
def test_nobody_can_tell(plan: dict[str, Any], tmp_path: Path) -> None:
    """Whatever is set up and traced, a run past `logging` and one through it leave the same."""
    runs = []
    for fast in (True, False):
        directory = tmp_path / "run"
        runs.append(Run(plan, directory, fast=fast)())
    assert runs[0] == runs[1]


# ------------------------------------------------------------------ single points


def test_the_way_past_logging_is_taken(
    traced: TracedLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing but a `TraceHandler` in place no record is made at all."""
    monkeypatch.setattr(
        logging, "getLevelName", logging.getLevelName
    )  # the same function: no change that counts
    made = []
    genuine = logging.LogRecord.__init__

    def counting(record: logging.LogRecord, *args: Any, **kwargs: Any) -> None:
        made.append(args)
        genuine(record, *args, **kwargs)

    with trace_action(traced.logger, "A", "%s", "m"):
        trace_message(traced.logger, "C", "m")
    monkeypatch.setattr(logging.LogRecord, "__init__", counting)
    with trace_action(traced.logger, "A", "%s", "m"):
        trace_message(traced.logger, "C", "m")
    assert len(made) == 3  # a patched class has its say
    assert traced.events == ["A:enter", "A:exit"] * 2


def test_changes_between_two_records_of_an_action_count(traced: TracedLogger) -> None:
    """Each record asks anew: a handler that comes in between has the closing record."""
    other = Collecting(0)
    with trace_action(traced.logger, "A", "%s", "m"):
        traced.logger.addHandler(other)
    assert [dict(seen)["event"] for seen in other.seen] == ["'exit'"]
    assert traced.events == ["A:enter", "A:exit"]
    with trace_action(traced.logger, "B", "m"):
        traced.logger.disabled = True
    assert traced.events == ["A:enter", "A:exit", "B:enter"]


def test_a_filter_that_changes_the_set_up_is_obeyed_at_once(traced: TracedLogger) -> None:
    """A filter that puts up another handler hands it the very record that it has seen."""
    other = Collecting(0)

    def add(record: logging.LogRecord) -> bool:
        traced.logger.addHandler(other)
        return True

    traced.handler.addFilter(add)
    with trace_action(traced.logger, "A", "m"):
        pass
    assert [dict(seen)["event"] for seen in other.seen] == ["'enter'", "'exit'"]


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {"values"}))
def test_a_line_says_what_the_filters_have_left(traced: TracedLogger, name: str) -> None:
    """Whatever a filter makes of a record, its line is to the byte that of the record."""
    kept: list[logging.LogRecord] = []

    def keep(record: logging.LogRecord) -> bool:
        record.task, record.epoch = "t", 1
        CHANGES[name](record)
        record.late = 1.5
        kept.append(record)
        return True

    traced.handler.addFilter(keep)
    with contextlib.suppress(ValueError), trace_action(traced.logger, "A", "%s", "m"):
        with trace_action(traced.logger, "B", "%d", "no number"):
            pass
        raise ValueError("v")
    traced.handler.flush()
    lines = traced.path.read_text(encoding="ascii").splitlines()
    _core.use_fast_path(on=False)
    assert lines == [_core.format_record(record) for record in kept]
    assert len(lines) == 4


def test_changes_count_however_often_they_are_made(traced: TracedLogger) -> None:
    """What the interpreter does otherwise after a while, for speed, is noticed like all else."""

    def change(record: logging.LogRecord) -> bool:
        record.msg = "changed"
        record.detail = "other"
        return True

    traced.handler.addFilter(change)
    for _ in range(200):
        with trace_action(traced.logger, "A", "m"):
            pass
    said = {(r["message"], r["detail"]) for r in traced.records}
    assert (said, len(traced.records)) == ({("changed", "other")}, 400)


def test_records_of_one_place_tell_their_threads(traced: TracedLogger) -> None:
    """Threads, loggers and actions that share a line of the program keep their own attributes."""
    seen: list[tuple[object, ...]] = []

    def note(record: Any) -> bool:
        seen.append((record.name, record.threadName, record.thread, record.lineno, record.action))
        return True

    traced.handler.addFilter(note)
    child = logging.Logger("child", TRACE)
    child.parent = traced.logger
    expected: list[tuple[object, ...]] = []

    def work() -> None:
        thread = threading.current_thread()
        for logger, action in [(traced.logger, "A"), (child, "B"), (traced.logger, "C" * 300)]:
            with trace_action(logger, action, "m"):
                line = work.__code__.co_firstlineno + 3
            expected.extend([(logger.name, thread.name, thread.ident, line, action)] * 2)
            thread.name += "+"

    for name in ("one", "two", "one"):
        thread = threading.Thread(target=work, name=name)
        thread.start()
        thread.join()
    assert seen == expected


def test_an_instance_that_is_told_otherwise_is_obeyed(traced: TracedLogger) -> None:
    """Methods set on a handler itself are called, whatever the key they are stored under."""
    for name in ("emit", "filter", "handle"):
        calls: list[logging.LogRecord] = []
        key = "".join(list(name))  # not interned
        traced.handler.__dict__[key] = calls.append
        with trace_action(traced.logger, "A", "m"):
            pass
        assert len(calls) == 2, name
        del traced.handler.__dict__[name]


def test_subclasses_of_the_action_may_have_their_own_arguments(traced: TracedLogger) -> None:
    """A class derived from `trace_action` can fix what its users shall not repeat."""

    class Model(trace_action):
        def __init__(self, name: str) -> None:
            super().__init__(traced.logger, "Model", "generate (%s)", name)

    with Model("gpt"):
        pass
    assert [r["detail"] for r in traced.records] == ["generate (gpt)"] * 2


def test_arguments_may_be_named(traced: TracedLogger) -> None:
    """Logger, action and message can be given by name; what is missing or doubled is an error."""
    with trace_action(logger=traced.logger, action="A", message="%(x)s", x=1):
        pass
    trace_message(message="m", category="C", logger=traced.logger)
    assert [r["message"] for r in traced.records] == ["A: 1 (enter)", "A: 1 (exit)", "[C] m"]
    with pytest.raises(TypeError, match="missing"):
        trace_action(traced.logger, "A")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="multiple values"):
        trace_action(traced.logger, "A", "m", logger=traced.logger)  # type: ignore[misc]


@given(value=st.floats())
def test_floats_are_written_as_python_writes_them(value: float) -> None:
    """Every float in a line is what `json.dumps` makes of it."""
    record = logging.LogRecord("x", TRACE, "f.py", 1, "m", (), None)
    record.levelname, record.value = "TRACE", value
    assert f'"value": {json.dumps(value)}}}' in _core.format_record(record)


def test_another_zone_counts_with_the_next_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After `time.tzset` the same moment is written in the new zone."""
    record = logging.LogRecord("x", TRACE, "f.py", 1, "m", (), None)
    record.created = 1_700_000_000.5
    stamps = []
    with monkeypatch.context() as patch:
        for zone in ("UTC", "Asia/Kolkata", "America/New_York", "UTC"):
            patch.setenv("TZ", zone)
            time.tzset()
            stamps.append(json.loads(_core.format_record(record))["timestamp"][-6:])
    time.tzset()
    assert stamps == ["+00:00", "+05:30", "-05:00", "+00:00"]


def test_a_signal_handler_may_trace_at_any_moment(traced: TracedLogger) -> None:
    """Actions of a signal handler fall between those of the program, and all are whole."""
    traced.handler.addFilter(ContextFilter())  # Python code, so that signals come in the middle
    inner = 0

    def on_alarm(number: int, frame: object) -> None:
        nonlocal inner
        inner += 1
        with trace_action(traced.logger, "Inner", "%s", "m"):
            trace_message(traced.logger, "C", "m")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    outer = 0
    try:
        while inner < 50:
            outer += 1
            with trace_action(traced.logger, "Outer", "%s", "m"):
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    events = Counter(traced.events)
    assert events == {
        "Outer:enter": outer,
        "Outer:exit": outer,
        "Inner:enter": inner,
        "Inner:exit": inner,
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_repeats_no_id(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """What a process has in store for its next ids is not used again by its children."""
    done = run_python("""
        import os, sys
        from inspect_trace._core import new_trace_id
        new_trace_id()
        sys.stdout.flush()
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                print("\\n".join(new_trace_id() for _ in range(100)), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
        print("\\n".join(new_trace_id() for _ in range(100)))
    """)
    ids = done.stdout.split()
    assert len(ids) == len(set(ids)) == 400


def test_an_action_that_prints_itself_by_tracing(traced: TracedLogger) -> None:
    """An argument whose `__str__` traces gets its own records, before the action's."""
    with trace_action(traced.logger, "A", "%s", Talkative(traced.logger)):
        pass
    assert [r["message"] for r in traced.records] == [
        "[Inner] printed",
        "A: talkative (enter)",
        "A: talkative (exit)",
    ]


def test_actions_with_themselves_in_a_cycle_are_collected(traced: TracedLogger) -> None:
    """An action, entered or not, that is reachable from its own arguments is no leak."""

    class Holder:
        action: trace_action

    def make() -> weakref.ref[Holder]:
        holder = Holder()
        holder.action = trace_action(traced.logger, "A", "%s", holder)
        holder.action.__enter__()
        return weakref.ref(holder)

    reference = contextvars.copy_context().run(make)
    gc.collect()
    assert reference() is None
