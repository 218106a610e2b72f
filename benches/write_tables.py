"""What the writing bench measures, row by row, what we want of it, and the tables that show it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import write_latency
from inspect_trace import TraceHandler
from measure import Spread, nanoseconds, ratio, table
from write_peers import PEERS
from write_workers import TASKS, THREADS

if TYPE_CHECKING:
    from write_kill import Loss
    from write_latency import Distribution


ABOVE_NULL = "above null"
"""The mode of what comes on top of a `NullHandler`."""


@dataclass(frozen=True)
class Work:
    """A row of the table of targets, and what it may take."""

    name: str
    operation: str
    mode: str = "single"
    limit_ns: float | None = None
    baseline_ns: float | None = None
    """What the yardstick took where the target was set: the reference, or a `NullHandler`."""
    yardstick: str = "reference"


WORKS = [
    Work("`trace_action`, enter and exit", "action", limit_ns=1_200, baseline_ns=37_670),
    Work(
        "the same in a context: task, sample, epoch", "context", limit_ns=2_000, baseline_ns=41_750
    ),
    Work("the same with a filter in Python that sets these", "python-filter"),
    Work("the same with the reference's context filter on both", "reference-context"),
    Work("`trace_action`, its level is off", "off", limit_ns=250, baseline_ns=5_450),
    Work("`trace_message`", "message", limit_ns=800, baseline_ns=13_090),
    Work("`logger.info`", "info"),
    Work(
        "`logger.info`, above the `NullHandler`",
        "info",
        ABOVE_NULL,
        limit_ns=1_000,
        baseline_ns=3_000,
    ),
    Work(
        "`trace_action` that ends in an error, with its stack",
        "error",
        limit_ns=50_000,
        baseline_ns=105_640,
    ),
    Work(f"`trace_action`, {THREADS} threads on one handler", "action", "threads", 1_500, 61_570),
    Work(f"`trace_action`, {TASKS} tasks of asyncio", "action", "asyncio"),
]
SYNCED = [
    Work('`trace_action`, `durability="fsync"`', "fsync", yardstick="floor"),
    Work(
        f'`trace_action`, `durability="fsync"`, {THREADS} threads',
        "fsync",
        "threads",
        yardstick="floor",
    ),
]
MODES = ("single", "threads", "asyncio")
KILL = "kill"
"""Where a variant has its mode: what a kill loses."""
NULL = ("null", "info", "single")
FLOORS = [
    ("`logger.info` into a `NullHandler`", NULL),
    ("an empty loop", ("nothing", "nothing", "single")),
    ("an empty block that waits, asyncio", ("nothing", "nothing", "asyncio")),
]
OWN = {
    ("ours", "action"): ("inspect-trace `trace_action`", "action"),
    ("ours", "info"): ("inspect-trace, `logger.info`", "record"),
    ("reference", "action"): ("inspect_ai `trace_action`", "action"),
}
SINGLE_CALLS = [
    ("inspect-trace `trace_action`", "ours", "action"),
    ("inspect_ai `trace_action`", "reference", "action"),
    ("inspect-trace, `logger.info`", "ours", "info"),
    ("inspect_ai, `logger.info`", "reference", "info"),
    ("`logger.info` into a `NullHandler`", "null", "info"),
    ("an empty loop of 1 µs: what the machine does to any call", "nothing", "nothing"),
]
LIMIT_P9999_NS = 50_000

Variant = tuple[str, str, str]
"""Side, operation, mode."""


@dataclass
class Measured:
    """All that the rounds have found."""

    wall_ns: dict[Variant, list[float]] = field(default_factory=dict)
    cpu_ns: dict[Variant, list[float]] = field(default_factory=dict)
    missing: dict[str | Variant, str] = field(default_factory=dict)
    """The peers and variants that could not be measured, and why."""
    losses: dict[tuple[str, str], list[Loss]] = field(default_factory=dict)
    calls: dict[tuple[str, str], list[Distribution]] = field(default_factory=dict)

    def spread(self, variant: Variant) -> Spread:
        """What it took on the wall, nanoseconds an operation."""
        return Spread(tuple(self.wall_ns[variant]))

    def show(self, variant: Variant) -> str:
        """The same in words, or why it is missing."""
        why = self.missing.get(variant) or self.missing.get(variant[0])
        return why or self.spread(variant).show(nanoseconds)

    def is_there(self, variant: Variant) -> bool:
        """Whether it could be measured."""
        return bool(self.wall_ns.get(variant))


def works() -> list[Work]:
    """The rows of the table of targets, with those of an option that may not be there yet."""
    can_sync = "durability" in inspect.signature(TraceHandler).parameters
    return WORKS + (SYNCED if can_sync else [])


def variants(*, works_only: bool = False) -> list[Variant]:
    """All that is measured in each round, each once."""
    of_works: list[Variant] = [
        (side, work.operation, work.mode) for work in works() for side in ("ours", work.yardstick)
    ]
    of_table: list[Variant] = [(*own, mode) for own in OWN for mode in MODES]
    of_peers: list[Variant] = [(peer, "peer", mode) for peer in PEERS for mode in MODES]
    floors: list[Variant] = [variant for _, variant in FLOORS]
    if works_only:
        return list(dict.fromkeys([*of_works, *floors]))
    return list(dict.fromkeys([*of_works, *of_table, *of_peers, *floors]))


def target_table(measured: Measured) -> str:
    """What it costs beside the reference, and whether that is what we want."""
    rows = []
    for work in works():
        ours, theirs = (
            measured.spread((side, work.operation, work.mode)) for side in ("ours", work.yardstick)
        )
        name = work.name
        if work.yardstick == "floor":
            name += " (beside it `write` and `fdatasync` by themselves)"
        yardstick = measured.spread(NULL) if work.mode == ABOVE_NULL else theirs
        slower = yardstick.median / work.baseline_ns if work.baseline_ns else None
        rows.append(target_row(name, ours, theirs, work.limit_ns, slower))
    for operation, name in (("action", "`trace_action`"), ("info", "`logger.info`")):
        if not measured.calls:
            break
        ours, theirs = (
            Spread(tuple(run.quantiles_ns[-1] for run in measured.calls[side, operation]))
            for side in ("ours", "reference")
        )
        rows.append(target_row(f"{name}, a single call, p99.99", ours, theirs, LIMIT_P9999_NS))
    rows += [[name, measured.show(variant), *[""] * 6] for name, variant in FLOORS]
    head = ["work", "ours, ns", "reference, ns", "faster", "target, ns", "reached"]
    return table([*head, "target here, ns", "reached"], rows)


def target_row(
    name: str, ours: Spread, theirs: Spread, limit_ns: float | None, slower: float | None = None
) -> list[str]:
    """A row of that table; `slower`: than where the target was set, by what the yardstick takes."""
    row = [name, ours.show(nanoseconds), theirs.show(nanoseconds), ratio(theirs, ours)]
    for limit in (limit_ns, limit_ns and slower and limit_ns * slower):
        is_reached = "yes" if limit and ours.median <= limit else "**no**"
        row += [f"at most {nanoseconds(limit)}", is_reached] if limit else ["", ""]
    return row


def peer_table(measured: Measured) -> str:
    """What others take, and what they lose."""
    named = [(own, name, unit) for own, (name, unit) in OWN.items()]
    named += [((key, "peer"), peer.name, peer.unit) for key, peer in PEERS.items()]
    rows = []
    for (side, operation), name, unit in sorted(named, key=lambda entry: entry[2]):
        shown = [measured.show((side, operation, mode)) for mode in MODES]
        cpu = measured.cpu_ns.get((side, operation, "single"))
        losses = measured.losses.get((side, operation), [])
        ahead = "" if side == "ours" else is_ahead(measured, (side, operation), unit)
        rows.append(
            [
                name,
                unit,
                *shown,
                nanoseconds(Spread(tuple(cpu)).median) if cpu else "",
                measured.missing.get((side, operation, KILL)) or show_worst(losses),
                ahead,
            ]
        )
    head = [
        *(
            "",
            "what one is",
            "one thread, ns",
            f"{THREADS} threads, ns",
            f"{TASKS} tasks of asyncio, ns",
        ),
        *("CPU, ns", "lost by SIGKILL", "ours ahead"),
    ]
    return table(head, rows)


def show_worst(losses: list[Loss]) -> str:
    """The kill that lost the most."""
    return max(losses, key=lambda loss: loss.lost).show() if losses else ""


def is_ahead(measured: Measured, other: tuple[str, str], unit: str) -> str:
    """Whether ours takes less than another package, an action or a record as that has it."""
    operation = "action" if unit == "action" else "info"
    both = [
        (measured.spread(("ours", operation, mode)).median, measured.spread((*other, mode)).median)
        for mode in MODES
        if measured.is_there((*other, mode))
    ]
    if not both:
        return ""
    least = min(theirs / ours for ours, theirs in both)
    return f"{'yes' if least > 1 else '**no**'}, {least:.1f}×"


def call_table(measured: Measured) -> str:
    """How long single calls took."""
    rows = []
    for name, side, operation in SINGLE_CALLS:
        runs = measured.calls[side, operation]
        medians = [
            Spread(quantile).median
            for quantile in zip(*(run.quantiles_ns for run in runs), strict=True)
        ]
        worst = max(runs, key=lambda run: run.max_ns)
        long_calls: dict[str, int] = {}
        for run in runs:
            for kind, count in run.long_by_cause.items():
                long_calls[kind] = long_calls.get(kind, 0) + count
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in long_calls.items())
        rows.append(
            [
                name,
                *(microseconds(median) for median in medians),
                microseconds(Spread(tuple(run.undisturbed_ns for run in runs)).median),
                microseconds(worst.max_ns),
                worst.max_cause,
                f"{sum(long_calls.values()):,} ({kinds})" if kinds else "0",
            ]
        )
    quantiles = [f"p{100 * part:g}" for part in write_latency.QUANTILES]
    long_us = write_latency.LONG_NS // 1000
    undisturbed = f"{quantiles[-1]}, not preempted"
    head = [
        "",
        *quantiles,
        undisturbed,
        "max",
        "cause of the max",
        f"above {long_us} µs, all rounds",
    ]
    return table(head, rows)


def microseconds(value_ns: float) -> str:
    """A duration given in nanoseconds, in microseconds."""
    return f"{value_ns / 1000:,.0f}" if value_ns >= 100_000 else f"{value_ns / 1000:.3g}"
