"""What is in an archive: asks the store many things at a time; the core knows what it means."""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar

from inspect_trace import _core
from inspect_trace.archive.archiver import MANIFEST
from inspect_trace.archive.store import ArchiveStore, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Thing = TypeVar("Thing")

MANIFEST_REQUESTS: Final = 64
"""So many manifests are asked for at a time: they are small."""
OBJECT_REQUESTS: Final = 8
"""So many objects are read at a time, a MiB or so of each in memory."""
REMOVALS: Final = 8
"""So many logs are removed at a time."""
MAX_FAILURES: Final = 100
"""When the store has failed so often in a row, it is not asked any more."""


class Contents:
    """What is in an archive.

    Args:
        url: Where it is, as `check_url` gives it.

    Raises:
        StoreError: The store cannot be asked, or its objects cannot be listed.
    """

    def __init__(self, url: str) -> None:
        self._store = ArchiveStore(url, create=False)
        self.catalog = _core.ArchiveCatalog(url)
        for listed in self._store.list_all():
            self.catalog.add(listed)

        def read(directory: str) -> None:
            self.catalog.read(directory, self._manifest(directory))

        for directory, reason in _each(self.catalog.to_read(), read, MANIFEST_REQUESTS):
            self.catalog.unread(directory, reason)

    def _manifest(self, directory: str) -> bytes | None:
        return self._store.get(_key(directory, MANIFEST))

    def check(self, *, as_of: float, checksums: bool) -> _core.ArchiveCheck:
        """Looks at all objects that manifests name.

        Args:
            as_of: Now.
            checksums: Whether they are read, too.
        """
        check = _core.ArchiveCheck(self.catalog, as_of=as_of)

        def look_again(directory: str) -> None:
            manifest = self._manifest(directory)
            check.look_again(directory, manifest, self._store.look(directory))

        # One that fails is told as it was found.
        _each(check.in_doubt(), look_again, MANIFEST_REQUESTS)
        if checksums:

            def read(piece: tuple[str, str]) -> None:
                found = hashlib.sha256()
                for chunk in self._store.chunks(_key(*piece)):
                    found.update(chunk)
                check.read(*piece, found.hexdigest())

            for piece, reason in _each(check.to_read(), read, OBJECT_REQUESTS):
                check.unread(*piece, reason)
        return check

    def prune(self, pruning: _core.ArchivePruning) -> None:
        """Removes what was chosen; what becomes of it is noted there."""
        directories = pruning.directories

        def remove(number: int) -> None:
            directory = directories[number]
            # It may have grown since. A piece is put there before it is in the manifest.
            manifest = self._manifest(directory)
            names = pruning.confirm(number, manifest, self._store.look(directory))
            if names is None:
                return
            pieces = [_key(directory, name) for name in names if name != MANIFEST]
            self._store.remove(pieces)
            if len(pieces) < len(names):
                self._store.remove([_key(directory, MANIFEST)])
            pruning.removed(number)

        for number, reason in _each(range(len(directories)), remove, REMOVALS):
            pruning.failed(number, reason)


def _key(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _each(
    things: Iterable[Thing], do: Callable[[Thing], None], at_a_time: int
) -> list[tuple[Thing, str]]:
    """Does something with each thing, in this order, several at a time.

    Returns:
        Those with which it failed, or that were left as it failed too often, and why.
    """
    waiting = iter(things)
    lock = threading.Lock()
    failed: list[tuple[Thing, str]] = []
    failures = 0
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def work() -> None:
        nonlocal failures
        try:
            while failures < MAX_FAILURES:
                with lock:
                    thing = next(waiting)
                try:
                    do(thing)
                    failures = 0
                except StoreError as error:
                    with lock:
                        failures += 1
                        failed.append((thing, error.strerror or str(error)))
        except StopIteration:
            pass
        except BaseException as error:
            ended.put(error)  # it is raised below
        ended.put(None)

    # Nobody waits for a request that is under way at Ctrl-C.
    for _ in range(at_a_time):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(at_a_time):
        if (error := ended.get()) is not None:
            raise error
    failed.extend((thing, "the store does not answer") for thing in waiting)
    return failed
