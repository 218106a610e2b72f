"""`inspect-trace completion`: the scripts, each in its own shell."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.logs import MIXED, write_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.conftest import Run

PATIENCE_S = 60
PROMPT = "READY>"
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set show-all-if-ambiguous on'"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D"),
}
NAMES = ("trace-4194305.log", "trace-4194306.log")


class Shell:
    """An interactive shell in a terminal."""

    def __init__(self, shell: str, environment: dict[str, str]) -> None:
        command = START[shell][0]
        self._leader, follower = os.openpty()
        self._process = subprocess.Popen(
            command,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
            start_new_session=True,
        )
        os.close(follower)
        self._unread = ""
        self._shell = shell

    def load(self) -> None:
        """Waits for the shell, and has it read the script."""
        setup = START[self._shell][1]
        self._send(f"PS1='{PROMPT[:-1]}''{PROMPT[-1]} '\n")
        self.wait_for(PROMPT)
        self._send(f'{setup}; eval "$(inspect-trace completion {self._shell})"; echo load""ed\n')
        self.wait_for("loaded")
        self.wait_for(PROMPT)

    def complete(self, line: str, expected: str) -> None:
        """Types the line and Tab, and waits for what is expected."""
        self._send(f"{line}\t")
        self.wait_for(expected)
        self._send("\x15\n")  # away with the line
        self.wait_for(PROMPT)

    def wait_for(self, expected: str) -> str:
        """What came until that did; what came behind it is for the next to wait."""
        until = time.monotonic() + PATIENCE_S
        while expected not in self._unread:
            ready, _, _ = select.select([self._leader], [], [], max(0, until - time.monotonic()))
            assert ready, f"no {expected!r} in {self._unread!r}"
            self._unread += os.read(self._leader, 65536).decode(errors="replace")
            # How zsh draws a line is its own business.
            self._unread = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|\x08", "", self._unread)
        before, _, self._unread = self._unread.partition(expected)
        return before

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._leader)

    def _send(self, text: str) -> None:
        os.write(self._leader, text.encode())


@pytest.fixture
def environment(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment, in which a shell finds the command."""
    scripts = Path(sys.executable).parent
    return {
        **environment,
        "PATH": f"{scripts}:{environment['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "xterm",
    }


@pytest.fixture
def logs(trace_dir: Path) -> Path:
    """A trace directory with two logs, and one whose name no shell should see."""
    for name in (*NAMES, "trace-$(touch x) `y`\n.log"):
        write_log(trace_dir / name, *MIXED)
    return trace_dir


def need(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.fixture(params=["bash", "zsh"])
def shell(
    request: pytest.FixtureRequest, environment: dict[str, str], logs: Path
) -> Iterator[Shell]:
    """An interactive shell."""
    need(request.param)
    with contextlib.closing(Shell(request.param, environment)) as shell:
        shell.load()
        yield shell


def test_tab_completes_in_the_shell(shell: Shell, tmp_path: Path) -> None:
    """Tab completes commands, options, choices, logs, the names of older versions, and paths."""
    shell.complete("inspect-trace anom", "inspect-trace anomalies ")
    shell.complete("inspect-trace dump --js", "inspect-trace dump --jsonl ")
    shell.complete("inspect-trace dump --event time", "--event timeout ")
    shell.complete("inspect-trace anomalies trace-419430", NAMES[0])
    shell.complete("inspect-trace tree --running trace-4194306", f"{NAMES[1]} ")
    shell.complete("inspect-trace http trace.log.1", "trace.log.1.gz ")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.log").touch()
    shell.complete(f"inspect-trace dump {tmp_path}/elsewhere/oth", "elsewhere/other.log ")


def test_fish_completes(environment: dict[str, str], logs: Path) -> None:
    """The same in fish, which tells what it would offer."""
    need("fish")

    def offered(line: str) -> list[str]:
        done = subprocess.run(
            [
                "fish",
                "--no-config",
                "-c",
                f"inspect-trace completion fish | source; complete -C '{line}'",
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        return [row.split("\t")[0] for row in done.stdout.splitlines()]

    assert offered("inspect-trace anom") == ["anomalies"]
    assert offered("inspect-trace dump --js") == ["--jsonl"]
    assert offered("inspect-trace dump --event time") == ["timeout"]
    assert set(offered("inspect-trace anomalies trace-4")) == set(NAMES)
    assert offered("inspect-trace http trace.log.1") == ["trace.log.1.gz"]
    assert "/etc/passwd" in offered("inspect-trace dump /etc/passw")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_valid(inspect_trace: Run, shell: str) -> None:
    """Each script is one that its shell can read, and is printed wherever it is not installed."""
    result = inspect_trace("completion", shell)
    assert (result.returncode, result.stderr) == (0, "")
    assert "_INSPECT_TRACE_COMPLETE" in result.stdout
    need(shell)
    checked = subprocess.run(
        [shell, "-n"], input=result.stdout, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_an_unknown_shell_is_wrong_usage(inspect_trace: Run) -> None:
    """Only shells that can complete are taken."""
    result = inspect_trace("completion", "tcsh")
    assert (result.returncode, result.stdout) == (2, "")
    assert "'tcsh'" in result.stderr


def test_what_goes_wrong_is_not_told_in_the_command_line(
    inspect_trace: Run, tmp_path: Path
) -> None:
    """A directory that cannot be listed, or used, offers nothing and writes nothing to stderr."""
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        result = inspect_trace(
            env={
                "_INSPECT_TRACE_COMPLETE": "bash_complete",
                "COMP_WORDS": "inspect-trace dump tra",
                "COMP_CWORD": "2",
                "INSPECT_TRACE_DIR": str(directory),
            }
        )
        assert result.stderr == ""
        assert "Traceback" not in result.stdout
