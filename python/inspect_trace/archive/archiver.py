"""The archiver: ships the logs of a trace directory, once or again and again."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inspect_trace.archive.settings import WAKE_FILE
from inspect_trace.archive.store import ArchiveStore, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from inspect_trace import _core

MANIFEST: Final = "manifest.json"
PIECES_A_MANIFEST: Final = 16
"""So many pieces of a log are shipped before they are noted in its manifest."""
MAX_FAILURES: Final = 3
"""When the store has failed for so many logs in a row, the others wait for the next time."""
LOGS_AT_A_TIME: Final = 8
"""So many small logs are shipped at a time: of such a log's time nearly all is waiting for the
store. What is being shipped is in memory, so large ones are shipped one after the other."""
SMALL_BYTES: Final = 1 << 20
"""A log that takes no more of the disk is a small one."""
LOOK_S: Final = 2.0
"""So often it is looked whether a process has ended, whose log is shipped then."""
MAX_PAUSE_S: Final = 600.0
GIVE_UP_S: Final = 24 * 3600.0
"""Once nobody writes any more, a store that refuses is asked in growing pauses, and for so long."""


class Failure(NamedTuple):
    """A log that could not be shipped."""

    path: str
    reason: str
    by_store: bool
    """Whether it is the store that failed, which may answer again."""


class Swept(NamedTuple):
    """What one sweep did."""

    as_of: float
    logs: int
    """How many there are in the directory."""
    shipped: int
    """How many of them something was shipped of."""
    objects: int
    size: int
    """So many objects were put there, of so many bytes in all."""
    live: int
    """How many are still written."""
    failed: list[Failure]
    waiting: int
    """How many were left for the next time, as the store does not answer."""

    @property
    def is_complete(self) -> bool:
        """Whether everything is there."""
        return not self.failed and not self.waiting


class Archiver:
    """Ships the logs of a directory that nobody else takes care of.

    Args:
        archive: The directory.
        store: Where they go.
        interval_s: How long from one sweep to the next, as manifests say; None: there is no next.
    """

    def __init__(
        self, archive: _core.Archive, store: ArchiveStore, interval_s: float | None = None
    ) -> None:
        self._archive = archive
        self._store = store
        self._interval_s = interval_s

    def sweep(self) -> Swept:
        """Ships everything that is not there yet.

        Raises:
            OSError: The directory cannot be read.
        """
        logs, count = self._archive.look()
        progress = _Progress()
        small = [log for log in logs if log.size_bytes <= SMALL_BYTES]
        large = [log for log in logs if log.size_bytes > SMALL_BYTES]
        pool = ThreadPoolExecutor(LOGS_AT_A_TIME)
        try:
            waited = [pool.submit(self._ship_or_tell, log, progress) for log in small]
            for log in large:
                self._ship_or_tell(log, progress)
            for each in waited:
                each.result()
        finally:
            # After Ctrl-C what has begun ends, and nothing else begins.
            pool.shutdown(cancel_futures=True)
        self._archive.save()
        return progress.swept(logs=count)

    def _ship_or_tell(self, log: _core.ArchiveLog, progress: _Progress) -> None:
        """Ships a log, unless the store does not answer."""
        if not progress.goes_on:
            progress.leave()
            return
        tally = _Tally()
        failure = None
        try:
            self._ship(log, tally)
        except OSError as error:
            by_store = isinstance(error, StoreError)
            failure = Failure(log.path, error.strerror or str(error), by_store)
        progress.count(tally, failure, is_live=log.is_live)

    def _ship(self, log: _core.ArchiveLog, tally: _Tally) -> None:
        self._resume(log)
        if log.is_settled:
            self._archive.note(log)
            return
        log.look()
        while (piece := log.next_piece()) is not None:
            if not self._store.create(f"{log.directory}/{piece.name}", piece.content, piece.labels):
                # Put there by this process, and the answer was lost on the way; or by another one.
                log.forget()
                self._resume(log)
                log.look()
                tally.count_conflict(f"{log.directory}/{piece.name}")
                continue
            log.acknowledge(piece)
            tally.objects += 1
            tally.size += piece.size
            if tally.objects % PIECES_A_MANIFEST == 0:
                self._write_manifest(log)
        self._write_manifest(log)
        self._archive.note(log)
        if log.is_live:
            self._archive.save()

    def _resume(self, log: _core.ArchiveLog) -> None:
        """Asks the store what it has of a log, unless that is known."""
        while not log.is_resumed:
            directory = log.directory
            manifest = self._store.get(f"{directory}/{MANIFEST}")
            names = log.resume(manifest, self._store.list(directory))
            for name in names or ():
                content = self._store.get(f"{directory}/{name}")
                if content is None or not log.adopt(name, content):
                    break

    def _write_manifest(self, log: _core.ArchiveLog) -> None:
        manifest = log.manifest(now=time(), interval=self._interval_s)
        self._store.replace(f"{log.directory}/{MANIFEST}", manifest.content)
        log.manifest_written(manifest)


class _Progress:
    """What a sweep has done so far, counted by the threads that do it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shipped = self._objects = self._size = self._live = self._waiting = 0
        self._failed: list[Failure] = []
        self._failures = 0
        """How often the store has failed in a row."""

    @property
    def goes_on(self) -> bool:
        """Whether the store still answers."""
        return self._failures < MAX_FAILURES

    def leave(self) -> None:
        """A log is left for the next time."""
        with self._lock:
            self._waiting += 1

    def count(self, tally: _Tally, failure: Failure | None, *, is_live: bool) -> None:
        """A log is done with."""
        with self._lock:
            self._shipped += tally.objects > 0
            self._objects += tally.objects
            self._size += tally.size
            self._live += is_live
            if failure is not None:
                self._failed.append(failure)
            is_by_store = failure is not None and failure.by_store
            self._failures = self._failures + 1 if is_by_store else 0

    def swept(self, *, logs: int) -> Swept:
        """All of it, of a directory with so many logs."""
        return Swept(
            as_of=time(),
            logs=logs,
            shipped=self._shipped,
            objects=self._objects,
            size=self._size,
            live=self._live,
            failed=sorted(self._failed),
            waiting=self._waiting,
        )


