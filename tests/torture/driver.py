"""Plays one round: starts the program, kills it, and checks what its logs have."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from torture.check import (
    Acknowledged,
    Faults,
    Found,
    compare,
    follow_to_the_end,
    log_paths,
    read_as_plain,
    read_by_command,
    read_by_scan,
    unended_actions,
)
from torture.plan import OWN_DEATHS, SIGNALS, Plan
from torture.record import LONG_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 60
"""When something that a program does at once has taken so long that it hangs."""

OWN_DEATH_S = 0.5
"""How long a program that was told to die is given: one that waits for its children never ends."""

_TESTS = Path(__file__).parent.parent
_PIPE_BYTES = 1 << 20
_PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Round:
    """What came out of a round."""

    plan: Plan
    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    reads: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, Faults]] = field(default_factory=list)
    """What was wrong, by what had been done when the logs were read."""
    complaints: list[str] = field(default_factory=list)
    """Whatever else was not as it should be."""
    longest: int = 0
    """The longest message that was read, in characters."""
    cut_short: int = 0
    """Reads that passed over a line cut short: of a record that nobody acknowledged."""

    @property
    def failed(self) -> bool:
        """Whether anything was wrong."""
        return bool(self.faults or self.complaints)


class Acknowledgements:
    """The FIFO that all writing processes acknowledge to, read all the time."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._rest = b""
        self._counts: Acknowledged = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_reading, daemon=True)
        self._thread.start()

    def snapshot(self) -> Acknowledged:
        """All that has been acknowledged up to now."""
        with self._lock:
            self._take_all()
            return dict(self._counts)

    def close(self) -> None:
        """Stops reading."""
        self._stop.set()
        self._thread.join()
        os.close(self._fd)

    def _keep_reading(self) -> None:
        while not self._stop.is_set():
            select.select([self._fd], [], [], 0.05)
            with self._lock:
                at_end = self._take_all()
            if at_end:  # nobody writes: such a FIFO is always ready
                self._stop.wait(0.002)

    def _take_all(self) -> bool:
        """Takes all there is; whether nobody has the FIFO open for writing."""
        while True:
            try:
                chunk = os.read(self._fd, _PIPE_BYTES)
            except BlockingIOError:
                return False
            if not chunk:
                return True
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                who, number = line.decode().rsplit(" ", 1)
                expected = self._counts.get(who, 0)
                if int(number) != expected:
                    raise AssertionError(f"{who} acknowledges {number}, not {expected}")
                self._counts[who] = expected + 1


class Follower:
    """Follows a log on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: Found | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def found(self) -> Found | None:
        """All that came, once the log has ended; None if following does not end in time."""
        self._thread.join(DEADLINE_S)
        return self._found

    def _follow(self) -> None:
        self._found = follow_to_the_end(self.path)


def become_subreaper() -> None:
    """Orphans of the programs become children of this process, which can wait for their end."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def play(plan: Plan, directory: Path) -> Round:
    """Plays a round in an empty directory. The process has to be a subreaper."""
    played = Round(plan)
    player = _Player(plan, directory, played)
    try:
        player.play()
    except Exception as error:
        played.complaints.append(f"{type(error).__name__}: {error}")
    finally:
        player.end()
    return played


