"""Who does the tasks: this process, a Dask cluster, a Ray cluster."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from .tasks import Task

EngineName = Literal["dask", "ray"]

RETRIES: Final = 3
"""So often a task is tried again whose worker died."""
TASKS_AHEAD: Final = 4
"""So many tasks for each worker are given to an engine at a time: it keeps a book on each."""


class Engine(Protocol):
    """Who does tasks."""

    @property
    def workers(self) -> int:
        """How many tasks are done at a time."""

    def states(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, bytes]]:
        """Does tasks; gives what each has found, in whatever order.

        Raises:
            OSError: The cluster is gone.
            ImportError: A worker has not what it takes.
        """


def open_engine(name: EngineName, scheduler: str | None) -> AbstractContextManager[Engine]:
    """An engine, connected as long as the context lasts.

    Args:
        name: Which one.
        scheduler: Where its cluster is; default: what its own configuration says, or else one of
            processes on this machine.

    Raises:
        ImportError: It is not installed.
        OSError: There is no cluster at that address.
    """
    library = {"dask": "distributed", "ray": "ray"}[name]
    if find_spec(library) is None:
        reason = f"--engine {name} needs {library}: pip install 'inspect-trace[{name}]'"
        raise ImportError(reason, name=library)
    if name == "dask":
        from .dask_engine import DaskEngine

        return contextlib.closing(DaskEngine(scheduler))
    from .ray_engine import RayEngine

    return contextlib.closing(RayEngine(scheduler))
