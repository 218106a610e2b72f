"""Takes secrets out of what a source writes: the one place where the sources get it from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import inspect_trace

if TYPE_CHECKING:
    from collections.abc import Callable


def redacted(text: str) -> str:
    """The text without the secrets in it."""
    # Until the core's own is there.
    redact: Callable[[str], str] | None = getattr(inspect_trace, "redact", None)
    return text if redact is None else redact(text)


def shown(text: str, width: int) -> str:
    """The text without its secrets, cut at a width.

    What is left of a secret that the cut would go through could not be told from other text any
    more, so the cut comes last.
    """
    text = redacted(text)
    return text if len(text) <= width else text[: width - 3] + "..."
