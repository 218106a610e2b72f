"""How little a command loads: it starts as fast as that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cli.logs import MIXED, write_log
from inspect_trace.cli.main import COMMANDS, trace_group

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

LOADED = """
import json, sys
sys.argv = ["inspect-trace", *sys.argv[1:]]
from inspect_trace.cli.start import main
try:
    main()
finally:
    sys.stderr.write(json.dumps(sorted(sys.modules)))
"""
SLOW = {"logging", "pathlib", "platformdirs", "importlib.metadata", "asyncio", "inspect_ai"}


@pytest.mark.parametrize(
    "command",
    ["list", "dump", "http", "anomalies", "timeline -o -", "tree", "stats", "verify"],
)
def test_a_command_loads_only_what_it_needs(
    command: str, environment: dict[str, str], trace_dir: Path
) -> None:
    """No command loads another one, the writing side, or a library that it has no use for."""
    write_log(trace_dir / "trace-1.log", *MIXED)
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *command.split()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stderr))
    assert loaded & SLOW == set()
    commands = {f"inspect_trace.cli.{name}" for name in COMMANDS}
    assert loaded & commands == {f"inspect_trace.cli.{command.split()[0]}"}
    assert "inspect_trace.action" not in loaded


def test_a_named_directory_needs_no_platformdirs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """With INSPECT_TRACE_DIR set nothing else is asked for the directory, wherever HOME is."""
    del environment["XDG_DATA_HOME"]
    environment |= {"INSPECT_TRACE_DIR": str(tmp_path), "HOME": "no/home"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "list"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stderr)) & SLOW == set()


def test_every_command_is_listed_and_found() -> None:
    """Each name in COMMANDS is a command of that name, with help."""
    context = trace_group.make_context("inspect-trace", ["list"])
    assert trace_group.list_commands(context) == sorted(COMMANDS)
    for name in COMMANDS:
        command = trace_group.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help


def test_a_name_that_is_no_command_is_not_imported(inspect_trace: Run) -> None:
    """A module that is no command is refused as a command, like any other word."""
    for word in ("output", "nothing"):
        result = inspect_trace(word)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"'{word}'" in result.stderr
        assert "Traceback" not in result.stderr


def test_ctrl_c_while_loading_is_no_traceback(environment: dict[str, str]) -> None:
    """Ctrl-C that comes before anything is loaded ends the command as any Ctrl-C does."""
    code = f"""
import builtins, os, sys
real_import = builtins.__import__
def interrupted(name, *rest, **more):
    if name == "click":
        os.kill(os.getpid(), {signal.SIGINT.value})
    return real_import(name, *rest, **more)
builtins.__import__ = interrupted
sys.argv = ["inspect-trace", "list"]
from inspect_trace.cli.start import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_garbage_is_collected_while_a_command_runs() -> None:
    """The collector is only switched off while modules are loaded: a long command needs it."""
    code = """
import gc, sys
import inspect_trace.cli.main as loaded
def look(args, prog_name):
    print(gc.isenabled(), gc.get_freeze_count() > 0)
loaded.main = look
from inspect_trace.cli.start import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
