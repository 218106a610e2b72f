"""Requests by httpx, httpx2, aiohttp and requests to a real server, and what is told of them."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from conftest import DEADLINE_S
from inspect_trace import init_tracing, instrument, trace_action
from inspect_trace.instrument import _action
from inspect_trace.instrument._url import shown_url

from .stub_server import Stub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import SourceLog

httpx2 = pytest.importorskip("httpx2")

ERRORS: Any = (
    httpx.HTTPError,
    httpx2.HTTPError,
    aiohttp.ClientError,
    requests.RequestException,
    asyncio.TimeoutError,
)


@pytest.fixture
def log(source_log: SourceLog) -> Iterator[SourceLog]:
    """A log with the sources on."""
    instrument.enable("http")
    yield source_log
    instrument.disable("http")


def sync(library: Any) -> Callable[[str], tuple[int, bytes]]:
    def get(url: str, timeout_s: float | None = None) -> tuple[int, bytes]:
        with library.Client(timeout=timeout_s, follow_redirects=True, trust_env=False) as client:
            response = client.get(url)
            return response.status_code, response.content

    return get


def concurrent(library: Any) -> Callable[[str], tuple[int, bytes]]:
    async def get(url: str, timeout_s: float | None) -> tuple[int, bytes]:
        async with library.AsyncClient(
            timeout=timeout_s, follow_redirects=True, trust_env=False
        ) as client:
            response = await client.get(url)
            return response.status_code, response.content

    def run(url: str, timeout_s: float | None = None) -> tuple[int, bytes]:
        return asyncio.run(get(url, timeout_s))

    return run


def by_aiohttp(url: str, timeout_s: float | None = None) -> tuple[int, bytes]:
    async def get() -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url) as response,
        ):
            return response.status, await response.read()

    return asyncio.run(get())


def by_requests(url: str, timeout_s: float | None = None) -> tuple[int, bytes]:
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(url, timeout=timeout_s)
        return response.status_code, response.content


CLIENTS = [
    pytest.param(sync(httpx), id="httpx"),
    pytest.param(concurrent(httpx), id="httpx-async"),
    pytest.param(sync(httpx2), id="httpx2"),
    pytest.param(concurrent(httpx2), id="httpx2-async"),
    pytest.param(by_aiohttp, id="aiohttp"),
    pytest.param(by_requests, id="requests"),
]


def http_records(log: SourceLog) -> list[dict[str, Any]]:
    return [record for record in log.records if record["level"] == "HTTP"]


@pytest.mark.parametrize("get", CLIENTS)
def test_a_request(log: SourceLog, stub: Stub, get: Callable[[str], tuple[int, bytes]]) -> None:
    """A request is one action with its status and one record of level HTTP, without secrets."""
    url = stub.url.replace("//", "//user:secret@") + "/ok?x=1&api_key=hidden"
    with trace_action(_action.LOGGER, "Outer", "out"):
        assert get(url) == (200, b"fine")
    shown = f"{stub.url.replace('//', '//REDACTED@')}/ok?x=1&api_key=REDACTED"
    if get is by_aiohttp:  # which tells the URL of the response without the user
        (record,) = http_records(log)
        assert record["url"] in (shown, shown.replace("REDACTED@", ""))
        shown_last = record["url"]
    else:
        shown_last = shown
    outer, enter, *_ = (record for record in log.records if "action" in record)
    assert log.events == ["Outer:enter", "HTTP:enter", "HTTP:exit", "Outer:exit"]
    assert enter["parent_id"] == outer["trace_id"]
    assert enter["detail"] == f"GET {shown}"
    assert log.ended[0]["status"] == 200
    (record,) = http_records(log)
    assert record["message"] == f'GET {shown_last} "HTTP/1.1 200 OK"'
    told = {key: record[key] for key in ("method", "url", "status", "attempt")}
    assert told == {"method": "GET", "url": shown_last, "status": 200, "attempt": 1}
    assert 0 < record["duration"] <= log.ended[0]["duration"]
    # httpx's own logger tells URLs as they are: that is its affair.
    ours = [record for record in log.records if record["level"] != "INFO"]
    assert "hidden" not in json.dumps(ours)
    assert "secret" not in json.dumps(ours)


@pytest.mark.parametrize("get", CLIENTS)
def test_a_status(log: SourceLog, stub: Stub, get: Callable[[str], tuple[int, bytes]]) -> None:
    """A request that is answered has gone well as an action, and tells the status."""
    assert get(f"{stub.url}/missing")[0] == 404
    assert (log.one["event"], log.one["status"]) == ("exit", 404)
    (record,) = http_records(log)
    assert record["message"].endswith('/missing "HTTP/1.1 404 Not Found"')


@pytest.mark.parametrize("get", CLIENTS)
def test_redirects(log: SourceLog, stub: Stub, get: Callable[[str], tuple[int, bytes]]) -> None:
    """Each hop has a record of its own, and all actions end."""
    assert get(f"{stub.url}/redirect") == (200, b"fine")
    assert [record["message"] for record in http_records(log)] == [
        f'GET {stub.url}/redirect "HTTP/1.1 302 Found"',
        f'GET {stub.url}/ok?token=REDACTED "HTTP/1.1 200 OK"',
    ]
    assert {record["event"] for record in log.ended} == {"exit"}
    assert log.events.count("HTTP:enter") == log.events.count("HTTP:exit")


@pytest.mark.parametrize("get", CLIENTS)
def test_no_server(log: SourceLog, get: Callable[[str], Any]) -> None:
    """A connection that is refused is an error, and a record that is no success."""
    with Stub() as gone:
        url = f"{gone.url}/ok?api_key=hidden"
    with pytest.raises(ERRORS):
        get(url)
    assert log.one["event"] == "error"
    (record,) = http_records(log)
    assert record["message"].startswith(f"GET {gone.url}/ok?api_key=REDACTED ")
    assert record["error_type"] == log.one["error_type"]
    assert "200 OK" not in record["message"]
    assert "hidden" not in json.dumps(log.records)


@pytest.mark.parametrize("get", CLIENTS)
def test_a_dropped_connection(log: SourceLog, stub: Stub, get: Callable[[str], Any]) -> None:
    """A server that hangs up without an answer is an error."""
    with pytest.raises(ERRORS):
        get(f"{stub.url}/drop")
    assert {record["event"] for record in log.ended} == {"error"}
    (record,) = http_records(log)
    assert record["error_type"]


@pytest.mark.parametrize("get", CLIENTS)
def test_a_broken_body(log: SourceLog, stub: Stub, get: Callable[[str], Any]) -> None:
    """A body that ends too early is an error of the action, whose record told of the status."""
    with pytest.raises(ERRORS):
        get(f"{stub.url}/broken")
    assert (log.one["event"], log.one["status"]) == ("error", 200)
    (record,) = http_records(log)
    assert record["status"] == 200


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize("what", ["hang", "half"])
def test_a_timeout(log: SourceLog, stub: Stub, get: Callable[..., Any], what: str) -> None:
    """A timeout, before or within the body, is a timeout."""
    with pytest.raises(ERRORS):
        get(f"{stub.url}/{what}", timeout_s=0.2 if what == "hang" else 0.5)
    assert log.one["event"] == "timeout"
    (record,) = http_records(log)
    assert ("200 OK" in record["message"]) == (what == "half")


ASYNC_CLIENTS: list[Any] = [httpx, httpx2, aiohttp]


async def get_async(library: Any, url: str) -> None:
    if library is aiohttp:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            await response.read()
    else:
        async with library.AsyncClient(timeout=None, trust_env=False) as client:
            await client.get(url)


@pytest.mark.parametrize("what", ["hang", "half"])
@pytest.mark.parametrize("library", ASYNC_CLIENTS, ids=lambda library: library.__name__)
def test_a_cancelled_request(log: SourceLog, stub: Stub, library: Any, what: str) -> None:
    """A request that hangs is running, and is a cancellation once its task is cancelled."""

    async def main() -> None:
        task = asyncio.create_task(get_async(library, f"{stub.url}/{what}"))
        assert await asyncio.to_thread(stub.hanging.acquire, timeout=DEADLINE_S)
        while what == "half" and not http_records(log):
            await asyncio.sleep(0.001)
        assert log.events == ["HTTP:enter"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert log.events == ["HTTP:enter", "HTTP:cancel"]
    (record,) = http_records(log)
    assert ("CancelledError" in record["message"]) == (what == "hang")


def test_streams_end_when_they_are_read(log: SourceLog, stub: Stub) -> None:
    """A streamed body ends the action when it has been read or closed, and not before."""
    with httpx.Client(trust_env=False) as client:
        with client.stream("GET", f"{stub.url}/ok") as response:
            assert log.events == ["HTTP:enter"]
            assert len(http_records(log)) == 1
            assert list(response.iter_bytes()) == [b"fine"]
            assert log.events == ["HTTP:enter", "HTTP:exit"]
        with client.stream("GET", f"{stub.url}/half"):
            assert log.events[2:] == ["HTTP:enter"]
        assert log.events[2:] == ["HTTP:enter", "HTTP:exit"]
    with requests.get(f"{stub.url}/half", stream=True) as answer:
        assert log.events[4:] == ["HTTP:enter"]
        assert next(answer.iter_content(10)) == b"x" * 10
    assert log.events[4:] == ["HTTP:enter", "HTTP:exit"]
    with requests.get(f"{stub.url}/ok", stream=True) as answer:
        assert list(answer.iter_content(None)) == [b"fine"]
        assert log.events[6:] == ["HTTP:enter", "HTTP:exit"]


def test_what_follows_is_no_part_of_a_request(log: SourceLog, stub: Stub) -> None:
    """What a program does while it reads a body is beside the request, not within it."""
    with httpx.Client(trust_env=False) as client:
        with client.stream("GET", f"{stub.url}/half"):
            with trace_action(_action.LOGGER, "Work", "on it"):
                client.get(f"{stub.url}/ok")
    entered = {r["detail"]: r for r in log.records if r.get("event") == "enter"}
    assert "parent_id" not in entered["on it"]
    assert entered[f"GET {stub.url}/ok"]["parent_id"] == entered["on it"]["trace_id"]


@pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning")  # so says aiohttp
def test_a_dropped_response(log: SourceLog, stub: Stub) -> None:
    """A response that is dropped without being closed is a cancellation."""

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            await session.get(f"{stub.url}/half")
            assert log.events == ["HTTP:enter"]

    asyncio.run(main())
    gc.collect()
    assert log.events == ["HTTP:enter", "HTTP:cancel"]
    with httpx.Client(trust_env=False) as client:
        client.send(client.build_request("GET", f"{stub.url}/half"), stream=True)
        gc.collect()
        assert log.events[2:] == ["HTTP:enter", "HTTP:cancel"]


def test_retries_of_urllib3(log: SourceLog, stub: Stub) -> None:
    """Attempts that urllib3 makes for requests are counted, each with a record, in one action."""
    with requests.Session() as session:
        session.trust_env = False
        retry = Retry(3, status_forcelist=[429], backoff_factor=0)
        session.mount("http://", HTTPAdapter(max_retries=retry))
        assert session.get(f"{stub.url}/flaky").content == b"fine"
        assert [(r["status"], r["attempt"]) for r in http_records(log)] == [
            (429, 1),
            (429, 2),
            (200, 3),
        ]
        assert log.events == ["HTTP:enter", "HTTP:exit"]
        assert log.one["attempt"] == 3
        with pytest.raises(requests.ConnectionError):
            session.get(f"{stub.url}/drop")
    assert [r["attempt"] for r in http_records(log)[3:]] == [1, 2, 3, 4]
    assert log.ended[1]["event"] == "error"


class ByAiohttp(httpx.AsyncBaseTransport):
    """A transport of httpx as there are some: on top of another library."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with aiohttp.ClientSession() as session, session.get(str(request.url)) as response:
            return httpx.Response(response.status, content=await response.read())


