"""How sources wrap and unwrap, on a library of the test's own, and how actions of theirs end."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from conftest import records_of
from inspect_trace import init_tracing, instrument, trace_action
from inspect_trace.instrument import _action
from inspect_trace.instrument._action import OpenAction
from inspect_trace.instrument._source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

LIBRARY = """
class Base:
    def inherited(self):
        return "inherited"
class Client(Base):
    def call(self, x):
        return x
    @staticmethod
    def static(x):
        return x
def function(x):
    return x
"""


class Traced:
    """A source for the library, and what went through it."""

    def __init__(self, name: str) -> None:
        self.seen: list[Any] = []
        self.source = Source("library", {name: self.patch})

    def patch(self, module: ModuleType, wrap: Any) -> None:
        for path in ("function", "Client.call", "Client.static", "Client.inherited"):
            wrap(module, path, self.wrapper)

    def wrapper(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        self.seen.append(args)
        return wrapped(*args, **kwargs)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that can be imported, and is not yet."""
    name = f"library_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def use(module: Any) -> None:
    client = module.Client()
    assert module.function(1) == 1
    assert client.call(2) == 2
    assert module.Client.static(3) == 3
    assert client.static(4) == 4
    assert client.inherited() == "inherited"


@pytest.mark.parametrize("imported_first", [True, False])
def test_on_and_off(library: str, imported_first: bool) -> None:
    """What is on traces, imported before or after; switched off, all is what it was."""
    traced = Traced(library)
    if not imported_first:
        traced.source.enable()
        assert library not in sys.modules
    module: Any = importlib.import_module(library)
    if imported_first:
        before = {name: dict(vars(module.Client)) for name in ("Client",)}, module.function
        traced.source.enable()
    traced.source.enable()
    use(module)
    assert traced.seen == [(1,), (2,), (3,), (4,), ()]
    traced.source.disable()
    traced.source.disable()
    use(module)
    assert len(traced.seen) == 5
    if imported_first:
        assert before == ({"Client": dict(vars(module.Client))}, module.function)
    traced.source.enable()
    use(module)
    assert len(traced.seen) == 10
    traced.source.disable()


def test_what_others_have_wrapped_stays(library: str) -> None:
    """A function that somebody has wrapped after us stays so, and is traced no more."""
    module: Any = importlib.import_module(library)
    traced = Traced(library)
    traced.source.enable()
    ours = module.function

    def theirs(x: int) -> Any:
        return ours(x)

    module.function = theirs
    traced.source.disable()
    assert module.function is theirs
    use(module)
    assert traced.seen == []
    traced.source.enable()
    assert module.function(1) == 1
    assert traced.seen == [(1,)]
    traced.source.disable()


def test_an_unknown_version(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A library that lacks what is to be wrapped is left alone as a whole, with one line."""

    def patch(module: ModuleType, wrap: Any) -> None:
        wrap(module, "function", Traced(library).wrapper)
        wrap(module, "Client.gone", Traced(library).wrapper)

    source = Source("library", {library: patch})
    source.enable()
    module: Any = importlib.import_module(library)
    assert "inspect_trace" not in repr(vars(module)["function"])
    assert vars(module)["function"].__class__.__module__ == "builtins"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert library in lines[0]
    assert "gone" in lines[0]
    use(module)


def test_unknown_names() -> None:
    """A source that does not exist is an error that says which there are."""
    with pytest.raises(ValueError, match="no source 'nonsense'"):
        instrument.enable("nonsense")
    with pytest.raises(ValueError, match="no source 'nonsense'"):
        instrument.disable("nonsense")


def test_an_action_that_ends_elsewhere(tmp_path: Path) -> None:
    """An action may end in another thread, once, and what it says then is in its last record."""
    with init_tracing(path=tmp_path / "x.log") as tracing:
        action = OpenAction("Thing", "one", size=1)
        with trace_action(_action.LOGGER, "Inner", "in"):
            pass
        action.detach()
        with trace_action(_action.LOGGER, "Outer", "out"):
            pass
        thread = threading.Thread(target=action.finish, kwargs={"status": 5})
        thread.start()
        thread.join()
        action.finish(ValueError("again"))
        assert not action.is_open
    records = records_of(tracing.path)
    enter, inner, _, outer, _, last = records
    assert inner["parent_id"] == enter["trace_id"]
    assert "parent_id" not in outer
    assert (enter["event"], enter["size"], enter.get("status")) == ("enter", 1, None)
    assert (last["event"], last["size"], last["status"]) == ("exit", 1, 5)
    assert last["trace_id"] == enter["trace_id"]


def test_an_action_across_tasks(tmp_path: Path) -> None:
    """An action that is detached in a task and ends in another leaves both contexts alone."""

    async def main() -> None:
        action = OpenAction("Thing", "one")
        action.detach()

        async def end() -> None:
            action.finish(TimeoutError())

        await asyncio.create_task(end())

    with init_tracing(path=tmp_path / "x.log") as tracing:
        asyncio.run(main())
    assert [record["event"] for record in records_of(tracing.path)] == ["enter", "timeout"]


def test_packages_include_the_sources(tmp_path: Path) -> None:
    """What the sources trace gets into the log also where only some packages are traced."""
    with init_tracing(path=tmp_path / "x.log", packages=["mine"]) as tracing:
        OpenAction("Thing", "one").finish()
    assert [record["event"] for record in records_of(tracing.path)] == ["enter", "exit"]
