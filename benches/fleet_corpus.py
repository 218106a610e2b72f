"""The logs of the bench of many logs: many small ones of mixed size, or few large ones.

Of 20 small logs, one is torn in the middle of its .gz, one has broken lines, one is empty, one is
still plain, one was rotated. Their texts are a few of the corpus, each with trace ids of its own.
"""

from __future__ import annotations

import os
import random
import re
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING
from zlib import compressobj

from corpus import Corpus, make_corpus
from inspect_trace import _core

if TYPE_CHECKING:
    from pathlib import Path

TEXT_BYTES = (2_000, 5_000, 15_000, 40_000, 80_000, 160_000)
"""How large small logs are, unpacked, without what closes what is open then: 90 KB with it."""
FIRST_PID = 4_194_400
"""Greater than any process of this machine has."""
FEW = 4
"""So many are few."""
_TRACE_ID = re.compile(rb'("trace_id": ")[^"]{4}')


def make_small_logs(directory: Path, count: int, seed: int) -> int:
    """Makes so many small logs below a directory.

    Returns:
        How many bytes of text there are in them.
    """
    chosen = random.Random(f"fleet {seed}")
    texts = ["".join(Corpus(seed + n).lines(size)).encode() for n, size in enumerate(TEXT_BYTES)]
    text_bytes = 0
    for number in range(count):
        text = _TRACE_ID.sub(rb"\g<1>%04x" % number, chosen.choice(texts))
        days, kind = number * 28 // count, number % 20
        log = (
            directory / f"2026/11/{1 + days:02d}/host-{number % 12}/trace-{FIRST_PID + number}.log"
        )
        log.parent.mkdir(parents=True, exist_ok=True)
        packed = log.with_name(f"{log.name}.gz")
        if kind == 0:
            log.write_bytes(text)
        elif kind == 1:
            half = text.index(b"\n", len(text) // 2) + 1
            log.with_name(f"{log.stem}.part0001.log.gz").write_bytes(_gzip(text[:half]))
            log.write_bytes(text[half:])
        elif kind == 2:
            packed.write_bytes(_gzip(text)[: -len(text) // 40])
        elif kind == 3:
            log.write_bytes(text.replace(b'"level"', b'"l\0vel"', 5) + b"{to")
        elif kind == 4:
            text = b""
            log.write_bytes(text)
        else:
            packed.write_bytes(_gzip(text))
        text_bytes += len(text)
    return text_bytes


def make_large_logs(directory: Path, size_bytes: int, seed: int) -> tuple[Path, Path]:
    """Makes few logs, of so many bytes of text together.

    Returns:
        The directories with the plain ones and with the same ones compressed, as housekeeping does.
    """
    plain, packed = directory / "plain", directory / "gz"
    for made in (plain, packed):
        made.mkdir(parents=True)
    logs = [plain / f"trace-{FIRST_PID + number}.log" for number in range(FEW)]
    with ProcessPoolExecutor(2) as pool:
        sizes, seeds = [size_bytes // FEW] * FEW, range(seed, seed + FEW)
        list(pool.map(make_corpus, logs, sizes, seeds))
    for log in logs:
        (packed / log.name).hardlink_to(log)
    # It leaves the newest run as it is.
    newest = packed / f"trace-{FIRST_PID + FEW}.log"
    newest.touch()
    # Small ones are all made within a tick of the clock that dates them.
    later_s = max(log.stat().st_mtime for log in logs) + 1
    os.utime(newest, (later_s, later_s))
    report = _core.housekeep(str(packed), FEW + 1)
    newest.unlink()
    if report.compressed != FEW:
        raise SystemExit(f"housekeeping of {packed} did not compress {FEW} logs")
    return plain, packed


def _gzip(text: bytes) -> bytes:
    packer = compressobj(6, wbits=31)
    return packer.compress(text) + packer.flush()
