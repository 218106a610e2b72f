"""The benches' corpus generator: repeatable, in the reference's format, with the promised mix."""

from __future__ import annotations

import argparse
import collections
import gzip
import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

import corpus

if TYPE_CHECKING:
    from pathlib import Path

SIZE_BYTES = 8_000_000

Log = tuple["Path", int]
Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """A log large enough for every kind of record to be in it."""
    path = tmp_path_factory.mktemp("corpus") / "trace-1.log"
    count = corpus.make_corpus(path, SIZE_BYTES, seed=7)
    return path, count


@pytest.fixture(scope="module")
def records(log: Log) -> Records:
    """Its records, by the standard library."""
    path, _ = log
    with path.open() as lines:
        return [json.loads(line) for line in lines]


def generated(size_bytes: int, seed: int) -> bytes:
    """The bytes of a corpus."""
    out = io.BytesIO()
    corpus.write_corpus(out, size_bytes, seed)
    return out.getvalue()


def test_same_seed_and_size_give_the_same_bytes_everywhere() -> None:
    """The bytes of a seed and size are pinned: who changes them raises `CORPUS_VERSION`."""
    digest = hashlib.sha256(generated(1_000_000, 1)).hexdigest()
    assert (corpus.CORPUS_VERSION, digest) == (
        1,
        "9a2b0326ae0228e1cbb6c0a7c6754bb2648de56c4b48d9dc66e9572cf3defa0d",
    )


def test_another_seed_gives_other_bytes() -> None:
    """Two seeds differ from the first record's trace id on."""
    assert generated(10_000, 1)[:600] != generated(10_000, 2)[:600]


def test_size_is_reached_and_little_more() -> None:
    """The log has the asked size, and what it takes to close the open actions."""
    for size_bytes in (1, 100_000, 2_000_000):
        assert size_bytes <= len(generated(size_bytes, 3)) <= size_bytes + 400_000


def test_a_longer_log_begins_as_the_shorter_one_does() -> None:
    """Records are generated as a stream: the size says only where it ends."""
    short, long = generated(100_000, 5), generated(300_000, 5)
    assert long[:100_000] == short[:100_000]


def test_compressed_log_holds_the_same_lines(log: Log, tmp_path: Path) -> None:
    """`--gz` compresses the very same bytes, and gives the same file each time."""
    path, _ = log
    packed = [tmp_path / "a.log.gz", tmp_path / "b.log.gz"]
    for target in packed:
        corpus.make_corpus(target, SIZE_BYTES, seed=7, compressed=True)
    assert gzip.decompress(packed[0].read_bytes()) == path.read_bytes()
    assert packed[0].read_bytes() == packed[1].read_bytes()


def test_lines_are_what_json_dumps_writes(log: Log, records: Records) -> None:
    """Each line is, to the byte, what the reference's `json.dumps` would have written."""
    path, count = log
    lines = path.read_text(encoding="ascii").splitlines()
    assert len(lines) == count == len(records)
    assert [json.dumps(record) for record in records] == lines


def test_keys_stand_in_the_order_of_the_format(records: Records) -> None:
    """The reference's key order: its own fields first, those of the sample at the end."""
    orders = collections.Counter(tuple(record) for record in records)
    sample = ("task", "sample_id", "epoch")
    action = ("timestamp", "level", "message", "action", "detail", "event", "trace_id")
    plain = ("timestamp", "level", "message", "module", "function", "line")
    assert set(orders) <= {
        (*begin, *end)
        for begin in (
            (*action, "start_time"),
            (*action, "duration"),
            (*action, "duration", "error", "error_type", "stacktrace"),
            plain,
        )
        for end in (sample, ())
    }


def test_mix_is_the_promised_one(log: Log, records: Records) -> None:
    """Sizes, ways out, kinds, levels, nesting, long lines and scripts are in the stated bounds."""
    path, count = log
    with path.open() as lines:
        sizes = [len(line) for line in lines]
    assert 580 < sum(sizes) / count < 680
    assert 0.005 < sum(size > 4000 for size in sizes) / count < 0.02
    events = collections.Counter(record.get("event") for record in records)
    closed = sum(events[event] for event in ("exit", "cancel", "error", "timeout"))
    assert 0.005 < events["cancel"] / closed < 0.015
    assert 0.005 < events["error"] / closed < 0.015
    assert 0.002 < events["timeout"] / closed < 0.008
    assert len({record["action"] for record in records if "action" in record}) == 6
    assert {record["level"] for record in records} == {"TRACE", "HTTP", "INFO"}
    text = "".join(record["message"] for record in records)
    for character in ("é", "请", "ж", "🎉", "\n", '"', "\\"):
        assert character in text


def test_actions_nest_and_interleave(records: Records) -> None:
    """Actions of one sample nest; those of different samples are open at the same time."""
    open_by_sample: dict[object, list[str]] = collections.defaultdict(list)
    deepest = most_samples = 0
    for record in records:
        stack = open_by_sample[record.get("sample_id")]
        if record.get("event") == "enter":
            stack.append(record["trace_id"])
        elif "event" in record:
            assert stack.pop() == record["trace_id"]
        deepest = max(deepest, len(stack))
        most_samples = max(most_samples, sum(map(bool, open_by_sample.values())))
    assert deepest == corpus.MAX_DEPTH
    assert most_samples > corpus.CONCURRENT_SAMPLES / 2


def test_reference_reads_every_record_and_finds_what_was_left_open(
    log: Log, records: Records
) -> None:
    """The reference's own reader takes every line, and its analysis names the open actions."""
    trace = pytest.importorskip("inspect_ai._util.trace")
    cli = pytest.importorskip("inspect_ai._cli.trace")
    path, count = log
    read = trace.read_trace_file(path)
    assert len(read) == count
    still_open = {}
    for record in records:
        if record.get("event") == "enter":
            still_open[record["trace_id"]] = record
        elif "event" in record:
            del still_open[record["trace_id"]]
    assert still_open
    assert {action.trace_id for action in cli.trace_anomalies(read).running} == set(still_open)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("5000", 5000), ("100MB", 10**8), ("1.5GB", 1_500_000_000), ("64KiB", 65_536), ("1kB", 1000)],
)
def test_sizes_are_read_as_people_write_them(text: str, size_bytes: int) -> None:
    """Decimal and binary units, or plain bytes."""
    assert corpus.parse_size(text) == size_bytes


def test_what_is_no_size_is_refused() -> None:
    """A misspelt size is a usage error, not a guess."""
    with pytest.raises(argparse.ArgumentTypeError, match="not a size"):
        corpus.parse_size("10 potatoes")