def test_one_library_on_top_of_another(log: SourceLog, stub: Stub) -> None:
    """A request that one library makes by another is one request; those after it count again."""

    async def main() -> None:
        async with httpx.AsyncClient(transport=ByAiohttp()) as client:
            assert (await client.get(f"{stub.url}/ok")).content == b"fine"
        async with aiohttp.ClientSession() as session, session.get(f"{stub.url}/ok") as response:
            await response.read()

    asyncio.run(main())
    assert log.events == ["HTTP:enter", "HTTP:exit"] * 2
    assert len(http_records(log)) == 2


def test_what_inspect_ai_logs_itself(log: SourceLog, stub: Stub) -> None:
    """Where inspect_ai's hooks log an answer, there is the action, and no second record."""

    async def hook(response: httpx.Response) -> None:
        pass

    hook.__module__ = "inspect_ai.model._providers.util.hooks"

    async def main() -> None:
        hooks = {"response": [hook]}
        async with httpx.AsyncClient(event_hooks=hooks, trust_env=False) as client:
            await client.get(f"{stub.url}/ok")
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"{stub.url}/drop")

    asyncio.run(main())
    assert log.events == ["HTTP:enter", "HTTP:exit", "HTTP:enter", "HTTP:error"]
    (record,) = http_records(log)
    assert record["error_type"] == "RemoteProtocolError"


