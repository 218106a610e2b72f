"""A real inspect_ai evaluation, small enough for a test and with every kind of record in its trace.

Run as a script, in a process of its own: `python evaluation.py MODE WORK_DIR`, with XDG_DATA_HOME
set to a private directory, so that inspect_ai writes its trace there. Modes:

- `finish`: the evaluation ends and the process leaves cleanly (inspect_ai then gzips its log);
- `hang`: as its last act the evaluation hangs inside two open actions; the line `hanging` on
  stdout says that it does. It stays there until it is killed, or its stdin is closed.

Nothing here depends on timing: the timeouts are of commands that would never end by themselves.
"""

from __future__ import annotations

import asyncio
import http.server
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import httpx
from inspect_ai import Task, eval  # noqa: A004
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessageTool,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
    execute_tools,
    get_model,
)
from inspect_ai.model._providers.util.hooks import HttpxHooks
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, tool
from inspect_ai.util import sandbox, subtask, trace_action, trace_message

logger = logging.getLogger("evaluation")
logger.setLevel("DEBUG")  # inspect_ai lets a user's own loggers through only when told to

AWKWARD = "naïve 漢字 🧵 \x1b[31mred\x1b[0m [bold]markup[/bold] tab\there"
STATUSES = (200, 201, 204, 404, 429, 503)


class Server(http.server.BaseHTTPRequestHandler):
    """Answers `/<status>` with that status."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(int(self.path.lstrip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent."""


def answer(*_: object) -> ModelOutput:
    """What the mock model says (with its usage, or inspect_ai would fetch a tokenizer)."""
    output = ModelOutput.from_content("mockllm", "An answer.")
    output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)
    return output


@tool  # type: ignore[untyped-decorator]
def list_directory() -> Tool:
    """A tool which runs a command in the sandbox."""

    async def execute(directory: str) -> str:
        """List a directory.

        Args:
            directory: What to list.
        """
        result = await sandbox().exec(["ls", "-a", directory])
        return str(result.stdout)

    return execute


@subtask(name="count words")  # type: ignore[untyped-decorator]
async def count_words(text: str) -> int:
    """A subtask, with an action of its own inside."""
    with trace_action(logger, "Count", "words of %s", text):
        return len(text.split())


async def make_requests(base_url: str) -> None:
    """Real requests through the hooks which inspect_ai's model providers use."""
    async with httpx.AsyncClient() as client:
        HttpxHooks(client)
        for status in STATUSES:
            await client.get(f"{base_url}/{status}")


@solver  # type: ignore[untyped-decorator]
def probe(base_url: str, *, hang: bool) -> Solver:
    """Leave each kind of record in the trace, and hang in the last sample when asked to."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state = await generate(state)
        call = ModelOutput.for_tool_call("mockllm", "list_directory", {"directory": "."})
        state.messages.append(call.message)
        result = await execute_tools(state.messages, [list_directory()])
        assert isinstance(result.messages[0], ChatMessageTool)
        state.messages.extend(result.messages)

        if state.sample_id == "first" and state.epoch == 1:
            try:
                await sandbox().exec(["sleep", "1000"], timeout=1)
            except TimeoutError:
                trace_message(logger, "Probe", "%s timed out, as it should", "sleep")

        try:
            with trace_action(logger, "Custom", "fails (%d)", 7):
                raise ValueError(f"no such thing: {AWKWARD}\nsecond line")
        except ValueError:
            pass

        with anyio.CancelScope() as scope, trace_action(logger, "Custom", "is cancelled"):
            scope.cancel()
            await anyio.sleep_forever()

        with trace_action(logger, "Custom", f"succeeds {AWKWARD}"):
            await count_words("five words of a text")

        await make_requests(base_url)
        logger.warning("a warning of sample %s", state.sample_id)

        if hang and state.sample_id == "second" and state.epoch == 2:
            with trace_action(logger, "Outer", "hangs"), trace_action(logger, "Hang", AWKWARD):
                print("hanging", flush=True)  # noqa: T201
                await asyncio.to_thread(sys.stdin.read)
        return state

    return solve


def main(mode: str, work_dir: Path) -> None:
    """Run the evaluation, one sample at a time."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    task = Task(
        dataset=[Sample(id="first", input="Say something."), Sample(id="second", input="Again.")],
        solver=probe(f"http://127.0.0.1:{server.server_port}", hang=mode == "hang"),
        sandbox="local",
        config=GenerateConfig(max_tokens=10),
    )
    logs = eval(
        task,
        model=get_model("mockllm/model", custom_outputs=answer),
        epochs=2,
        max_samples=1,
        display="none",
        log_dir=str(work_dir / "eval-logs"),
        log_level="warning",
    )
    assert logs[0].status == "success", logs[0].error and logs[0].error.message
    server.shutdown()
    print("finished", os.getpid(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
