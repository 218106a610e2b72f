"""A traced program: three agents work at the same time, and one of them never comes back.

`make demo` runs it and kills it. To watch it yourself:

    python examples/agents.py &
    inspect trace anomalies
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

from inspect_trace import init_tracing, trace_action, trace_message

logger = logging.getLogger(__name__)


async def agent(number: int, tool_calls: int) -> None:
    """An agent as there are many: it asks a model, calls a tool, and asks again."""
    with trace_action(logger, "Agent", "agent %d", number):
        for turn in range(1, tool_calls + 1):
            with trace_action(logger, "Model", "generate (agent %d, turn %d)", number, turn):
                await asyncio.sleep(0.01)
            # Threads that `asyncio.to_thread` starts keep the context: the tool's actions are
            # traced as parts of this agent.
            await asyncio.to_thread(run_tool, f"print('agent {number}, turn {turn}')")


def run_tool(program: str) -> None:
    """A tool: a program in a process of its own."""
    command = [sys.executable, "-c", program]
    with trace_action(logger, "Subprocess", "python -c %s", repr(program)):
        subprocess.run(command, check=True, timeout=30, capture_output=True)


async def impatient_agent() -> None:
    """An agent whose model takes too long, and which goes on without it."""
    with trace_action(logger, "Agent", "agent 2"):
        try:
            with trace_action(logger, "Model", "generate (agent 2, turn 1)"):
                await asyncio.wait_for(asyncio.Event().wait(), timeout=0.05)
        except asyncio.TimeoutError:
            trace_message(logger, "Agent", "agent 2 does without its model")
        try:
            with trace_action(logger, "Tool Call", "read_file('/no/such/file')"):
                Path("/no/such/file").read_text()
        except FileNotFoundError:
            trace_message(logger, "Agent", "agent 2 does without its file")


async def unlucky_agent(is_stuck: asyncio.Event) -> None:
    """An agent whose tool waits for an answer that nobody will send."""
    with (
        trace_action(logger, "Agent", "agent 3"),
        trace_action(logger, "Tool Call", "ask_human('May I delete the database?')"),
    ):
        is_stuck.set()
        reader, _writer = os.pipe()  # nobody writes to it
        await asyncio.to_thread(os.read, reader, 1)


async def main() -> None:
    """Starts the agents, and says when only the stuck one is left."""
    is_stuck = asyncio.Event()
    stuck = asyncio.create_task(unlucky_agent(is_stuck))
    await asyncio.gather(agent(1, tool_calls=2), impatient_agent(), is_stuck.wait())
    print("every other agent is done; waiting for agent 3", flush=True)
    await stuck


if __name__ == "__main__":
    init_tracing()
    asyncio.run(main())
