"""Ready-made sources: traces what libraries do, without a change to the program.

    from inspect_trace import init_tracing, instrument

    init_tracing()
    instrument.enable()  # all sources, or some by name: enable("subprocess", "http")

A source traces from then on, also in modules that are imported later, and never imports one itself.
It is safe where its library is absent, or is of a version that it does not know: then one line on
stderr says so, and the program runs untraced. `inspect-trace run` does this for a program as it is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._source import Source

__all__ = ["GROUPS", "SOURCES", "disable", "enable", "enabled"]

SOURCES: Final[tuple[str, ...]] = (
    "subprocess",
    "asyncio_tasks",
    "httpx",
    "aiohttp",
    "requests",
    "openai",
    "anthropic",
    "litellm",
    "fsspec",
    "boto3",
    "obstore",
)
"""The names of the sources."""

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "http": ("httpx", "aiohttp", "requests"),
    "models": ("openai", "anthropic", "litellm"),
    "remote_writes": ("fsspec", "boto3", "obstore"),
}
"""Names for several sources at once."""

_LOADED: dict[str, Source] = {}


def enable(*names: str) -> None:
    """Switches sources on. What is on already stays on.

    Args:
        *names: Sources or groups of them; none means all but those that are for asking only
            (`asyncio_tasks`).

    Raises:
        ValueError: There is no such source.
    """
    for source in _chosen(names):
        if names or not source.is_opt_in:
            source.enable()


def disable(*names: str) -> None:
    """Switches sources off, and puts back what they have wrapped. What is off already stays off.

    Args:
        *names: Sources or groups of them; none means all.

    Raises:
        ValueError: There is no such source.
    """
    for source in _chosen(names) if names else list(_LOADED.values()):
        source.disable()


def enabled() -> tuple[str, ...]:
    """The names of the sources that are on."""
    return tuple(name for name in SOURCES if name in _LOADED and _LOADED[name].is_enabled)


def _chosen(names: Iterable[str]) -> list[Source]:
    """The sources of these names; all, if there are none."""
    chosen: dict[str, None] = {}
    for name in names or SOURCES:
        members = GROUPS.get(name, (name,))
        unknown = [member for member in members if member not in SOURCES]
        if unknown:
            known = ", ".join((*GROUPS, *SOURCES))
            raise ValueError(f"no source {unknown[0]!r} to trace (there are: {known})")
        chosen.update(dict.fromkeys(members))
    return [_load(name) for name in chosen]


def _load(name: str) -> Source:
    if name not in _LOADED:
        module = importlib.import_module(f"{__name__}.{name}_source")
        source: Source = module.SOURCE
        _LOADED[name] = source
    return _LOADED[name]
