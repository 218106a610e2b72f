"""An evaluation with all six kinds of action; run as `python evaluation.py LOG_DIR COMPOSE_FILE`.

It runs in a process of its own, with whatever version of inspect_ai its Python has. The log goes to
LOG_DIR, which may be `s3://...`; the sandbox is Docker's, so a stand-in for `docker` has to come
first on the path. With EVALUATION_HANGS set, the tool call of the second sample's second epoch runs
a command that hangs.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import contextlib

from inspect_ai import Task, eval  # noqa: A004
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageTool, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import (
    Generate,
    Solver,
    TaskState,
    generate,
    solver,
    use_tools,
)
from inspect_ai.tool import Tool, ToolError, tool
from inspect_ai.util import sandbox, subprocess, subtask

from reference.evaluation import count_words

logger = logging.getLogger("evaluation")


@tool  # type: ignore[untyped-decorator]
def look() -> Tool:
    """A tool that runs a command in the sandbox."""

    async def execute(command: str) -> str:
        """Run a command.

        Args:
            command: What to run.
        """
        if command == "fail":
            raise ToolError("no such command")
        result = await sandbox().exec(command.split())
        return str(result.stdout)

    return execute


@subtask(name="gives up")  # type: ignore[untyped-decorator]
async def gives_up() -> None:
    """A subtask that fails."""
    raise ValueError("nothing to be done")


@solver  # type: ignore[untyped-decorator]
def the_rest() -> Solver:
    """Subprocesses and subtasks, which end well and badly."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        await subprocess(["echo", "a b"])
        if (state.sample_id, state.epoch) == ("first", 1):
            with contextlib.suppress(TimeoutError):
                await subprocess(["sleep", "1000"], timeout=1)
        await count_words("five words of a text")
        with contextlib.suppress(ValueError):
            await gives_up()
        logger.warning("a warning of sample %s", state.sample_id)
        return state

    return solve


def answer(input: list[Any], *_: object) -> ModelOutput:  # noqa: A002
    """The mock model calls the tool, twice, and then it answers."""
    asked = str(input[0].content)
    calls = sum(isinstance(message, ChatMessageTool) for message in input)
    if calls < 2:
        command = "fail" if calls == 0 else asked
        output = ModelOutput.for_tool_call("mockllm", "look", {"command": command})
    else:
        output = ModelOutput.from_content("mockllm", "An answer.")
    output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)
    return output


def main(log_dir: str, compose_file: str) -> None:
    """Run the evaluation."""
    second = "hang" if os.environ.get("EVALUATION_HANGS") else "echo second"
    task = Task(
        name="six_kinds",
        dataset=[
            Sample(id="first", input="echo first", target="answer"),
            Sample(id="second", input=second, target="answer"),
        ],
        solver=[use_tools(look()), generate(), the_rest()],
        scorer=includes(),
        sandbox=("docker", compose_file),
    )
    (log,) = eval(
        task,
        model=get_model("mockllm/model", custom_outputs=answer),
        epochs=2,
        max_samples=1,
        log_dir=log_dir,
        display="plain",
    )
    sys.exit(0 if log.status == "success" else 3)


if __name__ == "__main__":
    main(*sys.argv[1:])
