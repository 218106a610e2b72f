"""Peak memory of every reading command: it must not grow with the log.

Each command runs on the plain log and on both kinds of gzip file. With `--huge` it runs on files
ten times that size too, which are the same ones ten times over: a log of ten times as many records,
ten gzip members in a row. These are made one at a time and removed.

    python benches/bench_memory.py --bytes 1GB --huge
"""

from __future__ import annotations

import argparse
import shutil
from typing import TYPE_CHECKING

from corpus import parse_size
from launch import OURS, run
from logfiles import log_files
from measure import DATA, table

if TYPE_CHECKING:
    from pathlib import Path

    from logfiles import LogFiles

LIMIT_MIB = 128
TIMES = 10
FEW_HITS = "sample=s-25"
COMMANDS = {
    "list": ["list"],
    "anomalies": ["anomalies"],
    "dump": ["dump"],
    f"dump --filter {FEW_HITS}": ["dump", "--filter", FEW_HITS],
    "http --json": ["http", "--json"],
}
WITHOUT_FILE = {"list"}


def check_space(size_bytes: int, *, huge: bool) -> None:
    """Stops if the disk cannot hold the files.

    Raises:
        SystemExit: It cannot; the message tells how much is missing.
    """
    # The log, the copy that is compressed, the output of `dump`, and the .gz files.
    needed_bytes = size_bytes * 7 // 2 + (size_bytes * TIMES if huge else 0)
    DATA.mkdir(exist_ok=True)
    free_bytes = shutil.disk_usage(DATA).free
    if free_bytes < needed_bytes:
        raise SystemExit(
            f"{DATA}: {free_bytes / 1e9:.1f} GB are free, the benches need {needed_bytes / 1e9:.1f}"
        )


def measure(files: LogFiles, rounds: int, *, huge: bool) -> str:
    """Runs the bench.

    Returns:
        The results in Markdown.
    """
    kinds = {".log": files.log, "the reference's .gz": files.reference_gz, "our .gz": files.our_gz}
    size_bytes = files.log.stat().st_size
    columns = {
        f"{kind}, {size(size_bytes)}": peaks(files, path, rounds) for kind, path in kinds.items()
    }
    if huge:
        for kind, path in kinds.items():
            repeated = files.directory / f"repeated{''.join(path.suffixes)}"
            try:
                repeat(path, repeated)
                title = f"{kind}, {size(size_bytes * TIMES)}"
                columns[title] = peaks(files, repeated, 1)
            finally:
                repeated.unlink(missing_ok=True)
    rows = []
    for name in COMMANDS:
        values_mib = [column[name] for column in columns.values() if name in column]
        is_reached = max(values_mib) <= LIMIT_MIB
        rows.append(
            [
                f"`{name}`",
                *(f"{column[name]:.0f}" if name in column else "" for column in columns.values()),
                str(LIMIT_MIB),
                "yes" if is_reached else "**no**",
            ]
        )
    larger = f" The {TIMES} times larger files are the same ones over and over, one run on each."
    return (
        f"Peak resident memory in MiB, the highest of {rounds} {'run' if rounds == 1 else 'runs'}; "
        "under 9 MiB does not show. Sizes are those of the log, unpacked; `list` reads no log."
        f"{larger if huge else ''}\n\n{table(['command', *columns, 'target', 'reached'], rows)}"
    )


def peaks(files: LogFiles, path: Path, rounds: int) -> dict[str, float]:
    """The peak memory of each command that is run on a file, in MiB."""
    found = {}
    for name, command in COMMANDS.items():
        if name in WITHOUT_FILE and path != files.log:
            continue
        arguments = command if name in WITHOUT_FILE else [*command, str(path)]
        found[name] = max(
            run([*OURS, *arguments], files.environment).peak_mib for _ in range(rounds)
        )
    return found


def repeat(path: Path, repeated: Path) -> None:
    """Makes the file that is the other one several times over."""
    with repeated.open("wb") as out:
        for _ in range(TIMES):
            with path.open("rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)


def size(size_bytes: int) -> str:
    """A size in the unit that suits it."""
    if size_bytes < 1e9:
        return f"{size_bytes / 1e6:,.0f} MB"
    return f"{size_bytes / 1e9:.3g} GB"


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="Peak memory of our reading commands.")
    parser.add_argument("--bytes", type=parse_size, default=1_000_000_000, help="such as 1GB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--huge", action="store_true", help="ten times that size too")
    options = parser.parse_args()
    check_space(options.bytes, huge=options.huge)
    with log_files(options.bytes, options.seed) as files:
        print(measure(files, options.rounds, huge=options.huge))


if __name__ == "__main__":
    main()
