"""Tasks on a Ray cluster."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import ray

from .engines import RETRIES, TASKS_AHEAD
from .tasks import failed, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .tasks import Task

CONNECT_TIMEOUT_S = 10.0


class RayEngine:
    """A Ray cluster: that of an address, or one of processes on this machine."""

    def __init__(self, address: str | None) -> None:
        """Connects.

        Args:
            address: Its address; default: as Ray is configured (`RAY_ADDRESS`), or none.

        Raises:
            OSError: There is no cluster at that address.
        """
        # What is started here for one question tells nobody of it, if not told to.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray prints what happens to its workers; the answer is to be alone on standard output.
        self._output = contextlib.redirect_stdout(sys.stderr)
        self._output.__enter__()
        try:
            _reach(address or os.environ.get("RAY_ADDRESS", ""))
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            self._output.__exit__(None, None, None)
            where = "no Ray cluster" if address is None else f"no Ray cluster at {address}"
            raise OSError(0, f"{where}: {_line(error)}") from None
        self._run: Any = ray.remote(max_retries=RETRIES)(run)

    @property
    def workers(self) -> int:
        """How many processors it has."""
        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def states(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, bytes]]:
        """Does tasks; one whose workers died again and again is told as failed."""
        waiting = iter(tasks)
        ahead = itertools.islice(waiting, TASKS_AHEAD * self.workers)
        doing: dict[Any, Task] = {self._run.remote(task): task for task in ahead}
        while doing:
            (done, *_), _ = ray.wait(list(doing), num_returns=1)
            task = doing.pop(done)
            yield task, _state(task, done)
            for following in itertools.islice(waiting, 1):
                doing[self._run.remote(following)] = following

    def close(self) -> None:
        """Goes away from the cluster, or ends it if it is of this process."""
        ray.shutdown()
        self._output.__exit__(None, None, None)


def _reach(address: str) -> None:
    """Looks whether anybody answers there: Ray would wait for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()


def _state(task: Task, reference: Any) -> bytes:
    try:
        state: bytes = ray.get(reference)
    except ray.exceptions.WorkerCrashedError:
        return failed(task, f"the {RETRIES + 1} workers that tried died")
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ImportError):
            reason = f"on a worker of the Ray cluster: {_line(cause)}"
            raise ImportError(reason, name=cause.name) from None  # noqa: TRY004 - it is that
        return failed(task, f"{type(cause).__name__}: {_line(cause)}")
    return state


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
