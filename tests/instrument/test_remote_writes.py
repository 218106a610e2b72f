"""Writes to remote storage, traced from the first byte until the storage has them: S3 by moto."""

from __future__ import annotations

import asyncio
import io
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from conftest import DEADLINE_S
from inspect_trace import anomalies, instrument
from s3_support import KEYS, serving_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import SourceLog

boto3 = pytest.importorskip("boto3")
obstore = pytest.importorskip("obstore")
s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto")

from boto3.s3.transfer import TransferConfig  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError, ReadTimeoutError  # noqa: E402
from obstore.store import MemoryStore, S3Store  # noqa: E402

MIB = 1024 * 1024

# The libraries leave sessions to the garbage collector, and call what botocore has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """An S3 server on loopback, with the bucket `logs`."""
    with serving_s3() as url:
        client_of(url).create_bucket(Bucket="logs")
        yield url


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def continuing_url() -> Iterator[str]:
    """A server that asks for the body of a request, as s3fs waits for that, and then is silent."""

    class Continuing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            while self.rfile.read(1):
                pass

        def log_message(self, *_: object) -> None:
            """Nothing."""

    yield from served(Continuing)


@pytest.fixture
def refusing_url() -> Iterator[str]:
    """A server that refuses everything, and tells a secret."""
    body = b"<Error><Code>AccessDenied</Code><Message>no entry with token=abc123</Message></Error>"

    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    yield from served(Refusing)


def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def log(source_log: SourceLog) -> Iterator[SourceLog]:
    """A log with the sources on."""
    instrument.enable("remote_writes")
    yield source_log
    instrument.disable()


def client_of(url: str, **options: Any) -> Any:
    config = Config(retries={"max_attempts": 0}, **options)
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **KEYS)


def file_system_of(url: str, **options: Any) -> Any:
    return s3fs.S3FileSystem(
        key="key",
        secret="secret",
        endpoint_url=url,
        client_kwargs={"region_name": "us-east-1"},
        skip_instance_cache=True,
        **options,
    )


def store_of(url: str, bucket: str = "logs", **options: Any) -> Any:
    options.setdefault("client_options", {"allow_http": True})
    return S3Store(
        bucket,
        endpoint=url,
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
        **options,
    )


def told(record: dict[str, Any]) -> tuple[str, str, str, int | None]:
    """What a closing record says."""
    return record["action"], record["detail"], record["event"], record.get("size_bytes")


def test_boto3_put_object(log: SourceLog, s3_url: str) -> None:
    """A `put_object` is one action with its URL and its size; reading is none."""
    client = client_of(s3_url)
    client.put_object(Bucket="logs", Key="a/b.json", Body=b"12345")
    client.get_object(Bucket="logs", Key="a/b.json")["Body"].read()
    assert told(log.one) == ("Log Write", "s3://logs/a/b.json", "exit", 5)


def test_a_client_that_exists(source_log: SourceLog, s3_url: str) -> None:
    """A client that was made before is traced, and is not any more once the source is off."""
    client = client_of(s3_url)
    instrument.enable("boto3")
    client.put_object(Bucket="logs", Key="x", Body=b"1")
    instrument.disable("boto3")
    client.put_object(Bucket="logs", Key="y", Body=b"1")
    assert source_log.one["detail"] == "s3://logs/x"


def test_boto3_uploads(log: SourceLog, s3_url: str, tmp_path: Path) -> None:
    """An upload by a transfer manager is one action, in however many calls of whatever threads."""
    client = client_of(s3_url)
    path = tmp_path / "part"
    path.write_bytes(b"x" * (6 * MIB))
    in_parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    client.upload_file(str(path), "logs", "file", Config=in_parts)
    client.upload_fileobj(io.BytesIO(b"123"), "logs", "object")
    client.put_object(Bucket="logs", Key="object", Body=b"1")
    assert [told(record) for record in log.ended] == [
        ("Log Write", "s3://logs/file", "exit", 6 * MIB),
        ("Log Write", "s3://logs/object", "exit", 3),
        ("Log Write", "s3://logs/object", "exit", 1),
    ]
    assert client.head_object(Bucket="logs", Key="file")["ContentLength"] == 6 * MIB


