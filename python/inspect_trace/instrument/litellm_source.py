"""Traces the calls of models by litellm, whatever it makes them by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from inspect_trace._report import warn_of_exception

from ._frames import hide_our_frames
from ._model import Call, Events
from ._source import Source

if TYPE_CHECKING:
    from types import ModuleType

    from ._source import Wrap

_VERBS: Final = {"completion": "generate", "text_completion": "generate", "embedding": "embed"}


class _Litellm:
    """The package, whose functions are traced."""

    def __init__(self) -> None:
        self.source = Source("litellm", {"litellm": self._patch})
        self._module: Any = None

    def _patch(self, module: ModuleType, wrap: Wrap) -> None:
        self._module = module
        for name in _VERBS:
            wrap(module, name, self._call)
            wrap(module, f"a{name}", self._call_async)

    def _begin(self, wrapped: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        try:
            if not Call.is_traced():
                return None
            model = str(args[0] if args else kwargs.get("model"))
            verb = _VERBS[wrapped.__name__.removeprefix("a")]
            return Call(verb, *self._provider_and_model(model, kwargs))
        except Exception as error:
            warn_of_exception("tracing a call of a model", error)
            return None

    def _provider_and_model(self, model: str, kwargs: dict[str, Any]) -> tuple[str, str]:
        provider, slash, name = model.partition("/")
        if slash:
            return provider, name
        try:
            found = self._module.get_llm_provider(
                model, kwargs.get("custom_llm_provider"), kwargs.get("api_base")
            )
            return str(found[1]), model
        except Exception:  # it knows none, which the call itself will tell
            return "litellm", model

    def _call(self, wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = self._begin(wrapped, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            call.ended(error)
            hide_our_frames(error)
            raise
        return _answered(call, result)

    async def _call_async(
        self, wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = self._begin(wrapped, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.ended(error)
            hide_our_frames(error)
            raise
        return _answered(call, result)


def _answered(call: Call, result: Any) -> Any:
    call.detach()
    if hasattr(result, "__next__") or hasattr(result, "__anext__"):
        return Events(result, call)
    call.learn(result)
    call.ended()
    return result


SOURCE: Final = _Litellm().source
