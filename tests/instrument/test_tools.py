"""`traced_tool` and `traced_subtask`: functions of every kind, their arguments, their types."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspect_trace import traced_subtask, traced_tool
from inspect_trace.instrument._call import CALL_WIDTH, FormattedCall

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from .conftest import SourceLog


def test_functions_of_every_kind(source_log: SourceLog) -> None:
    """Each call is one action, and the function stays of its kind."""

    @traced_tool
    def plain(a: int, b: str = "x") -> int:
        return a

    @traced_tool()
    async def coroutine(a: int, *rest: int, **named: int) -> int:
        return a

    @traced_subtask
    def generator(n: int) -> Generator[int, None, None]:
        yield from range(n)

    @traced_subtask(name="renamed")
    async def async_generator(n: int) -> AsyncGenerator[int, None]:
        for i in range(n):
            yield i

    async def main() -> list[int]:
        return [await coroutine(1, 2, 3, k=4), *[i async for i in async_generator(n=2)]]

    assert plain(1, b="it's") == 1
    assert asyncio.run(main()) == [1, 0, 1]
    assert list(generator(2)) == [0, 1]
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert plain.__name__ == "plain"
    assert [(r["action"], r["detail"], r["event"]) for r in source_log.ended] == [
        ("Tool Call", 'plain(a=1, b="it\'s")', "exit"),
        ("Tool Call", "coroutine(a=1, 2, 3, k=4)", "exit"),
        ("Subtask", "renamed(n=2)", "exit"),
        ("Subtask", "generator(n=2)", "exit"),
    ]


def test_methods(source_log: SourceLog) -> None:
    """Methods of every kind are traced, without the object that they are called on."""

    class Tools:
        @traced_tool
        def method(self, a: int) -> int:
            return a

        @traced_tool
        @staticmethod
        def static(a: int) -> int:
            return a

        @traced_tool(name="made")
        @classmethod
        def of_class(cls, a: int) -> int:
            return a

    assert (Tools().method(1), Tools.static(2), Tools.of_class(3)) == (1, 2, 3)
    details = [r["detail"] for r in source_log.ended]
    assert details == ["method(a=1)", "static(a=2)", "made(a=3)"]


def test_outcomes(source_log: SourceLog) -> None:
    """A call that raises is an error, one that times out a timeout; the exception is unchanged."""

    @traced_tool
    def fails(error: BaseException) -> None:
        raise error

    for error in (ValueError("v"), TimeoutError(), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised:
            fails(error)
        assert raised.value is error
    assert [r["event"] for r in source_log.ended] == ["error", "timeout", "cancel"]


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_arguments_that_cannot_be_shown(source_log: SourceLog) -> None:
    """A `repr` that fails, or is huge, or has many lines, costs the call nothing."""

    @traced_tool
    def tool(a: Any, *rest: Any) -> str:
        return "done"

    cycle: list[Any] = []
    cycle.append(cycle)
    lines = type("Lines", (), {"__repr__": lambda self: "one\ntwo"})()
    for argument in (Unprintable(), [Unprintable()], "x" * 10**7, cycle, lines):
        assert tool(argument) == "done"
    details = [r["detail"] for r in source_log.ended]
    assert len(details) == 5
    assert all(detail.startswith("tool(a=") for detail in details)
    assert "Unprintable" in details[0]
    assert len(details[2]) == CALL_WIDTH
    assert details[4] == "tool(a=one two)"


def test_wrong_arguments(source_log: SourceLog) -> None:
    """A call with wrong arguments raises what it raises, and is shown as it was made."""

    @traced_tool
    def tool(a: int) -> None: ...

    with pytest.raises(TypeError, match="positional argument"):
        tool(1, 2)  # type: ignore[call-arg]
    assert source_log.one["detail"] == "tool(a=1, 2)"


def test_not_formatted_without_tracing() -> None:
    """Where nothing is traced the arguments are not looked at."""
    looked = []

    class Told:
        def __repr__(self) -> str:
            looked.append(self)
            return "told"

    @traced_tool
    def tool(a: Told) -> int:
        return 1

    assert not logging.getLogger("inspect_trace.instrument").isEnabledFor(13)
    assert tool(Told()) == 1
    assert looked == []


VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.builds(Unprintable),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(VALUES), st.dictionaries(st.text(), VALUES))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_call_is_a_line(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Whatever the arguments are, a call is shown in one go, within its width."""
    text = str(FormattedCall("f", None, tuple(args), kwargs))
    assert text.startswith("f(")
    assert len(text) <= CALL_WIDTH


def test_types() -> None:
    """To a type checker the function stays what it is (`make lint` checks these lines)."""

    @traced_tool
    def one(a: int) -> str:
        return str(a)

    @traced_subtask(name="n")
    async def two(a: int) -> str:
        return str(a)

    first: str = one(1)
    second: str = asyncio.run(two(2))
    assert (first, second) == ("1", "2")
