"""A user without a home: there is no trace directory, and the program goes on."""

from __future__ import annotations

import os
import subprocess
import sys

# No user has this number, so none has a home by it.
NOBODYS_NUMBER = "54321"

PROGRAM = """
import logging
from inspect_trace import init_tracing, trace_action
with init_tracing() as tracing:
    with trace_action(logging.getLogger("x"), "Action", "detail"):
        print("goes on")
    print(tracing.handler.dropped)
"""


def test_a_user_without_a_home(as_nobody: list[str]) -> None:
    """One line says that nothing is traced and what to do, and the records are counted."""
    nobody = as_nobody[as_nobody.index("--reuid") + 1]
    prefix = [NOBODYS_NUMBER if word == nobody else word for word in as_nobody]
    names = ("HOME", "INSPECT_TRACE_DIR", "INSPECT_TRACE_FILE")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in names and not name.startswith("XDG_")
    }
    done = subprocess.run(
        [*prefix, sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        cwd="/",
    )
    assert (done.returncode, done.stdout) == (0, "goes on\n2\n"), done.stderr
    assert done.stderr == (
        "inspect-trace: no home directory is known: name the trace directory in "
        "INSPECT_TRACE_DIR; nothing is traced\n"
    )
