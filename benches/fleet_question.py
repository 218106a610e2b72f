"""A process that asks one question about many logs, as the commands do, and tells what it took.

The answer goes to a file; to standard output, JSON with `peak_mib` and `cpu_s` of this process,
`requests` and `came_bytes` of its own (`null` where they are not its own, but those of workers),
`tasks` and `state_bytes` (0 where there are none).

    python benches/fleet_question.py anomalies ANSWER [--scheduler ADDRESS] FILE...
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

from inspect_trace import _core, fleet
from inspect_trace.fleet.engines import open_engine
from inspect_trace.store import found_logs

AS_OF = 1.9e9
"""When all questions are asked: how long what is open has lasted is a part of the answer."""


def by_one_process(question: fleet.Question, files: list[str], answer: Path) -> dict[str, Any]:
    """Has this process answer, on all cores, as the commands do without `--engine`."""
    how: Any = {"filter": question.filter, "as_of": AS_OF, "json": True, "redact": True}
    with found_logs(files) as logs:
        if question.analysis == "anomalies":
            report = _core.anomalies_report(logs.paths, show_all=True, **how)
        else:
            how |= {"by": question.by, "slowest": question.slowest}
            report = _core.stats_report(logs.paths, **how)
        # As the commands write it: it is never in memory as a whole.
        with answer.open("wb") as out:
            out.writelines(report)
        traffic = [known.traffic for known in logs.kept]
        requests, came_bytes = (sum(each) for each in zip((0, 0), *traffic, strict=True))
    return {"requests": requests, "came_bytes": came_bytes, "tasks": 0, "state_bytes": 0}


def by_cluster(
    question: fleet.Question, files: list[str], scheduler: str, answer: Path
) -> dict[str, Any]:
    """Has a Dask cluster answer, as the commands do with `--engine dask`."""
    with open_engine("dask", scheduler) as engine:
        plan = fleet.plan(question, files, workers=engine.workers)
        states = [state for _, state in engine.states(plan.tasks)]
    answer.write_text(fleet.answer(plan, states).json, encoding="utf-8")
    state_bytes = sum(map(len, states))
    tasks = len(plan.tasks)
    return {"requests": None, "came_bytes": None, "tasks": tasks, "state_bytes": state_bytes}


def peak_mib() -> float:
    """The most memory that this process had so far: its own, not that of who started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="Asks one question about many logs.")
    parser.add_argument("analysis", choices=("anomalies", "stats"))
    parser.add_argument("answer", type=Path)
    parser.add_argument("--scheduler")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    question = fleet.ask(options.analysis, as_of=AS_OF)
    if options.scheduler is None:
        told = by_one_process(question, options.files, options.answer)
    else:
        told = by_cluster(question, options.files, options.scheduler, options.answer)
    print(json.dumps(told | {"peak_mib": peak_mib(), "cpu_s": time.process_time()}))


if __name__ == "__main__":
    main()
