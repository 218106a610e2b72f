"""How a URL is shown: without its secrets."""

from __future__ import annotations

import re
from typing import Final

from ._redact import shown

URL_WIDTH: Final = 1000
"""How many characters of a URL are shown."""

_USER: Final = re.compile(r"(?<=://)[^/?#]*@")


def shown_url(url: object) -> str:
    """A URL without user, password and secret parameters."""
    text = str(url)
    if "@" in text:  # a user without a password may be a token
        text = _USER.sub("REDACTED@", text, count=1)
    return shown(text.replace(" ", "%20"), URL_WIDTH)
