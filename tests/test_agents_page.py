"""docs/agents.md: the commands that it shows print what it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```console\n\$ inspect-trace ([^\n]*)\n(.*?)```", PAGE, flags=re.DOTALL)
PROCESS = re.compile(r"\btrace-(\d+)\.log")


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program of the page, once only the agent is left that hangs."""
    environment = {key: value for key, value in os.environ.items() if "INSPECT_" not in key}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "agents.py")],
        env={**environment, "INSPECT_TRACE_DIR": str(tmp_path), "INSPECT_TRACE_STALL_S": "0"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "waiting for agent 3" in process.stdout.readline()
        yield process
        process.kill()


def values(text: str) -> list[Any]:
    """The JSON values of an output, without what differs from run to run."""
    ids: dict[str, str] = {}

    def plain(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {inner: plain(inner, value[inner]) for inner in value}
        if isinstance(value, list):
            return [plain(key, inner) for inner in value]
        if key in ("trace_id", "parent_id", "run_id", "timestamp", "file", "trace_file"):
            return ids.setdefault(value, f"<{key} {len(ids)}>")
        return f"<{key}>" if isinstance(value, float) or key in ("pid", "size") else value

    one = [text] if text.startswith(("{\n", "[")) else text.splitlines()
    return [plain("", json.loads(part)) for part in one]


def printed(arguments: list[str], directory: Path) -> str:
    """What a command prints of the logs in a directory."""
    done = subprocess.run(
        [sys.executable, "-m", "inspect_trace", *arguments],
        env={**os.environ, "INSPECT_TRACE_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_page_shows_what_is_printed(agents: subprocess.Popen[str], tmp_path: Path) -> None:
    """Each command, of a run of the same program, has the same keys, words and counts."""
    assert len(SHOWN) == 3
    for command, output in SHOWN:
        assert "--no-detail" in command
        arguments = PROCESS.sub(f"trace-{agents.pid}.log", command).split()
        now = printed(arguments, tmp_path)
        if "--tail" in arguments:
            # Which agent ends last depends on the machine: what the page shows is among the
            # records of this run, and the command prints the last ones.
            tail = arguments.index("--tail")
            count = int(arguments.pop(tail + 1))
            arguments.pop(tail)
            every = printed(arguments, tmp_path).splitlines()
            assert now.splitlines() == every[-count:], command
            assert len(output.splitlines()) == count
            there = [values(line) for line in every]
            for line in output.splitlines():
                assert values(line) in there, command
        else:
            assert values(now) == values(output), command


def test_the_fields_that_are_explained_are_there() -> None:
    """Each field that a table tells about is in one of the outputs, or said to be elsewhere."""
    outputs = "".join(output for _, output in SHOWN)
    explained = {
        field
        for row in re.findall(r"^\| (`[^|]*) \|", PAGE, flags=re.MULTILINE)
        for field in re.findall(r"`(\w+)`", row)
    }
    # Not in the logs of this program: it has no samples, children or HTTP requests.
    elsewhere = {"sample_id", "epoch"}
    missing = {field for field in explained - elsewhere if f'"{field}":' not in outputs}
    assert missing == set()
