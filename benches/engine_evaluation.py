"""An evaluation of many samples with the mock model; `bench_engine.py` runs it as a process.

python benches/engine_evaluation.py SAMPLES LOG_DIR

Each sample asks the model twice, with a tool call between. The run time of `eval()` is printed in
seconds, and how many records the trace log has got by then.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from inspect_ai import Task, eval  # noqa: A004
from inspect_ai._util import logger as inspect_logger
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageTool, ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, tool


@tool  # type: ignore[untyped-decorator]
def add() -> Tool:
    """A tool that takes no time."""

    async def execute(x: int, y: int) -> int:
        """Add two numbers.

        Args:
            x: The one.
            y: The other.
        """
        return x + y

    return execute


def answer(messages: list[Any], *_: object) -> ModelOutput:
    """Calls the tool, then answers."""
    if any(isinstance(message, ChatMessageTool) for message in messages):
        output = ModelOutput.from_content("mockllm", "3")
    else:
        output = ModelOutput.for_tool_call("mockllm", "add", {"x": 1, "y": 2})
    output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)
    return output


def main(samples: int, log_dir: str) -> None:
    """Runs the evaluation."""
    task = Task(
        dataset=[Sample(id=f"s-{number}", input="1 + 2?", target="3") for number in range(samples)],
        solver=[use_tools(add()), generate()],
    )
    model = get_model("mockllm/model", custom_outputs=answer)
    start_s = time.perf_counter()
    (log,) = eval(task, model=model, display="none", log_dir=log_dir)
    duration_s = time.perf_counter() - start_s
    if log.status != "success":
        raise SystemExit(f"the evaluation has failed: {log.error}")
    handler: Any = inspect_logger._logHandler["handler"]  # noqa: SLF001
    handler.trace_logger.flush()
    trace = Path(handler.trace_logger.baseFilename)
    with trace.open("rb") as file:
        lines = sum(1 for _ in file)
    print(duration_s, lines, type(handler.trace_logger).__name__)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
