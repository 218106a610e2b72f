"""A short torture: programs that are killed at random moments lose nothing that they returned."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from torture.check import Faults, compare, log_paths, read_as_plain, read_by_scan
from torture.plan import Plan, draw
from torture.record import random_size, seen_in, text_of

TESTS = Path(__file__).parent.parent
KILLS = 10
CROWD_KILLS = 200
DEADLINE_S = 300


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def torture(
    tmp_path: Path, *arguments: str, module: str = "torture"
) -> tuple[int, dict[str, str], str]:
    """The exit code of the torture, its record by line, and what it complains of."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", module, *arguments],
        cwd=TESTS,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    return done.returncode, dict(line.split("  ", 1) for line in lines), done.stderr


@pytest.mark.parametrize(
    "tracing",
    ["{}", '{"max_bytes": 100000}', '{"buffer_bytes": 65536}', '{"buffer_bytes": 0}'],
)
def test_nothing_is_lost_by_kills(tmp_path: Path, tracing: str) -> None:
    """Each acknowledged record is read back once, whole and in order; `make torture` kills more."""
    code, told, errors = torture(tmp_path, "--kills", str(KILLS), "--tracing", tracing)
    assert code == 0, f"{errors}\n{told}"  # tells how to play the round again
    assert int(told["kills"]) >= KILLS
    assert int(told["records acknowledged"]) > 0
    assert int(told["lost"]) == 0


@pytest.mark.parametrize("how", [[], ["--inherit"]], ids=["started", "forked"])
def test_a_shared_log_has_whole_lines_only(tmp_path: Path, how: list[str]) -> None:
    """Kills while a log that processes share grows leave whole lines, each record once."""
    arguments = ("--kills", str(CROWD_KILLS), *how)
    code, told, errors = torture(tmp_path, *arguments, module="torture.crowd")
    assert code == 0, f"{errors}\n{told}"
    assert int(told["kills"]) >= CROWD_KILLS
    assert int(told["records acknowledged"]) > CROWD_KILLS


def test_what_is_lost_is_told(tmp_path: Path) -> None:
    """Where records are not written, the torture fails, counts them, and tells how to repeat it."""
    options = ("--kills", "1", "--seed", "1", "--tracing", '{"level": "ERROR"}')
    code, told, errors = torture(tmp_path, *options)
    assert code == 1
    assert int(told["lost"]) > 0
    assert "--seed 1 --first 0 --rounds 1 --tracing" in errors


def test_a_round_is_the_same_for_a_seed() -> None:
    """A seed and a number always give the same round, and it survives the way to the program."""
    plans = [draw(5, number) for number in range(50)]
    assert plans == [draw(5, number) for number in range(50)]
    assert len({plan.to_json() for plan in plans}) == 50
    assert [Plan.from_json(plan.to_json()) for plan in plans] == plans


def test_texts_tell_what_they_are() -> None:
    """A text is recognised whole, and not when anything is missing or changed."""
    random = Random(3)
    for number in range(50):
        text = text_of("0/fork1.2", number, random_size(random, 3_000))
        seen = seen_in(text)
        assert seen is not None
        assert seen == ("0/fork1.2", number, True)
        for damaged in (text[:-1], text + " ", text[:-1] + "\x01"):
            seen = seen_in(damaged)
            assert seen is not None
            assert not seen.is_whole
    assert seen_in("something else") is None


def line(who: str, number: int, **fields: Any) -> str:
    """A line of a log as the writing program leaves it."""
    record = {
        "timestamp": "2026-11-23T10:22:25+00:00",
        "level": "INFO",
        "message": text_of(who, number, 80),
        **fields,
    }
    return json.dumps(record) + "\n"


def faults_of(
    tmp_path: Path, lines: list[str], acknowledged: dict[str, int], in_flight: int | None = 1
) -> Faults:
    """What is wrong with a log of these lines: both readers have to agree."""
    path = tmp_path / "trace-1.log"
    path.write_text("".join(lines))
    by_scan = compare(acknowledged, read_by_scan([path]), in_flight=in_flight)
    as_plain = compare(acknowledged, read_as_plain([path]), in_flight=in_flight)
    assert by_scan == as_plain
    return by_scan


def test_what_is_right_is_no_fault(tmp_path: Path) -> None:
    """All records in order, with one in flight, its line cut short or not, are no fault."""
    lines = [line("a", 0), line("b", 0), line("a", 1), line("b", 1)]
    assert not faults_of(tmp_path, lines, {"a": 2, "b": 1})
    assert not faults_of(tmp_path, [*lines, line("a", 2)[:-20]], {"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ([line("a", 0), line("a", 2)], "lost"),
        ([line("a", 0), line("a", 1)], "lost"),
        ([line("a", 0), line("a", 1), line("a", 2)[:-20]], "lost"),
        ([line("a", 0), line("a", 1), line("a", 1), line("a", 2)], "repeated"),
        ([line("a", 1), line("a", 0), line("a", 2)], "disordered"),
        ([line("a", number) for number in range(5)], "never_written"),
        ([line("a", number) for number in (0, 1, 2, 4)], "never_written"),
        ([*(line("a", n) for n in range(3)), line("a", 3).replace("GHI", "GI")], "torn"),
        ([*(line("a", n) for n in range(3)), line("a", 3, message="what?")], "torn"),
    ],
)
def test_each_fault_is_found(tmp_path: Path, lines: list[str], kind: str) -> None:
    """Records that are missing, repeated, out of order, invented or damaged are told as such."""
    faults = faults_of(tmp_path, lines, {"a": 3})
    assert kind in [name for name, records in vars(faults).items() if records]


def test_logs_count_once_compressed_or_not(tmp_path: Path) -> None:
    """A log and its compressed file, side by side for a moment, are one log."""
    plain, other = tmp_path / "trace-1.log", tmp_path / "trace-2.log.gz"
    plain.write_text(line("a", 0))
    plain.with_name("trace-1.log.gz").write_bytes(gzip.compress(plain.read_bytes()))
    other.write_bytes(gzip.compress(line("b", 0).encode()))
    (tmp_path / ".trace-1.log.tail").write_text(line("c", 0))
    paths = log_paths(tmp_path)
    assert [path.name for path in paths] == ["trace-1.log", "trace-2.log"]
    for found in (read_by_scan(paths), read_as_plain(paths)):
        assert found.numbers == {"a": [0], "b": [0]}


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    """A log that its writer had named as a part already, when it was killed, is there once."""
    path = tmp_path / "trace-1.log"
    path.write_text(line("a", 0) + line("a", 1))
    (tmp_path / "trace-1.part0001.log").hardlink_to(path)
    for found in (read_by_scan([path]), read_as_plain([path])):
        assert found.numbers == {"a": [0, 1]}
