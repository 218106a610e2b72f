"""An evaluation that hangs and is killed: what `inspect trace anomalies` tells of it.

Docker is a stand-in that hangs on demand.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

from conftest import DEADLINE_S
from engine.conftest import PYTHON, Home, kill_group, start_evaluation

if TYPE_CHECKING:
    from pathlib import Path

    from engine.conftest import Bucket


def hang_and_kill(home: Home, bucket: Bucket, verb: str) -> int:
    """Have the stand-in for docker hang at a verb, and kill the evaluation then."""
    hung = home.path / "hung"
    process = start_evaluation(
        home,
        bucket,
        f"hung-{verb}",
        EVALUATION_HANGS="1",
        STAND_IN_HANGS=verb,
        STAND_IN_HUNG=str(hung),
        INSPECT_TRACE_STALL_S="0.2",
    )
    try:
        deadline_s = time.monotonic() + DEADLINE_S
        while not hung.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline_s
            time.sleep(0.01)  # another process makes it, and nothing tells when
        while not home.command("anomalies", f"trace-{process.pid}.log")["running"][0].get("stack"):
            assert time.monotonic() < deadline_s
        process.kill()
        process.wait()
    finally:
        kill_group(process)
    assert process.returncode == -9
    return process.pid


def table(home: Home, log: Path) -> list[str]:
    """The lines of our table, as `inspect trace anomalies` prints it."""
    done = subprocess.run(
        [os.path.join(os.path.dirname(PYTHON), "inspect"), "trace", "anomalies", str(log)],  # noqa: PTH118, PTH120
        env=home.environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_tool_call_that_hangs_in_the_stand_in_for_docker(home: Home, bucket: Bucket) -> None:
    """After SIGKILL: the hung command, its task, sample and epoch, and the tool call around it."""
    pid = hang_and_kill(home, bucket, "exec")
    answer = home.command("anomalies", f"trace-{pid}.log")
    assert answer["process"]["alive"] is False
    hung: dict[str, Any] = answer["running"][0]
    assert hung["action"] == "Subprocess"
    assert hung["detail"].startswith("docker compose ")
    assert hung["detail"].endswith("default hang")
    assert hung["interrupted"] is True
    assert (hung["task"], hung["sample_id"], hung["epoch"]) == ("six_kinds", "second", 1)
    around = hung["enclosing"]
    assert (around[0]["action"], around[0]["detail"]) == ("Tool Call", "look(command='hang')")
    assert [outer["action"] for outer in around[1:]] in ([], ["Run Task"])
    assert [row["action"] for row in answer["running"]] == [
        "Subprocess",
        *(outer["action"] for outer in around),
    ]

    functions = [frame["function"].rpartition(".")[2] for frame in hung["stack"]]
    assert functions.index("execute") < functions.index("exec")  # and on in inspect_ai

    lines = table(home, home.log_of(pid))
    at = lines.index("    of task six_kinds, sample second, epoch 1")
    assert "default hang" in lines[at - 1]
    assert lines[at + 1] == "    in Tool Call: look(command='hang')"
    waits = lines[at + 1 + len(around) :]
    assert waits[0].startswith("    at ")
    assert any(line.startswith("    from look.<locals>.execute (") for line in waits)
    assert "Interrupted Actions" in lines


def test_compose_up_that_hangs_in_the_stand_in_for_docker(home: Home, bucket: Bucket) -> None:
    """After SIGKILL: the hung control command of Docker Compose, with the sample it was for."""
    pid = hang_and_kill(home, bucket, "up")
    answer = home.command("anomalies", f"trace-{pid}.log")
    hung = answer["running"][0]
    assert hung["detail"].startswith("docker compose ")
    assert " up --detach --wait" in hung["detail"]
    assert (hung["task"], hung["sample_id"], hung["epoch"]) == ("six_kinds", "first", 1)
