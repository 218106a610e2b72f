"""The reference's `inspect trace`, run many times while its slow import is paid for once.

Each run is a process of its own, forked from one that has imported inspect_ai. (The function is
called and not the script `inspect`, as ours may have taken that name.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any


class TheirCommand:
    """The process that runs the reference's command when asked to."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, arguments: list[str], environment: dict[str, str], cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run `inspect trace ARGUMENTS`."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with tempfile.TemporaryDirectory() as directory:
            output, errors = Path(directory, "stdout"), Path(directory, "stderr")
            job = {
                "arguments": arguments,
                "environment": environment,
                "cwd": str(cwd),
                "stdout": str(output),
                "stderr": str(errors),
            }
            print(json.dumps(job), file=self._server.stdin, flush=True)
            exit_code = int(self._server.stdout.readline())
            return subprocess.CompletedProcess(
                ["inspect", "trace", *arguments],
                exit_code,
                output.read_text(encoding="utf-8"),
                errors.read_text(encoding="utf-8"),
            )

    def close(self) -> None:
        """End the process."""
        self._server.communicate()


def serve() -> None:
    """Run what stdin asks for, line by line, and answer with exit codes."""
    from inspect_ai._cli.main import main

    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(job)
            code: Any = 0
            try:
                main()
            except SystemExit as leave:
                code = leave.code
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else int(code is not None))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def _become(job: dict[str, Any]) -> None:
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    time.tzset()
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(job[name], os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    sys.argv = ["inspect", "trace", *job["arguments"]]


if __name__ == "__main__":
    serve()
