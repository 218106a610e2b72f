"""Actions that somebody else traces, inspect_ai above all, while they are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .action import _current

if TYPE_CHECKING:
    from ._core import ActionSpan

_open: Final[dict[int, tuple[ActionSpan, object]]] = {}
"""The kind of each, by the identity of its span, which is kept so that it stays one."""

_SAME: Final = frozenset(
    (
        ("Subprocess", "Subprocess"),
        ("Subprocess", "Docker Compose"),
        ("Model", "Model"),
        ("Log Write", "Log Write"),
    )
)
"""What they call by the first name, and we by the second, is one and the same.

Others, such as a subtask within a subtask, may well be two.
"""


def open_foreign(span: ActionSpan, action: object) -> None:
    """Tells that an action has begun."""
    _open[id(span)] = (span, action)


def close_foreign(span: ActionSpan) -> None:
    """Tells that it has ended."""
    _open.pop(id(span), None)


def is_traced_already(action: str) -> bool:
    """Whether what encloses us right now is the same thing, as somebody else traces it."""
    found = _open.get(id(_current.get()))
    return found is not None and (found[1], action) in _SAME
