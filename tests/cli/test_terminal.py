"""What a terminal gets: the commands run in a real one (a pty)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import action, dead_pid, http, record, write_log

if TYPE_CHECKING:
    from pathlib import Path

SGR = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = (
    "\x1b[2J\x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x9b31m \u202egnp.exe "
    "\u2066x\u2069 \x7f\x08\x08 \r\nCancelled Actions\n [bold]b[/bold] \u200b \u2028 \x00 end"
)


def in_terminal(
    *arguments: str, environment: dict[str, str], columns: int = 80, **variables: Any
) -> str:
    """What `inspect-trace ARGUMENTS` writes to a terminal of that width."""
    leader, follower = os.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    attributes = termios.tcgetattr(follower)
    attributes[1] &= ~termios.OPOST  # newlines as they are written
    termios.tcsetattr(follower, termios.TCSANOW, attributes)
    process = subprocess.Popen(
        [sys.executable, "-m", "inspect_trace", *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={"TERM": "xterm-256color", **environment, **variables},
    )
    os.close(follower)
    output = bytearray()
    with contextlib.closing(os.fdopen(leader, "rb", buffering=0)) as terminal:
        while True:
            try:
                chunk = terminal.read(65536)
            except OSError as error:  # how Linux says that the other side is closed
                if error.errno != errno.EIO:
                    raise
                break
            if not chunk:
                break
            output += chunk
    assert process.wait(60) == 0, output
    return output.decode()


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """The environment, with no opinion about terminals."""
    return {name: value for name, value in environment.items() if name not in ("TERM", "COLUMNS")}


@pytest.fixture
def hostile_log(trace_dir: Path) -> Path:
    """A log whose every text tries to steer the terminal, under a hostile name."""
    return write_log(
        trace_dir / f"trace-{dead_pid()}.log",
        action(HOSTILE, HOSTILE, "enter", "1"),
        action("Tool", HOSTILE, "cancel", "2"),
        action("Tool", "t", "error", "3", error=HOSTILE, error_type="E", stacktrace=""),
        http(HOSTILE),
        record(HOSTILE),
    )


@pytest.mark.parametrize(
    "arguments", [("list",), ("http",), ("anomalies",), ("anomalies", "--all"), ("dump",)]
)
@pytest.mark.parametrize("color", [True, False])
def test_log_text_steers_no_terminal(
    hostile_log: Path, environment: dict[str, str], arguments: tuple[str, ...], color: bool
) -> None:
    """Escape sequences, hyperlinks, controls and bidi marks in a log reach no terminal as such."""
    os.link(hostile_log, hostile_log.with_name("trace-\x1b[31m\u202e\n.log"))
    variables: dict[str, Any] = {} if color else {"NO_COLOR": "1"}
    output = in_terminal(*arguments, environment=environment, **variables)
    rest = SGR.sub("", output) if color else output
    assert "\x1b]" not in output
    forbidden = re.findall(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028\u202a-\u202e\u2066-\u2069]", rest
    )
    assert forbidden == []


def test_no_section_can_be_forged(hostile_log: Path, environment: dict[str, str]) -> None:
    """A newline in a text starts no line that could pass for one of ours."""
    output = in_terminal("anomalies", environment=environment, columns=500, NO_COLOR="1")
    titles = re.findall(r"^\w+ Actions", output, re.MULTILINE)
    assert titles == ["Interrupted Actions", "Cancelled Actions"]


@pytest.mark.parametrize("arguments", [("list",), ("http",), ("anomalies",)])
def test_colour(hostile_log: Path, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    """A terminal gets colour, unless it is dumb or NO_COLOR is set (to anything but nothing)."""
    assert SGR.search(in_terminal("anomalies", environment=environment))
    assert SGR.search(in_terminal("anomalies", environment=environment, NO_COLOR=""))
    plain: list[dict[str, Any]] = [{"NO_COLOR": "1"}, {"NO_COLOR": "0"}, {"TERM": "dumb"}]
    for variables in plain:
        assert "\x1b" not in in_terminal(*arguments, environment=environment, **variables)


def test_colour_changes_no_text(hostile_log: Path, environment: dict[str, str]) -> None:
    """With its colours taken off the coloured output is the plain one."""
    coloured = in_terminal("anomalies", "--all", environment=environment)
    assert SGR.sub("", coloured) == in_terminal(
        "anomalies", "--all", environment=environment, NO_COLOR="1"
    )


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_wrapping(trace_dir: Path, environment: dict[str, str], columns: int) -> None:
    """Long details are wrapped to the terminal's width, and nothing of them is lost."""
    words = [f"word{i}" for i in range(100)]
    wide = "漢字" * 60
    write_log(
        trace_dir / f"trace-{dead_pid()}.log",
        action("Tool", " ".join(words), "enter", "1"),
        action("Tool", wide, "cancel", "2"),
    )
    output = in_terminal("anomalies", environment=environment, columns=columns, NO_COLOR="1")
    header, *lines = output.splitlines()
    assert header.startswith("TRACE: ")
    assert max(display_width(line) for line in lines) <= columns
    joined = "".join(output.split())
    assert all(word in joined for word in words)
    assert output.count("漢") == 60


