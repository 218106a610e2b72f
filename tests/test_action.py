"""Every way into and out of an action, and what it leaves in the log."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import gc
import inspect
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import types
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio

from inspect_trace._core import ActionSpan, format_record
from inspect_trace.action import trace_action, trace_message
from inspect_trace.handler import TraceHandler
from inspect_trace.levels import TRACE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

    from conftest import TracedLogger

if sys.version_info >= (3, 11):
    from builtins import BaseExceptionGroup
else:  # what anyio and trio use there
    from exceptiongroup import BaseExceptionGroup

REFERENCE_KEYS = ["timestamp", "level", "message", "action", "detail", "event", "trace_id"]


class Lines(logging.Handler):
    """Collects records, for tests of what other handlers see."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def closing(traced: TracedLogger) -> dict[str, Any]:
    """The closing record of the only action."""
    enter, end = traced.records
    assert enter["event"] == "enter"
    assert end["trace_id"] == enter["trace_id"]
    assert end["message"] == f"{end['action']}: {end['detail']} ({end['event']})"
    return end


# ---------------------------------------------------------------- the records


def test_an_action_that_ends_well(traced: TracedLogger) -> None:
    """Enter and exit carry the reference's keys, in its order, and nothing else."""
    with trace_action(traced.logger, "Model", "generate (%s)", "gpt"):
        pass
    enter, end = traced.records
    assert list(enter) == [*REFERENCE_KEYS, "start_time"]
    assert list(end) == [*REFERENCE_KEYS, "duration"]
    assert (enter["message"], enter["detail"]) == (
        "Model: generate (gpt) (enter)",
        "generate (gpt)",
    )
    assert end["message"] == "Model: generate (gpt) (exit)"
    assert 0 <= end["duration"] < 60
    assert len(enter["trace_id"]) == 22
    assert enter["trace_id"] == end["trace_id"]


def test_records_have_the_keys_of_the_references_own_action(traced: TracedLogger) -> None:
    """The same code under the reference's `trace_action` gives lines of the same shape."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference_action = pytest.importorskip(
            "inspect_ai._util.trace", reason="the reference needs Python 3.11"
        ).trace_action

    def shapes(action: Callable[..., Any]) -> list[tuple[list[str], str]]:
        before = len(traced.records)
        with action(traced.logger, "A", "named %(x)s", x=1):
            pass
        with contextlib.suppress(ValueError), action(traced.logger, "A", "%d%%", 5):
            raise ValueError("no")
        with contextlib.suppress(TimeoutError), action(traced.logger, "A", "100%"):
            raise TimeoutError
        with contextlib.suppress(KeyboardInterrupt), action(traced.logger, "A", "m"):
            raise KeyboardInterrupt
        return [(list(r), r["message"]) for r in traced.records[before:]]

    assert shapes(trace_action) == shapes(reference_action)


def test_an_error_carries_what_the_exception_says(traced: TracedLogger) -> None:
    """An error's record has its text, its class and its traceback down to the raising line."""
    with pytest.raises(ZeroDivisionError), trace_action(traced.logger, "A", "m"):
        _ = 1 / 0
    end = closing(traced)
    assert list(end) == [*REFERENCE_KEYS, "duration", "error", "error_type", "stacktrace"]
    assert (end["event"], end["error"], end["error_type"]) == (
        "error",
        "division by zero",
        "ZeroDivisionError",
    )
    assert end["stacktrace"].startswith("Traceback (most recent call last):\n")
    assert "_ = 1 / 0" in end["stacktrace"]
    assert end["stacktrace"].endswith("ZeroDivisionError: division by zero\n")


class SayingError(Exception):
    def __init__(self, message: object) -> None:
        super().__init__("args")
        self.message = message


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")

    __repr__ = __str__


class BadMessageError(Exception):
    @property
    def message(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(SayingError("said"), "said", id="message-attribute"),
        pytest.param(SayingError({"code": 1}), "{'code': 1}", id="message-is-no-text"),
        pytest.param(ValueError(), "ValueError()", id="nothing-to-say"),
        pytest.param(MuteError(), "<unprintable MuteError object>", id="str-raises"),
        pytest.param(BadMessageError("text"), "text", id="message-raises"),
        pytest.param(ValueError("a\ud800"), "a\ud800", id="lone-surrogate"),
    ],
)
def test_the_text_of_an_error(traced: TracedLogger, error: Exception, text: str) -> None:
    """The text is the exception's `message`, its `str` or its `repr`, and always a text."""
    with pytest.raises(type(error)) as caught, trace_action(traced.logger, "A", "m"):
        raise error
    assert caught.value is error
    assert closing(traced)["error"] == text


# ---------------------------------------------------------------- outcomes

