"""`python -m torture`: plays rounds until enough programs are killed, and tells the result."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from torture.driver import Round, become_subreaper, play
from torture.plan import draw

SHOWN_FAULTS = 5
PROGRESS_ROUNDS = 100
"""After how many rounds a line tells how far it is."""


def main() -> int:
    """Plays, and prints the record; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many kills (default: 1000)")
    parser.add_argument("--seed", type=int, help="what everything is drawn from (default: new)")
    parser.add_argument("--first", type=int, default=0, help="the first round (default: 0)")
    parser.add_argument("--rounds", type=int, help="no more than so many rounds")
    parser.add_argument("--verbose", action="store_true", help="tell the plan of every round")
    parser.add_argument(
        "--tracing", type=json.loads, metavar="JSON", help="further arguments of init_tracing()"
    )
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    become_subreaper()

    started_s = time.monotonic()
    total = _Total()
    number = options.first
    while (kills := sum(total.kills.values())) < options.kills:
        if number % PROGRESS_ROUNDS == 0 and number:
            _note(f"{kills} kills, {total.failed_rounds} rounds failed")
        plan = draw(seed, number, options.tracing)
        if options.verbose:
            _note(f"round {number}: {plan}")
        directory = Path(tempfile.mkdtemp(prefix="torture-"))
        played = play(plan, directory)
        total.add(played)
        if played.failed:
            again = f"python -m torture --seed {seed} --first {number} --rounds 1"
            if options.tracing:
                again += f" --tracing {shlex.quote(json.dumps(options.tracing))}"
            _tell(played, f"round {number} ({again}; its files: {directory})")
        else:
            shutil.rmtree(directory)
        number += 1
        if options.rounds is not None and number - options.first >= options.rounds:
            break
    seconds = time.monotonic() - started_s
    sys.stdout.write(total.text(seed, number - options.first, seconds) + "\n")
    return 1 if total.failed_rounds else 0


class _Total:
    """The record over all rounds."""

    def __init__(self) -> None:
        self.kills: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.failed_rounds = 0
        self.longest = 0

    def add(self, played: Round) -> None:
        """Adds a round."""
        self.kills += played.kills
        self.reads += played.reads
        self.failed_rounds += played.failed
        self.longest = max(self.longest, played.longest)
        self.counts["acknowledged"] += played.acknowledged
        self.counts["cut_short"] += played.cut_short
        self.counts["complaints"] += len(played.complaints)
        for _, faults in played.faults:
            for kind, records in vars(faults).items():
                self.counts[kind] += len(records)

    def text(self, seed: int, rounds: int, seconds: float) -> str:
        """The record, as it is printed."""
        count = self.counts
        return "\n".join(
            [
                f"seed                  {seed}",
                f"rounds                {rounds} in {seconds:.0f} s, {self.failed_rounds} failed",
                f"kills                 {sum(self.kills.values())}",
                *(f"  {kind:<28}{n}" for kind, n in self.kills.most_common()),
                f"reads                 {sum(self.reads.values())}",
                *(f"  {when:<30}{n}" for when, n in self.reads.most_common()),
                f"records acknowledged  {count['acknowledged']}",
                f"longest message       {self.longest} characters",
                f"lost                  {count['lost']}",
                f"repeated              {count['repeated']}",
                f"torn                  {count['torn']}",
                f"out of order          {count['disordered']}",
                f"never written         {count['never_written']}",
                f"other complaints      {count['complaints']}",
                f"lines cut short       {count['cut_short']} (seen by reads; none acknowledged)",
            ]
        )


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _tell(played: Round, which: str) -> None:
    """Tells what was wrong with a round."""
    _note(f"{which}: {played.plan}")
    for complaint in played.complaints:
        _note(f"  {complaint}")
    for when, faults in played.faults:
        for kind, records in vars(faults).items():
            if records:
                shown = "; ".join(records[:SHOWN_FAULTS])
                _note(f"  {when}: {kind} {len(records)}: {shown}")


if __name__ == "__main__":
    sys.exit(main())
