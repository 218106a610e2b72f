"""`dump --jsonl --follow`: the records of a log as they are written, each once, until it ends."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from cli.logs import MIXED, dead_pid, record, write_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.conftest import Run

DEADLINE_S = 60
"""When a follower is taken to hang."""

WRITER = """
import logging, os
from inspect_trace import init_tracing

tracing = init_tracing()
print(tracing.path, flush=True)
number = 0
while True:
    logging.getLogger("x").warning("record", extra={"number": number})
    os.write(1, b".")
    number += 1
"""
"""Acknowledges each record by a dot, until it is killed."""


class Following:
    """A follower that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def record(self) -> dict[str, Any]:
        """The next record that it prints, as soon as it does."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.endswith("\n"), "it has ended"
        fields: dict[str, Any] = json.loads(line)
        return fields

    def message(self) -> str:
        """The message of that record."""
        return str(self.record()["message"])

    def note(self) -> str:
        """The next line that it writes to stderr, as soon as it does."""
        assert self.process.stderr is not None
        return self.process.stderr.readline().rstrip("\n")

    def end(self, signal_number: int | None = None) -> tuple[int, str, str]:
        """Its exit code, and the rest of what it printed; after a signal, if one is given."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        # Not communicate(), which does not know of what readline() has read ahead. What goes to
        # stderr fits into a pipe.
        output = "" if self.process.stdout is None else self.process.stdout.read()
        assert self.process.stderr is not None
        errors = self.process.stderr.read()
        return self.process.wait(DEADLINE_S), output, errors


class Follow(Protocol):
    """Run `inspect-trace dump --jsonl --follow ARGS`."""

    def __call__(self, *args: str | Path, **options: Any) -> Following: ...


@pytest.fixture
def follow(environment: dict[str, str]) -> Iterator[Follow]:
    """Followers that are killed when the test ends, or hangs."""
    with contextlib.ExitStack() as stack:

        def start(*args: str | Path, **options: Any) -> Following:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "inspect_trace", "dump", "--jsonl", "-f", *args],
                    env=environment,
                    encoding="utf-8",
                    **{
                        "stdin": subprocess.DEVNULL,
                        "stdout": subprocess.PIPE,
                        "stderr": subprocess.PIPE,
                        **options,
                    },
                )
            )
            stack.callback(process.kill)
            alarm = threading.Timer(DEADLINE_S, process.kill)
            alarm.start()
            stack.callback(alarm.cancel)
            return Following(process)

        yield start


