"""The writing bench counts what is there, and calls a target reached only if it is."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("resource")

from measure import Spread
from write_kill import Loss, compare, numbers_in
from write_latency import (
    COLLECTED,
    FAULTED,
    NOT_RUNNING,
    ON_CPU,
    PREEMPTED,
    WAITED,
    LongCall,
    summary,
)
from write_subjects import subject_of
from write_tables import target_row
from write_workers import count_lines

if TYPE_CHECKING:
    from pathlib import Path


def long_call(wall_ns: int = 100_000, **counts: int) -> LongCall:
    """A call in which nothing happened but what is given."""
    known = {
        **dict.fromkeys(
            ("others_ns", "collecting_ns", "involuntary", "voluntary", "minor_faults"), 0
        ),
        "on_cpu_ns": wall_ns,
        "major_faults": 0,
        **counts,
    }
    return LongCall(wall_ns, generations=[], **known)


def test_loss_tells_a_cut_tail_from_a_hole() -> None:
    """Of the acknowledged those that are missing are lost, and holes if later ones are there."""
    assert compare(5, {0, 1, 2, 3, 4}) == Loss(5, 0, 0)
    assert compare(5, {0, 1, 2, 3, 4, 5}) == Loss(5, 0, 0)
    assert compare(5, {0, 1, 2}) == Loss(5, 2, 0)
    assert compare(5, {0, 2, 3}) == Loss(5, 2, 1)
    assert compare(2, set()) == Loss(2, 2, 0)


def test_torn_and_half_records_are_not_found(tmp_path: Path) -> None:
    """A line without its end does not count, nor an action that lacks one of its two lines."""
    file = tmp_path / "peer.log"
    file.write_bytes(b"a n=0!\nb n=0!\na n=1!\nb n=1!")
    assert numbers_in("eliot", file, 2) == {0}
    assert numbers_in("eliot", file, 1) == {1}
    assert numbers_in("eliot", tmp_path / "never made", 1) == set()


def test_records_of_ours_are_found(tmp_path: Path) -> None:
    """What our calls wrote with a number in it is found by that number."""
    file = tmp_path / "trace.log"
    for operation in ("action", "message", "info"):
        subject = subject_of("ours", operation, file)
        subject.mark("n=7!")
        subject.close()
        assert numbers_in("ours", file, subject.lines) == {7}
        assert count_lines(file) == subject.lines
        file.unlink()


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (long_call(), ON_CPU),
        (long_call(on_cpu_ns=10_000), NOT_RUNNING),
        (long_call(minor_faults=1), FAULTED),
        (long_call(involuntary=1, minor_faults=1), PREEMPTED),
        (long_call(voluntary=1), WAITED),
        (long_call(collecting_ns=90_000, voluntary=1), COLLECTED),
        (long_call(collecting_ns=10_000, voluntary=1), WAITED),
    ],
)
def test_a_long_call_has_its_cause(call: LongCall, kind: str) -> None:
    """What the kernel and Python counted around a call decides what it is put down to."""
    assert call.kind() == kind
    assert call.show().startswith(kind)


def test_longest_call_is_told_with_and_without_preemption() -> None:
    """The worst call counts in the maximum, but not in what is said of undisturbed calls."""
    worst = long_call(90_000, involuntary=1)
    told = summary(array("q", [100] * 9 + [90_000]), [worst])
    assert (told.max_ns, told.quantiles_ns[-1], told.undisturbed_ns) == (90_000, 90_000, 100)
    assert told.max_cause == worst.show()
    assert told.long_by_cause == {PREEMPTED: 1}


def test_a_target_is_reached_up_to_its_limit() -> None:
    """The median decides, and the limit itself is still within the target."""
    theirs = Spread((3000.0,))
    assert target_row("x", Spread((1.0, 1000.0, 9e9)), theirs, 1000)[-3] == "yes"
    assert target_row("x", Spread((1001.0,)), theirs, 1000)[-3] == "**no**"
    assert target_row("x", Spread((1001.0,)), theirs, None)[-3] == ""


def test_a_target_moves_with_the_machine() -> None:
    """Where the yardstick takes twice as long as where the target was set, so may ours."""
    theirs = Spread((3000.0,))
    row = target_row("x", Spread((2000.0,)), theirs, 1000, 2.0)
    assert row[-4:] == ["at most 1,000", "**no**", "at most 2,000", "yes"]
    assert target_row("x", Spread((2001.0,)), theirs, 1000, 2.0)[-1] == "**no**"
    assert target_row("x", Spread((2001.0,)), theirs, 1000)[-1] == ""
