"""A Dask cluster of real processes on loopback, which a test can kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60


class Cluster:
    """A scheduler and workers of one thread each, without anybody who starts them anew."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._file = directory / "scheduler.json"
        self._environment = environment
        self._directory = directory
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file")

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        common = ("--host", "127.0.0.1", "--no-dashboard")
        return subprocess.Popen(
            [sys.executable, "-m", "dask", what, *common, *arguments, str(self._file)],
            env=self._environment,
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def add_worker(self) -> None:
        """Starts a worker."""
        single = ("--nworkers", "1", "--nthreads", "1", "--no-nanny")
        where = ("--local-directory", str(self._directory), "--scheduler-file")
        self.workers.append(self._start("worker", *single, *where))

    def wait(self) -> str:
        """Waits until all workers are there; gives the address of the scheduler."""
        from distributed import Client

        with Client(scheduler_file=str(self._file), timeout=WAIT_S) as client:
            client.wait_for_workers(len(self.workers), timeout=WAIT_S)
        address: str = json.loads(self._file.read_text())["address"]
        return address

    def kill_worker(self) -> None:
        """Kills one of them."""
        worker = self.workers.pop()
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(WAIT_S)

    def end(self) -> None:
        """Ends all of it."""
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait(WAIT_S)


@contextlib.contextmanager
def dask_cluster(
    directory: Path, workers: int, environment: dict[str, str]
) -> Iterator[tuple[str, Cluster]]:
    """A cluster, and the address of its scheduler."""
    cluster = Cluster(directory, environment)
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster.wait(), cluster
    finally:
        cluster.end()
