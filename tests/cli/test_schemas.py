"""The JSON that the commands print, against the schemas in docs/schemas.

A command with `--json` needs an entry in `OUTPUTS`, a schema of that name, and a line in
docs/json.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from cli.conftest import ENVIRONMENT
from cli.logs import MIXED, action, as_ours, as_theirs, http, record, write_log
from cli.screen import DEADLINE_S, Program
from inspect_trace.cli.main import trace_group

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"

OUTPUTS: dict[str, list[list[str]]] = {
    "list": [["list", "--json"], ["list", "--json", "--long"]],
    "dump": [["dump"], ["dump", "--tail", "3"]],
    "dump-no-detail": [["dump", "--no-detail"]],
    "record": [["dump", "--jsonl"], ["dump", "--jsonl", "--limit", "3"]],
    "record-no-detail": [["dump", "--jsonl", "--no-detail"]],
    "http": [["http", "--json"], ["http", "--json", "--failed"]],
    "anomalies": [["anomalies", "--json"], ["anomalies", "--json", "--limit", "2"]],
    "archive": [["archive", "--json"]],
    "archive-list": [["archive-list", "--json"]],
    "archive-list-jsonl": [["archive-list", "--jsonl"]],
    "archive-prune": [["archive-prune", "--json", "--dry-run", "--max-bytes", "1"]],
    "archive-verify": [["archive-verify", "--json", "--checksums"]],
    "anomalies-watch": [["anomalies", "--watch", "--json", "--min-duration", "0"]],
    "stats": [
        ["stats", "--json"],
        ["stats", "--json", "--by", "task", "--limit", "2", "--slowest", "20"],
    ],
    "diff": [["diff", "--json"], ["diff", "--json", "--by", "sample"]],
    "tree": [
        ["tree", "--json"],
        ["tree", "--json", "--running"],
        ["tree", "--json", "--action", "Model", "--event", "error"],
    ],
    "sql": [["sql", "--json", "SELECT * FROM records"]],
    "status": [["status", "--json"]],
    "verify": [["verify", "--json"], ["verify", "--json", "--limit", "1"]],
}
"""Of each schema, the commands that print what it describes."""
OF_ARCHIVES = ("archive-list", "archive-prune", "archive-verify")
"""Commands that take the URL of an archive."""
WITHOUT_FILES = ("list", "status", "archive", *OF_ARCHIVES)
FAILING = ("verify", *OF_ARCHIVES)
"""Commands that find something, which is their failure."""
WITH_NO_DETAIL = ("list", "http", "anomalies", "anomalies-watch", "stats", "diff", "tree", "sql")
LINES = ("record", "record-no-detail", "anomalies-watch", "archive-list-jsonl")
"""Schemas of a value a line."""
LOGS: dict[str, list[str]] = {
    "corpus": ["trace-4194304.log"],
    "compressed": ["packed.log.gz"],
    "empty": ["empty.log"],
    "damaged": ["damaged.log"],
    "cut": ["cut.log.gz"],
    "odd": ["odd.log"],
    "rotated": ["rotated.log"],
    "several": ["trace-4194304.log", "odd.log", "cut.log.gz", "empty.log"],
}

WITH_PROCESS = ("corpus", "compressed", "cut")
"""Those that nobody writes any more, for all who look."""

FRAMES = [{"file": "/a.py", "line": 1, "function": "f"}, {"file": "/b.py", "awaits": "task 'x'"}]
ODD = (
    *MIXED,
    action("Outer", "o", "enter", "outer", pid=7, task=["no", "text"], sample_id=None, epoch="x"),
    action("Inner", "i", "enter", "inner", parent_id="outer", task={"a": 1}, sample_id=1.5),
    record("s", event="stall", trace_id="inner", duration=3, stack=FRAMES),
    record("s", event="stall", trace_id="outer", duration=3, stack="no frames"),
    action("Inner", "no end", "enter", "x", start_time="NaN", pid="12"),
    action("A", "text for a number", "exit", "y", duration="1.5"),
    action("A", "no number", "error", "z", duration=[1], error={"a": 1}, error_type=3),
    '{"timestamp": "t", "level": "L", "message": "m", "duration": NaN, "n": Infinity, "l": [1]}',
    '{"timestamp": "2023-11-14T22:13:20+00:00", "level": "TRACE", "message": "m", "action": 3}',
    record("extra", level="HTTP", module=3, function=None, line="x", line_no=3),
    http("no status"),
    '{"timestamp": "t", "level": "L"}',
    "[1, 2]",
    "not JSON",
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace directory with logs of all kinds."""
    directory = tmp_path_factory.mktemp("traces")
    corpus = directory / "trace-4194304.log"
    subprocess.run(
        [
            *(sys.executable, str(ROOT / "benches" / "corpus.py")),
            *("--bytes", "400kB", "--seed", "3", "-o", str(corpus)),
        ],
        check=True,
        capture_output=True,
    )
    data = corpus.read_bytes()
    as_ours(corpus).rename(directory / "packed.log.gz")
    write_log(directory / "empty.log")
    write_log(directory / "odd.log", *ODD)
    damaged = bytearray(data)
    damaged[100_000:101_000] = bytes(1000)
    damaged[200_000] = 0xFF
    (directory / "damaged.log").write_bytes(damaged[:300_050])
    theirs = as_theirs(corpus)
    (directory / "cut.log.gz").write_bytes(theirs.read_bytes()[:-5000])
    theirs.unlink()
    write_log(directory / "rotated.part0001.log", *ODD)
    write_log(directory / "rotated.part0002.log", *MIXED)
    write_log(directory / "rotated.log", *MIXED[-3:])
    put_into_archive(directory)
    return directory


