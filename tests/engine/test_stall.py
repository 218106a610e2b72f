"""Where inspect_ai's own actions wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conftest import records_of

if TYPE_CHECKING:
    from engine.conftest import Home


def test_its_actions_are_told_where_they_wait(home: Home) -> None:
    """An action of inspect_ai's waits where the task does that has begun it, while it is open."""
    done = home.run(
        """
        import asyncio, time
        assert activate()
        inspect_logger.init_logger("warning")

        def is_told(action):
            path = handler().trace_logger.baseFilename
            return any(f"] {action}: open for" in line for line in open(path))

        async def inner(event):
            await event.wait()

        async def outer(event):
            with trace_action(log, "Do", "it"):
                await inner(event)

        async def main():
            event = asyncio.Event()
            with trace_action(log, "Quick", "it"):
                pass
            task = asyncio.create_task(outer(event))
            deadline = time.monotonic() + 30
            while not is_told("Do"):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.005)
            event.set()
            await task
            with trace_action(log, "Blocks", "it"):
                while not is_told("Blocks"):
                    assert time.monotonic() < deadline
                    time.sleep(0.005)

        asyncio.run(main())
        """,
        INSPECT_TRACE_STALL_S="0.05",
    )
    assert (done.returncode, done.errors) == (0, "")
    records = records_of(home.log_of(done.pid))
    actions = {r["trace_id"]: r["action"] for r in records if r.get("event") == "enter"}
    stacks = {
        actions[r["trace_id"]]: [frame["function"] for frame in r["stack"]]
        for r in records
        if r.get("event") == "stall"
    }
    assert set(stacks) == {"Do", "Blocks"}
    assert stacks["Do"] == ["outer", "inner", "Event.wait"]
    assert "main" in stacks["Blocks"]
