"""The place that logs are shipped to: what is asked of it, by obstore."""

from __future__ import annotations

import contextlib
import errno
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from inspect_trace.object_store import opened_store, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypeAlias

    from typing_extensions import Buffer

    Listed: TypeAlias = list[tuple[str, int, float | None]]

MAX_RETRIES: Final = 6
RETRY_TIMEOUT: Final = timedelta(seconds=30)
"""How often, and for how long in all, a request is made, with growing pauses."""
REQUEST_TIMEOUT: Final = timedelta(seconds=120)
CONNECT_TIMEOUT: Final = timedelta(seconds=10)
CHUNK_BYTES: Final = 1 << 20
"""So much of an object is read at a time, where not all of it is wanted at once."""


class StoreError(OSError):
    """The store cannot be asked, or refuses."""


class ArchiveStore:
    """An object store, from a prefix on.

    Args:
        url: Where it is, as `check_url` gives it.
        create: Whether a directory is made where there is none.

    Raises:
        StoreError: There can be none there.
        ImportError: obstore is not installed.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        from obstore.store import LocalStore

        self._has_labels = True
        scheme = url.partition("://")[0].lower()
        self._is_azure = scheme in ("az", "adl", "azure", "abfs", "abfss")
        with _told():
            if scheme == "file":
                self._has_labels = False
                path = url.partition("://")[2]
                if not create and not os.path.isdir(path):  # noqa: PTH112
                    raise NotADirectoryError(errno.ENOTDIR, "there is no such directory")
                self._store: Any = LocalStore(path, automatic_cleanup=True, mkdir=create)
                return
            self._store = opened_store(
                url,
                max_retries=MAX_RETRIES,
                retry_timeout=RETRY_TIMEOUT,
                client_options={"timeout": REQUEST_TIMEOUT, "connect_timeout": CONNECT_TIMEOUT},
            )

    def get(self, key: str) -> bytes | None:
        """An object; None where there is none."""
        import obstore
        from obstore.exceptions import NotFoundError

        with _told():
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except (FileNotFoundError, NotFoundError):
                return None

    def list(self, directory: str) -> list[tuple[str, int]]:
        """The objects in a directory, not below it: names and sizes."""
        import obstore

        with _told():
            found = obstore.list_with_delimiter(self._store, directory)["objects"]
            return [(meta["path"].rpartition("/")[2], meta["size"]) for meta in found]

    def list_all(self) -> Iterator[Listed]:
        """All objects, some at a time: keys, sizes, and when they were put there."""
        import obstore

        with _told():
            for chunk in obstore.list(self._store):
                yield [_stored(meta, meta["path"]) for meta in chunk]

    def look(self, directory: str) -> Listed:
        """The objects in a directory, not below it: names, sizes, and when they were put there."""
        import obstore

        with _told():
            found = obstore.list_with_delimiter(self._store, directory)["objects"]
            return [_stored(meta, meta["path"].rpartition("/")[2]) for meta in found]

    def chunks(self, key: str) -> Iterator[Buffer]:
        """The bytes of an object, some at a time."""
        import obstore

        with _told():
            yield from obstore.get(self._store, key).stream(min_chunk_size=CHUNK_BYTES)

    def remove(self, keys: Sequence[str]) -> None:
        """Removes objects, if they are there, by as few requests as the store allows."""
        import obstore
        from obstore.exceptions import NotFoundError

        if not keys:
            return
        with _told():
            try:
                obstore.delete(self._store, keys)
            except (FileNotFoundError, NotFoundError):  # not the others either, then
                for key in keys:
                    with contextlib.suppress(FileNotFoundError, NotFoundError):
                        obstore.delete(self._store, key)

    def create(self, key: str, content: bytes, labels: Mapping[str, str]) -> bool:
        """Puts an object where there is none, and looks at what is there; False: there was one."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        # The names of labels are those of variables there.
        joint = "_" if self._is_azure else "-"
        attributes = {name.replace("-", joint): text for name, text in labels.items()}
        attributes["Content-Type"] = "application/gzip"
        with _told():
            try:
                obstore.put(
                    self._store,
                    key,
                    content,
                    mode="create",
                    use_multipart=False,
                    attributes=attributes if self._has_labels else None,
                )
            except (FileExistsError, AlreadyExistsError):
                return False
            size = obstore.head(self._store, key)["size"]
        if size != len(content):
            raise StoreError(errno.EIO, f"{len(content)} bytes were sent, and {size} are there")
        return True

    def replace(self, key: str, content: bytes) -> None:
        """Puts an object there, in the place of what there is."""
        import obstore

        with _told():
            obstore.put(
                self._store,
                key,
                content,
                use_multipart=False,
                attributes={"Content-Type": "application/json"} if self._has_labels else None,
            )


def _stored(meta: Any, name: str) -> tuple[str, int, float]:
    return name, meta["size"], meta["last_modified"].timestamp()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        with told(None):
            yield
    except OSError as error:
        reason = error.strerror or str(error)
        # What is asked for always has a place to be in, but for this.
        if error.errno == errno.ENOENT or "404 Not Found" in reason:
            reason = "there is no such bucket"
        raise StoreError(error.errno, reason) from None
