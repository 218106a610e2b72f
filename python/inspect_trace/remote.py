"""Trace logs in object stores (S3, Google, Azure, HTTP, ...), read from where they are.

A log is named by its URL, several by a pattern (`s3://bucket/traces/**/*.gz`) or by a URL that
ends with a slash, which stands for all logs below it. `obstore` asks the store; when it is asked,
and for what, the core decides: nothing is kept on the disk.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from . import _core
from .object_store import opened_store, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from obstore import GetOptions
    from typing_extensions import Buffer

CONNECTIONS: Final = 16
"""How many requests are made at a time."""
MAX_RETRIES: Final = 8
RETRY_TIMEOUT: Final = timedelta(seconds=60)
"""How often, and for how long in all, a request is tried, with growing pauses."""
FIRST_PAUSE_S: Final = 0.1
PIECE_BYTES: Final = 256 << 10
LOCAL_PIECE_BYTES: Final = 1 << 20
"""What comes is handed on in pieces of about this size, so that no chunk is there twice."""

MANIFEST_NAME: Final = "manifest.json"
MANIFESTS_ENDING: Final = ".manifests.jsonl"
"""How a file is called that has the manifest of a log in each line."""
MANIFESTS_AT_A_TIME: Final = 64

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MAGIC: Final = re.compile(r"[*?\[]")
_LOG_NAME: Final = re.compile(r"\.log(\.gz)?$")


class RemoteObject(NamedTuple):
    """An object as it was listed: what it takes to read it, here or on another machine."""

    url: str
    root: str
    path: str
    size_bytes: int
    modified_s: float | None
    e_tag: str | None


def is_url(name: str) -> bool:
    """Whether a name of a log is a URL, and not a path."""
    return _URL.match(name) is not None


def is_manifest(name: str) -> bool:
    """Whether a name is that of a manifest of an archive, or of a file with many of them."""
    return name.rpartition("/")[2] == MANIFEST_NAME or name.endswith(MANIFESTS_ENDING)


def kind_of(name: str) -> Literal["path", "object", "pattern"]:
    """What a name of logs is: no URL, that of one object, or one that stands for several."""
    if is_manifest(name):
        return "pattern"
    if not is_url(name):
        return "path"
    return "pattern" if _is_pattern(name) else "object"


class RemoteLog(NamedTuple):
    """A log in object stores: what it takes to read it, here or on another machine."""

    objects: tuple[RemoteObject, ...]
    """What it is stored in."""
    manifest: bytes | None
    """What its archive tells of it, if it is from one."""


def find_remote_logs(urls: Sequence[str]) -> tuple[dict[str, RemoteLog], _core.RemoteLogs]:
    """The logs that some URLs stand for.

    Args:
        urls: Each names an object, or is a pattern, or ends with a slash; or it is a manifest of an
            archive, or a file with many of them, wherever that is.

    Returns:
        The logs by their names, by which they can be read as long as the second value is kept.

    Raises:
        OSError: A store cannot be asked, or has no such object.
        ImportError: obstore is not installed.
    """
    found = _Found([], {})
    for url in urls:
        _find(url, found)
    # One log named by its own URL is that object alone, as the name of a part stands for that part.
    grouped = any(kind_of(url) == "pattern" for url in urls)
    objects = found.objects
    manifests = list(found.manifests.items())
    logs = _core.RemoteLogs(
        _listed(objects),
        _reader(objects),
        connections=CONNECTIONS,
        grouped=grouped,
        manifests=manifests,
    )
    named = {
        name: RemoteLog(
            tuple(objects[number] for number in numbers),
            found.manifests.get(name.rpartition("/")[0]),
        )
        for name, numbers in zip(logs.names, logs.parts, strict=True)
    }
    return named, logs


@contextlib.contextmanager
def known_logs(logs: Sequence[tuple[str, RemoteLog | None]]) -> Iterator[None]:
    """Has logs that somebody else has listed be opened by their names.

    Args:
        logs: The name of each, and what it is, if it is in an object store.

    Raises:
        ImportError: There are such logs, and obstore is not installed.
    """
    objects: list[RemoteObject] = []
    named = []
    manifests = []
    for name, log in logs:
        if log is not None:
            named.append((name, list(range(len(objects), len(objects) + len(log.objects)))))
            objects += log.objects
            if log.manifest is not None:
                manifests.append((name.rpartition("/")[0], log.manifest))
    if not named:
        yield
        return
    known = _core.RemoteLogs(
        _listed(objects),
        _reader(objects),
        connections=CONNECTIONS,
        logs=named,
        manifests=manifests,
    )
    yield
    del known


class _Found(NamedTuple):
    """What is found by the names of logs."""

    objects: list[RemoteObject]
    manifests: dict[str, bytes]
    """By the URL of the directory whose log it tells of."""


def _listed(objects: Sequence[RemoteObject]) -> list[tuple[str, int, float | None]]:
    return [(found.url, found.size_bytes, found.modified_s) for found in objects]


@contextlib.contextmanager
def opened(name: str) -> Iterator[str]:
    """The name by which the one log that a URL stands for can be opened now.

    Raises:
        OSError: The store cannot be asked, or has no such object, or there are several.
        ImportError: obstore is not installed.
    """
    found, logs = find_remote_logs([name])
    if len(found) != 1:
        raise OSError(0, f"{name} stands for {len(found)} logs: name one")
    yield next(iter(found))
    del logs


def _find(url: str, into: _Found) -> None:
    if url.endswith(MANIFESTS_ENDING):
        return _find_listed(url, into)
    if is_manifest(url):
        directory = url.rpartition("/")[0] if "/" in url else "."
        is_here = not is_url(url)
        url = f"file://{os.path.abspath(directory)}/" if is_here else f"{directory}/"  # noqa: PTH100 - see the imports of store
    base, _, path = url.partition("://")
    host, _, path = path.partition("/")
    root = f"{base}://{host}" if host or base == "file" else url
    store = _store(root, url)
    if not _is_pattern(url):
        into.objects.append(_head(store, root, url, path))
        return None
    pattern = path if _MAGIC.search(path) else f"{path}**"
    before = _MAGIC.split(pattern, maxsplit=1)[0]
    prefix = before.rpartition("/")[0]
    matches = _matcher(pattern)
    named = _MAGIC.search(pattern.rpartition("/")[2].replace("**", "")) is not None
    found = []
    told_of = []
    with told(url):
        for meta in _all_below(store, prefix):
            key = meta["path"]
            directory, _, name = key.rpartition("/")
            if name == MANIFEST_NAME:
                told_of.append(directory)
            # A pattern for directories alone means the logs in them.
            elif matches(key) and (named or _LOG_NAME.search(key)):
                found.append(_object(root, f"{root}/{key}", meta))
    if not found:
        raise FileNotFoundError(2, f"no trace log at {url}")
    into.objects.extend(sorted(found, key=lambda each: each.url))
    there = {each.path.rpartition("/")[0] for each in found}
    wanted = [directory for directory in told_of if directory in there]
    into.manifests.update(_manifests(store, root, wanted))
    return None


def _all_below(store: Any, prefix: str) -> Iterator[Any]:
    """What there is below a prefix; where a connection breaks, the listing goes on from there.

    That needs keys that come in their order: those of a directory and of some buckets do not, and
    such a listing fails as it did.
    """
    import obstore

    last: str | None = None
    is_in_order = True
    pauses_s = _pauses_s()
    while True:
        try:
            for chunk in obstore.list(store, prefix or None, offset=last):
                for meta in chunk:
                    yield meta
                    is_in_order = is_in_order and (last is None or meta["path"] > last)
                    last = meta["path"]
            return
        except obstore.exceptions.GenericError:  # noqa: PERF203 - it is tried again
            if _is_here(store) or not is_in_order:
                raise
            _wait_or_raise(pauses_s)


def _object_content(store: Any, key: str) -> bytes:
    """An object that is small."""
    import obstore

    pauses_s = _pauses_s()
    while True:
        try:
            return bytes(obstore.get(store, key).bytes())
        except obstore.exceptions.GenericError:  # noqa: PERF203 - it is tried again
            if _is_here(store):
                raise
            _wait_or_raise(pauses_s)


def _is_here(store: Any) -> bool:
    """Whether a store is a directory of this machine: nothing comes of asking that again."""
    from obstore.store import LocalStore

    return isinstance(store, LocalStore)


def _wait_or_raise(pauses_s: Iterator[float]) -> None:
    """Waits before something is tried again; the exception that is handled is raised in the end."""
    pause_s = next(pauses_s, None)
    if pause_s is None:
        raise
    time.sleep(pause_s)


def _manifests(store: Any, root: str, directories: Sequence[str]) -> dict[str, bytes]:
    """The manifests in some directories, by the URLs of these; many are fetched at a time."""
    if not directories:
        return {}

    def fetch(directory: str) -> bytes:
        with told(f"{root}/{directory}/{MANIFEST_NAME}"):
            return _object_content(store, f"{directory}/{MANIFEST_NAME}")

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(MANIFESTS_AT_A_TIME, len(directories))) as pool:
        texts = pool.map(fetch, directories)
        return {
            f"{root}/{directory}": text for directory, text in zip(directories, texts, strict=True)
        }


def _find_listed(name: str, into: _Found) -> None:
    """The logs that the lines of a file tell of, each the manifest of one, with its URL."""
    import json

    for number, line in enumerate(_content(name).splitlines(), 1):
        if not line.strip():
            continue
        try:
            manifest = json.loads(line)
            url = manifest["url"].rstrip("/")
            objects = [(each["name"], each["size_bytes"]) for each in manifest["objects"]]
            base, _, path = url.partition("://")
            host, _, path = path.partition("/")
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = f"{name}:{number}: this is no manifest with a URL, as archive-list prints them"
            raise OSError(22, reason) from None
        root = f"{base}://{host}"
        into.manifests[url] = line
        for key, size_bytes in objects:
            into.objects.append(
                RemoteObject(f"{url}/{key}", root, f"{path}/{key}", size_bytes, None, None)
            )


def _content(name: str) -> bytes:
    """All of a file or object."""
    if not is_url(name):
        with open(name, "rb") as file:  # noqa: PTH123 - see the imports of store
            return file.read()
    base, _, path = name.partition("://")
    host, _, path = path.partition("/")
    store = _store(f"{base}://{host}", name)
    with told(name):
        return _object_content(store, path)


def _is_pattern(url: str) -> bool:
    return url.endswith("/") or _MAGIC.search(url.partition("://")[2]) is not None


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a key matches: `**` stands for any number of directories, `*` stays in one."""
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", pattern):
        if part in known:
            expression += known[part]
        elif part.startswith("[") and part.endswith("]"):
            listed = part[1:-1].replace("\\", r"\\")
            expression += f"(?!/)[^{listed[1:]}]" if listed[:1] == "!" else f"(?!/)[{listed}]"
        else:
            expression += re.escape(part)
    try:
        compiled = re.compile(expression, re.DOTALL)
    except re.error as error:
        raise OSError(22, f"{pattern} is no pattern: {error}") from None
    return lambda key: compiled.fullmatch(key) is not None


