"""`inspect-trace http`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from cli.logs import MIXED, http, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

SUCCEEDED = (
    'GET http://h/ "HTTP/1.1 200 OK" ',
    'PUT http://h/ "HTTP/2 201 Created" ',
    'DELETE http://h/ "HTTP/1.1 204 No Content" ',
    "POST http://h/ - 200",
    "[Throughput] m: 1.0 out-tok/s, 2.0 req/min, 3.0 retries/min, 1 in backoff (window 60s)",
    "[connections] m 5 -> 10 (manual)",
    'sample=s-1 epoch=2\nGET http://h/error "HTTP/1.1 200 OK" ',
)
FAILED = (
    'GET http://h/ "HTTP/1.1 404 Not Found" ',
    'GET http://h/200 "HTTP/1.1 500 Internal Server Error" ',
    "POST http://h/ - 429",
    "sample=s-1\nbrowser connection retry 2 (retrying in 4 seconds)",
    'sample=s-1 epoch=2\nGET http://h/ "HTTP/1.1 503 200 OK-ish" ',
)


def test_json_envelope(inspect_trace: Run, trace_dir: Path) -> None:
    """`--json` is the reference's envelope: the file, the moment, and each request in order."""
    path = write_log(trace_dir / "trace-1.log", *MIXED)
    before = time.time()
    result = inspect_trace("http", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert answer["trace_file"] == str(path)
    assert before <= answer["as_of"] <= time.time()
    expected = [json.loads(line) for line in MIXED if '"HTTP"' in line]
    assert [(row["timestamp"], row["message"]) for row in answer["requests"]] == [
        (record["timestamp"], record["message"]) for record in expected
    ]


def test_failed_means_failed(inspect_trace: Run, trace_dir: Path) -> None:
    """`--failed` keeps status 400 and more and retries; success of any status is none of them."""
    write_log(trace_dir / "trace-1.log", *map(http, SUCCEEDED), *map(http, FAILED))
    result = inspect_trace("http", "--failed", "--json")
    assert [row["message"] for row in json.loads(result.stdout)["requests"]] == list(FAILED)


def test_table(inspect_trace: Run, trace_dir: Path) -> None:
    """The table has a line for each request; `--filter` picks among them."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    result = inspect_trace("http")
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert "2023-11-14T22:13:25" in first
    assert '"HTTP/1.1 200 OK"' in first
    assert '"HTTP/1.1 429 Too Many Requests"' in second
    filtered = inspect_trace("http", "--filter", "TOO MANY")
    assert filtered.stdout.splitlines() == [second]


def test_no_row_can_be_forged(inspect_trace: Run, trace_dir: Path) -> None:
    """A newline or an escape sequence in a message neither makes a row nor reaches the output."""
    write_log(trace_dir / "trace-1.log", http("sample=1\n[2023-01-01T00:00:00] forged \x1b[31m\r"))
    result = inspect_trace("http")
    assert len(result.stdout.splitlines()) == 1
    assert "\x1b" not in result.stdout
    assert "\r" not in result.stdout
