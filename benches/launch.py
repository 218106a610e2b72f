"""Runs whole processes, and tells what they took: wall time, start-up included, and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from measure import Spread

OURS = [str(Path(sysconfig.get_path("scripts"), "inspect-trace"))]
"""Our command, as it is installed."""

PIPE = "|"
"""Between the commands of a pipe."""

# A process that has just been started counts the memory of the one that started it as its own peak:
# so a small one starts it. With several commands in a pipe, the time is that of all of them, and
# the memory that of the largest.
LAUNCHER = """
import os, sys, time
out, *words = sys.argv[1:]
commands = [[]]
for word in words:
    if word == "|":
        commands.append([])
    else:
        commands[-1].append(word)
source = os.open(os.devnull, os.O_RDONLY)
out = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
pipes = [os.pipe() for _ in commands[1:]]
ends = [source, *(fd for read, write in pipes for fd in (write, read)), out]
start = time.perf_counter()
pids = [
    os.posix_spawnp(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_DUP2, ends[2 * i], 0), (os.POSIX_SPAWN_DUP2, ends[2 * i + 1], 1)])
    for i, command in enumerate(commands)
]
for end in ends:
    os.close(end)
ended = [os.wait4(pid, 0) for pid in pids]
wall_s = time.perf_counter() - start
codes = [os.waitstatus_to_exitcode(status) for _, status, _ in ended]
print(next(filter(None, codes), 0), wall_s, max(usage.ru_maxrss for *_, usage in ended))
"""


@dataclass(frozen=True)
class Taken:
    """What a run took."""

    wall_s: float
    peak_mib: float


def run(
    command: list[str], environment: dict[str, str] | None = None, *, out: Path | None = None
) -> Taken:
    """Runs a command, or several with `PIPE` between them, to its end.

    Args:
        command: The words of the command.
        environment: Its environment; by default ours.
        out: The file that its output goes to, made anew; nowhere by default.

    Raises:
        SystemExit: It failed, or wrote nothing to the file.
    """
    # Isolated and without `site`, for the launcher to be small.
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(out or os.devnull), *command]
    if out is not None:
        out.unlink(missing_ok=True)
    done = subprocess.run(launch, env=environment, stdout=subprocess.PIPE, check=True)
    code, wall_s, peak_kib = done.stdout.split()
    if int(code):
        raise SystemExit(f"{' '.join(command)}: failed with exit code {int(code)}")
    if out is not None and out.stat().st_size == 0:
        raise SystemExit(f"{' '.join(command)}: wrote nothing to {out}")
    return Taken(float(wall_s), int(peak_kib) / 1024)


def wall_of(results: list[Taken]) -> Spread:
    """The wall times of several runs, in seconds."""
    return Spread(tuple(taken.wall_s for taken in results))


def memory_of(results: list[Taken]) -> Spread:
    """The peak memory of several runs, in MiB."""
    return Spread(tuple(taken.peak_mib for taken in results))