def _store(root: str, url: str) -> Any:
    from importlib.util import find_spec

    if find_spec("obstore") is None:
        reason = f"reading {url} needs obstore: pip install 'inspect-trace[remote]'"
        raise ImportError(reason, name="obstore")
    from obstore.store import LocalStore

    with told(url):
        if root.startswith("file://"):
            return LocalStore()
        return opened_store(root, max_retries=MAX_RETRIES, retry_timeout=RETRY_TIMEOUT)


def _head(store: Any, root: str, url: str, path: str) -> RemoteObject:
    with told(url):
        import obstore

        return _object(root, url, obstore.head(store, path))


def _object(root: str, url: str, meta: Any) -> RemoteObject:
    modified = meta.get("last_modified")
    modified_s = None if modified is None else modified.timestamp()
    return RemoteObject(url, root, meta["path"], meta["size"], modified_s, meta.get("e_tag"))


def _reader(objects: Sequence[RemoteObject]) -> Callable[[int, int, int], Iterator[Buffer]]:
    """Reads bytes of one of the objects, for threads of the core: in pieces, as they come."""
    urls = {found.root: found.url for found in objects}
    stores = {root: _store(root, url) for root, url in urls.items()}

    def read(number: int, start: int, end: int) -> Iterator[Buffer]:
        import obstore

        found = objects[number]
        options: GetOptions = {}
        if found.e_tag is not None:
            options["if_match"] = found.e_tag
        store = stores[found.root]
        with told(None):
            pauses_s = _pauses_s()
            while start < end:
                # Of a directory a stream has pieces of 8 KiB, each read by a thread of its own.
                is_here = found.root.startswith("file://")
                until = min(end, start + LOCAL_PIECE_BYTES) if is_here else end
                options["range"] = (start, until)
                try:
                    got = obstore.get(store, found.path, options=options)
                    stream = (got.bytes(),) if is_here else got.stream(min_chunk_size=PIECE_BYTES)
                    for piece in stream:
                        yield piece
                        start += len(piece)
                except obstore.exceptions.GenericError:
                    # What has come need not come again.
                    _wait_or_raise(pauses_s)
                else:
                    if start < until:
                        return  # the object is shorter than it was

    return read


def _pauses_s() -> Iterator[float]:
    """How long to wait until it is tried again, as long as that makes sense.

    A connection that breaks in the middle of what it carries is nothing that a store's library
    tries again; what it does try again has taken its time by then.
    """
    until_s = time.monotonic() + RETRY_TIMEOUT.total_seconds()
    for attempt in range(MAX_RETRIES):
        pause_s = min(5.0, FIRST_PAUSE_S * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        if time.monotonic() + pause_s >= until_s:
            return
        yield pause_s
