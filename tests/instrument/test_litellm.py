"""Calls of models by litellm, which `make test-litellm` installs for this test alone."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from inspect_trace import instrument

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # nothing from the network
litellm: Any = pytest.importorskip("litellm", reason="litellm has `make test-litellm`")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import SourceLog
    from .stub_server import Stub


@pytest.fixture
def log(source_log: SourceLog) -> Iterator[SourceLog]:
    """A log with the sources on."""
    instrument.enable("models")
    yield source_log
    instrument.disable("models")


def options(stub: Stub, model: str = "m", **more: Any) -> dict[str, Any]:
    return {
        "model": f"openai/{model}",
        "api_base": f"{stub.url}/v1",
        "api_key": "sk-hidden",
        "messages": [{"role": "user", "content": "how are you?"}],
        "num_retries": 0,
        **more,
    }


def test_a_call(log: SourceLog, stub: Stub) -> None:
    """A call is one action, in which the SDK beneath has none of its own."""
    assert litellm.completion(**options(stub)).choices[0].message.content == "fine"
    assert log.events == ["Model:enter", "Model:exit"]
    assert log.one["detail"] == "generate (openai/m)"
    assert (log.one["input_tokens"], log.one["output_tokens"]) == (7, 3)


def test_an_async_call(log: SourceLog, stub: Stub) -> None:
    """An asynchronous one, too."""
    asyncio.run(litellm.acompletion(**options(stub)))
    assert log.events == ["Model:enter", "Model:exit"]


def test_streams(log: SourceLog, stub: Stub) -> None:
    """A stream ends the call."""
    stream = litellm.completion(**options(stub, stream=True))
    assert log.events == ["Model:enter"]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "fine"
    assert log.events == ["Model:enter", "Model:exit"]

    async def main() -> None:
        events = await litellm.acompletion(**options(stub, stream=True))
        assert log.events[2:] == ["Model:enter"]
        assert [event async for event in events]

    asyncio.run(main())
    assert log.events[2:] == ["Model:enter", "Model:exit"]


def test_an_error(log: SourceLog, stub: Stub) -> None:
    """An error is an error, with its status."""
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**options(stub, "missing"))
    assert (log.one["event"], log.one["status"]) == ("error", 404)
    assert log.events == ["Model:enter", "Model:error"]
