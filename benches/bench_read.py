"""Reading: our commands and the reference's on the same log, in turn, as whole processes.

Wall time and peak memory of a whole command, start-up included, its output going nowhere. `wc -l`
and `cat` are the yardsticks: what the machine needs to look at the bytes at all. Before anything
is timed, both commands' answers are compared.

    python benches/bench_read.py --bytes 100MB --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus import CORPUS_VERSION, make_corpus, parse_size
from launch import OURS, Taken, memory_of, run, wall_of
from measure import DATA, ratio, seconds, table

REFERENCE = [
    sys.executable,
    "-c",
    # Its script is called `inspect`, and so is ours: which of them is installed must not matter.
    "import sys; sys.argv[0] = 'inspect'; from inspect_ai._cli.main import main; main()",
    "trace",
]
FEW_HITS = "sample=s-25"


@dataclass
class Case:
    """One command, to be run by both sides."""

    arguments: list[str]
    ours: list[Taken] = field(default_factory=list)
    reference: list[Taken] = field(default_factory=list)


def answer(command: list[str], environment: dict[str, str]) -> Any:
    """What a command prints, as JSON."""
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def check_answers(log: Path, environment: dict[str, str]) -> None:
    """Stops if ours and the reference do not find the same in the log."""
    # What both have: ours may have more keys.
    keys = ("action", "detail", "error", "start_time", "timestamp", "message")
    for command in (["anomalies", "--json"], ["http", "--json"]):
        ours, reference = (
            answer([*side, *command, str(log)], environment) for side in (OURS, REFERENCE)
        )
        for key in ("running", "cancelled", "errors", "timeouts", "requests"):
            of_ours, of_reference = (
                [[row.get(name) for name in keys] for row in found.get(key, [])]
                for found in (ours, reference)
            )
            if of_ours != of_reference:
                raise SystemExit(f"{command}: ours and the reference differ in {key}")


def measure(size_bytes: int, seed: int, rounds: int, *, check: bool = True) -> str:
    """Runs the bench.

    Returns:
        The results in Markdown.
    """
    DATA.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="read-", dir=DATA))
    try:
        # Both sides look for their trace directory here.
        traces = directory / "inspect_ai" / "traces"
        traces.mkdir(parents=True)
        environment = {**os.environ, "XDG_DATA_HOME": str(directory)}
        log, packed = traces / "trace-1.log", traces / "trace-2.log.gz"
        records = make_corpus(log, size_bytes, seed)
        make_corpus(packed, size_bytes, seed, compressed=True)
        if check:
            check_answers(log, environment)

        cases = {
            "list": Case(["list"]),
            "anomalies": Case(["anomalies", str(log)]),
            "anomalies --json": Case(["anomalies", "--json", str(log)]),
            "anomalies --json, .gz": Case(["anomalies", "--json", str(packed)]),
            "dump": Case(["dump", str(log)]),
            "dump, .gz": Case(["dump", str(packed)]),
            f"dump --filter {FEW_HITS}": Case(["dump", "--filter", FEW_HITS, str(log)]),
            "http": Case(["http", str(log)]),
            "http --json": Case(["http", "--json", str(log)]),
            "http --json, .gz": Case(["http", "--json", str(packed)]),
        }
        yardsticks: dict[str, tuple[list[str], list[Taken]]] = {
            "wc -l": (["wc", "-l", str(log)], []),
            "cat to nowhere": (["cat", str(log)], []),
            "gzip -dc": (["gzip", "-dc", str(packed)], []),
            "python -c pass": ([sys.executable, "-c", "pass"], []),
        }
        for number in range(rounds):
            for command, results in yardsticks.values():
                results.append(run(command, environment))
            for case in cases.values():
                sides = [(OURS, case.ours), (REFERENCE, case.reference)]
                for prefix, results in sides if number % 2 else reversed(sides):
                    results.append(run([*prefix, *case.arguments], environment))
        packed_bytes = packed.stat().st_size
        log_bytes = log.stat().st_size
    finally:
        shutil.rmtree(directory)

    rows = [
        [
            f"`{name}`",
            wall_of(case.ours).show(seconds),
            wall_of(case.reference).show(seconds),
            ratio(wall_of(case.reference), wall_of(case.ours)),
            f"{memory_of(case.ours).median:,.0f}",
            f"{memory_of(case.reference).median:,.0f}",
        ]
        for name, case in cases.items()
    ]
    rows += [
        [f"`{name}`", wall_of(results).show(seconds), "", "", "", ""]
        for name, (_, results) in yardsticks.items()
    ]
    head = [
        "command",
        "ours, s",
        "reference, s",
        "faster",
        "ours, peak MiB",
        "reference, peak MiB",
    ]
    return (
        f"A log of {log_bytes / 1e6:,.1f} MB, {records:,} records ({packed_bytes / 1e6:,.1f} MB as "
        f".gz): corpus version {CORPUS_VERSION}, seed {seed}. Median of {rounds} (lowest–highest), "
        "the two sides in turn, files in the page cache, output to nowhere. Peak memory "
        "under 9 MiB does not show.\n\n"
        f"{table(head, rows)}"
    )


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="Our commands against the reference's.")
    parser.add_argument("--bytes", type=parse_size, default=100_000_000, help="such as 100MB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(measure(options.bytes, options.seed, options.rounds))


if __name__ == "__main__":
    main()