class _Tally:
    """What was shipped of a log."""

    def __init__(self) -> None:
        self.objects = 0
        self.size = 0
        self._conflicts: set[str] = set()

    def count_conflict(self, key: str) -> None:
        if key in self._conflicts:
            raise StoreError(errno.EEXIST, f"{key} is there, and is no piece of the log")
        self._conflicts.add(key)


class Watch:
    """Sweeps again and again, until it is told to stop, or has nothing left to do.

    Args:
        directory: The directory of the logs.
        archive: The same.
        archiver: What sweeps.
        interval_s: How long from one sweep to the next.
        until_idle: Whether it ends once no process writes a log there and all is shipped.
        tell: Called after each sweep.
    """

    def __init__(
        self,
        directory: str,
        archive: _core.Archive,
        archiver: Archiver,
        *,
        interval_s: float,
        until_idle: bool,
        tell: Callable[[Swept], None],
    ) -> None:
        self._archive = archive
        self._archiver = archiver
        self._interval_s = interval_s
        self._until_idle = until_idle
        self._tell = tell
        self._wake_path = os.path.join(directory, WAKE_FILE)  # noqa: PTH118
        self._is_stopped = False

    def run(self) -> Swept:
        """Goes on until the end, and gives the last sweep.

        Raises:
            OSError: The directory cannot be read.
        """
        wake = _open_fifo(self._wake_path)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._is_stopped = True
            with contextlib.suppress(BlockingIOError):
                os.write(wake, b"x")

        before: Any = signal.signal(signal.SIGTERM, stop)
        try:
            return self._run(wake)
        finally:
            signal.signal(signal.SIGTERM, before)
            os.close(wake)

    def _run(self, wake: int) -> Swept:
        pause_s = self._interval_s
        idle_since_s: float | None = None
        while True:
            is_last = self._is_stopped
            live = set(self._archive.live_logs())
            swept = self._archiver.sweep()
            self._tell(swept)
            if is_last:
                return swept
            if live or swept.is_complete:
                idle_since_s, pause_s = None, self._interval_s
            else:
                idle_since_s = monotonic() if idle_since_s is None else idle_since_s
                pause_s = min(2 * pause_s, max(MAX_PAUSE_S, self._interval_s))
            if self._until_idle:
                if self._is_over(swept):
                    return swept
                if idle_since_s is not None and monotonic() - idle_since_s > GIVE_UP_S:
                    return swept
            self._wait(wake, pause_s, live)

    def _is_over(self, swept: Swept) -> bool:
        """Whether there is nothing left to do; then others may take care of the directory."""
        # What is wrong with a log itself does not change by waiting; a store may answer again.
        refused = [failure.path for failure in swept.failed]
        if any(failure.by_store for failure in swept.failed) or not self._archive.is_idle(refused):
            return False
        self._archive.release()
        # Who has opened a log before that, and saw that it is taken care of, relies on us.
        return self._archive.is_idle(refused) or not self._archive.take()

    def _wait(self, wake: int, pause_s: float, live: set[str]) -> None:
        """Until a sweep is due, somebody asks for one, or a process that wrote a log has ended."""
        end_s = monotonic() + pause_s
        while (left_s := end_s - monotonic()) > 0:
            ready, _, _ = select.select([wake], [], [], min(left_s, LOOK_S))
            if ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
                return
            if not live <= set(self._archive.live_logs()):
                return


def _open_fifo(path: str) -> int:
    """A FIFO at a path, whatever was there; where there can be none, one that nobody else knows."""
    # For reading and writing, so that it never is at its end.
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        if not _is_fifo(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108
            os.mkfifo(path, 0o600)
        return os.open(path, flags)
    except OSError:
        _, writer = os.pipe()
        return os.open(f"/proc/self/fd/{writer}", flags & ~os.O_NOFOLLOW)


def _is_fifo(path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return stat.S_ISFIFO(os.lstat(path).st_mode)
    return False