def test_an_upload_that_fails_at_once(log: SourceLog, s3_url: str, tmp_path: Path) -> None:
    """What a transfer manager's thread has ended before the call returns encloses nothing."""
    client = client_of(s3_url)
    for _ in range(20):
        with pytest.raises(FileNotFoundError):
            client.upload_file(str(tmp_path / "missing"), "logs", "x")
        client.put_object(Bucket="logs", Key="y", Body=b"1")
    assert [record.get("parent_id") for record in log.ended] == [None] * 40


def test_boto3_errors(log: SourceLog, s3_url: str, silent_url: str) -> None:
    """What S3 refuses is an error, what takes too long a timeout, for the program as well."""
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client_of(s3_url).put_object(Bucket="missing", Key="x", Body=b"1")
    with pytest.raises(ReadTimeoutError):
        client_of(silent_url, read_timeout=0.2).put_object(Bucket="logs", Key="x", Body=b"1")
    assert [record["event"] for record in log.ended] == ["error", "timeout"]
    assert "NoSuchBucket" in log.ended[0]["error"]


def test_s3fs_file(log: SourceLog, s3_url: str) -> None:
    """A file is one action, from its first write until it is closed, in however many parts."""
    file_system = file_system_of(s3_url)
    with file_system.open("logs/file.eval", "wb", block_size=5 * MIB) as file:
        assert log.events == []
        file.write(b"x" * 6 * MIB)
        assert log.events == ["Log Write:enter"]
        file.write(b"y")
    assert told(log.one) == ("Log Write", "s3://logs/file.eval", "exit", 6 * MIB + 1)
    with file_system.open("logs/file.eval", "rb") as file:
        assert len(file.read()) == 6 * MIB + 1
    assert len(log.ended) == 1


def test_s3fs_at_once(log: SourceLog, s3_url: str, tmp_path: Path) -> None:
    """What is written at once is one action each: bytes, a local file, an empty file."""
    file_system = file_system_of(s3_url)
    file_system.pipe_file("logs/a", b"1234")
    (tmp_path / "b").write_bytes(b"12")
    file_system.put_file(str(tmp_path / "b"), "logs/b")
    file_system.open("logs/c", "wb").close()
    assert [told(record) for record in log.ended] == [
        ("Log Write", "s3://logs/a", "exit", 4),
        ("Log Write", "s3://logs/b", "exit", 2),
        ("Log Write", "s3://logs/c", "exit", 0),
    ]
    assert file_system.cat_file("logs/a") == b"1234"


def test_s3fs_directories(log: SourceLog, s3_url: str, tmp_path: Path) -> None:
    """Of a directory that is put, each file is an action; the directory itself is none."""
    file_system = file_system_of(s3_url)
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_bytes(b"123")
    file_system.put(f"{tmp_path}/d/", "logs/d/", recursive=True)
    file_system.put_file(str(tmp_path / "d"), "logs/d")
    assert told(log.one) == ("Log Write", "s3://logs/d/e/f", "exit", 3)


def test_s3fs_transactions(log: SourceLog, s3_url: str) -> None:
    """A file of a transaction is written when that is committed, and given up with it."""
    file_system = file_system_of(s3_url)
    with file_system.transaction:
        with file_system.open("logs/kept", "wb") as file:
            file.write(b"12")
        assert log.events == ["Log Write:enter"]
    assert told(log.one) == ("Log Write", "s3://logs/kept", "exit", 2)
    with pytest.raises(ValueError, match="of the program"):
        with file_system.transaction:
            with file_system.open("logs/given up", "wb") as file:
                file.write(b"12")
            raise ValueError("of the program")
    assert log.ended[1]["event"] == "cancel"
    assert (file_system.exists("logs/kept"), file_system.exists("logs/given up")) == (True, False)


def test_s3fs_refused(log: SourceLog, refusing_url: str) -> None:
    """What is refused is an error, without the secret that the storage says."""
    file_system = file_system_of(refusing_url)
    with pytest.raises(PermissionError):
        file_system.pipe("logs/x", b"1")
    file = file_system.open("logs/y", "wb", block_size=5 * MIB)
    with pytest.raises(PermissionError):
        file.write(b"x" * 6 * MIB)
    assert [(record["detail"], record["event"], record["error"]) for record in log.ended] == [
        (f"s3://logs/{key}", "error", "no entry with token=REDACTED") for key in "xy"
    ]


