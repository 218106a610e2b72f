"""Tasks of asyncio, traced where that is asked for."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from inspect_trace import instrument, trace_action
from inspect_trace.instrument import _action

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from .conftest import SourceLog


@pytest.fixture
def log(source_log: SourceLog) -> SourceLog:
    """A log with the source on."""
    instrument.enable("asyncio_tasks")
    return source_log


async def nothing() -> None:
    await asyncio.sleep(0)


def subtasks(log: SourceLog) -> list[tuple[str, str]]:
    """The details and outcomes of the tasks, but for the main one, in the order of their ends."""
    return [(r["detail"], r["event"]) for r in log.ended if "main" not in r["detail"]]


def test_only_for_asking(source_log: SourceLog) -> None:
    """Tasks are not traced where all sources are asked for; only by name."""
    instrument.enable()
    assert "asyncio_tasks" not in instrument.enabled()
    asyncio.run(nothing())
    assert source_log.records == []


def test_names(log: SourceLog) -> None:
    """A task is named as the program named it, or else as its coroutine is called."""

    async def main() -> None:
        await asyncio.create_task(nothing(), name="given")
        await asyncio.create_task(nothing())
        await asyncio.get_running_loop().create_task(nothing(), name="by loop")
        await asyncio.ensure_future(nothing())

    asyncio.run(main())
    assert subtasks(log) == [
        ("given", "exit"),
        ("nothing", "exit"),
        ("by loop", "exit"),
        ("nothing", "exit"),
    ]
    assert {r["action"] for r in log.ended} == {"Subtask"}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no task groups before 3.11")
def test_task_group(log: SourceLog) -> None:
    """Tasks of a group have its names, and each its own outcome."""

    async def fail() -> None:
        raise ValueError("no")

    async def main() -> None:
        async with getattr(asyncio, "TaskGroup")() as group:  # noqa: B009 - since 3.11
            group.create_task(asyncio.sleep(1000), name="hangs")
            group.create_task(nothing(), name="ends")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            group.create_task(fail(), name="fails")

    with pytest.raises(Exception, match="TaskGroup"):
        asyncio.run(main())
    assert sorted(subtasks(log)) == [("ends", "exit"), ("fails", "error"), ("hangs", "cancel")]


def test_nesting(log: SourceLog) -> None:
    """A task belongs to the action that it was made in, and what begins in it to the task."""

    async def inner() -> None:
        with trace_action(_action.LOGGER, "Inner", "i"):
            await asyncio.sleep(0)

    async def main() -> None:
        with trace_action(_action.LOGGER, "Outer", "o"):
            task = asyncio.create_task(inner(), name="middle")
            with trace_action(_action.LOGGER, "Beside", "b"):
                pass
            await task

    asyncio.run(main())
    entered = {r["detail"]: r for r in log.records if r.get("event") == "enter"}
    assert entered["middle"]["parent_id"] == entered["o"]["trace_id"]
    assert entered["b"]["parent_id"] == entered["o"]["trace_id"]
    assert entered["i"]["parent_id"] == entered["middle"]["trace_id"]


def test_an_open_task_shows(log: SourceLog) -> None:
    """A task that waits is open in the log."""

    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(1000), name="waits")
        await asyncio.sleep(0)
        assert subtasks(log) == []
        assert [r["detail"] for r in log.records][-1] == "waits"
        task.cancel()

    asyncio.run(main())
    assert subtasks(log) == [("waits", "cancel")]


def test_asyncio_still_tells_of_lost_errors(
    log: SourceLog, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody retrieves is still told of by asyncio."""

    async def fail() -> None:
        raise ValueError("lost")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    with caplog.at_level(logging.ERROR, "asyncio"):
        asyncio.run(main())
    assert "never retrieved" in caplog.text
    assert next((r["event"], r.get("error")) for r in log.ended) == ("error", "lost")


def test_a_program_of_its_own(
    run_python: Callable[..., subprocess.CompletedProcess[Any]],
) -> None:
    """A program that switches the source on before it uses asyncio has its tasks traced."""
    run_python(
        """
        from inspect_trace import init_tracing, instrument, scan
        tracing = init_tracing()
        instrument.enable("asyncio_tasks", "subprocess")
        import asyncio
        async def main():
            await asyncio.create_task(asyncio.sleep(0), name="later")
        asyncio.run(main())
        path = tracing.path
        tracing.close()
        assert "Subtask: later (exit)" in [record.message for record in scan(path)]
        """
    )