OUTCOMES = {
    "KeyboardInterrupt": (KeyboardInterrupt(), "cancel"),
    "SystemExit": (SystemExit(3), "cancel"),
    "GeneratorExit": (GeneratorExit(), "cancel"),
    "asyncio-cancelled": (asyncio.CancelledError(), "cancel"),
    "futures-cancelled": (concurrent.futures.CancelledError(), "cancel"),
    "TimeoutError": (TimeoutError(), "timeout"),
    "asyncio-timeout": (asyncio.TimeoutError(), "timeout"),
    "futures-timeout": (concurrent.futures.TimeoutError(), "timeout"),
    "subprocess-timeout": (subprocess.TimeoutExpired("cmd", 1.0), "timeout"),
    "multiprocessing-timeout": (multiprocessing.TimeoutError(), "timeout"),
    "trio-timeout": (trio.TooSlowError(), "timeout"),
    "ValueError": (ValueError("x"), "error"),
    "OSError": (OSError(5, "io"), "error"),
    "BaseException": (BaseException("odd"), "error"),
}


@pytest.mark.parametrize(("error", "event"), OUTCOMES.values(), ids=OUTCOMES)
def test_the_outcome_of_an_exception(
    traced: TracedLogger, error: BaseException, event: str
) -> None:
    """Each exception is recorded for what it is and passes unchanged."""
    with pytest.raises(type(error)) as caught, trace_action(traced.logger, "A", "m"):
        raise error
    assert caught.value is error
    assert closing(traced)["event"] == event


@pytest.mark.parametrize(
    ("leaves", "event"),
    [
        ("cc", "cancel"),
        ("ct", "timeout"),
        ("t", "timeout"),
        ("ce", "error"),
        ("te", "error"),
        ("e", "error"),
        ("c(ct)", "timeout"),
        ("(c(c))", "cancel"),
        ("c((e))", "error"),
    ],
)
def test_a_group_is_judged_by_its_leaves(traced: TracedLogger, leaves: str, event: str) -> None:
    """Cancellations alone are a cancel, a timeout among them a timeout, all else an error."""
    kinds = {"c": asyncio.CancelledError, "t": TimeoutError, "e": ValueError}
    open_groups: list[list[BaseException]] = [[]]
    for character in leaves:
        if character == "(":
            open_groups.append([])
        elif character == ")":
            inner = open_groups.pop()
            open_groups[-1].append(BaseExceptionGroup("inner", inner))
        else:
            open_groups[-1].append(kinds[character]())
    group = BaseExceptionGroup("outer", open_groups[0])
    with pytest.raises(BaseException) as caught, trace_action(traced.logger, "A", "m"):  # noqa: PT011
        raise group
    assert caught.value is group
    assert closing(traced)["event"] == event


def test_asyncio_cancellation_is_a_cancel(traced: TracedLogger) -> None:
    """A cancelled task closes its actions as cancelled, and stays cancelled."""

    async def main() -> None:
        inside = asyncio.Event()

        async def work() -> None:
            with trace_action(traced.logger, "A", "m"):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert traced.events == ["A:enter", "A:cancel"]


