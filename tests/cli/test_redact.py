"""Secrets are shown on demand only, by every command that shows what records say."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from inspect_trace import anomalies, scan

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-proj-abcdefghijkl0123456789"

RECORDS: list[dict[str, object]] = [
    {"level": "HTTP", "message": f"HTTP Request: GET https://h/?api_key={KEY} - 500"},
    {
        "level": "TRACE",
        "message": f"Subprocess: run {KEY} (enter)",
        "action": "Subprocess",
        "detail": f"run {KEY}",
        "event": "enter",
        "trace_id": "a",
        "start_time": 1.0,
        "token": KEY,
    },
    {
        "level": "TRACE",
        "message": "Model: generate (error)",
        "action": "Model",
        "detail": "generate",
        "event": "error",
        "trace_id": "b",
        "duration": 1.0,
        "error": f"bad key {KEY}",
        "error_type": "ValueError",
        "stacktrace": f'raise ValueError("{KEY}")\n',
    },
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A finished log with a key in each of its records."""
    path = tmp_path / "trace-4194304.log"  # of a process that cannot be
    path.write_text(
        "".join(
            json.dumps({"timestamp": "2026-11-25T10:00:00+00:00", **record}) + "\n"
            for record in RECORDS
        )
    )
    return path


COMMANDS = [
    ["dump"],
    ["dump", "--jsonl"],
    ["dump", "--limit", "3"],
    ["dump", "--jsonl", "--follow"],
    ["http"],
    ["http", "--json"],
    ["anomalies", "--all"],
    ["anomalies", "--json"],
    ["tree"],
    ["tree", "--json"],
    ["export", "-o", "-", "--to", "perfetto"],
    ["export", "-o", "-", "--to", "otlp"],
    ["export", "-o", "-", "--to", "csv"],
    ["sql", "SELECT COLUMNS(* EXCLUDE trace_file) FROM records"],
]


def shown(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "inspect_trace", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_secrets_are_redacted_unless_asked_for(log: Path, command: list[str]) -> None:
    """What is shown has no key, and is otherwise the same; with `--no-redact` it has."""
    redacted = shown(*command, str(log))
    raw = shown(*command, "--no-redact", str(log))
    assert KEY not in redacted
    assert "REDACTED" in redacted
    assert KEY in raw
    # Those have the time in them, or columns as wide as what is in them.
    if "--json" not in command and command[0] not in ("anomalies", "sql"):
        assert raw.replace(KEY, "REDACTED") == redacted


def test_json_stays_json(log: Path) -> None:
    """The records are whole but for the secrets."""
    records = json.loads(shown("dump", str(log)))
    assert [record["message"] for record in records] == [
        "HTTP Request: GET https://h/?api_key=REDACTED - 500",
        "Subprocess: run REDACTED (enter)",
        "Model: generate (error)",
    ]
    assert records[1]["token"] == "REDACTED"
    assert records[2]["stacktrace"] == 'raise ValueError("REDACTED")\n'


def test_python_gets_what_is_there(log: Path) -> None:
    """A program that reads a log gets its records as they are, to redact or not."""
    first, second, third = scan(log)
    assert KEY in first.message
    assert second["token"] == KEY
    assert KEY in third["stacktrace"]
    assert KEY in str(anomalies(log).errors[0].error)
