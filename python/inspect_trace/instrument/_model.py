"""A call of a model, until its response, or the stream of it, has ended.

The SDKs of OpenAI and Anthropic are of one make: whatever a program calls comes through one method
of the client, in which the retries are, too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import wrapt

from inspect_trace._report import warn_of_exception
from inspect_trace.action import _outcome
from inspect_trace.levels import TRACE

from ._action import LOGGER, OpenAction
from ._body import watch
from ._frames import hide_our_frames
from ._provider import provider_of
from ._redact import shown
from ._source import Source

if TYPE_CHECKING:
    from types import ModuleType

    from ._source import Wrap

    _Proxy = wrapt.ObjectProxy[Any]
else:
    _Proxy = wrapt.ObjectProxy

MODEL_WIDTH: Final = 200
"""How many characters of a model's name are shown."""

_MAX_JSON_BYTES: Final = 1_000_000
"""The largest body that is looked into for what it says of tokens."""

_VERBS: Final = {
    "/chat/completions": "generate",
    "/completions": "generate",
    "/responses": "generate",
    "/embeddings": "embed",
    "/v1/messages": "generate",
    "/v1/complete": "generate",
}
"""What is a call of a model, by the path that it is posted to."""

_TOKENS: Final = {
    "input_tokens": "input_tokens",
    "prompt_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "completion_tokens": "output_tokens",
}
"""What is told of tokens, by what the providers call it."""

_LAST: Final = frozenset(("message_stop", "response.completed", "response.incomplete"))
"""The events that are the last of a stream."""


_pending: ContextVar[Call | None] = ContextVar("inspect_trace_model", default=None)
"""The call of this context that is not answered yet."""


class Call:
    """A call that is under way."""

    __slots__ = (
        "_action",
        "_fields",
        "_handled_before",
        "_is_answered",
        "_is_complete",
        "_outside",
        "is_stepping",
    )

    def __init__(self, verb: str, provider: str, model: str) -> None:
        self._fields: dict[str, Any] = {}
        self._is_complete = False
        self.is_stepping = False
        self._handled_before = id(sys.exc_info()[1])
        self._action = OpenAction("Model", f"{verb} ({shown(f'{provider}/{model}', MODEL_WIDTH)})")
        self._is_answered = False
        self._outside = _pending.get()
        _pending.set(self)

    @staticmethod
    def is_traced() -> bool:
        """Whether a call that is made now is to be traced: not what a traced call consists of."""
        enclosing = _pending.get()
        if enclosing is not None and not enclosing._is_answered:  # noqa: SLF001
            return False
        return LOGGER.isEnabledFor(TRACE)

    def detach(self) -> None:
        """The response has begun; what happens from here on is no part of it."""
        self._is_answered = True
        if _pending.get() is self:
            _pending.set(self._outside)
        self._outside = None
        self._action.detach()

    def learn_request(self, headers: Any) -> None:
        """Takes the id of the request from the headers of its response."""
        request_id = headers.get("x-request-id") or headers.get("request-id")
        if request_id:
            self._fields["request_id"] = request_id

    def learn(self, said: Any) -> None:
        """Takes what there is to know from a response, or from an event of a stream."""
        try:
            said = _fields_of(said)
            if said.get("type") in _LAST or _is_finished(said.get("choices")):
                self._is_complete = True
            inner = said.get("message") or said.get("response")
            usage = said.get("usage") or _fields_of(inner).get("usage")
            for name, count in _fields_of(usage).items():
                if name in _TOKENS and isinstance(count, int):
                    self._fields[_TOKENS[name]] = count
            request_id = said.get("_request_id")
            if request_id:
                self._fields["request_id"] = request_id
        except Exception as error:
            warn_of_exception("tracing a response of a model", error)

    def stream_closed(self, error: BaseException | None) -> None:
        """The body of a stream has ended, behind the back of who iterates over it."""
        if not self.is_stepping:
            self.ended(None if self._is_complete else error or GeneratorExit())

    def body_closed(self, error: BaseException | None) -> None:
        """The body of a response that the program reads itself has ended."""
        if error is None:
            handled = sys.exc_info()[1]
            if handled is not None and id(handled) != self._handled_before:
                error = handled if _outcome(handled) != "error" else None
        self.ended(error)

    def ended(self, error: BaseException | None = None) -> None:
        """It has ended."""
        if not self._is_answered:
            self.detach()
        for name in ("status_code", "request_id"):
            value = getattr(error, name, None)
            if value is not None:
                self._fields["status" if name == "status_code" else name] = value
        self._action.finish(error, **self._fields)