def test_asyncio_timeout_is_a_cancel_inside_and_a_timeout_outside(traced: TracedLogger) -> None:
    """What a timeout cuts off is cancelled; the action that meets the TimeoutError timed out."""

    async def work() -> None:
        with trace_action(traced.logger, "Inner", "m"):
            await asyncio.Event().wait()

    async def main() -> None:
        with trace_action(traced.logger, "Outer", "m"):
            await asyncio.wait_for(work(), timeout=0.01)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(main())
    assert traced.events == ["Outer:enter", "Inner:enter", "Inner:cancel", "Outer:timeout"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_timeouts_and_cancellation(traced: TracedLogger, backend: str) -> None:
    """Under either backend a cancelled scope is a cancel, and `fail_after` a timeout outside."""

    async def main() -> None:
        with anyio.move_on_after(0.01), trace_action(traced.logger, "Moved", "m"):
            await anyio.sleep_forever()
        with pytest.raises(TimeoutError), trace_action(traced.logger, "Outer", "m"):
            with anyio.fail_after(0.01):
                with trace_action(traced.logger, "Inner", "m"):
                    await anyio.sleep_forever()

    anyio.run(main, backend=backend)
    assert traced.events == [
        *("Moved:enter", "Moved:cancel"),
        *("Outer:enter", "Inner:enter", "Inner:cancel", "Outer:timeout"),
    ]


def test_trio_nursery_cancellation(traced: TracedLogger) -> None:
    """A crash in a nursery cancels the siblings, which are recorded as cancelled."""

    async def sibling(started: trio.Event) -> None:
        with trace_action(traced.logger, "Sibling", "m"):
            started.set()
            await trio.sleep_forever()

    async def main() -> None:
        started = trio.Event()
        with trace_action(traced.logger, "Nursery", "m"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sibling, started)
                await started.wait()
                raise ValueError("crash")

    with pytest.raises(BaseExceptionGroup):
        trio.run(main)
    assert traced.events == ["Nursery:enter", "Sibling:enter", "Sibling:cancel", "Nursery:error"]


def test_a_cancelled_future_is_a_cancel(traced: TracedLogger) -> None:
    """Asking a cancelled `concurrent.futures` future for its result is a cancellation."""
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    future.cancel()
    with pytest.raises(concurrent.futures.CancelledError), trace_action(traced.logger, "A", "m"):
        future.result()
    assert traced.events == ["A:enter", "A:cancel"]


def test_a_subprocess_that_takes_too_long_is_a_timeout(traced: TracedLogger) -> None:
    """`subprocess.run(..., timeout=...)` that runs out of time is a timeout."""
    command = [sys.executable, "-c", "input()"]
    with pytest.raises(subprocess.TimeoutExpired), trace_action(traced.logger, "A", "m"):
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            try:
                process.wait(timeout=0.01)
            finally:
                process.kill()
    assert traced.events == ["A:enter", "A:timeout"]


def test_tracing_does_not_import_what_it_recognises(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Judging an exception loads neither asyncio nor concurrent.futures nor trio."""
    run_python("""
        import logging, sys
        from inspect_trace.action import trace_action
        logger = logging.Logger("x", 1)
        logger.addHandler(logging.NullHandler())
        try:
            with trace_action(logger, "A", "m"):
                raise ValueError
        except ValueError:
            pass
        assert not {"asyncio", "concurrent.futures", "trio", "inspect"} & set(sys.modules)
    """)


# ---------------------------------------------------------------- nesting


def parents(traced: TracedLogger) -> dict[str, str | None]:
    """Each action's parent, by name; checks that both its records agree."""
    names = {r["trace_id"]: r["action"] for r in traced.records}
    found: dict[str, str | None] = {}
    for record in traced.records:
        parent = names[record["parent_id"]] if "parent_id" in record else None
        assert found.setdefault(record["action"], parent) == parent
    return found


def test_nested_actions_name_their_parent(traced: TracedLogger) -> None:
    """`parent_id` is the enclosing action's trace id, after the reference's keys."""
    with trace_action(traced.logger, "A", "m"):
        with trace_action(traced.logger, "B", "m"), trace_action(traced.logger, "C", "m"):
            pass
        with trace_action(traced.logger, "D", "m"):
            pass
    with trace_action(traced.logger, "E", "m"):
        pass
    assert parents(traced) == {"A": None, "B": "A", "C": "B", "D": "A", "E": None}
    assert list(traced.records[1]) == [*REFERENCE_KEYS, "start_time", "parent_id"]


def test_actions_name_their_process_while_another_ones_log_is_open(
    traced: TracedLogger, tmp_path: Path
) -> None:
    """`pid` is in all actions then, whichever log has them, and in none once it is closed."""
    other = TraceHandler(tmp_path / f"trace-{os.getpid() + 1}.log")
    with trace_action(traced.logger, "A", "m"):
        other.close()
    with trace_action(traced.logger, "B", "m"):
        pass
    assert [record.get("pid") for record in traced.records] == [os.getpid()] * 2 + [None] * 2


def test_the_parent_is_back_after_an_error(traced: TracedLogger) -> None:
    """An action left by an exception is nobody's parent any more."""
    with trace_action(traced.logger, "A", "m"):
        with contextlib.suppress(ValueError), trace_action(traced.logger, "B", "m"):
            raise ValueError
        with trace_action(traced.logger, "C", "m"):
            pass
    assert parents(traced) == {"A": None, "B": "A", "C": "A"}


def test_concurrent_tasks_have_the_right_parents(traced: TracedLogger) -> None:
    """Tasks that interleave inside actions of their own do not mix their parents up."""

    async def work(name: str, turns: list[asyncio.Event], index: int) -> None:
        with trace_action(traced.logger, f"Outer{name}", "m"):
            await turns[index].wait()
            with trace_action(traced.logger, f"Inner{name}", "m"):
                if index + 1 < len(turns):
                    turns[index + 1].set()
                await asyncio.sleep(0)

    async def main() -> None:
        turns = [asyncio.Event() for _ in range(3)]
        with trace_action(traced.logger, "Main", "m"):
            tasks = [asyncio.create_task(work(str(i), turns, i)) for i in range(3)]
            await asyncio.sleep(0)
            turns[0].set()
            await asyncio.gather(*tasks)

    asyncio.run(main())
    assert parents(traced) == {
        "Main": None,
        **{f"Outer{i}": "Main" for i in range(3)},
        **{f"Inner{i}": f"Outer{i}" for i in range(3)},
    }


def test_a_thread_in_a_copied_context_has_the_parent(traced: TracedLogger) -> None:
    """A thread run in a copy of the context continues the nesting; a plain thread does not."""

    def work(name: str) -> None:
        with trace_action(traced.logger, name, "m"):
            pass

    with trace_action(traced.logger, "A", "m"):
        for name, context in [
            ("Copied", contextvars.copy_context()),
            ("Plain", contextvars.Context()),
        ]:
            thread = threading.Thread(target=context.run, args=(work, name))
            thread.start()
            thread.join()
        asyncio.run(asyncio.to_thread(work, "ToThread"))
    assert parents(traced) == {"A": None, "Copied": "A", "Plain": None, "ToThread": "A"}


def test_a_task_that_outlives_its_action_keeps_it_as_parent(traced: TracedLogger) -> None:
    """What was started inside an action belongs to it even when that has ended."""

    async def work(go: asyncio.Event) -> None:
        await go.wait()
        with trace_action(traced.logger, "Late", "m"):
            pass

    async def main() -> None:
        go = asyncio.Event()
        with trace_action(traced.logger, "A", "m"):
            task = asyncio.create_task(work(go))
        go.set()
        await task

    asyncio.run(main())
    assert traced.events == ["A:enter", "A:exit", "Late:enter", "Late:exit"]
    assert parents(traced) == {"A": None, "Late": "A"}


def test_a_chain_of_tasks_does_not_keep_its_ancestors(traced: TracedLogger) -> None:
    """Tasks that each start the next inside an action do not pile up finished actions."""

    async def work(left: int, done: asyncio.Event) -> None:
        with trace_action(traced.logger, "A", "m"):
            if left:
                tasks.add(asyncio.create_task(work(left - 1, done)))
            else:
                gc.collect()
                alive = [o for o in gc.get_objects() if isinstance(o, ActionSpan)]
                assert len(alive) < 10
                done.set()

    tasks: set[asyncio.Task[None]] = set()

    async def main() -> None:
        done = asyncio.Event()
        await work(200, done)
        while tasks:
            finished = tasks.copy()
            await asyncio.gather(*finished)
            tasks.difference_update(finished)
        assert done.is_set()

    asyncio.run(main())


def test_actions_that_end_out_of_order_leave_no_stale_parent(traced: TracedLogger) -> None:
    """An action in a plain generator that ends inside its consumer's is cut out of the nesting."""

    def steps() -> Generator[int]:
        with trace_action(traced.logger, "Generator", "m"):
            yield 1

    running = steps()
    next(running)
    with trace_action(traced.logger, "Consumer", "m"):
        running.close()
    with trace_action(traced.logger, "After", "m"):
        pass
    assert traced.events[2:] == [
        *("Generator:cancel", "Consumer:exit"),
        *("After:enter", "After:exit"),
    ]
    assert parents(traced)["After"] is None


def test_leaving_in_another_context_raises_nothing(traced: TracedLogger) -> None:
    """An action may be left in another context than it was entered in, as async fixtures do."""
    block = trace_action(traced.logger, "A", "m")
    contextvars.copy_context().run(block.__enter__)
    contextvars.copy_context().run(block.__exit__, None, None, None)
    assert traced.events == ["A:enter", "A:exit"]


def test_one_object_can_be_entered_again_and_inside_itself(traced: TracedLogger) -> None:
    """Each `with` on the same object is an action of its own."""
    block = trace_action(traced.logger, "A", "m")
    with block, block:
        pass
    with block:
        pass
    ids = [r["trace_id"] for r in traced.records]
    assert ids[0] == ids[3]
    assert ids[1] == ids[2]
    assert ids[4] == ids[5]
    assert len(set(ids)) == 3


# ---------------------------------------------------------------- decorators


def test_a_decorated_function(traced: TracedLogger) -> None:
    """Each call is an action of its own; arguments, result and metadata are the function's."""

    @trace_action(traced.logger, "Add", "two numbers")
    def add(left: int, right: int = 2) -> int:
        """Adds."""
        return left + right

    assert (add(1), add(1, right=5)) == (3, 6)
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert traced.events == ["Add:enter", "Add:exit"] * 2
    assert len({r["trace_id"] for r in traced.records}) == 2


def test_a_decorated_function_that_raises(traced: TracedLogger) -> None:
    """The exception of a decorated function passes unchanged."""
    error = ValueError("no")

    @trace_action(traced.logger, "A", "m")
    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        fail()
    assert caught.value is error
    assert traced.events == ["A:enter", "A:error"]


def test_decorated_methods_of_every_kind(traced: TracedLogger) -> None:
    """Methods, static methods and class methods can be decorated, in either order."""

    class Things:
        @trace_action(traced.logger, "A", "m")
        def method(self) -> Things:
            return self

        @trace_action(traced.logger, "A", "m")
        @staticmethod
        def static(value: int) -> int:
            return value

        @classmethod
        @trace_action(traced.logger, "A", "m")
        def inside(cls) -> type:
            return cls

        @trace_action(traced.logger, "A", "m")
        @classmethod
        def outside(cls) -> type:
            return cls

    things = Things()
    assert things.method() is things
    assert (Things.static(4), things.static(5)) == (4, 5)
    assert Things.inside() is Things
    assert things.outside() is Things
    assert traced.events == ["A:enter", "A:exit"] * 5


def test_recursion_nests(traced: TracedLogger) -> None:
    """A decorated function that calls itself is its own parent."""

    @trace_action(traced.logger, "A", "m")
    def count(left: int) -> None:
        if left:
            count(left - 1)

    count(2)
    ids = [r["trace_id"] for r in traced.records[:3]]
    assert [r.get("parent_id") for r in traced.records[:3]] == [None, *ids[:2]]


def test_a_decorated_coroutine_function(traced: TracedLogger) -> None:
    """It stays a coroutine function; the action lasts until its result."""

    @trace_action(traced.logger, "A", "m")
    async def double(value: int) -> int:
        await asyncio.sleep(0)
        assert traced.events == ["A:enter"]
        return 2 * value

    assert inspect.iscoroutinefunction(double)
    assert asyncio.run(double(4)) == 8
    assert traced.events == ["A:enter", "A:exit"]


def test_a_coroutine_that_is_not_awaited_is_no_action(traced: TracedLogger) -> None:
    """Calling alone starts nothing; closing a coroutine midway is a cancel."""

    @trace_action(traced.logger, "A", "m")
    async def wait() -> None:
        await asyncio.sleep(0)

    wait().close()
    assert traced.events == []
    started = wait()
    started.send(None)
    started.close()
    assert traced.events == ["A:enter", "A:cancel"]


def test_awaitables_of_other_makes(traced: TracedLogger) -> None:
    """`types.coroutine` functions, partials and callable objects are decorated as what they are."""

    @trace_action(traced.logger, "A", "m")
    @types.coroutine
    def old() -> Generator[Any, Any, int]:
        yield from asyncio.sleep(0).__await__()
        return 1

    class Callable:
        async def __call__(self) -> int:
            await asyncio.sleep(0)
            return 2

    async def add(left: int, right: int) -> int:
        await asyncio.sleep(0)
        return left + right

    decorate = trace_action(traced.logger, "A", "m")

    async def main() -> list[int]:
        return [
            await old(),
            await decorate(Callable())(),
            await decorate(functools.partial(add, 1))(2),
        ]

    assert asyncio.run(main()) == [1, 2, 3]
    assert traced.events == ["A:enter", "A:exit"] * 3


def test_a_decorated_generator_function(traced: TracedLogger) -> None:
    """It stays a generator function: values, sends and the return value pass through."""

    @trace_action(traced.logger, "A", "m")
    def echo(first: str) -> Generator[str, str, int]:
        sent = yield first
        sent = yield f"got {sent}"
        return len(sent)

    assert inspect.isgeneratorfunction(echo)
    running = echo("first")
    assert traced.events == []  # not before its first step
    assert next(running) == "first"
    assert running.send("one") == "got one"
    with pytest.raises(StopIteration) as stop:
        running.send("three")
    assert stop.value.value == 5
    assert traced.events == ["A:enter", "A:exit"]


def test_exceptions_thrown_into_a_decorated_generator(traced: TracedLogger) -> None:
    """`throw` reaches the generator, which may go on; what it lets pass is the outcome."""

    @trace_action(traced.logger, "A", "m")
    def stubborn() -> Generator[str, None, None]:
        try:
            yield "first"
        except KeyError:
            yield "caught"
        yield "last"

    running = stubborn()
    next(running)
    assert running.throw(KeyError("k")) == "caught"
    error = ValueError("v")
    with pytest.raises(ValueError, match="v") as caught:
        running.throw(error)
    assert caught.value is error
    assert traced.events == ["A:enter", "A:error"]


def test_closing_a_decorated_generator_is_a_cancel(traced: TracedLogger) -> None:
    """`close`, and being dropped, close the generator inside and record a cancel."""
    closed: list[str] = []

    @trace_action(traced.logger, "A", "m")
    def numbers() -> Generator[int]:
        try:
            yield from range(5)
        finally:
            closed.append("closed")

    running = numbers()
    next(running)
    running.close()
    for number in numbers():
        if number:
            break
    gc.collect()
    assert closed == ["closed"] * 2
    assert traced.events == ["A:enter", "A:cancel"] * 2


def test_a_generator_that_refuses_to_close(traced: TracedLogger) -> None:
    """A generator that yields on `close` gets Python's own complaint, as without tracing."""

    @trace_action(traced.logger, "A", "m")
    def refusing() -> Generator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    running = refusing()
    next(running)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        running.close()


def test_stop_iteration_inside_a_generator_stays_an_error(traced: TracedLogger) -> None:
    """A stray StopIteration is the RuntimeError that it is without tracing."""

    @trace_action(traced.logger, "A", "m")
    def stray() -> Generator[int]:
        yield 1
        raise StopIteration

    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(stray())
    assert traced.events == ["A:enter", "A:error"]


def test_a_generator_is_parent_only_while_its_own_code_runs(traced: TracedLogger) -> None:
    """What the consumer does between two steps is not inside the generator's action."""

    @trace_action(traced.logger, "Generator", "m")
    def steps() -> Generator[int]:
        for number in range(2):
            with trace_action(traced.logger, f"Inside{number}", "m"):
                yield number

    with trace_action(traced.logger, "Consumer", "m"):
        for number in steps():
            with trace_action(traced.logger, f"Outside{number}", "m"):
                pass
    assert parents(traced) == {
        "Consumer": None,
        "Generator": "Consumer",
        "Inside0": "Generator",
        "Inside1": "Generator",
        "Outside0": "Consumer",
        "Outside1": "Consumer",
    }


def test_interleaved_generators_keep_their_own_parents(traced: TracedLogger) -> None:
    """Two generators stepped in turn do not become each other's parents."""

    def steps(name: str) -> Generator[None]:
        for number in range(2):
            with trace_action(traced.logger, f"{name}{number}", "m"):
                yield

    running = [trace_action(traced.logger, name, "m")(steps)(name) for name in "XY"]
    for _ in zip(*running, strict=True):
        pass
    assert parents(traced) == {
        "X": None,
        "X0": "X",
        "X1": "X",
        "Y": None,
        "Y0": "Y",
        "Y1": "Y",
    }


def test_a_decorated_async_generator_function(traced: TracedLogger) -> None:
    """It stays an async generator function; sends, throws and awaits pass through."""

    @trace_action(traced.logger, "A", "m")
    async def echo(first: str) -> AsyncGenerator[str, str]:
        try:
            sent = yield first
            await asyncio.sleep(0)
            yield f"got {sent}"
        except KeyError:
            yield "caught"

    async def main() -> None:
        assert inspect.isasyncgenfunction(echo)
        running = echo("first")
        assert await anext(running) == "first"
        assert await running.asend("one") == "got one"
        assert await running.athrow(KeyError("k")) == "caught"
        with pytest.raises(StopAsyncIteration):
            await anext(running)

    asyncio.run(main())
    assert traced.events == ["A:enter", "A:exit"]


def test_async_generator_outcomes(traced: TracedLogger) -> None:
    """An error inside, an `aclose` and a cancelled consumer are error, cancel and cancel."""
    closed: list[str] = []

    @trace_action(traced.logger, "A", "m")
    async def numbers(error: Exception | None = None) -> AsyncGenerator[int, None]:
        try:
            yield 1
            if error is not None:
                raise error
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def main() -> None:
        error = ValueError("v")
        with pytest.raises(ValueError, match="v") as caught:
            _ = [number async for number in numbers(error)]
        assert caught.value is error

        running = numbers()
        await anext(running)
        await running.aclose()

        running = numbers()
        await anext(running)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(running), 0.01)

    asyncio.run(main())
    assert closed == ["closed"] * 3
    ends = [event for event in traced.events if event != "A:enter"]
    assert ends == ["A:error", "A:cancel", "A:cancel"]


def test_an_abandoned_async_generator_is_closed_once_by_the_loop(traced: TracedLogger) -> None:
    """A generator still suspended when the loop ends is closed, with its finalisation awaited."""
    closed: list[str] = []

    @trace_action(traced.logger, "A", "m")
    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    kept: list[Any] = []

    async def main() -> None:
        running = numbers()
        kept.append(running)
        await anext(running)

    asyncio.run(main())
    assert closed == ["closed"]
    assert traced.events == ["A:enter", "A:cancel"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_generators_are_parents_only_while_their_code_runs(
    traced: TracedLogger, backend: str
) -> None:
    """What the consumer awaits between two steps is not inside the generator's action."""

    @trace_action(traced.logger, "Generator", "m")
    async def steps() -> AsyncGenerator[int, None]:
        for number in range(2):
            with trace_action(traced.logger, f"Inside{number}", "m"):
                await anyio.sleep(0)
                yield number

    async def main() -> None:
        async for number in steps():
            with trace_action(traced.logger, f"Outside{number}", "m"):
                await anyio.sleep(0)

    anyio.run(main, backend=backend)
    assert parents(traced) == {
        "Generator": None,
        **{f"Inside{n}": "Generator" for n in range(2)},
        **{f"Outside{n}": None for n in range(2)},
    }


def test_decorators_pass_everything_through_when_the_level_is_off(traced: TracedLogger) -> None:
    """With tracing off all four kinds behave the same and write nothing."""
    traced.logger.setLevel(logging.INFO)
    decorate = trace_action(traced.logger, "A", "%d", "no number")

    @decorate
    def function() -> int:
        return 1

    @decorate
    def generator() -> Generator[int, int, int]:
        sent = yield 1
        return sent

    @decorate
    async def coroutine() -> int:
        return 1

    @decorate
    async def async_generator() -> AsyncGenerator[int, int]:
        yield (yield 1)

    async def main() -> None:
        running = async_generator()
        assert await anext(running) == 1
        assert await running.asend(7) == 7
        await running.aclose()

    assert function() == 1
    running = generator()
    assert next(running) == 1
    with pytest.raises(StopIteration) as stop:
        running.send(7)
    assert stop.value.value == 7
    assert asyncio.run(coroutine()) == 1
    asyncio.run(main())
    with decorate:
        pass
    assert traced.records == []


def test_no_reference_cycle_keeps_an_exception(traced: TracedLogger) -> None:
    """Exceptions that pass through actions die with their last reference, without the collector."""

    class WatchedError(Exception):
        alive = 0

        def __init__(self) -> None:
            super().__init__()
            WatchedError.alive += 1

        def __del__(self) -> None:
            WatchedError.alive -= 1

    decorate = trace_action(traced.logger, "A", "m")

    @decorate
    def function() -> None:
        raise WatchedError

    @decorate
    def generator() -> Generator[int]:
        yield 1

    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(WatchedError):
            function()
        running = generator()
        next(running)
        with contextlib.suppress(WatchedError):
            running.throw(WatchedError())
        with contextlib.suppress(WatchedError), decorate:
            raise WatchedError
        del running
        assert WatchedError.alive == 0
    finally:
        gc.enable()


# ---------------------------------------------------------------- never into the program


@pytest.mark.parametrize(
    ("message", "args", "kwargs", "reason"),
    [
        ("%d", ("x",), {}, "TypeError"),
        ("%s %s", (1,), {}, "TypeError"),
        ("none", (1,), {}, "TypeError"),
        ("%(a)s", (), {"b": 1}, "KeyError"),
        ("%s", (MuteError(),), {}, "RuntimeError"),
        ("100% sure %", ("x",), {}, "ValueError"),
    ],
)
def test_a_message_that_cannot_be_formatted(
    traced: TracedLogger, message: str, args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    """The message is recorded as given, with the reason, and the program goes on."""
    with trace_action(traced.logger, "A", message, *args, **kwargs):
        pass
    end = closing(traced)
    assert (end["event"], end["detail"]) == ("exit", message)
    assert list(end)[-1] == "format_error"
    assert end["format_error"].startswith(f"{reason}: ")


def test_actions_and_messages_that_are_no_texts(traced: TracedLogger) -> None:
    """Anything given as action or message is recorded as its text."""
    odd: Any = [5, None, MuteError(), b"x"]
    for value in odd:
        with trace_action(traced.logger, value, value):
            pass
        trace_message(traced.logger, "odd", value)
    actions = [r for r in traced.records if "action" in r]
    assert len(actions) == 2 * len(odd)
    assert [r["action"] for r in actions[::2]] == [
        *("5", "None", "<unprintable MuteError object>", "b'x'")
    ]
    assert all(r["action"] == r["detail"] for r in actions)


class Broken(logging.Handler):
    def handle(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("broken handler")


def test_a_broken_handler_does_not_reach_the_program(
    traced: TracedLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    """What another handler raises is told on stderr once, and the program goes on."""
    traced.logger.addHandler(Broken())
    for _ in range(3):
        with trace_action(traced.logger, "A", "m"):
            pass
        trace_message(traced.logger, "c", "m")
    assert traced.events == ["A:enter", "A:exit"] * 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # one for actions, one for messages
    assert all("RuntimeError: broken handler" in line for line in lines)


def test_a_filter_that_raises_does_not_reach_the_program(
    traced: TracedLogger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A logger's filter that raises is contained; in silence where `raiseExceptions` is False."""

    def bad(record: logging.LogRecord) -> bool:
        raise LookupError("bad filter")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    traced.logger.addFilter(bad)
    with pytest.raises(ValueError, match="mine"), trace_action(traced.logger, "A", "m"):
        raise ValueError("mine")
    assert capsys.readouterr().err == ""


def test_a_record_factory_that_sets_our_fields(
    traced: TracedLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a record factory sets a `trace_id` of its own, the action's record has the action's."""
    plain = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        record.trace_id = "otel"
        return record

    logging.setLogRecordFactory(factory)
    try:
        with trace_action(traced.logger, "A", "m"):
            pass
    finally:
        logging.setLogRecordFactory(plain)
    assert closing(traced)["trace_id"] != "otel"


def test_an_interrupt_in_tracing_itself_leaves_no_open_action(traced: TracedLogger) -> None:
    """Ctrl-C that falls into the writing of a record passes on, with the action closed."""

    class Interrupting(logging.Handler):
        left = 1

        def __init__(self, at: str) -> None:
            super().__init__()
            self.at = at

        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "event", None)
            if event == self.at and self.left:
                self.left -= 1
                raise KeyboardInterrupt

    for at in ("enter", "exit"):
        handler = Interrupting(at)
        traced.logger.handlers.insert(0, handler)
        with pytest.raises(KeyboardInterrupt), trace_action(traced.logger, at, "m"):
            pass
        traced.logger.removeHandler(handler)
    assert traced.events == ["enter:cancel", "exit:enter", "exit:exit"]
    with trace_action(traced.logger, "After", "m"):
        pass
    assert "parent_id" not in traced.records[-1]


# ---------------------------------------------------------------- place and level


def line_before() -> int:
    """The number of the line before the call."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno - 1


def test_other_handlers_show_the_line_of_the_program(traced: TracedLogger) -> None:
    """The place of a record is where the program uses the action, not inside the tracing."""
    lines = Lines()
    traced.logger.addHandler(lines)

    @trace_action(traced.logger, "A", "m")
    def function() -> None: ...

    @trace_action(traced.logger, "A", "m")
    def generator() -> Generator[int]:
        yield 1

    @trace_action(traced.logger, "A", "m")
    async def coroutine() -> None: ...

    @trace_action(traced.logger, "A", "m")
    async def async_generator() -> AsyncGenerator[int, None]:
        yield 1

    async def main() -> None:
        await coroutine()
        expected.append(line_before())
        _ = [number async for number in async_generator()]
        expected.append(line_before())

    expected: list[int] = []
    with trace_action(traced.logger, "A", "m"):
        expected.append(line_before())
    function()
    expected.append(line_before())
    list(generator())
    expected.append(line_before())
    asyncio.run(main())
    trace_message(traced.logger, "c", "m")
    expected.append(line_before())
    enters = [r for r in lines.records if getattr(r, "event", "enter") == "enter"]
    assert [(r.filename, r.lineno) for r in enters] == [("test_action.py", n) for n in expected]


def test_a_logger_adapter_keeps_the_actions_fields(traced: TracedLogger) -> None:
    """An adapter's extra fields are added to the action's instead of replacing them."""
    adapter = logging.LoggerAdapter(traced.logger, {"request": 7, "detail": "not this"})
    with trace_action(adapter, "A", "m"):
        pass
    end = closing(traced)
    assert (end["detail"], end["request"]) == ("m", 7)


def test_nothing_is_formatted_while_the_level_is_off(traced: TracedLogger) -> None:
    """With the logger above TRACE an action costs no formatting, not even of its arguments."""

    class Never:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    traced.logger.setLevel(logging.INFO)
    with trace_action(traced.logger, "A", "%s", Never()):
        trace_message(traced.logger, "c", "%s", Never())
    assert traced.records == []


def test_an_action_begun_while_off_has_no_closing_record(traced: TracedLogger) -> None:
    """Switching tracing on midway leaves no exit without its enter."""
    traced.logger.setLevel(logging.INFO)
    with trace_action(traced.logger, "A", "m"):
        traced.logger.setLevel(TRACE)
    assert traced.records == []


# ---------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("category", "message", "args", "kwargs", "expected"),
    [
        ("Sandbox", "plain", (), {}, "[Sandbox] plain"),
        ("Sandbox", "100%", (), {}, "[Sandbox] 100%"),
        ("Sandbox", "%s of %d", ("a", 2), {}, "[Sandbox] a of 2"),
        ("Sandbox", "%(a)s", (), {"a": 5}, "[Sandbox] 5"),
        ("Sandbox", "%(a)s", ({"a": 5},), {}, "[Sandbox] 5"),
        ("100%", "%s", ("x",), {}, "[100%] x"),
        ("100%s", "m", (), {}, "[100%s] m"),
    ],
)
def test_trace_message(
    traced: TracedLogger,
    category: str,
    message: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    expected: str,
) -> None:
    """The category stands in brackets before the message; only the message is a format."""
    trace_message(traced.logger, category, message, *args, **kwargs)
    [record] = traced.records
    assert list(record) == ["timestamp", "level", "message"]
    assert (record["level"], record["message"]) == ("TRACE", expected)


def test_trace_message_takes_the_keywords_of_logging(traced: TracedLogger) -> None:
    """`extra` and `exc_info` mean what they mean to a logger."""
    try:
        raise ValueError("v")
    except ValueError:
        trace_message(traced.logger, "c", "%s", 1, extra={"key": 2}, exc_info=True)
    [record] = traced.records
    assert (record["message"], record["key"]) == ("[c] 1", 2)
    assert record["exc_info"].endswith("ValueError: v")


def test_a_trace_message_that_cannot_be_formatted(traced: TracedLogger) -> None:
    """The message is recorded as given, with the reason."""
    trace_message(traced.logger, "c", "%d", "x")
    [record] = traced.records
    assert record["message"] == "[c] %d"
    assert record["format_error"].startswith("TypeError: ")


def test_the_formatter_sees_the_same_line_as_the_log(traced: TracedLogger) -> None:
    """What `format_record` gives for a record is what stands in the log."""
    lines = Lines()
    traced.logger.addHandler(lines)
    with trace_action(traced.logger, "A", "m %s", "ü"):
        pass
    assert [json.loads(format_record(r)) for r in lines.records] == traced.records
