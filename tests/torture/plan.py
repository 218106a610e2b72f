"""What happens in a round, drawn from a seed; the program that writes gets it as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

# What ends the program from outside, and what it does itself when it is told to.
SIGNALS = ("SIGKILL", "SIGTERM", "SIGABRT", "SIGSEGV")
OWN_DEATHS = ("segfault", "os._exit", "os.abort", "exception", "sys.exit", "child sys.exit")

# The signal that nothing can be done about counts most.
DEATHS = ("SIGKILL",) * 12 + SIGNALS[1:] + OWN_DEATHS


@dataclass(frozen=True)
class Plan:
    """One round: the shape of the program, how it dies, and what is done beside and afterwards."""

    seed: str
    tracing: dict[str, Any]
    """Further arguments of `init_tracing`."""
    death: str
    delay_s: float
    """How long after the first acknowledgement it dies."""
    shared_file: bool
    """Whether all processes write to one INSPECT_TRACE_FILE, or each to its own in a directory."""
    threads: int
    """Threads of each process."""
    children: tuple[str, ...]
    """How the children are started: fork, multiprocessing fork, multiprocessing spawn."""
    threads_first: bool
    """Whether the threads write already when the children are forked."""
    nested: bool
    """Whether the first forked child forks the second one."""
    largest_bytes: int
    """The size of the largest records (but for a rare huge one)."""
    switch_interval_s: float
    """How often the interpreter changes from one thread to another."""
    live_reads: int
    """How often the logs are read while they are written."""
    followed: bool
    """Whether the log of the first process is followed to its end. (That of many has no end.)"""
    stopped_read: bool
    """Whether they are read while the program is stopped."""
    next_kills: int
    """How many of the programs that are started next are killed while they tidy up."""
    has_next: bool
    """Whether another program is started on the same logs afterwards, and they are read again."""

    def to_json(self) -> str:
        """For the command line of the program."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote."""
        fields = json.loads(text)
        fields["children"] = tuple(fields["children"])
        return cls(**fields)


def draw(seed: int, number: int, tracing: dict[str, Any] | None = None) -> Plan:
    """The plan of a round: always the same for a seed and a number.

    Args:
        seed: The seed of all rounds.
        number: Which round.
        tracing: Further arguments of `init_tracing`.
    """
    seed_text = f"{seed}:{number}"
    random = Random(seed_text)
    forks = random.choice((0, 0, 0, 1, 2, 3))
    children = [random.choice(("fork", "multiprocessing fork")) for _ in range(forks)]
    if random.random() < 0.12:
        children.append("multiprocessing spawn")
    deaths = DEATHS if forks else [death for death in DEATHS if death != "child sys.exit"]
    shared_file = random.random() < 0.4
    return Plan(
        seed=seed_text,
        tracing=tracing or {},
        death=random.choice(deaths),
        delay_s=0.001 * 400 ** random.random(),
        shared_file=shared_file,
        threads=random.choice((1, 1, 2, 3, 4)),
        children=tuple(children),
        threads_first=random.random() < 0.4,
        nested=random.random() < 0.3,
        largest_bytes=random.choice((300, 300, 3_000, 30_000, 200_000)),
        switch_interval_s=random.choice((0.005, 0.0005, 0.00005)),
        live_reads=random.choice((0, 0, 0, 1, 3)),
        followed=not shared_file and random.random() < 0.4,
        stopped_read=random.random() < 0.15,
        next_kills=random.choice((0, 0, 1, 2)),
        has_next=random.random() < 0.5,
    )
