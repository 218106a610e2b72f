"""`inspect-trace run -m inspect_ai eval ...`: sources beside inspect_ai, and nothing twice."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from conftest import finish, records_of

if TYPE_CHECKING:
    from engine.conftest import Home

TASK = """
import logging, subprocess
from inspect_ai import Task, task
from inspect_ai._util.trace import trace_action
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate, solver
from inspect_ai.util import subprocess as traced_by_inspect_ai

output = ModelOutput.from_content("mockllm", "An answer.")
output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)

@solver
def works():
    async def solve(state, generate):
        await traced_by_inspect_ai(["echo", "theirs"])
        await traced_by_inspect_ai(["docker", "compose", "ls"])
        with trace_action(logging.getLogger("inspect_ai.test"), "Encloses", "it"):
            subprocess.run(["echo", "ours"], capture_output=True, check=True)
        return await generate(state)
    return solve

@task
def runs():
    return Task(
        dataset=[Sample(input="x", target="y")], solver=[works()],
        model=get_model("mockllm/model", custom_outputs=[output]),
    )
"""


def test_an_evaluation(home: Home) -> None:
    """inspect_ai's actions and those of sources are in one log, each process as one action."""
    (home.path / "task.py").write_text(textwrap.dedent(TASK))
    arguments = ("eval", "task.py", "--display", "none", "--log-dir", "logs")
    with home.start("-m", "inspect_trace", "run", "-m", "inspect_ai", *arguments) as process:
        _, errors = finish(process)
    assert (process.returncode, errors) == (0, "")
    records = records_of(home.log_of(process.pid))
    entered = [
        (record["action"], record["detail"], record.get("sample_id"))
        for record in records
        if record.get("event") == "enter"
    ]
    mine = [action for action in entered if "echo" in action[1] or "docker" in action[1]]
    assert [action[:2] for action in mine] == [
        ("Subprocess", "echo theirs"),
        ("Subprocess", "docker compose ls"),
        ("Subprocess", "echo ours"),
    ]
    assert [action for action in entered if action[0] == "Model"] == [
        ("Model", "generate (mockllm/model)", 1)
    ]
    (outer,) = [r for r in records if r.get("action") == "Encloses" and r["event"] == "enter"]
    (ours,) = [r for r in records if r.get("detail") == "echo ours" and r["event"] == "enter"]
    assert ours["parent_id"] == outer["trace_id"]
    assert len(list(home.traces.glob("trace-*"))) == 1
