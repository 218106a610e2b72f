"""How a call is shown: `name(a=1, b='...')`, on one line, whatever its arguments are."""

from __future__ import annotations

import inspect
import reprlib
from typing import TYPE_CHECKING, Any, Final

from ._redact import shown

if TYPE_CHECKING:
    from collections.abc import Callable

CALL_WIDTH: Final = 1000
"""How many characters of a call are shown."""


class _Repr(reprlib.Repr):
    """Looks no further into a value than can be shown of it, and survives what can't be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxstring = self.maxother = self.maxlong = CALL_WIDTH
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 50
        self.maxdeque = self.maxarray = 50

    def repr1(self, x: Any, level: int) -> str:
        """The value, or its type where its `repr` raises."""
        try:
            return " ".join(super().repr1(x, level).split("\n"))
        except Exception:
            return f"<unprintable {type(x).__name__} object>"


_repr: Final = _Repr()


class FormattedCall:
    """A call, which is only formatted where it is traced: as its text.

    Args:
        name: What is called.
        parameters: The parameters of the function, or None if it does not tell them.
        args: The positional arguments.
        kwargs: The named ones.
    """

    __slots__ = ("_args", "_kwargs", "_name", "_parameters")

    def __init__(
        self,
        name: str,
        parameters: inspect.Signature | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._name = name
        self._parameters = parameters
        self._args = args
        self._kwargs = kwargs

    def __str__(self) -> str:
        """The call."""
        arguments = [
            text if name is None else f"{name}={text}"
            for name, text in ((name, _repr.repr(value)) for name, value in self._arguments())
        ]
        return shown(f"{self._name}({', '.join(arguments)})", CALL_WIDTH)

    def _arguments(self) -> list[tuple[str | None, Any]]:
        by_position = [
            parameter
            for parameter in (
                () if self._parameters is None else self._parameters.parameters.values()
            )
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        found: list[tuple[str | None, Any]] = []
        for index, value in enumerate(self._args):
            name = by_position[index].name if index < len(by_position) else None
            if index > 0 or name not in ("self", "cls"):
                found.append((name, value))
        found.extend(self._kwargs.items())
        return found


def parameters_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """The parameters of a function, if it tells them."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some that are built in
        return None
