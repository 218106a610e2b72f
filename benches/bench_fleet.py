"""One question about many logs: against how many there are, against bytes, and by a cluster.

Logs are read from moto's S3 server on loopback and, as the yardstick, by `file://` URLs, which take
the same way through the same library but for the server and HTTP. Each run is a process of its own
(`fleet_question.py`), timed with its start; all answers to a question are compared to the byte.

The server is a Python program, and takes a core of the same machine: times with it are those of the
two together. What it took is told beside ours. For each range of an object it reads all of that, so
that large logs are read from it only up to `--s3-bytes`.

    python benches/bench_fleet.py --logs 100,1000,10000 --bytes 100MB,1GB,4GB --rounds 3
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus import CORPUS_VERSION, parse_size
from fleet_corpus import FEW, make_large_logs, make_small_logs
from measure import DATA, HERE, Spread, cpu_s, peak_mib, seconds, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fleet.cluster import Cluster

ANALYSES = ("anomalies", "stats")
BUCKET = "fleet"
WORKERS = 2
NEEDED = ("obstore", "moto", "distributed")
_ENDED_AT = re.compile(r'"ended_at": [0-9.]+')


@dataclass(frozen=True)
class Server:
    """The S3 server that serves a directory."""

    process: subprocess.Popen[str]
    environment: dict[str, str]

    def take(self) -> dict[str, Any]:
        """What was asked of it since the last time, and the processor time it took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        taken: dict[str, Any] = json.loads(self.process.stdout.readline())
        return taken


@dataclass(frozen=True)
class Place:
    """Where logs are."""

    name: str
    root: str
    server: Server | None = None
    files: tuple[str, ...] = ()
    """What is asked about; default: all that is there."""


@dataclass(frozen=True)
class Workers:
    """A cluster that can be asked."""

    address: str
    cluster: Cluster

    def cpu_s(self) -> float:
        """The processor time of all of it so far."""
        processes = [*self.cluster.workers, self.cluster.scheduler]
        return sum(cpu_s(process.pid) for process in processes)

    def forget_peaks(self) -> None:
        """From now on the peak memory of workers is that of what comes."""
        for worker in self.cluster.workers:
            Path(f"/proc/{worker.pid}/clear_refs").write_text("5")

    def peak_mib(self) -> float:
        """The peak memory of the largest worker."""
        return max(peak_mib(worker.pid) for worker in self.cluster.workers)


