"""The recipes in docs/recipes.md, each with the real tool where that is installed."""

from __future__ import annotations

import csv
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.logs import MIXED, action, record, write_log

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
FORMAT = ROOT / "docs" / "recipes" / "inspect_trace.lnav.json"
NAME = "trace-4242.log"
PATIENCE_S = 60
FAILED = {"action": "Tool", "error_type": "ValueError", "error": "no such thing"}


def recipe(words: str) -> str:
    """The command of the page that has these words in it."""
    (command,) = [
        line
        for block in re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
        for line in block.splitlines()
        if words in line
    ]
    return str(command.removeprefix("$ "))


def need(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and the command where a shell finds it."""
    scripts = Path(sys.executable).parent
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("INSPECT_")},
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "INSPECT_TRACE_DIR": str(tmp_path),
        "TERM": "xterm",
        "TZ": "UTC",
    }


def run(command: str, directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """The lines that a process prints, each as soon as it does."""
    assert process.stdout is not None
    known = b""
    until = time.monotonic() + PATIENCE_S
    while True:
        while b"\n" not in known:
            ready, _, _ = select.select([process.stdout], [], [], until - time.monotonic())
            assert ready, "nothing came"
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                return
            known += chunk
        line, _, known = known.partition(b"\n")
        yield line


def test_jq_shows_failures_as_they_happen(tmp_path: Path, environment: dict[str, str]) -> None:
    """What is in the log comes first, and then what is appended, at once."""
    need("jq")
    log = write_log(tmp_path / NAME, *MIXED)
    for words in ("tail -n +1 -F", "dump --jsonl --follow | jq"):
        command = recipe(words).replace("--follow", f"--follow ./{NAME}")
        # The writer is this process: as long as it has the log open, following goes on.
        with (
            log.open("a") as writer,
            subprocess.Popen(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            ) as process,
        ):
            try:
                shown = lines_of(process)
                while json.loads(next(shown)) != FAILED:
                    pass
                later = action("Model", "d", "error", words, error="late", error_type="E")
                writer.write(f"{later}\n")
                writer.flush()
                while json.loads(next(shown))["error"] != "late":
                    pass
            finally:
                os.killpg(process.pid, 9)
        write_log(log, *MIXED)


def test_jq_sorts_and_counts(tmp_path: Path, environment: dict[str, str]) -> None:
    """The recipes that end print what they promise."""
    need("jq")
    write_log(
        tmp_path / f"trace-{os.getpid()}.log",
        *MIXED,
        action("Model", "long", "exit", "x", second=9),
        action("Model", "also open", "enter", "y"),
        action("Tool", "open", "enter", "z"),
    )
    slowest = run(recipe("sort_by(-.duration)"), tmp_path, environment).splitlines()
    assert [json.loads(line) for line in slowest] == [
        [9.0, "Model", "long"],
        [1.0, "Tool", "ends well"],
    ]
    counted = run(recipe("group_by(.)"), tmp_path, environment)
    assert json.loads(counted) == {"Model": 2, "Tool": 1}


@pytest.mark.parametrize("packed", [False, True])
def test_lnav_knows_the_format(
    tmp_path: Path, environment: dict[str, str], *, packed: bool
) -> None:
    """Lnav takes the format file, tells our logs by it, and answers from their fields."""
    need("lnav")
    installed = run(f"lnav -i {FORMAT} && lnav -C", tmp_path, environment)
    assert "error" not in installed
    write_log(
        tmp_path / NAME,
        *MIXED,
        action("Model", "long", "exit", "x", second=9),
        record("slow", level="WARNING", second=10),
    )
    if packed:
        run(f"gzip {NAME}", tmp_path, environment)
    name = f"{NAME}.gz" if packed else NAME
    command = recipe("lnav -n").replace(NAME, name)
    rows = list(csv.DictReader(run(command, tmp_path, environment).splitlines()))
    assert [(row["action"], row["n"], float(row["longest"])) for row in rows] == [
        ("Model", "1", 9.0),
        ("Tool", "1", 1.0),
    ]
    levels = "SELECT log_level, count(*) AS n FROM inspect_trace GROUP BY log_level"
    asked = f"lnav -n -c ';{levels}' -c ':write-csv-to -' {name}"
    counted = csv.DictReader(run(asked, tmp_path, environment).splitlines())
    assert {row["log_level"]: int(row["n"]) for row in counted} == {
        "trace": 10,
        "debug2": 2,
        "info": 1,
        "warning": 1,
    }
    shown = run(f"lnav -n {name}", tmp_path, environment)
    assert "22:13:20.250 TRACE Tool: ends well (enter)" in shown
    assert "22:13:30.250 WARNING slow" in shown
    assert "error: no such thing" in shown


def test_fluent_bit_ships_records(tmp_path: Path, environment: dict[str, str]) -> None:
    """What is in the log comes first, then what is appended, each with its own time and fields."""
    need("fluent-bit")
    (configuration,) = re.findall(r"```yaml\n(parsers:.*?)```", PAGE, flags=re.DOTALL)
    traces = "/home/me/.local/share/inspect_ai/traces"
    assert traces in configuration
    shown = configuration.replace(traces, str(tmp_path)) + "      format: json_lines\n"
    (tmp_path / "fluent-bit.yaml").write_text(f"service:\n  flush: 0.2\n{shown}")
    log = write_log(tmp_path / NAME, *MIXED)
    expected = [json.loads(line) for line in MIXED]
    later = action("Model", "d", "error", "x", error="late", error_type="E")
    with subprocess.Popen(
        ["fluent-bit", "-q", "-c", "fluent-bit.yaml"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            lines = (json.loads(line) for line in lines_of(process) if line.startswith(b"{"))
            shipped = [next(lines) for _ in expected]
            with log.open("a") as writer:
                writer.write(f"{later}\n")
            shipped.append(next(lines))
        finally:
            process.kill()
    for record_, made in zip([*expected, json.loads(later)], shipped, strict=True):
        date_s = made.pop("date")
        assert made == record_
        written_s = datetime.fromisoformat(record_["timestamp"]).timestamp()
        assert abs(date_s - written_s) < 1e-3


def test_vector_makes_the_line_an_event(tmp_path: Path, environment: dict[str, str]) -> None:
    """The transform, by Vector's own language, gives the record, and its time as a time."""
    need("vrl")
    (program,) = re.findall(r"    source: \|\n((?:      .*\n)+)", PAGE)
    (tmp_path / "program.vrl").write_text(program)
    # What Vector's source makes of a line, and what the transform is given.
    read = {"file": NAME, "host": "box", "source_type": "file", "timestamp": "2026-11-27T00:00:00Z"}
    events = "".join(f"{json.dumps({'message': line, **read})}\n" for line in MIXED)
    (tmp_path / "events.jsonl").write_text(events)
    printed = run("vrl -o -i events.jsonl -p program.vrl", tmp_path, environment)
    # Times are printed as the language has them.
    made = [json.loads(re.sub(r"t'([^']*)'", r'"\1"', line)) for line in printed.splitlines()]
    for line, event in zip(MIXED, made, strict=True):
        expected = json.loads(line)
        at = datetime.fromisoformat(expected.pop("timestamp"))
        assert at == datetime.fromisoformat(event.pop("timestamp").replace("Z", "+00:00"))
        assert event == expected


def test_what_was_not_tried_says_so() -> None:
    """The page claims of no tool that it was tried but of those that the tests here run."""
    tried = set(re.findall(r"\(Tried with ([\w ]+?) v?\d", PAGE))
    assert tried == {"jq", "lnav", "Fluent Bit"}
    untried = PAGE[PAGE.index("## Vector\n") :]
    assert untried.splitlines()[2].startswith("**Tried is the transform alone**")
