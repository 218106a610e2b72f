"""Records the logs of docs/diagnose.md: `python tests/docs/record.py` (it takes three minutes).

The evaluation `triage.py` runs by inspect_ai twice. Once it ends; then a command of one sample
never does, and the evaluation is killed once its log has been told for the second time where that
waits. The logs in `recorded/` are those, but for the directories of the machine that recorded
them, and for the date.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).parent
DAY = datetime(2025, 11, 23, tzinfo=timezone.utc)
RUNS = (
    ("trace-40100", DAY.replace(hour=9, minute=40), "echo 7"),
    ("trace-41822", DAY.replace(hour=10, minute=20), "python3 -m http.server 8123"),
)
DEADLINE_S = 300


def record(home: Path, last: str) -> list[str]:
    """The lines of the log of a run."""
    traces = home / "traces"
    with subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("inspect")), "eval", "triage.py"),
            *("-T", f"last={last}", "--max-samples", "4", "--display", "none"),
        ],
        cwd=home / "work",
        env={**os.environ, "INSPECT_TRACE_DIR": str(traces), "TZ": "UTC"},
        start_new_session=True,
    ) as process:
        log = traces / f"trace-{process.pid}.log"
        deadline_s = time.monotonic() + DEADLINE_S
        while process.poll() is None:
            assert time.monotonic() < deadline_s, "neither did it end, nor did it hang"
            if log.exists() and log.read_text().count("Subprocess: open for") >= 2:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.2)
    return log.read_text().splitlines()


def elsewhere(line: str, home: Path) -> str:
    """The line as another machine would have written it."""
    for path, shown in (
        (home, "/home/me"),
        (Path(sysconfig.get_path("purelib")), "/home/me/venv/lib/python3.11/site-packages"),
        (Path(sysconfig.get_path("stdlib")), "/usr/lib/python3.11"),
    ):
        line = line.replace(str(path), shown)
    return line


def at(lines: list[str], begin: datetime) -> str:
    """The log, as it would be if it had begun then."""
    shift = begin - datetime.fromisoformat(json.loads(lines[0])["timestamp"])
    shifted = []
    for line in lines:
        fields = json.loads(line)
        moment = datetime.fromisoformat(fields["timestamp"]) + shift
        fields["timestamp"] = moment.isoformat(timespec="microseconds")
        if "start_time" in fields:
            fields["start_time"] = round(fields["start_time"] + shift.total_seconds(), 6)
        shifted.append(f"{json.dumps(fields)}\n")
    return "".join(shifted)


def main() -> None:
    """Record both."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        (home / "work").mkdir()
        (home / "work" / "notes.txt").write_text("one\ntwo\n")
        shutil.copy(HERE / "triage.py", home / "work")
        for name, begin, last in RUNS:
            lines = [elsewhere(line, home) for line in record(home, last)]
            packed = gzip.compress(at(lines, begin).encode(), mtime=0)
            (HERE / "recorded" / f"{name}.log.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