class _Player:
    def __init__(self, plan: Plan, directory: Path, played: Round) -> None:
        self.plan = plan
        self.played = played
        self.random = Random(f"{plan.seed} driver")
        self.traces = directory / "traces"
        self.shared = directory / "shared.log" if plan.shared_file else None
        self.errors = directory / "stderr"
        self.acknowledgements = Acknowledgements(directory / "acknowledgements")
        self.group: int | None = None
        self.follower: Follower | None = None

    def play(self) -> None:
        self.write_and_die()
        found = self.read("after the death", in_flight=1)
        if found.open_actions != (unended := unended_actions(self.logs())):
            wrong = sorted(found.open_actions ^ unended)
            self.played.complaints.append(f"anomalies and scan differ on what is open: {wrong[:5]}")
        if self.follower is not None:
            self.check_follower(self.follower)
        if self.plan.has_next:
            for number in range(self.plan.next_kills):
                self.start_next(f"n{number}", kill_after_s=0.0005 * 100 ** self.random.random())
                self.read("after a kill while tidying up", in_flight=1)
            self.start_next("n", kill_after_s=None)
            self.read("after the next start", in_flight=1)
            self.read_plain()
            self.read("by the command", in_flight=1, read=read_by_command)
        self.played.acknowledged = sum(self.acknowledgements.snapshot().values())
        for line in self.errors.read_text(errors="replace").splitlines():
            if line.startswith("inspect-trace: "):
                self.played.complaints.append(f"on stderr: {line}")

    def end(self) -> None:
        if self.group is not None:
            self.kill_group()
        self.acknowledgements.close()

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("INSPECT_TRACE_")}
        environment["PYTHONPATH"] = str(_TESTS)
        environment["INSPECT_TRACE_DIR"] = str(self.traces)
        if self.shared is not None:
            environment["INSPECT_TRACE_FILE"] = str(self.shared)
        with self.errors.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, str(self.acknowledgements.path)],
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        self.group = process.pid
        return process

    def write_and_die(self) -> None:
        plan = self.plan
        process = self.start("torture.writer", plan.to_json())
        self.wait_for(lambda: bool(self.acknowledgements.snapshot()), process)
        dies_at_s = time.monotonic() + plan.delay_s
        if plan.followed:
            self.follower = Follower(self.traces / f"trace-{process.pid}.log")
        for _ in range(plan.live_reads):
            self.pause_until(time.monotonic() + self.random.random() * plan.delay_s)
            self.read("while it writes", in_flight=None)
        if plan.stopped_read:
            os.killpg(process.pid, signal.SIGSTOP)
            self.read("while it is stopped", in_flight=None)
            os.killpg(process.pid, signal.SIGCONT)
        self.pause_until(dies_at_s)
        if plan.death in OWN_DEATHS:
            assert process.stdin is not None
            process.stdin.write(b"!")
            if plan.death == "child sys.exit":
                self.pause_until(time.monotonic() + self.random.random() * 0.05)
            else:
                deadline_s = time.monotonic() + OWN_DEATH_S
                while not _has_ended(process.pid) and time.monotonic() < deadline_s:
                    time.sleep(0.001)
            self.pause_until(time.monotonic() + self.random.random() * 0.01)
        else:
            os.killpg(process.pid, getattr(signal, plan.death))
            if plan.death != "SIGKILL":  # each process has it; one that does not end is a fault
                self.wait_for_end(process)
        self.played.kills[plan.death] += 1
        self.kill_group()
        _close(process)

    def start_next(self, label: str, kill_after_s: float | None) -> None:
        """Starts the next program on the same logs; kills it, or lets it finish."""
        process = self.start("torture.next_program", label)
        self.wait_for(lambda: f"{label}.0" in self.acknowledgements.snapshot(), process)
        if kill_after_s is not None:
            self.pause_until(time.monotonic() + kill_after_s)
            self.played.kills["SIGKILL while tidying up"] += 1
        else:
            if self.shared is None:
                own = self.traces / f"trace-{process.pid}.log"
                self.wait_for(lambda: list(self.traces.glob("*.log")) == [own], process)
            self.read("beside the next program", in_flight=1)
            assert process.stdin is not None
            process.stdin.close()
            self.wait_for_end(process)
        self.kill_group()
        _close(process)

    def logs(self) -> list[Path]:
        return [self.shared] if self.shared is not None else log_paths(self.traces)

    def read(
        self,
        when: str,
        in_flight: int | None,
        read: Callable[[list[Path]], Found] = read_by_scan,
    ) -> Found:
        acknowledged = self.acknowledgements.snapshot()
        found = read(self.logs())
        self.played.reads[when] += 1
        self.played.cut_short += bool(found.skipped)
        if found.skipped and when != "while it writes" and self.leaves_no_piece():
            self.played.complaints.append(f"{when}: {found.skipped}")
        self.played.longest = max(self.played.longest, found.longest)
        if faults := compare(acknowledged, found, in_flight=in_flight):
            self.played.faults.append((when, faults))
        return found

    def leaves_no_piece(self) -> bool:
        """Whether each line goes through the buffer, which has the rest of one that is cut short.

        What is too long for that does not, nor do threads that still log when the interpreter ends.
        """
        plan = self.plan
        if plan.tracing.get("buffer_bytes") == 0:
            return False
        return plan.largest_bytes < LONG_BYTES and plan.death in (*SIGNALS, "segfault", "os._exit")

    def check_follower(self, follower: Follower) -> None:
        """What was followed while it was written is what is read afterwards."""
        self.played.reads["followed"] += 1
        found = follower.found()
        if found is None:
            self.played.complaints.append("following does not end")
            return
        there = read_by_scan([follower.path])
        if faults := compare(
            {who: len(numbers) for who, numbers in there.numbers.items()}, found, in_flight=0
        ):
            self.played.faults.append(("followed", faults))

    def read_plain(self) -> None:
        """Reads the bytes of the logs themselves, which may take a moment to be all there."""
        acknowledged = self.acknowledgements.snapshot()
        deadline_s = time.monotonic() + DEADLINE_S / 2
        while True:
            faults = compare(acknowledged, read_as_plain(self.logs()), in_flight=1)
            if not faults or time.monotonic() > deadline_s:
                break
            time.sleep(0.01)
        self.played.reads["plain, after the next start"] += 1
        if faults:
            self.played.faults.append(("plain, after the next start", faults))

    def wait_for(self, done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not done():
            if _has_ended(process.pid) or time.monotonic() > deadline_s:
                text = self.errors.read_text(errors="replace")[-2000:]
                raise AssertionError(f"the program does not go on:\n{text}")
            time.sleep(0.001)

    def wait_for_end(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not _has_ended(process.pid):
            if time.monotonic() > deadline_s:
                self.played.complaints.append(f"hangs after {self.plan.death}")
                return
            time.sleep(0.001)

    def pause_until(self, moment_s: float) -> None:
        """Lets a random time pass: what is to be interrupted is left to chance."""
        time.sleep(max(moment_s - time.monotonic(), 0))

    def kill_group(self) -> None:
        """Kills what is left of a program and its children, and waits until nothing is."""
        assert self.group is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-self.group, 0)
        self.group = None


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.returncode = 0  # it has been waited for


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it can still be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