def test_s3fs_timeout(log: SourceLog, continuing_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes too long is a timeout, written at once or by a file."""
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setattr(s3fs.core.S3File, "retries", 1)
    options = {"read_timeout": 0.2, "retries": {"max_attempts": 0}}
    file_system = file_system_of(continuing_url, config_kwargs=options)
    with pytest.raises(ReadTimeoutError):
        file_system.pipe("logs/x", b"1")
    file = file_system.open("logs/y", "wb")
    file.write(b"1")
    with pytest.raises(ReadTimeoutError):
        file.close()
    assert [record["event"] for record in log.ended] == ["timeout", "timeout"]


def test_s3fs_error(log: SourceLog, s3_url: str) -> None:
    """A file that cannot be written is one action, which ends by the error."""
    file = file_system_of(s3_url).open("missing/x", "wb")
    file.write(b"1")
    with pytest.raises(OSError, match="bucket"):
        file.close()
    assert told(log.one) == ("Log Write", "s3://missing/x", "error", 1)


def test_local_storage_is_not_traced(log: SourceLog, tmp_path: Path) -> None:
    """Local files and memory are no remote storage."""
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open(f"file://{tmp_path}/x", "wb") as file:
        file.write(b"1")
    with fsspec.open("memory://x", "wb") as file:
        file.write(b"1")
    obstore.put(MemoryStore(), "x", b"1")
    with obstore.open_writer(MemoryStore(), "x") as writer:
        writer.write(b"1")
    assert log.events == []


def test_obstore_put(log: SourceLog, s3_url: str) -> None:
    """`put`, as a function and as a method of a store, now and later, is one action each."""
    store = store_of(s3_url)
    obstore.put(store, "a", b"123")
    store.put("b", b"12")

    async def later() -> None:
        await obstore.put_async(store, "c", b"1")
        await store.put_async("d", b"")

    asyncio.run(later())
    assert [told(record) for record in log.ended] == [
        ("Log Write", f"s3://logs/{key}", "exit", 3 - at) for at, key in enumerate("abcd")
    ]
    assert bytes(obstore.get(store, "a").bytes()) == b"123"


def test_obstore_writers(log: SourceLog, s3_url: str) -> None:
    """A writer is one action, from its first write until it is closed."""
    store = store_of(s3_url)
    with obstore.open_writer(store, "w") as writer:
        assert log.events == []
        writer.write(b"12")
        assert log.events == ["Log Write:enter"]
        writer.write(b"3")

    async def later() -> None:
        async with obstore.open_writer_async(store, "v") as writer:
            await writer.write(b"1234")

    asyncio.run(later())
    assert [told(record) for record in log.ended] == [
        ("Log Write", "s3://logs/w", "exit", 3),
        ("Log Write", "s3://logs/v", "exit", 4),
    ]
    assert bytes(obstore.get(store, "v").bytes()) == b"1234"


def test_obstore_error(log: SourceLog, s3_url: str) -> None:
    """A store that refuses is an error, with what it says."""
    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        obstore.put(store_of(s3_url, bucket="missing"), "x", b"1")
    assert told(log.one) == ("Log Write", "s3://missing/x", "error", 1)
    assert "NoSuchBucket" in log.one["error"]


def test_obstore_timeout(log: SourceLog, silent_url: str) -> None:
    """Time that is up is a timeout, though obstore has no class of errors for it."""
    store = store_of(
        silent_url,
        client_options={"allow_http": True, "timeout": "200ms"},
        retry_config={"max_retries": 0},
    )
    with pytest.raises(obstore.exceptions.GenericError):
        obstore.put(store, "x", b"1")

    async def later() -> None:
        with pytest.raises(obstore.exceptions.GenericError):
            await obstore.put_async(store, "y", b"1")

    asyncio.run(later())
    assert [record["event"] for record in log.ended] == ["timeout", "timeout"]


def test_obstore_writers_that_are_given_up(log: SourceLog, s3_url: str) -> None:
    """A writer whose block an exception leaves, or that nobody closes, has written nothing."""
    store = store_of(s3_url)
    with pytest.raises(ValueError, match="of the program"):
        with obstore.open_writer(store, "given up") as writer:
            writer.write(b"1")
            raise ValueError("of the program")

    async def later() -> None:
        async with obstore.open_writer_async(store, "later") as writer:
            await writer.write(b"1")
            raise ValueError("of the program")

    with pytest.raises(ValueError, match="of the program"):
        asyncio.run(later())
    writer = obstore.open_writer(store, "dropped")
    writer.write(b"1")
    del writer
    assert [told(record)[1:3] for record in log.ended] == [
        (f"s3://logs/{key}", "cancel") for key in ("given up", "later", "dropped")
    ]
    for key in ("given up", "later", "dropped"):
        with pytest.raises(FileNotFoundError):
            obstore.head(store, key)


def test_obstore_by_fsspec(source_log: SourceLog, s3_url: str) -> None:
    """What goes through `obstore.fsspec`, imported before, is one action each."""
    fsspec_store = pytest.importorskip("obstore.fsspec").FsspecStore(
        "s3",
        endpoint=s3_url,
        client_options={"allow_http": True},
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
    )
    instrument.enable("remote_writes")
    instrument.disable("obstore")
    instrument.enable("obstore")  # wraps again what it has unwrapped
    fsspec_store.pipe_file("logs/by pipe", b"1")
    with fsspec_store.open("logs/by file", "wb") as file:
        file.write(b"12")
    assert [told(record) for record in source_log.ended] == [
        ("Log Write", "s3://logs/by pipe", "exit", 1),
        ("Log Write", "s3://logs/by file", "exit", 2),
    ]


def test_presigned_urls(log: SourceLog, s3_url: str) -> None:
    """A presigned URL that a program puts to is an action of HTTP, without what signs it."""
    requests = pytest.importorskip("requests")
    instrument.enable("requests")
    for version in ("s3", "s3v4"):
        client = client_of(s3_url, signature_version=version)
        url = client.generate_presigned_url("put_object", {"Bucket": "logs", "Key": version})
        requests.put(url, data=b"1", timeout=DEADLINE_S)
    ended = log.ended
    assert [record["action"] for record in ended] == ["HTTP", "HTTP"]
    assert "Signature=REDACTED" in ended[0]["detail"]
    assert "X-Amz-Signature=REDACTED" in ended[1]["detail"]
    assert "X-Amz-Credential=REDACTED" in ended[1]["detail"]
    assert "=key" not in log.path.read_text()


def test_a_cancelled_write(log: SourceLog, silent_url: str) -> None:
    """A write that the program gives up is a cancelled one."""

    async def write() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(store_of(silent_url).put_async("x", b"1"), 0.1)

    asyncio.run(write())
    assert told(log.one)[1:3] == ("s3://logs/x", "cancel")


def test_urls_have_no_secrets(log: SourceLog, s3_url: str) -> None:
    """A secret in a key is not in the log."""
    client_of(s3_url).put_object(Bucket="logs", Key="x?token=abc123", Body=b"1")
    assert log.one["detail"] == "s3://logs/x?token=REDACTED"
    assert "abc123" not in log.path.read_text()


HANGING = """
import asyncio, sys
from inspect_trace import init_tracing, instrument
init_tracing(path=sys.argv[1])
instrument.enable("remote_writes")
kind, url = sys.argv[2:]
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
if kind == "boto3":
    import boto3
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.put_object(Bucket="logs", Key="x", Body=b"1")
elif kind == "upload":
    import io
    import boto3
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.upload_fileobj(io.BytesIO(b"1"), "logs", "x")
elif kind == "s3fs":
    import s3fs
    fs = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=url)
    with fs.open("logs/x", "wb") as file:
        file.write(b"1")
else:
    import obstore
    from obstore.store import S3Store
    store = S3Store("logs", endpoint=url, client_options={"allow_http": True, "timeout": "1h"},
                    access_key_id="k", secret_access_key="s", region="us-east-1")
    obstore.put(store, "x", b"1")
"""


@pytest.mark.parametrize("kind", ["boto3", "upload", "s3fs", "obstore"])
def test_a_hanging_write_runs(silent_url: str, tmp_path: Path, kind: str) -> None:
    """A write that storage never answers is shown as running, and as interrupted once killed."""
    path = tmp_path / "hanging.log"
    program = [sys.executable, "-c", HANGING, str(path), kind, silent_url]
    with subprocess.Popen(program) as process:
        deadline = time.monotonic() + DEADLINE_S
        running: list[str] = []
        while not running and time.monotonic() < deadline and process.poll() is None:
            if path.exists():
                running = [action.detail for action in anomalies(path).running]
            time.sleep(0.02)
        process.kill()
    assert running == ["s3://logs/x"]
