"""What is public is loaded when it is first asked for, and found in every way all the same."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import inspect_trace

SOURCE = Path(inspect_trace.__file__).read_text(encoding="utf-8")


def output_of(code: str, *arguments: object) -> str:
    """What a program prints that has loaded nothing yet."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def guarded_imports() -> dict[str, str]:
    """What type checkers are told: the public names, by the module they are imported from."""
    guard = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    imports = [node for node in guard.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_importing_loads_nothing_else() -> None:
    """`import inspect_trace` loads no other module of ours, no library and no `logging`."""
    code = (
        "import sys; before = set(sys.modules); import inspect_trace; "
        "print(sorted(set(sys.modules) - before))"
    )
    assert output_of(code) == "['inspect_trace']\n"


def test_reading_does_not_load_the_writing_side(tmp_path: Path) -> None:
    """A program that reads a log whose path it knows loads neither `logging` nor `platformdirs`."""
    log = tmp_path / "trace-1.log"
    log.write_text('{"timestamp": "2026-01-01T00:00:00+00:00", "level": "TRACE", "message": "m"}\n')
    code = (
        "import sys, inspect_trace; print([r.message for r in inspect_trace.scan(sys.argv[1])]); "
        "print([m for m in ('logging', 'platformdirs', 'click', 'inspect_trace.action') "
        "if m in sys.modules])"
    )
    assert output_of(code, log) == "['m']\n[]\n"


def test_types_and_program_find_the_same_names() -> None:
    """Type checkers are told of the names in `__all__`, in the modules they are loaded from."""
    told = guarded_imports()
    assert sorted(told) == sorted(inspect_trace.__all__)
    for name, module in told.items():
        home = importlib.import_module(f"inspect_trace.{module}")
        assert getattr(inspect_trace, name) is getattr(home, name)


def test_dir_shows_every_public_name() -> None:
    """`dir` shows what has not been loaded yet."""
    code = "import json, inspect_trace; print(json.dumps(dir(inspect_trace)))"
    shown = json.loads(output_of(code))
    assert set(inspect_trace.__all__) <= set(shown)
    assert shown == sorted(set(shown))


def test_star_import_brings_every_public_name() -> None:
    """`from inspect_trace import *` defines the names of `__all__` and no others."""
    code = (
        "import json; before = {*globals(), 'before'}; from inspect_trace import *; "
        "print(json.dumps(sorted(set(globals()) - before)))"
    )
    assert json.loads(output_of(code)) == sorted(inspect_trace.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """What is not there is reported as for any module, so that `hasattr` and `getattr` work."""
    with pytest.raises(AttributeError, match=r"module 'inspect_trace' has no attribute 'nothing'"):
        inspect_trace.nothing  # type: ignore[attr-defined] # noqa: B018
    assert not hasattr(inspect_trace, "__wrapped__")


def test_classes_are_pickled_by_name() -> None:
    """A public class is pickled, and found again by a process that has not loaded it."""
    code = "import pickle, sys; print(pickle.loads(bytes.fromhex(sys.argv[1])).__qualname__)"
    pickled = output_of(
        "import pickle, inspect_trace; print(pickle.dumps(inspect_trace.TraceHandler).hex())"
    )
    assert output_of(code, pickled.strip()) == "TraceHandler\n"


def test_dict_config_finds_the_handler_in_a_fresh_process(tmp_path: Path) -> None:
    """`dictConfig` finds the class, and then the level's name, with nothing imported before."""
    code = """
import logging.config, sys
logging.config.dictConfig({
    "version": 1,
    "handlers": {"trace": {"class": "inspect_trace.TraceHandler", "path": sys.argv[1]}},
    "root": {"level": "TRACE", "handlers": ["trace"]},
})
logging.getLogger("configured").log(13, "written")
"""
    log = tmp_path / "configured.log"
    output_of(code, log)
    assert [json.loads(line)["message"] for line in log.read_text().splitlines()] == ["written"]


def test_threads_may_ask_at_the_same_time() -> None:
    """Threads that ask for a name for the first time all get the same object."""
    code = """
import threading
import inspect_trace
barrier = threading.Barrier(8)
found = []
def ask():
    barrier.wait()
    found.append(inspect_trace.trace_action)
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), len(set(map(id, found))))
"""
    assert output_of(code) == "8 1\n"
