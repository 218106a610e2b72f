"""`make demo`: a traced program hangs and is killed; its log tells what it was doing.

Everything happens in a temporary trace directory, which is removed afterwards.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

AGENTS = Path(__file__).with_name("agents.py")
INSPECT = Path(sysconfig.get_path("scripts"), "inspect")
HUNG = "ask_human('May I delete the database?')"


def say(text: str) -> None:
    """Tells the reader what comes next."""
    print(f"\n# {text}", flush=True)


def inspect_trace(environment: dict[str, str], *arguments: str, shown: bool = True) -> str:
    """Runs `inspect trace ...` as it would be typed, and shows what it prints."""
    if shown:
        print(f"$ inspect trace {shlex.join(arguments)}", flush=True)
    done = subprocess.run(
        [INSPECT, "trace", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    if shown:
        print(done.stdout.rstrip("\n"), flush=True)
    return done.stdout


def main() -> int:
    """Plays the demo.

    Returns:
        The exit code: 0 if the log told what it has to tell.
    """
    with tempfile.TemporaryDirectory(prefix="inspect-trace-demo-") as directory:
        environment = {**os.environ, "INSPECT_TRACE_DIR": directory}

        say("Three agents are set to work, in one process; agent 3 will hang in a tool call.")
        print("$ python examples/agents.py &", flush=True)
        program = subprocess.Popen(
            [sys.executable, AGENTS], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert program.stdout is not None
            # It prints this line once the other agents are done and agent 3 is stuck.
            line = program.stdout.readline()
            print(line.rstrip("\n"))
            if not line:
                print(f"demo failed: the program ended ({program.wait()})", file=sys.stderr)
                return 1

            say("It does not go on. What is it doing? Its log is there to be read while it runs:")
            inspect_trace(environment, "anomalies")

            say("Now it is killed: no handler runs, nothing is flushed, no file is closed.")
            print(f"$ kill -KILL {program.pid}", flush=True)
        finally:
            program.kill()
            program.wait()
            if program.stdout is not None:
                program.stdout.close()
        if program.returncode != -signal.SIGKILL:
            print(f"demo failed: the program ended ({program.returncode})", file=sys.stderr)
            return 1

        say("Post mortem: what was it doing when it died?")
        inspect_trace(environment, "anomalies")

        say("What had gone wrong before?")
        inspect_trace(environment, "anomalies", "--all")

        say("And all that the log has about agent 1's subprocesses, as JSON Lines:")
        inspect_trace(environment, "dump", "--filter", "subprocess", "--jsonl")

        found = json.loads(inspect_trace(environment, "anomalies", "--json", shown=False))
        interrupted = {row["detail"] for row in found["running"] if row["interrupted"]}
        if interrupted != {"agent 3", HUNG} or found["process"]["alive"] is not False:
            print(f"demo failed: the log tells something else: {found}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
