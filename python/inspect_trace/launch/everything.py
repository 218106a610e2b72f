"""`inspect-trace run --level`: what the program itself logs goes into the trace log, too.

That is `init_tracing`, which wants to be called once logging is set up. The program sets it up yet,
and finds the root logger as it would be without us: we step back for as long as it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inspect_trace.instrument._source import Source
from inspect_trace.setup import Tracing, init_tracing

if TYPE_CHECKING:
    from types import ModuleType

    from inspect_trace.instrument._source import Wrap


class _Everything:
    """Tracing on the root logger, but for the time in which the program sets logging up."""

    def __init__(self, level: str, *, redact: bool | None) -> None:
        self._level = level
        self._redact = redact
        self._tracing: Tracing | None = None
        self._depth = 0
        self._begin()

    def _begin(self) -> None:
        self._tracing = init_tracing(level=self._level, redact=self._redact)

    def patch_logging(self, module: ModuleType, wrap: Wrap) -> None:
        wrap(module, "basicConfig", self._set_up)

    def patch_config(self, module: ModuleType, wrap: Wrap) -> None:
        wrap(module, "dictConfig", self._set_up)
        wrap(module, "fileConfig", self._set_up)

    def _set_up(self, wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tracing, self._tracing = self._tracing, None
        if tracing is None:  # one of them calls the other
            return wrapped(*args, **kwargs)
        tracing.close()
        try:
            return wrapped(*args, **kwargs)
        finally:
            self._begin()


def trace_everything(level: str, *, redact: bool | None) -> None:
    """Traces all records of that level and above, as far as the program's own levels let it."""
    everything = _Everything(level, redact=redact)
    Source(
        "logging",
        {"logging": everything.patch_logging, "logging.config": everything.patch_config},
    ).enable()