def test_in_threads(log: SourceLog, stub: Stub) -> None:
    """Requests of many threads through one client are told apart."""
    with httpx.Client(trust_env=False) as client:
        threads = [
            threading.Thread(target=client.get, args=(f"{stub.url}/ok/{n}",)) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(r["detail"] for r in log.ended) == [f"GET {stub.url}/ok/{n}" for n in range(8)]
    assert not [r for r in log.records if "parent_id" in r]


def test_off_again(source_log: SourceLog, stub: Stub) -> None:
    """What is off traces nothing, and the classes are what they were."""
    before = [dict(vars(c)) for c in (httpx.Client, aiohttp.ClientSession, HTTPAdapter)]
    instrument.enable("http")
    assert instrument.enabled() == ("httpx", "aiohttp", "requests")
    instrument.disable("http")
    assert before == [dict(vars(c)) for c in (httpx.Client, aiohttp.ClientSession, HTTPAdapter)]
    by_requests(f"{stub.url}/ok")
    assert source_log.events == []


def test_only_the_level_http(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only HTTP and above is traced, there are the records without the actions."""
    monkeypatch.setenv("INSPECT_TRACE_LEVEL", "HTTP")
    with init_tracing(path=tmp_path / "http.log", packages=["inspect_trace.instrument"]) as tracing:
        instrument.enable("http")
        by_requests(f"{stub.url}/ok")
        instrument.disable("http")
        tracing.handler.flush()
        (line,) = tracing.path.read_text().splitlines()
    assert json.loads(line)["level"] == "HTTP"


def shown_by(command: list[str], *arguments: str) -> list[str]:
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    requests: list[dict[str, str]] = json.loads(done.stdout)["requests"]
    return [request["message"] for request in requests]


REFERENCE = [sys.executable, "-c", "from inspect_ai._cli.main import main; main()", "trace"]
OURS = [sys.executable, "-m", "inspect_trace"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="inspect_ai needs Python 3.11")
def test_both_commands_show_them(log: SourceLog, stub: Stub) -> None:
    """`http` and `http --failed`, ours and inspect_ai's, show one line for each request."""
    get = sync(httpx)
    get(f"{stub.url}/ok")
    get(f"{stub.url}/missing")
    by_aiohttp(f"{stub.url}/ok")
    with pytest.raises(requests.ConnectionError):
        by_requests(f"{stub.url}/drop")
    path = str(log.path)
    assert log.records
    shown = shown_by(OURS, "http", "--json", path)
    assert shown == shown_by(REFERENCE, "http", "--json", path)
    assert [line.split()[1].rsplit("/", 1)[1] for line in shown] == ["ok", "missing", "ok", "drop"]
    failed = shown_by(OURS, "http", "--failed", "--json", path)
    assert failed == shown_by(REFERENCE, "http", "--failed", "--json", path)
    assert failed == [shown[1], shown[3]]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://token@h.example/x", "https://REDACTED@h.example/x"),
        ("https://h.example/a@b?c=d@e", "https://h.example/a@b?c=d@e"),
        ("https://h.example/?token=a%20b&n=1", "https://h.example/?token=REDACTED&n=1"),
        ("https://h.example/200 OK", "https://h.example/200%20OK"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    """A URL is shown without its user and its secret parameters, and otherwise as it is."""
    assert shown_url(url) == shown
