"""What every bench needs: medians with their spread, tables, and the facts about the machine."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
DATA = HERE / "data"
"""Where benches put their files: beside the repository's own, on a real disk."""


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def show(self, form: Callable[[float], str]) -> str:
        """The median, and the lowest and highest if there are several."""
        if len(self.values) == 1:
            return form(self.median)
        return f"{form(self.median)} ({form(min(self.values))}–{form(max(self.values))})"


def seconds(value: float) -> str:
    """A duration in seconds with three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def nanoseconds(value: float) -> str:
    """A duration in nanoseconds, given in nanoseconds."""
    return f"{value:,.0f}"


def ratio(reference: Spread, ours: Spread) -> str:
    """How many times less ours takes, by the medians."""
    return f"{reference.median / ours.median:,.1f}×"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    escaped = ([cell.replace("|", r"\|") for cell in cells] for cells in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


def cpu_s(pid: int) -> float:
    """The processor time that a process has taken so far, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid: int) -> float:
    """The most memory that a process has had so far, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def facts() -> str:
    """One paragraph: the machine, the software and the commit that were measured."""
    return (
        f"{_cpu()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {_file_system()}, "
        f"{platform.system()} {platform.release().split('-')[0]}; "
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"inspect_ai {_version('inspect_ai')}, inspect-trace {_version('inspect-trace')} "
        f"at commit {_commit()}. Load average before: {os.getloadavg()[0]:.1f}."
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _file_system() -> str:
    """The kind of file system that the benches write to."""
    here, best = str(HERE.resolve()), ("", "unknown file system")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split(" ")
        if (here + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "(not installed)"


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + (" (changed)" if changed else "")
