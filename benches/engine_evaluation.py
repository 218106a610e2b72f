"""An evaluation of many samples with the mock model; `bench_engine.py` runs it as a process.

python benches/engine_evaluation.py SAMPLES LOG_DIR

Each sample asks the model twice, with a tool call between. What it took is printed as JSON, in
seconds: the run time of `eval()`, and the processor time within the handler that writes the trace
log, of our own threads, of importing our package, and of the whole process until then.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspect_ai import Task, eval  # noqa: A004
from inspect_ai._util import logger as inspect_logger
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageTool, ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Callable


class Meter:
    """Sums up the processor time within a method that is called with one argument."""

    def __init__(self) -> None:
        self.spent_ns = self.calls = 0

    def put_around(self, of: type, name: str) -> None:
        """Count what the method of a class takes, of objects of that very class."""
        measured: Callable[[Any, Any], None] = getattr(of, name)

        def method(this: Any, argument: Any) -> None:
            if type(this) is not of:
                return measured(this, argument)
            start_ns = time.thread_time_ns()
            measured(this, argument)
            self.spent_ns += time.thread_time_ns() - start_ns
            self.calls += 1
            return None

        setattr(of, name, method)

    def spent_s(self) -> float:
        """Seconds, without what measuring itself takes."""
        empty_ns = []
        for _ in range(10_000):
            start_ns = time.thread_time_ns()
            empty_ns.append(time.thread_time_ns() - start_ns)
        return max(0, self.spent_ns - self.calls * sorted(empty_ns)[5_000]) / 1e9


def threads_s() -> float:
    """What our own threads have taken until now, that still live."""
    spent_ns = 0
    for thread in Path("/proc/self/task").iterdir():
        if (thread / "comm").read_text().startswith("inspect-trace"):
            spent_ns += int((thread / "schedstat").read_text().split()[0])
    return spent_ns / 1e9


def measured_handler() -> tuple[Meter, float]:
    """The meter of the handler that will write, and how long importing ours takes."""
    meter = Meter()
    if os.environ["INSPECT_TRACE_ENGINE"] == "inspect_ai":
        meter.put_around(logging.FileHandler, "emit")
        return meter, 0.0
    start_s = time.thread_time()
    from inspect_trace.engine._handler import EngineHandler

    import_s = time.thread_time() - start_s
    meter.put_around(EngineHandler, "emit")
    return meter, import_s


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
    meter, import_s = measured_handler()
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
    found = {
        "handler": type(handler.trace_logger).__name__,
        "records": lines,
        "calls": meter.calls,
        "eval_s": duration_s,
        "in_handler_s": meter.spent_s(),
        "in_threads_s": threads_s(),
        "import_s": import_s,
        "cpu_s": time.process_time(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
