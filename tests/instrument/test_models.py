"""Calls of models by the SDKs of OpenAI and Anthropic, to a server that speaks like theirs."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from conftest import DEADLINE_S
from inspect_trace import instrument, trace_action
from inspect_trace.instrument import _action
from inspect_trace.instrument._provider import provider_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import SourceLog
    from .stub_server import Stub

KEY = "sk-hidden-0123456789abcdef0123456789"


@pytest.fixture
def log(source_log: SourceLog) -> Iterator[SourceLog]:
    """A log with the sources on."""
    instrument.enable("models")
    yield source_log
    instrument.disable("models")


def options(stub: Stub) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": stub.url, "timeout": 30}


def client_of(stub: Stub, provider: str, **more: Any) -> Any:
    if provider == "openai":
        return openai.OpenAI(**options(stub) | {"base_url": f"{stub.url}/v1"} | more)
    return anthropic.Anthropic(**options(stub) | more)


def async_client_of(stub: Stub, provider: str, **more: Any) -> Any:
    if provider == "openai":
        return openai.AsyncOpenAI(**options(stub) | {"base_url": f"{stub.url}/v1"} | more)
    return anthropic.AsyncAnthropic(**options(stub) | more)


TALK: Any = [{"role": "user", "content": "how are you?"}]

CREATE: dict[str, Callable[..., Any]] = {
    "openai": lambda client, model, **more: client.chat.completions.create(
        model=model, messages=TALK, **more
    ),
    "anthropic": lambda client, model, **more: client.messages.create(
        model=model, messages=TALK, max_tokens=9, **more
    ),
}
PROVIDERS = sorted(CREATE)

CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "chat": ("openai", lambda c: CREATE["openai"](c, "m")),
    "chat-raw": (
        "openai",
        lambda c: c.chat.completions.with_raw_response.create(model="m", messages=TALK),
    ),
    "responses": ("openai", lambda c: c.responses.create(model="m", input="how are you?")),
    "embeddings": ("openai", lambda c: c.embeddings.create(model="m", input="how are you?")),
    "messages": ("anthropic", lambda c: CREATE["anthropic"](c, "m")),
    "messages-raw": (
        "anthropic",
        lambda c: c.messages.with_raw_response.create(model="m", messages=TALK, max_tokens=9),
    ),
    "messages-beta": (
        "anthropic",
        lambda c: c.beta.messages.create(model="m", messages=TALK, max_tokens=9),
    ),
}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call(log: SourceLog, stub: Stub, name: str, is_async: bool) -> None:
    """A call is one action, with what the response tells of it, and without the key."""
    provider, call = CALLS[name]
    if is_async:

        async def main() -> None:
            async with async_client_of(stub, provider) as client:
                await call(client)

        asyncio.run(main())
    else:
        with client_of(stub, provider) as client:
            call(client)
    assert log.events == ["Model:enter", "Model:exit"]
    verb = "embed" if name == "embeddings" else "generate"
    assert log.one["detail"] == f"{verb} (127.0.0.1:{stub.server_port}/m)"
    assert log.one["request_id"] == "req-1"
    assert log.one["input_tokens"] == 7
    assert log.one.get("output_tokens") == (None if name == "embeddings" else 3)
    assert KEY not in json.dumps(log.records)


def test_other_requests_are_no_calls(log: SourceLog, stub: Stub) -> None:
    """What an SDK asks for beside the answers of models is not traced."""
    with client_of(stub, "openai") as client:
        client.models.retrieve("m")
    assert log.events == []


def chat_stream(client: Any, model: str) -> Any:
    return CREATE["openai"](client, model, stream=True)


def message_stream(client: Any, model: str) -> Any:
    return CREATE["anthropic"](client, model, stream=True)


STREAMS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "chat": ("openai", chat_stream),
    "responses": (
        "openai",
        lambda c, model: c.responses.create(model=model, input="how?", stream=True),
    ),
    "messages": ("anthropic", message_stream),
}
HELPERS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "chat-helper": (
        "openai",
        lambda c, model: c.chat.completions.stream(model=model, messages=TALK),
    ),
    "responses-helper": ("openai", lambda c, model: c.responses.stream(model=model, input="how?")),
    "messages-helper": (
        "anthropic",
        lambda c, model: c.messages.stream(model=model, messages=TALK, max_tokens=9),
    ),
}


@contextmanager
def opened(stream: Any) -> Iterator[Any]:
    """A stream, or what a helper makes of one."""
    with stream as events:
        yield events


@pytest.mark.parametrize("name", [*STREAMS, *HELPERS])
def test_a_stream(log: SourceLog, stub: Stub, name: str) -> None:
    """A call whose answer is streamed ends with the stream, and tells what its events told."""
    provider, call = (STREAMS | HELPERS)[name]
    with client_of(stub, provider) as client:
        with opened(call(client, "m")) as events:
            assert log.events == ["Model:enter"]
            assert len(list(events)) >= 2
            assert log.events == ["Model:enter", "Model:exit"]
    told = {key: log.one[key] for key in ("input_tokens", "output_tokens", "request_id")}
    assert told == {"input_tokens": 7, "output_tokens": 3, "request_id": "req-1"}


@pytest.mark.parametrize("name", [*STREAMS, *HELPERS])
def test_an_async_stream(log: SourceLog, stub: Stub, name: str) -> None:
    """The same for the asynchronous clients."""
    provider, call = (STREAMS | HELPERS)[name]

    async def main() -> None:
        async with async_client_of(stub, provider) as client:
            stream = call(client, "m")
            if hasattr(stream, "__await__"):
                stream = await stream
            async with stream as events:
                assert log.events == ["Model:enter"]
                assert len([event async for event in events]) >= 2
                assert log.events == ["Model:enter", "Model:exit"]

    asyncio.run(main())
    assert (log.one["input_tokens"], log.one["output_tokens"]) == (7, 3)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("how", ["closed", "dropped", "unread", "finished"])
def test_a_stream_that_is_not_read(log: SourceLog, stub: Stub, name: str, how: str) -> None:
    """A stream that is closed or dropped before its last event was cancelled."""
    provider, call = STREAMS[name]
    with client_of(stub, provider) as client:
        stream = call(client, "m")
        if how == "finished":
            last = {"chat": 3, "responses": 2, "messages": 6}[name]
            for _ in range(last):
                next(stream)
        elif how != "unread":
            next(stream)
        assert log.events == ["Model:enter"]
        if how in ("closed", "finished"):
            stream.close()
        del stream
        gc.collect()
        assert log.events == ["Model:enter", "Model:exit" if how == "finished" else "Model:cancel"]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("what", ["stream-drop", "stream-error"])
def test_a_stream_that_breaks(log: SourceLog, stub: Stub, name: str, what: str) -> None:
    """A stream that the server breaks off, or ends by an error, is an error."""
    provider, call = STREAMS[name]
    with client_of(stub, provider, max_retries=0) as client:
        with pytest.raises(Exception) as raised:  # noqa: PT011
            list(call(client, what))
    assert log.events == ["Model:enter", "Model:error"]
    assert log.one["error_type"] == type(raised.value).__name__


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cancelled(log: SourceLog, stub: Stub, name: str) -> None:
    """A stream that hangs is running, and a cancellation once its task is cancelled."""
    provider, call = STREAMS[name]

    async def read(client: Any) -> None:
        async for _ in await call(client, "stream-hang"):
            pass

    async def main() -> None:
        async with async_client_of(stub, provider) as client:
            task = asyncio.create_task(read(client))
            assert await asyncio.to_thread(stub.hanging.acquire, timeout=DEADLINE_S)
            assert log.events == ["Model:enter"]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert log.events == ["Model:enter", "Model:cancel"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_streaming_response(log: SourceLog, stub: Stub, provider: str) -> None:
    """A response whose body the program reads itself ends the call when it is read or closed."""
    with client_of(stub, provider) as client:
        resource = client.chat.completions if provider == "openai" else client.messages
        call = resource.with_streaming_response.create
        more = {} if provider == "openai" else {"max_tokens": 9}
        with call(model="m", messages=TALK, **more) as response:
            assert log.events == ["Model:enter"]
            response.read()
            assert log.events == ["Model:enter", "Model:exit"]
        with call(model="m", messages=TALK, **more):
            assert log.events[2:] == ["Model:enter"]
        assert log.events[2:] == ["Model:enter", "Model:exit"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_retries_are_within_a_call(log: SourceLog, stub: Stub, provider: str) -> None:
    """A call that the SDK repeats is one action, and its requests count as attempts within it."""
    instrument.enable("http")
    with client_of(stub, provider, max_retries=2) as client:
        CREATE[provider](client, "flaky")
    assert [event for event in log.events if event.startswith("Model")] == [
        "Model:enter",
        "Model:exit",
    ]
    requests = [record for record in log.records if record["level"] == "HTTP"]
    assert [(r["status"], r["attempt"]) for r in requests] == [(429, 1), (429, 2), (200, 3)]
    model, *inner = [r for r in log.records if r.get("event") == "enter"]
    assert [r["parent_id"] for r in inner] == [model["trace_id"]] * 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_errors(log: SourceLog, stub: Stub, provider: str) -> None:
    """A status that the SDK raises for is an error with status; a lost connection one without."""
    with client_of(stub, provider, max_retries=0) as client:
        with pytest.raises(Exception) as raised:  # noqa: PT011
            CREATE[provider](client, "missing")
        assert type(raised.value).__name__ == "NotFoundError"
        with pytest.raises(Exception) as raised:  # noqa: PT011
            CREATE[provider](client, "drop")
        assert type(raised.value).__name__ == "APIConnectionError"
    missing, dropped = log.ended
    assert (missing["event"], missing["status"], missing["request_id"]) == ("error", 404, "req-1")
    assert (dropped["event"], dropped["error_type"]) == ("error", "APIConnectionError")
    assert "status" not in dropped


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_timeout(log: SourceLog, stub: Stub, provider: str) -> None:
    """The SDK's timeout is a timeout."""
    with client_of(stub, provider, max_retries=0, timeout=0.2) as client:
        with pytest.raises(Exception) as raised:  # noqa: PT011
            CREATE[provider](client, "hang")
    assert type(raised.value).__name__ == "APITimeoutError"
    assert log.events == ["Model:enter", "Model:timeout"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_hung_server(log: SourceLog, stub: Stub, provider: str) -> None:
    """While a server hangs the call is running with the request in it; cancelling ends both."""
    instrument.enable("http")

    async def main() -> None:
        async with async_client_of(stub, provider) as client:
            task = asyncio.create_task(CREATE[provider](client, "hang"))
            assert await asyncio.to_thread(stub.hanging.acquire, timeout=DEADLINE_S)
            model, request = log.records
            assert (model["action"], request["action"]) == ("Model", "HTTP")
            assert request["parent_id"] == model["trace_id"]
            assert log.ended == []
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert log.events == ["Model:enter", "HTTP:enter", "HTTP:cancel", "Model:cancel"]


def test_a_call_within_an_action(log: SourceLog, stub: Stub) -> None:
    """A call belongs to the action in which it was made; what comes while it streams does not."""
    with client_of(stub, "openai") as client, trace_action(_action.LOGGER, "Outer", "out"):
        for _ in chat_stream(client, "m"):
            with trace_action(_action.LOGGER, "Inner", "in"):
                pass
    outer, model, *inner = [r for r in log.records if r.get("event") == "enter"]
    assert model["parent_id"] == outer["trace_id"]
    assert {r["parent_id"] for r in inner} == {outer["trace_id"]}


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://notopenai.com/v1", "notopenai"),
        ("https://x.openai.azure.com/openai", "azure"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "bedrock"),
        ("https://us-east5-aiplatform.googleapis.com/v1", "vertex"),
        ("https://models.example.co.uk/v1", "example"),
        ("http://localhost:11434/v1", "localhost:11434"),
        ("http://10.0.0.1/v1", "10.0.0.1"),
        ("http://[::1]:8000/v1", "::1:8000"),
    ],
)
def test_providers(base_url: str, provider: str) -> None:
    """The provider is told by the host; the SDK's own is the SDK's."""
    with openai.OpenAI(api_key=KEY, base_url=base_url) as client:
        assert provider_of("openai", client) == provider


def test_off_again(source_log: SourceLog, stub: Stub) -> None:
    """What is off traces nothing."""
    instrument.enable("models")
    assert instrument.enabled() == ("openai", "anthropic", "litellm")
    instrument.disable("models")
    for provider in PROVIDERS:
        with client_of(stub, provider) as client:
            CREATE[provider](client, "m")
    assert source_log.events == []
