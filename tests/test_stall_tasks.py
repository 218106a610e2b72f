"""Where actions of tasks wait: of asyncio, of anyio, of trio."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio

from conftest import DEADLINE_S
from inspect_trace.action import trace_action
from stall_support import Watched, in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    Case = Callable[["Loop"], Awaitable[object]]


class Loop:
    """An event loop of asyncio, in a thread of its own, at something that waits for the test."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.event: asyncio.Event

    def action(self, name: str = "Waits") -> trace_action:
        """What is going to wait."""
        return trace_action(self.watched.logger, name, "d")

    async def wait(self) -> None:
        """What it waits for."""
        await self.event.wait()

    def stack_of(self, case: Case, action: str = "Waits") -> list[str]:
        """Where the action waits in that."""
        ready = threading.Event()

        async def main() -> None:
            self.event = asyncio.Event()
            self.loop = asyncio.get_running_loop()
            ready.set()
            await case(self)

        thread = in_thread(lambda: asyncio.run(main()))
        assert ready.wait(DEADLINE_S)
        try:
            return self.watched.stack_of(action)
        finally:
            with contextlib.suppress(RuntimeError):  # it has ended
                self.loop.call_soon_threadsafe(self.event.set)
            thread.join(DEADLINE_S)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A log that is soon told where an action waits."""
    watched = Watched(tmp_path / "watched.log")
    yield watched
    watched.handler.close()


@pytest.fixture
def loop(watched: Watched) -> Loop:
    """A loop that is not running yet."""
    return Loop(watched)


async def for_an_event(loop: Loop) -> None:
    with loop.action():
        await loop.wait()


async def for_a_future(loop: Loop) -> None:
    future = loop.loop.create_future()
    opened = asyncio.ensure_future(loop.wait())
    opened.add_done_callback(lambda _: future.set_result(None))
    with loop.action():
        await future


async def for_sleep(loop: Loop) -> None:
    with loop.action(), contextlib.suppress(asyncio.TimeoutError):
        sleeping = asyncio.ensure_future(asyncio.sleep(1000), loop=loop.loop)
        sleeping.set_name("sleeper")
        opened = asyncio.ensure_future(loop.wait())
        opened.add_done_callback(lambda _: sleeping.cancel())
        with contextlib.suppress(asyncio.CancelledError):
            await sleeping


async def in_a_nested_coroutine(loop: Loop) -> None:
    async def inner() -> None:
        await loop.wait()

    async def outer() -> None:
        await inner()

    with loop.action():
        await outer()


async def in_an_async_generator(loop: Loop) -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        await loop.wait()

    with loop.action():
        async for _ in items():
            pass


async def as_a_decorator(loop: Loop) -> None:
    @loop.action()
    async def decorated() -> None:
        await loop.wait()

    await decorated()


async def in_a_manager(loop: Loop) -> None:
    @contextlib.contextmanager
    def manager() -> Iterator[None]:
        with loop.action():
            yield

    @contextlib.asynccontextmanager
    async def around() -> AsyncIterator[None]:
        with manager():
            yield

    async with around():
        await loop.wait()


async def in_an_exit_stack(loop: Loop) -> None:
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(loop.action())
        await loop.wait()


async def for_gather(loop: Loop) -> None:
    with loop.action():
        first = asyncio.create_task(loop.wait(), name="wait-1")
        await asyncio.gather(first, loop.wait())


async def for_one_task(loop: Loop) -> None:
    with loop.action():
        await asyncio.create_task(loop.wait(), name="one")


async def for_wait(loop: Loop) -> None:
    with loop.action():
        await asyncio.wait([asyncio.create_task(loop.wait(), name="one")])


async def beside_its_heirs(loop: Loop) -> None:
    async def heir() -> None:
        await asyncio.sleep(1000)

    with loop.action():
        heirs = [asyncio.create_task(heir()) for _ in range(9)]
        await loop.wait()
    for task in heirs:
        task.cancel()


WAITS = ["wait", "wait"]  # that of this module's class, and that of the event in it
CASES = {
    for_an_event: ["main", "for_an_event", *WAITS],
    for_a_future: ["main", "for_a_future"],
    for_sleep: ["main", "for_sleep -> task 'sleeper'", "sleep"],
    in_a_nested_coroutine: ["main", "in_a_nested_coroutine", "outer", "inner", *WAITS],
    in_an_async_generator: ["main", "in_an_async_generator", "items", *WAITS],
    as_a_decorator: ["main", "as_a_decorator", "decorated", *WAITS],
    in_a_manager: ["main", "in_a_manager", *WAITS],
    in_an_exit_stack: ["main", "in_an_exit_stack", *WAITS],
    for_gather: ["main", "for_gather -> 2 tasks, such as 'wait-1'", *WAITS],
    for_one_task: ["main", "for_one_task -> task 'one'", *WAITS],
    for_wait: ["main", "for_wait", "_wait"],
    beside_its_heirs: ["main", "beside_its_heirs", *WAITS],
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_task_that_awaits(loop: Loop, case: Case) -> None:
    """The record has the functions of the task, each awaiting the next, down to the innermost."""
    assert loop.stack_of(case) == CASES[case]  # type: ignore[index]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are task groups from 3.11 on")
def test_a_task_group(loop: Loop) -> None:
    """The end of a task group waits for the tasks that are left, and one of them is followed."""

    async def case(loop: Loop) -> None:
        async def done() -> None: ...

        with loop.action():
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
                group.create_task(done(), name="task-1")
                group.create_task(loop.wait(), name="task-2")
                group.create_task(loop.wait(), name="task-3")

    assert loop.stack_of(case) == [
        "main",
        "case",
        "__aexit__ -> 2 tasks, such as 'task-2'",
        *WAITS,
    ]


def test_the_child_of_a_task(loop: Loop) -> None:
    """An action that a child has begun waits where the child does, not where its parent does."""

    async def case(loop: Loop) -> None:
        async def child() -> None:
            with loop.action("Child"):
                await loop.wait()

        with loop.action():
            await asyncio.create_task(child())

    assert loop.stack_of(case, "Child") == ["child", *WAITS]


def test_around_the_loop(watched: Watched) -> None:
    """An action around a whole event loop waits where the loop's first task waits."""
    ready = threading.Event()

    async def main() -> None:
        global_event.append((asyncio.get_running_loop(), event := asyncio.Event()))
        ready.set()
        await event.wait()

    global_event: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def around() -> None:
        with trace_action(watched.logger, "Around", "d"):
            asyncio.run(main())

    thread = in_thread(around)
    assert ready.wait(DEADLINE_S)
    stack = watched.stack_of("Around")
    [(loop, event)] = global_event
    loop.call_soon_threadsafe(event.set)
    thread.join(DEADLINE_S)
    assert stack == ["main", "wait"]


