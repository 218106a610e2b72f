"""A log that several programs write to: whose actions still run is told of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.screen import Program

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run


def open_actions(inspect_trace: Run, log: str) -> dict[str, str]:
    """What is said of actions that have not ended, by their details."""
    found = json.loads(inspect_trace("anomalies", "--json", log).stdout)
    return {
        action["detail"]: "interrupted" if action["interrupted"] else "running"
        for action in found["running"]
    }


def test_a_log_that_is_named_after_another_program(
    inspect_trace: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Who was given another one's log outlives it, or is outlived by it."""
    with Program(tmp_path, environment) as owner:
        owner.tell("begin", "owner")
        variables = {"INSPECT_TRACE_FILE": owner.path}
        with (
            Program(tmp_path, environment, **variables) as first,
            Program(tmp_path, environment, **variables) as second,
        ):
            assert first.path == second.path == owner.path
            first.tell("begin", "first")
            second.tell("begin", "second")
            running = {"owner": "running", "first": "running", "second": "running"}
            assert open_actions(inspect_trace, owner.path) == running
            first.kill()
            running["first"] = "interrupted"
            assert open_actions(inspect_trace, owner.path) == running
            owner.kill()
            running["owner"] = "interrupted"
            assert open_actions(inspect_trace, owner.path) == running
        assert set(open_actions(inspect_trace, owner.path).values()) == {"interrupted"}


def test_a_log_that_is_named_after_nobody(
    inspect_trace: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Of who came later it is told whether it lives."""
    variables = {"INSPECT_TRACE_FILE": str(tmp_path / "shared.log")}
    with (
        Program(tmp_path, environment, **variables) as first,
        Program(tmp_path, environment, **variables) as second,
    ):
        first.tell("begin", "first")
        second.tell("begin", "second")
        second.kill()
        told = open_actions(inspect_trace, first.path)
        assert told == {"first": "running", "second": "interrupted"}