def append(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.writelines(f"{line}\n" for line in lines)


def test_every_record_of_a_killed_program_is_printed_once(
    tmp_path: Path, environment: dict[str, str], follow: Follow
) -> None:
    """A traced program is followed from its first record to its death, without FILE."""
    script = tmp_path / "program.py"
    script.write_text(WRITER)
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as program:
        assert program.stdout is not None
        name = Path(os.fsdecode(program.stdout.readline().strip())).name
        program.stdout.read(1)
        following = follow()
        first = following.record()
        acknowledged = 1 + len(program.stdout.read(500))
        program.kill()
        acknowledged += len(program.stdout.read())
    code, output, errors = following.end()
    assert code == 0
    assert errors == f"{name} is finished, its writer has ended: nothing more will come\n"
    records = [first, *map(json.loads, output.splitlines())]
    numbers = [r["number"] for r in records if r["message"] == "record"]
    assert numbers == list(range(len(numbers)))
    # The one in flight may be written without having been acknowledged.
    assert 0 <= len(numbers) - acknowledged <= 1


def test_records_come_as_they_are_written(tmp_path: Path, follow: Follow) -> None:
    """Each record is printed when its line is complete: no earlier, and without another one."""
    path = write_log(tmp_path / "app.log", record("a"), record("not this one"))
    following = follow(path, "--filter", "A")
    assert following.message() == "a"
    append(path, record("Ab"))
    assert following.message() == "Ab"
    line = record("half a line")
    with path.open("a", encoding="utf-8") as log:
        log.write(line[:30])
        log.flush()
        log.write(f"{line[30:]}\n")
    assert following.message() == "half a line"
    assert following.end(signal.SIGINT) == (130, "", "")


def test_rotation(tmp_path: Path, follow: Follow) -> None:
    """Renamed and begun anew, truncated, removed: told on stderr, and nothing is missed."""
    path = write_log(tmp_path / "app.log", record("a"))
    following = follow(path)
    assert following.message() == "a"
    append(path, record("b"))
    path.rename(tmp_path / "app.log.1")
    write_log(path, record("c"))
    assert [following.message(), following.message()] == ["b", "c"]
    assert following.note() == "app.log was replaced: going on with the new file"
    path.write_text("", encoding="utf-8")
    assert following.note() == "app.log was truncated: going on from its new start"
    append(path, record("d"))
    assert following.message() == "d"
    path.unlink()
    assert following.note().startswith("app.log was renamed or removed: ")
    write_log(path, record("e"))
    assert following.message() == "e"
    code, output, errors = following.end(signal.SIGINT)
    assert (code, output) == (130, "")
    assert errors == "app.log was replaced: going on with the new file\n"


def test_finished_logs_end(inspect_trace: Run, trace_dir: Path, follow: Follow) -> None:
    """The log of a dead process and a compressed one are printed like without `--follow`."""
    plain = write_log(trace_dir / f"trace-{dead_pid()}.log", *MIXED, "garbage")
    compressed = trace_dir / "trace-1.log.gz"
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    for path, why in (
        (plain, "is finished, its writer has ended"),
        (compressed, "is a finished, compressed log"),
    ):
        dumped = inspect_trace("dump", "--jsonl", path.name)
        note = f"{path.name} {why}: nothing more will come\n"
        assert follow(path.name).end() == (0, dumped.stdout, note + dumped.stderr)
        assert len(dumped.stdout.splitlines()) == len(MIXED)


def test_interrupt(trace_dir: Path, follow: Follow) -> None:
    """Ctrl-C while nothing comes is exit code 130; what was skipped is told all the same."""
    write_log(trace_dir / "app.log", "garbage", record("a"))
    following = follow("app.log")
    assert following.message() == "a"
    assert following.end(signal.SIGINT) == (
        130,
        "",
        "app.log: skipped 1 line (line 1, byte 0: not JSON)\n",
    )


@pytest.mark.parametrize("is_written_to", [False, True], ids=["quiet", "written"])
def test_reader_goes_away(tmp_path: Path, follow: Follow, is_written_to: bool) -> None:
    """A reader that has seen enough ends the follower silently, even when nothing comes."""
    path = write_log(tmp_path / "app.log", record("a"))
    following = follow(path)
    assert following.message() == "a"
    assert following.process.stdout is not None
    assert following.process.stderr is not None
    following.process.stdout.close()
    if is_written_to:
        append(path, record("b"))
    assert following.process.wait(DEADLINE_S) == 141
    assert following.process.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk(tmp_path: Path, follow: Follow) -> None:
    """Output that can't be written is one line and a failure."""
    path = write_log(tmp_path / "app.log", record("a"))
    with Path("/dev/full").open("wb") as full:
        following = follow(path, stdout=full)
        code, _, errors = following.end()
    assert code == 1
    assert errors == (
        "python -m inspect_trace: cannot write to standard output: No space left on device\n"
    )


def test_wrong_usage(inspect_trace: Run, trace_dir: Path) -> None:
    """An array has no end while the log grows, so `--follow` is for JSON Lines only."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    for option in ("-f", "--follow"):
        result = inspect_trace("dump", option)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == (
            "python -m inspect_trace: --follow needs --jsonl "
            "(see `python -m inspect_trace dump --help`)\n"
        )


def test_tail(tmp_path: Path, follow: Follow) -> None:
    """`--tail N` begins with the last N records, and goes on with what comes."""
    path = write_log(tmp_path / "app.log", *(record(f"old {i}") for i in range(50)))
    following = follow("--tail", "2", path)
    assert [following.message(), following.message()] == ["old 48", "old 49"]
    append(path, record("new"))
    assert following.message() == "new"
    following = follow("--tail", "1", "--filter", "old", path)
    assert following.message() == "old 49"


def test_nothing_to_follow(tmp_path: Path, follow: Follow) -> None:
    """What is no log is refused at once, in one line."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, tmp_path / "missing.log"):
        code, output, errors = follow(path).end()
        assert (code, output, len(errors.splitlines())) == (1, "", 1), errors