def test_a_blocked_loop(loop: Loop) -> None:
    """While code blocks the loop, its own action and those of waiting tasks are told, and why."""
    release, blocks = threading.Event(), threading.Event()
    name = "blocker"

    async def block() -> None:
        blocks.set()
        with loop.action("Blocks"):
            release.wait()

    async def case(loop: Loop) -> None:
        with loop.action():
            blocker = asyncio.create_task(block(), name=name)
            await loop.wait()
            await blocker

    def look() -> list[str]:
        assert blocks.wait(DEADLINE_S)
        before = len(loop.watched.stalls_of("Waits"))
        loop.watched.await_stalls("Waits", before + 1)
        found = [*loop.watched.stack_of("Blocks"), "|", *loop.watched.stack_of("Waits")]
        release.set()
        return found

    found: list[str] = []
    looker = in_thread(lambda: found.extend(look()))
    loop.stack_of(case)
    looker.join(DEADLINE_S)
    at = found.index("|")
    assert found[:at][-2:] == ["block", "wait"]
    *waits, last = found[at + 1 :]
    assert waits == ["main", "case", "wait"]
    assert last.startswith("wait -> its turn, while task 'blocker' runs in ")


def test_waiting_for_a_task_that_blocks(loop: Loop) -> None:
    """The chain of awaits goes on in the running code of a task that blocks the loop."""
    release, blocks = threading.Event(), threading.Event()

    async def block() -> None:
        blocks.set()
        release.wait()

    async def case(loop: Loop) -> None:
        with loop.action():
            await asyncio.create_task(block(), name="blocker")

    def look() -> None:
        assert blocks.wait(DEADLINE_S)
        found.extend(loop.watched.stack_of("Waits"))
        release.set()

    found: list[str] = []
    looker = in_thread(look)
    loop.stack_of(case)
    looker.join(DEADLINE_S)
    assert found == ["main", "case -> task 'blocker'", "block", "wait"]


def until_told(watched: Watched, run: Callable[[Callable[[Any], object]], object]) -> list[str]:
    """Where the action waits in what runs, until that is told to stop."""
    started = threading.Event()
    stops: list[Callable[[], object]] = []

    def start(stop: Callable[[], object]) -> None:
        stops.append(stop)
        started.set()

    thread = in_thread(lambda: run(start))
    assert started.wait(DEADLINE_S)
    try:
        return watched.stack_of("Waits")
    finally:
        stops[0]()
        thread.join(DEADLINE_S)


def test_anyio_on_asyncio(watched: Watched) -> None:
    """The end of one of anyio's task groups waits for the tasks that are left."""

    async def wait(event: anyio.Event) -> None:
        await event.wait()

    def run(start: Callable[[Any], object]) -> None:
        async def main() -> None:
            event, loop = anyio.Event(), asyncio.get_running_loop()
            start(lambda: loop.call_soon_threadsafe(event.set))
            with trace_action(watched.logger, "Waits", "d"):
                async with anyio.create_task_group() as group:
                    group.start_soon(wait, event, name="one")

        anyio.run(main, backend="asyncio")

    stack = until_told(watched, run)
    assert stack[:2] == ["main", "__aexit__ -> task 'one'"]
    assert "wait" in stack[2:]


def test_trio(watched: Watched) -> None:
    """Tasks of trio have their chains of awaits, too, through the end of a nursery."""

    async def wait(event: trio.Event) -> None:
        await event.wait()

    def run(start: Callable[[Any], object]) -> None:
        async def main() -> None:
            event, token = trio.Event(), trio.lowlevel.current_trio_token()
            start(lambda: token.run_sync_soon(event.set))
            with trace_action(watched.logger, "Waits", "d"):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait, event, name="one")

        trio.run(main)

    stack = until_told(watched, run)
    assert [entry.partition(" -> ") for entry in stack] == [
        ("main", "", ""),
        ("_real_async_yield", " -> ", "task 'one'"),
        ("wait", "", ""),
        ("_real_async_yield", "", ""),
    ]
