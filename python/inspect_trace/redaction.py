"""`redact`: texts without the secrets in them."""

from __future__ import annotations

from . import _core


def redact(text: str) -> str:
    """Takes secrets out of a text: each becomes `REDACTED`, and all around it stays.

    A secret is told by the name before it (`api_key=`, `?X-Amz-Signature=`, `Authorization:`,
    `--password`, `"token": "..."`, `user:...@host` in a URL) or by the shape that its issuer gives
    it (`sk-...`, `AIza...`, `AKIA...`, `ghp_...`, JSON Web Tokens, private keys and others). The
    list is in the documentation, under Integration. A secret that is none of these stays.

    Args:
        text: Any text.

    Returns:
        The text; redacting it again changes nothing.
    """
    return _core.redact(text)