def put_into_archive(directory: Path) -> None:
    """Put the logs into an archive in which something is wrong."""
    archive = contents_of(directory)
    subprocess.run(
        [
            *(sys.executable, "-m", "inspect_trace", "archive"),
            *(str(directory), "--to", f"file://{archive}"),
        ],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    pieces = sorted(archive.rglob("*.gz"))
    pieces[0].write_bytes(b"")
    pieces[1].unlink()
    broken = pieces[2].with_name("manifest.json")
    broken.write_text("{")


def contents_of(directory: Path) -> Path:
    """Where the archive of a directory is."""
    return directory.with_name(f"{directory.name}-contents")


def validator(name: str) -> Draft202012Validator:
    """The schema of that name, which may refer to the others."""
    resources = [
        (path.name, Resource.from_contents(json.loads(path.read_text())))
        for path in SCHEMAS.glob("*.json")
    ]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator(
        json.loads((SCHEMAS / f"{name}.json").read_text()), registry=registry
    )


def printed(directory: Path, schema: str, command: list[str]) -> Iterator[Any]:
    """What a command prints: one value, or one a line."""
    if command[0] in OF_ARCHIVES:
        command = [*command, f"file://{contents_of(directory)}"]
    done = subprocess.run(
        [sys.executable, "-m", "inspect_trace", *command],
        env={
            **ENVIRONMENT,
            "INSPECT_TRACE_DIR": str(directory),
            "INSPECT_TRACE_ARCHIVE": f"file://{directory}-archive",
            "TZ": "UTC",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0 or command[0] in FAILING, done.stderr
    for text in done.stdout.splitlines() if schema in LINES else [done.stdout]:
        yield parsed(text)


def parsed(text: str) -> Any:
    """A value of strict JSON."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def arguments(directory: Path, command: str, logs: str) -> list[str]:
    """The logs as a command takes them: `diff` compares them with another one."""
    files = [str(directory / name) for name in LOGS.get(logs, [])]
    if command != "diff":
        return files
    return [*(files if len(files) == 1 else [str(directory)]), str(directory / "odd.log")]


CASES = [
    pytest.param(schema, command, logs, id=f"{' '.join(command)} {logs}")
    for schema, commands in OUTPUTS.items()
    for command in commands
    for logs in (["none"] if command[0] in WITHOUT_FILES else LOGS)
    # Of a log whose process is not known the end is waited for.
    if schema != "anomalies-watch" or logs in WITH_PROCESS
]


@pytest.mark.parametrize(("schema", "command", "logs"), CASES)
def test_output_is_as_the_schema_says(
    directory: Path, schema: str, command: list[str], logs: str
) -> None:
    """Every command's JSON, of every sort of log, is valid; and so it is without what was said."""
    checks = validator(schema)
    files = arguments(directory, command[0], logs)
    forms = [command, [*command, "--no-detail"]] if schema in WITH_NO_DETAIL else [command]
    for form in forms:
        for value in printed(directory, schema, [*form, *files]):
            checks.validate(value)


def test_an_empty_directory_is_valid(tmp_path: Path) -> None:
    """A listing of nothing is a list."""
    for command in OUTPUTS["list"]:
        (value,) = printed(tmp_path, "list", command)
        validator("list").validate(value)
        assert value == []


FREE = ("task", "tasks", "sample_id", "epoch", "stack")
"""What a log has as a value, which may be anything."""


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = [inner for key, inner in value.items() if key not in FREE]
    for inner in value if isinstance(value, list) else ():
        yield from objects(inner)


DESCRIBED = [
    *("list", "http", "anomalies", "stats", "diff", "tree", "verify", "status"),
    *OF_ARCHIVES,
]


@pytest.mark.parametrize("schema", DESCRIBED)
def test_a_key_that_is_not_described_is_found(directory: Path, schema: str) -> None:
    """Every object that a command prints is described whole: one more key makes it invalid."""
    checks = validator(schema)
    files = [] if schema in WITHOUT_FILES else arguments(directory, schema, "odd")
    (value,) = printed(directory, schema, [*OUTPUTS[schema][-1], *files])
    checks.validate(value)
    for thing in list(objects(value)):
        thing["unknown"] = 1
        assert not checks.is_valid(value), thing
        del thing["unknown"]
    checks.validate(value)


def test_changes_of_a_program(tmp_path: Path, environment: dict[str, str]) -> None:
    """Each kind of change is valid, with and without what was said, and described whole."""
    checks = validator("anomalies-watch")
    command = [*OUTPUTS["anomalies-watch"][0], "--interval", "0.05"]
    with ExitStack() as stack:
        program = stack.enter_context(Program(tmp_path, environment))
        program.tell("begin", "outer")
        watching = []
        for options in ([], ["--no-detail"]):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "inspect_trace", *command, *options],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    encoding="utf-8",
                )
            )
            stack.callback(process.kill)
            alarm = threading.Timer(DEADLINE_S, process.kill)
            alarm.start()
            stack.callback(alarm.cancel)
            assert process.stdout is not None
            watching.append(process.stdout)
        # What begins after that has no place in the first line.
        found = [[parsed(output.readline()) for _ in range(2)] for output in watching]
        program.tell("begin", "inner")
        for changes, output in zip(found, watching, strict=True):
            changes.append(parsed(output.readline()))
        program.tell("fail", "inner")
        for changes, output in zip(found, watching, strict=True):
            changes.append(parsed(output.readline()))
        program.kill()
        for changes, output in zip(found, watching, strict=True):
            changes.extend(map(parsed, output))
    for changes, no_detail in zip(found, (False, True), strict=True):
        told = [change["change"] for change in changes]
        assert told == ["watching", "running", "running", "ended", "interrupted", "process_ended"]
        assert "enclosing" in changes[2]
        for change in changes:
            checks.validate(change)
            assert ("detail" in change) == ("action" in change and not no_detail)
            for thing in list(objects(change)):
                thing["unknown"] = 1
                assert not checks.is_valid(change), thing
                del thing["unknown"]


def test_schemas_are_schemas() -> None:
    """Each file is a schema of the draft that it names, has a use, and is told of."""
    files = {path.stem for path in SCHEMAS.glob("*.json")}
    assert files == set(OUTPUTS)
    page = (ROOT / "docs" / "json.md").read_text()
    for name in files:
        schema = json.loads((SCHEMAS / f"{name}.json").read_text())
        assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
        Draft202012Validator.check_schema(schema)
        assert f"(schemas/{name}.json)" in page, f"docs/json.md does not tell of {name}.json"


def test_every_command_with_json_has_a_schema() -> None:
    """A command that prints JSON is described, whoever adds it."""
    context = click.Context(trace_group)
    for name in trace_group.list_commands(context):
        command = trace_group.get_command(context, name)
        assert command is not None
        options = {option for param in command.params for option in param.opts}
        assert name in OUTPUTS or "--json" not in options, f"no schema for {name} --json"
