"""`anomalies --watch`: the screen of a live program, and the lines where there is no screen."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from cli.logs import MIXED, dead_pid, write_log
from cli.screen import DEADLINE_S, OnScreen, Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.conftest import Run


class Watching:
    """A command that watches, and prints lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """The next line, as soon as it comes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.endswith("\n"), "it has ended"
        return line[:-1]

    def change(self) -> dict[str, Any]:
        """The next change."""
        change: dict[str, Any] = json.loads(self.line())
        return change

    def end(self, signal_number: int | None = None) -> tuple[int, str, str]:
        """Its exit code, and the rest of what it printed; after a signal, if one is given."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        output, errors = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(DEADLINE_S), output, errors


class Watch(Protocol):
    """Run `inspect-trace anomalies --watch --interval 0.05 ARGS`."""

    def __call__(self, *args: str | Path) -> Watching: ...


@pytest.fixture
def watch(environment: dict[str, str]) -> Iterator[Watch]:
    """Commands that are killed when the test ends, or hangs."""
    with ExitStack() as stack:

        def start(*args: str | Path) -> Watching:
            command = [sys.executable, "-m", "inspect_trace", "anomalies", "--watch"]
            process = stack.enter_context(
                subprocess.Popen(
                    [*command, "--interval", "0.05", *args],
                    env=environment,
                    encoding="utf-8",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
            stack.callback(process.kill)
            alarm = threading.Timer(DEADLINE_S, process.kill)
            alarm.start()
            stack.callback(alarm.cancel)
            return Watching(process)

        yield start


def test_changes_of_a_program(tmp_path: Path, environment: dict[str, str], watch: Watch) -> None:
    """Each action is told when it begins to last, and when it has ended, until the program dies."""
    with Program(tmp_path, environment) as program:
        program.tell("begin", "outer")
        watching = watch("--json", "--min-duration", "0")
        first = watching.change()
        assert (first["change"], first["trace_files"]) == ("watching", [program.path])
        outer = watching.change()
        told = {name: outer[name] for name in ("change", "action", "detail", "sample_id", "pid")}
        assert told == {
            "change": "running",
            "action": "Tool Call",
            "detail": "outer",
            "sample_id": "s-outer",
            "pid": program.pid,
        }
        program.tell("begin", "inner")
        inner = watching.change()
        assert inner["enclosing"] == [
            {"action": "Tool Call", "detail": "outer", "trace_id": outer["trace_id"]}
        ]
        program.tell("fail", "inner")
        ended = watching.change()
        assert (ended["change"], ended["trace_id"]) == ("ended", inner["trace_id"])
        assert (ended["outcome"], ended["error"]) == ("error", "inner")
        program.kill()
        rest = [watching.change(), watching.change()]
        assert [change["change"] for change in rest] == ["interrupted", "process_ended"]
        assert rest[0]["trace_id"] == outer["trace_id"]
    assert watching.end() == (0, "", "nothing more will come: all processes have ended\n")


def test_lines_for_people(tmp_path: Path, environment: dict[str, str], watch: Watch) -> None:
    """Lines have the time of day and tell the same; Ctrl-C ends them."""
    with Program(tmp_path, environment) as program:
        program.tell("begin", "first")
        watching = watch("--min-duration", "0s", program.path)
        line = watching.line().split("  ", 1)
        least = "told are those that are open for 0ms or longer"
        assert line[1] == f"watching     {program.path}: 1 running; {least}"
        assert watching.line().endswith("  Tool Call: first (task t, sample s-first)")
        program.tell("end", "first")
        assert "  ended        " in watching.line()
        assert watching.end(signal.SIGINT) == (130, "", "")


def test_short_actions_are_not_told(
    tmp_path: Path, environment: dict[str, str], watch: Watch
) -> None:
    """Without --min-duration an action has to be open for a minute."""
    with Program(tmp_path, environment) as program:
        program.tell("begin", "first")
        watching = watch("--json")
        assert watching.change()["running"] == 1
        program.tell("end", "first")
        program.tell("begin", "second")
        program.kill()
        assert watching.change()["detail"] == "second", "but of those that were cut off all are"
        assert watching.change()["change"] == "process_ended"
        assert watching.end()[0] == 0


def test_a_directory_is_waited_for(
    tmp_path: Path, trace_dir: Path, environment: dict[str, str], watch: Watch
) -> None:
    """Logs that come to a directory are watched; it ends with the last process that it has seen."""
    write_log(trace_dir / f"trace-{dead_pid()}.log", *MIXED)
    watching = watch("--json", "--min-duration", "0", trace_dir)
    assert watching.change()["interrupted"] == 1
    assert watching.change()["change"] == "interrupted"
    with Program(tmp_path, environment) as program:
        program.tell("begin", "first")
        change = watching.change()
        assert (change["trace_file"], change["detail"]) == (program.path, "first")
        program.kill()
        changes = [watching.change()["change"], watching.change()["change"]]
        assert changes == ["interrupted", "process_ended"]
    assert watching.end()[0] == 0


def test_a_finished_log(inspect_trace: Run, trace_dir: Path) -> None:
    """There is nothing to wait for: it is shown as it is, secrets left out, skipped lines told."""
    path = write_log(trace_dir / f"trace-{dead_pid()}.log", *MIXED, "garbage")
    result = inspect_trace("anomalies", "--watch", "--json", str(path))
    changes = [json.loads(line)["change"] for line in result.stdout.splitlines()]
    assert (result.returncode, changes) == (0, ["watching", "interrupted"])
    assert result.stderr.splitlines()[-1].startswith(f"{path.name}: skipped 1 line")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("--watch", "--tail", "1"), "--watch and --tail do not go together"),
        (("--watch", "--all"), "--watch and --all do not go together"),
        (("--watch", "-"), "standard input cannot be watched"),
        (("--watch", "--interval", "0"), "Invalid value for '--interval'"),
    ],
)
def test_wrong_usage(args: tuple[str, ...], complaint: str, inspect_trace: Run) -> None:
    """What cannot be done is said in one line."""
    result = inspect_trace("anomalies", *args)
    assert (result.returncode, result.stdout) == (2, "")
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_pipe_cannot_be_watched(inspect_trace: Run, tmp_path: Path) -> None:
    """A FIFO is refused, and not waited for."""
    os.mkfifo(tmp_path / "fifo")
    result = inspect_trace("anomalies", "--watch", str(tmp_path / "fifo"))
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_a_screen(tmp_path: Path, environment: dict[str, str]) -> None:
    """It is drawn anew in its place, fits after a change of size, and its last state stays."""
    with (
        Program(tmp_path, environment) as program,
        OnScreen(
            *("anomalies", "--watch", "--interval", "0.05", program.path), environment=environment
        ) as screen,
    ):
        screen.shows("No open actions.")
        for number in range(20):
            program.tell("begin", f"a{number}")
        screen.shows("20 running", "a0", "... and ")
        screen.resize(60, 40)
        screen.shows("a19", "    in Tool Call: a0")
        for number in range(19, 2, -1):
            program.tell("end", f"a{number}")
        counts = re.compile("^Tool Call +3 +17 ", re.MULTILINE)
        screen.until(lambda text: "3 running" in text and counts.search(text) is not None)
        assert "a3" not in screen.text
        assert screen.lines[0].startswith("TRACE: ")
        program.kill()
        assert screen.end() == 0
    assert screen.output.count(b"\x1b[?1049h") == screen.output.count(b"\x1b[?1049l") == 1
    after = screen.output[screen.output.index(b"\x1b[?1049l") :].decode()
    assert "3 interrupted" in after
    assert after.endswith("nothing more will come: all processes have ended\r\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_screen_is_left(
    number: signal.Signals, code: int, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Whatever ends it, the terminal is as it was before."""
    with (
        Program(tmp_path, environment) as program,
        OnScreen("anomalies", "--watch", program.path, environment=environment) as screen,
    ):
        screen.shows("No open actions.")
        if number == signal.SIGINT:
            screen.send("\x03")
        assert screen.end(None if number == signal.SIGINT else number) == code
    assert screen.output.count(b"\x1b[?1049l") == screen.output.count(b"\x1b[?25h") == 1
