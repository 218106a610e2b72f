"""Tasks on a Dask cluster."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, as_completed
from distributed.scheduler import KilledWorker

from .engines import RETRIES, TASKS_AHEAD
from .tasks import failed, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .tasks import Task

MAX_CONNECT_S = 10.0
"""So long a scheduler is waited for, unless Dask is configured to wait for a shorter time."""


class DaskEngine:
    """A Dask cluster: that of a scheduler, or one of processes on this machine."""

    def __init__(self, scheduler: str | None) -> None:
        """Connects.

        Args:
            scheduler: Its address, `tcp://host:8786`; default: as Dask is configured, or none.

        Raises:
            OSError: There is no scheduler, or it has no workers.
        """
        configured_s = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
        timeout_s = min(MAX_CONNECT_S, configured_s)
        try:
            # A scheduler that is configured (DASK_SCHEDULER_ADDRESS) is asked, too.
            self._client: Any = (
                Client(timeout=timeout_s, dashboard_address=None)
                if scheduler is None
                else Client(scheduler, timeout=timeout_s)
            )
        except (OSError, RuntimeError, TimeoutError, ValueError) as error:
            where = "no Dask cluster" if scheduler is None else f"no Dask scheduler at {scheduler}"
            raise OSError(0, f"{where}: {_line(error)}") from None

    @property
    def workers(self) -> int:
        """How many threads its workers have."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def states(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, bytes]]:
        """Does tasks; one whose workers died again and again is told as failed."""
        run_id = uuid.uuid4().hex
        waiting = enumerate(tasks)
        submitted: dict[str, Task] = {}

        def submit(number: int, task: Task) -> Any:
            key = f"inspect-trace-{run_id}-{number}"
            submitted[key] = task
            return self._client.submit(run, task, key=key, pure=False, retries=RETRIES)

        ahead = itertools.islice(waiting, TASKS_AHEAD * self.workers)
        done = as_completed([submit(number, task) for number, task in ahead])
        for future in done:
            task = submitted.pop(future.key)
            yield task, self._state(task, future)
            # Who holds a future has its result kept.
            future.release()
            for number, following in itertools.islice(waiting, 1):
                done.add(submit(number, following))

    def _state(self, task: Task, future: Any) -> bytes:
        if future.cancelled():
            raise OSError(0, "the Dask cluster has gone away: try again once it is back")
        error = future.exception()
        if error is None:
            state: bytes = future.result()
            return state
        if isinstance(error, KilledWorker):
            return failed(task, f"the {RETRIES + 1} workers that tried died")
        if isinstance(error, ImportError):
            reason = f"on a worker of the Dask cluster: {_line(error)}"
            raise ImportError(reason, name=error.name)  # noqa: TRY004 - it is that, from elsewhere
        return failed(task, f"{type(error).__name__}: {_line(error)}")

    def close(self) -> None:
        """Goes away from the cluster, or ends it if it is of this process."""
        self._client.close()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
