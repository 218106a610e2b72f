"""A command on a terminal of its own, whose screen can be read; and a program to look at."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEADLINE_S = 60
"""When what is waited for is taken not to come."""

PROGRAM = """
import logging, os, sys, time
from inspect_trace import init_tracing, trace_action, trace_context

logger = logging.getLogger("program")
tracing = init_tracing()
print(tracing.path, flush=True)
actions = {}
for line in sys.stdin:
    verb, name, *rest = line.split()
    if verb == "begin":
        detail = rest[0] if rest else name
        with trace_context(task="t", sample_id=f"s-{name}"):
            actions[name] = trace_action(logger, "Tool Call", "%s", detail)
            actions[name].__enter__()
    elif verb == "end":
        actions.pop(name).__exit__(None, None, None)
    elif verb == "fail":
        error = ValueError(name)
        try:
            actions.pop(name).__exit__(ValueError, error, None)
        except ValueError:
            pass
    print("done", flush=True)
"""
"""Begins and ends actions as it is told; those that it begins enclose those that come after."""


class Program(AbstractContextManager["Program"]):
    """A traced program that does what it is told, until it is killed."""

    def __init__(self, directory: Path, environment: dict[str, str], **variables: str) -> None:
        script = directory / "program.py"
        script.write_text(PROGRAM)
        self.process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, **variables},
            encoding="utf-8",
        )
        self.path = self._answer()
        self.pid = self.process.pid

    def tell(self, *words: str) -> None:
        """Say what to do, and wait until it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        assert self._answer() == "done"

    def kill(self) -> None:
        """End it, without a chance to end anything in it."""
        self.process.kill()
        self.process.wait()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class OnScreen(AbstractContextManager["OnScreen"]):
    """`inspect-trace ARGUMENTS` on a terminal."""

    def __init__(
        self, *arguments: str, environment: dict[str, str], columns: int = 80, lines: int = 24
    ) -> None:
        self._leader, follower = os.openpty()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.output = b""
        self.resize(columns, lines)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inspect_trace", *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**environment, "TERM": "xterm-256color"},
        )
        os.close(follower)

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size, of which the command is told by the system."""
        self._screen.resize(lines, columns)
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._leader, keys.encode())

    def until(self, is_so: Callable[[str], bool]) -> str:
        """Wait until the screen is like that."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not is_so(self.text):
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"it did not come:\n{self.text}"
            assert self._read(left_s), f"it has ended:\n{self.text}"
        return self.text

    def shows(self, *texts: str) -> str:
        """Wait until all of these are on the screen."""
        return self.until(lambda screen: all(text in screen for text in texts))

    def take_in(self, duration_s: float) -> None:
        """Take in what the command draws, for so long: one that nobody reads stands still."""
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._read(left_s)

    def end(self, signal_number: int | None = None) -> int:
        """Its exit code; after a signal, if one is given."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        while self._read(DEADLINE_S):
            pass
        return self.process.wait(DEADLINE_S)

    def _read(self, timeout_s: float) -> bool:
        """Take in what the command writes next; false if it has ended."""
        if not select.select([self._leader], [], [], timeout_s)[0]:
            return True
        try:
            chunk = os.read(self._leader, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.output += chunk
        self._stream.feed(chunk)
        return bool(chunk)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._leader)
