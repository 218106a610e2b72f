"""The logs that the larger benches read: one corpus, plain and in the two kinds of gzip files.

`log` is the corpus. `reference_gz` is what the reference makes of it: one gzip member, by Python at
level 9. `our_gz` is what our housekeeping makes of the log of a process that has ended.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import CORPUS_VERSION, make_corpus
from inspect_trace import _core
from measure import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class LogFiles:
    """The files, and what is known of them."""

    directory: Path
    """Where they are, and where a bench may put files of its own."""

    log: Path
    reference_gz: Path
    our_gz: Path
    records: int
    seed: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which these logs are in the trace directory."""
        return {**os.environ, "XDG_DATA_HOME": str(self.directory), "INSPECT_TRACE_DIR": ""}

    @property
    def facts(self) -> str:
        """What the files are, in words."""
        return (
            f"A log of {_megabytes(self.log)}, {self.records:,} records: corpus version "
            f"{CORPUS_VERSION}, seed {self.seed}; as .gz by the reference "
            f"{_megabytes(self.reference_gz)}, by our housekeeping {_megabytes(self.our_gz)}."
        )


@contextlib.contextmanager
def log_files(size_bytes: int, seed: int) -> Iterator[LogFiles]:
    """Makes the files, and removes them afterwards."""
    DATA.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="logs-", dir=DATA))
    try:
        traces = directory / "inspect_ai" / "traces"
        traces.mkdir(parents=True)
        log, reference_gz = traces / "trace-1.log", traces / "trace-2.log.gz"
        records = make_corpus(log, size_bytes, seed)
        with log.open("rb") as file, gzip.open(reference_gz, "wb", 9) as packed:
            shutil.copyfileobj(file, packed, _COPY_BYTES)
        our_gz = _housekept(log, directory / "housekept")
        yield LogFiles(directory, log, reference_gz, our_gz, records, seed)
    finally:
        shutil.rmtree(directory)


def finished_log(log: Path, traces: Path) -> Path:
    """Puts a log into a new trace directory as that of a process that has ended.

    Housekeeping that keeps two runs has nothing to do there but to compress it. It is a hard link:
    no time and no room is taken for a copy.

    Returns:
        The log in the trace directory.
    """
    traces.mkdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    finished = traces / f"trace-{ended.pid}.log"
    finished.hardlink_to(log)
    # The newest run is left as it is: so that this one is not the newest, there is another.
    newest = traces / f"trace-{os.getpid()}.log"
    newest.touch()
    os.utime(finished, (newest.stat().st_mtime - 60,) * 2)
    return finished


def _housekept(log: Path, traces: Path) -> Path:
    """Has a log compressed by housekeeping.

    Returns:
        The compressed log.
    """
    finished = finished_log(log, traces)
    report = _core.housekeep(str(traces), 2)
    packed = finished.with_name(f"{finished.name}.gz")
    if report.compressed != 1 or not packed.exists():
        raise SystemExit(f"housekeeping of {traces} did not compress {finished.name}")
    return packed


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:,.1f} MB"