def display_width(line: str) -> int:
    """How many columns a line takes (enough for the characters of these tests)."""
    return sum(2 if character in "漢字" else 1 for character in line)


def test_terminal_without_a_size(trace_dir: Path, environment: dict[str, str]) -> None:
    """A terminal which does not know its width gets unwrapped rows."""
    write_log(trace_dir / "trace-1.log", action("Tool", "word " * 100, "enter", "1"))
    output = in_terminal("anomalies", environment=environment, columns=0, NO_COLOR="1")
    assert any(line.count("word") == 100 for line in output.splitlines())


def test_very_narrow_terminal(hostile_log: Path, environment: dict[str, str]) -> None:
    """A terminal too narrow for the table still gets it, somehow."""
    for columns in (1, 5, 20):
        output = in_terminal("anomalies", environment=environment, columns=columns, NO_COLOR="1")
        assert "Interrupted" in output


def test_messages_are_safe_too(trace_dir: Path, environment: dict[str, str]) -> None:
    """A hostile file name or argument in an error message is made visible, not obeyed."""
    result = subprocess.run(
        [sys.executable, "-m", "inspect_trace", "dump", "no\x1b[31m\nsuch"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr
    result = subprocess.run(
        [sys.executable, "-m", "inspect_trace", "no\x1b[31m\nsuch"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("long", [False, True])
def test_list_fits_the_terminal(
    trace_dir: Path, environment: dict[str, str], columns: int, *, long: bool
) -> None:
    """Columns make room for those that matter most, and no line is wider than the terminal."""
    for number in (4194303, 4194304):
        fields: dict[str, Any] = {"task": HOSTILE if number % 2 else "t" * 300}
        write_log(trace_dir / f"trace-{number}.log", record("x", **fields), record("y", second=9))
    text = in_terminal(
        "list", *(["--long"] if long else []), environment=environment, columns=columns
    )
    lines = SGR.sub("", text).splitlines()
    assert lines[0] == f"Trace logs in {trace_dir}"
    heads = re.split(r" {2,}", lines[2])
    assert heads[:2] == ["Time", "Trace File"]
    assert heads[-1] == "Command"
    assert set(heads) >= {"Open", "Failed"} if long else "Open" not in heads
    assert ("PID" in heads) == (columns == 200)
    if columns >= 80:
        assert "State" in heads
        assert all(len(line) <= columns for line in lines[2:5])
    assert "--long" in lines[-1] or long
    assert re.fullmatch(r"[\x20-\x7e\n\u2026\u21b5]*", SGR.sub("", text))
