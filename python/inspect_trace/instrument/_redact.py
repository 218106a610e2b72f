"""Takes secrets out of what a source writes."""

from __future__ import annotations

from inspect_trace.redaction import redact


def shown(text: str, width: int) -> str:
    """The text without its secrets, cut at a width.

    What is left of a secret that the cut would go through could not be told from other text any
    more, so the cut comes last.
    """
    text = redact(text)
    return text if len(text) <= width else text[: width - 3] + "..."