@dataclass(frozen=True)
class Run:
    """What one question took."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    worker_peak_mib: float | None
    server_cpu_s: float | None
    requests: int | None
    came_bytes: int | None
    tasks: int
    state_bytes: int


@dataclass(frozen=True)
class Question:
    """A question that is asked several times."""

    analysis: str
    place: Place
    workers: Workers | None
    runs: list[Run]

    def take(self, answers: Path) -> str:
        """Asks once; gives the answer, without where the logs are, and when they were put there."""
        answer = answers / "answer.json"
        command = [sys.executable, str(HERE / "fleet_question.py"), self.analysis, str(answer)]
        if self.workers is not None:
            command += ["--scheduler", self.workers.address]
            self.workers.forget_peaks()
        cpu_s = self.workers.cpu_s() if self.workers else 0.0
        server = self.place.server
        if server is not None:
            server.take()
        start_s = time.perf_counter()
        done = subprocess.run(
            [*command, *(self.place.files or [self.place.root])],
            env=os.environ if server is None else server.environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        wall_s = time.perf_counter() - start_s
        told = json.loads(done.stdout)
        asked = {} if server is None else server.take()
        self.runs.append(
            Run(
                wall_s=wall_s,
                cpu_s=told["cpu_s"] + (self.workers.cpu_s() - cpu_s if self.workers else 0.0),
                peak_mib=told["peak_mib"],
                worker_peak_mib=self.workers.peak_mib() if self.workers else None,
                server_cpu_s=asked.get("cpu_s"),
                requests=asked.get("requests", told["requests"]),
                came_bytes=asked.get("answer_bytes", told["came_bytes"]),
                tasks=told["tasks"],
                state_bytes=told["state_bytes"],
            )
        )
        text = answer.read_text(encoding="utf-8").replace(self.place.root, "")
        return _ENDED_AT.sub("", text)

    def cells(self) -> list[str]:
        """What it took, for a table."""
        return [
            _spread(self.runs, "wall_s", seconds),
            _spread(self.runs, "cpu_s", seconds),
            _most(self.runs, "server_cpu_s", seconds),
            _most(self.runs, "peak_mib", "{:.0f}".format),
            _most(self.runs, "requests", "{:,.0f}".format),
            _most(self.runs, "came_bytes", lambda size_bytes: f"{size_bytes / 1e6:,.1f}"),
        ]

    def cluster_cells(self) -> list[str]:
        """The rest of it, for the table with a cluster."""
        if self.workers is None:
            return ["", "", ""]
        return [
            _most(self.runs, "worker_peak_mib", "{:.0f}".format),
            _most(self.runs, "tasks", "{:,.0f}".format),
            _most(self.runs, "state_bytes", lambda size_bytes: f"{size_bytes / 1e6:,.2f}"),
        ]


COLUMNS = ["time, s", "processor, s", "of the server, s", "peak, MiB", "requests", "came, MB"]
CLUSTER_COLUMNS = ["largest worker, MiB", "tasks", "states, MB"]


def ask(questions: Sequence[Question], directory: Path, rounds: int) -> None:
    """Asks questions in turn, several times.

    Raises:
        SystemExit: Two answers to the same one are not the same.
    """
    answers: dict[tuple[str, bool], str] = {}
    for number in range(rounds):
        for question in questions if number % 2 == 0 else reversed(questions):
            answer = question.take(directory)
            # Of a path it is known whether its writer is alive.
            key = (question.analysis, bool(question.place.files))
            if answer != answers.setdefault(key, answer):
                raise SystemExit(
                    f"{question.analysis} of {question.place.root}: the answers differ"
                )


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Server]:
    """An S3 server with the files of a directory."""
    command = [sys.executable, str(HERE / "fleet_s3_server.py"), str(directory), BUCKET]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(process.stdout.readline())}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        yield Server(process, environment)
        process.stdin.close()


@contextlib.contextmanager
def working(directory: Path, environment: dict[str, str]) -> Iterator[Workers]:
    """A Dask cluster of processes of one thread each."""
    sys.path.append(str(HERE.parent / "tests"))
    from fleet.cluster import dask_cluster

    with (
        tempfile.TemporaryDirectory(dir=directory) as place,
        dask_cluster(Path(place), WORKERS, environment) as (address, cluster),
    ):
        yield Workers(address, cluster)


@dataclass(frozen=True)
class Tables:
    """The rows of the three tables."""

    by_logs: list[list[str]]
    by_bytes: list[list[str]]
    by_cluster: list[list[str]]


def small_logs(tables: Tables, directory: Path, count: int, options: argparse.Namespace) -> None:
    """Asks about many small logs."""
    logs = directory / "small"
    text_bytes = make_small_logs(logs, count, options.seed)
    what = f"{count:,} logs, {size(text_bytes)} of text"
    try:
        with served(logs) as server:
            places = [Place("S3", f"s3://{BUCKET}/", server), Place("file://", f"file://{logs}/")]
            rows(tables.by_logs, what, places, directory, options)
            if count == options.cluster_logs:
                with working(directory, server.environment) as workers:
                    cluster_rows(tables, what, places, workers, directory, options)
    finally:
        shutil.rmtree(logs)


def large_logs(
    tables: Tables, directory: Path, size_bytes: int, options: argparse.Namespace
) -> None:
    """Asks about few large logs."""
    for logs in make_large_logs(directory / "large", size_bytes, options.seed):
        what = f"{size(size_bytes)} in {FEW} logs, {logs.name}"
        with contextlib.ExitStack() as stack:
            # In the order of URLs.
            paths = tuple(sorted(map(str, logs.glob("trace-*"))))
            places = [Place("paths", f"{logs}/", files=paths), Place("file://", f"file://{logs}/")]
            if size_bytes <= options.s3_bytes:
                server = stack.enter_context(served(logs))
                places.append(Place("S3", f"s3://{BUCKET}/", server))
            rows(tables.by_bytes, what, places, directory, options)
            if size_bytes == options.cluster_bytes:
                workers = stack.enter_context(working(directory, dict(os.environ)))
                cluster_rows(tables, what, places[:1], workers, directory, options)
    shutil.rmtree(directory / "large")


def rows(
    to: list[list[str]],
    what: str,
    places: Sequence[Place],
    directory: Path,
    options: argparse.Namespace,
) -> None:
    """Asks one process about the logs of some places, and adds what it took to a table."""
    asked = [(analysis, place) for analysis in options.analyses for place in places]
    questions = [Question(analysis, place, None, []) for analysis, place in asked]
    ask(questions, directory, options.rounds)
    to += [
        [f"{what}: `{question.analysis}`", question.place.name, *question.cells()]
        for question in questions
    ]


def cluster_rows(
    tables: Tables,
    what: str,
    places: Sequence[Place],
    workers: Workers,
    directory: Path,
    options: argparse.Namespace,
) -> None:
    """Asks one process and a cluster in turn."""
    for analysis in options.analyses:
        for place in places:
            sides = {"one process": None, f"{WORKERS} workers": workers}
            questions = [Question(analysis, place, side, []) for side in sides.values()]
            ask(questions, directory, options.rounds)
            for name, question in zip(sides, questions, strict=True):
                told = [*question.cells(), *question.cluster_cells()]
                tables.by_cluster.append([f"{what}: `{analysis}`", place.name, name, *told])


def measure(options: argparse.Namespace) -> str:
    """Runs the bench.

    Returns:
        The results in Markdown.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return f"Not measured: {' and '.join(missing)} not installed.\n"
    check_space(max(options.bytes))
    tables = Tables([], [], [])
    directory = Path(tempfile.mkdtemp(prefix="fleet-", dir=DATA))
    try:
        for count in options.logs:
            small_logs(tables, directory, count, options)
        for size_bytes in options.bytes:
            large_logs(tables, directory, size_bytes, options)
    finally:
        shutil.rmtree(directory)
    return (
        f"Corpus version {CORPUS_VERSION}, seed {options.seed}. Median of {options.rounds} "
        "(lowest–highest), the sides in turn, whole processes with their start, memory and counts "
        "the highest; equal answers. Small logs are of mixed size, 1 in 20 torn, 1 in 20 with "
        "broken lines.\n\n"
        "#### Against the number of logs\n\n"
        f"{table(['logs', 'from', *COLUMNS], tables.by_logs)}\n"
        "#### Against bytes\n\n"
        f"{table(['logs', 'from', *COLUMNS], tables.by_bytes)}\n"
        f"#### One process and a Dask cluster of {WORKERS} workers\n\n"
        "Processor time with that of the workers and the scheduler; a worker that has done nothing "
        "takes about 100 MiB.\n\n"
        f"{table(['logs', 'from', 'by', *COLUMNS, *CLUSTER_COLUMNS], tables.by_cluster)}"
    )


