"""The evaluation of docs/diagnose.md: of its samples one may wait for a server for ever."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessageTool,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    modelapi,
)
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import bash

TURNS = (
    "ls -la",
    "cat notes.txt",
    "sleep 0.4; grep -c . notes.txt",
)


@modelapi(name="example")
class Example(ModelAPI):  # type: ignore[misc]
    """A model that asks for the same commands each time, after a while."""

    async def generate(self, input: Any, *_: Any, **__: Any) -> ModelOutput:  # noqa: A002
        asked = str(input[0].content)
        calls = sum(isinstance(message, ChatMessageTool) for message in input)
        await asyncio.sleep(random.Random(f"{asked} {calls}").lognormvariate(-0.7, 0.7))
        commands = [*TURNS, asked]
        if calls < len(commands):
            output = ModelOutput.for_tool_call("agent", "bash", {"command": commands[calls]})
        else:
            output = ModelOutput.from_content("agent", "done")
        output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)
        return output


@task  # type: ignore[untyped-decorator]
def triage(last: str = "echo 7") -> Task:
    """Each sample ends with a command of its own; that of the seventh is `last`."""
    return Task(
        dataset=[
            Sample(id=f"s-{n}", input=last if n == 7 else f"echo {n}", target="done")
            for n in range(1, 13)
        ],
        solver=[use_tools(bash(timeout=None)), generate()],
        scorer=includes(),
        model=get_model("example/agent"),
        sandbox="local",
    )
