"""`trace_context`: what every record says that is written while something is at work."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, final

from . import _core

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

_context: ContextVar[_core.ContextFields | None] = ContextVar("inspect_trace_context", default=None)
_core.know_context(_context)


@final
class trace_context:  # noqa: N801 (used like a function)
    """Adds fields to every record that is traced inside, of whatever logger and level.

        with trace_context(task="arithmetic", sample_id="s-12", epoch=1):
            ...

    The fields stand at the end of each line; `--task` and `--sample` of the commands select by
    `task` and `sample_id`. They go along with the context, so into tasks and into threads that run
    in a copy of it. An inner context adds to the outer one, and replaces fields of the same name.
    What a record says itself (`extra=`, a filter that sets attributes) comes before what its
    context says. Costs next to nothing, other than a filter: a value becomes JSON once, here.

    Args:
        **fields: Their values: what JSON knows, and `str` of anything else, as it is now.

    Raises:
        ValueError: A name is one that records have for themselves, such as `message`.
    """

    __slots__ = ("_fields", "_outer", "_token")

    def __init__(self, **fields: object) -> None:
        self._fields = _core.ContextFields(fields)
        self._outer: list[_core.ContextFields | None] = []
        self._token: list[Token[_core.ContextFields | None]] = []

    def __enter__(self) -> None:
        """Begins the context."""
        outer = _context.get()
        fields = self._fields if outer is None else outer.with_fields(self._fields)
        self._outer.append(outer)
        self._token.append(_context.set(fields))

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the context."""
        outer, token = self._outer.pop(), self._token.pop()
        try:
            _context.reset(token)
        except ValueError:  # it ends in another context, as a generator's may
            _context.set(outer)