def _fields_of(said: Any) -> Mapping[str, Any]:
    """The fields of a model of Pydantic, or of a part of a JSON document."""
    if isinstance(said, Mapping):
        return said
    fields: dict[str, Any] = getattr(said, "__dict__", {})
    more: dict[str, Any] | None = getattr(said, "__pydantic_extra__", None)
    return {**fields, **more} if more else fields


def _is_finished(choices: Any) -> bool:
    return bool(choices) and all(_fields_of(choice).get("finish_reason") for choice in choices)


class Events(_Proxy):
    """The iterator of a stream, in whose place it stands."""

    def __init__(self, wrapped: Any, call: Call) -> None:
        super().__init__(wrapped)
        self._self_call = call

    def __iter__(self) -> Events:
        """Itself."""
        return self

    def __aiter__(self) -> Events:
        """Itself."""
        return self

    def __next__(self) -> Any:
        """The next event."""
        call: Call = self._self_call
        call.is_stepping = True
        try:
            event = next(self.__wrapped__)
        except StopIteration:
            call.ended()
            raise
        except BaseException as error:
            call.ended(error)
            raise
        finally:
            call.is_stepping = False
        call.learn(event)
        return event

    async def __anext__(self) -> Any:
        """The next event."""
        call: Call = self._self_call
        call.is_stepping = True
        try:
            event = await self.__wrapped__.__anext__()
        except StopAsyncIteration:
            call.ended()
            raise
        except BaseException as error:
            call.ended(error)
            raise
        finally:
            call.is_stepping = False
        call.learn(event)
        return event

    def __del__(self) -> None:
        """The stream is dropped, read or not."""
        call: Call | None = getattr(self, "_self_call", None)
        if call is not None and not sys.is_finalizing():
            call.stream_closed(None)


class Sdk:
    """An SDK, whose calls are traced.

    Args:
        name: Its name, and that of its package.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = Source(name, {name: self._patch})
        self._streams: tuple[type, ...] = ()

    def _patch(self, module: ModuleType, wrap: Wrap) -> None:
        self._streams = (module.Stream, module.AsyncStream)
        wrap(module, "_base_client.SyncAPIClient.request", self._request)
        wrap(module, "_base_client.AsyncAPIClient.request", self._request_async)

    def _begin(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        try:
            if not Call.is_traced():
                return None
            options = args[1] if len(args) > 1 else kwargs["options"]
            verb = _VERBS.get(options.url.partition("?")[0].rstrip("/"))
            if verb is None or options.method.lower() != "post":
                return None
            asked = options.json_data
            model = asked.get("model") if isinstance(asked, Mapping) else None
            return Call(verb, provider_of(self.name, client), str(model or "unknown"))
        except Exception as error:
            warn_of_exception("tracing a call of a model", error)
            return None

    def _request(
        self, wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = self._begin(client, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            call.ended(error)
            hide_our_frames(error)
            raise
        self._answered(call, result)
        return result

    async def _request_async(
        self, wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = self._begin(client, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.ended(error)
            hide_our_frames(error)
            raise
        self._answered(call, result)
        return result

    def _answered(self, call: Call, result: Any) -> None:
        call.detach()
        try:
            if isinstance(result, self._streams):
                stream: Any = result
                call.learn_request(stream.response.headers)
                stream._iterator = Events(stream._iterator, call)  # noqa: SLF001
                watch(stream.response, call.stream_closed)
                return
            response = getattr(result, "http_response", None)
            if response is None:
                call.learn(result)
            else:
                call.learn_request(response.headers)
                if not response.is_closed:
                    watch(response, call.body_closed)
                    return
                if len(response.content) <= _MAX_JSON_BYTES:
                    call.learn(_json_of(response.content))
        except Exception as error:
            warn_of_exception("tracing a response of a model", error)
        call.ended()


def _json_of(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return {}