def check_space(size_bytes: int) -> None:
    """Stops if the disk cannot hold the largest logs, plain and compressed.

    Raises:
        SystemExit: It cannot; the message tells how much is missing.
    """
    needed_bytes = size_bytes * 5 // 4
    DATA.mkdir(exist_ok=True)
    free_bytes = shutil.disk_usage(DATA).free
    if free_bytes < needed_bytes:
        raise SystemExit(
            f"{DATA}: {free_bytes / 1e9:.1f} GB are free, {needed_bytes / 1e9:.1f} are needed"
        )


def size(size_bytes: int) -> str:
    """A size in the unit that suits it."""
    if size_bytes < 1e9:
        return f"{size_bytes / 1e6:,.3g} MB"
    return f"{size_bytes / 1e9:.3g} GB"


def _spread(runs: Sequence[Run], name: str, form: Callable[[float], str]) -> str:
    return Spread(tuple(getattr(run, name) for run in runs)).show(form)


def _most(runs: Sequence[Run], name: str, form: Callable[[float], str]) -> str:
    values = [getattr(run, name) for run in runs]
    return "" if None in values else form(max(values))


def numbers(text: str) -> list[int]:
    """Numbers with commas between them."""
    return [int(number) for number in text.split(",")]


def sizes(text: str) -> list[int]:
    """Sizes with commas between them."""
    return [parse_size(number) for number in text.split(",")]


SMOKE = {
    "logs": [40],
    "bytes": [200_000],
    "cluster_logs": 40,
    "cluster_bytes": 0,
    "s3_bytes": 0,
    "rounds": 1,
    "analyses": ("stats",),
}
"""Tiny: does it run at all?"""


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="One question about many logs.")
    parser.add_argument("--smoke", action="store_true", help="tiny: does it run at all?")
    parser.add_argument(
        "--logs", type=numbers, default="100,1000,10000", help="how many small ones"
    )
    parser.add_argument("--bytes", type=sizes, default="100MB,1GB,4GB", help="in few large ones")
    parser.add_argument("--cluster-logs", type=int, default=1000, help="of these: by a cluster too")
    parser.add_argument("--cluster-bytes", type=parse_size, default="1GB", help="likewise")
    parser.add_argument("--s3-bytes", type=parse_size, default="100MB", help="from S3 up to here")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.set_defaults(analyses=ANALYSES)
    options = parser.parse_args(arguments)
    return argparse.Namespace(**{**vars(options), **(SMOKE if options.smoke else {})})


def main() -> None:
    """The command line: see the top of the file."""
    print(measure(parsed()))


if __name__ == "__main__":
    main()
