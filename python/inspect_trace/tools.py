"""`traced_tool` and `traced_subtask`: decorators for what an agent calls, and what it sets off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._core import trace_action
from .action import _decorated
from .instrument._action import LOGGER
from .instrument._call import FormattedCall, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["traced_subtask", "traced_tool"]

_Function = TypeVar("_Function", bound="Callable[..., Any]")


@overload
def traced_tool(function: _Function, /) -> _Function: ...
@overload
def traced_tool(*, name: str | None = None) -> Callable[[_Function], _Function]: ...
def traced_tool(function: Any = None, /, *, name: str | None = None) -> Any:
    """Decorates a tool: each call is an action `Tool Call`, as inspect_ai traces those of a model.

    The detail is the call, `search(query='cats', limit=3)`, without the secrets that are known as
    such and cut after 1,000 characters. For functions, coroutine functions, generator functions,
    async generator functions and methods; with and without parentheses.

    Args:
        function: The tool.
        name: What it is called in the log; by default what the function is called.

    Returns:
        A function of the same kind.
    """
    return _traced("Tool Call", function, name)


@overload
def traced_subtask(function: _Function, /) -> _Function: ...
@overload
def traced_subtask(*, name: str | None = None) -> Callable[[_Function], _Function]: ...
def traced_subtask(function: Any = None, /, *, name: str | None = None) -> Any:
    """Decorates a piece of work of its own: each call is an action `Subtask`.

    Otherwise as `traced_tool`.

    Args:
        function: The function that does it.
        name: What it is called in the log; by default what the function is called.

    Returns:
        A function of the same kind.
    """
    return _traced("Subtask", function, name)


def _traced(action: str, function: Any, name: str | None) -> Any:
    def decorate(function: Any) -> Any:
        # A static or class method, which tells what it is of its function.
        inner = getattr(function, "__func__", function)
        called = name or str(getattr(inner, "__name__", type(inner).__name__))
        parameters = parameters_of(inner)

        def of_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> trace_action:
            call = FormattedCall(called, parameters, args, kwargs)
            return trace_action(LOGGER, action, "%s", call)

        return _decorated(None, function, of_call)

    return decorate if function is None else decorate(function)
