"""A real evaluation of several samples and epochs, traced by us from inside inspect_ai.

Docker is a stand-in, an executable on the path: what is shown is how its commands are traced.
"""

from __future__ import annotations

import json
import re
import stat
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from conftest import DEADLINE_S
from engine.conftest import PYTHON

if TYPE_CHECKING:
    from engine.conftest import Both, Bucket, Evaluated


class KindOfAction(NamedTuple):
    """What has to be traced: records of this action whose detail begins so, and how they end."""

    action: str
    detail: str
    outcomes: set[str]


KINDS = {
    "model_generate": KindOfAction("Model", "generate (mockllm/model)", {"exit"}),
    "subprocess": KindOfAction("Subprocess", "echo 'a b'", {"exit"}),
    "subprocess_timeout": KindOfAction("Subprocess", "sleep 1000", {"timeout"}),
    "docker_compose_of_the_stand_in": KindOfAction("Subprocess", "docker compose ", {"exit"}),
    "log_write_to_s3": KindOfAction("Log Write", "s3://evaluations/", {"exit"}),
    "tool_call": KindOfAction("Tool Call", "look(", {"exit", "error"}),
    "subtask": KindOfAction("Subtask", "", {"exit", "error"}),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_all_kinds_of_action_are_traced_with_their_outcomes(both: Both, kind: KindOfAction) -> None:
    """Each of the six kinds is in the log, and each action of it has ended, once."""
    found: dict[str, list[str]] = {}
    for record in both.ours.records:
        if record.get("action") == kind.action and record["detail"].startswith(kind.detail):
            found.setdefault(record["trace_id"], []).append(record["event"])
    assert found
    assert all(events[0] == "enter" and len(events) == 2 for events in found.values())
    assert {events[1] for events in found.values()} == kind.outcomes


@pytest.mark.parametrize("verb", ["config", "up", "ps", "exec", "down"])
def test_compose_commands_of_the_stand_in_are_traced(both: Both, verb: str) -> None:
    """What controls Docker Compose can be told apart by its command."""
    assert any(
        record.get("action") == "Subprocess"
        and re.match(f"docker compose .*{verb}", record["detail"])
        for record in both.ours.records
    )


def test_the_records_are_those_of_inspect_ais_own_writer(both: Both) -> None:
    """With our engine the log has the records that inspect_ai's own writer would have written."""
    theirs = read_log(both.theirs, f"trace-{both.theirs.pid}.log.gz")
    assert outline(both.ours.records) == outline(theirs)
    added = {"parent_id", "task", "sample_id", "epoch"}
    for ours, their in zip(by_message(both.ours.records), by_message(theirs), strict=True):
        assert set(their) - {"taskName"} <= set(ours)
        assert set(ours) - set(their) <= added


def read_log(evaluated: Evaluated, name: str) -> list[dict[str, Any]]:
    """The records of a log, as our command gives them."""
    path = evaluated.home.traces / name
    done = subprocess.run(
        [PYTHON, "-m", "inspect_trace", "dump", str(path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def by_message(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, in an order that does not depend on which of two concurrent ones was first."""
    return sorted(records, key=lambda record: without_chance(record["message"]))


def outline(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What of the records is no matter of chance."""
    return [
        (record["level"], without_chance(record["message"]), record.get("event"))
        for record in by_message(records)
    ]


def test_actions_of_a_sample_name_it(both: Both) -> None:
    """Every action of a sample has its task, id and epoch, whatever version inspect_ai is."""
    calls = [r for r in both.ours.records if r.get("action") in ("Model", "Tool Call", "Subtask")]
    assert {(r["task"], r["sample_id"], r["epoch"]) for r in calls} == {
        ("six_kinds", sample, epoch) for sample in ("first", "second") for epoch in (1, 2)
    }


def test_enclosing_actions_are_told(both: Both) -> None:
    """The command that a tool runs is inside of the tool call, a subtask's action in that."""
    actions = {r["trace_id"]: r for r in both.ours.records if r.get("event") == "enter"}
    echoes = [r for r in actions.values() if re.search("exec .*echo (first|second)", r["detail"])]
    assert len(echoes) == 4
    for echo in echoes:
        call = actions[echo["parent_id"]]
        assert call["action"] == "Tool Call"
        assert (call["sample_id"], call["epoch"]) == (echo["sample_id"], echo["epoch"])
        outer = actions.get(call.get("parent_id"))
        assert outer is None or outer["action"] == "Run Task"
    counts = [r for r in actions.values() if r["action"] == "Count"]
    assert {actions[count["parent_id"]]["action"] for count in counts} == {"Subtask"}
    exits = {r["trace_id"]: r for r in both.ours.records if r.get("event") == "exit"}
    for count in counts:
        assert exits[count["trace_id"]]["parent_id"] == count["parent_id"]


def test_the_log_is_kept_as_ours_are(both: Both) -> None:
    """At the end our log is plain and private; without us inspect_ai has compressed its own."""
    log = both.ours.home.log_of(both.ours.pid)
    assert [path for path in log.parent.iterdir() if not path.is_dir()] == [log]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert [path.name for path in both.theirs.home.traces.iterdir()] == [
        f"trace-{both.theirs.pid}.log.gz"
    ]


def test_exit_code_and_output_are_the_same(both: Both) -> None:
    """The evaluation prints the same, and leaves with the same code."""
    assert both.ours.returncode == both.theirs.returncode == 0
    assert printed(both.ours.output) == printed(both.theirs.output)
    assert printed(both.ours.errors) == printed(both.theirs.errors)


def printed(text: str) -> list[str]:
    """What was printed but for times, ids, and how often progress was shown."""
    text = re.sub(r"^\[\S+ [\d:]+\]", lambda match: " " * len(match[0]), text, flags=re.MULTILINE)
    lines = [without_chance(line).rstrip() for line in text.splitlines()]
    return [re.sub(r"[\d:]+$", "T", line) if "total time" in line else line for line in lines
            if "Steps:" not in line and line]  # fmt: skip


CHANCE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:+.-]+Z?)"
    r"|(?P<id>(?<![0-9A-Za-z])[2-9A-HJ-NP-Za-km-z]{22})"
    r"|(?P<project>inspect-\w+-i\w+)"
    r"|(?P<dir>s3://evaluations/\w+|/[^\s:=]*/(ours|theirs)\d+)"
    r"|(?P<address>0x[0-9a-f]+)"
)


def without_chance(text: str) -> str:
    """The text without times, ids and directories."""
    return CHANCE.sub(lambda match: f"<{match.lastgroup}>", text)


READ_LOGS = """
import sys
from inspect_ai.log import list_eval_logs, read_eval_log
for directory in sys.argv[1:]:
    (info,) = list_eval_logs(directory)
    print(read_eval_log(info).model_dump_json())
"""


def test_the_evaluations_own_log_is_the_same(both: Both, bucket: Bucket) -> None:
    """What inspect_ai itself writes to S3 differs in ids and times alone."""
    home = both.ours.home
    done = home.run(
        READ_LOGS,
        *(f"s3://evaluations/{which.home.path.name}" for which in both),
        **bucket.variables,
    )
    assert done.returncode == 0, done.errors
    ours, theirs = (comparable(json.loads(line)) for line in done.output.splitlines())
    assert len(ours["samples"]) == 4
    assert differences(ours, theirs) == []


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two values differ."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return [
            found for key in one for found in differences(one[key], other[key], f"{where}.{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found
            for index, pair in enumerate(zip(one, other, strict=True))
            for found in differences(*pair, f"{where}[{index}]")
        ]
    return [] if one == other else [f"{where}: {one!r} != {other!r}"]


MATTERS_OF_CHANCE = re.compile(
    r"time|start|complete|created|duration|timestamp|working|uuid|(^|_)id$|etag|location|revision"
)


def comparable(value: Any) -> Any:
    """A log without ids and times."""
    if isinstance(value, dict):
        if MATTERS_OF_CHANCE.search(str(value.get("path"))):  # a change of the state
            value = {**value, "value": None}
        return {
            without_chance(key): comparable(inner)
            for key, inner in value.items()
            if not (MATTERS_OF_CHANCE.search(key) and not isinstance(inner, (dict, list)))
        }
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    return without_chance(value) if isinstance(value, str) else value
